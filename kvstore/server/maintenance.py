"""Maintenance servicer: status, alarms, hashes, leadership transfer, defragmentation, snapshot.

There is no database file with holes in it: defragmentation frees what compaction left over and gives memory back. A
snapshot is made as etcd's file (`kvstore.server.etcd_file`), so that etcd's own tools read and restore it.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import TYPE_CHECKING

from kvstore.pb import rpc_pb2 as pb
from kvstore.server.etcd_file import write_etcd_file
from kvstore.server.header import Header
from kvstore.service.cluster import ClusterService
from kvstore.service.guard import Guard
from kvstore.version import VERSION as VERSION
from kvstore.wire.engine import CallContext, Send, StreamHandler, UnaryHandler

if TYPE_CHECKING:
    import tempfile

_GET, _ACTIVATE, _DEACTIVATE = 0, 1, 2
_PIECE_BYTES = 32 * 1024
_CHUNK_BYTES = 1 << 20
_IN_MEMORY_BYTES = 64 << 20

Aside = Callable[[Callable[[], int]], Awaitable[int]]
"""Runs long work so that others are served meanwhile."""


class MaintenanceServicer:
    """etcdserverpb.Maintenance."""

    def __init__(
        self,
        service: ClusterService,
        header: Header,
        take_snapshot: Callable[[], Iterator[bytes]],
        guard: Guard,
        drain: Callable[[], Awaitable[None]] | None = None,
        aside: Aside = asyncio.to_thread,
    ) -> None:
        self._service = service
        self._header = header
        self._take_snapshot = take_snapshot
        self._guard = guard
        self._drain = drain
        self._aside = aside

    def unary(self) -> dict[str, UnaryHandler]:
        """Handlers by method path."""
        return {
            "/etcdserverpb.Maintenance/Alarm": self.alarm,
            "/etcdserverpb.Maintenance/Status": self.status,
            "/etcdserverpb.Maintenance/Defragment": self.defragment,
            "/etcdserverpb.Maintenance/Hash": self.hash,
            "/etcdserverpb.Maintenance/HashKV": self.hash_kv,
            "/etcdserverpb.Maintenance/MoveLeader": self.move_leader,
            "/etcdserverpb.Maintenance/Downgrade": self.downgrade,
        }

    def stream(self) -> dict[str, StreamHandler]:
        """Stream handlers by method path."""
        return {"/etcdserverpb.Maintenance/Snapshot": self.snapshot}

    async def status(self, _data: bytes, context: CallContext) -> bytes:
        """StatusRequest -> StatusResponse, from local knowledge only."""
        await self._guard.require_user(context)
        status = self._service.status()
        size = self._service.size_bytes
        response = pb.StatusResponse(
            header=self._header.message(),
            version=VERSION,
            dbSize=size,
            dbSizeInUse=size,
            leader=status.leader_id,
            raftIndex=status.commit_index,
            raftTerm=status.term,
            raftAppliedIndex=status.applied_index,
            errors=self._service.problems(),
            isLearner=status.is_learner,
        )
        return response.SerializeToString()

    async def alarm(self, data: bytes, context: CallContext) -> bytes:
        """AlarmRequest -> AlarmResponse. Every user may look, only root may raise or clear."""
        request = pb.AlarmRequest.FromString(data)
        if request.action == _GET:
            await self._guard.require_user(context)
            # Through the log in etcd: what was raised before must be seen.
            await self._service.confirm_current()
            found = self._service.alarms()
        else:
            # Clearing what is not raised proposes nothing, and must be refused all the same.
            await self._guard.require_admin(context)
            found = await self._service.set_alarm(
                int(request.action), request.memberID, int(request.alarm), context
            )
        response = pb.AlarmResponse(header=self._header.message())
        for member_id, alarm in found:
            if request.action != _GET or request.alarm in (0, alarm):
                response.alarms.add(memberID=member_id, alarm=pb.AlarmType.Name(alarm))
        return response.SerializeToString()

    async def defragment(self, _data: bytes, context: CallContext) -> bytes:
        """DefragmentRequest -> DefragmentResponse, which has no header in etcd either."""
        await self._guard.require_admin(context)
        if self._drain is not None:
            await self._drain()
        return pb.DefragmentResponse().SerializeToString()

    async def hash(self, _data: bytes, context: CallContext) -> bytes:
        """HashRequest -> HashResponse: of the newest state, users and roles included, as etcd's is of all it has."""
        await self._guard.require_admin(context)
        found, _compact = await self._service.digest(0)
        found ^= self._guard.auth.digest()
        response = pb.HashResponse(header=self._header.message(), hash=found & 0xFFFF_FFFF)
        return response.SerializeToString()

    async def hash_kv(self, data: bytes, context: CallContext) -> bytes:
        """HashKVRequest -> HashKVResponse: equal on all members at equal revisions."""
        await self._guard.require_admin(context)
        request = pb.HashKVRequest.FromString(data)
        found, compact_revision = await self._service.digest(request.revision)
        response = pb.HashKVResponse(
            header=self._header.message(),
            hash=found & 0xFFFF_FFFF,
            # etcd's number for a store that was never compacted.
            compact_revision=compact_revision or -1,
        )
        return response.SerializeToString()

    async def move_leader(self, data: bytes, context: CallContext) -> bytes:
        """MoveLeaderRequest -> MoveLeaderResponse; only the leader can."""
        await self._guard.require_admin(context)
        await self._service.move_leader(pb.MoveLeaderRequest.FromString(data).targetID)
        return pb.MoveLeaderResponse().SerializeToString()

    async def downgrade(self, data: bytes, context: CallContext) -> bytes:
        """DowngradeRequest -> DowngradeResponse with the cluster's version."""
        await self._guard.require_admin(context)
        request = pb.DowngradeRequest.FromString(data)
        version = await self._service.downgrades.handle(
            int(request.action), request.version, context
        )
        response = pb.DowngradeResponse(header=self._header.message(), version=version)
        return response.SerializeToString()

    async def snapshot(
        self, _requests: AsyncIterator[bytes], send: Send, context: CallContext
    ) -> None:
        """SnapshotResponses with the state, then its SHA-256, as etcd appends it."""
        await self._guard.require_admin(context)
        digest = hashlib.sha256()
        # The size is told first, so the whole is made before it is sent; a large one waits on disk.
        with _spool() as file:
            left = await self._write_etcd_file(file)
            file.seek(0)
            while piece := file.read(_PIECE_BYTES):
                digest.update(piece)
                # Compat: what remains does not count the checksum.
                left -= len(piece)
                response = pb.SnapshotResponse(
                    header=self._header.message(), remaining_bytes=left, blob=piece
                )
                await send(response.SerializeToString())
        response = pb.SnapshotResponse(
            header=self._header.message(), remaining_bytes=0, blob=digest.digest()
        )
        await send(response.SerializeToString())

    async def _write_etcd_file(self, file: "tempfile.SpooledTemporaryFile[bytes]") -> int:
        with _spool() as state:
            for chunk in self._take_snapshot():
                state.write(chunk)
                await asyncio.sleep(0)
            state.seek(0)
            chunks = iter(lambda: state.read(_CHUNK_BYTES), b"")
            return await self._aside(
                lambda: write_etcd_file(chunks, file, term=self._header.term())
            )


def _spool() -> "tempfile.SpooledTemporaryFile[bytes]":
    # With what it brings along it would be a twentieth of a member's start.
    import tempfile

    return tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES)
