"""gRPC without gRPC: channels that carry calls over the simulated network to a member's handlers.

`SimChannel` has the part of `grpc.aio.Channel` that the store's client and its members' own calls use, and fails with
the same errors: UNAVAILABLE when nobody listens or the connection breaks, DEADLINE_EXCEEDED when time is up, whatever
became of the request. A stream has a window: a server whose client does not read waits in `send`. Every other stream is
served as our own front does it, by a `DirectSend` that tells whether there is room, the rest as grpcio does it.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import grpc
import grpc.aio

from kvstore.testing.sim.loop import Process, SimLoop
from kvstore.testing.sim.network import SimNetwork
from kvstore.wire.engine import Handlers, WireError

_CODES = {code.value[0]: code for code in grpc.StatusCode}
_WINDOW = 16
"""Messages of a stream that are on their way or unread."""
_RETRY_SECONDS = 0.3
_EOF: Any = grpc.aio.EOF  # type: ignore[attr-defined]


def _error(code: int, text: str) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(
        _CODES[code], grpc.aio.Metadata(), grpc.aio.Metadata(), details=text, debug_error_string=""
    )


class ServedMember:
    """The client port of one boot of a member."""

    def __init__(self, process: Process, handlers: Handlers) -> None:
        self.process, self.handlers = process, handlers


class RpcWorld:
    """Who serves where; shared by all channels."""

    def __init__(self, loop: SimLoop, network: SimNetwork) -> None:
        self.loop, self.network = loop, network
        self.served: dict[str, ServedMember] = {}
        self.on_bug: Callable[[str, BaseException], None] = lambda path, error: None
        self.calls: dict[_Call, None] = {}
        self.stream_count = 0
        """Streams that handlers have been given so far."""

    def channel(self, source: str, target: str) -> "SimChannel":
        """A channel of `source` to the member `target`."""
        return SimChannel(self, source, target)

    def drop(self, process: Process, *, silently: bool) -> None:
        """A member died: its calls break, at once if its kernel can say so."""
        for call in list(self.calls):
            if call.process is process:
                call.broke(silently=silently)


class _Context:
    """`CallContext` of a call."""

    def __init__(self, metadata: dict[str, str], peer: str) -> None:
        self._metadata, self.peer = metadata, peer
        self.common_name = ""

    def metadata(self, name: str) -> str | None:
        return self._metadata.get(name)


class _Call:
    """One call, from both sides. Messages keep their order in each direction."""

    def __init__(self, channel: "SimChannel", path: str, metadata: Any, is_stream: bool) -> None:
        self.world, self.source, self.target = channel.world, channel.source, channel.target
        self.path, self.is_stream = path, is_stream
        self._metadata = dict(metadata or ())
        self.process: Process | None = None
        self._task: asyncio.Task[Any] | None = None
        self._ready = {self.source: 0.0, self.target: 0.0}
        self._under_way: dict[str, deque[Callable[[], None]]] = {
            self.source: deque(),
            self.target: deque(),
        }
        self.done: asyncio.Future[None] = self.world.loop.create_future()
        self.replies: deque[bytes] = deque()
        self.news = asyncio.Event()
        self._requests: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._unread = 0
        self._room = asyncio.Event()
        self._is_full = False
        self.on_room: Callable[[], None] | None = None
        self.world.calls[self] = None

    # The way there and back

    def _carry(self, source: str, target: str, deliver: Callable[[], None]) -> None:
        """Call `deliver` at `target`, in order, once the way is open."""
        network, loop = self.world.network, self.world.loop
        at = max(self._ready[target], loop.time() + network.delay(source, target))
        self._ready[target] = at
        under_way = self._under_way[target]
        under_way.append(deliver)

        def arrive() -> None:
            if network.link(source, target).is_cut:
                self._ready[target] = max(self._ready[target], loop.time() + _RETRY_SECONDS)
                loop.call_at(self._ready[target], arrive, context=context)
                return
            # The oldest: one that was tried again while the link was cut must not be overtaken when it is mended.
            oldest = under_way.popleft()
            if target not in network.dark:
                oldest()

        process = self.process if target == self.target else None
        context = process.context if process is not None else network.neutral
        loop.call_at(at, arrive, context=context)

    def begin(self, first: bytes | None) -> None:
        """Client: send the call."""
        self._carry(self.source, self.target, lambda: self._reach(first))

    def request(self, data: bytes | None) -> None:
        """Client: one more message; None = no more."""
        self._carry(self.source, self.target, lambda: self._requests.put_nowait(data))

    def _reach(self, first: bytes | None) -> None:
        served = self.world.served.get(self.target)
        if served is None or served.process.is_dead:
            self._back(lambda: self.fail(14, "failed to connect to all addresses"))
            return
        self.process = served.process
        coro = self._serve_stream(served) if self.is_stream else self._serve(served, first or b"")
        self._task = self.world.loop.spawn(served.process, coro, f"call/{self.path}")

    def _back(self, deliver: Callable[[], None]) -> None:
        self._carry(self.target, self.source, deliver)

    async def _serve(self, served: ServedMember, data: bytes) -> None:
        handler = served.handlers.unary.get(self.path)
        if handler is None:
            self._back(lambda: self.fail(12, "unknown method"))
            return
        try:
            answer = await handler(data, _Context(self._metadata, self.source))
        except WireError as error:
            code, text = error.code, error.message
            self._back(lambda: self.fail(code, text))
        except Exception as error:
            self.world.on_bug(self.path, error)
            self._back(lambda: self.fail(13, "internal"))
        else:
            self._back(lambda: self._take(answer, is_last=True))

    async def _serve_stream(self, served: ServedMember) -> None:
        handler = served.handlers.stream.get(self.path)
        if handler is None:
            self._back(lambda: self.fail(12, "unknown method"))
            return
        try:
            self.world.stream_count += 1
            send = _Direct(self) if self.world.stream_count % 2 else self.send
            await handler(self._iterate(), send, _Context(self._metadata, self.source))
        except WireError as error:
            code, text = error.code, error.message
            self._back(lambda: self.fail(code, text))
        except Exception as error:
            self.world.on_bug(self.path, error)
            self._back(lambda: self.fail(13, "internal"))
        else:
            self._back(self.end)

    async def _iterate(self) -> AsyncIterator[bytes]:
        while (data := await self._requests.get()) is not None:
            yield data

    async def send(self, data: bytes) -> None:
        """Server: send; returns when the client has room for it."""
        while self._unread >= _WINDOW:
            self._room.clear()
            await self._room.wait()
        self._unread += 1
        self._back(lambda: self._take(data, is_last=False))

    def has_room(self, count: int) -> bool:
        """Server: whether the client has room for so many messages and one more."""
        return self._unread + count < _WINDOW

    def send_now(self, data: bytes) -> bool:
        """Server: send; False if nothing should follow before `on_room`."""
        self._unread += 1
        self._back(lambda: self._take(data, is_last=False))
        self._is_full = self._unread >= _WINDOW
        return not self._is_full

    # What the client sees

    def _take(self, data: bytes, *, is_last: bool) -> None:
        if not self.done.done():
            self.replies.append(data)
            self.news.set()
            if is_last:
                self.end()

    def was_read(self) -> None:
        """Client: a message was taken; the server has room for another."""

        def room() -> None:
            self._unread -= 1
            self._room.set()
            if self._is_full and self.on_room is not None:
                self._is_full = False
                self.on_room()

        if self.process is not None and not self.done.done():
            self._carry(self.source, self.target, room)

    def end(self) -> None:
        """The call ended well."""
        if not self.done.done():
            self.done.set_result(None)
        self._ended()

    def fail(self, code: int, text: str) -> None:
        """The call ended badly."""
        if not self.done.done():
            self.done.set_exception(_error(code, text))
            self.done.exception()
        self._ended()

    def _ended(self) -> None:
        self.world.calls.pop(self, None)
        self.news.set()

    def cancel(self) -> None:
        """Client: no longer interested; the server learns of it."""
        was_open = not self.done.done()
        self.fail(1, "Locally cancelled by application!")
        if was_open:
            self._carry(self.source, self.target, self._cancel_there)

    def _cancel_there(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def time_is_up(self) -> None:
        """Client: the deadline passed."""
        if not self.done.done():
            self.fail(4, "Deadline Exceeded")
            self._carry(self.source, self.target, self._cancel_there)

    def broke(self, *, silently: bool) -> None:
        """The member died. Without its kernel's word pings find out."""
        network, loop = self.world.network, self.world.loop
        seconds = 9.0 if silently else network.delay(self.target, self.source)
        if network.link(self.target, self.source).is_cut:
            seconds = 9.0
        loop.call_later(seconds, lambda: self.fail(14, "Socket closed"), context=network.neutral)


