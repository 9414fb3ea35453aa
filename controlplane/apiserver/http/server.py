"""The edge: the only file, with websocket.py, that knows the HTTP library.

TLS with optional client certificates, bodies read up to a limit, answers and streams written. A stream's chunk is
flushed when it comes. A client that goes away cancels what is done for it.
"""

import hashlib
import ssl
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import HttpVersion11, web
from multidict import CIMultiDict

from controlplane.api import errors
from controlplane.apiserver.http import websocket
from controlplane.apiserver.http.messages import (
    Answer,
    Certificate,
    Incoming,
    Response,
    StreamResponse,
    Takeover,
    Upgrade,
)
from controlplane.program.takeover import take_over
from kvstore.base.log import get_logger

log = get_logger(__name__)

Handler = Callable[[Incoming], Awaitable[Answer]]


class HttpRequest:
    """An `Incoming` of the HTTP library."""

    def __init__(
        self, request: web.BaseRequest, certificate: Certificate | None, max_body_bytes: int
    ) -> None:
        self._request = request
        self._limit = max_body_bytes
        self.method = request.method
        self.path = request.url.path
        self.headers: Mapping[str, str] = {
            name.lower(): value for name, value in request.headers.items()
        }
        self.certificate = certificate
        self.raw_query = request.url.raw_query_string
        self.peer = request.remote or ""
        query: dict[str, list[str]] = {}
        for name, value in parse_qsl(request.url.raw_query_string, keep_blank_values=True):
            query.setdefault(name, []).append(value)
        self.query: Mapping[str, list[str]] = query

    @property
    def all_headers(self) -> Sequence[tuple[str, str]]:
        """See `Incoming.all_headers`."""
        return [(name.lower(), value) for name, value in self._request.headers.items()]

    async def body(self) -> bytes:
        """See `Incoming.body`."""
        length = self._request.content_length
        if length is not None and length > self._limit:
            raise errors.RequestEntityTooLarge(f"limit is {self._limit}")
        chunks, total = [], 0
        async for chunk in self._request.content.iter_any():
            total += len(chunk)
            if total > self._limit:
                raise errors.RequestEntityTooLarge(f"limit is {self._limit}")
            chunks.append(chunk)
        return b"".join(chunks)

    def chunks(self) -> AsyncIterator[bytes]:
        """See `Incoming.chunks`."""
        return self._request.content.iter_any()


def certificate_of(parsed: dict[str, Any] | None, der: bytes | None = None) -> Certificate | None:
    """What `ssl` tells of a verified certificate, as a `Certificate`."""
    if not parsed:
        return None
    subject = tuple((str(k), str(v)) for part in parsed.get("subject", ()) for k, v in part)
    return Certificate(subject, hashlib.sha256(der).hexdigest() if der else "", der or b"")


def server_tls(cert_file: str, key_file: str, *client_ca_files: str) -> ssl.SSLContext:
    """The server's side of TLS; client certificates are asked for, not demanded: probes have none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(cert_file, key_file or None)
    context.set_alpn_protocols(["http/1.1"])
    for file in filter(None, client_ca_files):
        context.load_verify_locations(file)
        context.verify_mode = ssl.CERT_OPTIONAL
    return context


class HttpServer:
    """Listens, and hands each request to one handler."""

    def __init__(self, handler: Handler, *, max_body_bytes: int, stop_seconds: float) -> None:
        self._handler = handler
        self._max_body_bytes = max_body_bytes
        # One look at a connection's certificate serves all its requests.
        self._certificates: weakref.WeakKeyDictionary[Any, Certificate | None] = (
            weakref.WeakKeyDictionary()
        )
        self._runner = web.ServerRunner(
            web.Server(self._serve, handler_cancellation=True, access_log=None),
            shutdown_timeout=stop_seconds,
        )
        self.port = 0

    async def start(self, host: str, port: int, tls: ssl.SSLContext | None) -> None:
        """Listen; `port=0` takes a free one, told by `port`."""
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port, ssl_context=tls, backlog=512)
        await site.start()
        self.port = int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Stop listening, let requests end, then cut what is left."""
        await self._runner.cleanup()

    def _certificate(self, request: web.BaseRequest) -> Certificate | None:
        connection = request.get_extra_info("ssl_object")
        if connection is None:
            return None
        if connection not in self._certificates:
            self._certificates[connection] = certificate_of(
                connection.getpeercert(), connection.getpeercert(binary_form=True)
            )
        return self._certificates[connection]

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        incoming = HttpRequest(request, self._certificate(request), self._max_body_bytes)
        answer = await self._handler(incoming)
        if isinstance(answer, Response):
            return web.Response(
                status=answer.status,
                body=answer.body,
                headers=_headers(answer),
            )
        if isinstance(answer, Upgrade):
            return await websocket.serve(request, answer)
        if isinstance(answer, Takeover):
            return await _hand_over(request, answer)
        response = web.StreamResponse(status=answer.status, headers=_headers(answer))
        # A client of HTTP/1.0 sees the end by that of the connection.
        if response.content_length is None and request.version >= HttpVersion11:
            response.enable_chunked_encoding()
        await response.prepare(request)
        try:
            async for chunk in answer.chunks:
                if chunk:
                    await response.write(chunk)
            await response.write_eof()
        except (ConnectionError, OSError):
            # The reader is gone and nobody is left to be told, or what was passed on broke off, which is told by
            # hanging up: an answer that only ended early would pass for a whole one.
            log.debug("stream cut", path=request.path)
            if request.transport is not None:
                request.transport.close()
        finally:
            aclose = getattr(answer.chunks, "aclose", None)
            if aclose is not None:
                await aclose()
        return response


async def _hand_over(request: web.BaseRequest, answer: Takeover) -> web.StreamResponse:
    try:
        return await take_over(request, answer.status, _headers(answer), answer.handler)
    except (ConnectionError, OSError):
        log.debug("connection cut by the client", path=request.path)
        raise


def _headers(answer: Response | StreamResponse | Takeover) -> CIMultiDict[str]:
    headers = CIMultiDict(answer.headers)
    if not isinstance(answer, Response):
        headers.extend(answer.passed_on)
    if not isinstance(answer, Takeover) and answer.content_type:
        headers["Content-Type"] = answer.content_type
    warnings = headers.pop("Warning", "")
    # Each warning has a line of its own: not all clients know how to part them.
    for index, text in enumerate(warnings.split(', 299 - "') if warnings else ()):
        headers.add("Warning", text if index == 0 else '299 - "' + text)
    return headers
