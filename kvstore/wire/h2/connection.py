"""The server's side of an HTTP/2 connection, without IO: bytes in, callbacks on streams, bytes out.

`receive` takes what was read and calls the streams' `on_*`; what must be written gathers in `out`, which the caller
takes with `take_output`. Streams are made by `open_stream`. `Sender` is the writing half.

What a peer breaks ends its stream (RST_STREAM) or the connection (GOAWAY), by RFC 9113; what it merely overdoes -
resets, SETTINGS, empty frames, endless headers, data that nobody takes - ends the connection with ENHANCE_YOUR_CALM.
Pings are judged as grpc-go's server judges them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from kvstore.wire.h2 import frames
from kvstore.wire.h2.flow import Bucket, Budget, WindowOverflow, widen
from kvstore.wire.h2.frames import ConnectionFailed, StreamFailed
from kvstore.wire.h2.headers import HeadersInvalid, RequestHead, check_trailers
from kvstore.wire.h2.hpack import Decoder, Header, HeadersTooLarge, HpackError
from kvstore.wire.h2.sending import Sender
from kvstore.wire.h2.stream import Stream

Head = TypeVar("Head", bound=RequestHead)

_MAX_PING_STRIKES = 2
_IDLE_PING_SECONDS = 7200.0
"""Without a call, grpc-go lets a client ping once in two hours."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one connection."""

    max_concurrent_streams: int = 16_384
    stream_window: int = 256 * 1024
    """Bytes a stream may have under way to us; more only delays the bound on what nobody reads."""

    connection_window: int = 4 << 20
    max_header_list_bytes: int = 64 * 1024
    max_header_fragments: int = 32
    """Frames of one header block; with 16 KiB frames, an honest block needs five."""

    min_ping_seconds: float = 5.0
    max_unsent_bytes: int = 64 << 20
    """Answers that wait for a slow reader; one answer alone may be larger."""

    max_unread_bytes: int = 64 << 20
    """Requests that wait to be complete or to be taken."""


