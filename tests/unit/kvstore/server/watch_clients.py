"""Watch streams over the real HTTP/2 core without sockets: clients that keep their own account of windows.

`Script` plays the same steps in a world where batches go to many streams at once, and in one where they never do.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator
from typing import Any

from kvstore.auth.store import AuthStore
from kvstore.base.tasks import Supervisor
from kvstore.lease.lessor import Lessor
from kvstore.machine.commands import Compact, encode
from kvstore.machine.machine import StateMachine
from kvstore.pb import rpc_pb2 as pb
from kvstore.server.calls import CallCounts
from kvstore.server.encode import Encoder
from kvstore.server.header import Header
from kvstore.server.watch import WatchServicer
from kvstore.service.guard import Guard
from kvstore.service.watch.hub import WatchHub
from kvstore.wire.engine import CallContext, DirectSend, Handlers, Send
from kvstore.wire.h2 import frames
from kvstore.wire.h2.calls import CallService, Peer
from kvstore.wire.h2.connection import Connection
from kvstore.wire.h2.deadlines import Deadlines
from kvstore.wire.h2.hpack import encode_plain
from kvstore.wire.h2.messages import Assembler
from kvstore.wire.h2.routing import CallHead, Router
from kvstore.wire.h2.streaming import StreamCall

WATCH = "/etcdserverpb.Watch/Watch"
BLOCK = encode_plain(
    [
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", WATCH.encode()),
        (b"te", b"trailers"),
        (b"content-type", b"application/grpc"),
    ]
)


class Alone:
    """A `DirectSend` of a stream that is always served alone."""

    fan = target = None

    def __init__(self, send: DirectSend) -> None:
        self.now, self.on_room, self._send = send.now, send.on_room, send

    def __call__(self, message: bytes) -> Any:
        return self._send(message)


class World:
    """A member's watch half and its clients' connections."""

    def __init__(self, *, is_shared: bool = True, max_response_bytes: int = 1 << 20) -> None:
        self.machine = StateMachine()
        self.hub = WatchHub(self.machine)
        header = Header(1, 2, term=lambda: 3, revision=lambda: self.machine.revision)
        guard = Guard(AuthStore(), Lessor(), None, trusts_certificates=False)  # type: ignore[arg-type]
        self.servicer = WatchServicer(
            self.hub, header, Encoder(), guard, max_response_bytes=max_response_bytes
        )
        self.counts = CallCounts().method(WATCH, is_stream=True)
        self._is_shared = is_shared
        self._index = itertools.count(1)
        self.tasks = Supervisor("test")
        loop = asyncio.get_running_loop()
        self.service = CallService(loop, self.tasks, Deadlines(loop), lambda *_: None, 1 << 20)
        self.router = Router(Handlers(stream={WATCH: self._watch}))

    async def _watch(
        self, requests: AsyncIterator[bytes], send: Send, context: CallContext
    ) -> None:
        assert isinstance(send, DirectSend)
        counted = self.counts.send(send if self._is_shared else Alone(send))
        await self.servicer.watch(requests, counted, context)

    def apply(self, *commands: Any) -> None:
        """Entries that were agreed on, each of one command."""
        for command in commands:
            self.hub.on_applied(self.machine.apply(next(self._index), [encode(command)]))

    async def settle(self) -> None:
        """Let everything run that can."""
        for _ in range(12):
            await asyncio.sleep(0)

    async def end(self) -> None:
        """Stop all handlers."""
        await self.tasks.stop(timeout_seconds=1)


class Client:
    """One connection. Asserts that no window is overrun and no frame is too long."""

    def __init__(self, world: World, window: int = 1 << 20) -> None:
        self._world = world
        self.connection: Connection[CallHead] = Connection(
            world.router.convert, self._open, lambda: 0.0
        )
        self._initial = window
        self._windows: dict[int, int] = {0: frames.DEFAULT_WINDOW}
        self._bodies: dict[int, Assembler] = {}
        self._messages: dict[int, list[pb.WatchResponse]] = {}
        self.data_frames = 0
        hello = frames.pack_settings({frames.INITIAL_WINDOW_SIZE: window})
        self.connection.receive(frames.PREFACE + hello)

    def _open(self, connection: Connection[CallHead], stream_id: int, head: CallHead) -> StreamCall:
        return StreamCall(connection, stream_id, head, self._world.service, Peer())

    def watch(self, stream_id: int, *creates: pb.WatchCreateRequest) -> None:
        """A new stream with watches."""
        self._windows[stream_id] = self._initial
        self._bodies[stream_id] = Assembler(1 << 24)
        self._messages[stream_id] = []
        frame = frames.pack_frame(frames.HEADERS, frames.END_HEADERS, stream_id, BLOCK)
        self.connection.receive(frame)
        for create in creates:
            self.send(stream_id, pb.WatchRequest(create_request=create))

    def send(self, stream_id: int, request: pb.WatchRequest) -> None:
        """One more request."""
        data = request.SerializeToString()
        data = b"\0" + len(data).to_bytes(4, "big") + data
        self.connection.receive(frames.pack_frame(frames.DATA, 0, stream_id, data))

    def credit(self, stream_id: int, size: int) -> None:
        """Open a window, 0 = the connection's."""
        self._windows[stream_id] += size
        self.connection.receive(frames.pack_window_update(stream_id, size))

    def block(self, is_blocked: bool) -> None:
        """Let the socket be full, or take more."""
        self.connection.can_write = not is_blocked
        if not is_blocked:
            self.connection.pump_all()

    def close(self) -> None:
        """Lose the connection."""
        self.connection.close()

    def read(self, stream_id: int) -> list[pb.WatchResponse]:
        """All that the stream has had."""
        data = self.connection.take_output()
        while data:
            high, low, kind, _, number = frames.FRAME_HEADER.unpack_from(data)
            size = high << 8 | low
            assert size <= frames.MIN_MAX_FRAME
            if kind == frames.DATA:
                self.data_frames += 1
                self._windows[0] -= size
                self._windows[number] -= size
                assert self._windows[0] >= 0
                assert self._windows[number] >= 0
                for message in self._bodies[number].feed(data, 9, 9 + size):
                    self._messages[number].append(pb.WatchResponse.FromString(message))
            data = data[9 + size :]
        return self._messages[stream_id]

    def revisions(self, stream_id: int, watch_id: int | None = None) -> list[int]:
        """Of all events, of one watch or all."""
        return [
            event.kv.mod_revision
            for one in self.read(stream_id)
            if watch_id is None or one.watch_id == watch_id
            for event in one.events
        ]


