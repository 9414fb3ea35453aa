"""The state machine by tables: what each command answers, changes and tells."""

import msgspec
import pytest

from kvstore.machine.commands import (
    MAX_TXN_DEPTH,
    Alarm,
    Command,
    Compact,
    Compare,
    DeleteRange,
    LeaseCheckpoint,
    LeaseGrant,
    LeaseRevoke,
    MemberAttributes,
    Put,
    Range,
    Txn,
    encode,
)
from kvstore.machine.machine import StateMachine
from kvstore.machine.outcome import (
    AlarmReply,
    CompactedTo,
    CompactReply,
    DeleteRangeReply,
    KeyValue,
    LeaseCheckpointed,
    LeaseGranted,
    LeaseGrantReply,
    LeaseRevoked,
    LeaseRevokeReply,
    Outcome,
    PutReply,
    RangeReply,
    TxnReply,
)
from kvstore.mvcc.errors import (
    Compacted,
    Corrupt,
    FutureRevision,
    KeyNotFound,
    LeaseExists,
    LeaseNotFound,
    LeaseTTLTooLarge,
    NoSpace,
    TxnTooDeep,
)

ALL = Range(b"\0", b"\0")
EQUAL, GREATER, LESS, NOT_EQUAL = range(4)
VERSION, CREATE, MOD, VALUE, LEASE = range(5)


def do(machine: StateMachine, *commands: Command) -> Outcome:
    """Apply commands, an entry each; the last one's outcome."""
    for command in commands:
        (outcome,) = machine.apply(machine.applied_index + 1, [encode(command)])
    return outcome


def keys(reply: object) -> list[bytes]:
    assert isinstance(reply, RangeReply), reply
    return [kv.key for kv in reply.kvs]


def test_revisions_count_writes_only(machine: StateMachine) -> None:
    assert machine.revision == 1
    assert do(machine, Put(b"a", b"1")).revision == 2
    assert do(machine, DeleteRange(b"nothing")) == Outcome(DeleteRangeReply(0), 2)
    assert do(machine, Txn(success=(ALL,))).revision == 2
    assert do(machine, Txn(success=(DeleteRange(b"nothing"),))).revision == 2
    assert do(machine, LeaseGrant(1, 5)).revision == 2
    assert do(machine, DeleteRange(b"a")).revision == 3


def test_versions_start_over_after_a_delete(machine: StateMachine) -> None:
    do(machine, Put(b"a", b"1"), Put(b"a", b"2"), DeleteRange(b"a"), Put(b"a", b"3"))
    found = {revision: machine.range(Range(b"a", revision=revision)) for revision in range(1, 6)}
    assert found == {
        1: RangeReply((), 0),
        2: RangeReply((KeyValue(b"a", b"1", 2, 2, 1),), 1),
        3: RangeReply((KeyValue(b"a", b"2", 2, 3, 2),), 1),
        4: RangeReply((), 0),
        5: RangeReply((KeyValue(b"a", b"3", 5, 5, 1),), 1),
    }


def test_put_and_delete_hand_out_what_was_there(machine: StateMachine) -> None:
    first = KeyValue(b"a", b"1", 2, 2, 1)
    assert do(machine, Put(b"a", b"1", prev_kv=True)).reply == PutReply(None)
    outcome = do(machine, Put(b"a", b"2", prev_kv=True))
    assert outcome.reply == PutReply(first)
    assert outcome.events[0].prev == first
    assert do(machine, Put(b"a", b"3")).reply == PutReply(None)
    outcome = do(machine, Put(b"b", b"x"), DeleteRange(b"a", b"c", prev_kv=True))
    assert outcome.reply == DeleteRangeReply(
        2, (KeyValue(b"a", b"3", 2, 4, 3), KeyValue(b"b", b"x", 5, 5, 1))
    )
    assert [event.kv for event in outcome.events] == [
        KeyValue(b"a", mod_revision=6),
        KeyValue(b"b", mod_revision=6),
    ]
    assert all(event.is_delete for event in outcome.events)


