"""Whatever a user sends, what it sees it may read, and what it changes it may write. No model of the rules is used."""

from collections.abc import Iterator

from hypothesis import given, settings
from hypothesis import strategies as st

from kvstore.auth.permissions import READ, READWRITE, WRITE
from kvstore.auth.store import Permission
from kvstore.machine.auth_commands import (
    AuthEnable,
    RoleAdd,
    RoleGrantPermission,
    UserAdd,
    UserGrantRole,
)
from kvstore.machine.commands import (
    Compare,
    DeleteRange,
    LeaseGrant,
    LeaseRevoke,
    Plain,
    Put,
    Range,
    Signed,
    Txn,
    encode,
)
from kvstore.machine.machine import StateMachine
from kvstore.machine.outcome import DeleteRangeReply, PutReply, RangeReply, TxnReply
from kvstore.mvcc.ranges import in_range

KEYS = [b"a", b"ab", b"b", b"bc", b"c", b"d"]
keys = st.sampled_from(KEYS)
ends = st.sampled_from([b"", b"", b"\0", b"b", b"c", b"d", b"e"])
leases = st.sampled_from([0, 0, 1, 2])
permissions = st.builds(Permission, st.sampled_from([READ, WRITE, READWRITE]), keys, ends)
puts = st.builds(Put, keys, st.just(b"x"), leases, st.booleans())
deletes = st.builds(DeleteRange, keys, ends, st.booleans())
ranges = st.builds(Range, keys, ends)
compares = st.lists(st.builds(Compare, st.just(0), st.sampled_from([0, 1]), keys, ends), max_size=1)


def txns(ops):
    branch = st.lists(ops, max_size=2).map(tuple)
    return st.builds(Txn, compares.map(tuple), branch, branch)


ops = st.recursive(puts | deletes | ranges, txns, max_leaves=6)
commands = st.one_of(puts, deletes, txns(ops), st.builds(LeaseRevoke, st.sampled_from([1, 2])))


def seen(reply: object) -> Iterator[bytes]:
    """Keys whose versions are in the answer."""
    if isinstance(reply, PutReply) and reply.prev_kv is not None:
        yield reply.prev_kv.key
    elif isinstance(reply, DeleteRangeReply):
        yield from (kv.key for kv in reply.prev_kvs)
    elif isinstance(reply, RangeReply):
        yield from (kv.key for kv in reply.kvs)
    elif isinstance(reply, TxnReply):
        for one in reply.responses:
            yield from seen(one)


@settings(max_examples=150)
@given(st.lists(permissions, max_size=3), st.lists(commands, min_size=1, max_size=6))
def test_a_user_neither_sees_nor_changes_more_than_its_own(grants, story):
    machine = StateMachine()

    def do(command: Plain | Signed):
        return machine.apply(machine.applied_index + 1, [encode(command)])[0]

    for command in (
        LeaseGrant(1, 60),
        LeaseGrant(2, 60),
        *(Put(key, b"s", 1 + number % 2) for number, key in enumerate(KEYS)),
        UserAdd("root"),
        UserGrantRole("root", "root"),
        UserAdd("al"),
        RoleAdd("r"),
        UserGrantRole("al", "r"),
        *(RoleGrantPermission("r", one) for one in grants),
        AuthEnable(b"s"),
    ):
        do(command)
    last = {(one.key, one.range_end): one for one in grants}.values()

    def may(key: bytes, kind: int) -> bool:
        return any(
            one.kind in (kind, READWRITE) and in_range(key, one.key, one.range_end) for one in last
        )

    for command in story:
        before = {lease.id: set(lease.keys) for lease in machine.lessor.leases.values()}
        outcome = do(Signed(command, "al", machine.auth.revision))
        assert all(may(key, READ) for key in seen(outcome.reply))
        assert all(may(event.kv.key, WRITE) for event in outcome.events)
        for lease_id, keys_before in before.items():
            lease = machine.lessor.leases.get(lease_id)
            if lease is None or set(lease.keys) - keys_before:
                # It was ended, or something was hung on it: its keys' lives were in the user's hands.
                assert all(may(key, WRITE) for key in keys_before)
        machine.check_invariants()