class _Fan:
    """`kvstore.wire.engine.Fan` of all calls."""

    def send(self, targets: Sequence[_Call], messages: Sequence[bytes]) -> list[int]:
        refused = []
        for position, call in enumerate(targets):
            if call.has_room(len(messages)):
                for message in messages:
                    call.send_now(message)
            else:
                refused.append(position)
        return refused


class _Direct:
    """`kvstore.wire.engine.DirectSend` of a call."""

    fan = _Fan()

    def __init__(self, call: _Call) -> None:
        self.target = call
        self.now = call.send_now

    def __call__(self, message: bytes) -> Awaitable[None]:
        return self.target.send(message)

    def on_room(self, callback: Callable[[], None]) -> None:
        self.target.on_room = callback


class SimChannel:
    """A channel from one host to another as gRPC's client code uses it; calls go over the simulated network."""

    def __init__(self, world: RpcWorld, source: str, target: str) -> None:
        self.world, self.source, self.target = world, source, target
        self._is_closed = False

    def unary_unary(
        self, path: str, request_serializer: Any = None, response_deserializer: Any = None, **_: Any
    ) -> Any:
        """A callable of a unary method."""

        async def call(
            request: Any, timeout: float | None = None, metadata: Any = None, **_: Any
        ) -> Any:
            if self._is_closed:
                raise grpc.aio.UsageError("Channel is closed.")
            data = request_serializer(request) if request_serializer else request
            one = _Call(self, path, metadata, False)
            timer = self._timer(one, timeout)
            one.begin(data)
            try:
                await asyncio.shield(one.done)
            except asyncio.CancelledError:
                one.cancel()
                raise
            finally:
                if timer is not None:
                    timer.cancel()
            answer = one.replies.popleft()
            return response_deserializer(answer) if response_deserializer else answer

        return call

    def stream_stream(
        self, path: str, request_serializer: Any = None, response_deserializer: Any = None, **_: Any
    ) -> Any:
        """A callable of a method with streams in both directions."""

        def call(
            requests: Any = None, timeout: float | None = None, metadata: Any = None, **_: Any
        ) -> SimStream:
            if self._is_closed:
                raise grpc.aio.UsageError("Channel is closed.")
            one = _Call(self, path, metadata, True)
            stream = SimStream(one, request_serializer, response_deserializer)
            self._timer(one, timeout)
            one.begin(None)
            if requests is not None:
                stream.feed(requests)
            return stream

        return call

    unary_stream = stream_stream

    def _timer(self, call: _Call, timeout: float | None) -> Any:
        if timeout is None:
            return None
        return self.world.loop.call_later(max(0.0, timeout), call.time_is_up)

    async def close(self, grace: float | None = None) -> None:
        """Refuse further calls."""
        self._is_closed = True