def test_put_can_keep_value_or_lease(machine: StateMachine) -> None:
    assert do(machine, Put(b"a", ignore_value=True)) == Outcome(KeyNotFound(), 1)
    assert do(machine, Put(b"a", ignore_lease=True)) == Outcome(KeyNotFound(), 1)
    do(machine, LeaseGrant(7, 10), LeaseGrant(8, 10), Put(b"a", b"1", lease=7))
    do(machine, Put(b"a", b"2", ignore_lease=True))
    assert machine.range(Range(b"a")) == RangeReply((KeyValue(b"a", b"2", 2, 3, 2, 7),), 1)
    do(machine, Put(b"a", lease=8, ignore_value=True))
    assert machine.range(Range(b"a")) == RangeReply((KeyValue(b"a", b"2", 2, 4, 3, 8),), 1)
    assert (machine.lessor.leases[7].keys, machine.lessor.leases[8].keys) == ((), (b"a",))


@pytest.mark.parametrize(
    ("revision", "error"),
    [
        pytest.param(0, None, id="newest"),
        pytest.param(-1, None, id="negative_is_newest"),
        pytest.param(4, None, id="at_the_compacted_one"),
        pytest.param(5, None, id="current"),
        pytest.param(3, Compacted(3, 4), id="below_the_compacted_one"),
        pytest.param(6, FutureRevision(6, 5), id="future"),
    ],
)
def test_readable_revisions(machine: StateMachine, revision: int, error: Exception | None) -> None:
    do(machine, *[Put(b"a", b"%d" % number) for number in range(4)], Compact(4))
    for count_only in (False, True):
        reply = machine.range(Range(b"a", revision=revision, count_only=count_only))
        assert reply == error if error else isinstance(reply, RangeReply)
    reads = Txn(success=(Range(b"a", revision=revision),))
    assert machine.txn_readonly(reads) == do(machine, reads).reply
    if error:
        assert machine.txn_readonly(reads) == error


@pytest.fixture
def fruit(machine: StateMachine) -> StateMachine:
    """By key, value, version, create, mod: a 3 1 2 2 - b 1 2 3 6 - c 2 1 4 4 - d 2 1 5 5."""
    do(machine, Put(b"a", b"3"), Put(b"b", b"9"), Put(b"c", b"2"), Put(b"d", b"2"), Put(b"b", b"1"))
    return machine


@pytest.mark.parametrize(
    ("options", "found", "count", "more"),
    [
        pytest.param({}, b"abcd", 4, False, id="key_order"),
        pytest.param({"limit": 2}, b"ab", 4, True, id="limit_cuts"),
        pytest.param({"limit": 4}, b"abcd", 4, False, id="limit_just_reached"),
        pytest.param({"limit": -1}, b"abcd", 4, False, id="negative_limit_is_none"),
        pytest.param({"count_only": True, "limit": 1}, b"", 4, False, id="count_only"),
        pytest.param({"sort_order": 1}, b"abcd", 4, False, id="key_ascending"),
        pytest.param({"sort_order": 2}, b"dcba", 4, False, id="key_descending"),
        pytest.param({"sort_order": 2, "limit": 1}, b"d", 4, True, id="sort_before_limit"),
        pytest.param({"sort_target": 1, "sort_order": 2}, b"bacd", 4, False, id="by_version"),
        pytest.param({"sort_target": 2, "sort_order": 2}, b"dcba", 4, False, id="by_create"),
        pytest.param({"sort_target": 3, "sort_order": 1}, b"acdb", 4, False, id="by_mod"),
        pytest.param({"sort_target": 4, "sort_order": 1}, b"bcda", 4, False, id="by_value"),
        pytest.param({"sort_target": 4}, b"bcda", 4, False, id="target_alone_ascends"),
        pytest.param({"min_mod_revision": 5}, b"bd", 4, False, id="min_mod_keeps_count"),
        pytest.param({"max_mod_revision": 4}, b"ac", 4, False, id="max_mod"),
        pytest.param({"min_create_revision": 4}, b"cd", 4, False, id="min_create"),
        pytest.param({"max_create_revision": 3}, b"ab", 4, False, id="max_create"),
        pytest.param({"max_mod_revision": 5, "limit": 2}, b"ac", 4, True, id="filter_before_limit"),
        pytest.param({"revision": 3}, b"ab", 2, False, id="past"),
        pytest.param({"sort_target": 9, "sort_order": 2}, b"dcba", 4, False, id="unknown_target"),
    ],
)
def test_range_options(
    fruit: StateMachine, options: dict[str, int], found: bytes, count: int, more: bool
) -> None:
    reply = fruit.range(Range(b"a", b"\0", **options))
    assert b"".join(keys(reply)) == found
    assert isinstance(reply, RangeReply)
    assert (reply.count, reply.more) == (count, more)


