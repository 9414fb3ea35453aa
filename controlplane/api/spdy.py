"""SPDY/3.1 without IO, as far as port-forward and old clients of exec speak it: bytes in, events and bytes out.

A server's side: the other end opens streams. Windows are not kept, since neither kubectl nor a kubelet keeps them;
priorities and settings mean nothing here. Source of the form: draft-mbelshe-httpbis-spdy-00, sections 2.2 and 2.6.
"""

import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

_VERSION = 3
_SYN_STREAM, _SYN_REPLY, _RST_STREAM, _SETTINGS, _PING, _GOAWAY, _HEADERS, _WINDOW = (
    1, 2, 3, 4, 6, 7, 8, 9,
)  # fmt: skip
_FIN = 1
_MOST_BYTES = 1 << 24

# The words both sides' compression starts from (2.6.10.1): names and a few values, each after its length, then text.
_NAMES = (
    "options", "head", "post", "put", "delete", "trace", "accept", "accept-charset",
    "accept-encoding", "accept-language", "accept-ranges", "age", "allow", "authorization",
    "cache-control", "connection", "content-base", "content-encoding", "content-language",
    "content-length", "content-location", "content-md5", "content-range", "content-type", "date",
    "etag", "expect", "expires", "from", "host", "if-match", "if-modified-since",
    "if-none-match", "if-range", "if-unmodified-since", "last-modified", "location",
    "max-forwards", "pragma", "proxy-authenticate", "proxy-authorization", "range", "referer",
    "retry-after", "server", "te", "trailer", "transfer-encoding", "upgrade", "user-agent",
    "vary", "via", "warning", "www-authenticate", "method", "get", "status",
)  # fmt: skip
_MORE = ("200 OK", "version", "HTTP/1.1", "url", "public", "set-cookie", "keep-alive", "origin")
_TEXT = (
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
    "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized"
    "403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable"
    "Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT"
    "chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,"
    "text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0."
)
DICTIONARY = (
    b"".join(struct.pack(">I", len(word)) + word.encode() for word in (*_NAMES, *_MORE))
    + _TEXT.encode()
)


class SpdyError(ValueError):
    """Bytes that are not SPDY/3.1; the connection is of no more use."""


@dataclass(frozen=True, slots=True)
class Opened:
    """The other side opened a stream; answer by `reply` or `reset`."""

    stream: int
    headers: Mapping[str, str]
    """Names in lower case."""
    is_end: bool = False


@dataclass(frozen=True, slots=True)
class Data:
    """Data of a stream; `is_end` says that no more will come."""

    stream: int
    data: bytes
    is_end: bool = False


@dataclass(frozen=True, slots=True)
class Reset:
    """The other side gave a stream up."""

    stream: int


Event = Opened | Data | Reset


@dataclass(slots=True)
class Connection:
    """One connection. What is to be sent gathers in `outgoing`."""

    outgoing: bytearray = field(default_factory=bytearray)
    _incoming: bytearray = field(default_factory=bytearray)
    _inflate: "zlib._Decompress" = field(
        default_factory=lambda: zlib.decompressobj(zdict=DICTIONARY)
    )
    _deflate: "zlib._Compress" = field(default_factory=lambda: zlib.compressobj(zdict=DICTIONARY))

    def take_outgoing(self) -> bytes:
        """What is to be sent now."""
        data = bytes(self.outgoing)
        self.outgoing.clear()
        return data

    def receive(self, data: bytes) -> Sequence[Event]:
        """What these bytes tell. Raises SpdyError."""
        self._incoming += data
        events: list[Event] = []
        while len(self._incoming) >= 8:
            first, second = struct.unpack_from(">II", self._incoming)
            flags, length = second >> 24, second & 0xFFFFFF
            if length > _MOST_BYTES:
                raise SpdyError(f"a frame of {length} bytes")
            if len(self._incoming) < 8 + length:
                break
            payload = bytes(self._incoming[8 : 8 + length])
            del self._incoming[: 8 + length]
            if first >> 31:
                if first >> 16 & 0x7FFF != _VERSION:
                    raise SpdyError(f"version {first >> 16 & 0x7FFF}")
                events += self._control(first & 0xFFFF, flags, payload)
            elif payload or flags & _FIN:
                events.append(Data(first, payload, bool(flags & _FIN)))
        return events

    def reply(self, stream: int, headers: Mapping[str, str] | None = None) -> None:
        """Accept a stream."""
        self._send(_SYN_REPLY, struct.pack(">I", stream) + self._headers(headers or {}))

    def send(self, stream: int, data: bytes, *, end: bool = False) -> None:
        """Send data; with `end` no more will come."""
        while len(data) > 0xFFFF:
            self.outgoing += struct.pack(">II", stream, 0xFFFF) + data[:0xFFFF]
            data = data[0xFFFF:]
        flags = _FIN if end else 0
        self.outgoing += struct.pack(">II", stream, flags << 24 | len(data)) + data

    def reset(self, stream: int, status: int = 5) -> None:
        """Give a stream up (5 is CANCEL)."""
        self._send(_RST_STREAM, struct.pack(">II", stream, status))

    def _send(self, kind: int, payload: bytes, flags: int = 0) -> None:
        head = struct.pack(">II", 1 << 31 | _VERSION << 16 | kind, flags << 24 | len(payload))
        self.outgoing += head + payload

    def _control(self, kind: int, flags: int, payload: bytes) -> Sequence[Event]:
        try:
            if kind == _SYN_STREAM:
                [stream] = struct.unpack_from(">I", payload)
                return (Opened(stream, self._read_headers(payload[10:]), bool(flags & _FIN)),)
            if kind in (_SYN_REPLY, _HEADERS):
                # Read all the same: both directions' compression has one history each.
                self._read_headers(payload[4:])
            elif kind == _RST_STREAM:
                return (Reset(struct.unpack_from(">I", payload)[0]),)
            elif kind == _PING and len(payload) == 4 and payload[3] & 1:
                self._send(_PING, payload)
        except (struct.error, zlib.error) as problem:
            raise SpdyError(str(problem)) from problem
        return ()

    def _read_headers(self, block: bytes) -> dict[str, str]:
        raw = self._inflate.decompress(block, _MOST_BYTES)
        [count] = struct.unpack_from(">I", raw)
        place, headers = 4, {}
        for _ in range(count):
            words = []
            for _ in range(2):
                [size] = struct.unpack_from(">I", raw, place)
                words.append(raw[place + 4 : place + 4 + size].decode("utf-8", "replace"))
                place += 4 + size
            headers[words[0].lower()] = words[1]
        return headers

    def _headers(self, headers: Mapping[str, str]) -> bytes:
        raw = struct.pack(">I", len(headers))
        for name, value in headers.items():
            for word in (name.lower().encode(), value.encode()):
                raw += struct.pack(">I", len(word)) + word
        return self._deflate.compress(raw) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
