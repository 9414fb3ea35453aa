"""Plain HTTP requests that come over HTTP/2, handed to the HTTP/1.1 protocol of the port and back.

Over TLS a client such as curl chooses HTTP/2 by itself, and etcd then serves its HTTP pages there as well. Each such
stream gets a protocol of its own on a transport that is not a socket: the request is written to it as HTTP/1.1, what it
answers is read as such. Not over plain TCP, for there etcd's port takes everything with HTTP/2's preface for gRPC.
"""

import asyncio
import re
from typing import Any

from kvstore.wire.engine import Http1Factory
from kvstore.wire.h2 import frames
from kvstore.wire.h2.connection import Connection
from kvstore.wire.h2.headers import RequestHead
from kvstore.wire.h2.hpack import Header, encode_plain
from kvstore.wire.h2.sending import Block
from kvstore.wire.h2.stream import Stream

_LOCAL = frozenset((b"connection", b"keep-alive", b"transfer-encoding", b"upgrade", b"expect"))
_MAX_HEAD_BYTES = 64 * 1024
_CHUNK = re.compile(rb"([0-9a-fA-F]{1,8})[^\r\n]*\r\n")
_NO_BODY = (b"204", b"304")
_UNREAD_SECONDS = 1.0
"""How long an answer that came before the end of the request waits for that end."""


class HttpCall(Stream):
    """One request and its answer."""

    __slots__ = (
        "_answer",
        "_end_timer",
        "_head",
        "_is_chunked",
        "_is_read_paused",
        "_owed",
        "_protocol",
        "_transport",
    )

    def __init__(
        self,
        connection: Connection[Any],
        stream_id: int,
        head: RequestHead,
        http1: Http1Factory,
        outer: asyncio.Transport,
    ) -> None:
        super().__init__(connection, stream_id)
        self._head = head
        self._protocol: asyncio.Protocol | None = http1()
        self._transport = BridgeTransport(self, outer)
        self._answer = AnswerReader(is_head=head.method == b"HEAD")
        self._is_chunked = False
        self._is_read_paused = False
        self._owed = 0
        self._end_timer: asyncio.TimerHandle | None = None

    def on_open(self, is_end: bool) -> None:
        """Write the request's head."""
        head, protocol = self._head, self._protocol
        if protocol is None:
            return
        lines = [b"%b %b HTTP/1.1" % (head.method, head.path)]
        if head.authority:
            lines.append(b"host: " + head.authority)
        for name, value in head.headers:
            if name[:1] != b":" and name not in _LOCAL and not (name == b"host" and head.authority):
                lines.append(name + b": " + value)
        self._is_chunked = not is_end and head.content_length < 0
        if self._is_chunked:
            lines.append(b"transfer-encoding: chunked")
        lines.append(b"connection: close")
        protocol.connection_made(self._transport)
        protocol.data_received(b"\r\n".join(lines) + b"\r\n\r\n")

    def on_data(self, data: bytes, start: int, stop: int, is_end: bool) -> None:
        """Write a piece of the body."""
        piece = data[start:stop]
        self._write(b"%x\r\n%b\r\n" % (len(piece), piece) if self._is_chunked else piece)
        if self._is_read_paused:
            self._owed += len(piece)
        else:
            self.connection.credit(self, len(piece))
        if is_end:
            self.on_end()

    def on_end(self) -> None:
        """The body is complete."""
        if self._end_timer is not None:
            self._end()
        elif self._is_chunked:
            self._write(b"0\r\n\r\n")

    def on_reset(self, code: int) -> None:
        """The client wants no answer any more."""
        self._drop_timer()
        self._lose()

    def on_drained(self) -> None:
        """The client has read."""
        if self._protocol is not None:
            self._protocol.resume_writing()

    def answered(self, data: bytes) -> None:
        """What the protocol has written."""
        if self.is_closed:
            return
        try:
            head, body, is_end = self._answer.feed(data)
        except ValueError:
            self._give_up()
            return
        if head is not None:
            self.connection.send_headers(self, Block(encode_plain(head)))
        if is_end and self.is_remote_closed:
            self.connection.send_last_data(self, body)
            self._lose()
        elif is_end:
            if body:
                self.connection.send_data(self, b"", body)
            self._end_later()
        elif body and not self.connection.send_data(self, b"", body) and self._protocol is not None:
            self._protocol.pause_writing()

    def left(self) -> None:
        """The protocol has closed its transport."""
        if not self.is_closed:
            if self._answer.ends_with_connection:
                self._end_later()
            elif not self._answer.is_complete:
                self._give_up()
        self._lose()

    def _end_later(self) -> None:
        """End the answer with the request, of which nothing is read any more.

        Compat: curl 7.88 takes the end of a stream that it still sends on for an error ("not closed cleanly"), and
        throws away the answer it has. Go's server comes to its end later, when small bodies have arrived.
        """
        self._lose()
        self.pause_reading(False)
        if self.is_remote_closed:
            self._end()
        elif self._end_timer is None:
            loop = asyncio.get_running_loop()
            self._end_timer = loop.call_later(_UNREAD_SECONDS, self._end)

    def _end(self) -> None:
        self._drop_timer()
        self.connection.send_last_data(self, b"")

    def _drop_timer(self) -> None:
        timer, self._end_timer = self._end_timer, None
        if timer is not None:
            timer.cancel()

    def pause_reading(self, is_paused: bool) -> None:
        """Whether the protocol wants no more of the body for now."""
        self._is_read_paused = is_paused
        if not is_paused and self._owed:
            owed, self._owed = self._owed, 0
            self.connection.credit(self, owed)

    def _write(self, data: bytes) -> None:
        if self._protocol is not None:
            self._protocol.data_received(data)

    def _give_up(self) -> None:
        self.connection.reset(self, frames.INTERNAL_ERROR)
        self._lose()

    def _lose(self) -> None:
        protocol, self._protocol = self._protocol, None
        if protocol is not None:
            self._transport.is_lost = True
            protocol.connection_lost(None)


