"""Unary calls, without a task each.

A handler is stepped by hand: its first step runs where its message was read, and most that read local state are done by
then. One that waits goes on from the callback of what it waits for. While it runs it is the loop's current task, in the
way that asyncio documents for task implementations of others ("Extending"), so that `asyncio.timeout` and `TaskGroup`
work inside; only being awaited by others is left out. Contexts are copied a call, as tasks do.
"""

import asyncio
import contextvars
from typing import Any

from kvstore.base.log import get_logger
from kvstore.wire.engine import CANCELLED, INTERNAL, UNAVAILABLE, WireError
from kvstore.wire.h2 import status
from kvstore.wire.h2.calls import BUG, Call, CallService, Peer
from kvstore.wire.h2.connection import Connection
from kvstore.wire.h2.messages import PREFIX, PREFIX_BYTES
from kvstore.wire.h2.routing import CallHead

log = get_logger("kvstore.wire.h2")

_enter_task: Any = asyncio.tasks._enter_task
_leave_task: Any = asyncio.tasks._leave_task


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
            self._fail(INTERNAL, BUG)
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