def test_sort_target_without_order_sorts_one_key_more_than_the_limit(machine: StateMachine) -> None:
    do(machine, Put(b"a", b"9"), Put(b"b", b"8"), Put(b"c", b"1"))
    assert keys(machine.range(Range(b"a", b"\0", limit=1, sort_target=4))) == [b"b"]
    assert keys(machine.range(Range(b"a", b"\0", limit=1, sort_target=4, sort_order=1))) == [b"c"]


def test_keys_only_keeps_the_numbers(fruit: StateMachine) -> None:
    assert fruit.range(Range(b"b", keys_only=True)) == RangeReply(
        (KeyValue(b"b", b"", 3, 6, 2),), 1
    )


@pytest.mark.parametrize(
    ("compare", "holds"),
    [
        pytest.param(Compare(VERSION, EQUAL, b"b", number=2), True, id="version_equal"),
        pytest.param(Compare(VERSION, GREATER, b"b", number=2), False, id="version_not_greater"),
        pytest.param(Compare(VERSION, GREATER, b"b", number=1), True, id="version_greater"),
        pytest.param(Compare(CREATE, LESS, b"b", number=4), True, id="create_less"),
        pytest.param(Compare(MOD, NOT_EQUAL, b"b", number=6), False, id="mod_not_equal"),
        pytest.param(Compare(VALUE, EQUAL, b"b", value=b"1"), True, id="value_equal"),
        pytest.param(Compare(VALUE, GREATER, b"b", value=b"0"), True, id="value_greater"),
        pytest.param(Compare(LEASE, EQUAL, b"b", number=0), True, id="no_lease"),
        pytest.param(Compare(VERSION, EQUAL, b"x", number=0), True, id="missing_has_version_0"),
        pytest.param(Compare(CREATE, EQUAL, b"x", number=0), True, id="missing_has_create_0"),
        pytest.param(Compare(MOD, LESS, b"x", number=1), True, id="missing_has_mod_0"),
        pytest.param(Compare(LEASE, EQUAL, b"x", number=0), True, id="missing_has_lease_0"),
        pytest.param(Compare(VALUE, EQUAL, b"x", value=b""), False, id="missing_has_no_value"),
        pytest.param(Compare(VALUE, NOT_EQUAL, b"x", value=b"1"), False, id="nor_another_value"),
        pytest.param(Compare(MOD, GREATER, b"a", b"e", number=1), True, id="range_all_hold"),
        pytest.param(Compare(MOD, GREATER, b"a", b"e", number=2), False, id="range_one_does_not"),
        pytest.param(
            Compare(VERSION, EQUAL, b"x", b"z", number=0), True, id="empty_range_is_missing"
        ),
        pytest.param(Compare(VALUE, LESS, b"a", b"\0", value=b"4"), True, id="range_from_key"),
        pytest.param(Compare(9, EQUAL, b"a", number=5), True, id="unknown_target_is_equal"),
        pytest.param(Compare(VERSION, 9, b"a", number=5), True, id="unknown_relation_holds"),
    ],
)
def test_compares(fruit: StateMachine, compare: Compare, holds: bool) -> None:
    txn = Txn((compare,), (Range(b"a"),), (Range(b"c"),))
    reply = fruit.txn_readonly(txn)
    assert isinstance(reply, TxnReply)
    assert reply.succeeded is holds
    assert keys(reply.responses[0]) == [b"a" if holds else b"c"]
    assert do(fruit, txn).reply == reply