class BridgeTransport(asyncio.Transport):
    """What the HTTP/1.1 protocol takes for its socket."""

    def __init__(self, call: HttpCall, outer: asyncio.Transport) -> None:
        super().__init__()
        self._call = call
        self._outer = outer
        self.is_lost = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """As of the connection, but for its socket, which is shared."""
        return default if name == "socket" else self._outer.get_extra_info(name, default)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """A piece of the answer."""
        if not self.is_lost:
            self._call.answered(bytes(data))

    def is_closing(self) -> bool:
        """Whether there is nobody to write to."""
        return self.is_lost

    def close(self) -> None:
        """The end of the answer."""
        if not self.is_lost:
            self._call.left()

    def abort(self) -> None:
        """The same: there is nothing to flush."""
        self.close()

    def pause_reading(self) -> None:
        """Give the client no more window."""
        self._call.pause_reading(True)

    def resume_reading(self) -> None:
        """Give it again."""
        self._call.pause_reading(False)

    def is_reading(self) -> bool:
        """Whether more of the body is welcome."""
        return not self.is_lost

    def get_write_buffer_size(self) -> int:
        """What the client has not read."""
        return self._call.outbox_bytes

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Windows decide, nothing else."""


class AnswerReader:
    """Reads one HTTP/1.1 answer of our own server, piece by piece."""

    def __init__(self, *, is_head: bool) -> None:
        self._is_head = is_head
        self._data = b""
        self._has_head = False
        self._left = -1
        self._is_chunked = False
        self.is_complete = False

    @property
    def ends_with_connection(self) -> bool:
        """Whether nothing but the end of the connection ends the body."""
        return self._has_head and not self.is_complete and self._left < 0 and not self._is_chunked

    def feed(self, data: bytes) -> tuple[list[Header] | None, bytes, bool]:
        """The head if it is whole now, the body so far, whether that is all. Raises ValueError."""
        self._data += data
        head = None
        while not self._has_head:
            raw, found, rest = self._data.partition(b"\r\n\r\n")
            if not found:
                if len(raw) > _MAX_HEAD_BYTES:
                    raise ValueError("a head without end")
                return None, b"", False
            self._data = rest
            head = self._read_head(raw)
        body = b"" if self.is_complete else self._read_body()
        return head, body, self.is_complete

    def _read_head(self, raw: bytes) -> list[Header] | None:
        first, *lines = raw.split(b"\r\n")
        status = first.split(b" ")[1]
        if status.startswith(b"1"):
            return None
        self._has_head = True
        head: list[Header] = [(b":status", status)]
        for line in lines:
            name, _, value = line.partition(b":")
            name, value = name.strip().lower(), value.strip()
            if name == b"content-length":
                self._left = int(value)
            if name == b"transfer-encoding":
                self._is_chunked = True
            if name not in _LOCAL:
                head.append((name, value))
        self.is_complete = self._is_head or status in _NO_BODY or self._left == 0
        return head

    def _read_body(self) -> bytes:
        if self._is_chunked:
            return self._read_chunks()
        data, self._data = self._data, b""
        if self._left < 0:
            return data
        self._left -= len(data)
        if self._left < 0:
            raise ValueError("a body longer than it said")
        self.is_complete = self._left == 0
        return data

    def _read_chunks(self) -> bytes:
        found = []
        while (match := _CHUNK.match(self._data)) is not None:
            size, start = int(match[1], 16), match.end()
            if size == 0:
                self.is_complete = self._data[start:].endswith(b"\r\n")
                break
            if len(self._data) < start + size + 2:
                break
            found.append(self._data[start : start + size])
            self._data = self._data[start + size + 2 :]
        return b"".join(found)
