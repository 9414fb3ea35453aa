"""Plain HTTP for probes and metrics: /healthz, /livez, /readyz, /metrics.

`/livez` and `/healthz` say that the event loop turns. `/readyz` asks every check; a failing one makes it 500 and is
named in the body. `/readyz?verbose` lists all, in upstream's form.
"""

import asyncio
from collections.abc import Callable, Mapping
from types import TracebackType

import prometheus_client
from aiohttp import web

Check = Callable[[], str | None]
"""Returns None when well, else a short text."""


class HealthServer:
    """An HTTP server for probes; `port` is known once it started."""

    def __init__(
        self,
        host: str,
        port: int,
        checks: Mapping[str, Check] | None = None,
        *,
        registry: prometheus_client.CollectorRegistry = prometheus_client.REGISTRY,
    ) -> None:
        self.host = host
        self.port = port
        self._checks = dict(checks or {})
        self._registry = registry
        self._runner: web.AppRunner | None = None

    def add_check(self, name: str, check: Check) -> None:
        """Ask `check` for /readyz too."""
        self._checks[name] = check

    async def __aenter__(self) -> "HealthServer":
        application = web.Application()
        application.router.add_get("/healthz", self._live)
        application.router.add_get("/livez", self._live)
        application.router.add_get("/readyz", self._ready)
        application.router.add_get("/metrics", self._metrics)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.host, self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _live(self, request: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def _ready(self, request: web.Request) -> web.Response:
        answers = {name: check() for name, check in self._checks.items()}
        failed = any(answers.values())
        lines = [
            f"[-]{name} failed: {why}" if why else f"[+]{name} ok" for name, why in answers.items()
        ]
        if failed or "verbose" in request.query:
            lines.append("readyz check failed" if failed else "readyz check passed")
            return web.Response(text="\n".join(lines) + "\n", status=500 if failed else 200)
        return web.Response(text="ok")

    async def _metrics(self, request: web.Request) -> web.Response:
        body = prometheus_client.generate_latest(self._registry)
        return web.Response(
            body=body, headers={"Content-Type": prometheus_client.CONTENT_TYPE_LATEST}
        )


async def serve(host: str, port: int, checks: Mapping[str, Check] | None = None) -> None:
    """Serve until cancelled."""
    async with HealthServer(host, port, checks):
        await asyncio.Event().wait()
