"""`Keys` of locks and elections: calls of the member's own KV and Lease handlers, with the caller's context.

So whatever holds for a client's own calls - permissions, sizes, quota, leader - holds here, and is written once.
Compat: a refusal reaches the caller with its text but as Unknown, for etcd's services lose the code on the way.
"""

from kvstore.machine.outcome import KeyValue
from kvstore.mvcc.ranges import prefix_end
from kvstore.pb import kv_pb2
from kvstore.pb import rpc_pb2 as pb
from kvstore.service.recipes import Entered, Found
from kvstore.wire.engine import UNKNOWN, CallContext, Handlers, WireError


class HandlerKeys:
    """The store as the caller of one RPC may use it."""

    def __init__(self, handlers: Handlers, context: CallContext) -> None:
        self._handlers = handlers
        self._context = context

    async def grant(self, ttl: int) -> int:
        """A new lease's id."""
        request = pb.LeaseGrantRequest(TTL=ttl)
        data = await self._call("Lease/LeaseGrant", request.SerializeToString())
        return pb.LeaseGrantResponse.FromString(data).ID

    async def enter(
        self, key: bytes, value: bytes, lease: int, *, oldest_of: bytes | None = None
    ) -> Entered:
        """Create `key` unless it exists."""
        request = pb.TxnRequest(
            compare=[_created_at(key, 0)],
            success=[pb.RequestOp(request_put=pb.PutRequest(key=key, value=value, lease=lease))],
            failure=[pb.RequestOp(request_range=pb.RangeRequest(key=key))],
        )
        if oldest_of is not None:
            look = pb.RequestOp(request_range=_oldest(oldest_of))
            request.success.append(look)
            request.failure.append(look)
        response = await self._txn(request)
        existing = None
        if not response.succeeded:
            existing = _first(response.responses[0].response_range)
        oldest = None
        if oldest_of is not None:
            oldest = _first(response.responses[1].response_range)
        return Entered(response.header.revision, existing, oldest)

    async def get(self, key: bytes) -> Found:
        """One key."""
        return await self._range(pb.RangeRequest(key=key))

    async def oldest(self, prefix: bytes) -> Found:
        """The key under `prefix` that was created first."""
        return await self._range(_oldest(prefix))

    async def newest_until(self, prefix: bytes, revision: int) -> Found:
        """The key under `prefix` that was created last, of those created up to `revision`."""
        request = pb.RangeRequest(
            key=prefix,
            range_end=prefix_end(prefix),
            limit=1,
            sort_order=pb.RangeRequest.DESCEND,
            sort_target=pb.RangeRequest.CREATE,
            max_create_revision=revision,
        )
        return await self._range(request)

    async def put_if_created_at(
        self, key: bytes, create_revision: int, value: bytes, lease: int
    ) -> int | None:
        """Write an existing key; the store's revision, or None if the key is gone or another."""
        put = pb.PutRequest(key=key, value=value, lease=lease)
        request = pb.TxnRequest(
            compare=[_created_at(key, create_revision)], success=[pb.RequestOp(request_put=put)]
        )
        response = await self._txn(request)
        return response.header.revision if response.succeeded else None

    async def delete_if_created_at(self, key: bytes, create_revision: int) -> int:
        """Delete a key if it still is the one meant; the store's revision."""
        delete = pb.DeleteRangeRequest(key=key)
        request = pb.TxnRequest(
            compare=[_created_at(key, create_revision)],
            success=[pb.RequestOp(request_delete_range=delete)],
        )
        return (await self._txn(request)).header.revision

    async def delete(self, key: bytes) -> int:
        """Delete a key; the store's revision."""
        request = pb.DeleteRangeRequest(key=key)
        data = await self._call("KV/DeleteRange", request.SerializeToString())
        return pb.DeleteRangeResponse.FromString(data).header.revision

    async def _txn(self, request: pb.TxnRequest) -> pb.TxnResponse:
        data = await self._call("KV/Txn", request.SerializeToString())
        return pb.TxnResponse.FromString(data)

    async def _range(self, request: pb.RangeRequest) -> Found:
        data = await self._call("KV/Range", request.SerializeToString())
        response = pb.RangeResponse.FromString(data)
        return Found(response.header.revision, _first(response))

    async def _call(self, method: str, data: bytes) -> bytes:
        try:
            return await self._handlers.unary[f"/etcdserverpb.{method}"](data, self._context)
        except WireError as error:
            raise WireError(UNKNOWN, error.message) from error


def _created_at(key: bytes, revision: int) -> pb.Compare:
    return pb.Compare(
        result=pb.Compare.EQUAL, target=pb.Compare.CREATE, key=key, create_revision=revision
    )


def _oldest(prefix: bytes) -> pb.RangeRequest:
    return pb.RangeRequest(
        key=prefix,
        range_end=prefix_end(prefix),
        limit=1,
        sort_order=pb.RangeRequest.ASCEND,
        sort_target=pb.RangeRequest.CREATE,
    )


def _first(response: pb.RangeResponse) -> KeyValue | None:
    return key_value_from_pb(response.kvs[0]) if response.kvs else None


def key_value_from_pb(kv: kv_pb2.KeyValue) -> KeyValue:
    """mvccpb.KeyValue."""
    return KeyValue(kv.key, kv.value, kv.create_revision, kv.mod_revision, kv.version, kv.lease)
