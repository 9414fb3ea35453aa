"""The client: `Client(endpoints)` and its requests, each with fail-over and a deadline.

    async with Client(["http://127.0.0.1:2379"]) as client:
        await client.put(b"key", b"value")

All requests raise the errors of `kvstore.client.errors` and nothing else (ValueError for arguments that make no
request). Which errors lead to another try is told in `failover.py`. One client serves any number of tasks of one
event loop; it opens connections with the first request.
"""

from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from typing import Any, Self, overload

from kvstore.client import convert, environment
from kvstore.client.election import Election
from kvstore.client.endpoints import EOF, Connection
from kvstore.client.errors import (
    LeaseNotFound,
    Unavailable,
)
from kvstore.client.lease import LeaseKeeper
from kvstore.client.lock import Lock
from kvstore.client.maintenance import MemberRequests
from kvstore.client.ops import (
    compare_create,
    compare_lease,
    compare_mod,
    compare_value,
    compare_version,
    key_range,
    op_delete,
    op_get,
    op_put,
    op_txn,
    prefix_end,
)
from kvstore.client.server_locks import LockRequests
from kvstore.client.txn import Txn
from kvstore.client.types import (
    Answer,
    ClientTls,
    Compare,
    DeleteResult,
    Key,
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
from kvstore.client.users import AuthRequests
from kvstore.client.watch import Watcher
from kvstore.client.watch_cursor import watch_request
from kvstore.client.watch_stream import WatchStream
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


class Client(MemberRequests, AuthRequests, LockRequests):
    """A client of one cluster.

    Args:
        endpoints: URLs of members, see `endpoints.py`, or one text with commas; the first that works is kept until
            it fails.
        tls: files for TLS endpoints.
        user, password: who to be where authentication is on; see `tokens.py`.
        timeout_seconds: deadline of each request with all its tries.
        require_leader: a member that knows no leader refuses at once instead of making requests wait.
        spread_requests: ask the members in turn instead of the one that answered last.
        keepalive_seconds, keepalive_timeout_seconds: how often a silent connection is checked, and for how long.
        clock, rng: for tests.
    """

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, **options: Any) -> Self:
        """A client of the cluster that the surroundings name, see `environment.py`; `options` as of the class.

        Names etcdctl's variables, or the cluster that `quorate up` runs in this folder or above.
        """
        return cls(**environment.options(environ, options))

    # -- keys

    async def get(
        self,
        key: Key,
        *,
        range_end: Key = b"",
        prefix: bool = False,
        limit: int = 0,
        revision: int = 0,
        keys_only: bool = False,
        count_only: bool = False,
        serializable: bool = False,
        sort_order: SortOrder = SortOrder.NONE,
        sort_target: SortTarget = SortTarget.KEY,
        timeout_seconds: float | None = None,
    ) -> RangeResult:
        """One key, `[key, range_end)`, or with `prefix` all keys that begin with `key`.

        `limit` 0 is all, `revision` 0 the newest.

        Linearizable unless `serializable`, which asks one member only and may be old. Compacted, FutureRevision.
        """
        op = OpGet(
            *key_range(key, range_end, prefix),
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
        key: Key,
        value: Key,
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
        key: Key,
        *,
        range_end: Key = b"",
        prefix: bool = False,
        prev_kv: bool = False,
        timeout_seconds: float | None = None,
    ) -> DeleteResult:
        """Delete one key, `[key, range_end)`, or all that begin with it; nothing there is no error."""
        response = await self._call(
            "KV/DeleteRange",
            convert.delete_request(OpDelete(*key_range(key, range_end, prefix), prev_kv)),
            rpc_pb2.DeleteRangeResponse,
            timeout_seconds=timeout_seconds,
        )
        return convert.delete_result(response)

    @overload
    def txn(self) -> Txn: ...

    @overload
    def txn(
        self,
        compares: Sequence[Compare],
        success: Sequence[Op],
        failure: Sequence[Op] = (),
        *,
        timeout_seconds: float | None = None,
    ) -> Awaitable[TxnResult]: ...

    def txn(
        self,
        compares: Sequence[Compare] | None = None,
        success: Sequence[Op] = (),
        failure: Sequence[Op] = (),
        *,
        timeout_seconds: float | None = None,
    ) -> Txn | Awaitable[TxnResult]:
        """With no argument a builder, see `txn.py`. Else run `success` if all compares hold, or `failure`.

        Either branch is one revision. DuplicateKey, TooManyOperations.
        """
        if compares is None:
            return Txn(self)
        return self.commit(OpTxn(compares, success, failure), timeout_seconds=timeout_seconds)

    async def commit(
        self, op: OpTxn, *, is_repeatable: bool = False, timeout_seconds: float | None = None
    ) -> TxnResult:
        """Run a whole transaction; one that only reads is tried again like any read.

        So is one that `is_repeatable`: the caller says that to run it twice is as good as once.
        """
        response = await self._call(
            "KV/Txn",
            convert.txn_request(op),
            rpc_pb2.TxnResponse,
            is_idempotent=is_repeatable or _only_reads(op),
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
        key: Key,
        *,
        range_end: Key = b"",
        prefix: bool = False,
        start_revision: int = 0,
        prev_kv: bool = False,
        progress_notify: bool = False,
        without_puts: bool = False,
        without_deletes: bool = False,
        fragment: bool = False,
        give_up_seconds: float | None = None,
    ) -> Watcher:
        """Changes of a key, a range or with `prefix` of all keys that begin with it; see `watch.py`.

        From `start_revision` on (0: from now on), across losses of members.

        The stream opens with the first batch asked for, or on `async with`, which returns when it is confirmed.
        Close it with `aclose`. `fragment` lets the member send a big batch in pieces; they are put together here.
        `give_up_seconds` None: look for a member for ever.
        """
        request = watch_request(
            key,
            range_end=range_end,
            prefix=prefix,
            start_revision=start_revision,
            prev_kv=prev_kv,
            progress_notify=progress_notify,
            without_puts=without_puts,
            without_deletes=without_deletes,
            fragment=fragment,
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

    def watch_stream(self, *, buffer_batches: int = 128) -> WatchStream:
        """Many watches on one stream; see `watch_stream.py`. Open it with `async with`."""
        stream = WatchStream(
            self._failover,
            self.clock,
            buffer_batches=buffer_batches,
            on_close=self._watchers.discard,
        )
        self._watchers.add(stream)
        return stream

    async def request_progress(self) -> None:
        """Ask for a progress batch on every open watch; those up to date get one with no events."""
        for watcher in list(self._watchers):
            await watcher.request_progress()

    # -- leases, locks, elections

    def lease(self, ttl_seconds: int, *, lease_id: int = 0) -> LeaseKeeper:
        """A lease kept alive while `async with` is open; see `lease.py`."""
        return LeaseKeeper(self, ttl_seconds, lease_id=lease_id)

    def lock(self, name: Key, *, ttl_seconds: int = 60, lease: LeaseKeeper | None = None) -> Lock:
        """A lock held while `async with` is open; see `lock.py`."""
        return Lock(self, name, ttl_seconds=ttl_seconds, lease=lease)

    def election(
        self, name: Key, *, ttl_seconds: int = 60, lease: LeaseKeeper | None = None
    ) -> Election:
        """An election to stand in or to follow; see `election.py`."""
        return Election(self, name, ttl_seconds=ttl_seconds, lease=lease)

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
                _once(request), timeout=seconds, metadata=self._metadata()
            )
            try:
                return await call.read()
            finally:
                call.cancel()

        response = await self._failover.run(
            send,
            timeout_seconds=self._timeout_seconds if timeout_seconds is None else timeout_seconds,
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


def _only_reads(op: Op) -> bool:
    if isinstance(op, OpTxn):
        return all(_only_reads(one) for one in (*op.success, *op.failure))
    return isinstance(op, OpGet)


async def _once(request: Any) -> AsyncIterator[Any]:
    yield request
