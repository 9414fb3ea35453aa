"""Proposals, hand-overs and read questions at their edges: late refusals, full queues, nothing left behind."""

import pytest

from kvstore.raft.proposals import Pack, Proposals
from kvstore.raft.pysync.forwarded import Forwarded
from kvstore.raft.pysync.messages import Forward
from kvstore.raft.read_index import ReadIndex
from kvstore.raft.replicator import MemberId, NoLeader, NotLeader, OutcomeUnknown

ME, OTHER = MemberId(1), MemberId(2)


class Time:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def test_a_late_refusal_does_not_take_back_a_newer_hand_over() -> None:
    proposals = Proposals(ME, 7, 10, Time())
    future = proposals.submit(b"once", 1005)
    number = 1
    assert proposals.take(1000, 3) == (ME, 7, [number], [b"once"])
    proposals.settle(4)
    assert proposals.take(1000, 4) == (ME, 7, [number], [b"once"])
    proposals.take_back([number], 3)
    assert proposals.take(1000, 4) is None
    proposals.resolve((ME, 7, [number], [b"once"]), ["done"])
    assert await future == "done"


async def test_a_refusal_of_the_same_term_queues_again_in_order() -> None:
    proposals = Proposals(ME, 7, 10, Time())
    for n in range(3):
        proposals.submit(b"%d" % n, 1005)
    numbers = [1, 2, 3]
    assert proposals.take(1000, 3) is not None
    proposals.submit(b"3", 1005)
    proposals.take_back(numbers, 3)
    pack = proposals.take(1000, 3)
    assert pack is not None
    assert pack[2] == [*numbers, 4]
    proposals.fail_all(NoLeader())


async def test_what_is_lost_with_a_term_is_queued_again_in_order() -> None:
    proposals = Proposals(ME, 7, 10, Time())
    for n in range(3):
        proposals.submit(b"%d" % n, 1005)
    numbers = [1, 2, 3]
    assert proposals.take(1000, 3) is not None
    proposals.settle(3)
    assert not proposals.has_waiting
    proposals.settle(4)
    pack = proposals.take(1000, 4)
    assert pack is not None
    assert pack[2] == numbers
    proposals.fail_all(NoLeader())


async def test_a_member_without_a_leader_keeps_nothing_of_what_expired() -> None:
    time = Time()
    proposals = Proposals(ME, 7, 10, time)
    for _ in range(100):
        future = proposals.submit(b"x", time.now + 1)
        time.now += 2
        proposals.expire()
        with pytest.raises(NoLeader):
            await future
    assert len(proposals) == 0
    assert not proposals.has_waiting


async def test_whoever_goes_away_is_handed_over_no_more_and_holds_no_room() -> None:
    time = Time()
    proposals = Proposals(ME, 7, 3, time)
    gone, kept = proposals.submit(b"gone", 1005), proposals.submit(b"kept", 1005)
    gone.cancel()
    assert proposals.take(1000, 3) == (ME, 7, [2], [b"kept"])
    assert len(proposals) == 1
    kept.cancel()
    proposals.resolve((ME, 7, [2], [b"kept"]), ["done"])
    assert len(proposals) == 0


async def test_deadlines_are_kept_each_and_the_soonest_is_told() -> None:
    time = Time()
    proposals = Proposals(ME, 7, 10, time)
    late, soon = proposals.submit(b"late", 1005), proposals.submit(b"soon", 1001)
    handed = proposals.submit(b"handed", 1002)
    assert proposals.expire() == 1001
    time.now = 1001.5
    assert proposals.expire() == 1002
    with pytest.raises(NoLeader):
        await soon
    assert proposals.take(1000, 3) == (ME, 7, [1, 3], [b"late", b"handed"])
    time.now = 1003
    assert proposals.expire() == 1005
    with pytest.raises(OutcomeUnknown):
        await handed
    assert not late.done()


async def test_questions_that_nobody_answers_are_forgotten_after_their_deadline() -> None:
    time = Time()
    reads = ReadIndex(time)
    gone = reads.submit(time.now + 1)
    old = reads.ask()
    time.now += 2
    kept = reads.submit(time.now + 5)
    new = reads.ask()
    reads.expire(has_leader=True)
    with pytest.raises(OutcomeUnknown):
        await gone
    assert old not in reads._asked
    reads.told(new, 9, 9)
    assert await kept == 9


def pack(number: int, size: int) -> Pack:
    return (OTHER, 1, [number], [b"x" * size])


def test_what_is_handed_in_is_bounded_and_leaves_in_order() -> None:
    queue = Forwarded(max_bytes=100)
    assert queue.add(OTHER, Forward(3, pack(1, 150)))
    assert not queue.add(OTHER, Forward(3, pack(2, 1)))
    assert queue.take(10, at_least_one=False) == []
    assert queue.take(10, at_least_one=True) == [pack(1, 150)]
    assert queue.add(OTHER, Forward(3, pack(2, 40)))
    assert queue.add(OTHER, Forward(3, pack(3, 40)))
    assert not queue.add(OTHER, Forward(3, pack(4, 40)))
    assert queue.take(50, at_least_one=True) == [pack(2, 40)]
    assert queue.clear() == [(OTHER, Forward(3, pack(3, 40)))]
    assert len(queue) == 0


async def test_what_is_for_one_term_is_handed_over_in_it() -> None:
    proposals = Proposals(MemberId(1), 5, 10, lambda: 0.0)
    future = proposals.submit(b"revoke", 10.0, only_in_term=3)
    pack = proposals.take(1000, 3)
    assert pack is not None
    proposals.resolve(pack, ["done"])
    assert await future == "done"


async def test_what_is_for_one_term_is_not_handed_over_in_the_next() -> None:
    proposals = Proposals(MemberId(1), 5, 10, lambda: 0.0)
    revoke = proposals.submit(b"revoke", 10.0, only_in_term=3)
    put = proposals.submit(b"put", 10.0)
    pack = proposals.take(1000, 4)
    assert pack is not None
    assert pack[3] == [b"put"]
    with pytest.raises(NotLeader, match="term 3"):
        await revoke
    assert not put.done()


async def test_what_is_for_one_term_is_not_handed_over_again() -> None:
    proposals = Proposals(MemberId(1), 5, 10, lambda: 0.0)
    revoke = proposals.submit(b"revoke", 10.0, only_in_term=3)
    put = proposals.submit(b"put", 10.0)
    proposals.take(1000, 3)
    # Both were in the log of a leader that was deposed before they were committed.
    proposals.settle(4)
    with pytest.raises(NotLeader):
        await revoke
    pack = proposals.take(1000, 4)
    assert pack is not None
    assert pack[3] == [b"put"]
    assert not put.done()
