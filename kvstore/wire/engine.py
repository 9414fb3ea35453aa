"""What a gRPC front offers: handlers by full method path, raw request bytes in, raw response bytes out.

A unary handler returns the response. A stream handler gets an iterator of requests and a `send`; awaiting `send` is the
backpressure. Either refuses a call by raising `WireError`, whose code and text reach the client as they are; any other
exception is a bug, logged by the front and answered Internal without its text.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

OK = 0
CANCELLED = 1
UNKNOWN = 2
INVALID_ARGUMENT = 3
DEADLINE_EXCEEDED = 4
NOT_FOUND = 5
ALREADY_EXISTS = 6
PERMISSION_DENIED = 7
RESOURCE_EXHAUSTED = 8
FAILED_PRECONDITION = 9
ABORTED = 10
OUT_OF_RANGE = 11
UNIMPLEMENTED = 12
INTERNAL = 13
UNAVAILABLE = 14
DATA_LOSS = 15
UNAUTHENTICATED = 16

CODE_NAMES = {
    OK: "OK",
    CANCELLED: "Canceled",
    UNKNOWN: "Unknown",
    INVALID_ARGUMENT: "InvalidArgument",
    DEADLINE_EXCEEDED: "DeadlineExceeded",
    NOT_FOUND: "NotFound",
    ALREADY_EXISTS: "AlreadyExists",
    PERMISSION_DENIED: "PermissionDenied",
    RESOURCE_EXHAUSTED: "ResourceExhausted",
    FAILED_PRECONDITION: "FailedPrecondition",
    ABORTED: "Aborted",
    OUT_OF_RANGE: "OutOfRange",
    UNIMPLEMENTED: "Unimplemented",
    INTERNAL: "Internal",
    UNAVAILABLE: "Unavailable",
    DATA_LOSS: "DataLoss",
    UNAUTHENTICATED: "Unauthenticated",
}
"""Codes as grpc-go writes them in metrics."""


class WireError(Exception):
    """Refuse the call with a gRPC status code and a text."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message


class CallContext(Protocol):
    """What a handler may know of its call."""

    def metadata(self, name: str) -> str | None:
        """A header by lower-case name."""
        ...

    @property
    def peer(self) -> str:
        """Where the call comes from, for logs."""
        ...

    @property
    def common_name(self) -> str:
        """The common name of the client's verified certificate; empty without one."""
        ...


Send = Callable[[bytes], Awaitable[None]]


class Fan(Protocol):
    """Sends the same messages to many streams of a front at once."""

    def send(self, targets: Sequence[Any], messages: Sequence[bytes]) -> list[int]:
        """Send all messages to each target (`DirectSend.target`) that has room for all.

        The positions of the others, which have been sent nothing.
        """
        ...


@runtime_checkable
class DirectSend(Protocol):
    """A `Send` that can be told without waiting, for who sends to thousands of streams and keeps no task for each."""

    def __call__(self, message: bytes) -> Awaitable[None]:
        """Send; returns when the client has room for it."""
        ...

    @property
    def fan(self) -> Fan | None:
        """What sends to this stream and others at once; None if nothing does."""
        ...

    @property
    def target(self) -> Any:
        """What `fan` knows this stream by."""
        ...

    def now(self, message: bytes) -> bool:
        """Send; False if it waits for the client, and nothing should follow before `on_room` has called."""
        ...

    def on_room(self, callback: Callable[[], None]) -> None:
        """Call whenever all that waited has left."""
        ...


UnaryHandler = Callable[[bytes, CallContext], Awaitable[bytes]]
StreamHandler = Callable[[AsyncIterator[bytes], Send, CallContext], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Handlers:
    """Handlers by full method path, such as `/etcdserverpb.KV/Put`."""

    unary: Mapping[str, UnaryHandler] = field(default_factory=dict)
    stream: Mapping[str, StreamHandler] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ServerTls:
    """Files of the server's certificate; with `ca_file` and `is_client_required`, clients must show one too."""

    cert_file: Path
    key_file: Path
    ca_file: Path | None = None
    is_client_required: bool = False
    crl_file: Path | None = None
    """Revoked certificates (PEM); only with `ca_file`."""
    cipher_suites: tuple[str, ...] = ()
    """OpenSSL's names of the TLS 1.2 suites to allow; empty = the library's choice."""
    min_version: str = "TLS1.2"
    max_version: str = ""
    """`TLS1.2`, `TLS1.3` or empty."""
    allowed_hostname: str = ""
    """A DNS name or address that clients' certificates must carry; empty = any."""


@dataclass(frozen=True, slots=True)
class Listen:
    """One address: (host, port), port 0 = any, or a unix socket's path."""

    host: str = ""
    port: int = 0
    unix_path: str = ""
    tls: ServerTls | None = None

    def __str__(self) -> str:
        return f"unix:{self.unix_path}" if self.unix_path else f"{self.host}:{self.port}"


class ListenError(Exception):
    """An address could not be bound; the message names it."""


Http1Factory = Callable[[], asyncio.Protocol]
"""Makes the protocol that serves a connection on a client port which does not speak HTTP/2."""


OnHandled = Callable[[str, bool, int], None]
"""(method path, is_stream, code) after each call."""


class Front(Protocol):
    """A running gRPC server."""

    async def start(self) -> tuple[Listen, ...]:
        """Bind all addresses and serve; the addresses with their real ports. Raises ListenError."""
        ...

    async def stop(self, grace_seconds: float) -> None:
        """Take no new calls, let running ones end for `grace_seconds`, then cut them."""
        ...
