"""Transactions: compares, then checks, then operations, all in one revision.

Every compare, those of nested transactions too, sees the state before the transaction; every operation sees what those
before it wrote. All that could refuse is checked on the chosen branches before the first write, so a refused
transaction leaves nothing behind. Puts are checked before ranges, which decides the error if both would refuse.
"""

from typing import NamedTuple, cast

from kvstore.lease.lessor import Lessor
from kvstore.machine.commands import Compare, DeleteRange, Put, Range, Txn
from kvstore.machine.outcome import DeleteRangeReply, OpReply, PutReply, RangeReply, TxnReply
from kvstore.machine.reads import read_checked
from kvstore.mvcc.errors import Compacted, KeyNotFound, LeaseNotFound, StoreError
from kvstore.mvcc.kv import KeyValue
from kvstore.mvcc.store import Store

_EQUAL, _GREATER, _LESS, _NOT_EQUAL = 0, 1, 2, 3
_VERSION, _CREATE, _MOD, _VALUE, _LEASE = 0, 1, 2, 3, 4

_PUT_DONE = PutReply()
_NO_KEYS = DeleteRangeReply(0)


class Branch(NamedTuple):
    """A transaction decided: its outcome and what is to run, nested ones decided too."""

    succeeded: bool
    steps: "tuple[Range | Put | DeleteRange | Branch, ...]"


def is_readonly(txn: Txn) -> bool:
    """Whether no branch can write."""
    return all(
        isinstance(op, Range) or (isinstance(op, Txn) and is_readonly(op))
        for op in (*txn.success, *txn.failure)
    )


def has_put(txn: Txn) -> bool:
    """Whether some branch has a put, which is what a full store refuses."""
    return any(
        isinstance(op, Put) or (isinstance(op, Txn) and has_put(op))
        for op in (*txn.success, *txn.failure)
    )


def decide(store: Store, txn: Txn) -> Branch:
    """Evaluate the compares and choose the branches."""
    succeeded = all(_holds(store, compare) for compare in txn.compares)
    operations = txn.success if succeeded else txn.failure
    return Branch(
        succeeded,
        tuple([decide(store, op) if isinstance(op, Txn) else op for op in operations]),
    )


def check(store: Store, lessor: Lessor, branch: Branch) -> StoreError | None:
    """Why `branch` cannot run; None if it can."""
    return _check_puts(store, lessor, branch) or _check_ranges(store, branch)


def is_plain(txn: Txn) -> bool:
    """Whether all there is to do is to put values, on no conditions and no leases: what `run_plain` does."""
    if txn.compares:
        return False
    for step in txn.success:
        if type(step) is not Put or step.lease or step.prev_kv:
            return False
        if step.ignore_value or step.ignore_lease:
            return False
    return True


def run_plain(store: Store, lessor: Lessor, txn: Txn) -> TxnReply:
    """What `decide`, `check` and `run` do with a transaction that is plain, at a third of their time."""
    puts = cast("tuple[Put, ...]", txn.success)
    for prev in store.put_all([(put.key, put.value) for put in puts]):
        lessor.detach(prev.lease, prev.key)
    return TxnReply(True, (_PUT_DONE,) * len(puts))


def run(store: Store, lessor: Lessor, branch: Branch) -> TxnReply:
    """Run a checked branch in the store's open revision."""
    responses: list[OpReply] = []
    for step in branch.steps:
        if isinstance(step, Put):
            responses.append(put(store, lessor, step))
        elif isinstance(step, Range):
            responses.append(read_checked(store, step))
        elif isinstance(step, DeleteRange):
            responses.append(delete_range(store, lessor, step))
        else:
            responses.append(run(store, lessor, step))
    return TxnReply(branch.succeeded, tuple(responses))


def run_reads(store: Store, branch: Branch) -> TxnReply:
    """Run a checked branch that only reads."""
    responses: list[RangeReply | TxnReply] = []
    for step in branch.steps:
        if isinstance(step, Range):
            responses.append(read_checked(store, step))
        elif isinstance(step, Branch):
            responses.append(run_reads(store, step))
        else:
            raise ValueError(f"{step!r} writes")
    return TxnReply(branch.succeeded, tuple(responses))


