"""Requests in, requests to backends out: the only file of the controller that knows HTTP.

Bodies are streamed both ways as they are. Each request has a connection of its own to its backend: one that is kept
open may be closed by a backend that ends just when a request is put on it, and such a request would be lost. A backend
that cannot be connected to is passed over for the next.

Answers of its own: 404 for requests nobody waits for, 503 without a backend that is ready, 502 when none can be
connected to or one breaks off, 504 when it is silent for `SILENT_SECONDS`.
"""

import asyncio
import random
import socket
import ssl
from collections.abc import Callable, Mapping
from typing import Any

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from controlplane.ingress.routes import Routes, Target
from controlplane.proxy.frontends import Backend
from kvstore.base.log import get_logger

log = get_logger(__name__)

CONNECT_SECONDS = 5.0
SILENT_SECONDS = 60.0
_CHUNK_BYTES = 64 << 10
_STOP_SECONDS = 5.0
# Of one connection, and not of the message (RFC 9110, 7.6.1).
_HOP_BY_HOP = frozenset(
    (
        *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization"),
        *("proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"),
    )
)
_HANDSHAKE = frozenset(
    (
        "sec-websocket-key",
        "sec-websocket-version",
        "sec-websocket-extensions",
        "sec-websocket-accept",
    )
)

OpenSocket = Callable[[Backend], socket.socket]
"""A TCP socket, connected to nothing, in the network where a backend is reached. Raises OSError."""


class IngressServer:
    """Listens, and passes requests on by the table it has been given."""

    def __init__(self, rng: random.Random, open_socket: OpenSocket | None = None) -> None:
        self.routes = Routes()
        self.pools: Mapping[Target, tuple[Backend, ...]] = {}
        self._rng = rng
        self._open_socket = open_socket
        self._backends: dict[tuple[str, int], Backend] = {}
        self._session: aiohttp.ClientSession | None = None
        self._runners: list[web.AppRunner] = []

    def update(self, routes: Routes, pools: Mapping[Target, tuple[Backend, ...]]) -> None:
        """Pass requests that begin from now on by these; those under way go on."""
        self.routes, self.pools = routes, pools
        self._backends = {(one.address, one.port): one for pool in pools.values() for one in pool}

    async def listen(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> int:
        """Listen at one more place; its port. Raises OSError."""
        application = web.Application()
        application.router.add_route("*", "/{rest:.*}", self._serve)
        runner = web.AppRunner(
            application, access_log=None, shutdown_timeout=_STOP_SECONDS, auto_decompress=False
        )
        await runner.setup()
        try:
            await web.TCPSite(runner, host, port, ssl_context=tls).start()
        except OSError:
            await runner.cleanup()
            raise
        self._runners.append(runner)
        return int(runner.addresses[0][1])

    async def stop(self) -> None:
        """Listen no more; what is under way has some time to end."""
        for runner in self._runners:
            await runner.cleanup()
        self._runners.clear()
        if self._session is not None:
            await self._session.close()

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            factory = None if self._open_socket is None else self._make_socket
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=0, force_close=True, use_dns_cache=False, socket_factory=factory
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(
                    total=None, sock_connect=CONNECT_SECONDS, sock_read=SILENT_SECONDS
                ),
                auto_decompress=False,
                skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
            )
        return self._session

    def _make_socket(self, found: Any) -> socket.socket:
        backend = self._backends.get((str(found[4][0]), int(found[4][1])))
        if backend is None or self._open_socket is None:
            # No endpoint but what a name of others stands for: reached from where this process is.
            made = socket.socket(family=found[0], type=found[1], proto=found[2])
        else:
            made = self._open_socket(backend)
        made.setblocking(False)
        return made

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        target = self.routes.find(request.headers.get("Host", ""), request.path)
        if target is None:
            return web.Response(status=404, text="default backend - 404")
        order = list(self.pools.get(target, ()))
        if not order:
            return web.Response(status=503, text="no endpoint of the Service is ready\n")
        self._rng.shuffle(order)
        problem: Exception | None = None
        for backend in order:
            try:
                if "websocket" in request.headers.get("Upgrade", "").lower():
                    return await self._carry(request, backend)
                return await self._pass_on(request, backend)
            except _Unreached as found:
                problem = found
        log.debug("no backend answers", service=target.service, error=str(problem))
        return web.Response(status=502, text="no endpoint of the Service can be reached\n")

    async def _pass_on(self, request: web.Request, backend: Backend) -> web.StreamResponse:
        body = request.content if request.body_exists else None
        try:
            answer = await self._client().request(
                request.method,
                _url(request, backend),
                headers=_forwarded(request),
                data=body,
                allow_redirects=False,
            )
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as problem:
            # Nothing of the request has been sent, so another backend may have it.
            raise _Unreached(str(problem)) from problem
        except aiohttp.SocketTimeoutError:
            return web.Response(status=504, text="the endpoint does not answer\n")
        except (aiohttp.ClientError, OSError) as problem:
            log.debug("backend broke off", at=backend, error=str(problem))
            return web.Response(status=502, text="the endpoint broke off\n")
        async with answer:
            return await _answered(request, answer)

    async def _carry(self, request: web.Request, backend: Backend) -> web.StreamResponse:
        offered = [
            one.strip()
            for one in request.headers.get("Sec-WebSocket-Protocol", "").split(",")
            if one.strip()
        ]
        headers = _forwarded(request)
        for name in [*_HANDSHAKE, "sec-websocket-protocol"]:
            headers.popall(name, None)
        try:
            there = await self._client().ws_connect(
                _url(request, backend),
                headers=headers,
                protocols=offered,
                max_msg_size=0,
                compress=0,
                autoping=False,
            )
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as problem:
            raise _Unreached(str(problem)) from problem
        except aiohttp.WSServerHandshakeError as problem:
            return web.Response(status=problem.status)
        except (aiohttp.ClientError, OSError, TimeoutError):
            return web.Response(status=502, text="the endpoint broke off\n")
        async with there:
            here = web.WebSocketResponse(
                protocols=(there.protocol,) if there.protocol else (),
                max_msg_size=0,
                compress=False,
                autoping=False,
            )
            await here.prepare(request)
            async with asyncio.TaskGroup() as group:
                group.create_task(_messages(here, there))
                group.create_task(_messages(there, here))
            return here


