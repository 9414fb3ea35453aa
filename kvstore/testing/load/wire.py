"""A gRPC client connection by hand: requests as ready-made bytes, answers to callbacks, one write a loop turn.

It asks the server for a header table of size 0, so that equal header blocks are equal bytes and are decoded once. Flow
control is kept in both directions; a request that does not fit into the peer's windows waits in order. Every call
ends in exactly one `on_end(status)`: a gRPC status code, or -1 when the connection or the stream was lost.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from typing import cast
from urllib.parse import urlsplit

from kvstore.wire.h2 import frames
from kvstore.wire.h2.hpack import Decoder, Header

LOST = -1
_WINDOW = frames.MAX_WINDOW
_REPLENISH_BYTES = 1 << 26

OnMessage = Callable[[bytes], None]
OnEnd = Callable[[int], None]


def _status(headers: tuple[Header, ...]) -> int:
    """The gRPC status in a header list, or LOST when it has none."""
    return next((int(value) for name, value in headers if name == b"grpc-status"), LOST)


def _literal(text: bytes) -> bytes:
    return bytes([len(text)]) + text


def request_headers(path: str, authority: str, *, is_tls: bool, token: str = "") -> bytes:
    """A header block that touches no dynamic table. Texts must be shorter than 127 bytes."""
    block = b"\x83" + (b"\x87" if is_tls else b"\x86")
    block += b"\x04" + _literal(path.encode()) + b"\x01" + _literal(authority.encode())
    block += b"\x0f\x10" + _literal(b"application/grpc") + b"\x00" + _literal(b"te")
    block += _literal(b"trailers")
    if token:
        block += b"\x00" + _literal(b"token") + _literal(token.encode())
    return block


class Call:
    """One call under way."""

    __slots__ = ("buffer", "number", "on_end", "on_message", "unreported", "window")

    def __init__(self, number: int, window: int, on_message: OnMessage, on_end: OnEnd) -> None:
        self.number = number
        self.window = window
        self.on_message = on_message
        self.on_end = on_end
        self.buffer = b""
        self.unreported = 0


class Connection(asyncio.Protocol):
    """One connection. Make it with `connect`."""

    def __init__(self, authority: str, *, is_tls: bool, token: str = "") -> None:
        self._authority, self._is_tls, self._token = authority, is_tls, token
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self._blocks: dict[str, bytes] = {}
        self._calls: dict[int, Call] = {}
        self._next = 1
        self._out: list[bytes] = []
        self._buffer = b""
        self._decoder: Decoder[int] = Decoder(_status, max_table_bytes=0)
        self._headers = b""
        self._headers_end = 0
        self._window = frames.DEFAULT_WINDOW
        self._stream_window = frames.DEFAULT_WINDOW
        self._max_frame = frames.MIN_MAX_FRAME
        self._waiting: deque[tuple[Call, bytes, bool]] = deque()
        self._unreported = 0
        self.is_open = False

    # Calls

    def call(
        self,
        path: str,
        message: bytes,
        on_message: OnMessage,
        on_end: OnEnd,
        *,
        half_close: bool = True,
    ) -> Call:
        """Start a call with its first (for unary ones: only) message."""
        number = self._next
        self._next += 2
        call = Call(number, self._stream_window, on_message, on_end)
        if not self.is_open:
            self._loop.call_soon(on_end, LOST)
            return call
        self._calls[number] = call
        block = self._blocks.get(path)
        if block is None:
            block = request_headers(path, self._authority, is_tls=self._is_tls, token=self._token)
            self._blocks[path] = block
        self._put(
            frames.FRAME_HEADER.pack(0, len(block), frames.HEADERS, frames.END_HEADERS, number)
            + block
        )
        self.send(call, message, half_close=half_close)
        return call

    def send(self, call: Call, message: bytes, *, half_close: bool = False) -> None:
        """Send a message on an open call."""
        size = len(message)
        data = b"\0" + size.to_bytes(4, "big") + message
        size += 5
        if self._waiting or size > self._window or size > call.window or size > self._max_frame:
            self._waiting.append((call, data, half_close))
            self._send_waiting()
            return
        self._window -= size
        call.window -= size
        flags = frames.END_STREAM if half_close else 0
        self._put(
            frames.FRAME_HEADER.pack(size >> 8, size & 0xFF, frames.DATA, flags, call.number) + data
        )

    def cancel(self, call: Call) -> None:
        """Give a call up; its `on_end` is not called any more."""
        if self._calls.pop(call.number, None) is not None:
            self._put(frames.pack_reset(call.number, frames.CANCEL))

    def close(self) -> None:
        """End the connection."""
        if self._transport is not None:
            self._transport.close()

    def _send_waiting(self) -> None:
        while self._waiting:
            call, data, half_close = self._waiting[0]
            if call.number not in self._calls:
                self._waiting.popleft()
                continue
            room = min(self._window, call.window, self._max_frame, len(data))
            if room <= 0:
                return
            part, rest = data[:room], data[room:]
            self._window -= room
            call.window -= room
            flags = frames.END_STREAM if half_close and not rest else 0
            self._put(
                frames.FRAME_HEADER.pack(room >> 8, room & 0xFF, frames.DATA, flags, call.number)
                + part
            )
            if rest:
                self._waiting[0] = (call, rest, half_close)
            else:
                self._waiting.popleft()

    def _put(self, data: bytes) -> None:
        if not self._out:
            self._loop.call_soon(self._flush)
        self._out.append(data)

    def _flush(self) -> None:
        if self._transport is not None and self._out:
            self._transport.write(b"".join(self._out))
        self._out.clear()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say hello."""
        # uvloop's transports are no subclass of asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        self.is_open = True
        self._put(
            frames.PREFACE
            + frames.pack_settings(
                {
                    frames.HEADER_TABLE_SIZE: 0,
                    frames.ENABLE_PUSH: 0,
                    frames.INITIAL_WINDOW_SIZE: _WINDOW,
                }
            )
            + frames.pack_window_update(0, _WINDOW - frames.DEFAULT_WINDOW)
        )

    def connection_lost(self, error: Exception | None) -> None:
        """All calls are lost."""
        self.is_open = False
        self._transport = None
        calls, self._calls = self._calls, {}
        self._waiting.clear()
        for call in calls.values():
            call.on_end(LOST)

    def data_received(self, data: bytes) -> None:
        """Take frames apart."""
        if self._buffer:
            data = self._buffer + data
        at, end = 0, len(data)
        while end - at >= frames.FRAME_HEADER_BYTES:
            high, low, kind, flags, number = frames.FRAME_HEADER.unpack_from(data, at)
            size = high << 8 | low
            body = at + frames.FRAME_HEADER_BYTES
            if end - body < size:
                break
            at = body + size
            if kind == frames.DATA:
                self._on_data(number, flags, data[body:at])
            elif kind == frames.HEADERS or kind == frames.CONTINUATION:
                self._on_headers(number, kind, flags, data[body:at])
            else:
                self._on_control(kind, flags, number, data[body:at])
        self._buffer = data[at:]

    # Frames

    def _on_data(self, number: int, flags: int, payload: bytes) -> None:
        self._unreported += len(payload)
        if self._unreported > _REPLENISH_BYTES:
            self._put(frames.pack_window_update(0, self._unreported))
            self._unreported = 0
        call = self._calls.get(number)
        if call is None:
            return
        call.unreported += len(payload)
        if call.unreported > _REPLENISH_BYTES:
            self._put(frames.pack_window_update(number, call.unreported))
            call.unreported = 0
        buffer = call.buffer + payload if call.buffer else payload
        while len(buffer) >= 5:
            size = int.from_bytes(buffer[1:5], "big")
            if len(buffer) < 5 + size:
                break
            message = buffer[5 : 5 + size]
            buffer = buffer[5 + size :]
            call.on_message(message)
        call.buffer = buffer
        if flags & frames.END_STREAM:
            self._end(number, LOST)

    def _on_headers(self, number: int, kind: int, flags: int, payload: bytes) -> None:
        if kind == frames.HEADERS:
            self._headers_end = flags & frames.END_STREAM
            self._headers = payload
        else:
            self._headers += payload
        if not flags & frames.END_HEADERS:
            return
        status = self._decoder.decode(self._headers)
        if self._headers_end:
            self._end(number, status)

    def _on_control(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        if kind == frames.WINDOW_UPDATE:
            increment = int.from_bytes(payload, "big")
            if number == 0:
                self._window += increment
            elif (call := self._calls.get(number)) is not None:
                call.window += increment
            if self._waiting:
                self._send_waiting()
        elif kind == frames.SETTINGS and not flags & frames.ACK:
            for name, value in frames.unpack_settings(payload):
                if name == frames.INITIAL_WINDOW_SIZE:
                    for call in self._calls.values():
                        call.window += value - self._stream_window
                    self._stream_window = value
                elif name == frames.MAX_FRAME_SIZE:
                    self._max_frame = value
            self._put(frames.pack_frame(frames.SETTINGS, frames.ACK, 0))
            self._send_waiting()
        elif kind == frames.PING and not flags & frames.ACK:
            self._put(frames.pack_frame(frames.PING, frames.ACK, 0, payload))
        elif kind == frames.RST_STREAM:
            self._end(number, LOST)

    def _end(self, number: int, status: int) -> None:
        call = self._calls.pop(number, None)
        if call is not None:
            call.on_end(status)


async def connect(
    endpoint: str, *, tls: ssl.SSLContext | None = None, token: str = ""
) -> Connection:
    """A connection to `http(s)://host:port`. Raises OSError."""
    parts = urlsplit(endpoint if "//" in endpoint else f"http://{endpoint}")
    is_tls = parts.scheme == "https"
    if is_tls and tls is None:
        raise OSError(f"{endpoint} needs a CA file and perhaps a certificate")
    host, port = parts.hostname or "127.0.0.1", parts.port or 2379
    _, connection = await asyncio.get_running_loop().create_connection(
        lambda: Connection(f"{host}:{port}", is_tls=is_tls, token=token),
        host,
        port,
        ssl=tls if is_tls else None,
    )
    return connection
