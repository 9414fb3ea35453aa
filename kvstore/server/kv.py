"""KV servicer: each method is check, convert, call, convert."""

from kvstore.machine.commands import Compact
from kvstore.pb import rpc_pb2 as pb
from kvstore.server.check import check_delete, check_put, check_range, check_txn
from kvstore.server.convert import (
    delete_from_pb,
    delete_to_pb,
    encode_txn,
    is_serializable,
    put_from_pb,
    put_to_pb,
    range_from_pb,
    txn_from_pb,
)
from kvstore.server.encode import Encoder
from kvstore.server.header import Header
from kvstore.service.kv import KVService
from kvstore.wire.engine import CallContext, UnaryHandler


class KVServicer:
    """etcdserverpb.KV."""

    def __init__(
        self, service: KVService, header: Header, encoder: Encoder, *, max_txn_ops: int
    ) -> None:
        self._service = service
        self._header = header
        self._encoder = encoder
        self._max_txn_ops = max_txn_ops

    def unary(self) -> dict[str, UnaryHandler]:
        """Handlers by method path."""
        return {
            "/etcdserverpb.KV/Range": self.range,
            "/etcdserverpb.KV/Put": self.put,
            "/etcdserverpb.KV/DeleteRange": self.delete_range,
            "/etcdserverpb.KV/Txn": self.txn,
            "/etcdserverpb.KV/Compact": self.compact,
        }

    async def range(self, data: bytes, context: CallContext) -> bytes:
        """RangeRequest -> RangeResponse."""
        request = pb.RangeRequest.FromString(data)
        check_range(request)
        answer = await self._service.range(
            range_from_pb(request), context, serializable=request.serializable
        )
        header = self._header.encoded(answer.revision)
        return self._encoder.range_response(header, answer.reply)

    async def put(self, data: bytes, context: CallContext) -> bytes:
        """PutRequest -> PutResponse."""
        request = pb.PutRequest.FromString(data)
        check_put(request)
        answer = await self._service.put(put_from_pb(request), context)
        header = self._header.encoded(answer.revision)
        if answer.reply.prev_kv is None:
            return header
        return header + put_to_pb(answer.reply).SerializeToString()

    async def delete_range(self, data: bytes, context: CallContext) -> bytes:
        """DeleteRangeRequest -> DeleteRangeResponse."""
        request = pb.DeleteRangeRequest.FromString(data)
        check_delete(request)
        answer = await self._service.delete_range(delete_from_pb(request), context)
        header = self._header.encoded(answer.revision)
        return header + delete_to_pb(answer.reply).SerializeToString()

    async def txn(self, data: bytes, context: CallContext) -> bytes:
        """TxnRequest -> TxnResponse."""
        request = pb.TxnRequest.FromString(data)
        check_txn(request, self._max_txn_ops)
        answer = await self._service.txn(
            txn_from_pb(request), context, serializable=is_serializable(request)
        )
        header = self._header.encoded(answer.revision)
        return header + encode_txn(answer.reply, answer.revision)

    async def compact(self, data: bytes, context: CallContext) -> bytes:
        """CompactionRequest -> CompactionResponse."""
        request = pb.CompactionRequest.FromString(data)
        revision = await self._service.compact(Compact(request.revision, request.physical), context)
        return self._header.encoded(revision)