class _Unreached(Exception):
    """A backend could not be connected to, so that nothing of the request has reached it."""


def _url(request: web.Request, backend: Backend) -> URL:
    path = request.raw_path if request.raw_path.startswith("/") else request.rel_url.raw_path_qs
    return URL(f"http://{backend.address}:{backend.port}{path}", encoded=True)


def _forwarded(request: web.Request) -> CIMultiDict[str]:
    """The request's headers for the backend, with what a backend cannot see itself."""
    own = {one.strip().lower() for one in request.headers.get("Connection", "").split(",")}
    headers = CIMultiDict(
        (name, value)
        for name, value in request.headers.items()
        if name.lower() not in _HOP_BY_HOP and name.lower() not in own and name.lower() != "expect"
    )
    client = request.remote or ""
    before = headers.popall("X-Forwarded-For", [])
    headers["X-Forwarded-For"] = ", ".join([*before, client])
    headers["X-Real-IP"] = client
    headers["X-Forwarded-Host"] = request.headers.get("Host", "")
    headers["X-Forwarded-Proto"] = request.scheme
    sockname = request.transport.get_extra_info("sockname") if request.transport else None
    if sockname:
        headers["X-Forwarded-Port"] = str(sockname[1])
    return headers


async def _answered(request: web.Request, answer: aiohttp.ClientResponse) -> web.StreamResponse:
    headers = CIMultiDict(
        (name, value) for name, value in answer.headers.items() if name.lower() not in _HOP_BY_HOP
    )
    made = web.StreamResponse(status=answer.status, reason=answer.reason, headers=headers)
    has_body = request.method != "HEAD" and answer.status not in (204, 304) and answer.status >= 200
    if has_body and "Content-Length" not in headers and request.version >= (1, 1):
        made.enable_chunked_encoding()
    await made.prepare(request)
    if has_body:
        # A backend that breaks off here ends the client's connection, too: half an answer must not look whole.
        async for chunk in answer.content.iter_chunked(_CHUNK_BYTES):
            await made.write(chunk)
    await made.write_eof()
    return made


_Socket = web.WebSocketResponse | aiohttp.ClientWebSocketResponse


async def _messages(source: _Socket, sink: _Socket) -> None:
    """Carry messages until the source closes, then close the sink with its code."""
    kinds = aiohttp.WSMsgType
    while True:
        message = await source.receive()
        if message.type is kinds.TEXT:
            await sink.send_str(message.data)
        elif message.type is kinds.BINARY:
            await sink.send_bytes(message.data)
        elif message.type is kinds.PING:
            await sink.ping(message.data)
        elif message.type is kinds.PONG:
            await sink.pong(message.data)
        else:
            break
    if not sink.closed:
        await sink.close(code=source.close_code or 1000)
