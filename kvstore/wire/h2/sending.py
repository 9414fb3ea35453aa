"""The writing half of a connection: answers, queued data, windows, the end.

A unary answer that fits is appended whole: headers, data, trailers. What does not fit - the window is used up, the
message is longer than a frame, the transport is full - waits in the stream's outbox. `flush_now` is called when much
has gathered, so that a stream that never waits learns that the transport is full before memory does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from kvstore.wire.h2 import frames
from kvstore.wire.h2.flow import Bucket
from kvstore.wire.h2.stream import Stream

if TYPE_CHECKING:
    from kvstore.wire.h2.limits import Limits

_LINGERING: Final = 1024
"""Streams that we ended first are remembered, for their frames may still be under way."""

FLUSH_BYTES = 256 * 1024
"""Output that is not kept until the end of the turn."""

_SMALL_PIECE = 64
_SMALL_PIECES, _SMALL_PIECES_A_SECOND = 2000, 100
"""Frames of less than 64 bytes that a peer may force by opening its window a little at a time."""

_JOIN_BELOW = 4096
"""Shorter messages are joined with their prefix before they wait: one frame instead of two."""

_END_HEADERS, _END_DATA = -1, -2
"""Offsets that mark the last entry of an outbox: trailers, or an empty DATA frame."""


class Block:
    """A header block made once: the first five octets of its frame, and itself."""

    __slots__ = ("payload", "start", "start_end")

    def __init__(self, payload: bytes) -> None:
        self.payload = payload
        self.start = frames.pack_frame(frames.HEADERS, frames.END_HEADERS, 0, payload)[:5]
        flags = frames.END_HEADERS | frames.END_STREAM
        self.start_end = frames.pack_frame(frames.HEADERS, flags, 0, payload)[:5]


class Sender:
    """What goes out, and when the connection ends."""

    def __init__(self, limits: Limits, clock: Callable[[], float]) -> None:
        self.limits = limits
        self._crumbs = Bucket("crumbs of window", _SMALL_PIECES, _SMALL_PIECES_A_SECOND, clock)
        self.out: list[bytes] = []
        self.shared_by: list[bytes] = []
        """Numbers of the streams that get what a fan is sending."""
        self._out_bytes = 0
        self.last_stream_id = 0
        self.streams: dict[int, Stream] = {}
        self.lingering: dict[int, None] = {}
        self.blocked: dict[int, Stream] = {}
        self.unsent_bytes = 0
        self.out_window = frames.DEFAULT_WINDOW
        self.peer_initial_window = frames.DEFAULT_WINDOW
        self.peer_max_frame = frames.MIN_MAX_FRAME
        self.has_sent = False
        self.can_write = True
        self.is_closed = False
        self.is_leaving = False
        """No new streams; closed when the last one ends."""
        self.goaway_id = frames.MAX_STREAM_ID
        self.progress = 0
        """Counts what moved from outboxes, so that a stall can be told."""
        self.flush_soon: Callable[[], None] = _nothing
        self.flush_now: Callable[[], None] = _nothing

    def take_output(self) -> bytes:
        """What is to be written."""
        data = b"".join(self.out)
        self.out.clear()
        self._out_bytes = 0
        return data

    def _emit(self, data: bytes) -> None:
        self.out.append(data)
        self.flush_soon()

    # Answers

    def answer(
        self, stream: Stream, opening: Block, prefix: bytes, body: bytes, closing: Block
    ) -> None:
        """Headers, one message and trailers: the whole answer of a unary call. Ends the stream."""
        size = len(prefix) + len(body)
        if (
            size > self.out_window
            or size > stream.out_window
            or size > self.peer_max_frame
            or not self.can_write
        ):
            self.send_headers(stream, opening)
            self.send_data(stream, prefix, body)
            self.send_end(stream, closing)
            return
        self.out_window -= size
        self.has_sent = True
        stream_id = stream.stream_id
        number = stream_id.to_bytes(4, "big")
        self.out += (
            opening.start,
            number,
            opening.payload,
            frames.FRAME_HEADER.pack(size >> 8, size & 0xFF, 0, 0, stream_id),
            prefix,
            body,
            closing.start_end,
            number,
            closing.payload,
        )
        self._out_bytes += size
        self._finish(stream)
        self.flush_soon()

    def send_headers(self, stream: Stream, block: Block) -> None:
        """Headers that are not the end."""
        self.has_sent = stream.is_answered = True
        self.out += (block.start, stream.stream_id.to_bytes(4, "big"), block.payload)
        self.flush_soon()

    def send_data(self, stream: Stream, prefix: bytes, body: bytes) -> bool:
        """Data; false if some of it must wait, until `on_drained`."""
        size = len(prefix) + len(body)
        if (
            stream.outbox
            or size > self.out_window
            or size > stream.out_window
            or size > self.peer_max_frame
            or not self.can_write
        ):
            if stream.is_closed:
                return False
            if len(body) < _JOIN_BELOW:
                self._queue(stream, prefix + body)
            else:
                self._queue(stream, prefix)
                if not stream.is_closed:
                    self._queue(stream, body)
            self.pump_stream(stream)
            return not stream.outbox
        self.out_window -= size
        stream.out_window -= size
        self.has_sent = True
        self.out += (
            frames.FRAME_HEADER.pack(size >> 8, size & 0xFF, 0, 0, stream.stream_id),
            prefix,
            body,
        )
        self.wrote(size)
        return True

    def send_end(self, stream: Stream, block: Block) -> None:
        """Trailers, after all that is queued. Ends the stream."""
        if stream.is_closed:
            return
        if stream.outbox:
            stream.outbox.append((block.payload, _END_HEADERS))
            return
        self.has_sent = True
        self.out += (block.start_end, stream.stream_id.to_bytes(4, "big"), block.payload)
        self._finish(stream)
        self.flush_soon()

    def send_last_data(self, stream: Stream, body: bytes) -> None:
        """A body that ends the stream without trailers."""
        if stream.is_closed:
            return
        if body:
            self._queue(stream, body)
        if stream.outbox:
            stream.outbox.append((b"", _END_DATA))
            self.pump_stream(stream)
        elif not stream.is_closed:
            self._send_last(stream, b"", _END_DATA)

    def reset(self, stream: Stream, code: int) -> None:
        """End a stream without an answer."""
        if stream.is_closed:
            return
        self.forget(stream)
        if not stream.is_remote_closed:
            self.linger(stream.stream_id)
        self._emit(frames.pack_reset(stream.stream_id, code))

    def credit(self, stream: Stream, size: int) -> None:
        """The application has taken `size` bytes of a stream's body."""
        if stream.is_remote_closed or stream.is_closed:
            return
        stream.credit_due += size
        if stream.credit_due * 2 >= self.limits.stream_window:
            self._emit(frames.pack_window_update(stream.stream_id, stream.credit_due))
            stream.in_window += stream.credit_due
            stream.credit_due = 0

    def ping(self, payload: bytes) -> None:
        """Ask for a sign of life."""
        self._emit(frames.pack_frame(frames.PING, 0, 0, payload))

    # What waits

    def _queue(self, stream: Stream, data: bytes) -> None:
        if stream.outbox is None:
            stream.outbox = deque()
        stream.outbox.append((data, 0))
        stream.outbox_bytes += len(data)
        self.unsent_bytes += len(data)
        if self.unsent_bytes > self.limits.max_unsent_bytes + stream.outbox_bytes:
            self.fail(frames.ENHANCE_YOUR_CALM, "answers are not read")

    def pump(self) -> None:
        """Send what the connection's window allows, a frame a stream in turn."""
        blocked = self.blocked
        while blocked and self.can_write and self.out_window > 0 and not self.is_closed:
            stream_id = next(iter(blocked))
            stream = blocked.pop(stream_id)
            self._piece(stream)
            if stream.outbox and stream.out_window > 0:
                blocked[stream_id] = stream

    def pump_stream(self, stream: Stream) -> None:
        """Send what the windows allow of one stream."""
        while stream.outbox and stream.out_window > 0:
            if self.out_window <= 0 or not self.can_write:
                # In line with the others that wait for the connection, not for their own window.
                self.blocked[stream.stream_id] = stream
                return
            self._piece(stream)

    def pump_all(self) -> None:
        """Look at all streams again: their windows have changed."""
        for stream in self.streams.values():
            if stream.outbox and stream.out_window > 0:
                self.blocked[stream.stream_id] = stream
        self.pump()

    def _piece(self, stream: Stream) -> None:
        """One frame of a stream's outbox; both windows are open and something waits."""
        outbox = stream.outbox
        if not outbox:
            return
        data, offset = outbox[0]
        left = len(data) - offset
        size = min(left, self.out_window, stream.out_window, self.peer_max_frame)
        self.out += (
            frames.FRAME_HEADER.pack(size >> 8, size & 0xFF, 0, 0, stream.stream_id),
            data if size == len(data) else data[offset : offset + size],
        )
        self.out_window -= size
        stream.out_window -= size
        stream.outbox_bytes -= size
        self.unsent_bytes -= size
        self.has_sent = True
        self.progress += 1
        if size < left:
            outbox[0] = (data, offset + size)
            if size < _SMALL_PIECE:
                self._count_small()
        else:
            outbox.popleft()
            if not outbox:
                stream.on_drained()
            elif outbox[0][1] < 0:
                self._send_last(stream, *outbox[0])
        self.wrote(size)

    def wrote(self, size: int) -> None:
        """Data went into the output: see that it is written soon, or now if it is much."""
        self._out_bytes += size
        if self._out_bytes > FLUSH_BYTES:
            self._out_bytes = 0
            self.flush_now()
        else:
            self.flush_soon()

    def _send_last(self, stream: Stream, block: bytes, kind: int) -> None:
        if kind == _END_DATA:
            self.out.append(frames.pack_frame(frames.DATA, frames.END_STREAM, stream.stream_id))
        else:
            self.out.append(
                frames.pack_headers(stream.stream_id, block, frames.END_STREAM, self.peer_max_frame)
            )
        self.has_sent = True
        self._finish(stream)
        self.flush_soon()

    def _count_small(self) -> None:
        try:
            self._crumbs.take()
        except frames.ConnectionFailed as error:
            self.fail(error.code, error.text)

    # Ends

    def _finish(self, stream: Stream) -> None:
        """Our side has ended; if the client's has not, it is told to stop."""
        self.forget(stream)
        if not stream.is_remote_closed:
            self.linger(stream.stream_id)
            self.out.append(frames.pack_reset(stream.stream_id, frames.NO_ERROR))
        if self.is_leaving and not self.streams:
            self.close()

    def forget(self, stream: Stream) -> None:
        """Take a stream off the books."""
        stream.is_closed = True
        self.streams.pop(stream.stream_id, None)
        if stream.outbox is not None:
            self.blocked.pop(stream.stream_id, None)
            self.unsent_bytes -= stream.outbox_bytes
            stream.outbox_bytes = 0
            stream.outbox = None

    def linger(self, stream_id: int) -> None:
        """Frames of this stream may still come and mean nothing."""
        self.lingering[stream_id] = None
        if len(self.lingering) > _LINGERING:
            del self.lingering[next(iter(self.lingering))]

    def go_away(self, last_stream_id: int) -> None:
        """Take no streams beyond `last_stream_id`; those before may end."""
        self.goaway_id = last_stream_id
        self._emit(frames.pack_goaway(last_stream_id, frames.NO_ERROR))

    def fail(self, code: int, text: str) -> None:
        """End the connection with GOAWAY."""
        if self.is_closed:
            return
        self.out.append(frames.pack_goaway(self.last_stream_id, code, text))
        self.close()

    def close(self) -> None:
        """End the connection; streams that were open are told."""
        if self.is_closed:
            return
        self.is_closed = True
        streams: list[Any] = list(self.streams.values())
        for stream in streams:
            self.forget(stream)
            stream.on_reset(frames.CANCEL)
        self.flush_soon()


def _nothing() -> None:
    """Nobody listens yet."""
