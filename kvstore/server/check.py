"""etcd's rules for requests, checked before anything is proposed. Pure.

Order and texts are etcd's (server/etcdserver/api/v3rpc/key.go, read as the specification): a client that relies on
which of two mistakes is told first gets the same answer.
"""

from collections.abc import Iterable

from kvstore.mvcc.ranges import in_range
from kvstore.pb import rpc_pb2 as pb
from kvstore.wire.engine import INVALID_ARGUMENT, WireError

EMPTY_KEY = "etcdserver: key is not provided"
KEY_NOT_FOUND = "etcdserver: key not found"
VALUE_PROVIDED = "etcdserver: value is provided"
LEASE_PROVIDED = "etcdserver: lease is provided"
TOO_MANY_OPS = "etcdserver: too many operations in txn request"
DUPLICATE_KEY = "etcdserver: duplicate key given in txn request"
INVALID_SORT = "etcdserver: invalid sort option"

_ANY = frozenset({0, 1, 2, 3, 4})


def _refuse(text: str) -> WireError:
    return WireError(INVALID_ARGUMENT, text)


def check_range(request: pb.RangeRequest) -> None:
    """A key, and sort options that exist."""
    if not request.key:
        raise _refuse(EMPTY_KEY)
    if request.sort_order not in (0, 1, 2) or request.sort_target not in _ANY:
        raise _refuse(INVALID_SORT)


def check_put(request: pb.PutRequest) -> None:
    """A key; no value or lease that is to be ignored."""
    if not request.key:
        raise _refuse(EMPTY_KEY)
    if request.ignore_value and request.value:
        raise _refuse(VALUE_PROVIDED)
    if request.ignore_lease and request.lease:
        raise _refuse(LEASE_PROVIDED)


def check_delete(request: pb.DeleteRangeRequest) -> None:
    """A key."""
    if not request.key:
        raise _refuse(EMPTY_KEY)


def check_txn(request: pb.TxnRequest, max_ops: int) -> None:
    """Sizes, every operation in it, and no key written twice."""
    _check_txn(request, max_ops)
    _check_overlaps(request.success)
    _check_overlaps(request.failure)


def _check_txn(request: pb.TxnRequest, max_ops: int) -> None:
    count = max(len(request.compare), len(request.success), len(request.failure))
    if count > max_ops:
        raise _refuse(TOO_MANY_OPS)
    for compare in request.compare:
        if not compare.key:
            raise _refuse(EMPTY_KEY)
    for branch in (request.success, request.failure):
        for op in branch:
            _check_op(op, max_ops - count)


def _check_op(op: pb.RequestOp, max_ops: int) -> None:
    kind = op.WhichOneof("request")
    if kind == "request_range":
        check_range(op.request_range)
    elif kind == "request_put":
        check_put(op.request_put)
    elif kind == "request_delete_range":
        check_delete(op.request_delete_range)
    elif kind == "request_txn":
        _check_txn(op.request_txn, max_ops)
    else:
        raise _refuse(KEY_NOT_FOUND)


_Deletes = list[tuple[bytes, bytes]]


def _check_overlaps(ops: Iterable[pb.RequestOp]) -> tuple[set[bytes], _Deletes]:
    """Refuse a key that one path through `ops` puts twice, or puts and deletes."""
    listed = list(ops)
    deletes: _Deletes = [
        (op.request_delete_range.key, op.request_delete_range.range_end)
        for op in listed
        if op.WhichOneof("request") == "request_delete_range"
    ]
    puts: set[bytes] = set()
    for op in listed:
        if op.WhichOneof("request") != "request_txn":
            continue
        then_puts, then_deletes = _check_overlaps(op.request_txn.success)
        else_puts, else_deletes = _check_overlaps(op.request_txn.failure)
        # The two branches exclude each other, so they may share keys.
        for key in then_puts | else_puts:
            if key in puts or _is_deleted(key, deletes):
                raise _refuse(DUPLICATE_KEY)
        puts |= then_puts | else_puts
        deletes += then_deletes + else_deletes
    for op in listed:
        if op.WhichOneof("request") == "request_put":
            key = op.request_put.key
            if key in puts or _is_deleted(key, deletes):
                raise _refuse(DUPLICATE_KEY)
            puts.add(key)
    return puts, deletes


def _is_deleted(key: bytes, deletes: _Deletes) -> bool:
    # Compat: etcd takes the end b"\0" ("from this key on") for an empty range here, and so lets such a delete stand
    # beside puts; they take effect in the order in which they are written.
    return any(
        range_end != b"\0" and in_range(key, start, range_end) for start, range_end in deletes
    )
