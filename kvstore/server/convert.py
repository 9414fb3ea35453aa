"""Protobuf to commands and replies to protobuf; nothing else turns one into the other.

Enum numbers are etcd's on both sides, so they pass as they are.
"""

from kvstore.machine.commands import Compare, DeleteRange, Op, Put, Range, Txn
from kvstore.machine.outcome import (
    DeleteRangeReply,
    KeyValue,
    OpReply,
    PutReply,
    RangeReply,
    TxnReply,
)
from kvstore.pb import kv_pb2
from kvstore.pb import rpc_pb2 as pb
from kvstore.server.header import varint, with_length
from kvstore.service.watch.spec import WatchSpec

_VALUE = 3
_NUMBER_FIELDS = {0: "version", 1: "create_revision", 2: "mod_revision", 4: "lease"}


def range_from_pb(request: pb.RangeRequest) -> Range:
    """RangeRequest."""
    return Range(
        key=request.key,
        range_end=request.range_end,
        limit=request.limit,
        revision=request.revision,
        sort_order=int(request.sort_order),
        sort_target=int(request.sort_target),
        keys_only=request.keys_only,
        count_only=request.count_only,
        min_mod_revision=request.min_mod_revision,
        max_mod_revision=request.max_mod_revision,
        min_create_revision=request.min_create_revision,
        max_create_revision=request.max_create_revision,
    )


def put_from_pb(request: pb.PutRequest) -> Put:
    """PutRequest."""
    return Put(
        request.key,
        request.value,
        request.lease,
        request.prev_kv,
        request.ignore_value,
        request.ignore_lease,
    )


def delete_from_pb(request: pb.DeleteRangeRequest) -> DeleteRange:
    """DeleteRangeRequest."""
    return DeleteRange(request.key, request.range_end, request.prev_kv)


def compare_from_pb(compare: pb.Compare) -> Compare:
    """Compare; an unset or foreign union field counts as zero, as in etcd."""
    target = int(compare.target)
    number, value = 0, b""
    if target == _VALUE:
        value = compare.value
    else:
        number = int(getattr(compare, _NUMBER_FIELDS.get(target, "version")))
    return Compare(target, int(compare.result), compare.key, compare.range_end, number, value)


def txn_from_pb(request: pb.TxnRequest) -> Txn:
    """TxnRequest, nested ones too."""
    return Txn(
        tuple(compare_from_pb(compare) for compare in request.compare),
        tuple(op_from_pb(op) for op in request.success),
        tuple(op_from_pb(op) for op in request.failure),
    )


def op_from_pb(op: pb.RequestOp) -> Op:
    """One operation of a transaction."""
    kind = op.WhichOneof("request")
    if kind == "request_range":
        return range_from_pb(op.request_range)
    if kind == "request_put":
        return put_from_pb(op.request_put)
    if kind == "request_delete_range":
        return delete_from_pb(op.request_delete_range)
    return txn_from_pb(op.request_txn)


def is_serializable(request: pb.TxnRequest) -> bool:
    """Whether all reads of a read-only transaction are content with local state."""
    ops = [*request.success, *request.failure]
    return all(
        op.request_range.serializable
        if op.WhichOneof("request") == "request_range"
        else op.WhichOneof("request") == "request_txn" and is_serializable(op.request_txn)
        for op in ops
    )


def key_value_to_pb(kv: KeyValue) -> kv_pb2.KeyValue:
    """mvccpb.KeyValue."""
    return kv_pb2.KeyValue(
        key=kv.key,
        create_revision=kv.create_revision,
        mod_revision=kv.mod_revision,
        version=kv.version,
        value=kv.value,
        lease=kv.lease,
    )


def range_to_pb(reply: RangeReply) -> pb.RangeResponse:
    """RangeResponse without header."""
    return pb.RangeResponse(
        kvs=[key_value_to_pb(kv) for kv in reply.kvs], more=reply.more, count=reply.count
    )


def put_to_pb(reply: PutReply) -> pb.PutResponse:
    """PutResponse without header."""
    if reply.prev_kv is None:
        return pb.PutResponse()
    return pb.PutResponse(prev_kv=key_value_to_pb(reply.prev_kv))


def delete_to_pb(reply: DeleteRangeReply) -> pb.DeleteRangeResponse:
    """DeleteRangeResponse without header."""
    return pb.DeleteRangeResponse(
        deleted=reply.deleted, prev_kvs=[key_value_to_pb(kv) for kv in reply.prev_kvs]
    )


def _has_changed(part: OpReply) -> bool:
    if isinstance(part, TxnReply):
        return any(_has_changed(step) for step in part.responses)
    return isinstance(part, PutReply) or (isinstance(part, DeleteRangeReply) and part.deleted > 0)


def encode_txn(reply: TxnReply, revision: int) -> bytes:
    """TxnResponse without its own header; the parts carry in theirs the revision they saw.

    Compat: as in etcd, what comes before the first change still has the revision before the transaction. Puts, which
    may be many, are encoded without building messages.
    """
    current = revision - 1 if _has_changed(reply) else revision
    parts = [b"\x10\x01"] if reply.succeeded else []
    put_done = b""
    for part in reply.responses:
        if isinstance(part, PutReply) and part.prev_kv is None:
            current = revision
            if not put_done:
                header = with_length(b"\x0a", b"\x18" + varint(revision))
                put_done = with_length(b"\x1a", with_length(b"\x12", header))
            parts.append(put_done)
            continue
        if not isinstance(part, TxnReply) and _has_changed(part):
            current = revision
        response = pb.TxnResponse()
        current = _add_op_reply(response, part, current, revision)
        parts.append(response.SerializeToString())
    return b"".join(parts)


def _txn_to_pb(reply: TxnReply, current: int, final: int) -> tuple[pb.TxnResponse, int]:
    """The response, and the revision that the next part sees."""
    response = pb.TxnResponse(succeeded=reply.succeeded)
    for part in reply.responses:
        if _has_changed(part) and not isinstance(part, TxnReply):
            current = final
        current = _add_op_reply(response, part, current, final)
    return response, current


def _add_op_reply(response: pb.TxnResponse, part: OpReply, current: int, final: int) -> int:
    header = pb.ResponseHeader(revision=current)
    added = response.responses.add()
    if isinstance(part, PutReply):
        added.response_put.CopyFrom(put_to_pb(part))
        added.response_put.header.CopyFrom(header)
    elif isinstance(part, DeleteRangeReply):
        added.response_delete_range.CopyFrom(delete_to_pb(part))
        added.response_delete_range.header.CopyFrom(header)
    elif isinstance(part, RangeReply):
        added.response_range.CopyFrom(range_to_pb(part))
        added.response_range.header.CopyFrom(header)
    else:
        nested, current = _txn_to_pb(part, current, final)
        # Compat: a nested transaction's own header is there, and empty.
        nested.header.SetInParent()
        added.response_txn.CopyFrom(nested)
    return current


def watch_from_pb(request: pb.WatchCreateRequest) -> WatchSpec:
    """WatchCreateRequest. An empty key means from the smallest on, as in etcd."""
    filters = set(request.filters)
    return WatchSpec(
        key=request.key or b"\0",
        range_end=request.range_end,
        start_revision=request.start_revision,
        watch_id=request.watch_id,
        prev_kv=request.prev_kv,
        progress_notify=request.progress_notify,
        fragment=request.fragment,
        no_put=pb.WatchCreateRequest.NOPUT in filters,
        no_delete=pb.WatchCreateRequest.NODELETE in filters,
    )
