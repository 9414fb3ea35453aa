"""Serves /v3/… : JSON in, a call of the same bound handlers that gRPC reaches, JSON out.

So authentication, limits and checks apply once, in one place. A stream is newline-delimited `{"result": …}`; its
answer's head goes out with the first message, as etcd's gateway does. When the client goes away the handler is
cancelled, which ends its watches. Requests are bounded like gRPC messages, and the text before it is read too.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from http import HTTPStatus

from aiohttp import web
from google.protobuf.message import EncodeError, Message

from kvstore.base.log import get_logger
from kvstore.server.gateway import reading, scanner, writing
from kvstore.server.gateway.context import GatewayContext, timeout_of
from kvstore.server.gateway.routes import ROUTES, Kind, Route
from kvstore.wire import engine
from kvstore.wire.engine import Handlers, WireError

log = get_logger("kvstore.server.gateway")

OVERHEAD_BYTES = 512 * 1024
"""A gRPC message may be this much larger than a request, as in etcd."""

_JSON = "application/json"
_PIECE_BYTES = 64 * 1024
_LONG_TEXT_BYTES = 32 * 1024
_BODY_SECONDS = 60.0
"""How long a body may take to come; streams of requests may take for ever."""
_TOO_LATE = "context deadline exceeded"
_BUG = "internal error, see the member's log"

HTTP_STATUS: dict[int, int] = {
    engine.OK: 200,
    engine.CANCELLED: 408,
    engine.UNKNOWN: 500,
    engine.INVALID_ARGUMENT: 400,
    engine.DEADLINE_EXCEEDED: 504,
    engine.NOT_FOUND: 404,
    engine.ALREADY_EXISTS: 409,
    engine.PERMISSION_DENIED: 403,
    engine.RESOURCE_EXHAUSTED: 429,
    engine.FAILED_PRECONDITION: 400,
    engine.ABORTED: 409,
    engine.OUT_OF_RANGE: 400,
    engine.UNIMPLEMENTED: 501,
    engine.INTERNAL: 500,
    engine.UNAVAILABLE: 503,
    engine.DATA_LOSS: 500,
    engine.UNAUTHENTICATED: 401,
}
"""The gateway's HTTP status of a gRPC code."""

OnHandled = Callable[[str, bool, int], None]
"""(method path, is_stream, code) after each call."""


def error_text(error: WireError) -> str:
    """The body of a refused call."""
    text = writing.text_of(error.message)
    return f'{{"error":{text},"code":{error.code},"message":{text}}}'


def stream_error_text(error: WireError) -> str:
    """The line with which a stream ends badly."""
    status = HTTP_STATUS[error.code]
    return (
        f'{{"error":{{"grpc_code":{error.code},"http_code":{status},'
        f'"message":{writing.text_of(error.message)},"http_status":"{HTTPStatus(status).phrase}"}}}}'
    )


