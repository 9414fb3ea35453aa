"""gRPC calls as streams: unary ones without a task, streaming ones with one.

A unary handler is stepped by hand: its first step runs where its message was read, and most that read local state are
done by then. One that waits goes on from the callback of what it waits for. While it runs it is the loop's current task
in the way that asyncio documents for task implementations of others ("Extending"), so `asyncio.timeout` and `TaskGroup`
work inside; only being awaited by others is left out. Contexts are copied a call, as tasks do.
"""

import asyncio
import base64
import binascii
import contextvars
from collections import deque
from dataclasses import dataclass
from typing import Any

from kvstore.base.log import get_logger
from kvstore.base.tasks import Supervisor
from kvstore.wire.engine import (
    CANCELLED,
    DEADLINE_EXCEEDED,
    INTERNAL,
    RESOURCE_EXHAUSTED,
    UNAVAILABLE,
    OnHandled,
    WireError,
)
from kvstore.wire.h2 import status
from kvstore.wire.h2.connection import Connection
from kvstore.wire.h2.deadlines import Deadlines
from kvstore.wire.h2.messages import PREFIX, PREFIX_BYTES, Assembler
from kvstore.wire.h2.routing import CallHead
from kvstore.wire.h2.stream import Stream

log = get_logger("kvstore.wire.h2")

_enter_task: Any = asyncio.tasks._enter_task
_leave_task: Any = asyncio.tasks._leave_task

_BUG = "internal error, see the member's log"
_LATE = "context deadline exceeded"
_QUEUED_BYTES = 64 * 1024
"""Requests of a stream that wait to be taken; beyond, the client gets no more window."""


@dataclass(slots=True)
class Peer:
    """Who is at the other end of a connection."""

    address: str = ""
    common_name: str = ""


@dataclass(slots=True)
class CallService:
    """What all calls of a front share."""

    loop: asyncio.AbstractEventLoop
    tasks: Supervisor
    deadlines: Deadlines
    on_handled: OnHandled
    max_message_bytes: int


class Call(Stream):
    """What both kinds have in common; also what a handler sees of its call."""

    __slots__ = (
        "_assembler",
        "_held",
        "_is_ended",
        "_partial",
        "_peer",
        "_service",
        "_slot",
        "head",
    )

    def __init__(
        self,
        connection: Connection[CallHead],
        stream_id: int,
        head: CallHead,
        service: CallService,
        peer: Peer,
    ) -> None:
        super().__init__(connection, stream_id)
        self.head = head
        self._service = service
        self._peer = peer
        self._slot = 0
        self._assembler: Assembler | None = None
        self._is_ended = False
        self._held = 0
        self._partial = 0

    def metadata(self, name: str) -> str | None:
        """A header by lower-case name; a binary one is decoded, each byte a character."""
        value = self.head.value(name.encode())
        if value is None:
            return None
        if name.endswith("-bin"):
            value = decode_binary(value)
        return value.decode("latin-1")

    @property
    def peer(self) -> str:
        """Where the call comes from."""
        return self._peer.address

    @property
    def common_name(self) -> str:
        """The common name of the client's verified certificate; empty without one."""
        return self._peer.common_name

    def on_deadline(self) -> None:
        """Answer for the handler, and stop it."""
        if not self._is_ended:
            self._refuse(DEADLINE_EXCEEDED, _LATE)
            self._cancel_handler()

    def _cancel_handler(self) -> None:
        raise NotImplementedError

    def _watch_deadline(self) -> bool:
        """Note the call's deadline; false if it has passed already."""
        seconds = self.head.timeout
        if seconds is not None:
            if seconds <= 0:
                self._refuse(DEADLINE_EXCEEDED, _LATE)
                return False
            self._slot = self._service.deadlines.add(self, seconds)
        return True

    def _ended(self, code: int) -> None:
        if self._is_ended:
            # A client may reset a call whose answer is still on its way out.
            return
        self._is_ended = True
        if self._slot:
            self._service.deadlines.remove(self, self._slot)
        if self._held:
            self.connection.budget.give(self._held)
            self._held = 0
        self._service.on_handled(self.head.method_path, self.head.stream is not None, code)

    def _refuse(self, code: int, message: str) -> None:
        """End the call with a status, unless it has ended."""
        if self._is_ended:
            return
        if self.is_answered:
            self.connection.send_end(self, status.closing(code, message))
        else:
            self.connection.send_end(self, status.refusal(code, message))
        self._ended(code)

    def _assemble(self, data: bytes, start: int, stop: int) -> list[bytes]:
        """Whole messages; what is not whole counts against the connection's budget."""
        assembler = self._assembler
        if assembler is None:
            assembler = self._assembler = Assembler(
                self._service.max_message_bytes, is_gzip=self.head.is_gzip
            )
        messages = assembler.feed(data, start, stop)
        partial = assembler.held_bytes
        self._hold(partial - self._partial)
        self._partial = partial
        return messages

    def _hold(self, more: int) -> None:
        budget = self.connection.budget
        if more < 0:
            budget.give(-more)
        elif more and not budget.take(more):
            raise WireError(RESOURCE_EXHAUSTED, "grpc: too many bytes of unfinished requests")
        self._held += more


