"""One connection between members: bytes to messages and back, with a bounded buffer."""

import asyncio
from typing import Any, Protocol

import structlog

from kvstore.base.clock import Clock
from kvstore.raft.pysync.delay_line import DelayLine
from kvstore.raft.pysync.frames import BadFrame, FrameReader
from kvstore.raft.pysync.messages import Message
from kvstore.raft.replicator import MemberId

log = structlog.get_logger(__name__)

HELLO_LIMIT_BYTES = 4096
SEND_BUFFER_BYTES = 64 << 20


class ConnectionOwner(Protocol):
    """Who is told what happens on a connection."""

    clock: Clock

    def opened(self, connection: "Connection") -> None:
        """The socket is connected."""
        ...

    def arrived(self, connection: "Connection", message: Message) -> None:
        """A message arrived. Raises BadFrame for what no member sends."""
        ...

    def lost(self, connection: "Connection") -> None:
        """The socket closed."""
        ...


class Connection(asyncio.Protocol):
    """Frames in and out. `expected` is whom this side dialled; `member` who it is, once it said so."""

    def __init__(self, owner: ConnectionOwner, expected: MemberId | None) -> None:
        self._owner = owner
        self._reader = FrameReader(HELLO_LIMIT_BYTES)
        self._out: list[bytes] = []
        self._is_urgent = False
        self._transport: asyncio.Transport | None = None
        self.delayed_out: DelayLine[bytes] | None = None
        self.delayed_in: DelayLine[Message] | None = None
        self.expected = expected
        self.member: MemberId | None = None
        self._loop = asyncio.get_running_loop()
        self.closed: asyncio.Future[None] = self._loop.create_future()
        self.opened_at = self.heard_at = self.sent_at = owner.clock.monotonic()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is connected."""
        self._transport = transport  # type: ignore[assignment]
        self._owner.opened(self)

    def data_received(self, data: bytes) -> None:
        """Bytes arrived."""
        try:
            messages = self._reader.feed(data)
            for message in messages:
                self._owner.arrived(self, message)
        except BadFrame as error:
            self.refuse(error)

    def refuse(self, error: BadFrame) -> None:
        """End it, for the other side sent what no member sends."""
        log.warning("peer connection refused", reason=str(error), member=self.member)
        self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket closed."""
        for held in (self.delayed_out, self.delayed_in):
            if held is not None:
                held.drop()
        self._owner.lost(self)
        if not self.closed.done():
            self.closed.set_result(None)

    def certificate(self) -> Any:
        """What the other side's verified certificate says; None without TLS."""
        return None if self._transport is None else self._transport.get_extra_info("peercert")

    def trust(self, member: MemberId, limit_bytes: int) -> None:
        """The other side is `member`: its frames may have so many bytes."""
        self.member = member
        self._reader.limit_bytes = limit_bytes

    def write(self, frame: bytes, *, is_urgent: bool = True) -> bool:
        """Send soon; False if the connection is closing or its buffer is full."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return False
        if transport.get_write_buffer_size() > SEND_BUFFER_BYTES:
            return False
        # What one turn sends leaves in one system call, and what is not urgent after the answers of that turn.
        if is_urgent:
            if not self._is_urgent:
                self._is_urgent = True
                self._loop.call_soon(self.flush)
        elif not self._out:
            self._loop.call_soon(self._loop.call_soon, self.flush)
        self._out.append(frame)
        return True

    def flush(self) -> None:
        """Send what waits."""
        out, self._out, self._is_urgent = self._out, [], False
        transport = self._transport
        if out and transport is not None and not transport.is_closing():
            self.sent_at = self._owner.clock.monotonic()
            transport.write(out[0] if len(out) == 1 else b"".join(out))

    def push(self) -> None:
        """Send what waits, if any of it is urgent."""
        if self._is_urgent:
            self.flush()

    def finish(self) -> None:
        """Close once what waits is sent."""
        self.flush()
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close without sending what waits."""
        if self._transport is not None:
            self._transport.abort()