class Gateway:
    """The JSON face of `handlers`."""

    def __init__(
        self, handlers: Handlers, *, max_request_bytes: int, on_handled: OnHandled | None = None
    ) -> None:
        self._handlers = handlers
        self._limit = max_request_bytes + OVERHEAD_BYTES
        # Base64 takes a third more, and names and escapes take theirs.
        self._text_limit = 2 * self._limit
        self._on_handled = on_handled or (lambda _path, _is_stream, _code: None)

    async def handle(
        self, request: web.BaseRequest, path: str, headers: Mapping[str, str]
    ) -> web.StreamResponse:
        """Answer a request to `path`, which is under /v3/; an answer that is sent here carries `headers` too."""
        route = ROUTES.get(path)
        if route is None:
            return plain_error(HTTPStatus.NOT_FOUND)
        if _method_of(request) != "POST":
            return plain_error(HTTPStatus.METHOD_NOT_ALLOWED)
        try:
            context = GatewayContext(request.headers.items(), request.remote or "")
            seconds = timeout_of(request.headers.get("Grpc-Timeout"))
        except WireError as error:
            return _refusal(error)
        if route.kind is Kind.UNARY:
            return await self._unary(route, request, context, seconds)
        answer = _StreamAnswer(route, request, headers)
        return await self._stream(route, request, context, seconds, answer)

    async def _unary(
        self, route: Route, request: web.BaseRequest, context: GatewayContext, seconds: float | None
    ) -> web.StreamResponse:
        try:
            async with asyncio.timeout(_BODY_SECONDS):
                data = await self._read_one(route, request)
        except WireError as error:
            return _refusal(error)
        except TimeoutError:
            return _refusal(WireError(engine.DEADLINE_EXCEEDED, _TOO_LATE))
        code = engine.OK
        try:
            async with asyncio.timeout(seconds):
                answer = await self._call(route, data, context)
        except TimeoutError:
            code = engine.DEADLINE_EXCEEDED
            return _refusal(WireError(code, _TOO_LATE))
        except WireError as error:
            code = error.code
            return _refusal(error)
        except asyncio.CancelledError:
            code = engine.CANCELLED
            raise
        finally:
            self._on_handled(route.method, False, code)
        return web.Response(
            body=writing.to_json(route.response.FromString(answer)).encode(),
            content_type=_JSON,
            headers={"Grpc-Metadata-Content-Type": "application/grpc"},
        )

    async def _call(self, route: Route, data: bytes, context: GatewayContext) -> bytes:
        handler = self._handlers.unary.get(route.method)
        if handler is None:
            raise _unknown(route)
        try:
            return await handler(data, context)
        except WireError:
            raise
        except Exception as error:
            log.exception("call failed by a bug", method=route.method)
            raise WireError(engine.INTERNAL, _BUG) from error

    async def _stream(
        self,
        route: Route,
        request: web.BaseRequest,
        context: GatewayContext,
        seconds: float | None,
        answer: "_StreamAnswer",
    ) -> web.StreamResponse:
        requests = (
            self._read_many(route, request)
            if route.kind is Kind.BIDI_STREAM
            else _single(self._read_one(route, request, check=False))
        )
        try:
            first = await anext(requests, None)
        except WireError as error:
            # Compat: a bidirectional stream's first message that cannot be read has no status of its own.
            is_bidi = route.kind is Kind.BIDI_STREAM and error.code == engine.INVALID_ARGUMENT
            return _refusal(WireError(engine.UNKNOWN, error.message) if is_bidi else error)
        code = engine.OK
        try:
            handler = self._handlers.stream.get(route.method)
            if handler is None:
                raise _unknown(route)
            async with asyncio.timeout(seconds), contextlib.aclosing(requests):
                await handler(self._checked(first, requests), answer.send, context)
        except TimeoutError:
            code = engine.DEADLINE_EXCEEDED
            await answer.fail(WireError(code, _TOO_LATE))
        except WireError as error:
            code = error.code
            await answer.fail(error)
        except (asyncio.CancelledError, ConnectionError):
            code = engine.CANCELLED
            raise
        except Exception:
            log.exception("stream failed by a bug", method=route.method)
            code = engine.INTERNAL
            await answer.fail(WireError(code, _BUG))
        finally:
            self._on_handled(route.method, True, code)
        return await answer.finish()

    async def _read_one(
        self, route: Route, request: web.BaseRequest, *, check: bool = True
    ) -> bytes:
        """The only request message, encoded; what follows it in the body is passed over."""
        body = bytearray()
        async for piece in request.content.iter_chunked(_PIECE_BYTES):
            self._grow(body, piece)
        message, _ = await _parse_aside(route, bytes(body), 0, is_last=True)
        return self._encoded(message, check=check)

    async def _read_many(
        self, route: Route, request: web.BaseRequest
    ) -> AsyncGenerator[bytes, None]:
        """Request messages as they come in."""
        body = bytearray()
        is_first = True
        looked_at = 0
        content = request.content
        while True:
            piece = await content.readany()
            is_last = not piece and content.at_eof()
            self._grow(body, piece)
            if not is_last and b"}" not in piece and len(body) < looked_at + looked_at // 8:
                # The rest of a long message comes in drops: each is no reason to look at all of it again.
                continue
            text, at = bytes(body), 0
            while scanner.skip_space(text, at) < len(text):
                try:
                    message, end = await _parse_aside(route, text, at, is_last=is_last)
                except WireError:
                    if is_first:
                        raise
                    # Compat: a later message that cannot be read ends the requests, not the stream.
                    return
                if end is None:
                    break
                at = end
                is_first = False
                yield self._encoded(message, check=False)
            del body[:at]
            looked_at = len(body)
            if is_last:
                return

    async def _checked(
        self, first: bytes | None, others: AsyncIterator[bytes]
    ) -> AsyncIterator[bytes]:
        """All request messages; one that is too large breaks the stream."""
        if first is None:
            return
        self._check_size(first)
        yield first
        async for one in others:
            self._check_size(one)
            yield one

    def _grow(self, body: bytearray, piece: bytes) -> None:
        body += piece
        if len(body) > self._text_limit:
            raise WireError(
                engine.RESOURCE_EXHAUSTED,
                f"http: request body is larger than max ({self._text_limit} bytes)",
            )

    def _encoded(self, message: Message, *, check: bool = True) -> bytes:
        try:
            data = message.SerializeToString()
        except EncodeError as error:
            raise WireError(engine.INVALID_ARGUMENT, str(error)) from error
        if check:
            self._check_size(data)
        return data

    def _check_size(self, data: bytes) -> None:
        if len(data) > self._limit:
            raise WireError(
                engine.RESOURCE_EXHAUSTED,
                f"grpc: received message larger than max ({len(data)} vs. {self._limit})",
            )