class Connection(Sender, Generic[Head]):
    """State of one connection."""

    def __init__(
        self,
        convert: Callable[[tuple[Header, ...]], Head],
        open_stream: "Callable[[Connection[Head], int, Head], Stream]",
        clock: Callable[[], float],
        limits: Limits | None = None,
        budget: Budget | None = None,
    ) -> None:
        super().__init__(limits or Limits())
        self._open_stream = open_stream
        self._clock = clock
        self._rest = b""
        self._decoder: Decoder[Head] = Decoder(convert, self.limits.max_header_list_bytes)
        self.budget = Budget(self.limits.max_unread_bytes, budget)
        self._has_settings = False
        self._preface_left = frames.PREFACE
        self._in_window = self.limits.connection_window
        self._in_low = self.limits.connection_window // 2
        # The block under way: stream, flags, fragments.
        self._block: tuple[int, int, bytearray] | None = None
        self._fragments = 0
        self._block_at = 0.0
        self._last_ping = -_IDLE_PING_SECONDS
        self._ping_strikes = 0
        self._resets = Bucket("resets", 1000, 200, clock)
        self._settings = Bucket("SETTINGS frames", 100, 10, clock)
        self._empty = Bucket("empty frames", 200, 20, clock)
        self._ignored = Bucket("frames without use", 2000, 200, clock)
        self.on_ping_ack: Callable[[bytes], None] = lambda _: None
        self._start()

    @property
    def is_ready(self) -> bool:
        """Whether the client has sent its preface and SETTINGS and no header block is cut in two."""
        return self._has_settings and self._block is None

    @property
    def has_stalled_answers(self) -> bool:
        """Whether a call that has ended for its handler still waits to be read."""
        return any(stream.outbox and stream.outbox[-1][1] < 0 for stream in self.streams.values())

    def block_age(self, now: float) -> float:
        """For how long a header block has been cut in two."""
        return now - self._block_at if self._block is not None else 0.0

    def _start(self) -> None:
        limits = self.limits
        self._emit(
            frames.pack_settings(
                {
                    frames.MAX_CONCURRENT_STREAMS: limits.max_concurrent_streams,
                    frames.INITIAL_WINDOW_SIZE: limits.stream_window,
                    frames.MAX_HEADER_LIST_SIZE: limits.max_header_list_bytes,
                }
            )
        )
        self._emit(frames.pack_window_update(0, limits.connection_window - frames.DEFAULT_WINDOW))

    # Reading

    def receive(self, data: bytes) -> None:
        """Take what was read. Never raises for what a peer may send; look at `is_closed` after."""
        if self.is_closed:
            return
        if self._preface_left:
            data = self._take_preface(data)
        if self._rest:
            data = self._rest + data
            self._rest = b""
        try:
            position = self._read_frames(data)
        except ConnectionFailed as error:
            self.fail(error.code, error.text)
            return
        if position < len(data):
            self._rest = data[position:]

    def _take_preface(self, data: bytes) -> bytes:
        size = min(len(data), len(self._preface_left))
        if data[:size] != self._preface_left[:size]:
            self.fail(frames.PROTOCOL_ERROR, "wrong connection preface")
            return b""
        self._preface_left = self._preface_left[size:]
        return data[size:]

    def _read_frames(self, data: bytes) -> int:
        """Handle all whole frames; where the rest begins."""
        position, end = 0, len(data)
        unpack = frames.FRAME_HEADER.unpack_from
        while end - position >= 9 and not self.is_closed:
            high, low, kind, flags, stream_id = unpack(data, position)
            start = position + 9
            length = high << 8 | low
            if length > frames.MIN_MAX_FRAME:
                raise ConnectionFailed(frames.FRAME_SIZE_ERROR, f"a frame of {length} bytes")
            stop = start + length
            if stop > end:
                break
            position = stop
            stream_id &= 0x7FFFFFFF
            try:
                # The two frames of a unary call, as clients send them, go straight; all else is checked at length.
                if self._has_settings and self._block is None:
                    if kind == 0 and flags & 0x8 == 0 and length:
                        self._data(stream_id, data, start, stop, length, flags & 1)
                        continue
                    if kind == 1 and flags & 0x2C == 0x4:
                        self._headers(stream_id, data[start:stop], flags & 1)
                        continue
                self._other(kind, flags, stream_id, data, start, stop)
            except StreamFailed as error:
                self._fail_stream(error)
        return position

    def _data(
        self, stream_id: int, data: bytes, start: int, stop: int, charged: int, is_end: int
    ) -> None:
        self._in_window -= charged
        if self._in_window < self._in_low:
            if self._in_window < 0:
                raise ConnectionFailed(
                    frames.FLOW_CONTROL_ERROR, "the connection's window is used up"
                )
            # Held data is bounded by budget, not by this window: one slow stream must not stop the others.
            self._emit(
                frames.pack_window_update(0, self.limits.connection_window - self._in_window)
            )
            self._in_window = self.limits.connection_window
        stream = self.streams.get(stream_id)
        if stream is None:
            self._data_without_stream(stream_id)
            return
        if stream.is_remote_closed:
            raise StreamFailed(stream_id, frames.STREAM_CLOSED, "data after the end")
        stream.in_window -= charged
        if stream.in_window < 0:
            raise StreamFailed(
                stream_id, frames.FLOW_CONTROL_ERROR, "the stream's window is used up"
            )
        if stream.unread_bytes >= 0:
            stream.unread_bytes -= stop - start
            if stream.unread_bytes < 0 or (is_end and stream.unread_bytes):
                raise StreamFailed(stream_id, frames.PROTOCOL_ERROR, "content-length is wrong")
        if is_end:
            stream.is_remote_closed = True
        if stop > start:
            stream.on_data(data, start, stop, bool(is_end))
            return
        if is_end:
            stream.on_end()
        else:
            self._empty.take()
        if charged:
            self.credit(stream, charged)

    def _data_without_stream(self, stream_id: int) -> None:
        if stream_id == 0 or stream_id > self.last_stream_id or not stream_id & 1:
            raise ConnectionFailed(frames.PROTOCOL_ERROR, f"DATA on idle stream {stream_id}")
        if stream_id not in self.lingering:
            raise StreamFailed(stream_id, frames.STREAM_CLOSED, "data on a closed stream")
        self._ignored.take()

    def _headers(self, stream_id: int, block: bytes, is_end: int) -> None:
        streams = self.streams
        if stream_id <= self.last_stream_id or not stream_id & 1:
            self._more_headers(stream_id, block, is_end)
            return
        self.last_stream_id = stream_id
        try:
            head = self._decoder.decode(block)
        except HpackError as error:
            raise ConnectionFailed(frames.COMPRESSION_ERROR, str(error)) from None
        except HeadersTooLarge as error:
            raise StreamFailed(stream_id, frames.ENHANCE_YOUR_CALM, str(error)) from None
        except HeadersInvalid as error:
            raise StreamFailed(stream_id, frames.PROTOCOL_ERROR, str(error)) from None
        if len(streams) >= self.limits.max_concurrent_streams or stream_id > self.goaway_id:
            raise StreamFailed(stream_id, frames.REFUSED_STREAM, "no more streams")
        stream = self._open_stream(self, stream_id, head)
        if head.content_length >= 0:
            stream.unread_bytes = head.content_length
            if is_end and head.content_length:
                raise StreamFailed(stream_id, frames.PROTOCOL_ERROR, "content-length is wrong")
        if is_end:
            stream.is_remote_closed = True
        streams[stream_id] = stream
        stream.on_open(bool(is_end))

    def _more_headers(self, stream_id: int, block: bytes, is_end: int) -> None:
        """Trailers, or headers that come too late."""
        if stream_id == 0 or not stream_id & 1:
            raise ConnectionFailed(frames.PROTOCOL_ERROR, f"HEADERS on stream {stream_id}")
        try:
            headers = self._decoder.read(block)
        except HpackError as error:
            raise ConnectionFailed(frames.COMPRESSION_ERROR, str(error)) from None
        except HeadersTooLarge as error:
            raise StreamFailed(stream_id, frames.ENHANCE_YOUR_CALM, str(error)) from None
        stream = self.streams.get(stream_id)
        if stream is None:
            if stream_id in self.lingering:
                self._ignored.take()
                return
            raise ConnectionFailed(frames.STREAM_CLOSED, "HEADERS on a closed stream")
        if stream.is_remote_closed:
            raise StreamFailed(stream_id, frames.STREAM_CLOSED, "HEADERS after the end")
        if not is_end:
            raise StreamFailed(stream_id, frames.PROTOCOL_ERROR, "trailers that do not end")
        try:
            check_trailers(headers)
        except HeadersInvalid as error:
            raise StreamFailed(stream_id, frames.PROTOCOL_ERROR, str(error)) from None
        if stream.unread_bytes > 0:
            raise StreamFailed(stream_id, frames.PROTOCOL_ERROR, "content-length is wrong")
        stream.is_remote_closed = True
        stream.on_end()

    def _other(
        self, kind: int, flags: int, stream_id: int, data: bytes, start: int, stop: int
    ) -> None:
        if self._block is not None and kind != frames.CONTINUATION:
            raise ConnectionFailed(frames.PROTOCOL_ERROR, "a header block is interrupted")
        if not self._has_settings:
            if kind != frames.SETTINGS or flags & frames.ACK:
                raise ConnectionFailed(frames.PROTOCOL_ERROR, "the first frame is not SETTINGS")
            self._has_settings = True
        if kind in (frames.DATA, frames.HEADERS):
            self._padded(kind, flags, stream_id, data, start, stop)
            return
        handle = _HANDLERS.get(kind)
        if handle is None:
            # Unknown types are to be ignored (RFC 9113, 5.5), not to be endured for ever.
            self._ignored.take()
            return
        handle(self, flags, stream_id, data[start:stop])

    def _padded(
        self, kind: int, flags: int, stream_id: int, data: bytes, start: int, stop: int
    ) -> None:
        charged = stop - start
        if flags & frames.PADDED:
            if start >= stop:
                raise ConnectionFailed(frames.FRAME_SIZE_ERROR, "a padded frame without length")
            stop -= data[start]
            start += 1
            if stop < start:
                raise ConnectionFailed(frames.PROTOCOL_ERROR, "padding longer than its frame")
        if kind == frames.DATA:
            if stream_id == 0:
                raise ConnectionFailed(frames.PROTOCOL_ERROR, "DATA on stream 0")
            self._data(stream_id, data, start, stop, charged, flags & 1)
            padding = charged - (stop - start)
            stream = self.streams.get(stream_id)
            if padding and stop > start and stream is not None:
                self.credit(stream, padding)
            return
        if flags & frames.WITH_PRIORITY:
            if stop - start < 5:
                raise ConnectionFailed(frames.FRAME_SIZE_ERROR, "a priority is cut off")
            depends_on = int.from_bytes(data[start : start + 4], "big") & 0x7FFFFFFF
            start += 5
            if depends_on == stream_id:
                raise ConnectionFailed(frames.PROTOCOL_ERROR, "a stream depends on itself")
        if flags & frames.END_HEADERS:
            self._headers(stream_id, data[start:stop], flags & 1)
            return
        if stream_id == 0:
            raise ConnectionFailed(frames.PROTOCOL_ERROR, "HEADERS on stream 0")
        self._block = (stream_id, flags, bytearray(data[start:stop]))
        self._fragments = 1
        self._block_at = self._clock()

    def _on_continuation(self, flags: int, stream_id: int, payload: bytes) -> None:
        if self._block is None or self._block[0] != stream_id:
            raise ConnectionFailed(frames.PROTOCOL_ERROR, "CONTINUATION without HEADERS")
        _, first_flags, block = self._block
        self._fragments += 1
        block += payload
        if (
            self._fragments > self.limits.max_header_fragments
            or len(block) > self.limits.max_header_list_bytes
        ):
            raise ConnectionFailed(frames.ENHANCE_YOUR_CALM, "a header block without end")
        if not payload:
            self._empty.take()
        if flags & frames.END_HEADERS:
            self._block = None
            self._headers(stream_id, bytes(block), first_flags & 1)

    def _on_priority(self, _: int, stream_id: int, payload: bytes) -> None:
        if stream_id == 0:
            raise ConnectionFailed(frames.PROTOCOL_ERROR, "PRIORITY on stream 0")
        if len(payload) != 5:
            raise StreamFailed(stream_id, frames.FRAME_SIZE_ERROR, "PRIORITY of a wrong length")
        self._ignored.take()
        if int.from_bytes(payload[:4], "big") & 0x7FFFFFFF == stream_id:
            raise StreamFailed(stream_id, frames.PROTOCOL_ERROR, "a stream depends on itself")

    def _on_reset(self, _: int, stream_id: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise ConnectionFailed(frames.FRAME_SIZE_ERROR, "RST_STREAM of a wrong length")
        self._check_not_idle("RST_STREAM", stream_id)
        stream = self.streams.get(stream_id)
        if stream is None:
            self._ignored.take()
            return
        # The end of a stream that was served is its normal end; what counts is work thrown away.
        self._resets.take(0.05 if stream.is_answered else 1.0)
        self.forget(stream)
        stream.on_reset(int.from_bytes(payload, "big"))
        if self.is_leaving and not self.streams:
            self.close()

    def _on_settings(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id != 0:
            raise ConnectionFailed(frames.PROTOCOL_ERROR, "SETTINGS on a stream")
        if flags & frames.ACK:
            if payload:
                raise ConnectionFailed(frames.FRAME_SIZE_ERROR, "SETTINGS ack with a payload")
            self._ignored.take()
            return
        if len(payload) % 6:
            raise ConnectionFailed(frames.FRAME_SIZE_ERROR, "SETTINGS of a wrong length")
        self._settings.take()
        for name, value in frames.unpack_settings(payload):
            self._set(name, value)
        self._emit(frames.pack_frame(frames.SETTINGS, frames.ACK, 0))
        self.pump_all()

    def _set(self, name: int, value: int) -> None:
        if name == frames.INITIAL_WINDOW_SIZE:
            if value > frames.MAX_WINDOW:
                raise ConnectionFailed(frames.FLOW_CONTROL_ERROR, "an initial window over 2**31-1")
            change = value - self.peer_initial_window
            self.peer_initial_window = value
            try:
                for stream in self.streams.values():
                    stream.out_window = widen(stream.out_window, change)
            except WindowOverflow:
                raise ConnectionFailed(frames.FLOW_CONTROL_ERROR, "a window overflows") from None
        elif name == frames.MAX_FRAME_SIZE:
            if not frames.MIN_MAX_FRAME <= value <= frames.MAX_MAX_FRAME:
                raise ConnectionFailed(frames.PROTOCOL_ERROR, "a maximal frame out of bounds")
            # Larger frames would hold up the other streams of the connection.
            self.peer_max_frame = min(value, 64 * 1024)
        elif name == frames.ENABLE_PUSH and value > 1:
            raise ConnectionFailed(frames.PROTOCOL_ERROR, "ENABLE_PUSH is neither 0 nor 1")

    def _on_push(self, _: int, __: int, ___: bytes) -> None:
        raise ConnectionFailed(frames.PROTOCOL_ERROR, "a client must not push")

    def _on_ping(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id != 0:
            raise ConnectionFailed(frames.PROTOCOL_ERROR, "PING on a stream")
        if len(payload) != 8:
            raise ConnectionFailed(frames.FRAME_SIZE_ERROR, "PING of a wrong length")
        if flags & frames.ACK:
            self._ignored.take()
            self.on_ping_ack(payload)
            return
        self._judge_ping()
        self._emit(frames.pack_frame(frames.PING, frames.ACK, 0, payload))

    def _judge_ping(self) -> None:
        now, last = self._clock(), self._last_ping
        self._last_ping = now
        if self.has_sent:
            # Measuring the way of an answer is no nuisance: grpc-go's and grpc's C core do it with each burst.
            self.has_sent = False
            self._ping_strikes = 0
            return
        pause = self.limits.min_ping_seconds if self.streams else _IDLE_PING_SECONDS
        if now - last < pause:
            self._ping_strikes += 1
            if self._ping_strikes > _MAX_PING_STRIKES:
                raise ConnectionFailed(frames.ENHANCE_YOUR_CALM, "too_many_pings")

    def _on_goaway(self, _: int, stream_id: int, payload: bytes) -> None:
        if stream_id != 0:
            raise ConnectionFailed(frames.PROTOCOL_ERROR, "GOAWAY on a stream")
        if len(payload) < 8:
            raise ConnectionFailed(frames.FRAME_SIZE_ERROR, "GOAWAY is cut off")
        self._ignored.take()
        self.is_leaving = True
        if not self.streams:
            self.close()

    def _on_window_update(self, _: int, stream_id: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise ConnectionFailed(frames.FRAME_SIZE_ERROR, "WINDOW_UPDATE of a wrong length")
        increment = int.from_bytes(payload, "big") & 0x7FFFFFFF
        if stream_id == 0:
            if not increment:
                raise ConnectionFailed(frames.PROTOCOL_ERROR, "WINDOW_UPDATE of nothing")
            try:
                self.out_window = widen(self.out_window, increment)
            except WindowOverflow:
                raise ConnectionFailed(
                    frames.FLOW_CONTROL_ERROR, "the connection's window overflows"
                ) from None
            self.pump()
            return
        self._check_not_idle("WINDOW_UPDATE", stream_id)
        if not increment:
            raise StreamFailed(stream_id, frames.PROTOCOL_ERROR, "WINDOW_UPDATE of nothing")
        stream = self.streams.get(stream_id)
        if stream is None:
            return
        try:
            stream.out_window = widen(stream.out_window, increment)
        except WindowOverflow:
            raise StreamFailed(
                stream_id, frames.FLOW_CONTROL_ERROR, "the stream's window overflows"
            ) from None
        if stream.outbox:
            self.pump_stream(stream)

    def _check_not_idle(self, what: str, stream_id: int) -> None:
        if stream_id == 0 or stream_id > self.last_stream_id or not stream_id & 1:
            raise ConnectionFailed(frames.PROTOCOL_ERROR, f"{what} on idle stream {stream_id}")

    # Ends

    def _fail_stream(self, error: StreamFailed) -> None:
        """Reset a stream that the peer has broken; one that does so all the time is sent away."""
        stream = self.streams.get(error.stream_id)
        if stream is not None:
            self.forget(stream)
            stream.on_reset(error.code)
        if error.stream_id <= self.last_stream_id:
            self.linger(error.stream_id)
        self._emit(frames.pack_reset(error.stream_id, error.code))
        self._resets.take()


_HANDLERS: dict[int, Callable[[Connection[Any], int, int, bytes], None]] = {
    frames.PRIORITY: Connection._on_priority,
    frames.RST_STREAM: Connection._on_reset,
    frames.SETTINGS: Connection._on_settings,
    frames.PUSH_PROMISE: Connection._on_push,
    frames.PING: Connection._on_ping,
    frames.GOAWAY: Connection._on_goaway,
    frames.WINDOW_UPDATE: Connection._on_window_update,
    frames.CONTINUATION: Connection._on_continuation,
}
