"""From a request's headers to the handler that serves it, or to the refusal that it earns.

Done once for each header block that repeats: the connection remembers the result with the block. Checks, their order
and their words are grpc-go's (internal/transport/http2_server.go, server.go).
"""

from typing import Final

from kvstore.wire.engine import (
    INTERNAL,
    INVALID_ARGUMENT,
    UNIMPLEMENTED,
    Handlers,
    StreamHandler,
    UnaryHandler,
)
from kvstore.wire.h2 import status
from kvstore.wire.h2.headers import RequestHead
from kvstore.wire.h2.hpack import Header
from kvstore.wire.h2.sending import Block

_GRPC: Final = b"application/grpc"
TIMEOUT_HEADER: Final = "grpc-timeout"
_TIMEOUT: Final = TIMEOUT_HEADER.encode()
_MEMO_HEADS = 512
_MEMO_HEAD_BYTES = 2048


class CallHead(RequestHead):
    """Checked headers, and what to do with them: exactly one of `unary`, `stream` and `refused` is set, or none."""

    __slots__ = (
        "is_grpc",
        "is_gzip",
        "method_path",
        "refused",
        "stream",
        "texts",
        "timeout",
        "unary",
    )

    def __init__(self, headers: tuple[Header, ...], router: "Router") -> None:
        super().__init__(headers)
        self.unary: UnaryHandler | None = None
        self.stream: StreamHandler | None = None
        self.refused: Block | None = None
        self.is_gzip = False
        self.texts: dict[str, str | None] = {}
        """Headers that handlers have asked for, as they were told."""
        self.timeout: float | None = None
        self.method_path = self.path.decode("latin-1")
        self.is_grpc = _is_grpc(self.value(b"content-type") or b"")
        router.route(self)

    def within(self, headers: tuple[Header, ...], seconds: float) -> "CallHead":
        """The same call with a deadline."""
        head = CallHead.__new__(CallHead)
        head.authority, head.method, head.path, head.scheme = (
            self.authority,
            self.method,
            self.path,
            self.scheme,
        )
        head.headers, head.content_length = headers, self.content_length
        head.unary, head.stream, head.refused = self.unary, self.stream, None
        head.is_gzip, head.is_grpc, head.method_path = self.is_gzip, self.is_grpc, self.method_path
        head.texts = self.texts
        head.timeout = seconds
        return head

    def refuse(self, code: int, message: str, http_status: int = 200) -> None:
        """Answer with a status and nothing else."""
        self.refused = status.refusal(code, message, http_status)


class Router:
    """Handlers by path, and the checks that come before them."""

    def __init__(self, handlers: Handlers) -> None:
        self._handlers = handlers
        self._memo: dict[tuple[Header, ...], CallHead] = {}
        self._services = {
            path.split("/")[1]
            for path in (*handlers.unary, *handlers.stream)
            if path.count("/") == 2
        }

    def convert(self, headers: tuple[Header, ...]) -> CallHead:
        """What a decoder makes of header lists. Raises HeadersInvalid.

        Clients with a deadline send another `grpc-timeout` with each call, so that no block is ever the same: what else
        they say is checked once and remembered here, without the timeout.
        """
        known = self._memo.get(headers)
        if known is not None:
            return known
        for field in headers:
            if field[0] == _TIMEOUT:
                return self._within(headers, field)
        return self._remember(headers)

    def _within(self, headers: tuple[Header, ...], timeout: Header) -> CallHead:
        """What `convert` makes of a list with a timeout."""
        position = headers.index(timeout)
        rest = headers[:position] + headers[position + 1 :]
        head = self._memo.get(rest) or self._remember(rest)
        seconds = status.parse_timeout(timeout[1])
        if head.refused is not None or seconds is None or head.timeout is not None:
            # Too rare to be quick: the whole list decides what is refused, and in which words.
            return CallHead(headers, self)
        return head.within(headers, seconds)

    def _remember(self, headers: tuple[Header, ...]) -> CallHead:
        head = CallHead(headers, self)
        if sum(len(name) + len(value) for name, value in headers) <= _MEMO_HEAD_BYTES:
            if len(self._memo) >= _MEMO_HEADS:
                self._memo.clear()
            self._memo[headers] = head
        return head

    def route(self, head: CallHead) -> None:
        """Set what serves or refuses a call."""
        if head.method != b"POST":
            method = head.method.decode("latin-1")
            head.refuse(
                INTERNAL,
                f"http2Server.operateHeaders parsed a :method field: {method} which should be POST",
                405,
            )
            return
        if not head.is_grpc:
            kind = (head.value(b"content-type") or b"").decode("latin-1")
            head.refuse(INVALID_ARGUMENT, f'invalid gRPC request content-type "{kind}"', 415)
            return
        timeout = head.value(_TIMEOUT)
        if timeout is not None:
            head.timeout = status.parse_timeout(timeout)
            if head.timeout is None:
                head.refuse(INTERNAL, f"malformed grpc-timeout: {timeout.decode('latin-1')}")
                return
        self._find(head)

    def _find(self, head: CallHead) -> None:
        path = head.method_path
        unary = self._handlers.unary.get(path)
        stream = self._handlers.stream.get(path) if unary is None else None
        if unary is None and stream is None:
            head.refuse(UNIMPLEMENTED, self._unknown(path))
            return
        encoding = head.value(b"grpc-encoding") or b"identity"
        if encoding not in (b"identity", b"gzip"):
            name = encoding.decode("latin-1")
            head.refused = status.refusal(
                UNIMPLEMENTED,
                f'grpc: Decompressor is not installed for grpc-encoding "{name}"',
                more=((b"grpc-accept-encoding", b"identity,gzip"),),
            )
            return
        head.is_gzip = encoding == b"gzip"
        head.unary, head.stream = unary, stream

    def _unknown(self, path: str) -> str:
        service, slash, method = path[1:].rpartition("/")
        if not slash:
            return f'malformed method name: "{path}"'
        if service in self._services:
            return f"unknown method {method} for service {service}"
        return f"unknown service {service}"


def _is_grpc(content_type: bytes) -> bool:
    if not content_type.startswith(_GRPC):
        return False
    return content_type[len(_GRPC) : len(_GRPC) + 1] in (b"", b"+", b";")