class RefusedCall(Call):
    """A call that its headers refuse."""

    __slots__ = ()

    def on_open(self, is_end: bool) -> None:
        """Answer at once."""
        # Not counted: a path that nobody serves would become a label of the metrics.
        self._is_ended = True
        refused = self.head.refused
        if refused is not None:
            self.connection.send_end(self, refused)

    def _cancel_handler(self) -> None:
        pass


class UnaryCall(Call):
    """One message in, one out. Also the task that its handler runs in."""

    __slots__ = ("_cancelling", "_context", "_coroutine", "_must_cancel", "_request", "_waits_for")

    def __init__(
        self,
        connection: Connection[CallHead],
        stream_id: int,
        head: CallHead,
        service: CallService,
        peer: Peer,
    ) -> None:
        super().__init__(connection, stream_id, head, service, peer)
        self._coroutine: Any = None
        self._request: bytes | None = None
        self._waits_for: Any = None
        self._context: contextvars.Context | None = None
        self._must_cancel = False
        self._cancelling = 0

    def on_open(self, is_end: bool) -> None:
        """Note the deadline; a call without a message is refused."""
        if self.head.timeout is not None and not self._watch_deadline():
            return
        if is_end:
            self.on_end()

    def on_data(self, data: bytes, start: int, stop: int, is_end: bool) -> None:
        """Start when the message is whole and the client has said that no more follows."""
        if is_end and self._assembler is None and stop - start >= PREFIX_BYTES:
            flag, length = PREFIX.unpack_from(data, start)
            if not flag and length == stop - start - PREFIX_BYTES:
                self._start(data[start + PREFIX_BYTES : stop])
                return
        try:
            # As with grpc-go, the first message is the request; what follows is read and dropped.
            if self._request is None:
                messages = self._assemble(data, start, stop)
                if messages:
                    self._request, self._assembler = messages[0], None
                    self._hold(len(self._request) - self._partial)
                    self._partial = 0
        except WireError as error:
            self._refuse(error.code, error.message)
            return
        if is_end:
            self.on_end()
        else:
            self.connection.credit(self, stop - start)

    def on_end(self) -> None:
        """The client has sent all."""
        try:
            if self._assembler is not None:
                self._assembler.finish()
            if self._request is None:
                raise WireError(
                    INTERNAL, "cardinality violation: received no request message from a unary call"
                )
        except WireError as error:
            self._refuse(error.code, error.message)
            return
        request, self._request, self._assembler = self._request, None, None
        self._start(request)

    def on_reset(self, code: int) -> None:
        """Nobody waits for the answer any more."""
        self._ended(CANCELLED)
        self.cancel()

    def _cancel_handler(self) -> None:
        self.cancel()

    def _start(self, request: bytes) -> None:
        handler = self.head.unary
        if handler is None:
            raise RuntimeError("a unary call without a handler")
        self._coroutine = handler(request, self)
        self._context = contextvars.copy_context()
        self._context.run(self._step)

    def _step(self) -> None:
        """Run the handler until it waits or ends."""
        loop = self._service.loop
        self._waits_for = None
        _enter_task(loop, self)
        try:
            if self._must_cancel:
                self._must_cancel = False
                waits_for = self._coroutine.throw(asyncio.CancelledError())
            else:
                waits_for = self._coroutine.send(None)
        except StopIteration as stop:
            self._coroutine = None
            if not self._is_ended:
                self._succeed(stop.value)
        except WireError as error:
            self._fail(error.code, error.message)
        except asyncio.CancelledError:
            self._fail(UNAVAILABLE, "the call was cancelled by the server")
        except Exception:
            if not self._is_ended:
                log.exception("call failed by a bug", method=self.head.method_path)
            self._fail(INTERNAL, _BUG)
        else:
            self._wait_for(waits_for)
        finally:
            _leave_task(loop, self)

    def _wait_for(self, future: Any) -> None:
        if future is None:
            self._service.loop.call_soon(self._step, context=self._context)
            return
        if not getattr(future, "_asyncio_future_blocking", False):
            raise RuntimeError(f"a handler waits for {future!r}, which is no future of asyncio's")
        future._asyncio_future_blocking = False
        future.add_done_callback(self._wake, context=self._context)
        self._waits_for = future
        if self._must_cancel and future.cancel():
            self._must_cancel = False

    def _wake(self, _: Any) -> None:
        self._step()

    def _succeed(self, response: bytes) -> None:
        self.connection.answer(
            self,
            status.OPENING,
            PREFIX.pack(0, len(response)),
            response,
            status.CLOSING_OK,
        )
        self._ended(0)

    def _fail(self, code: int, message: str) -> None:
        self._coroutine = None
        self._refuse(code, message)

    # A task, for those who ask the loop for the current one.

    def cancel(self, msg: object = None) -> bool:
        """Throw CancelledError into the handler where it waits."""
        if self._coroutine is None:
            return False
        self._cancelling += 1
        if self._waits_for is not None and self._waits_for.cancel():
            return True
        self._must_cancel = True
        return True

    def cancelling(self) -> int:
        """How often it was cancelled and not uncancelled."""
        return self._cancelling

    def uncancel(self) -> int:
        """Take one cancellation back."""
        if self._cancelling:
            self._cancelling -= 1
        return self._cancelling

    def done(self) -> bool:
        """Whether the handler has ended."""
        return self._coroutine is None

    def get_name(self) -> str:
        """The method."""
        return self.head.method_path

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """The loop that it runs on."""
        return self._service.loop

    def get_coro(self) -> Any:
        """The handler's coroutine, None when it has ended."""
        return self._coroutine


