"""The DNS program: a zone that follows Services and EndpointSlices, and a server in front of it."""

from pathlib import Path

from controlplane.client.informer import Informer
from controlplane.client.rest import RestClient
from controlplane.dns.config import DnsConfig
from controlplane.dns.server import DnsServer, Forward
from controlplane.dns.upstream import Upstream, nameservers
from controlplane.dns.zone import Zone
from controlplane.kinds.core.service import SERVICES
from controlplane.kinds.discovery.endpoint_slice import ENDPOINT_SLICES
from controlplane.program import health
from kvstore.base.clock import Clock
from kvstore.base.log import get_logger
from kvstore.base.tasks import Supervisor

log = get_logger(__name__)

_DNS_PORT = 53


class App:
    """All parts of the program."""

    def __init__(self, config: DnsConfig, client: RestClient, clock: Clock) -> None:
        self._config = config
        self._client = client
        self.zone = Zone(config.cluster_domain)
        self._services = Informer(client, SERVICES, clock)
        self._slices = Informer(client, ENDPOINT_SLICES, clock)
        self.server = DnsServer(self.zone, self._forward())

    def _forward(self) -> Forward | None:
        if not self._config.resolv_conf:
            return None
        try:
            text = Path(self._config.resolv_conf).read_text()
        except OSError as error:
            log.warning("no upstream servers", file=self._config.resolv_conf, error=str(error))
            return None
        servers = [(host, _DNS_PORT) for host in nameservers(text)]
        return Upstream(servers).ask if servers else None

    async def run(self) -> None:
        """Run until cancelled or until a part fails. Questions are answered once the zone is whole."""
        supervisor = Supervisor("dns-app")
        zone = self.zone
        try:
            if self._config.health_address is not None:
                host, port = self._config.health_address
                checks = {"zone": self._not_ready}
                supervisor.start(health.serve(host, port, checks), "health", eternal=True)
            self._services.add_listener(
                zone.put_service, lambda _, new: zone.put_service(new), zone.remove_service
            )
            self._slices.add_listener(
                zone.put_slice, lambda _, new: zone.put_slice(new), zone.remove_slice
            )
            supervisor.start(self._services.run(), "services", eternal=True)
            supervisor.start(self._slices.run(), "slices", eternal=True)
            await self._services.wait_synced()
            await self._slices.wait_synced()
            await self.server.start(*self._config.listen_address)
            log.info("answering", port=self.server.port, domain=zone.domain)
            await supervisor.wait()
        finally:
            await self.server.stop()
            await supervisor.stop()
            await self._client.close()

    def _not_ready(self) -> str | None:
        ready = self._services.synced and self._slices.synced
        return None if ready else "the zone is not whole yet"