def test_transaction_is_one_revision_and_reads_its_own_writes(machine: StateMachine) -> None:
    do(machine, Put(b"a", b"0"))
    outcome = do(
        machine,
        Txn(
            success=(
                Range(b"a"),
                Put(b"b", b"1"),
                Put(b"c", b"1"),
                ALL,
                DeleteRange(b"a", prev_kv=True),
                Range(b"\0", b"\0", count_only=True),
                Range(b"\0", b"\0", revision=2),
            )
        ),
    )
    reply = outcome.reply
    assert isinstance(reply, TxnReply)
    assert outcome.revision == 3
    assert [event.kv.mod_revision for event in outcome.events] == [3, 3, 3]
    before, _, _, during, deleted, count, past = reply.responses
    assert keys(before) == [b"a"]
    assert keys(during) == [b"a", b"b", b"c"]
    assert deleted == DeleteRangeReply(1, (KeyValue(b"a", b"0", 2, 2, 1),))
    assert count == RangeReply((), 2)
    assert keys(past) == [b"a"]
    assert machine.history.since(b"\0", b"\0", 3, 1) == [(3, outcome.events)]


def test_nested_compares_see_the_state_before(machine: StateMachine) -> None:
    missing = Compare(VERSION, EQUAL, b"a", number=0)
    nested = Txn((missing,), (Put(b"b", b"was missing"),), (Put(b"b", b"was there"),))
    outcome = do(machine, Txn((missing,), (Put(b"a"), nested)))
    assert outcome.reply == TxnReply(True, (PutReply(), TxnReply(True, (PutReply(),))))
    assert outcome.revision == 2
    assert [event.kv.key for event in outcome.events] == [b"a", b"b"]


@pytest.mark.parametrize(
    ("operations", "error"),
    [
        pytest.param((Put(b"b", lease=9),), LeaseNotFound(), id="unknown_lease"),
        pytest.param((Put(b"b", ignore_value=True),), KeyNotFound(), id="nothing_to_keep"),
        pytest.param(
            (Put(b"b", lease=9, ignore_value=True),), KeyNotFound(), id="key_before_lease"
        ),
        pytest.param((Range(b"a", revision=3),), FutureRevision(3, 2), id="future"),
        pytest.param((Range(b"a", revision=1),), Compacted(1, 2), id="compacted"),
        pytest.param(
            (Range(b"a", revision=3), Put(b"b", lease=9)), LeaseNotFound(), id="puts_first"
        ),
        pytest.param(
            (Txn(success=(Txn(success=(Put(b"b", lease=9),)),)),), LeaseNotFound(), id="nested"
        ),
    ],
)
def test_refused_transaction_has_no_effect(
    machine: StateMachine, operations: tuple[Range | Put | Txn, ...], error: Exception
) -> None:
    do(machine, Put(b"a"), Compact(2))
    before = machine.range(ALL), machine.size_bytes, machine.digest()
    assert do(machine, Txn(success=(Put(b"z"), DeleteRange(b"a"), *operations))) == Outcome(
        error, 2
    )
    assert (machine.range(ALL), machine.size_bytes, machine.digest()) == before


def test_branch_not_taken_is_not_checked(machine: StateMachine) -> None:
    assert do(machine, Txn(success=(Put(b"a"),), failure=(Put(b"b", lease=9),))).revision == 2


def test_overlapping_writes_of_one_transaction_are_safe(machine: StateMachine) -> None:
    """The service refuses them, but a log that has one must not stop every member."""
    do(
        machine,
        Put(b"a", b"0"),
        Txn(success=(Put(b"a", b"1"), DeleteRange(b"a"), Put(b"a", b"2"), Put(b"a", b"3"))),
        Put(b"b"),
        Txn(success=(DeleteRange(b"b"), Put(b"b", ignore_value=True))),
    )
    assert machine.range(Range(b"a", revision=3)) == RangeReply((KeyValue(b"a", b"3", 3, 3, 2),), 1)
    assert machine.range(Range(b"b")) == RangeReply((KeyValue(b"b", b"", 5, 5, 1),), 1)
    restored = StateMachine()
    restored.restore(machine.snapshot())
    assert restored.digest() == machine.digest()
    do(machine, Compact(5))
    assert machine.digest()


