"""/health, /livez, /readyz, /metrics, /version on --listen-metrics-urls.

`/health` has etcd's words: a member that cannot reach a quorum, or has an alarm, says "false" with a reason and 503;
`?serializable=true` asks for this process alone, `?exclude=NOSPACE` overlooks an alarm. `/livez` is the process,
`/readyz` the member with its quorum.
"""

import ssl
from collections.abc import Mapping

from aiohttp import web

from kvstore.base.metrics import CONTENT_TYPE, Metrics
from kvstore.mvcc.errors import StoreError
from kvstore.raft.replicator import ReplicationError
from kvstore.server.errors import to_wire
from kvstore.server.maintenance import VERSION
from kvstore.service.cluster import ClusterService
from kvstore.wire.engine import Listen, ListenError

_ALARMS = {1: "NOSPACE", 2: "CORRUPT"}


class HttpServer:
    """The HTTP endpoints of a member."""

    def __init__(
        self, cluster: ClusterService, metrics: Metrics, listens: tuple[Listen, ...]
    ) -> None:
        self._cluster = cluster
        self._metrics = metrics
        self._listens = listens
        self._runner: web.AppRunner | None = None

    async def start(self) -> tuple[Listen, ...]:
        """Bind and serve; the real addresses. Raises ListenError."""
        app = web.Application()
        app.router.add_get("/health", self._health)
        app.router.add_get("/livez", self._livez)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._metrics_text)
        app.router.add_get("/version", self._version)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await runner.setup()
        self._runner = runner
        bound: list[Listen] = []
        for listen in self._listens:
            context = _ssl_context(listen)
            try:
                site: web.BaseSite
                if listen.unix_path:
                    site = web.UnixSite(runner, listen.unix_path, ssl_context=context)
                else:
                    site = web.TCPSite(runner, listen.host, listen.port, ssl_context=context)
                await site.start()
            except OSError as error:
                raise ListenError(f"cannot listen on {listen}: {error}") from error
            if listen.unix_path:
                bound.append(listen)
        for address in runner.addresses:
            if isinstance(address, tuple):
                bound.append(Listen(str(address[0]), int(address[1])))
        return tuple(bound)

    async def stop(self) -> None:
        """Close all."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _health(self, request: web.Request) -> web.Response:
        excluded = set(request.query.getall("exclude", []))
        reason = self._alarm_reason(excluded)
        if not reason and request.query.get("serializable") != "true":
            reason = await self._quorum_reason()
        (self._metrics.health_failures if reason else self._metrics.health_success).inc()
        body: Mapping[str, str] = {"health": "false" if reason else "true", "reason": reason}
        return web.json_response(body, status=503 if reason else 200)

    async def _livez(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, _: web.Request) -> web.Response:
        reason = await self._quorum_reason()
        if reason:
            return web.Response(status=503, text=f"[-]linearizable_read failed: {reason}\n")
        return web.Response(text="ok\n")

    async def _metrics_text(self, _: web.Request) -> web.Response:
        return web.Response(body=self._metrics.text(), headers={"Content-Type": CONTENT_TYPE})

    async def _version(self, _: web.Request) -> web.Response:
        return web.json_response({"etcdserver": VERSION, "etcdcluster": "3.5.0"})

    def _alarm_reason(self, excluded: set[str]) -> str:
        for _, alarm in self._cluster.alarms():
            name = _ALARMS.get(alarm, "UNKNOWN")
            if name not in excluded:
                return f"ALARM {name}"
        return ""

    async def _quorum_reason(self) -> str:
        if not self._cluster.status().leader_id:
            return "RAFT NO LEADER"
        try:
            await self._cluster.confirm_health()
        except (ReplicationError, StoreError) as error:
            return f"RANGE ERROR:{to_wire(error).message}"
        return ""


def _ssl_context(listen: Listen) -> ssl.SSLContext | None:
    if listen.tls is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(listen.tls.cert_file, listen.tls.key_file)
    if listen.tls.is_client_required and listen.tls.ca_file:
        context.load_verify_locations(listen.tls.ca_file)
        context.verify_mode = ssl.CERT_REQUIRED
    return context
