"""The client's requests to etcd's lock and election services, which keep the line on the server's side.

They need a lease of the caller's own and wait without deadline unless one is given. `Lock` and `Election` of this
package do the same with ordinary requests, survive the loss of a member while waiting, and share the line with
these.
"""

from collections.abc import AsyncIterator

import grpc.aio

from kvstore.client import convert
from kvstore.client.calls import Caller
from kvstore.client.errors import from_rpc_error
from kvstore.client.types import Answer, Key, KeyValue, LeaderKey, LockKey, ServerLeader, encoded
from kvstore.pb import election_pb2, lock_pb2

# In place of "for ever": gRPC wants a number.
_FOR_EVER_SECONDS = 365.0 * 86_400


class LockRequests(Caller):
    """Lock and Election."""

    async def server_lock(
        self, name: Key, lease: int, *, timeout_seconds: float | None = None
    ) -> LockKey:
        """Wait for a lock held by `lease`; its key is what `server_unlock` takes."""
        response = await self._call(
            "v3lockpb.Lock/Lock",
            lock_pb2.LockRequest(name=encoded(name), lease=lease),
            lock_pb2.LockResponse,
            is_idempotent=lease != 0,
            timeout_seconds=_FOR_EVER_SECONDS if timeout_seconds is None else timeout_seconds,
        )
        return LockKey(convert.header(response.header), response.key)

    async def server_unlock(self, key: bytes) -> Answer:
        """Release the lock whose holder's key is `key`."""
        response = await self._call(
            "v3lockpb.Lock/Unlock", lock_pb2.UnlockRequest(key=key), lock_pb2.UnlockResponse
        )
        return Answer(convert.header(response.header))

    async def server_campaign(
        self, name: Key, lease: int, value: Key, *, timeout_seconds: float | None = None
    ) -> ServerLeader:
        """Stand, and return when elected."""
        request = election_pb2.CampaignRequest(
            name=encoded(name), lease=lease, value=encoded(value)
        )
        response = await self._call(
            "v3electionpb.Election/Campaign",
            request,
            election_pb2.CampaignResponse,
            is_idempotent=lease != 0,
            timeout_seconds=_FOR_EVER_SECONDS if timeout_seconds is None else timeout_seconds,
        )
        leader = response.leader
        return ServerLeader(
            convert.header(response.header),
            LeaderKey(leader.name, leader.key, leader.rev, leader.lease),
        )

    async def server_proclaim(self, leader: LeaderKey, value: Key) -> Answer:
        """Another value under the same leadership."""
        request = election_pb2.ProclaimRequest(leader=_leader(leader), value=encoded(value))
        response = await self._call(
            "v3electionpb.Election/Proclaim", request, election_pb2.ProclaimResponse
        )
        return Answer(convert.header(response.header))

    async def server_leader(self, name: Key) -> KeyValue:
        """Who leads now; an error if nobody does."""
        response = await self._call(
            "v3electionpb.Election/Leader",
            election_pb2.LeaderRequest(name=encoded(name)),
            election_pb2.LeaderResponse,
            is_idempotent=True,
        )
        return convert.key_value(response.kv)

    async def server_observe(self, name: Key) -> AsyncIterator[KeyValue]:
        """Each leader and each of its values; ends with the member that is asked."""
        connection = self._failover.current()
        call = None
        try:
            await self._tokens.ensure(connection, self._timeout_seconds)
            call = connection.server_stream(
                "v3electionpb.Election/Observe", election_pb2.LeaderResponse
            )(election_pb2.LeaderRequest(name=encoded(name)), metadata=self._metadata())
            async for response in call:
                yield convert.key_value(response.kv)
        except grpc.aio.AioRpcError as cause:
            raise from_rpc_error(cause, endpoint=connection.name) from cause
        finally:
            if call is not None:
                call.cancel()

    async def server_resign(self, leader: LeaderKey) -> Answer:
        """Let the next one lead."""
        response = await self._call(
            "v3electionpb.Election/Resign",
            election_pb2.ResignRequest(leader=_leader(leader)),
            election_pb2.ResignResponse,
        )
        return Answer(convert.header(response.header))


def _leader(leader: LeaderKey) -> election_pb2.LeaderKey:
    return election_pb2.LeaderKey(
        name=leader.name, key=leader.key, rev=leader.revision, lease=leader.lease
    )
