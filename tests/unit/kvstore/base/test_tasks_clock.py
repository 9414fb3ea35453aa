"""Task ownership and the manual clock."""

import asyncio
import random

import pytest

from kvstore.base.backoff import Backoff
from kvstore.base.clock import ManualClock
from kvstore.base.tasks import Supervisor, TaskEndedError


async def test_an_eternal_task_that_returns_is_a_failure() -> None:
    supervisor = Supervisor("test")

    async def short() -> None:
        return

    supervisor.start(short(), "short", eternal=True)
    with pytest.raises(TaskEndedError, match="test/short"):
        await asyncio.wait_for(supervisor.wait(), 1)
    await supervisor.stop()


async def test_the_exception_of_a_finite_task_surfaces() -> None:
    supervisor = Supervisor("test")

    async def broken() -> None:
        raise KeyError("x")

    supervisor.start(broken(), "broken")
    with pytest.raises(KeyError):
        await asyncio.wait_for(supervisor.wait(), 1)
    await supervisor.stop()


async def test_stop_cancels_all_and_may_be_repeated() -> None:
    supervisor = Supervisor("test")
    task = supervisor.start(asyncio.Event().wait(), "waits", eternal=True)
    await supervisor.stop()
    await supervisor.stop()
    assert task.cancelled()


async def test_the_manual_clock_wakes_sleepers_in_order() -> None:
    clock = ManualClock(0.0)
    woken: list[float] = []

    async def sleeper(seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append(clock.monotonic())

    async with asyncio.TaskGroup() as group:
        for seconds in (3.0, 1.0, 2.0):
            group.create_task(sleeper(seconds))
        await asyncio.sleep(0)
        await clock.advance(1.5)
        assert woken == [1.0]
        await clock.advance(10.0)
    assert woken == [1.0, 2.0, 3.0]


def test_backoff_grows_to_its_cap_and_resets() -> None:
    backoff = Backoff(1.0, 8.0, jitter=0.0, rng=random.Random(1))
    assert [backoff.next() for _ in range(5)] == [1.0, 2.0, 4.0, 8.0, 8.0]
    backoff.reset()
    assert backoff.next() == 1.0
