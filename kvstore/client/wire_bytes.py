"""Answers as the bytes of their wire messages, for programs that hand them on."""

from kvstore.client.types import (
    Answer,
    DeleteResult,
    Header,
    KeyValue,
    OpResult,
    PutResult,
    RangeResult,
    TxnResult,
    WatchBatch,
)
from kvstore.pb import kv_pb2, rpc_pb2


def _header(header: Header) -> rpc_pb2.ResponseHeader:
    return rpc_pb2.ResponseHeader(
        cluster_id=header.cluster_id,
        member_id=header.member_id,
        revision=header.revision,
        raft_term=header.raft_term,
    )


def _pair(kv: KeyValue | None) -> kv_pb2.KeyValue | None:
    if kv is None:
        return None
    return kv_pb2.KeyValue(
        key=kv.key,
        value=kv.value,
        create_revision=kv.create_revision,
        mod_revision=kv.mod_revision,
        version=kv.version,
        lease=kv.lease,
    )


def _pairs(kvs: tuple[KeyValue, ...]) -> list[kv_pb2.KeyValue]:
    return [found for found in map(_pair, kvs) if found is not None]


def _range(result: RangeResult) -> rpc_pb2.RangeResponse:
    return rpc_pb2.RangeResponse(
        header=_header(result.header),
        kvs=_pairs(result.kvs),
        more=result.more,
        count=result.count,
    )


def _put(result: PutResult) -> rpc_pb2.PutResponse:
    return rpc_pb2.PutResponse(header=_header(result.header), prev_kv=_pair(result.prev_kv))


def _delete(result: DeleteResult) -> rpc_pb2.DeleteRangeResponse:
    return rpc_pb2.DeleteRangeResponse(
        header=_header(result.header), deleted=result.deleted, prev_kvs=_pairs(result.prev_kvs)
    )


def _txn(result: TxnResult) -> rpc_pb2.TxnResponse:
    return rpc_pb2.TxnResponse(
        header=_header(result.header),
        succeeded=result.succeeded,
        responses=[_operation(one) for one in result.responses],
    )


def _operation(result: OpResult) -> rpc_pb2.ResponseOp:
    match result:
        case RangeResult():
            return rpc_pb2.ResponseOp(response_range=_range(result))
        case PutResult():
            return rpc_pb2.ResponseOp(response_put=_put(result))
        case DeleteResult():
            return rpc_pb2.ResponseOp(response_delete_range=_delete(result))
        case TxnResult():
            return rpc_pb2.ResponseOp(response_txn=_txn(result))


def _watch(batch: WatchBatch) -> rpc_pb2.WatchResponse:
    events = [
        kv_pb2.Event(
            type=kv_pb2.Event.DELETE if one.type == "DELETE" else kv_pb2.Event.PUT,
            kv=_pair(one.kv),
            prev_kv=_pair(one.prev_kv),
        )
        for one in batch.events
    ]
    return rpc_pb2.WatchResponse(header=_header(batch.header), events=events)


def wire_bytes(answer: Answer) -> bytes:
    """The message `answer` came in; of answers that are not about keys only the header."""
    match answer:
        case RangeResult():
            return _range(answer).SerializeToString()
        case PutResult():
            return _put(answer).SerializeToString()
        case DeleteResult():
            return _delete(answer).SerializeToString()
        case TxnResult():
            return _txn(answer).SerializeToString()
        case WatchBatch():
            return _watch(answer).SerializeToString()
        case _:
            # Field 1 of every answer is its header.
            return rpc_pb2.PutResponse(header=_header(answer.header)).SerializeToString()
