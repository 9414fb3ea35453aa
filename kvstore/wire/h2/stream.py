"""One stream of a connection: its windows, what waits to be sent, and what the application is told."""

from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kvstore.wire.h2.connection import Connection


class Stream:
    """Windows and queue of one stream. The application makes a subclass of it and is called through it."""

    __slots__ = (
        "connection",
        "credit_due",
        "in_window",
        "is_answered",
        "is_closed",
        "is_remote_closed",
        "out_window",
        "outbox",
        "outbox_bytes",
        "stream_id",
        "unread_bytes",
    )

    def __init__(self, connection: "Connection[Any]", stream_id: int) -> None:
        self.connection = connection
        self.stream_id = stream_id
        self.out_window = connection.peer_initial_window
        self.in_window = connection.limits.stream_window
        self.credit_due = 0
        self.is_remote_closed = False
        self.is_closed = False
        self.is_answered = False
        self.outbox: deque[tuple[bytes, int]] | None = None
        """Payloads not sent yet, with the offset of what is left; the closing block comes last with offset -1."""
        self.outbox_bytes = 0
        self.unread_bytes = -1
        """What content-length still promises; -1 = nothing promised."""

    def on_open(self, is_end: bool) -> None:
        """The request's headers are here; with `is_end` nothing follows."""

    def on_data(self, data: bytes, start: int, stop: int, is_end: bool) -> None:
        """A piece of the body, in place in the buffer that was read."""

    def on_end(self) -> None:
        """The body ended without data: by trailers or by an empty frame."""

    def on_reset(self, code: int) -> None:
        """The stream is over before its answer: the client or the end of the connection did it."""

    def on_drained(self) -> None:
        """All that was queued is sent."""