def check_put(store: Store, lessor: Lessor, cmd: Put) -> StoreError | None:
    """Why `cmd` cannot run; None if it can."""
    if cmd.lease and cmd.lease not in lessor:
        return LeaseNotFound()
    if (cmd.ignore_value or cmd.ignore_lease) and store.get(cmd.key) is None:
        return KeyNotFound()
    return None


def put(store: Store, lessor: Lessor, cmd: Put) -> PutReply:
    """Write in the open revision and move the key to its new lease."""
    key, value, lease = cmd.key, cmd.value, cmd.lease
    if cmd.ignore_value or cmd.ignore_lease:
        current = store.get(key)
        # None only if this very transaction deleted the key, which the service refuses beforehand.
        if current is not None:
            value = current.value if cmd.ignore_value else value
            lease = current.lease if cmd.ignore_lease else lease
    prev = store.put(key, value, lease)
    old_lease = prev.lease if prev is not None else 0
    if old_lease != lease:
        if old_lease:
            lessor.detach(old_lease, key)
        if lease:
            lessor.attach(lease, key)
    return PutReply(prev) if cmd.prev_kv and prev is not None else _PUT_DONE


def delete_range(store: Store, lessor: Lessor, cmd: DeleteRange) -> DeleteRangeReply:
    """Delete in the open revision and take the keys off their leases."""
    gone = store.select(cmd.key, cmd.range_end)
    if not gone:
        return _NO_KEYS
    for kv in gone:
        store.delete(kv.key)
        if kv.lease:
            lessor.detach(kv.lease, kv.key)
    return DeleteRangeReply(len(gone), tuple(gone) if cmd.prev_kv else ())


def _check_puts(store: Store, lessor: Lessor, branch: Branch) -> StoreError | None:
    for step in branch.steps:
        refusal: StoreError | None = None
        if isinstance(step, Put):
            # Inside a transaction etcd looks at the key first and at the lease second.
            if (step.ignore_value or step.ignore_lease) and store.get(step.key) is None:
                refusal = KeyNotFound()
            elif step.lease and step.lease not in lessor:
                refusal = LeaseNotFound()
        elif isinstance(step, Branch):
            refusal = _check_puts(store, lessor, step)
        if refusal is not None:
            return refusal
    return None


def _check_ranges(store: Store, branch: Branch) -> StoreError | None:
    for step in branch.steps:
        refusal: StoreError | None = None
        if isinstance(step, Range):
            refusal = store.check_revision(step.revision)
            # Only inside a transaction etcd minds a negative revision; its bound is -1 until something is compacted.
            if step.revision < (0 if store.compact_revision else -1):
                refusal = Compacted(step.revision, store.compact_revision)
        elif isinstance(step, Branch):
            refusal = _check_ranges(store, step)
        if refusal is not None:
            return refusal
    return None


def _holds(store: Store, compare: Compare) -> bool:
    """Whether the compare holds for every key of its range. A missing key has zeros, and no value to compare with."""
    if compare.range_end:
        kvs = store.select(compare.key, compare.range_end)
    else:
        current = store.get(compare.key)
        kvs = [] if current is None else [current]
    if not kvs:
        return compare.target != _VALUE and _compare(compare, KeyValue(compare.key))
    return all(_compare(compare, kv) for kv in kvs)


def _compare(compare: Compare, kv: KeyValue) -> bool:
    if compare.target == _VALUE:
        is_less, is_equal = kv.value < compare.value, kv.value == compare.value
    else:
        number = _number(compare.target, kv)
        # As in etcd an unknown target counts as equal, and below an unknown relation holds.
        wanted = number if compare.target > _LEASE else compare.number
        is_less, is_equal = number < wanted, number == wanted
    if compare.result == _EQUAL:
        return is_equal
    if compare.result == _GREATER:
        return not is_less and not is_equal
    if compare.result == _LESS:
        return is_less
    return not is_equal if compare.result == _NOT_EQUAL else True


def _number(target: int, kv: KeyValue) -> int:
    if target == _VERSION:
        return kv.version
    if target == _CREATE:
        return kv.create_revision
    return kv.lease if target == _LEASE else kv.mod_revision