def nested(depth: int) -> Txn:
    txn = Txn(success=(Put(b"deep"),))
    for _ in range(depth - 1):
        txn = Txn(success=(txn,))
    return txn


def test_transactions_nest_to_a_limit(machine: StateMachine) -> None:
    assert do(machine, nested(MAX_TXN_DEPTH)).revision == 2
    with pytest.raises(ValueError, match="deeper"):
        encode(nested(MAX_TXN_DEPTH + 1))
    smuggled = msgspec.msgpack.encode(nested(MAX_TXN_DEPTH + 1))
    do(machine, Alarm(1, 1, 1))
    assert machine.apply(99, [smuggled])[0].reply == TxnTooDeep()
    assert machine.txn_readonly(nested(MAX_TXN_DEPTH + 1)) == TxnTooDeep()


def test_lease_life(machine: StateMachine) -> None:
    assert do(machine, Put(b"a", lease=7)) == Outcome(LeaseNotFound(), 1)
    assert do(machine, LeaseRevoke(7)) == Outcome(LeaseNotFound(), 1)
    assert do(machine, LeaseGrant(7, 10)) == Outcome(
        LeaseGrantReply(7, 10), 1, (), (LeaseGranted(7, 10),)
    )
    assert do(machine, LeaseGrant(7, 10)).reply == LeaseExists()
    assert do(machine, LeaseGrant(8, 9_000_000_001)).reply == LeaseTTLTooLarge()
    assert do(machine, LeaseGrant(0, 5)).reply == LeaseNotFound()
    do(machine, *[Put(key, b"1", lease=7) for key in (b"c", b"a", b"b", b"moved", b"gone")])
    do(machine, Put(b"moved"), DeleteRange(b"gone"))
    assert machine.lessor.leases[7].keys == (b"a", b"b", b"c")
    outcome = do(machine, LeaseRevoke(7))
    assert (outcome.reply, outcome.effects) == (LeaseRevokeReply(), (LeaseRevoked(7),))
    assert outcome.revision == 9
    assert [(event.kv.key, event.kv.mod_revision) for event in outcome.events] == [
        (b"a", 9),
        (b"b", 9),
        (b"c", 9),
    ]
    assert keys(machine.range(ALL)) == [b"moved"]


def test_revoking_a_lease_without_keys_is_no_revision(machine: StateMachine) -> None:
    assert do(machine, LeaseGrant(7, 10), LeaseRevoke(7)).revision == 1


def test_checkpoints_pass_over_leases_that_ended(machine: StateMachine) -> None:
    outcome = do(machine, LeaseGrant(7, 10), LeaseCheckpoint(((6, 3), (7, 4))))
    assert outcome.effects == (LeaseCheckpointed(7, 4),)
    assert machine.lessor.leases[7].remaining == 4


def test_compaction(machine: StateMachine) -> None:
    do(machine, Put(b"a", b"1"), Put(b"b", b"1"), Put(b"a", b"2"), DeleteRange(b"b"))
    size = machine.size_bytes
    assert do(machine, Compact(6)).reply == FutureRevision(6, 5)
    assert do(machine, Compact(0)).reply == Compacted(0, 0)
    assert do(machine, Compact(4)) == Outcome(CompactReply(), 5, (), (CompactedTo(4),))
    assert do(machine, Compact(4)).reply == Compacted(4, 4)
    assert do(machine, Compact(3)).reply == Compacted(3, 4)
    assert keys(machine.range(Range(b"\0", b"\0", revision=4))) == [b"a", b"b"]
    assert machine.size_bytes < size
    assert do(machine, Compact(5)).reply == CompactReply()
    assert keys(machine.range(ALL)) == [b"a"]
    assert machine.range(Range(b"a", revision=5)) == RangeReply((KeyValue(b"a", b"2", 2, 4, 2),), 1)