class _StreamAnswer:
    """The body of a stream's answer, begun with its first message."""

    def __init__(self, route: Route, request: web.BaseRequest, headers: Mapping[str, str]) -> None:
        self._route = route
        self._request = request
        self._headers = headers
        self._response: web.StreamResponse | None = None

    async def send(self, data: bytes) -> None:
        """One message; waits for the client to take it."""
        text = writing.to_json(self._route.response.FromString(data))
        response = await self._begin(200, {"Grpc-Metadata-Content-Type": "application/grpc"})
        await response.write(f'{{"result":{text}}}\n'.encode())

    async def fail(self, error: WireError) -> None:
        """The last line, after an error."""
        response = await self._begin(HTTP_STATUS[error.code], {})
        await response.write(stream_error_text(error).encode())

    async def finish(self) -> web.StreamResponse:
        """The whole answer."""
        response = await self._begin(200, {})
        await response.write_eof()
        return response

    async def _begin(self, status: int, headers: dict[str, str]) -> web.StreamResponse:
        response = self._response
        if response is None:
            response = web.StreamResponse(
                status=status,
                headers={"Content-Type": _JSON, **headers, **self._headers},
            )
            if self._request.version >= (1, 1):
                response.enable_chunked_encoding()
            await response.prepare(self._request)
            self._response = response
        return response


def plain_error(status: HTTPStatus, text: str = "", **headers: str) -> web.Response:
    """An error as Go's HTTP server words it."""
    return web.Response(
        status=int(status),
        text=f"{text or status.phrase}\n",
        headers={"X-Content-Type-Options": "nosniff", **headers},
    )


def _method_of(request: web.BaseRequest) -> str:
    is_form = request.content_type == "application/x-www-form-urlencoded"
    override = request.headers.get("X-HTTP-Method-Override")
    if request.method == "POST" and override and is_form:
        return override.upper()
    return request.method


def _refusal(error: WireError) -> web.Response:
    return web.Response(
        status=HTTP_STATUS[error.code], body=error_text(error).encode(), content_type=_JSON
    )


def _unknown(route: Route) -> WireError:
    return WireError(engine.UNIMPLEMENTED, f"unknown method {route.method}")


async def _parse_aside(
    route: Route, text: bytes, at: int, *, is_last: bool
) -> tuple[Message, int | None]:
    """`_parse`, in a thread if the text is long: seconds of it must not cost a leader its lead."""
    if len(text) - at <= _LONG_TEXT_BYTES or scanner.is_short(text, at):
        return _parse(route, text, at, is_last=is_last)
    return await asyncio.to_thread(_parse, route, text, at, is_last=is_last)


def _parse(route: Route, text: bytes, at: int, *, is_last: bool) -> tuple[Message, int | None]:
    """A message from the text at `at`, and its end; an empty message without one if no more text comes."""
    message = route.request()
    try:
        value, end = scanner.read(text, at, is_last=is_last)
        if end is None:
            if is_last and scanner.skip_space(text, at) < len(text):
                raise scanner.JsonError(scanner.UNEXPECTED_EOF)
            return message, None
        reading.fill(message, value)
    except scanner.JsonError as error:
        raise WireError(engine.INVALID_ARGUMENT, str(error)) from error
    return message, end


async def _single(reader: Awaitable[bytes]) -> AsyncGenerator[bytes, None]:
    yield await reader
