"""The client's requests about members: who they are, how they are, and care of them.

Requests to one member (`endpoint`; empty: the one used now) are sent there and nowhere else, once.
"""

from collections.abc import AsyncIterator, Sequence
from enum import IntEnum
from typing import Any

import grpc
import grpc.aio

from kvstore.client import convert
from kvstore.client.calls import Caller
from kvstore.client.errors import InvalidToken, NoLeader, NotLeader, Unavailable, from_rpc_error
from kvstore.client.tokens import RENEWALS_PER_REQUEST
from kvstore.client.types import (
    AlarmKind,
    Alarms,
    Answer,
    Downgrade,
    Hash,
    MemberList,
    Status,
)
from kvstore.pb import rpc_pb2


class DowngradeAction(IntEnum):
    """What to do about a downgrade."""

    VALIDATE = 0
    ENABLE = 1
    CANCEL = 2


class MemberRequests(Caller):
    """Cluster and Maintenance."""

    async def member_list(self, *, serializable: bool = False) -> MemberList:
        """All members; `serializable`: as one member knows them, even without a leader."""
        response = await self._call(
            "Cluster/MemberList",
            rpc_pb2.MemberListRequest(linearizable=not serializable),
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

    async def member_update(self, member_id: int, peer_urls: Sequence[str]) -> MemberList:
        """Tell the cluster a member's new peer URLs. MemberNotFound."""
        request = rpc_pb2.MemberUpdateRequest(ID=member_id, peerURLs=peer_urls)
        response = await self._call("Cluster/MemberUpdate", request, rpc_pb2.MemberUpdateResponse)
        return MemberList(
            convert.header(response.header), tuple(convert.member(m) for m in response.members)
        )

    async def member_promote(self, member_id: int) -> MemberList:
        """Give a learner a vote. MemberNotFound, FailedPrecondition while it is not in sync."""
        request = rpc_pb2.MemberPromoteRequest(ID=member_id)
        response = await self._call("Cluster/MemberPromote", request, rpc_pb2.MemberPromoteResponse)
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

    async def hash(self, endpoint: str = "") -> Hash:
        """Digest of one member's whole backend; members may differ without harm. No fail-over."""
        response = await self._call_one(
            endpoint, "Maintenance/Hash", rpc_pb2.HashRequest(), rpc_pb2.HashResponse
        )
        return Hash(convert.header(response.header), response.hash)

    async def downgrade(
        self, action: DowngradeAction, version: str = "", *, timeout_seconds: float | None = None
    ) -> Downgrade:
        """Validate, enable or cancel a downgrade of the cluster to `version` ("3.4")."""
        request = rpc_pb2.DowngradeRequest(
            action=rpc_pb2.DowngradeRequest.DowngradeAction.Name(action), version=version
        )
        response = await self._call(
            "Maintenance/Downgrade",
            request,
            rpc_pb2.DowngradeResponse,
            timeout_seconds=timeout_seconds,
        )
        return Downgrade(convert.header(response.header), response.version)

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
        """The pieces of one member's snapshot, in order; no deadline, no fail-over.

        The last 32 bytes are the SHA-256 of what comes before them.
        """
        connection = self._only(endpoint).current()
        renewed = 0
        while True:
            token = self._tokens.token
            has_begun = False
            call: Any = None
            try:
                await self._tokens.ensure(connection, self._timeout_seconds)
                token = self._tokens.token
                call = connection.server_stream("Maintenance/Snapshot", rpc_pb2.SnapshotResponse)(
                    rpc_pb2.SnapshotRequest(), metadata=self._metadata()
                )
                async for response in call:
                    has_begun = True
                    yield response.blob
                return
            except grpc.aio.AioRpcError as cause:
                error = from_rpc_error(cause, endpoint=connection.name)
                may_renew = isinstance(error, InvalidToken) and self._tokens.has_user
                if has_begun or not may_renew or renewed >= RENEWALS_PER_REQUEST:
                    raise error from cause
                renewed += 1
                self._tokens.refuse(token)
            finally:
                if call is not None:
                    call.cancel()

    async def alarm_list(self) -> Alarms:
        """All raised alarms."""
        return await self._alarm(rpc_pb2.AlarmRequest(action=rpc_pb2.AlarmRequest.GET))

    async def alarm_activate(self, member_id: int, kind: AlarmKind) -> Alarms:
        """Raise an alarm for a member."""
        return await self._alarm(
            rpc_pb2.AlarmRequest(
                action=rpc_pb2.AlarmRequest.ACTIVATE,
                memberID=member_id,
                alarm=rpc_pb2.AlarmType.Name(kind),
            )
        )

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
