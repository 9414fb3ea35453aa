"""The client: `Client(endpoints)` and its requests, each with fail-over and a deadline.

    async with Client(["http://127.0.0.1:2379"]) as client:
        await client.put(b"key", b"value")

All requests raise the errors of `kvstore.client.errors` and nothing else (ValueError for arguments that make no
request). Which errors lead to another try is told in `failover.py`. One client serves any number of tasks of one
event loop; it opens connections with the first request.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Any

from kvstore.client import convert
from kvstore.client.endpoints import EOF, Connection
from kvstore.client.errors import (
    LeaseNotFound,
    Unavailable,
)
from kvstore.client.maintenance import MemberRequests
from kvstore.client.ops import (
    compare_create,
    compare_lease,
    compare_mod,
    compare_value,
    compare_version,
    op_delete,
    op_get,
    op_put,
    op_txn,
    prefix_end,
)
from kvstore.client.types import (
    Answer,
    ClientTls,
    Compare,
    DeleteResult,
    LeaseAlive,
    LeaseGrant,
    LeaseIds,
    LeaseInfo,
    Op,
    OpDelete,
    OpGet,
    OpPut,
    OpTxn,
    PutResult,
    RangeResult,
    SortOrder,
    SortTarget,
    TxnResult,
)
from kvstore.client.watch import Watcher
from kvstore.pb import rpc_pb2

__all__ = [
    "Client",
    "ClientTls",
    "compare_create",
    "compare_lease",
    "compare_mod",
    "compare_value",
    "compare_version",
    "op_delete",
    "op_get",
    "op_put",
    "op_txn",
    "prefix_end",
]


class Client(MemberRequests):
    """A client of one cluster.

    Args:
        endpoints: URLs of members, see `endpoints.py`; the first that works is kept until it fails.
        tls: files for TLS endpoints.
        timeout_seconds: deadline of each request with all its tries.
        clock, rng: for tests.
    """

    # -- keys

    async def get(
        self,
        key: bytes,
        *,
        range_end: bytes = b"",
        limit: int = 0,
        revision: int = 0,
        keys_only: bool = False,
        count_only: bool = False,
        serializable: bool = False,
        sort_order: SortOrder = SortOrder.NONE,
        sort_target: SortTarget = SortTarget.KEY,
        timeout_seconds: float | None = None,
    ) -> RangeResult:
        """One key, or `[key, range_end)`; `limit` 0 is all, `revision` 0 the newest.

        Linearizable unless `serializable`, which asks one member only and may be old. Compacted, FutureRevision.
        """
        op = OpGet(
            key,
            range_end,
            limit,
            revision,
            keys_only,
            count_only,
            serializable,
            sort_order,
            sort_target,
        )
        return await self.range(op, timeout_seconds=timeout_seconds)

    async def range(self, op: OpGet, *, timeout_seconds: float | None = None) -> RangeResult:
        """As `get`, with all that a range can be asked for."""
        response = await self._call(
            "KV/Range",
            convert.range_request(op),
            rpc_pb2.RangeResponse,
            is_idempotent=True,
            timeout_seconds=timeout_seconds,
        )
        return convert.range_result(response)

    async def put(
        self,
        key: bytes,
        value: bytes,
        *,
        lease: int = 0,
        prev_kv: bool = False,
        ignore_value: bool = False,
        ignore_lease: bool = False,
        timeout_seconds: float | None = None,
    ) -> PutResult:
        """Set a key. LeaseNotFound, KeyNotFound (for the two ignores), NoSpace, RequestTooLarge."""
        op = OpPut(key, value, lease, prev_kv, ignore_value, ignore_lease)
        response = await self._call(
            "KV/Put",
            convert.put_request(op),
            rpc_pb2.PutResponse,
            timeout_seconds=timeout_seconds,
        )
        return convert.put_result(response)

    async def delete(
        self,
        key: bytes,
        *,
        range_end: bytes = b"",
        prev_kv: bool = False,
        timeout_seconds: float | None = None,
    ) -> DeleteResult:
        """Delete one key, or `[key, range_end)`; nothing there is no error."""
        response = await self._call(
            "KV/DeleteRange",
            convert.delete_request(OpDelete(key, range_end, prev_kv)),
            rpc_pb2.DeleteRangeResponse,
            timeout_seconds=timeout_seconds,
        )
        return convert.delete_result(response)

    async def txn(
        self,
        compares: Sequence[Compare],
        success: Sequence[Op],
        failure: Sequence[Op] = (),
        *,
        timeout_seconds: float | None = None,
    ) -> TxnResult:
        """Run `success` if all compares hold, else `failure`, as one revision. DuplicateKey, TooManyOperations.

        A transaction that only reads is tried again like any read.
        """
        only_reads = all(isinstance(op, OpGet) for op in (*success, *failure))
        response = await self._call(
            "KV/Txn",
            convert.txn_request(OpTxn(compares, success, failure)),
            rpc_pb2.TxnResponse,
            is_idempotent=only_reads,
            timeout_seconds=timeout_seconds,
        )
        return convert.txn_result(response)

    async def compact(self, revision: int, *, physical: bool = False) -> Answer:
        """Forget what was superseded before `revision`. Compacted, FutureRevision."""
        request = rpc_pb2.CompactionRequest(revision=revision, physical=physical)
        response = await self._call("KV/Compact", request, rpc_pb2.CompactionResponse)
        return Answer(convert.header(response.header))

    # -- watch

    def watch(
        self,
        key: bytes,
        *,
        range_end: bytes = b"",
        start_revision: int = 0,
        prev_kv: bool = False,
        progress_notify: bool = False,
        without_puts: bool = False,
        without_deletes: bool = False,
        give_up_seconds: float | None = None,
    ) -> Watcher:
        """Changes from `start_revision` on (0: from now on), across losses of members; see `watch.py`.

        The stream opens with the first batch asked for, or on `async with`, which returns when it is confirmed.
        Close it with `aclose`. `give_up_seconds` None: look for a member for ever.
        """
        filters = [rpc_pb2.WatchCreateRequest.NOPUT] if without_puts else []
        filters += [rpc_pb2.WatchCreateRequest.NODELETE] if without_deletes else []
        request = rpc_pb2.WatchCreateRequest(
            key=key,
            range_end=range_end,
            start_revision=start_revision,
            prev_kv=prev_kv,
            progress_notify=progress_notify,
            filters=filters,
        )
        watcher = Watcher(
            self._failover,
            request,
            self.clock,
            give_up_seconds=give_up_seconds,
            on_close=self._watchers.discard,
        )
        self._watchers.add(watcher)
        return watcher

    async def request_progress(self) -> None:
        """Ask for a progress batch on every open watch; those up to date get one with no events."""
        for watcher in list(self._watchers):
            await watcher.request_progress()

    # -- leases

    async def lease_grant(self, ttl_seconds: int, *, lease_id: int = 0) -> LeaseGrant:
        """A new lease; `lease_id` 0 lets the server choose. LeaseExists, LeaseTtlTooLarge."""
        request = rpc_pb2.LeaseGrantRequest(TTL=ttl_seconds, ID=lease_id)
        response = await self._call("Lease/LeaseGrant", request, rpc_pb2.LeaseGrantResponse)
        return LeaseGrant(convert.header(response.header), response.ID, response.TTL)

    async def lease_revoke(self, lease_id: int) -> Answer:
        """End a lease and delete its keys. LeaseNotFound."""
        request = rpc_pb2.LeaseRevokeRequest(ID=lease_id)
        response = await self._call("Lease/LeaseRevoke", request, rpc_pb2.LeaseRevokeResponse)
        return Answer(convert.header(response.header))

    async def lease_keep_alive(
        self, lease_id: int, *, timeout_seconds: float | None = None
    ) -> LeaseAlive:
        """Renew a lease once. LeaseNotFound. `lease.LeaseKeeper` does it for as long as you like."""
        request = rpc_pb2.LeaseKeepAliveRequest(ID=lease_id)

        async def send(connection: Connection, seconds: float) -> Any:
            call = connection.stream("Lease/LeaseKeepAlive", rpc_pb2.LeaseKeepAliveResponse)(
                _once(request), timeout=seconds
            )
            try:
                return await call.read()
            finally:
                call.cancel()

        response = await self._failover.run(
            send,
            timeout_seconds=timeout_seconds or self._timeout_seconds,
            is_idempotent=True,
        )
        if response is EOF:
            raise Unavailable("the member ended the keep-alive stream without an answer")
        if response.TTL <= 0:
            raise LeaseNotFound("etcdserver: requested lease not found")
        return LeaseAlive(convert.header(response.header), response.ID, response.TTL)

    async def lease_time_to_live(self, lease_id: int, *, with_keys: bool = False) -> LeaseInfo:
        """What is left of a lease; `ttl` -1 if there is none."""
        request = rpc_pb2.LeaseTimeToLiveRequest(ID=lease_id, keys=with_keys)
        response = await self._call(
            "Lease/LeaseTimeToLive", request, rpc_pb2.LeaseTimeToLiveResponse, is_idempotent=True
        )
        return LeaseInfo(
            convert.header(response.header),
            response.ID,
            response.TTL,
            response.grantedTTL,
            tuple(response.keys),
        )

    async def lease_list(self) -> LeaseIds:
        """All leases."""
        response = await self._call(
            "Lease/LeaseLeases",
            rpc_pb2.LeaseLeasesRequest(),
            rpc_pb2.LeaseLeasesResponse,
            is_idempotent=True,
        )
        return LeaseIds(
            convert.header(response.header), tuple(lease.ID for lease in response.leases)
        )


async def _once(request: Any) -> AsyncIterator[Any]:
    yield request
