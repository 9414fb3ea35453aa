"""The engine's timer on a loop that fires a little too early, as uvloop does: the next turn must always come."""

import asyncio
import heapq
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import cast

import pytest

from kvstore.raft.pysync.core import Core
from kvstore.raft.pysync.engine import PySyncReplicator
from kvstore.raft.replicator import MemberId, RaftSettings

EARLY_SECONDS = 0.0007


class Handle:
    def __init__(self, when: float, call: Callable[[], object]) -> None:
        self._when, self.call, self.off = when, call, False

    def __lt__(self, other: "Handle") -> bool:
        return self._when < other._when

    def when(self) -> float:
        return self._when

    def cancel(self) -> None:
        self.off = True

    def cancelled(self) -> bool:
        return self.off


class EarlyLoop:
    """An event loop and a clock in one; timers fire before the instant they were set for."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.ready: list[Callable[[], object]] = []
        self.timers: list[Handle] = []

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nothing sleeps here")

    def call_soon(self, call: Callable[[], object]) -> None:
        self.ready.append(call)

    def call_at(self, when: float, call: Callable[[], object]) -> Handle:
        handle = Handle(when, call)
        heapq.heappush(self.timers, handle)
        return handle

    def run_until(self, end: float) -> None:
        while True:
            while self.ready:
                self.ready.pop(0)()
            if not self.timers or self.timers[0].when() > end:
                break
            handle = heapq.heappop(self.timers)
            if not handle.off:
                self.now = max(self.now, handle.when() - EARLY_SECONDS)
                handle.call()
        self.now = max(self.now, end)


class HeartbeatCore:
    """Wants a turn every `period` seconds, like an idle leader; a turn that is early changes nothing."""

    def __init__(self, loop: EarlyLoop, period: float) -> None:
        self.loop, self.period = loop, period
        self.due = loop.now
        self.beats: list[float] = []

    def turn(self) -> float:
        if self.loop.now >= self.due:
            self.beats.append(self.loop.now)
            self.due = self.loop.now + self.period
        return self.due


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> EarlyLoop:
    made = EarlyLoop()
    monkeypatch.setattr(asyncio, "get_running_loop", lambda: made)
    return made


def replicator(
    tmp_path: Path, loop: EarlyLoop, period: float
) -> tuple[PySyncReplicator, HeartbeatCore]:
    one = MemberId(1)
    settings = RaftSettings(one, {one: ("127.0.0.1", 1)}, tmp_path)
    made = PySyncReplicator(settings, NoApplier(), loop, random.Random(1))
    core = HeartbeatCore(loop, period)
    made._core = cast("Core", core)
    return made, core


class NoApplier:
    applied_index = 0

    def apply(self, index: int, commands: Sequence[bytes]) -> list[int]:
        raise AssertionError("nothing is applied here")

    def snapshot(self) -> Iterator[bytes]:
        raise AssertionError("nothing is saved here")

    def restore(self, chunks: Iterable[bytes]) -> None:
        raise AssertionError("nothing is restored here")


def test_an_idle_member_goes_on_when_its_timer_fires_early(tmp_path: Path, loop: EarlyLoop) -> None:
    member, core = replicator(tmp_path, loop, 0.05)
    member.wake()
    loop.run_until(1010.0)
    assert len(core.beats) >= 190
    assert max(b - a for a, b in zip(core.beats, core.beats[1:], strict=False)) < 0.06


def test_a_nearer_deadline_replaces_the_timer_and_a_farther_one_does_not(
    tmp_path: Path, loop: EarlyLoop
) -> None:
    member, core = replicator(tmp_path, loop, 5.0)
    member.wake()
    loop.run_until(1000.0)
    assert len(loop.timers) == 1
    core.due = 1003.0
    member.wake()
    loop.run_until(1000.0)
    assert [timer.when() for timer in loop.timers if not timer.off] == [1003.0]
    core.due = 1004.0
    for _ in range(100):
        member.wake()
        loop.run_until(1000.0)
    assert [timer.when() for timer in loop.timers if not timer.off] == [1003.0]
    loop.run_until(1004.1)
    assert len(core.beats) == 2
