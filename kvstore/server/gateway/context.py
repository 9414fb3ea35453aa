"""What a call through the gateway knows of its HTTP request: headers become metadata as in etcd's gateway.

`Authorization` passes as it is (a token), `Grpc-Metadata-X` as `x`, the well-known HTTP headers with a prefix; others
not at all. The name in a client's certificate is not passed: etcd does not honour it behind its gateway either.
"""

import base64
import binascii
from collections.abc import Iterable

from kvstore.wire.engine import INVALID_ARGUMENT, WireError

_PREFIX = "grpc-metadata-"
_PERMANENT = frozenset(
    """
    accept accept-charset accept-language accept-ranges authorization cache-control content-type cookie date expect
    from host if-match if-modified-since if-none-match if-schedule-tag-match if-unmodified-since max-forwards origin
    pragma referer user-agent via warning
    """.split()  # noqa: SIM905
)
_UNIT_SECONDS = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}


class GatewayContext:
    """The `CallContext` of one HTTP request."""

    __slots__ = ("_metadata", "_peer")

    def __init__(self, headers: Iterable[tuple[str, str]], peer: str) -> None:
        self._peer = peer
        self._metadata = _metadata_of(headers)

    def metadata(self, name: str) -> str | None:
        """A header by lower-case name."""
        return self._metadata.get(name)

    @property
    def peer(self) -> str:
        """Where the request comes from."""
        return self._peer

    @property
    def common_name(self) -> str:
        """Always empty, see above."""
        return ""


def _metadata_of(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for header, value in headers:
        name = header.lower()
        if name == "authorization":
            found.setdefault(name, value)
        if name in _PERMANENT:
            found.setdefault(f"grpcgateway-{name}", value)
        elif name.startswith(_PREFIX):
            name = name.removeprefix(_PREFIX)
            found.setdefault(name, _decoded(value) if name.endswith("-bin") else value)
        elif name == "x-forwarded-for":
            found.setdefault(name, value)
    return found


def _decoded(value: str) -> str:
    try:
        padded = value if len(value) % 4 == 0 else value + "=" * (-len(value) % 4)
        return base64.b64decode(padded, validate=True).decode("latin-1")
    except (binascii.Error, ValueError) as error:
        raise WireError(INVALID_ARGUMENT, f"invalid binary header {value}: {error}") from error


def timeout_of(text: str | None) -> float | None:
    """Seconds of a `Grpc-Timeout` header; None without one. Raises WireError."""
    if not text:
        return None
    unit = _UNIT_SECONDS.get(text[-1])
    number = text[:-1]
    if unit is None or not number.isascii() or not number.isdigit() or len(number) > 18:
        raise WireError(INVALID_ARGUMENT, f"invalid grpc-timeout: {text}")
    # Zero means none, as in etcd's gateway.
    return int(number) * unit or None
