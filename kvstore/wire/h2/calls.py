"""gRPC calls as streams: what unary and streaming ones have in common, and those that their headers refuse."""

import asyncio
import base64
import binascii
from dataclasses import dataclass

from kvstore.base.tasks import Supervisor
from kvstore.wire.engine import DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, OnHandled, WireError
from kvstore.wire.h2 import status
from kvstore.wire.h2.connection import Connection
from kvstore.wire.h2.deadlines import Deadlines
from kvstore.wire.h2.messages import Assembler
from kvstore.wire.h2.routing import TIMEOUT_HEADER, CallHead
from kvstore.wire.h2.stream import Stream

BUG = "internal error, see the member's log"
_LATE = "context deadline exceeded"


@dataclass(slots=True)
class Peer:
    """Who is at the other end of a connection."""

    address: str = ""
    common_name: str = ""


@dataclass(slots=True)
class CallService:
    """What all calls of a front share."""

    loop: asyncio.AbstractEventLoop
    tasks: Supervisor
    deadlines: Deadlines
    on_handled: OnHandled
    max_message_bytes: int


class Call(Stream):
    """What both kinds have in common; also what a handler sees of its call."""

    __slots__ = (
        "_assembler",
        "_held",
        "_is_ended",
        "_partial",
        "_peer",
        "_service",
        "_slot",
        "head",
    )

    def __init__(
        self,
        connection: Connection[CallHead],
        stream_id: int,
        head: CallHead,
        service: CallService,
        peer: Peer,
    ) -> None:
        super().__init__(connection, stream_id)
        self.head = head
        self._service = service
        self._peer = peer
        self._slot = 0
        self._assembler: Assembler | None = None
        self._is_ended = False
        self._held = 0
        self._partial = 0

    def metadata(self, name: str) -> str | None:
        """A header by lower-case name; a binary one is decoded, each byte a character."""
        texts = self.head.texts
        if name in texts:
            return texts[name]
        value = self.head.value(name.encode())
        if value is not None and name.endswith("-bin"):
            value = decode_binary(value)
        text = None if value is None else value.decode("latin-1")
        if name != TIMEOUT_HEADER:
            # Heads that differ in this one header share the rest; what handlers ask for are a few names.
            texts[name] = text
        return text

    @property
    def peer(self) -> str:
        """Where the call comes from."""
        return self._peer.address

    @property
    def common_name(self) -> str:
        """The common name of the client's verified certificate; empty without one."""
        return self._peer.common_name

    def on_deadline(self) -> None:
        """Answer for the handler, and stop it."""
        if not self._is_ended:
            self._refuse(DEADLINE_EXCEEDED, _LATE)
            self._cancel_handler()

    def _cancel_handler(self) -> None:
        raise NotImplementedError

    def _watch_deadline(self) -> bool:
        """Note the call's deadline; false if it has passed already."""
        seconds = self.head.timeout
        if seconds is not None:
            if seconds <= 0:
                self._refuse(DEADLINE_EXCEEDED, _LATE)
                return False
            self._slot = self._service.deadlines.add(self, seconds)
        return True

    def _ended(self, code: int) -> None:
        if self._is_ended:
            # A client may reset a call whose answer is still on its way out.
            return
        self._is_ended = True
        if self._slot:
            self._service.deadlines.remove(self, self._slot)
        if self._held:
            self.connection.budget.give(self._held)
            self._held = 0
        self._service.on_handled(self.head.method_path, self.head.stream is not None, code)

    def _refuse(self, code: int, message: str) -> None:
        """End the call with a status, unless it has ended."""
        if self._is_ended:
            return
        if self.is_answered:
            self.connection.send_end(self, status.closing(code, message))
        else:
            self.connection.send_end(self, status.refusal(code, message))
        self._ended(code)

    def _assemble(self, data: bytes, start: int, stop: int) -> list[bytes]:
        """Whole messages; what is not whole counts against the connection's budget."""
        assembler = self._assembler
        if assembler is None:
            assembler = self._assembler = Assembler(
                self._service.max_message_bytes, is_gzip=self.head.is_gzip
            )
        messages = assembler.feed(data, start, stop)
        partial = assembler.held_bytes
        self._hold(partial - self._partial)
        self._partial = partial
        return messages

    def _hold(self, more: int) -> None:
        budget = self.connection.budget
        if more < 0:
            budget.give(-more)
        elif more and not budget.take(more):
            raise WireError(RESOURCE_EXHAUSTED, "grpc: too many bytes of unfinished requests")
        self._held += more


class RefusedCall(Call):
    """A call that its headers refuse."""

    __slots__ = ()

    def on_open(self, is_end: bool) -> None:
        """Answer at once."""
        # Not counted: a path that nobody serves would become a label of the metrics.
        self._is_ended = True
        refused = self.head.refused
        if refused is not None:
            self.connection.send_end(self, refused)

    def _cancel_handler(self) -> None:
        pass


def decode_binary(value: bytes) -> bytes:
    """A -bin header: base64 with or without padding. What is none stays as it is."""
    try:
        return base64.b64decode(value + b"=" * (-len(value) % 4), validate=True)
    except binascii.Error:
        return value
