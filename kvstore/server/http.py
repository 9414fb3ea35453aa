"""HTTP/1.1: on the client port beside gRPC, and on --listen-metrics-urls.

The client port has all: the JSON gateway, /health, /livez, /readyz, /version and /metrics, with CORS headers as etcd
sends them; a connection comes here when its first bytes are not HTTP/2. The metrics addresses have all but the
gateway. Answers, down to Go's texts for unknown paths and methods, are those of etcd 3.5.1 where that has the path.
"""

import asyncio
import html
import posixpath
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

import msgspec
from aiohttp import web

from kvstore.base.accepting import Acceptor
from kvstore.base.metrics import CONTENT_TYPE, Metrics
from kvstore.base.tls_options import common_name
from kvstore.server.gateway.gateway import Gateway, plain_error
from kvstore.server.maintenance import VERSION
from kvstore.server.probes import LIVE_CHECKS, READY_CHECKS, Probes
from kvstore.wire.engine import Listen
from kvstore.wire.h2.listening import Certificates, bind, bound_address, serve

CLUSTER_VERSION = "3.5.0"

_SHUTDOWN_SECONDS = 0.2
_KEEPALIVE_SECONDS = 75.0
_CORS_METHODS = "POST, GET, OPTIONS, PUT, DELETE"
_CORS_HEADERS = "accept, content-type, authorization"

_NAME_IGNORED = "CommonName of client sending a request against gateway will be ignored and not used as expected"

Handle = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class HttpServer:
    """The HTTP face of a member."""

    def __init__(
        self,
        probes: Probes,
        metrics: Metrics,
        listens: tuple[Listen, ...],
        *,
        gateway: Gateway | None = None,
        cors: tuple[str, ...] = ("*",),
        refuses_names: Callable[[], bool] = lambda: False,
        first_request_seconds: float = 30.0,
    ) -> None:
        self._probes = probes
        self._metrics = metrics
        self._listens = listens
        self._gateway = gateway
        self._cors = cors
        self._refuses_names = refuses_names
        self._first_request_seconds = first_request_seconds
        self._silent: dict[asyncio.BaseProtocol, asyncio.TimerHandle] = {}
        """Connections of the client port that have not finished a request yet."""
        self._certificates: list[Certificates] = []
        """Of the metrics addresses."""
        self._acceptors: list[Acceptor] = []
        self._runner: web.ServerRunner | None = None
        self._client_server: web.Server | None = None
        self._is_stopped = False
        self._pages: dict[str, Handle] = {
            "/health": self._health,
            "/version": self._version,
            "/metrics": self._metrics_text,
            "/livez": _checks_page(probes, LIVE_CHECKS),
            "/readyz": _checks_page(probes, READY_CHECKS),
        }
        for name in LIVE_CHECKS:
            self._pages[f"/livez/{name}"] = _checks_page(probes, (name,))
        for name in READY_CHECKS:
            self._pages[f"/readyz/{name}"] = _checks_page(probes, (name,))

    async def start(self) -> tuple[Listen, ...]:
        """Bind and serve the metrics addresses; the real ones. Raises ListenError."""
        runner = web.ServerRunner(
            _make_server(self._metrics_port),
            shutdown_timeout=_SHUTDOWN_SECONDS,
            handle_signals=False,
        )
        await runner.setup()
        self._runner = runner
        bound: list[Listen] = []
        if runner.server is None:
            raise RuntimeError("a runner that was set up has no server")
        for listen in self._listens:
            certificates = None
            if listen.tls is not None:
                # The files, versions, suites and revocations that hold for the client port hold here.
                certificates = Certificates(listen.tls, protocols=("http/1.1",))
                self._certificates.append(certificates)
            one = bind(listen)
            bound.append(bound_address(listen, one))
            self._acceptors.append(serve(runner.server, one, certificates))
        return tuple(bound)

    def client_protocol(self) -> asyncio.Protocol:
        """The protocol of one connection on a client port (an `Http1Factory`)."""
        if self._client_server is None:
            self._client_server = _make_server(self._client)
        protocol = self._client_server()
        if self._is_stopped:
            protocol.force_close()
        else:
            self._silent[protocol] = asyncio.get_running_loop().call_later(
                self._first_request_seconds, self._close_silent, protocol
            )
        return protocol

    def _close_silent(self, protocol: web.RequestHandler) -> None:
        """Close a connection whose first request is still not whole: it may only want to hold it."""
        self._silent.pop(protocol, None)
        protocol.force_close()

    async def stop(self) -> None:
        """Close all, also connections of the client port."""
        self._is_stopped = True
        for timer in self._silent.values():
            timer.cancel()
        self._silent.clear()
        if self._client_server is not None:
            await self._client_server.shutdown(_SHUTDOWN_SECONDS)
        for acceptor in self._acceptors:
            acceptor.close()
        self._acceptors.clear()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _client(self, request: web.BaseRequest) -> web.StreamResponse:
        """Any request on a client port."""
        timer = self._silent.pop(request.protocol, None)
        if timer is not None:
            timer.cancel()
        if self._gateway is not None and self._refuses_names() and _has_name(request):
            # Compat: a certificate is no login here, and who believes it is had better be told (CVE-2018-16886).
            return plain_error(HTTPStatus.BAD_REQUEST, _NAME_IGNORED)
        headers = self._cors_headers(request)
        if request.method == "OPTIONS":
            response: web.StreamResponse = web.Response()
        else:
            response = await self._client_answer(request, headers)
        if not response.prepared:
            response.headers.update(headers)
        return response

    async def _client_answer(
        self, request: web.BaseRequest, headers: dict[str, str]
    ) -> web.StreamResponse:
        path = request.path
        cleaned = "/v3/" if path == "/v3" else _clean(path)
        if cleaned != path:
            return _redirect(request, cleaned)
        if path.startswith("/v3beta/"):
            # etcd still takes the path of its own past.
            path = "/v3/" + path.removeprefix("/v3beta/")
        if path.startswith("/v3/") and self._gateway is not None:
            return await self._gateway.handle(request, path, headers)
        return await self._page(request)

    async def _metrics_port(self, request: web.BaseRequest) -> web.StreamResponse:
        """Any request on a metrics address."""
        certificate = _certificate(request)
        if certificate and any(one.is_revoked(certificate) for one in self._certificates):
            if request.transport is not None:
                request.transport.abort()
            raise ConnectionResetError("a revoked certificate was refused")
        return await self._page(request)

    async def _page(self, request: web.BaseRequest) -> web.StreamResponse:
        page = self._pages.get(request.path)
        if page is None:
            return plain_error(HTTPStatus.NOT_FOUND, "404 page not found")
        if request.method != "GET" and request.path != "/metrics":
            return plain_error(HTTPStatus.METHOD_NOT_ALLOWED, Allow="GET")
        return await page(request)

    def _cors_headers(self, request: web.BaseRequest) -> dict[str, str]:
        origin = request.headers.get("Origin", "")
        if "*" in self._cors:
            allowed = "*"
        elif origin and origin in self._cors:
            allowed = origin
        else:
            return {}
        return {
            "Access-Control-Allow-Methods": _CORS_METHODS,
            "Access-Control-Allow-Origin": allowed,
            "Access-Control-Allow-Headers": _CORS_HEADERS,
        }

    async def _health(self, request: web.BaseRequest) -> web.Response:
        reason = await self._probes.health(
            is_serializable=request.query.get("serializable") == "true",
            excluded_alarms=set(request.query.getall("exclude", [])),
        )
        body = {"health": "false" if reason else "true", "reason": reason}
        text = msgspec.json.encode(body).decode()
        if reason:
            return plain_error(HTTPStatus.SERVICE_UNAVAILABLE, text)
        return web.Response(text=text)

    async def _version(self, _: web.BaseRequest) -> web.Response:
        body = {"etcdserver": VERSION, "etcdcluster": CLUSTER_VERSION}
        return web.Response(body=msgspec.json.encode(body), content_type="application/json")

    async def _metrics_text(self, _: web.BaseRequest) -> web.Response:
        return web.Response(body=self._metrics.text(), headers={"Content-Type": CONTENT_TYPE})


