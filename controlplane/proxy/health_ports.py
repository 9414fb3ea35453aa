"""Answers at `healthCheckNodePort`s: whether a node has an endpoint of a Service whose traffic may not leave it.

Source of the answer's form: pkg/proxy/healthcheck/service_health.go.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from aiohttp import web
from aiohttp.typedefs import Handler

from controlplane.api import meta
from controlplane.api.meta import Obj
from controlplane.proxy import endpoints as eps
from controlplane.proxy.endpoints import NodeView
from controlplane.proxy.frontends import SlicesOf
from kvstore.base.log import get_logger

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Health:
    """What is said at one port."""

    namespace: str
    name: str
    local_endpoints: int


def wanted(services: Iterable[Obj], slices_of: SlicesOf, node: NodeView) -> dict[int, Health]:
    """What is to be said, by port. Pure."""
    found = {}
    for service in services:
        spec = meta.spec(service)
        port = int(spec.get("healthCheckNodePort") or 0)
        if not port or spec.get("externalTrafficPolicy") != "Local":
            continue
        namespace, name = meta.namespace(service), meta.name(service)
        local: set[str] = set()
        for row in spec.get("ports") or ():
            slices = slices_of.get((namespace, name), ())
            protocol = str(row.get("protocol") or "TCP")
            mine = eps.of_port(slices, str(row.get("name") or ""), protocol, node)
            local |= {one.address for one in mine if one.is_local and one.is_ready}
        found[port] = Health(namespace, name, len(local))
    return found


class HealthPorts:
    """Listeners at such ports, on all addresses of the node unless it is said otherwise."""

    def __init__(self, host: str = "0.0.0.0") -> None:
        self._host = host
        self._said: dict[int, Health] = {}
        self._runners: dict[int, web.AppRunner] = {}

    async def update(self, said: Mapping[int, Health]) -> None:
        """Answer at these ports and no others; one that cannot be had is left out, and tried again next time."""
        self._said = dict(said)
        for port in [port for port in self._runners if port not in said]:
            await self._runners.pop(port).cleanup()
        for port in said:
            if port in self._runners:
                continue
            application = web.Application()
            application.router.add_get("/{rest:.*}", self._answerer(port))
            runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
            await runner.setup()
            try:
                await web.TCPSite(runner, self._host, port).start()
            except OSError as problem:
                log.warning("health check port not served", port=port, error=str(problem))
                await runner.cleanup()
                continue
            self._runners[port] = runner

    async def stop(self) -> None:
        """Listen no more."""
        await self.update({})

    def _answerer(self, port: int) -> Handler:
        async def answer(request: web.Request) -> web.Response:
            health = self._said[port]
            body = {
                "service": {"namespace": health.namespace, "name": health.name},
                "localEndpoints": health.local_endpoints,
                "serviceProxyHealthy": True,
            }
            return web.Response(
                status=200 if health.local_endpoints else 503,
                text=json.dumps(body),
                content_type="application/json",
                headers={
                    "X-Content-Type-Options": "nosniff",
                    "X-Load-Balancing-Endpoint-Weight": str(health.local_endpoints),
                },
            )

        return answer
