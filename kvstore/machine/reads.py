"""Range reads: from what the store selects to a reply, with etcd's order of steps.

Filters, sort, limit, in this order, and `count` before all of them. One oddity is kept: with a sort target other than
the key but no sort order, etcd cuts to limit + 1 keys first and sorts what is left, ascending.
"""

from collections.abc import Callable

from kvstore.machine.commands import Range
from kvstore.machine.outcome import RangeReply
from kvstore.mvcc.errors import StoreError
from kvstore.mvcc.kv import KeyValue, without_value
from kvstore.mvcc.store import Store

_NONE, _ASCEND, _DESCEND = 0, 1, 2
_TARGET_KEY = 0

_SORT_KEYS: dict[int, Callable[[KeyValue], bytes | int]] = {
    _TARGET_KEY: lambda kv: kv.key,
    1: lambda kv: kv.version,
    2: lambda kv: kv.create_revision,
    3: lambda kv: kv.mod_revision,
    4: lambda kv: kv.value,
}


def read_range(store: Store, cmd: Range) -> RangeReply | StoreError:
    """The reply to `cmd`, or why its revision cannot be read."""
    if cmd.revision > 0:
        refusal = store.check_revision(cmd.revision)
        if refusal is not None:
            return refusal
    return read_checked(store, cmd)


def read_checked(store: Store, cmd: Range) -> RangeReply:
    """The reply to `cmd`, whose revision was checked."""
    if cmd.revision <= 0:
        if cmd.count_only:
            return RangeReply((), store.first(cmd.key, cmd.range_end, 0)[1])
        if cmd.limit > 0 and _is_plain(cmd):
            # The usual page of a list: what lies behind it is counted, not read.
            kvs, count = store.first(cmd.key, cmd.range_end, cmd.limit)
            return RangeReply(tuple(kvs), count, count > cmd.limit)
    kvs = store.select(cmd.key, cmd.range_end, cmd.revision)
    count = len(kvs)
    if cmd.count_only:
        return RangeReply((), count)
    has_filter = (
        cmd.min_mod_revision
        or cmd.max_mod_revision
        or cmd.min_create_revision
        or cmd.max_create_revision
    )
    if cmd.limit > 0 and not has_filter and cmd.sort_order == _NONE:
        kvs = kvs[: cmd.limit + 1]
    if has_filter:
        kvs = [kv for kv in kvs if _passes(cmd, kv)]
    if cmd.sort_order != _NONE or cmd.sort_target != _TARGET_KEY:
        kvs = _sorted(kvs, cmd.sort_target, cmd.sort_order)
    more = 0 < cmd.limit < len(kvs)
    if more:
        kvs = kvs[: cmd.limit]
    if cmd.keys_only:
        kvs = [without_value(kv) for kv in kvs]
    return RangeReply(tuple(kvs), count, more)


def _is_plain(cmd: Range) -> bool:
    """Whether the first keys in key order, as they are, are the answer."""
    return not (
        cmd.sort_order == _DESCEND
        or cmd.sort_target
        or cmd.keys_only
        or cmd.min_mod_revision
        or cmd.max_mod_revision
        or cmd.min_create_revision
        or cmd.max_create_revision
    )


def _passes(cmd: Range, kv: KeyValue) -> bool:
    if cmd.max_mod_revision and kv.mod_revision > cmd.max_mod_revision:
        return False
    if cmd.min_mod_revision and kv.mod_revision < cmd.min_mod_revision:
        return False
    if cmd.max_create_revision and kv.create_revision > cmd.max_create_revision:
        return False
    return not (cmd.min_create_revision and kv.create_revision < cmd.min_create_revision)


def _sorted(kvs: list[KeyValue], target: int, order: int) -> list[KeyValue]:
    """Equal ones stay in key order, also when descending."""
    if target == _TARGET_KEY and order == _ASCEND:
        return kvs
    return sorted(kvs, key=_SORT_KEYS.get(target, _SORT_KEYS[0]), reverse=order == _DESCEND)