def _checks_page(probes: Probes, names: tuple[str, ...]) -> Handle:
    async def page(request: web.BaseRequest) -> web.StreamResponse:
        excluded = set(request.query.getall("exclude", []))
        report = await probes.run([name for name in names if name not in excluded])
        if not report.is_well:
            return plain_error(HTTPStatus.SERVICE_UNAVAILABLE, report.text)
        shown = report.text if "verbose" in request.query else ""
        headers = {"X-Content-Type-Options": "nosniff"}
        return web.Response(text=f"{shown}ok\n", headers=headers)

    return page


def _make_server(handle: Handle) -> web.Server:
    # Cancelling: a client that goes away ends its watch or its place in a queue at once. Bodies are taken as they are,
    # as by Go: a compressed one is no JSON, and what it would unpack to has no bound.
    return web.Server(
        handle,
        access_log=None,
        auto_decompress=False,
        handler_cancellation=True,
        keepalive_timeout=_KEEPALIVE_SECONDS,
    )


def _has_name(request: web.BaseRequest) -> bool:
    """Whether the client showed a certificate with a common name."""
    return bool(common_name(_certificate(request)))


def _certificate(request: web.BaseRequest) -> Any:
    transport = request.transport
    return transport.get_extra_info("peercert") if transport is not None else None


def _redirect(request: web.BaseRequest, path: str) -> web.Response:
    target = f"{path}?{request.query_string}" if request.query_string else path
    headers = {"Location": target}
    if request.method not in ("GET", "HEAD"):
        return web.Response(status=301, headers=headers)
    text = f'<a href="{html.escape(target)}">Moved Permanently</a>.\n\n'
    return web.Response(status=301, text=text, content_type="text/html", headers=headers)


def _clean(path: str) -> str:
    """The path as Go's HTTP server would have it: no empty, `.` or `..` parts."""
    cleaned = posixpath.normpath("/" + path.lstrip("/"))
    return cleaned + "/" if path.endswith("/") and cleaned != "/" else cleaned