def test_large_compactions_are_spread_over_entries_and_do_not_show(machine: StateMachine) -> None:
    do(machine, *[Put(b"%d" % (number % 10), b"x" * 100) for number in range(2000)])
    size = machine.size_bytes
    do(machine, Compact(2000))
    assert size > machine.size_bytes > size / 2, "only part of it is freed at once"
    machine.check_invariants()
    digest, seen = machine.digest(2000), machine.range(Range(b"\0", b"\0", revision=2000))
    while machine.reclaim():
        pass
    assert (machine.digest(2000), machine.range(Range(b"\0", b"\0", revision=2000))) == (
        digest,
        seen,
    )
    assert machine.size_bytes == 11 * (1 + 100 + 48)


def test_full_store_refuses_what_grows_only(machine: StateMachine) -> None:
    do(machine, LeaseGrant(7, 10), Put(b"a"))
    assert do(machine, Alarm(1, 42, 1)).reply == AlarmReply(((42, 1),))
    assert do(machine, Alarm(1, 42, 1)).reply == AlarmReply(((42, 1),))
    assert machine.alarms == {(42, 1)}
    for refused in (
        Put(b"b"),
        LeaseGrant(8, 10),
        Txn(success=(Put(b"b"),)),
        Txn(failure=(Put(b"b"),)),
        Txn(success=(Txn(success=(Put(b"b"),)),)),
    ):
        assert do(machine, refused) == Outcome(NoSpace(), 2)
    assert do(machine, Txn(success=(DeleteRange(b"a"),))).revision == 3
    assert do(machine, LeaseRevoke(7)).reply == LeaseRevokeReply()
    assert do(machine, Compact(3)).reply == CompactReply()
    assert do(machine, Alarm(2, 41, 1)).reply == AlarmReply()
    assert do(machine, Alarm(2, 42, 1)).reply == AlarmReply(((42, 1),))
    assert do(machine, Put(b"b")).revision == 4


def test_corrupt_store_refuses_writes(machine: StateMachine) -> None:
    do(machine, Put(b"a"), Alarm(1, 42, 2))
    for refused in (Put(b"b"), DeleteRange(b"a"), Txn(), Compact(2), LeaseGrant(7, 1)):
        assert do(machine, refused) == Outcome(Corrupt(), 2)
    # Reads go on, as in etcd.
    assert machine.range(ALL).count == 1  # type: ignore[union-attr]
    assert machine.txn_readonly(Txn()) == TxnReply(True)
    do(machine, Alarm(2, 42, 2))
    assert do(machine, Put(b"b")).revision == 3


def test_members_say_who_they_are(machine: StateMachine) -> None:
    do(machine, MemberAttributes(2, "two"), MemberAttributes(2, "two", ("http://127.0.0.1:1",)))
    assert machine.members == {2: ("two", ("http://127.0.0.1:1",))}


def test_an_index_is_applied_once(machine: StateMachine) -> None:
    first = [encode(Put(b"a", b"1")), encode(Put(b"a", b"2"))]
    assert [outcome.revision for outcome in machine.apply(5, first)] == [2, 3]
    assert machine.apply(5, first) == []
    assert machine.apply(4, first) == []
    assert (machine.applied_index, machine.revision) == (5, 3)
    assert machine.apply(7, []) == []
    assert machine.applied_index == 7


def test_damaged_command_stops_before_anything_is_applied(machine: StateMachine) -> None:
    with pytest.raises(msgspec.DecodeError):
        machine.apply(1, [encode(Put(b"a")), b"\xc1damage"])
    assert (machine.applied_index, machine.revision) == (0, 1)


def test_readonly_transaction_must_not_write(machine: StateMachine) -> None:
    with pytest.raises(ValueError, match="writes"):
        machine.txn_readonly(Txn(success=(Put(b"a"),)))
