"""The blocking face of the client: the same requests, for programs without an event loop.

    with SyncClient(["http://127.0.0.1:2379"]) as client:
        client.put("key", "value")
        with client.lock("locks/nightly"):
            ...
        for batch in client.watch("key"):
            print(batch.events)

A thin layer: one asyncio `Client` runs on a loop in a thread of its own (`portal.py`), and each method here waits
for the one of the same name there; what it takes, returns and raises is told in `client.py`. Any number of threads
may share one client. It does not survive a fork: in the child every call raises ClientClosed, and so does a new client
there while this one is open in the parent (`forks.py`).
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, overload

from kvstore.base.clock import Clock
from kvstore.client import environment
from kvstore.client.blocking_parts import (
    Bridged,
    SyncElection,
    SyncLease,
    SyncLock,
    SyncWatcher,
    SyncWatchStream,
    blocking,
    iterate,
)
from kvstore.client.client import Client as AsyncClient
from kvstore.client.endpoints import KEEPALIVE_SECONDS, KEEPALIVE_TIMEOUT_SECONDS
from kvstore.client.portal import Portal
from kvstore.client.txn import Txn
from kvstore.client.types import (
    ClientTls,
    Compare,
    Key,
    Op,
    OpTxn,
    TxnResult,
)
from kvstore.client.watch import Watcher
from kvstore.client.watch_stream import WatchStream


class SyncTxn:
    """A transaction under construction; see `txn.py`."""

    def __init__(self, client: "SyncClient", txn: Txn) -> None:
        self._client = client
        self._txn = txn

    def when(self, *conditions: Compare) -> "SyncTxn":
        """Conditions that must all hold."""
        return SyncTxn(self._client, self._txn.when(*conditions))

    def then(self, *ops: Op | Txn) -> "SyncTxn":
        """What to do if they hold."""
        return SyncTxn(self._client, self._txn.then(*ops))

    def otherwise(self, *ops: Op | Txn) -> "SyncTxn":
        """What to do if they do not."""
        return SyncTxn(self._client, self._txn.otherwise(*ops))

    @property
    def op(self) -> OpTxn:
        """The transaction as an operation."""
        return self._txn.op

    def commit(self, *, timeout_seconds: float | None = None) -> TxnResult:
        """Send it."""
        return self._client.commit(self._txn.op, timeout_seconds=timeout_seconds)


class SyncClient(Bridged):
    """A client of one cluster; arguments as those of `client.Client`."""

    _inner: AsyncClient

    def __init__(
        self,
        endpoints: Sequence[str],
        *,
        tls: ClientTls | None = None,
        user: str = "",
        password: str = "",
        timeout_seconds: float = 5.0,
        require_leader: bool = False,
        spread_requests: bool = False,
        keepalive_seconds: float = KEEPALIVE_SECONDS,
        keepalive_timeout_seconds: float = KEEPALIVE_TIMEOUT_SECONDS,
        clock: Clock | None = None,
        rng: random.Random | None = None,
    ) -> None:
        async def make() -> AsyncClient:
            return AsyncClient(
                endpoints,
                tls=tls,
                user=user,
                password=password,
                timeout_seconds=timeout_seconds,
                require_leader=require_leader,
                spread_requests=spread_requests,
                keepalive_seconds=keepalive_seconds,
                keepalive_timeout_seconds=keepalive_timeout_seconds,
                clock=clock,
                rng=rng,
            )

        portal = Portal("kvstore-client")
        try:
            super().__init__(portal, portal.run(make))
        except BaseException:
            portal.close()
            raise

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, **options: Any) -> Self:
        """As `client.Client.from_env`."""
        return cls(**environment.options(environ, options))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def endpoints(self) -> tuple[str, ...]:
        """The endpoints as given."""
        return self._inner.endpoints

    def close(self) -> None:
        """End all watches, connections and the thread. Idempotent."""
        if self._portal.is_open:
            try:
                self.wait(self._inner.close)
            finally:
                self._portal.close()

    get = blocking(AsyncClient.get)
    range = blocking(AsyncClient.range)
    put = blocking(AsyncClient.put)
    delete = blocking(AsyncClient.delete)
    commit = blocking(AsyncClient.commit)
    compact = blocking(AsyncClient.compact)
    request_progress = blocking(AsyncClient.request_progress)
    lease_grant = blocking(AsyncClient.lease_grant)
    lease_revoke = blocking(AsyncClient.lease_revoke)
    lease_keep_alive = blocking(AsyncClient.lease_keep_alive)
    lease_time_to_live = blocking(AsyncClient.lease_time_to_live)
    lease_list = blocking(AsyncClient.lease_list)
    member_list = blocking(AsyncClient.member_list)
    member_add = blocking(AsyncClient.member_add)
    member_remove = blocking(AsyncClient.member_remove)
    member_update = blocking(AsyncClient.member_update)
    member_promote = blocking(AsyncClient.member_promote)
    status = blocking(AsyncClient.status)
    hash = blocking(AsyncClient.hash)
    hash_kv = blocking(AsyncClient.hash_kv)
    defragment = blocking(AsyncClient.defragment)
    downgrade = blocking(AsyncClient.downgrade)
    alarm_list = blocking(AsyncClient.alarm_list)
    alarm_activate = blocking(AsyncClient.alarm_activate)
    alarm_disarm = blocking(AsyncClient.alarm_disarm)
    move_leader = blocking(AsyncClient.move_leader)
    auth_enable = blocking(AsyncClient.auth_enable)
    auth_disable = blocking(AsyncClient.auth_disable)
    auth_status = blocking(AsyncClient.auth_status)
    authenticate = blocking(AsyncClient.authenticate)
    user_add = blocking(AsyncClient.user_add)
    user_get = blocking(AsyncClient.user_get)
    user_list = blocking(AsyncClient.user_list)
    user_delete = blocking(AsyncClient.user_delete)
    user_change_password = blocking(AsyncClient.user_change_password)
    user_grant_role = blocking(AsyncClient.user_grant_role)
    user_revoke_role = blocking(AsyncClient.user_revoke_role)
    role_add = blocking(AsyncClient.role_add)
    role_get = blocking(AsyncClient.role_get)
    role_list = blocking(AsyncClient.role_list)
    role_delete = blocking(AsyncClient.role_delete)
    role_grant_permission = blocking(AsyncClient.role_grant_permission)
    role_revoke_permission = blocking(AsyncClient.role_revoke_permission)
    server_lock = blocking(AsyncClient.server_lock)
    server_unlock = blocking(AsyncClient.server_unlock)
    server_campaign = blocking(AsyncClient.server_campaign)
    server_proclaim = blocking(AsyncClient.server_proclaim)
    server_leader = blocking(AsyncClient.server_leader)
    server_resign = blocking(AsyncClient.server_resign)

    @overload
    def txn(self) -> SyncTxn: ...

    @overload
    def txn(
        self,
        compares: Sequence[Compare],
        success: Sequence[Op],
        failure: Sequence[Op] = (),
        *,
        timeout_seconds: float | None = None,
    ) -> TxnResult: ...

    def txn(
        self,
        compares: Sequence[Compare] | None = None,
        success: Sequence[Op] = (),
        failure: Sequence[Op] = (),
        *,
        timeout_seconds: float | None = None,
    ) -> SyncTxn | TxnResult:
        """With no argument a builder; else run the transaction."""
        if compares is None:
            return SyncTxn(self, Txn())
        return self.commit(OpTxn(compares, success, failure), timeout_seconds=timeout_seconds)

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
    ) -> SyncWatcher:
        """Changes from `start_revision` on; close it, or use it in a `with`, which returns when it is confirmed."""

        async def make() -> Watcher:
            return self._inner.watch(
                key,
                range_end=range_end,
                prefix=prefix,
                start_revision=start_revision,
                prev_kv=prev_kv,
                progress_notify=progress_notify,
                without_puts=without_puts,
                without_deletes=without_deletes,
                fragment=fragment,
                give_up_seconds=give_up_seconds,
            )

        return SyncWatcher(self._portal, self._portal.run(make))

    def watch_stream(self, *, buffer_batches: int = 128) -> SyncWatchStream:
        """Many watches on one stream."""

        async def make() -> WatchStream:
            return self._inner.watch_stream(buffer_batches=buffer_batches)

        return SyncWatchStream(self._portal, self._portal.run(make))

    def lease(self, ttl_seconds: int, *, lease_id: int = 0) -> SyncLease:
        """A lease kept alive while `with` is open."""
        return SyncLease(self._portal, self._inner.lease(ttl_seconds, lease_id=lease_id))

    def lock(self, name: Key, *, ttl_seconds: int = 60) -> SyncLock:
        """A lock held while `with` is open."""
        return SyncLock(self._portal, self._inner.lock(name, ttl_seconds=ttl_seconds))

    def election(self, name: Key, *, ttl_seconds: int = 60) -> SyncElection:
        """An election to stand in or to follow."""
        return SyncElection(self._portal, self._inner.election(name, ttl_seconds=ttl_seconds))

    def snapshot(self, endpoint: str = "") -> Iterator[bytes]:
        """The pieces of one member's snapshot, in order."""
        return iterate(self._portal, self._inner.snapshot(endpoint))


Client = SyncClient
