"""Between the client's values and the wire's messages; pure functions, the only place that knows both."""

from collections.abc import Iterable

from kvstore.client.types import (
    Compare,
    DeleteResult,
    Event,
    Header,
    KeyValue,
    Member,
    Op,
    OpDelete,
    OpGet,
    OpPut,
    OpResult,
    OpTxn,
    PutResult,
    RangeResult,
    TxnResult,
    encoded,
)
from kvstore.pb import kv_pb2, rpc_pb2

_OPERATORS = {
    "=": rpc_pb2.Compare.EQUAL,
    "!=": rpc_pb2.Compare.NOT_EQUAL,
    "<": rpc_pb2.Compare.LESS,
    ">": rpc_pb2.Compare.GREATER,
}


def header(message: rpc_pb2.ResponseHeader) -> Header:
    """From the wire."""
    return Header(message.cluster_id, message.member_id, message.revision, message.raft_term)


def key_value(message: kv_pb2.KeyValue) -> KeyValue:
    """From the wire."""
    return KeyValue(
        message.key,
        message.value,
        message.create_revision,
        message.mod_revision,
        message.version,
        message.lease,
    )


def event(message: kv_pb2.Event) -> Event:
    """From the wire."""
    return Event(
        "DELETE" if message.type == kv_pb2.Event.DELETE else "PUT",
        key_value(message.kv),
        key_value(message.prev_kv) if message.HasField("prev_kv") else None,
    )


def member(message: rpc_pb2.Member) -> Member:
    """From the wire."""
    return Member(
        message.ID,
        message.name,
        tuple(message.peerURLs),
        tuple(message.clientURLs),
        message.isLearner,
    )


def range_result(message: rpc_pb2.RangeResponse) -> RangeResult:
    """From the wire."""
    return RangeResult(
        header(message.header),
        tuple(key_value(kv) for kv in message.kvs),
        message.count,
        message.more,
    )


def put_result(message: rpc_pb2.PutResponse) -> PutResult:
    """From the wire."""
    previous = key_value(message.prev_kv) if message.HasField("prev_kv") else None
    return PutResult(header(message.header), previous)


def delete_result(message: rpc_pb2.DeleteRangeResponse) -> DeleteResult:
    """From the wire."""
    return DeleteResult(
        header(message.header), message.deleted, tuple(key_value(kv) for kv in message.prev_kvs)
    )


def txn_result(message: rpc_pb2.TxnResponse) -> TxnResult:
    """From the wire."""
    return TxnResult(
        header(message.header),
        message.succeeded,
        tuple(_op_result(response) for response in message.responses),
    )


def _op_result(message: rpc_pb2.ResponseOp) -> OpResult:
    match message.WhichOneof("response"):
        case "response_put":
            return put_result(message.response_put)
        case "response_delete_range":
            return delete_result(message.response_delete_range)
        case "response_txn":
            return txn_result(message.response_txn)
        case _:
            return range_result(message.response_range)


def range_request(op: OpGet) -> rpc_pb2.RangeRequest:
    """To the wire."""
    return rpc_pb2.RangeRequest(
        key=encoded(op.key),
        range_end=encoded(op.range_end),
        limit=op.limit,
        revision=op.revision,
        sort_order=rpc_pb2.RangeRequest.SortOrder.Name(op.sort_order),
        sort_target=rpc_pb2.RangeRequest.SortTarget.Name(op.sort_target),
        serializable=op.serializable,
        keys_only=op.keys_only,
        count_only=op.count_only,
        min_mod_revision=op.min_mod_revision,
        max_mod_revision=op.max_mod_revision,
        min_create_revision=op.min_create_revision,
        max_create_revision=op.max_create_revision,
    )


def put_request(op: OpPut) -> rpc_pb2.PutRequest:
    """To the wire."""
    return rpc_pb2.PutRequest(
        key=encoded(op.key),
        value=encoded(op.value),
        lease=op.lease,
        prev_kv=op.prev_kv,
        ignore_value=op.ignore_value,
        ignore_lease=op.ignore_lease,
    )


def delete_request(op: OpDelete) -> rpc_pb2.DeleteRangeRequest:
    """To the wire."""
    return rpc_pb2.DeleteRangeRequest(
        key=encoded(op.key), range_end=encoded(op.range_end), prev_kv=op.prev_kv
    )


def txn_request(op: OpTxn) -> rpc_pb2.TxnRequest:
    """To the wire."""
    return rpc_pb2.TxnRequest(
        compare=[compare(condition) for condition in op.compares],
        success=_request_ops(op.success),
        failure=_request_ops(op.failure),
    )


def _request_ops(ops: Iterable[Op]) -> list[rpc_pb2.RequestOp]:
    return [_request_op(op) for op in ops]


def _request_op(op: Op) -> rpc_pb2.RequestOp:
    match op:
        case OpGet():
            return rpc_pb2.RequestOp(request_range=range_request(op))
        case OpPut():
            return rpc_pb2.RequestOp(request_put=put_request(op))
        case OpDelete():
            return rpc_pb2.RequestOp(request_delete_range=delete_request(op))
        case OpTxn():
            return rpc_pb2.RequestOp(request_txn=txn_request(op))


def compare(condition: Compare) -> rpc_pb2.Compare:
    """To the wire; ValueError for an unknown operator or target, or an operand of the wrong type."""
    if condition.operator not in _OPERATORS:
        raise ValueError(f"unknown operator {condition.operator!r}: expected =, !=, < or >")
    message = rpc_pb2.Compare(
        key=encoded(condition.key),
        result=_OPERATORS[condition.operator],
        range_end=encoded(condition.range_end),
    )
    operand = condition.operand
    if condition.target == "value":
        if isinstance(operand, int):
            raise ValueError("a value is compared with bytes")
        message.target, message.value = rpc_pb2.Compare.VALUE, encoded(operand)
        return message
    if not isinstance(operand, int):
        raise ValueError(f"{condition.target} is compared with a number")
    match condition.target:
        case "version":
            message.target, message.version = rpc_pb2.Compare.VERSION, operand
        case "create":
            message.target, message.create_revision = rpc_pb2.Compare.CREATE, operand
        case "mod":
            message.target, message.mod_revision = rpc_pb2.Compare.MOD, operand
        case "lease":
            message.target, message.lease = rpc_pb2.Compare.LEASE, operand
        case _:
            raise ValueError(f"unknown target {condition.target!r}")
    return message
