"""Lease servicer.

Calls that another member forwarded carry a header and are never forwarded again, so that two members who disagree on
the leader cannot send a call in circles.
"""

from collections.abc import AsyncIterator
from urllib.parse import unquote

from kvstore.mvcc.errors import LeaseNotFound
from kvstore.pb import rpc_pb2 as pb
from kvstore.server.header import Header
from kvstore.service.guard import Caller, Vouched
from kvstore.service.lease import LeaseService
from kvstore.wire.engine import CallContext, Send, StreamHandler, UnaryHandler

FORWARDED_HEADER = "quorate-forwarded"
VOUCHED_HEADER = "quorate-vouched"
"""Who the forwarded call is for, sealed by the member that forwards it."""


class LeaseServicer:
    """etcdserverpb.Lease."""

    def __init__(self, service: LeaseService, header: Header) -> None:
        self._service = service
        self._header = header

    def unary(self) -> dict[str, UnaryHandler]:
        """Handlers by method path; LeaseRevoke and LeaseLeases also under the names that etcd once gave them."""
        return {
            "/etcdserverpb.Lease/LeaseGrant": self.grant,
            "/etcdserverpb.Lease/LeaseRevoke": self.revoke,
            "/etcdserverpb.KV/LeaseRevoke": self.revoke,
            "/etcdserverpb.Lease/LeaseTimeToLive": self.time_to_live,
            "/etcdserverpb.KV/LeaseTimeToLive": self.time_to_live,
            "/etcdserverpb.Lease/LeaseLeases": self.leases,
            "/etcdserverpb.KV/LeaseLeases": self.leases,
        }

    def stream(self) -> dict[str, StreamHandler]:
        """Stream handlers by method path."""
        return {"/etcdserverpb.Lease/LeaseKeepAlive": self.keep_alive}

    async def grant(self, data: bytes, context: CallContext) -> bytes:
        """LeaseGrantRequest -> LeaseGrantResponse."""
        request = pb.LeaseGrantRequest.FromString(data)
        reply, revision = await self._service.grant(request.ID, request.TTL, context)
        response = pb.LeaseGrantResponse(ID=reply.id, TTL=reply.ttl)
        return self._header.encoded(revision) + response.SerializeToString()

    async def revoke(self, data: bytes, context: CallContext) -> bytes:
        """LeaseRevokeRequest -> LeaseRevokeResponse."""
        request = pb.LeaseRevokeRequest.FromString(data)
        return self._header.encoded(await self._service.revoke(request.ID, context))

    async def time_to_live(self, data: bytes, context: CallContext) -> bytes:
        """LeaseTimeToLiveRequest -> LeaseTimeToLiveResponse; an unknown lease has TTL -1."""
        request = pb.LeaseTimeToLiveRequest.FromString(data)
        found = await self._service.time_to_live(
            request.ID,
            self._caller(context, request.ID),
            with_keys=request.keys,
            may_forward=context.metadata(FORWARDED_HEADER) is None,
        )
        response = pb.LeaseTimeToLiveResponse(
            ID=request.ID, TTL=found.remaining, grantedTTL=found.granted, keys=found.keys
        )
        return self._header.encoded(self._header.current_revision()) + response.SerializeToString()

    async def leases(self, _data: bytes, context: CallContext) -> bytes:
        """LeaseLeasesRequest -> LeaseLeasesResponse."""
        found = await self._service.leases(context)
        response = pb.LeaseLeasesResponse(leases=[pb.LeaseStatus(ID=one) for one in found])
        return self._header.encoded(self._header.current_revision()) + response.SerializeToString()

    async def keep_alive(
        self, requests: AsyncIterator[bytes], send: Send, context: CallContext
    ) -> None:
        """Each request is answered in turn; an unknown lease has TTL 0."""
        may_forward = context.metadata(FORWARDED_HEADER) is None
        # Nearly every stream is a client's own: asked once, not for each message.
        is_own = may_forward and context.metadata(VOUCHED_HEADER) is None
        async for data in requests:
            request = pb.LeaseKeepAliveRequest.FromString(data)
            lease_id = request.ID
            caller = context if is_own else self._caller(context, lease_id)
            try:
                ttl = await self._service.keep_alive(lease_id, caller, may_forward=may_forward)
            except LeaseNotFound:
                ttl = 0
            response = pb.LeaseKeepAliveResponse(ID=lease_id, TTL=ttl)
            header = self._header.encoded(self._header.current_revision())
            await send(header + response.SerializeToString())

    def _caller(self, context: CallContext, lease_id: int) -> Caller | None:
        proof = context.metadata(VOUCHED_HEADER)
        if proof is not None:
            return Vouched(unquote(proof), lease_id)
        # The other member's certificate must not speak for whom it calls for; it may not know yet that it matters.
        return None if context.metadata(FORWARDED_HEADER) is not None else context
