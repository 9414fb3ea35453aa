"""Snapshots: pinned, whole, and refused when damaged."""

import pytest

from kvstore.machine.commands import (
    Alarm,
    Command,
    Compact,
    DeleteRange,
    LeaseCheckpoint,
    LeaseGrant,
    MemberAttributes,
    Put,
    Range,
    Txn,
    encode,
)
from kvstore.machine.machine import StateMachine
from kvstore.machine.snapshot import MAGIC, MAX_CHUNK_BYTES
from kvstore.mvcc.errors import StoreError


def do(machine: StateMachine, *commands: Command) -> None:
    for command in commands:
        machine.apply(machine.applied_index + 1, [encode(command)])


def facts(machine: StateMachine) -> dict[str, object]:
    """All that can be seen of a machine."""
    revisions = range(max(1, machine.compact_revision), machine.revision + 1)
    return {
        "applied": machine.applied_index,
        "revision": machine.revision,
        "compacted": machine.compact_revision,
        "ranges": [machine.range(Range(b"\0", b"\0", revision=revision)) for revision in revisions],
        "digests": [machine.digest(revision) for revision in revisions],
        "events": machine.history.since(b"\0", b"\0", machine.compact_revision, 0),
        "leases": [
            (lease.id, lease.ttl, lease.remaining, lease.keys)
            for lease in machine.lessor.leases.values()
        ],
        "alarms": set(machine.alarms),
        "members": dict(machine.members),
        "size": machine.size_bytes,
    }


@pytest.fixture
def full(machine: StateMachine) -> StateMachine:
    do(
        machine,
        LeaseGrant(7, 10),
        LeaseGrant(3, 20),
        Put(b"a", b"1", lease=7),
        Put(b"b", b"1"),
        Put(b"a", b"2", lease=3),
        DeleteRange(b"b"),
        Txn(success=(Put(b"c", b"3", lease=3), Put(b"b", b"4"), DeleteRange(b"a"))),
        Put(b"c", b"5", lease=3),
        LeaseCheckpoint(((3, 11),)),
        MemberAttributes(1, "one", ("http://127.0.0.1:1", "http://127.0.0.1:2")),
        Alarm(1, 9, 1),
    )
    return machine


@pytest.mark.parametrize("compacted", range(8))
def test_round_trip_at_every_compaction(full: StateMachine, compacted: int) -> None:
    if compacted:
        do(full, Compact(compacted))
    restored = StateMachine()
    do(restored, Put(b"other", b"state"))
    restored.restore(full.snapshot())
    restored.check_invariants()
    assert facts(restored) == facts(full)
    do(full, Alarm(2, 9, 1), Put(b"d"), DeleteRange(b"c"), Compact(full.revision))
    do(restored, Alarm(2, 9, 1), Put(b"d"), DeleteRange(b"c"), Compact(restored.revision))
    restored.check_invariants()
    assert facts(restored) == facts(full)


def test_empty_state(machine: StateMachine) -> None:
    restored = StateMachine()
    restored.restore(machine.snapshot())
    assert facts(restored) == facts(machine)


def test_snapshot_is_pinned_when_asked_for(full: StateMachine) -> None:
    do(full, Compact(4))
    before = facts(full)
    chunks = full.snapshot()
    start = next(chunks)
    do(full, Alarm(2, 9, 1), LeaseGrant(55, 5), Put(b"a", b"new", lease=55), DeleteRange(b"c"))
    do(full, Put(b"c", b"again"), Compact(full.revision), Put(b"zz"))
    restored = StateMachine()
    restored.restore([start, *chunks])
    assert facts(restored) == before


def test_snapshot_during_spread_compaction(machine: StateMachine) -> None:
    do(machine, *[Put(b"%d" % (number % 7), b"%d" % number) for number in range(3000)])
    do(machine, DeleteRange(b"3"), Put(b"x"), Compact(3002), Put(b"3"))
    restored = StateMachine()
    restored.restore(machine.snapshot())
    restored.check_invariants()
    while machine.reclaim():
        pass
    assert facts(restored) == facts(machine)


def test_chunks_are_bounded(machine: StateMachine) -> None:
    do(machine, *[Put(b"k%d" % size, bytes(size)) for size in (3_000_000, 1, 200_000, 1_500_000)])
    chunks = list(machine.snapshot())
    assert max(map(len, chunks)) <= MAX_CHUNK_BYTES
    restored = StateMachine()
    stream = b"".join(chunks)
    restored.restore(stream[start : start + 999] for start in range(0, len(stream), 999))
    assert facts(restored) == facts(machine)


def test_objects_stay_the_same_over_restore(full: StateMachine) -> None:
    restored = StateMachine()
    history, lessor, calls = restored.history, restored.lessor, []
    restored.on_restore(lambda: calls.append(restored.revision))
    restored.restore(full.snapshot())
    assert restored.history is history
    assert restored.lessor is lessor
    assert calls == [full.revision]


@pytest.mark.parametrize("compacted", [0, 4])
def test_every_damage_is_found_and_changes_nothing(full: StateMachine, compacted: int) -> None:
    if compacted:
        do(full, Compact(compacted))
    stream = b"".join(full.snapshot())
    restored = StateMachine()
    do(restored, Put(b"mine"))
    before = facts(restored)
    damaged = [stream[:length] for length in range(len(stream))]
    for position in range(len(stream)):
        for flip in (0x01, 0x80):
            changed = bytearray(stream)
            changed[position] ^= flip
            damaged.append(bytes(changed))
    damaged += [stream + b"\0", stream + stream, MAGIC.replace(b"1", b"2") + stream[len(MAGIC) :]]
    for data in damaged:
        with pytest.raises(ValueError):
            restored.restore([data])
    assert facts(restored) == before
    restored.check_invariants()


def test_digest_tells_states_apart(full: StateMachine) -> None:
    other = StateMachine()
    other.restore(full.snapshot())
    do(full, Alarm(2, 9, 1), Put(b"z", b"1"))
    do(other, Alarm(2, 9, 1), Put(b"z", b"2"))
    assert full.digest(full.revision - 1) == other.digest(other.revision - 1)
    assert full.digest() != other.digest()


@pytest.mark.parametrize("revision", [2, 99])
def test_digest_of_an_unreadable_revision_is_refused(full: StateMachine, revision: int) -> None:
    do(full, Compact(4))
    with pytest.raises(StoreError):
        full.digest(revision)
