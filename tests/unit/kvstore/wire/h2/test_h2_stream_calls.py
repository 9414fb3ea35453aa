"""Stream calls over the connection core: what the client sends reaches the handler whole, once and in order."""

import asyncio
import gzip
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.base.tasks import Supervisor
from kvstore.wire.engine import CallContext, Handlers, Send, WireError
from kvstore.wire.h2 import frames
from kvstore.wire.h2.calls import CallService, Peer
from kvstore.wire.h2.connection import Connection
from kvstore.wire.h2.deadlines import Deadlines
from kvstore.wire.h2.hpack import encode_plain
from kvstore.wire.h2.routing import CallHead, Router
from kvstore.wire.h2.streaming import StreamCall

HEADERS = [
    (b":method", b"POST"),
    (b":scheme", b"http"),
    (b":path", b"/a.B/C"),
    (b"te", b"trailers"),
    (b"content-type", b"application/grpc"),
    (b"grpc-encoding", b"gzip"),
]


class Member:
    """One connection with one stream, whose handler notes what comes."""

    def __init__(self, max_message_bytes: int = 1 << 20) -> None:
        self.heard: list[bytes] = []
        self.pause: asyncio.Event | None = None
        self.error: WireError | None = None
        self.is_ended = False
        self._tasks = Supervisor("test")
        loop = asyncio.get_running_loop()
        service = CallService(
            loop, self._tasks, Deadlines(loop), lambda *_: None, max_message_bytes
        )

        def opened(connection: Connection[CallHead], number: int, head: CallHead) -> StreamCall:
            return StreamCall(connection, number, head, service, Peer())

        router = Router(Handlers(stream={"/a.B/C": self._handle}))
        self.connection: Connection[CallHead] = Connection(router.convert, opened, loop.time)
        self.connection.receive(frames.PREFACE + frames.pack_settings({}))
        block = encode_plain(HEADERS)
        self.send(frames.HEADERS, frames.END_HEADERS, block)

    async def _handle(
        self, requests: AsyncIterator[bytes], send: Send, context: CallContext
    ) -> None:
        try:
            async for message in requests:
                self.heard.append(message)
                if self.pause is not None:
                    await self.pause.wait()
        except WireError as error:
            self.error = error
            raise
        self.is_ended = True

    def send(self, kind: int, flags: int, payload: bytes) -> None:
        self.connection.receive(frames.pack_frame(kind, flags, 1, payload))

    async def settle(self) -> None:
        for _ in range(6):
            await asyncio.sleep(0)

    async def end(self) -> None:
        await self._tasks.stop(timeout_seconds=1)


def packed(message: bytes, *, is_gzip: bool = False) -> bytes:
    body = gzip.compress(message) if is_gzip else message
    return bytes([is_gzip]) + len(body).to_bytes(4, "big") + body


messages = st.lists(st.tuples(st.binary(max_size=40), st.booleans()), max_size=8)
cuts = st.lists(st.tuples(st.integers(1, 60), st.booleans()), max_size=30)


@given(messages, cuts, st.booleans())
def test_messages_arrive_as_they_were_sent_however_frames_cut_them(
    sent: list[tuple[bytes, bool]], cuts: list[tuple[int, bool]], is_end_apart: bool
) -> None:
    async def run() -> None:
        member = Member()
        body = b"".join(packed(message, is_gzip=is_gzip) for message, is_gzip in sent)
        for size, is_pause in cuts:
            piece, body = body[:size], body[size:]
            if is_pause:
                await member.settle()
            if piece:
                member.send(frames.DATA, 0, piece)
        if is_end_apart and body:
            member.send(frames.DATA, 0, body)
            body = b""
        member.send(frames.DATA, frames.END_STREAM, body)
        await member.settle()
        await member.settle()
        assert member.heard == [message for message, _ in sent]
        assert member.is_ended
        assert member.connection.budget.held == 0
        await member.end()

    asyncio.run(run())


async def test_a_message_for_a_handler_that_waits_is_handed_over_and_the_next_is_kept() -> None:
    member = Member()
    await member.settle()
    member.pause = asyncio.Event()
    for message in (b"one", b"two", b"three"):
        member.send(frames.DATA, 0, packed(message))
    # The first belongs to the handler; the others count against what the connection may hold.
    assert member.connection.budget.held == len(b"twothree")
    await member.settle()
    assert member.heard == [b"one"]
    member.pause.set()
    await member.settle()
    assert member.heard == [b"one", b"two", b"three"]
    assert member.connection.budget.held == 0
    await member.end()


async def test_the_client_gets_back_the_window_of_what_is_handed_over() -> None:
    member = Member()
    await member.settle()
    body = packed(b"x" * 1000)
    credited = 0
    for _ in range(200):
        member.send(frames.DATA, 0, body)
        await member.settle()
        data = member.connection.take_output()
        while data:
            high, low, kind, _, number = frames.FRAME_HEADER.unpack_from(data)
            size = high << 8 | low
            if kind == frames.WINDOW_UPDATE and number == 1:
                credited += int.from_bytes(data[9:13], "big")
            data = data[9 + size :]
    (stream,) = member.connection.streams.values()
    assert credited > 0
    assert stream.in_window == member.connection.limits.stream_window - 200 * len(body) + credited
    await member.end()


@pytest.mark.parametrize("is_waiting", [True, False], ids=["waiting", "busy"])
async def test_a_message_over_the_limit_is_refused_in_either_way(is_waiting: bool) -> None:
    member = Member(max_message_bytes=10)
    if is_waiting:
        await member.settle()
    member.send(frames.DATA, 0, packed(b"x" * 11))
    await member.settle()
    assert member.error is not None
    assert "larger than max (11 vs. 10)" in member.error.message
    assert member.heard == []
    await member.end()


async def test_a_flag_without_meaning_is_refused_for_a_handler_that_waits() -> None:
    member = Member()
    await member.settle()
    member.send(frames.DATA, 0, b"\x02\0\0\0\x01x")
    await member.settle()
    assert member.error is not None
    assert "unexpected payload format 2" in member.error.message
    await member.end()
