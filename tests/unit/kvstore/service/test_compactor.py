"""Automatic compaction keeps etcd's cadence: noted by tenths, done by whole periods."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from kvstore.base.clock import ManualClock
from kvstore.machine.commands import Compact
from kvstore.service.compactor import CompactionSettings, Compactor


class Machine:
    revision = 100
    compact_revision = 0


class Proposals:
    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.done: list[int] = []

    async def submit(self, command: Compact, _caller: object = None) -> None:
        self.done.append(command.revision)
        self.machine.compact_revision = command.revision


@asynccontextmanager
async def compactor(
    mode: str, retention: float
) -> AsyncIterator[tuple[ManualClock, Machine, Proposals, Compactor]]:
    clock, machine = ManualClock(), Machine()
    proposals = Proposals(machine)
    made = Compactor(machine, proposals, clock, CompactionSettings(mode, retention))  # type: ignore[arg-type]
    made.on_leadership(True)
    task = asyncio.ensure_future(made.run())
    await asyncio.sleep(0)
    try:
        yield clock, machine, proposals, made
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def minutes(clock: ManualClock, machine: Machine, count: int) -> None:
    """100 revisions a minute."""
    for _ in range(count):
        machine.revision += 100
        await clock.advance(60)


async def test_periodic_waits_a_period_and_then_goes_by_periods():
    async with compactor("periodic", 600) as (clock, machine, proposals, _):
        await minutes(clock, machine, 9)
        assert proposals.done == []
        await minutes(clock, machine, 1)
        # What was newest ten minutes ago.
        assert proposals.done == [100]
        await minutes(clock, machine, 9)
        assert proposals.done == [100]
        await minutes(clock, machine, 1)
        # etcd's notes reach one tenth further back than the period.
        assert proposals.done == [100, 1000]


async def test_periodic_above_an_hour_goes_hourly_after_the_first_period():
    async with compactor("periodic", 3 * 3600) as (clock, machine, proposals, _):
        await minutes(clock, machine, 179)
        assert proposals.done == []
        await minutes(clock, machine, 61)
        assert proposals.done == [100, 5500]
        await minutes(clock, machine, 60)
        assert proposals.done == [100, 5500, 11500]


async def test_a_new_leader_goes_on_where_the_old_one_was():
    async with compactor("periodic", 600) as (clock, machine, proposals, made):
        made.on_leadership(False)
        await minutes(clock, machine, 15)
        assert proposals.done == []
        made.on_leadership(True)
        await minutes(clock, machine, 1)
        assert proposals.done == [600]


async def test_an_idle_store_is_compacted_once():
    async with compactor("periodic", 600) as (clock, _, proposals, _made):
        for _ in range(60):
            await clock.advance(60)
        assert proposals.done == [100]


async def test_revision_mode_keeps_the_newest_every_five_minutes():
    async with compactor("revision", 50) as (clock, machine, proposals, _):
        await minutes(clock, machine, 4)
        assert proposals.done == []
        await minutes(clock, machine, 1)
        assert proposals.done == [550]
        await minutes(clock, machine, 5)
        assert proposals.done == [550, 1050]


async def test_retention_zero_is_off():
    async with compactor("revision", 0) as (clock, machine, proposals, _):
        await minutes(clock, machine, 30)
        assert proposals.done == []
