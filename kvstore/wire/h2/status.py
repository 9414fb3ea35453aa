"""gRPC's headers: answers' first and last blocks, made once; statuses in words; timeouts.

`grpc-message` is percent-encoded UTF-8 (gRPC over HTTP/2, "Responses"); a text that would not fit a frame is cut.
"""

from functools import lru_cache
from typing import Final

from kvstore.wire.h2.hpack import Header, encode_plain
from kvstore.wire.h2.sending import Block

CONTENT_TYPE: Final = b"application/grpc"
_MAX_MESSAGE_BYTES = 4096

OPENING: Final = Block(encode_plain([(b":status", b"200"), (b"content-type", CONTENT_TYPE)]))
"""The headers of every answer with a message."""

CLOSING_OK: Final = Block(encode_plain([(b"grpc-status", b"0")]))
"""The trailers of success."""

_PLAIN: Final = frozenset(range(0x20, 0x7F)) - {0x25}
_TIMEOUT_DIGITS = 8
_UNIT_SECONDS: Final = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}


def percent_encode(text: str) -> bytes:
    """A text as `grpc-message` carries it."""
    data = text.encode("utf-8", "replace")[:_MAX_MESSAGE_BYTES]
    if all(byte in _PLAIN for byte in data):
        return data
    return b"".join(
        bytes((byte,)) if byte in _PLAIN else b"%%%02X" % byte
        for byte in data.decode("utf-8", "ignore").encode()
    )


@lru_cache(maxsize=256)
def closing(code: int, message: str) -> Block:
    """Trailers of a call that has had its headers."""
    return Block(encode_plain(_status(code, message)))


@lru_cache(maxsize=256)
def refusal(
    code: int, message: str, http_status: int = 200, more: tuple[Header, ...] = ()
) -> Block:
    """Headers and trailers in one: the whole answer of a call without a message."""
    headers: list[Header] = [
        (b":status", b"%d" % http_status),
        (b"content-type", CONTENT_TYPE),
        *_status(code, message),
        *more,
    ]
    return Block(encode_plain(headers))


def _status(code: int, message: str) -> list[Header]:
    return [(b"grpc-status", b"%d" % code), (b"grpc-message", percent_encode(message))]


def parse_timeout(value: bytes) -> float | None:
    """Seconds of a `grpc-timeout`; None if it is none."""
    digits, unit = value[:-1], _UNIT_SECONDS.get(value[-1:])
    if unit is None or not digits.isdigit() or len(digits) > _TIMEOUT_DIGITS:
        return None
    return int(digits) * unit
