"""What passes between the HTTP edge and everything behind it: requests, answers, the caller's identity.

Filters and handlers see only these, so tests drive them without sockets, and only `http` knows the HTTP library. An
answer is one of four: a whole `Response`, a `StreamResponse` that goes on, an `Upgrade`, after which both sides send
messages as they like, or a `Takeover`, after which the connection carries bytes that no HTTP is.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from controlplane.apiserver.http.info import RequestInfo


@dataclass(frozen=True, slots=True)
class User:
    """Who asks. `uid` and `extra` may be empty; `extra` is what an authenticator knows beyond name and groups."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)

    @property
    def is_anonymous(self) -> bool:
        """Whether no credential was shown."""
        return self.name == "system:anonymous"

    def info(self) -> dict[str, Any]:
        """The user as a UserInfo of authentication.k8s.io; what is empty is left out."""
        fields: dict[str, Any] = {
            "username": self.name,
            "uid": self.uid,
            "groups": list(self.groups),
            "extra": {key: list(values) for key, values in sorted(self.extra.items())},
        }
        return {name: value for name, value in fields.items() if value}


ANONYMOUS = User("system:anonymous", ("system:unauthenticated",))


@dataclass(frozen=True, slots=True)
class Certificate:
    """A client certificate that the TLS layer has verified.

    `subject` are the pairs of its distinguished name in order (`commonName`, `organizationName`, or a dotted OID);
    `der` is its encoding, and `fingerprint` the SHA-256 of that in lower-case hexadecimal digits; both are empty when
    not known.
    """

    subject: tuple[tuple[str, str], ...]
    fingerprint: str = ""
    der: bytes = b""

    def values(self, attribute: str) -> tuple[str, ...]:
        """All values of one attribute, in order."""
        return tuple(value for name, value in self.subject if name == attribute)


class Incoming(Protocol):
    """A request as the edge hands it over. Header names are lower case; query values keep their order."""

    method: str
    path: str
    headers: Mapping[str, str]
    query: Mapping[str, list[str]]
    # The query as it was sent, without the question mark.
    raw_query: str
    # Where the client's connection comes from, as an address; empty when not known.
    peer: str
    certificate: Certificate | None

    @property
    def all_headers(self) -> Sequence[tuple[str, str]]:
        """Every header in order, with those that come more than once."""
        ...

    async def body(self) -> bytes:
        """The whole body; RequestEntityTooLarge above the server's limit."""
        ...

    def chunks(self) -> AsyncIterator[bytes]:
        """The body in pieces as they come, of any size; in place of `body`."""
        ...


@dataclass(slots=True)
class Request:
    """One request on its way through the filters; those before `user` and `body` are known do not look at them."""

    method: str
    path: str
    info: RequestInfo
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    incoming: Incoming
    body: bytes = b""
    user: User = ANONYMOUS
    # Who really asks, when `user` is somebody he acts as.
    impersonator: User | None = None
    request_id: str = ""
    warnings: list[str] = field(default_factory=list)
    # Notes for the audit log, from authorizers and admission plugins.
    annotations: dict[str, str] = field(default_factory=dict)
    # Headers of whatever the answer will be.
    answer_headers: dict[str, str] = field(default_factory=dict)

    def option(self, name: str, default: str = "") -> str:
        """The first value of a query parameter."""
        values = self.query.get(name)
        return values[0] if values else default

    def flag(self, name: str) -> bool:
        """A boolean query parameter as Go parses it: present but empty counts as true."""
        if name not in self.query:
            return False
        return self.option(name) not in ("0", "f", "F", "false", "FALSE", "False")


@dataclass(slots=True)
class Response:
    """A whole answer."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class StreamResponse:
    """An answer that goes on: each chunk is flushed when it comes.

    `passed_on` are the headers of the server behind this one, where it is that one's answer: sent beside `headers`, in
    order, also those that come more than once.
    """

    chunks: AsyncIterator[bytes]
    content_type: str = "application/json"
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    passed_on: Sequence[tuple[str, str]] = ()


class Socket(Protocol):
    """An upgraded connection that carries whole messages; `protocol` is the one that was agreed on, or empty."""

    protocol: str

    async def receive(self) -> bytes | str | None:
        """The next message of the client; None when there will be no more."""
        ...

    async def send(self, message: bytes | str) -> None:
        """Send one message; ConnectionError when the client is gone."""
        ...


@dataclass(slots=True)
class Upgrade:
    """An answer that turns the connection into a `Socket` and gives it to `handler`, which owns it until it returns.

    `protocols` are the sub-protocols that `handler` speaks, the best first; an empty one among them accepts clients
    that name none. When none fits the client is refused with 400 before `handler` is called.
    """

    handler: Callable[[Socket], Awaitable[None]]
    protocols: tuple[str, ...] = ("",)
    status: int = 101
    headers: dict[str, str] = field(default_factory=dict)

    def choose(self, offered: list[str]) -> str | None:
        """The sub-protocol to speak with a client that offers these; None when there is none."""
        if not offered:
            return "" if "" in self.protocols else None
        return next((one for one in self.protocols if one and one in offered), None)


class Pipe(Protocol):
    """A connection as bytes both ways."""

    async def read(self) -> bytes:
        """What came next; empty at the end."""
        ...

    async def write(self, data: bytes) -> None:
        """Send; waits while the client does not read. ConnectionError when it is gone."""
        ...


@dataclass(slots=True)
class Takeover:
    """An answer after whose head the connection is a `Pipe` for `handler`, which owns it until it returns."""

    handler: Callable[[Pipe], Awaitable[None]]
    status: int = 101
    headers: dict[str, str] = field(default_factory=dict)
    passed_on: Sequence[tuple[str, str]] = ()


Answer = Response | StreamResponse | Upgrade | Takeover


def json_response(status: int, content: object) -> Response:
    """A JSON answer."""
    return Response(status, msgspec.json.encode(content))
