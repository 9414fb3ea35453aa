"""Watch servicer: a reader per stream, and a writer that is a task only where sending must be awaited.

The reader creates and cancels; the writer sends, and waiting for the client to take is the backpressure. Both put
control answers and events through one ordered path: control answers wait in a bounded list that the writer empties
first, so `created` always precedes a watcher's events. A client that half-closes keeps its watches (as in etcd).

What many streams get at once goes past both: the hub has the batch made once (`_BatchWriter`), and the front sends it
to all of them.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from kvstore.auth.errors import AuthError, PermissionDenied
from kvstore.machine.outcome import Event
from kvstore.mvcc.errors import Compacted
from kvstore.pb import rpc_pb2 as pb
from kvstore.server.convert import watch_from_pb
from kvstore.server.encode import Encoder, watch_response
from kvstore.server.errors import CANCEL_REASONS, message_of
from kvstore.server.header import Header
from kvstore.service.guard import Guard
from kvstore.service.watch.groups import BatchShape
from kvstore.service.watch.hub import WatchHub
from kvstore.service.watch.notices import Notice, WatchBatch, WatchCompacted
from kvstore.service.watch.spec import DuplicateWatchId
from kvstore.service.watch.stream import WatchStream
from kvstore.wire.engine import CallContext, DirectSend, Fan, Send, StreamHandler

INVALID_WATCH_ID = -1
_NOTICES_A_TURN = 128
_MAX_SHARED_BYTES = 4 << 20
_MAX_CONTROL = 1024
"""Unsent control answers of one stream; the reader stops reading at this many."""


@dataclass(slots=True)
class _Shared:
    """Messages of one batch that many watchers get: they differ by watch id at most."""

    events: tuple[Event, ...]
    revision: int
    messages: dict[tuple[int, bool, bool], list[bytes]] = field(default_factory=dict)
    size_bytes: int = 0


class WatchServicer:
    """etcdserverpb.Watch."""

    def __init__(
        self,
        hub: WatchHub,
        header: Header,
        encoder: Encoder,
        guard: Guard,
        *,
        max_response_bytes: int,
    ) -> None:
        self._hub = hub
        self._header = header
        self._encoder = encoder
        self.guard = guard
        self._max_response_bytes = max_response_bytes
        self._shared = _Shared((), 0)
        self._writers: dict[Fan, _BatchWriter] = {}

    def batch_writer(self, fan: Fan) -> "_BatchWriter":
        """The writer for all streams of a front."""
        writer = self._writers.get(fan)
        if writer is None:
            writer = self._writers[fan] = _BatchWriter(self, fan)
        return writer

    def stream(self) -> dict[str, StreamHandler]:
        """Handlers by method path."""
        return {"/etcdserverpb.Watch/Watch": self.watch}

    async def watch(self, requests: AsyncIterator[bytes], send: Send, context: CallContext) -> None:
        """WatchRequests in, WatchResponses out, until the client goes away."""
        stream = self._hub.open()
        connection = _Connection(self, stream, send, context)
        try:
            if isinstance(send, DirectSend):
                await connection.serve(requests, send)
                return
            async with asyncio.TaskGroup() as group:
                group.create_task(connection.read(requests), name="watch/reader")
                group.create_task(connection.write(), name="watch/writer")
        except BaseExceptionGroup as errors:
            # One failure ends the stream; the front knows how to answer a single one.
            raise errors.exceptions[0] from None
        finally:
            stream.close()

    def header_bytes(self, revision: int | None = None) -> bytes:
        """The encoded header; `revision` None = newest."""
        return self._header.encoded(
            self._header.current_revision() if revision is None else revision
        )

    def batch_messages(self, batch: WatchBatch) -> list[bytes]:
        """The batch as one response, or more if it is too large: whole revisions, or fragments for who takes them."""
        watcher = batch.watcher
        shared = self._shared
        if shared.events is not batch.events or shared.revision != batch.revision:
            shared = self._shared = _Shared(batch.events, batch.revision)
        at = (watcher.watch_id, watcher.spec.prev_kv, watcher.spec.fragment)
        messages = shared.messages.get(at)
        if messages is None:
            messages = self._make_messages(batch)
            shared.size_bytes += sum(map(len, messages))
            if shared.size_bytes <= _MAX_SHARED_BYTES:
                shared.messages[at] = messages
        return messages

    def shared_messages(
        self, shape: BatchShape, events: tuple[Event, ...], revision: int
    ) -> list[bytes] | None:
        """A message for each watch of a shape; None if some must be cut, or all together are too much to hold."""
        header = self.header_bytes(revision)
        bodies: dict[bool, bytes] = {}
        for with_prev in {with_prev for _, with_prev in shape.watches}:
            encoded = [self._encode(event, with_prev) for event in events]
            size = sum(map(len, encoded))
            is_divisible = shape.may_fragment or (
                events[0].kv.mod_revision != events[-1].kv.mod_revision
            )
            if size * len(shape.watches) > _MAX_SHARED_BYTES or (
                is_divisible and size > self._max_response_bytes
            ):
                return None
            bodies[with_prev] = b"".join(encoded)
        return [
            watch_response(header, watch_id, (bodies[with_prev],))
            for watch_id, with_prev in shape.watches
        ]

    def _make_messages(self, batch: WatchBatch) -> list[bytes]:
        watcher = batch.watcher
        encoded = [self._encode(event, watcher.spec.prev_kv) for event in batch.events]
        header = self.header_bytes(batch.revision)
        limit = self._max_response_bytes
        if sum(map(len, encoded)) <= limit:
            return [watch_response(header, watcher.watch_id, encoded)]
        if not watcher.spec.fragment:
            return [
                watch_response(header, watcher.watch_id, group)
                for group in _whole_revisions(batch.events, encoded, limit)
            ]
        groups: list[list[bytes]] = [[]]
        size = 0
        for data in encoded:
            if groups[-1] and size + len(data) > limit:
                groups.append([])
                size = 0
            groups[-1].append(data)
            size += len(data)
        last = len(groups) - 1
        return [
            watch_response(header, watcher.watch_id, group, is_fragment=position < last)
            for position, group in enumerate(groups)
        ]

    def _encode(self, event: Event, with_prev: bool) -> bytes:
        return self._encoder.event(event, with_prev)


def _whole_revisions(
    events: Sequence[Event], encoded: Sequence[bytes], limit: int
) -> list[list[bytes]]:
    """Groups of at most `limit` bytes; more only for one revision, which is never cut.

    Clients refuse messages above a limit of their own, 4 MiB by default. etcd sends what lagged in one (etcd#19441).
    """
    groups: list[list[bytes]] = []
    size = 0
    for _, pairs in groupby(
        zip(events, encoded, strict=True), key=lambda pair: pair[0].kv.mod_revision
    ):
        revision = [data for _, data in pairs]
        added = sum(map(len, revision))
        if not groups or size + added > limit:
            groups.append([])
            size = 0
        groups[-1] += revision
        size += added
    return groups


class _BatchWriter:
    """Batches for many streams of one front (`kvstore.service.watch.groups.BatchWriter`)."""

    def __init__(self, servicer: WatchServicer, fan: Fan) -> None:
        self.messages = servicer.shared_messages
        self.send = fan.send


class _Connection:
    """One client stream."""

    def __init__(
        self, servicer: WatchServicer, stream: WatchStream, send: Send, context: CallContext
    ) -> None:
        self._servicer = servicer
        self._stream = stream
        self._send = send
        self._context = context
        self._control: deque[bytes] = deque()
        self._has_room = asyncio.Event()
        self._has_room.set()
        # Watchers whose `created` is not sent yet are among the control answers, which go first.
        self._direct: DirectSend | None = None
        self._is_waiting = False
        self._is_pumping = False
        self._task: asyncio.Task[None] | None = None
        self._error: Exception | None = None
        fan = send.fan if isinstance(send, DirectSend) else None
        self.batch_writer = None if fan is None else servicer.batch_writer(fan)
        self.target: Any = send.target if isinstance(send, DirectSend) else None

    async def serve(self, requests: AsyncIterator[bytes], send: DirectSend) -> None:
        """Read in this task and write from callbacks: an event for a thousand streams wakes no task."""
        self._direct, self._task = send, asyncio.current_task()
        send.on_room(self._on_room)
        self._stream.own(self)
        try:
            await self.read(requests)
            # A client that half-closes keeps its watches.
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            if self._error is None or self._task is None:
                raise
            self._task.uncancel()
            raise self._error from None
        finally:
            self._stream.own(None)

    def _on_room(self) -> None:
        self._is_waiting = False
        self.on_ready()

    def on_error(self, error: Exception) -> None:
        """End the stream with an error."""
        self._error = error
        if self._task is not None:
            self._task.cancel()

    def on_ready(self) -> None:
        """Send what there is, until the client has no room."""
        # Room made while sending calls back into here, and order would be lost.
        if self._is_pumping or self._is_waiting or self._direct is None:
            return
        self._is_pumping = True
        try:
            self._send_some(self._direct)
        except Exception as error:
            self.on_error(error)
        finally:
            self._is_pumping = False

    def _send_some(self, send: DirectSend) -> None:
        stream = self._stream
        for _ in range(_NOTICES_A_TURN):
            if self._control:
                while self._control:
                    if not send.now(self._control.popleft()):
                        self._is_waiting = True
                        return
                self._has_room.set()
            notice = stream.take() if stream.has_news else None
            if notice is None:
                return
            has_room = True
            for message in self._messages(notice):
                has_room = send.now(message)
            if not has_room:
                self._is_waiting = True
                return
        # One that reads a long past must not hold up the others.
        self._stream.nudge()

    async def read(self, requests: AsyncIterator[bytes]) -> None:
        """Create, cancel, progress: until the client half-closes."""
        async for data in requests:
            request = pb.WatchRequest.FromString(data)
            kind = request.WhichOneof("request_union")
            if kind == "create_request":
                await self._create(request.create_request)
            elif kind == "cancel_request":
                self._cancel(request.cancel_request.watch_id)
            elif kind == "progress_request":
                self._stream.request_progress()
            if len(self._control) >= _MAX_CONTROL:
                self._has_room.clear()
            await self._has_room.wait()

    async def write(self) -> None:
        """Control answers first, then what the stream has."""
        while True:
            while self._control:
                await self._send(self._control.popleft())
            self._has_room.set()
            notice = self._stream.take()
            if notice is None:
                await self._stream.wait()
                continue
            for message in self._messages(notice):
                await self._send(message)

    async def _create(self, request: pb.WatchCreateRequest) -> None:
        if request.start_revision < 0:
            self._refuse(message_of(Compacted))
            return
        spec = watch_from_pb(request)
        try:
            # The range is still etcd's own form, where b"\0" means "no end": etcd once asked about a changed one, and
            # took "from this key on" for this key alone (GHSA-xg4h-6gfc-h4m8).
            await self._servicer.guard.check_range(self._context, spec.key, spec.range_end)
            if spec.range_end not in (b"", b"\0") and spec.key >= spec.range_end:
                self._refuse("mvcc: watcher range is empty")
                return
            watcher = self._stream.create(spec)
        except AuthError as error:
            self._refuse(CANCEL_REASONS.get(type(error), CANCEL_REASONS[PermissionDenied]))
            return
        except DuplicateWatchId:
            self._refuse("mvcc: duplicate watch ID provided on the WatchStream")
            return
        self._push(pb.WatchResponse(watch_id=watcher.watch_id, created=True))

    def _cancel(self, watch_id: int) -> None:
        if self._stream.cancel(watch_id):
            self._push(pb.WatchResponse(watch_id=watch_id, canceled=True))

    def _refuse(self, reason: str) -> None:
        self._push(
            pb.WatchResponse(
                watch_id=INVALID_WATCH_ID, created=True, canceled=True, cancel_reason=reason
            )
        )

    def _push(self, response: pb.WatchResponse) -> None:
        self._control.append(self._servicer.header_bytes() + response.SerializeToString())
        self._stream.nudge()

    def _messages(self, notice: Notice) -> list[bytes]:
        if isinstance(notice, WatchBatch):
            return self._servicer.batch_messages(notice)
        header = self._servicer.header_bytes(notice.revision)
        if isinstance(notice, WatchCompacted):
            response = pb.WatchResponse(
                watch_id=notice.watcher.watch_id,
                canceled=True,
                compact_revision=notice.compact_revision,
            )
            # Compat: as in etcd 3.5 neither a reason nor a revision of the store; compact_revision says it all.
            header = self._servicer.header_bytes(0)
        else:
            watcher = notice.watcher
            response = pb.WatchResponse(
                watch_id=INVALID_WATCH_ID if watcher is None else watcher.watch_id
            )
        return [header + response.SerializeToString()]
