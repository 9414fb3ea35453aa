"""Which header lists are a request (RFC 9113, 8.2 and 8.3): order, names, values, and what must not be there."""

import re
from functools import lru_cache
from typing import Final

from kvstore.wire.h2.hpack import Header

_NAME: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")
_BAD_VALUE: Final = re.compile(rb"[\x00\r\n]|\A[ \t]|[ \t]\Z")
_CONNECTION_SPECIFIC: Final = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade")
)
_PSEUDO: Final = frozenset((b":method", b":scheme", b":authority", b":path"))


class HeadersInvalid(ValueError):
    """The list is no request; the stream is reset with PROTOCOL_ERROR."""


class RequestHead:
    """The headers of a request, checked. Shared by all requests that repeat them: never change one."""

    __slots__ = ("authority", "content_length", "headers", "method", "path", "scheme")

    def __init__(self, headers: tuple[Header, ...]) -> None:
        pseudo: dict[bytes, bytes] = {}
        regular = 0
        self.content_length = -1
        for name, value in headers:
            if name[:1] == b":":
                if regular:
                    raise HeadersInvalid("a pseudo header follows a header")
                if name not in _PSEUDO or name in pseudo:
                    raise HeadersInvalid(f"pseudo header {name!r} is unknown or twice")
                if _BAD_VALUE.search(value):
                    raise HeadersInvalid(f"pseudo header {name!r} has a wrong value")
                pseudo[name] = value
                continue
            regular += 1
            check_field((name, value))
            if name == b"content-length":
                self.content_length = self._length(value)
        self.method = pseudo.get(b":method", b"")
        self.scheme = pseudo.get(b":scheme", b"")
        self.path = pseudo.get(b":path", b"")
        self.authority = pseudo.get(b":authority", b"")
        self.headers = headers
        if not self.method:
            raise HeadersInvalid(":method is missing")
        if self.method == b"CONNECT":
            if self.scheme or self.path or not self.authority:
                raise HeadersInvalid("CONNECT takes :authority and neither :scheme nor :path")
        elif not self.scheme or not (self.path[:1] == b"/" or self.path == b"*"):
            raise HeadersInvalid(":scheme or :path is missing or wrong")

    def _length(self, value: bytes) -> int:
        if not value.isdigit() or len(value) > 18:
            raise HeadersInvalid("content-length is not a number")
        length = int(value)
        if self.content_length not in (-1, length):
            raise HeadersInvalid("content-length is there twice")
        return length

    def value(self, name: bytes) -> bytes | None:
        """The first value of a header."""
        for key, value in self.headers:
            if key == name:
                return value
        return None


@lru_cache(maxsize=1024)
def check_field(field: Header) -> None:
    """Refuse a regular header that must not be in HTTP/2. Raises HeadersInvalid."""
    name, value = field
    if not _NAME.fullmatch(name):
        raise HeadersInvalid(f"header name {name[:32]!r} is empty, in upper case or no token")
    if _BAD_VALUE.search(value):
        raise HeadersInvalid(f"header {name!r} has a wrong value")
    if name in _CONNECTION_SPECIFIC or (name == b"te" and value != b"trailers"):
        raise HeadersInvalid(f"header {name!r} has no place in HTTP/2")


def check_trailers(headers: tuple[Header, ...]) -> None:
    """Refuse trailers with pseudo headers or wrong names. Raises HeadersInvalid."""
    for field in headers:
        check_field(field)