class StreamCall(Call):
    """Messages both ways, at once."""

    __slots__ = ("_drained", "_has_more", "_messages", "_owed", "_queued_bytes", "_task")

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
        self._has_more: asyncio.Future[None] | None = None
        self._drained: list[asyncio.Future[None]] = []
        self._task: asyncio.Task[None] | None = None

    def on_open(self, is_end: bool) -> None:
        """Start the handler."""
        if not self._watch_deadline():
            return
        if is_end:
            self._messages.append(None)
        self._task = self._service.tasks.start(self._run(), self.head.method_path)

    def on_data(self, data: bytes, start: int, stop: int, is_end: bool) -> None:
        """Queue what is whole; give the window back unless the handler lags behind."""
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
            await self._has_more
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
            await handler(self, self.send, self)
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
            self._refuse(INTERNAL, _BUG)
        else:
            if not self._is_ended:
                if not self.is_answered:
                    self.connection.send_headers(self, status.OPENING)
                self.connection.send_end(self, status.CLOSING_OK)
                self._ended(0)


def decode_binary(value: bytes) -> bytes:
    """A -bin header: base64 with or without padding. What is none stays as it is."""
    try:
        return base64.b64decode(value + b"=" * (-len(value) % 4), validate=True)
    except binascii.Error:
        return value
