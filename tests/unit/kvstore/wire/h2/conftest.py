"""A client of the connection core that speaks in frames."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from kvstore.wire.h2 import frames
from kvstore.wire.h2.connection import Connection
from kvstore.wire.h2.flow import Budget
from kvstore.wire.h2.headers import RequestHead
from kvstore.wire.h2.hpack import Encoder, Header
from kvstore.wire.h2.limits import Limits
from kvstore.wire.h2.stream import Stream

NAMES = {
    0: "DATA",
    1: "HEADERS",
    3: "RST_STREAM",
    4: "SETTINGS",
    6: "PING",
    7: "GOAWAY",
    8: "WINDOW_UPDATE",
    9: "CONTINUATION",
}
REQUEST: list[Header] = [
    (b":method", b"POST"),
    (b":scheme", b"http"),
    (b":path", b"/a.B/C"),
    (b":authority", b"here"),
    (b"te", b"trailers"),
    (b"content-type", b"application/grpc"),
]


class Recorded(Stream):
    """A stream that writes down what it is told."""

    def __init__(self, connection: Connection[Any], stream_id: int, head: RequestHead) -> None:
        super().__init__(connection, stream_id)
        self.head = head
        self.body = b""
        self.is_ended = False
        self.reset_code: int | None = None
        self.drained_count = 0
        self.number = stream_id.to_bytes(4, "big")

    def on_open(self, is_end: bool) -> None:
        self.is_ended = is_end

    def on_data(self, data: bytes, start: int, stop: int, is_end: bool) -> None:
        assert not self.is_ended
        self.body += data[start:stop]
        self.is_ended = is_end

    def on_end(self) -> None:
        assert not self.is_ended
        self.is_ended = True

    def on_reset(self, code: int) -> None:
        assert self.reset_code is None
        self.reset_code = code

    def on_drained(self) -> None:
        self.drained_count += 1


@dataclass
class Peer:
    """The other end of a connection."""

    limits: Limits = field(default_factory=Limits)
    budget: Budget | None = None

    def __post_init__(self) -> None:
        self.now = 100.0
        self.opened: dict[int, Recorded] = {}
        self.encoder = Encoder()
        self.connection: Connection[RequestHead] = Connection(
            RequestHead, self._open, lambda: self.now, self.limits, self.budget
        )

    def _open(self, connection: Connection[Any], stream_id: int, head: RequestHead) -> Recorded:
        stream = self.opened[stream_id] = Recorded(connection, stream_id, head)
        return stream

    def start(self, settings: dict[int, int] | None = None) -> "Peer":
        """Say hello; forget the answer."""
        self.connection.receive(frames.PREFACE + frames.pack_settings(settings or {}))
        self.taken()
        return self

    def send(self, kind: int, flags: int = 0, stream_id: int = 0, payload: bytes = b"") -> None:
        """One frame."""
        self.connection.receive(frames.pack_frame(kind, flags, stream_id, payload))

    def open(
        self, stream_id: int = 1, *, end: bool = False, headers: list[Header] | None = None
    ) -> Recorded:
        """A request's headers."""
        block = self.encoder.encode(REQUEST if headers is None else headers)
        self.send(frames.HEADERS, frames.END_HEADERS | end, stream_id, block)
        return self.opened[stream_id]

    def data(self, stream_id: int, payload: bytes, *, end: bool = False) -> None:
        """A piece of a body."""
        self.send(frames.DATA, int(end), stream_id, payload)

    def taken(self) -> list[tuple[str, int, int, bytes]]:
        """What the server has written: (name, flags, stream, payload)."""
        data, found = self.connection.take_output(), []
        while data:
            high, low, kind, flags, stream_id = frames.FRAME_HEADER.unpack_from(data)
            length = high << 8 | low
            assert len(data) >= 9 + length
            found.append((NAMES[kind], flags, stream_id, data[9 : 9 + length]))
            data = data[9 + length :]
        return found

    def errors(self) -> list[tuple[str, int, int]]:
        """RST_STREAM and GOAWAY frames written: (name, stream, code)."""
        found = []
        for name, _, stream_id, payload in self.taken():
            if name == "GOAWAY":
                found.append((name, stream_id, int.from_bytes(payload[4:8], "big")))
            elif name == "RST_STREAM":
                found.append((name, stream_id, int.from_bytes(payload, "big")))
        return found


@pytest.fixture(scope="session")
def make_peer_class() -> Callable[..., Peer]:
    """The same for hypothesis, which wants fixtures that outlive an example."""
    return Peer


@pytest.fixture
def make_peer() -> Callable[..., Peer]:
    """Makes clients of a new connection."""
    return Peer


@pytest.fixture
def peer() -> Peer:
    """A client that has said hello."""
    return Peer().start()
