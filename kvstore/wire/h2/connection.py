"""The server's side of an HTTP/2 connection, without IO: bytes in, callbacks on streams, bytes out.

`receive` takes what was read and calls the streams' `on_*`; what must be written gathers in `out`, which the caller
takes with `take_output`. Streams are made by `open_stream`. `Sender` is the writing half, `Control` the frames between.

What a peer breaks ends its stream (RST_STREAM) or the connection (GOAWAY), by RFC 9113; what it merely overdoes -
resets, SETTINGS, empty frames, endless headers, data that nobody takes - ends the connection with ENHANCE_YOUR_CALM.
Pings are judged as grpc-go's server judges them.
"""

from collections.abc import Callable
from typing import Generic, TypeVar

from kvstore.wire.h2 import frames
from kvstore.wire.h2.control import HANDLERS, Control
from kvstore.wire.h2.flow import Budget
from kvstore.wire.h2.frames import ConnectionFailed, StreamFailed
from kvstore.wire.h2.headers import HeadersInvalid, RequestHead, check_trailers
from kvstore.wire.h2.hpack import Decoder, Header, HeadersTooLarge, HpackError
from kvstore.wire.h2.limits import Limits
from kvstore.wire.h2.stream import Stream

Head = TypeVar("Head", bound=RequestHead)


class Connection(Control, Generic[Head]):
    """State of one connection."""

    def __init__(
        self,
        convert: Callable[[tuple[Header, ...]], Head],
        open_stream: "Callable[[Connection[Head], int, Head], Stream]",
        clock: Callable[[], float],
        limits: Limits | None = None,
        budget: Budget | None = None,
    ) -> None:
        super().__init__(limits or Limits(), clock)
        self._open_stream = open_stream
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
        more = limits.connection_window - frames.DEFAULT_WINDOW
        if more > 0:
            self._emit(frames.pack_window_update(0, more))

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
        handle = HANDLERS.get(kind)
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
