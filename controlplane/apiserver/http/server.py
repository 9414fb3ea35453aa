"""The edge: the only file that knows the HTTP library.

TLS with optional client certificates, bodies read up to a limit, answers and streams written. A stream's chunk is
flushed when it comes. A client that goes away cancels what is done for it.
"""

import ssl
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web

from controlplane.api import errors
from controlplane.apiserver.http.messages import ANONYMOUS, Response, StreamResponse, User
from kvstore.base.log import get_logger

log = get_logger(__name__)


class RawRequest:
    """A request before it is understood."""

    def __init__(self, request: web.BaseRequest, max_body_bytes: int) -> None:
        self._request = request
        self._limit = max_body_bytes
        self.method = request.method
        self.path = request.url.path
        self.headers = {name.lower(): value for name, value in request.headers.items()}
        self.user = user_of(request.get_extra_info("peercert"))
        self.query: dict[str, list[str]] = {}
        for name, value in parse_qsl(request.url.raw_query_string, keep_blank_values=True):
            self.query.setdefault(name, []).append(value)

    async def body(self) -> bytes:
        """The whole body; RequestEntityTooLarge above the limit."""
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


Handler = Callable[[RawRequest], Awaitable[Response | StreamResponse]]


def user_of(certificate: dict[str, Any] | None) -> User:
    """The identity in a verified client certificate: CN is the name, each O a group."""
    if not certificate:
        return ANONYMOUS
    names = [pair for part in certificate.get("subject", ()) for pair in part]
    common = next((value for key, value in names if key == "commonName"), "")
    groups = tuple(value for key, value in names if key == "organizationName")
    return User(common, (*groups, "system:authenticated")) if common else ANONYMOUS


def server_tls(cert_file: str, key_file: str, client_ca_file: str) -> ssl.SSLContext:
    """The server's side of TLS; client certificates are asked for, not demanded: probes have none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(cert_file, key_file or None)
    context.set_alpn_protocols(["http/1.1"])
    if client_ca_file:
        context.load_verify_locations(client_ca_file)
        context.verify_mode = ssl.CERT_OPTIONAL
    return context


class HttpServer:
    """Listens, and hands each request to one handler."""

    def __init__(self, handler: Handler, *, max_body_bytes: int, stop_seconds: float) -> None:
        self._handler = handler
        self._max_body_bytes = max_body_bytes
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

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        answer = await self._handler(RawRequest(request, self._max_body_bytes))
        if isinstance(answer, Response):
            return web.Response(
                status=answer.status,
                body=answer.body,
                headers={"Content-Type": answer.content_type, **answer.headers},
            )
        response = web.StreamResponse(
            status=answer.status, headers={"Content-Type": answer.content_type, **answer.headers}
        )
        response.enable_chunked_encoding()
        await response.prepare(request)
        try:
            async for chunk in answer.chunks:
                if chunk:
                    await response.write(chunk)
            await response.write_eof()
        except (ConnectionError, OSError):
            # The reader is gone: nobody is left to be told.
            log.debug("stream cut by the client", path=request.path)
        finally:
            aclose = getattr(answer.chunks, "aclose", None)
            if aclose is not None:
                await aclose()
        return response
