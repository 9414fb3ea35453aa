"""Members compare hashes through the log: who differs gets the alarm, and nobody else does."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from kvstore.base.clock import ManualClock
from kvstore.machine.commands import Compact, DigestClaim, Put, encode
from kvstore.machine.machine import StateMachine
from kvstore.machine.outcome import Outcome
from kvstore.raft.replicator import NoLeader
from kvstore.service.corruption import (
    CorruptionSettings,
    CorruptionWatch,
    StateDiffers,
    differing,
)

CORRUPT = 2


class Log:
    """What all members that are up apply at once, in order."""

    def __init__(self, count: int, settings: CorruptionSettings) -> None:
        self.clock = ManualClock()
        self.index = 0
        self.has_leader = True
        self.machines = {number: StateMachine() for number in range(1, count + 1)}
        self.up = set(self.machines)
        self.watches = {
            number: CorruptionWatch(
                machine,
                self,  # type: ignore[arg-type]
                self.clock,
                number,
                count,
                settings,
            )
            for number, machine in self.machines.items()
        }
        self.claims: list[DigestClaim] = []

    async def submit(self, command: Any, caller: Any = None, **_: Any) -> Outcome:
        if not self.has_leader:
            raise NoLeader("no leader")
        return self.append(command)

    def append(self, command: Any) -> Outcome:
        self.index += 1
        if isinstance(command, DigestClaim):
            self.claims.append(command)
        outcomes: list[Outcome] = []
        for number in sorted(self.up):
            outcomes = self.machines[number].apply(self.index, [encode(command)])
            self.watches[number].on_applied(outcomes)
        return outcomes[-1]

    def spoil(self, number: int) -> None:
        """One value is not what was written, at one member."""
        for one in self.machines:
            value = b"spoilt" if one == number else b"value"
            self.machines[one].apply(self.index + 1, [encode(Put(b"k", value))])
        self.index += 1

    @property
    def alarms(self) -> set[tuple[int, int]]:
        found = [self.machines[number].alarms for number in sorted(self.up)]
        assert all(one == found[0] for one in found)
        return found[0]

    async def pass_time(self, seconds: float) -> None:
        for _ in range(int(seconds / 0.5)):
            await settle()
            await self.clock.advance(0.5)
        await settle()


async def settle() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


@pytest.fixture
def make() -> Iterator[Any]:
    tasks: list[asyncio.Task[None]] = []

    async def start(count: int = 3, **settings: Any) -> Log:
        log = Log(count, CorruptionSettings(**settings))
        for number in range(20):
            log.append(Put(b"key%d" % number, b"v"))
        for watch in log.watches.values():
            tasks.append(asyncio.get_running_loop().create_task(watch.run()))
            watch._is_live = True
        log.watches[1].on_leadership(True)
        await settle()
        return log

    yield start
    for task in tasks:
        task.cancel()


async def test_equal_members_answer_and_nothing_is_raised(make: Any) -> None:
    log = await make(interval_seconds=10.0)
    await log.pass_time(25)
    assert log.alarms == set()
    askers = [one for one in log.claims if one.asker == one.author]
    assert [one.asker for one in askers] == [1, 1], "the leader, every ten seconds"
    assert len(log.claims) == 6


@pytest.mark.parametrize("spoilt", [1, 2, 3])
async def test_who_differs_from_the_majority_gets_the_alarm(make: Any, spoilt: int) -> None:
    log = await make(interval_seconds=10.0)
    log.spoil(spoilt)
    await log.pass_time(20)
    assert log.alarms == {(spoilt, CORRUPT)}
    count = len(log.claims)
    await log.pass_time(20)
    # It is looked on, and not raised twice.
    assert len(log.claims) > count
    assert log.alarms == {(spoilt, CORRUPT)}


async def test_a_member_that_lacks_revisions_differs(make: Any) -> None:
    log = await make(interval_seconds=10.0)
    log.index += 1
    for number in (1, 2):
        log.machines[number].apply(log.index, [encode(Put(b"k", b"v"))])
    await log.pass_time(12)
    assert log.alarms == {(3, CORRUPT)}


async def test_a_compaction_is_a_reason_to_look(make: Any) -> None:
    log = await make(interval_seconds=0.0, compacted_seconds=60.0)
    log.spoil(3)
    await log.pass_time(130)
    assert not log.claims
    log.append(Compact(5))
    await log.pass_time(2)
    assert log.alarms == {(3, CORRUPT)}


async def test_both_reasons_can_be_turned_off(make: Any) -> None:
    log = await make(interval_seconds=0.0, compacted_seconds=0.0)
    log.append(Compact(5))
    await log.pass_time(600)
    assert not log.claims


async def test_who_is_down_is_not_waited_for_long_and_not_blamed(make: Any) -> None:
    log = await make(interval_seconds=10.0)
    log.up.discard(3)
    log.spoil(2)
    await log.pass_time(30)
    # A third answer would tell who is right.
    assert log.alarms == set()
    await log.pass_time(30)
    # Two that differ, and nobody to say who is right: both are told.
    assert log.alarms == {(1, CORRUPT), (2, CORRUPT)}


async def test_a_slow_answer_is_waited_for_while_it_would_decide(make: Any) -> None:
    log = await make(interval_seconds=10.0)
    log.spoil(2)
    hears, log.watches[3]._claimed = log.watches[3]._claimed, lambda claim: None
    await log.pass_time(20)
    (question,) = [one for one in log.claims if one.author == one.asker]
    hears(question)
    await log.pass_time(2)
    assert log.alarms == {(2, CORRUPT)}


async def test_a_member_that_starts_looks_for_itself(make: Any) -> None:
    log = await make(interval_seconds=0.0, compacted_seconds=0.0)
    log.spoil(2)
    await log.watches[2].at_start()
    await log.pass_time(3)
    assert log.claims[0].asker == 2
    assert log.alarms == {(2, CORRUPT)}


async def test_it_may_be_told_to_end_rather_than_serve(make: Any) -> None:
    log = await make(interval_seconds=0.0, must_pass_at_start=True)
    checking = asyncio.get_running_loop().create_task(log.watches[3].at_start())
    await log.pass_time(6)
    await checking
    log.spoil(3)
    checking = asyncio.get_running_loop().create_task(log.watches[3].at_start())
    await log.pass_time(6)
    with pytest.raises(StateDiffers, match="differs from that of the majority"):
        await checking
    # One of the right ones starts: it need not end for it.
    checking = asyncio.get_running_loop().create_task(log.watches[1].at_start())
    await log.pass_time(6)
    await checking


async def test_old_questions_are_not_answered_when_the_log_is_read_again(make: Any) -> None:
    log = await make(interval_seconds=0.0)
    log.watches[2]._is_live = False
    log.append(DigestClaim(3, 3, 2, 0, 7))
    await settle()
    assert {one.author for one in log.claims} == {3, 1}


async def test_without_a_leader_nothing_happens_and_it_is_tried_again(make: Any) -> None:
    log = await make(interval_seconds=10.0)
    log.spoil(3)
    log.has_leader = False
    await log.pass_time(15)
    assert not log.claims
    log.has_leader = True
    await log.pass_time(15)
    assert log.alarms == {(3, CORRUPT)}


async def test_a_member_alone_asks_nobody(make: Any) -> None:
    log = await make(count=1, interval_seconds=1.0)
    await log.watches[1].at_start()
    await log.pass_time(10)
    assert not log.claims


def claim(author: int, digest: int, compact: int = 0) -> DigestClaim:
    return DigestClaim(1, author, 9, compact, digest)


@pytest.mark.parametrize(
    ("claims", "count", "expected"),
    [
        pytest.param([(1, 5), (2, 5), (3, 5)], 3, (), id="all_equal"),
        pytest.param([(1, 5), (2, 5), (3, 6)], 3, (3,), id="one_of_three"),
        pytest.param([(1, 6), (2, 5), (3, 5)], 3, (1,), id="who_asked"),
        pytest.param([(1, 5), (2, 6)], 3, (1, 2), id="two_of_three_answered"),
        pytest.param([(1, 5), (2, 6), (3, 7)], 3, (1, 2, 3), id="three_ways"),
        pytest.param([(1, 5), (2, 5), (3, 6), (4, 7), (5, 8)], 5, (3, 4, 5), id="most_common"),
        pytest.param([(1, 5)], 3, (), id="nobody_answered"),
        pytest.param([(1, 5), (2, 6, 8), (3, 5)], 3, (), id="compacted_meanwhile"),
    ],
)
def test_who_differs(claims: list[tuple[int, ...]], count: int, expected: tuple[int, ...]) -> None:
    assert differing([claim(*one) for one in claims], count) == expected
