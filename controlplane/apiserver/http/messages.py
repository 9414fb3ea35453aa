"""What passes between the HTTP edge and the handlers: requests, responses, the caller's identity.

Handlers see only these, so tests drive them without sockets, and only `http` knows the HTTP library.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

import msgspec

from controlplane.apiserver.requests.info import RequestInfo


@dataclass(frozen=True, slots=True)
class User:
    """Who asks: the certificate's common name, and its organizations as groups."""

    name: str
    groups: tuple[str, ...] = ()

    @property
    def is_anonymous(self) -> bool:
        """Whether no certificate was shown."""
        return self.name == "system:anonymous"


ANONYMOUS = User("system:anonymous", ("system:unauthenticated",))


@dataclass(slots=True)
class Request:
    """One request, its body read whole. Header names are lower case; query values keep their order."""

    method: str
    path: str
    info: RequestInfo
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: bytes
    user: User
    request_id: str
    warnings: list[str] = field(default_factory=list)

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
    """An answer that goes on: each chunk is flushed when it comes."""

    chunks: AsyncIterator[bytes]
    content_type: str = "application/json"
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


def json_response(status: int, content: object) -> Response:
    """A JSON answer."""
    return Response(status, msgspec.json.encode(content))
