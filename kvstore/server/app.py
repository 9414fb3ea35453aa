"""Binds the servicers to a front: one table of handlers, each wrapped alike.

The wrapper refuses calls that require a leader while there is none (the `hasleader` header, which Kubernetes' API
server sends with its watches), cuts streams of such clients when the leader is lost for good, and turns domain errors
into statuses by the table. A request that protobuf cannot read is the client's mistake, not a bug.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any, Protocol

from google.protobuf.message import DecodeError

from kvstore.base.clock import Clock
from kvstore.pb import rpc_pb2 as pb
from kvstore.raft.configuration import Configuration
from kvstore.raft.replicator import MemberId, NoLeader, Replicator, Stopped
from kvstore.server.calls import CallCounts, MethodCounts
from kvstore.server.errors import DOMAIN_ERRORS, to_wire
from kvstore.service.errors import LearnerRefuses
from kvstore.wire.engine import (
    INTERNAL,
    CallContext,
    Handlers,
    Send,
    StreamHandler,
    UnaryHandler,
    WireError,
)

REQUIRE_LEADER_HEADER = "hasleader"
_LOST_CHECKS = 3
"""How many looks in a row without a leader, an election timeout apart, cut a stream; as in etcd."""


class UnaryServicer(Protocol):
    """Anything with unary handlers."""

    def unary(self) -> dict[str, UnaryHandler]:
        """Handlers by method path."""
        ...


class StreamServicer(Protocol):
    """Anything with stream handlers."""

    def stream(self) -> dict[str, StreamHandler]:
        """Handlers by method path."""
        ...


class Streams:
    """The open streams. Ends those that want a leader when there is none for long, and all at shutdown.

    A stream is ended by cancelling its task with the reason noted, so that an idle one costs no extra task.
    """

    def __init__(
        self, replicator: Replicator, clock: Clock, election_timeout_seconds: float
    ) -> None:
        self._replicator = replicator
        self._clock = clock
        self._interval = election_timeout_seconds
        self._open: dict[asyncio.Task[Any], bool] = {}
        self._reasons: dict[asyncio.Task[Any], Exception] = {}
        self._is_stopping = False
        self.leader_changes = 0
        self.is_learner = False
        """Whether this member is one, and so answers next to nothing."""
        replicator.on_members(self._members_changed)

    def _members_changed(self, configuration: Configuration) -> None:
        self.is_learner = self._replicator.status().member_id in configuration.learners

    def has_leader(self) -> bool:
        """Whether a leader is known now."""
        return self._replicator.leadership()[0] != 0

    async def run(self) -> None:
        """Look every election timeout, until cancelled."""
        lost = 0
        last = MemberId(0)
        while True:
            await self._clock.sleep(self._interval)
            leader, _ = self._replicator.leadership()
            if leader and leader != last:
                self.leader_changes += 1
                last = leader
            lost = 0 if leader else lost + 1
            if lost >= _LOST_CHECKS:
                self._cut(NoLeader(), only_needing_leader=True)

    def stop(self) -> None:
        """End all streams now and refuse new ones, so that clients go elsewhere and stopping is quick."""
        self._is_stopping = True
        self._cut(Stopped(), only_needing_leader=False)

    async def serve(
        self,
        path: str,
        handler: StreamHandler,
        requests: AsyncIterator[bytes],
        send: Send,
        context: CallContext,
    ) -> None:
        """Run one stream of the method `path`."""
        needs_leader = context.metadata(REQUIRE_LEADER_HEADER) == "true"
        if self._is_stopping:
            raise Stopped
        if self.is_learner and not path.endswith("/Snapshot"):
            raise LearnerRefuses
        if needs_leader and not self.has_leader():
            raise NoLeader
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a stream must run in a task")
        self._open[task] = needs_leader
        try:
            await handler(requests, send, context)
        except asyncio.CancelledError:
            reason = self._reasons.pop(task, None)
            if reason is None:
                raise
            task.uncancel()
            raise reason from None
        finally:
            self._open.pop(task, None)
            self._reasons.pop(task, None)

    def _cut(self, reason: Exception, *, only_needing_leader: bool) -> None:
        for task, needs_leader in self._open.items():
            if (needs_leader or not only_needing_leader) and task not in self._reasons:
                self._reasons[task] = reason
                task.cancel()


def bind(
    unary: Sequence[UnaryServicer],
    stream: Sequence[StreamServicer],
    streams: Streams,
    counts: CallCounts | None = None,
) -> Handlers:
    """All handlers, wrapped, and counted in `counts`."""
    counts = counts or CallCounts()
    return Handlers(
        unary={
            path: _wrap_unary(path, handler, streams, counts.method(path, is_stream=False))
            for servicer in unary
            for path, handler in servicer.unary().items()
        },
        stream={
            path: _wrap_stream(path, handler, streams, counts.method(path, is_stream=True))
            for servicer in stream
            for path, handler in servicer.stream().items()
        },
    )


def _is_for_learners(path: str, request: bytes) -> bool:
    """As in etcd: its status, and reads of what it holds."""
    if path == "/etcdserverpb.KV/Range":
        with contextlib.suppress(DecodeError):
            return bool(pb.RangeRequest.FromString(request).serializable)
    return path == "/etcdserverpb.Maintenance/Status"


def _wrap_unary(
    path: str, handler: UnaryHandler, streams: Streams, counts: MethodCounts
) -> UnaryHandler:
    async def call(request: bytes, context: CallContext) -> bytes:
        counts.started += 1
        counts.received += 1
        counts.received_bytes += len(request)
        if context.metadata(REQUIRE_LEADER_HEADER) == "true" and not streams.has_leader():
            raise to_wire(NoLeader())
        if streams.is_learner and not _is_for_learners(path, request):
            raise to_wire(LearnerRefuses())
        try:
            response = await handler(request, context)
        except DOMAIN_ERRORS as error:
            raise to_wire(error) from error
        except DecodeError as error:
            raise WireError(INTERNAL, f"grpc: cannot read the request: {error}") from error
        counts.sent += 1
        counts.sent_bytes += len(response)
        return response

    return call


def _wrap_stream(
    path: str, handler: StreamHandler, streams: Streams, counts: MethodCounts
) -> StreamHandler:
    async def call(requests: AsyncIterator[bytes], send: Send, context: CallContext) -> None:
        counts.started += 1
        try:
            await streams.serve(
                path, handler, counts.requests(requests), counts.send(send), context
            )
        except DOMAIN_ERRORS as error:
            raise to_wire(error) from error
        except DecodeError as error:
            raise WireError(INTERNAL, f"grpc: cannot read a message: {error}") from error

    return call
