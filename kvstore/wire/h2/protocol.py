"""The only IO of the front: a socket's bytes into a connection and back.

The first bytes decide: HTTP/2's preface, or a connection for the HTTP/1.1 protocol, which takes the transport over. All
that the calls of one turn of the loop answer is joined into one write a connection, by one callback for all.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

from kvstore.base.log import get_logger
from kvstore.base.tls_options import common_name
from kvstore.wire.engine import Http1Factory
from kvstore.wire.h2 import frames
from kvstore.wire.h2.bridge import HttpCall
from kvstore.wire.h2.calls import CallService, Peer, RefusedCall
from kvstore.wire.h2.connection import Connection
from kvstore.wire.h2.flow import Budget
from kvstore.wire.h2.hpack import Header
from kvstore.wire.h2.limits import Limits
from kvstore.wire.h2.routing import CallHead
from kvstore.wire.h2.stream import Stream
from kvstore.wire.h2.streaming import StreamCall
from kvstore.wire.h2.unary import UnaryCall
from kvstore.wire.limits import Keepalive

log = get_logger("kvstore.wire.h2")

_PREFACE_SECONDS = 20.0
"""How long a connection may take to say what it is, and a header block to become whole."""

_STALL_SECONDS = 60.0
"""How long an answer may wait for a reader that takes nothing at all."""

_LINGER_SECONDS = 5.0
"""How long the last bytes may take to leave."""

_MAX_BUFFERED_BYTES = 8 << 20
"""Unread small frames (answers to pings, trailers) in front of a client that does not read."""

_KEEPALIVE_PAYLOAD = b"keepaliv"
_DRAIN_PAYLOAD = b"draining"


@dataclass(slots=True)
class Shared:
    """What all connections of a front have in common."""

    service: CallService
    convert: Callable[[tuple[Header, ...]], CallHead]
    limits: Limits
    keepalive: Keepalive
    budget: Budget
    http1: Http1Factory | None
    is_revoked: Callable[[Any], bool]
    protocols: "dict[Http2Protocol, None]" = field(default_factory=dict)
    dirty: "list[Http2Protocol]" = field(default_factory=list)
    on_empty: Callable[[], None] = lambda: None

    def flush(self) -> None:
        """Write what the turn has gathered."""
        dirty, self.dirty = self.dirty, []
        for protocol in dirty:
            protocol.flush()


class Http2Protocol(asyncio.Protocol):
    """One connection of a client."""

    __slots__ = (
        "_closing_at",
        "_connection",
        "_heard_at",
        "_is_dirty",
        "_is_reading",
        "_is_tls",
        "_peer",
        "_pinged_at",
        "_progress",
        "_progress_at",
        "_shared",
        "_sniffed",
        "_transport",
        "started_at",
    )

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._transport: asyncio.Transport | None = None
        self._connection: Connection[CallHead] | None = None
        self._peer = Peer()
        self._sniffed = b""
        self._is_reading = False
        self._is_dirty = False
        self._is_tls = False
        self.started_at = self._heard_at = shared.service.loop.time()
        self._pinged_at = 0.0
        self._closing_at = 0.0
        self._progress = 0
        self._progress_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is there; with TLS, it has shown its certificate."""
        self._transport = cast("asyncio.Transport", transport)
        self._is_tls = transport.get_extra_info("sslcontext") is not None
        certificate = transport.get_extra_info("peercert")
        if certificate and self._shared.is_revoked(certificate):
            log.warning("a revoked certificate was refused", serial=certificate["serialNumber"])
            self._transport.abort()
            return
        self._peer = Peer(_address(transport), common_name(certificate))
        self._shared.protocols[self] = None

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone."""
        if self._connection is not None:
            self._connection.close()
        self._transport = None
        self._leave()

    def data_received(self, data: bytes) -> None:
        """Bytes from the client."""
        connection = self._connection
        if connection is None:
            self._sniff(data)
            return
        self._heard_at = self._shared.service.loop.time()
        self._is_reading = True
        try:
            connection.receive(data)
        finally:
            self._is_reading = False
        if connection.out or connection.is_closed:
            self.flush()

    def eof_received(self) -> bool:
        """A client that has nothing more to say has gone away: gRPC knows no half-closed connection."""
        return False

    def pause_writing(self) -> None:
        """The socket is full."""
        if self._connection is not None:
            self._connection.can_write = False
            self._progress_at = self._shared.service.loop.time()

    def resume_writing(self) -> None:
        """The socket takes more."""
        if self._connection is not None:
            self._connection.can_write = True
            self._connection.pump_all()

    def flush_soon(self) -> None:
        """Have what is in the connection's output written when this turn's callbacks have run."""
        if self._is_dirty or self._is_reading:
            return
        self._is_dirty = True
        dirty = self._shared.dirty
        if not dirty:
            self._shared.service.loop.call_soon(self._shared.flush)
        dirty.append(self)

    def flush(self) -> None:
        """Write what is in the connection's output now."""
        self._is_dirty = False
        connection, transport = self._connection, self._transport
        if connection is None or transport is None:
            return
        if connection.out:
            data = connection.take_output()
            # uvloop raises where asyncio is silent when a closed transport is written to.
            if not transport.is_closing():
                transport.write(data)
        if connection.is_closed:
            self._close()
        elif not connection.can_write and transport.get_write_buffer_size() > _MAX_BUFFERED_BYTES:
            log.warning("a client that does not read was cut off", peer=self._peer.address)
            transport.abort()

    # The front's clock

    def is_silent_since(self, before: float) -> bool:
        """Whether it came before that time of the loop and has not said what it is."""
        transport = self._transport
        if self._connection is not None or self.started_at > before or transport is None:
            return False
        return not transport.is_closing()

    def tick(self, now: float) -> None:
        """Look after what takes too long."""
        connection, transport = self._connection, self._transport
        if transport is None:
            return
        if self._closing_at:
            if now - self._closing_at > _LINGER_SECONDS:
                transport.abort()
            return
        if connection is None:
            if now - self.started_at > _PREFACE_SECONDS:
                transport.abort()
            return
        if not connection.is_ready:
            if now - max(self.started_at, self._heard_at) > _PREFACE_SECONDS or (
                connection.block_age(now) > _PREFACE_SECONDS
            ):
                connection.fail(frames.SETTINGS_TIMEOUT, "no complete preface or headers in time")
                self.flush()
            return
        self._tick_keepalive(connection, transport, now)
        self._tick_stall(connection, transport, now)

    def _tick_keepalive(
        self, connection: Connection[CallHead], transport: asyncio.Transport, now: float
    ) -> None:
        keepalive = self._shared.keepalive
        if self._pinged_at and self._heard_at:
            self._pinged_at = 0.0
        if self._pinged_at:
            if now - self._pinged_at > keepalive.timeout_seconds:
                log.info("a client that is silent was cut off", peer=self._peer.address)
                transport.abort()
        elif keepalive.interval_seconds and now - self._heard_at > keepalive.interval_seconds:
            self._pinged_at = now
            # Zeroed rather than compared: the loop's clock may stand still between a ping and its answer.
            self._heard_at = 0.0
            connection.ping(_KEEPALIVE_PAYLOAD)

    def _tick_stall(
        self, connection: Connection[CallHead], transport: asyncio.Transport, now: float
    ) -> None:
        written = connection.progress
        if written != self._progress or not connection.has_stalled_answers:
            self._progress, self._progress_at = written, now
        elif now - self._progress_at > _STALL_SECONDS:
            log.warning("a client that takes no answers was cut off", peer=self._peer.address)
            transport.abort()

    # The end

    def drain(self) -> None:
        """Take no more calls, let those under way end, then close."""
        connection = self._connection
        if connection is None:
            self.abort()
            return
        # First a GOAWAY that refuses nothing: calls that the client has sent meanwhile are still served. Its answer to
        # the ping shows that it knows.
        connection.on_ping_ack = self._on_drain_ack
        connection.go_away(frames.MAX_STREAM_ID)
        connection.ping(_DRAIN_PAYLOAD)
        self._shared.service.loop.call_later(0.1, self._finish_drain)

    def _on_drain_ack(self, payload: bytes) -> None:
        if payload == _DRAIN_PAYLOAD:
            self._finish_drain()

    def _finish_drain(self) -> None:
        connection = self._connection
        if connection is None or connection.is_closed or connection.is_leaving:
            return
        connection.go_away(connection.last_stream_id)
        connection.is_leaving = True
        if not connection.streams:
            connection.close()

    def cut(self) -> None:
        """End all calls and close."""
        if self._connection is not None:
            self._connection.close()
            self.flush()
        else:
            self.abort()

    def abort(self) -> None:
        """Close without another word."""
        if self._transport is not None:
            self._transport.abort()

    def _close(self) -> None:
        if self._transport is not None and not self._closing_at:
            self._closing_at = self._shared.service.loop.time()
            self._transport.close()

    def _leave(self) -> None:
        self._shared.protocols.pop(self, None)
        if not self._shared.protocols:
            self._shared.on_empty()

    # The first bytes

    def _sniff(self, data: bytes) -> None:
        data = self._sniffed + data
        size = min(len(data), len(frames.PREFACE))
        if data[:size] != frames.PREFACE[:size]:
            self._hand_over(data)
            return
        if size < len(frames.PREFACE):
            self._sniffed = data
            return
        self._sniffed = b""
        shared = self._shared
        connection = Connection(
            shared.convert,
            self._open_stream,
            shared.service.loop.time,
            shared.limits,
            shared.budget,
        )
        connection.flush_soon = self.flush_soon
        connection.flush_now = self.flush
        self._connection = connection
        self.data_received(data)

    def _open_stream(
        self, connection: Connection[CallHead], stream_id: int, head: CallHead
    ) -> Stream:
        service, peer = self._shared.service, self._peer
        if head.unary is not None:
            return UnaryCall(connection, stream_id, head, service, peer)
        if head.stream is not None:
            return StreamCall(connection, stream_id, head, service, peer)
        if self._is_tls and not head.is_grpc and self._shared.http1 is not None and self._transport:
            return HttpCall(connection, stream_id, head, self._shared.http1, self._transport)
        return RefusedCall(connection, stream_id, head, service, peer)

    def _hand_over(self, data: bytes) -> None:
        transport, self._transport = self._transport, None
        self._leave()
        if transport is None:
            return
        if self._shared.http1 is None:
            transport.abort()
            return
        protocol = self._shared.http1()
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        protocol.data_received(data)


def _address(transport: asyncio.BaseTransport) -> str:
    name = transport.get_extra_info("peername")
    if isinstance(name, tuple) and len(name) >= 2:
        return f"ipv6:[{name[0]}]:{name[1]}" if ":" in name[0] else f"ipv4:{name[0]}:{name[1]}"
    return "unix:"