def create(key: bytes, range_end: bytes = b"", **options: Any) -> pb.WatchCreateRequest:
    """What to watch."""
    return pb.WatchCreateRequest(key=key, range_end=range_end, **options)


class Script:
    """The same steps in one world: four streams on two connections."""

    def __init__(self, *, is_shared: bool, window: int) -> None:
        self.world = World(is_shared=is_shared)
        self.clients = [Client(self.world, window) for _ in range(2)]

    def at(self, number: int) -> tuple[Client, int]:
        return self.clients[number % 2], 1 + 2 * (number // 2)

    async def play(self, steps: list[tuple[Any, ...]]) -> None:
        for number in range(4):
            client, stream_id = self.at(number)
            client.watch(stream_id, create(b"a", b"c"))
        for name, *rest in steps:
            if name == "settle":
                await self.world.settle()
            else:
                getattr(self, "_" + name)(*rest)
        await self.world.settle()
        for client in self.clients:
            client.credit(0, 1 << 24)
            for stream_id in (1, 3):
                client.credit(stream_id, 1 << 24)
            client.block(False)
        await self.world.settle()

    def _apply(self, command: Any) -> None:
        self.world.apply(command)

    def _create(self, number: int, key_range: tuple[bytes, bytes], kind: str) -> None:
        client, stream_id = self.at(number)
        revision = self.world.machine.revision
        options: dict[str, Any] = {
            "prev": {"prev_kv": True},
            "past": {"start_revision": max(1, revision - 2)},
            "future": {"start_revision": revision + 3},
            "no_put": {"filters": [pb.WatchCreateRequest.NOPUT]},
            "no_delete": {"filters": [pb.WatchCreateRequest.NODELETE]},
            "progress": {"progress_notify": True},
        }.get(kind, {})
        request = pb.WatchRequest(create_request=create(*key_range, **options))
        client.send(stream_id, request)

    def _cancel(self, number: int, watch_id: int) -> None:
        client, stream_id = self.at(number)
        request = pb.WatchCancelRequest(watch_id=watch_id)
        client.send(stream_id, pb.WatchRequest(cancel_request=request))

    def _progress(self, number: int) -> None:
        client, stream_id = self.at(number)
        client.send(stream_id, pb.WatchRequest(progress_request=pb.WatchProgressRequest()))

    def _credit(self, number: int, size: int) -> None:
        client, stream_id = self.at(number)
        client.credit(stream_id, size)

    def _block(self, number: int, is_blocked: bool) -> None:
        self.clients[number].block(is_blocked)

    def _tick(self) -> None:
        self.world.hub.progress_tick()

    def _compact(self) -> None:
        revision = self.world.machine.revision - 1
        if revision > self.world.machine.compact_revision:
            self.world.apply(Compact(revision))

    def heard(self) -> list[list[pb.WatchResponse]]:
        found = []
        for number in range(4):
            client, stream_id = self.at(number)
            found.append(client.read(stream_id))
        return found


def play(steps: list[tuple[Any, ...]], *, is_shared: bool, window: int) -> Script:
    async def run() -> Script:
        script = Script(is_shared=is_shared, window=window)
        await script.play(steps)
        await script.world.end()
        return script

    return asyncio.run(run())