class SimStream:
    """The client's end of a stream."""

    def __init__(self, call: _Call, serialize: Any, deserialize: Any) -> None:
        self._call = call
        self._serialize, self._deserialize = serialize, deserialize
        self._feeder: asyncio.Task[None] | None = None

    def feed(self, requests: Any) -> None:
        """Send what an (async) iterator yields."""

        async def run() -> None:
            if hasattr(requests, "__aiter__"):
                async for request in requests:
                    await self.write(request)
            await self.done_writing()

        self._feeder = self._call.world.loop.create_task(run())

    async def write(self, request: Any) -> None:
        """Send one message."""
        if self._call.done.done():
            raise asyncio.InvalidStateError("RPC already finished.")
        self._call.request(self._serialize(request) if self._serialize else request)

    async def done_writing(self) -> None:
        """Half-close."""
        if not self._call.done.done():
            self._call.request(None)

    async def read(self) -> Any:
        """The next message, or EOF; raises the call's error."""
        call = self._call
        while not call.replies:
            if call.done.done():
                error = call.done.exception()
                if error is None:
                    return _EOF
                if error.code() == grpc.StatusCode.CANCELLED:  # type: ignore[attr-defined]
                    raise asyncio.CancelledError
                raise error
            call.news.clear()
            await call.news.wait()
        data = call.replies.popleft()
        call.was_read()
        return self._deserialize(data) if self._deserialize else data

    def cancel(self) -> bool:
        """End the call."""
        if self._feeder is not None:
            self._feeder.cancel()
        self._call.cancel()
        return True
