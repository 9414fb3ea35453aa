"""Cluster servicer: the list of members, and its changes."""

from kvstore.pb import rpc_pb2 as pb
from kvstore.server.header import Header
from kvstore.service.cluster import ClusterService, Member
from kvstore.service.guard import Guard
from kvstore.wire.engine import CallContext, UnaryHandler


class ClusterServicer:
    """etcdserverpb.Cluster."""

    def __init__(self, service: ClusterService, header: Header, guard: Guard) -> None:
        self._service = service
        self._header = header
        self._guard = guard

    def unary(self) -> dict[str, UnaryHandler]:
        """Handlers by method path."""
        return {
            "/etcdserverpb.Cluster/MemberList": self.member_list,
            "/etcdserverpb.Cluster/MemberAdd": self.member_add,
            "/etcdserverpb.Cluster/MemberRemove": self.member_remove,
            "/etcdserverpb.Cluster/MemberUpdate": self.member_update,
            "/etcdserverpb.Cluster/MemberPromote": self.member_promote,
        }

    async def member_list(self, data: bytes, context: CallContext) -> bytes:
        """MemberListRequest -> MemberListResponse.

        Compat: 3.4 clients do not know the `linearizable` field and expect an answer without a quorum.
        """
        request = pb.MemberListRequest.FromString(data)
        members = await self._service.members(is_linearizable=request.linearizable)
        # Where the members are is nobody's business but users' (GHSA-q8m4-xhhv-38mg).
        await self._guard.require_user(context)
        response = pb.MemberListResponse(
            header=self._header.message(0), members=[_member_to_pb(member) for member in members]
        )
        return response.SerializeToString()

    async def member_add(self, data: bytes, context: CallContext) -> bytes:
        """MemberAddRequest -> MemberAddResponse."""
        await self._guard.require_admin(context)
        request = pb.MemberAddRequest.FromString(data)
        member, members = await self._service.add_member(
            request.peerURLs, is_learner=request.isLearner
        )
        response = pb.MemberAddResponse(
            header=self._header.message(0),
            member=_member_to_pb(member),
            members=[_member_to_pb(one) for one in members],
        )
        return response.SerializeToString()

    async def member_remove(self, data: bytes, context: CallContext) -> bytes:
        """MemberRemoveRequest -> MemberRemoveResponse."""
        await self._guard.require_admin(context)
        members = await self._service.remove_member(pb.MemberRemoveRequest.FromString(data).ID)
        response = pb.MemberRemoveResponse(
            header=self._header.message(0), members=[_member_to_pb(one) for one in members]
        )
        return response.SerializeToString()

    async def member_update(self, data: bytes, context: CallContext) -> bytes:
        """MemberUpdateRequest -> MemberUpdateResponse: other peer URLs for one member."""
        await self._guard.require_admin(context)
        request = pb.MemberUpdateRequest.FromString(data)
        members = await self._service.update_member(request.ID, request.peerURLs, context)
        response = pb.MemberUpdateResponse(
            header=self._header.message(0), members=[_member_to_pb(member) for member in members]
        )
        return response.SerializeToString()

    async def member_promote(self, data: bytes, context: CallContext) -> bytes:
        """MemberPromoteRequest -> MemberPromoteResponse."""
        await self._guard.require_admin(context)
        members = await self._service.promote_member(pb.MemberPromoteRequest.FromString(data).ID)
        response = pb.MemberPromoteResponse(
            header=self._header.message(0), members=[_member_to_pb(one) for one in members]
        )
        return response.SerializeToString()


def _member_to_pb(member: Member) -> pb.Member:
    return pb.Member(
        ID=member.id,
        name=member.name,
        peerURLs=member.peer_urls,
        clientURLs=member.client_urls,
        isLearner=member.is_learner,
    )
