"""Streaming calls: a task each, requests in a bounded queue, answers held back by the client's windows."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from kvstore.base.log import get_logger
from kvstore.wire.engine import CANCELLED, INTERNAL, UNAVAILABLE, WireError
from kvstore.wire.h2 import status
from kvstore.wire.h2.calls import BUG, Call, CallService, Peer
from kvstore.wire.h2.connection import Connection
from kvstore.wire.h2.fan import FAN
from kvstore.wire.h2.messages import PREFIX, PREFIX_BYTES
from kvstore.wire.h2.routing import CallHead

log = get_logger("kvstore.wire.h2")

_QUEUED_BYTES = 64 * 1024
"""Requests of a stream that wait to be taken; beyond, the client gets no more window."""


class _DirectSend:
    """The call's sending end (`kvstore.wire.engine.DirectSend`)."""

    __slots__ = ("_call", "fan", "now", "target")

    def __init__(self, call: "StreamCall") -> None:
        self._call = call
        self.now = call.send_now
        self.fan = FAN
        self.target = call

    def __call__(self, message: bytes) -> Awaitable[None]:
        """Send; returns when it is on its way or in the windows."""
        return self._call.send(message)

    def on_room(self, callback: Callable[[], None]) -> None:
        """Call when all that waited has left."""
        self._call.room_callback = callback


class StreamCall(Call):
    """Messages both ways, at once."""

    __slots__ = (
        "_drained",
        "_has_more",
        "_messages",
        "_owed",
        "_queued_bytes",
        "_task",
        "number",
        "room_callback",
    )

    def __init__(
        self,
        connection: Connection[CallHead],
        stream_id: int,
        head: CallHead,
        service: CallService,
        peer: Peer,
    ) -> None:
        super().__init__(connection, stream_id, head, service, peer)
        self._messages: deque[bytes | WireError | None] = deque()
        """What came and is not taken; None = the client's end."""
        self._queued_bytes = 0
        self._owed = 0
        self._has_more: asyncio.Future[bytes | None] | None = None
        """Who waits for a message; None as its result = look into the queue."""
        self._drained: list[asyncio.Future[None]] = []
        self._task: asyncio.Task[None] | None = None
        self.room_callback: Callable[[], None] | None = None
        self.number = stream_id.to_bytes(4, "big")
        """The stream as frames name it."""

    def on_open(self, is_end: bool) -> None:
        """Start the handler."""
        if not self._watch_deadline():
            return
        if is_end:
            self._messages.append(None)
        self._task = self._service.tasks.start(self._run(), self.head.method_path)

    def on_data(self, data: bytes, start: int, stop: int, is_end: bool) -> None:
        """Queue what is whole; give the window back unless the handler lags behind."""
        waiter = self._has_more
        if waiter is not None and not (is_end or self._partial) and stop - start >= PREFIX_BYTES:
            flag, length = PREFIX.unpack_from(data, start)
            size = stop - start - PREFIX_BYTES
            if not flag and length == size <= self._service.max_message_bytes:
                # The usual message, for a handler that waits for it: nothing to keep, nothing to count.
                self._has_more = None
                self.connection.credit(self, stop - start)
                if not waiter.done():
                    waiter.set_result(data[start + PREFIX_BYTES : stop])
                return
        try:
            messages = self._assemble(data, start, stop)
            for message in messages:
                self._hold(len(message))
                self._queued_bytes += len(message)
        except WireError as error:
            self._push(error)
            return
        self._messages.extend(messages)
        if self._queued_bytes > _QUEUED_BYTES:
            self._owed += stop - start
        else:
            self.connection.credit(self, stop - start)
        if is_end:
            self.on_end()
        elif messages:
            self._notify()

    def on_end(self) -> None:
        """The client has sent all."""
        try:
            if self._assembler is not None:
                self._assembler.finish()
        except WireError as error:
            self._push(error)
            return
        self._push(None)

    def on_reset(self, code: int) -> None:
        """Nobody is there any more."""
        self._ended(CANCELLED)
        self._cancel_handler()

    def on_drained(self) -> None:
        """Let those who send go on."""
        waiting, self._drained = self._drained, []
        for future in waiting:
            if not future.done():
                future.set_result(None)
        if self.room_callback is not None:
            self.room_callback()

    def send_now(self, message: bytes) -> bool:
        """Send one message; False if it waits for the client. To one who has gone away nothing is sent."""
        if self._is_ended:
            return True
        connection = self.connection
        if not self.is_answered:
            connection.send_headers(self, status.OPENING)
        return connection.send_data(self, PREFIX.pack(0, len(message)), message)

    async def send(self, message: bytes) -> None:
        """Send one message; returns when it is on its way or in the windows."""
        connection = self.connection
        if self._is_ended:
            raise WireError(CANCELLED, "the client has gone away")
        if not self.is_answered:
            connection.send_headers(self, status.OPENING)
        if connection.send_data(self, PREFIX.pack(0, len(message)), message):
            return
        while self.outbox:
            future: asyncio.Future[None] = self._service.loop.create_future()
            self._drained.append(future)
            await future
        if self.is_closed:
            raise WireError(CANCELLED, "the client has gone away")

    def __aiter__(self) -> "StreamCall":
        return self

    async def __anext__(self) -> bytes:
        while not self._messages:
            self._has_more = self._service.loop.create_future()
            handed = await self._has_more
            if handed is not None:
                return handed
        message = self._messages[0]
        if message is None:
            raise StopAsyncIteration
        if isinstance(message, WireError):
            raise message
        self._messages.popleft()
        self._taken(len(message))
        return message

    def _taken(self, size: int) -> None:
        self._queued_bytes -= size
        if not self._is_ended:
            self._hold(-size)
        if self._owed and self._queued_bytes <= _QUEUED_BYTES:
            owed, self._owed = self._owed, 0
            self.connection.credit(self, owed)

    def _push(self, item: WireError | None) -> None:
        self._messages.append(item)
        self._notify()

    def _notify(self) -> None:
        waiter, self._has_more = self._has_more, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _cancel_handler(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        handler = self.head.stream
        if handler is None:
            raise RuntimeError("a stream call without a handler")
        try:
            await handler(self, _DirectSend(self), self)
        except WireError as error:
            self._refuse(error.code, error.message)
        except asyncio.CancelledError:
            if self._is_ended:
                return
            self._refuse(UNAVAILABLE, "the stream was cancelled by the server")
            raise
        except Exception:
            if not self._is_ended:
                log.exception("stream failed by a bug", method=self.head.method_path)
            self._refuse(INTERNAL, BUG)
        else:
            if not self._is_ended:
                if not self.is_answered:
                    self.connection.send_headers(self, status.OPENING)
                self.connection.send_end(self, status.CLOSING_OK)
                self._ended(0)
