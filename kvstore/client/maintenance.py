"""The client's requests about members: who they are, how they are, and care of them."""

from collections.abc import AsyncIterator, Sequence

import grpc
import grpc.aio

from kvstore.client import convert
from kvstore.client.calls import Caller
from kvstore.client.errors import NoLeader, NotLeader, Unavailable, from_rpc_error
from kvstore.client.types import AlarmKind, Alarms, Answer, Hash, MemberList, Status
from kvstore.pb import rpc_pb2


class MemberRequests(Caller):
    """Cluster and Maintenance."""

    async def member_list(self) -> MemberList:
        """All members."""
        response = await self._call(
            "Cluster/MemberList",
            rpc_pb2.MemberListRequest(linearizable=True),
            rpc_pb2.MemberListResponse,
            is_idempotent=True,
        )
        return MemberList(
            convert.header(response.header), tuple(convert.member(m) for m in response.members)
        )

    async def member_add(self, peer_urls: Sequence[str], *, is_learner: bool = False) -> MemberList:
        """Add a member; `member` of the result is the new one."""
        request = rpc_pb2.MemberAddRequest(peerURLs=peer_urls, isLearner=is_learner)
        response = await self._call("Cluster/MemberAdd", request, rpc_pb2.MemberAddResponse)
        return MemberList(
            convert.header(response.header),
            tuple(convert.member(m) for m in response.members),
            convert.member(response.member),
        )

    async def member_remove(self, member_id: int) -> MemberList:
        """Remove a member. MemberNotFound."""
        request = rpc_pb2.MemberRemoveRequest(ID=member_id)
        response = await self._call("Cluster/MemberRemove", request, rpc_pb2.MemberRemoveResponse)
        return MemberList(
            convert.header(response.header), tuple(convert.member(m) for m in response.members)
        )

    async def status(self, endpoint: str = "") -> Status:
        """One member's state; of the member used now if `endpoint` is empty. No fail-over."""
        response = await self._call_one(
            endpoint, "Maintenance/Status", rpc_pb2.StatusRequest(), rpc_pb2.StatusResponse
        )
        return Status(
            convert.header(response.header),
            response.version,
            response.dbSize,
            response.dbSizeInUse,
            response.leader,
            response.raftIndex,
            response.raftTerm,
            response.raftAppliedIndex,
            tuple(response.errors),
            response.isLearner,
        )

    async def hash_kv(self, endpoint: str = "", *, revision: int = 0) -> Hash:
        """Digest of one member's keys at `revision` (0: newest). No fail-over."""
        request = rpc_pb2.HashKVRequest(revision=revision)
        response = await self._call_one(
            endpoint, "Maintenance/HashKV", request, rpc_pb2.HashKVResponse
        )
        return Hash(convert.header(response.header), response.hash, response.compact_revision)

    async def defragment(
        self, endpoint: str = "", *, timeout_seconds: float | None = None
    ) -> Answer:
        """Let one member give disk space back; it may not serve meanwhile. No fail-over."""
        response = await self._call_one(
            endpoint,
            "Maintenance/Defragment",
            rpc_pb2.DefragmentRequest(),
            rpc_pb2.DefragmentResponse,
            timeout_seconds=timeout_seconds,
        )
        return Answer(convert.header(response.header))

    async def snapshot(self, endpoint: str = "") -> AsyncIterator[bytes]:
        """The pieces of one member's snapshot, in order; no deadline, no fail-over."""
        connection = self._connection(endpoint)
        call = connection.server_stream("Maintenance/Snapshot", rpc_pb2.SnapshotResponse)(
            rpc_pb2.SnapshotRequest()
        )
        try:
            async for response in call:
                yield response.blob
        except grpc.aio.AioRpcError as cause:
            raise from_rpc_error(cause, endpoint=connection.name) from cause
        finally:
            call.cancel()

    async def alarm_list(self) -> Alarms:
        """All raised alarms."""
        return await self._alarm(rpc_pb2.AlarmRequest(action=rpc_pb2.AlarmRequest.GET))

    async def alarm_disarm(self, member_id: int = 0, kind: AlarmKind = AlarmKind.NONE) -> Alarms:
        """Take back an alarm; (0, NONE) takes back all. The result tells which were raised."""
        if member_id or kind:
            return await self._disarm(member_id, kind)
        raised = await self.alarm_list()
        taken: list[tuple[int, AlarmKind]] = []
        for member, alarm in raised.alarms:
            taken.extend((await self._disarm(member, alarm)).alarms)
        return Alarms(raised.header, tuple(taken))

    async def move_leader(self, target_member_id: int) -> Answer:
        """Hand leadership to a member; asks the leader wherever it is. NotLeader, NoLeader, FailedPrecondition."""
        request = rpc_pb2.MoveLeaderRequest(targetID=target_member_id)
        for name in self.endpoints:
            try:
                if not (await self.status(name)).is_leader:
                    continue
            except Unavailable:
                continue
            response = await self._call_one(
                name, "Maintenance/MoveLeader", request, rpc_pb2.MoveLeaderResponse
            )
            return Answer(convert.header(response.header))
        if len(self.endpoints) == 1:
            raise NotLeader("etcdserver: not leader", endpoint=self.endpoints[0])
        raise NoLeader("no leader endpoint found among " + ", ".join(self.endpoints))

    async def _alarm(self, request: rpc_pb2.AlarmRequest) -> Alarms:
        response = await self._call(
            "Maintenance/Alarm", request, rpc_pb2.AlarmResponse, is_idempotent=True
        )
        return Alarms(
            convert.header(response.header),
            tuple((alarm.memberID, AlarmKind(alarm.alarm)) for alarm in response.alarms),
        )

    async def _disarm(self, member_id: int, kind: AlarmKind) -> Alarms:
        request = rpc_pb2.AlarmRequest(
            action=rpc_pb2.AlarmRequest.DEACTIVATE,
            memberID=member_id,
            alarm=rpc_pb2.AlarmType.Name(kind),
        )
        return await self._alarm(request)
