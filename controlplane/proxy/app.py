"""The proxy program: follows Services, EndpointSlices, its Node and its pods, and keeps the node's nftables tables.

Changes are gathered for a moment, so that a rollout of many pods is one change. What nft refuses is tried again from
nothing, with back-off; the last good table works on meanwhile. Network policies are kept beside (`enforcer.py`).
"""

import random

from controlplane.api import meta
from controlplane.api.meta import Obj
from controlplane.client.changes import Changes
from controlplane.client.events import EventRecorder
from controlplane.client.informer import Informer
from controlplane.client.rest import RestClient
from controlplane.kinds.core.node import NODES
from controlplane.kinds.core.pod.resource import PODS
from controlplane.kinds.core.service import SERVICES
from controlplane.kinds.discovery.endpoint_slice import ENDPOINT_SLICES
from controlplane.program import health
from controlplane.proxy import frontends, health_ports, rules
from controlplane.proxy.config import ProxyConfig
from controlplane.proxy.endpoints import NodeView
from controlplane.proxy.enforcer import PolicyEnforcer
from controlplane.proxy.health_ports import HealthPorts
from controlplane.proxy.nft import Nft, NftError
from controlplane.proxy.policies import Member
from controlplane.proxy.userspace import UserspaceProxy
from kvstore.base.backoff import Backoff
from kvstore.base.clock import Clock
from kvstore.base.log import get_logger
from kvstore.base.tasks import Supervisor

log = get_logger(__name__)


class App:
    """All parts of the program."""

    def __init__(
        self, config: ProxyConfig, client: RestClient, clock: Clock, rng: random.Random
    ) -> None:
        self._config = config
        self._client = client
        node = config.hostname_override
        self._nodes = Informer(
            client, NODES, clock, field_selector=f"metadata.name={node}", rng=rng
        )
        # For their host ports alone: Services do without them.
        self._pods = Informer(client, PODS, clock, field_selector=f"spec.nodeName={node}", rng=rng)
        self._services = Informer(client, SERVICES, clock, rng=rng)
        self._slices = Informer(client, ENDPOINT_SLICES, clock, rng=rng)
        self._nft = Nft()
        self._userspace = UserspaceProxy(clock, rng) if config.mode == "userspace" else None
        self._health_ports = HealthPorts()
        self._events = EventRecorder(client, "kube-proxy", clock, host=node)
        self._enforcer = PolicyEnforcer(
            node,
            client,
            None if config.mode == "userspace" else Nft(),
            self._events,
            clock,
            rng,
            self._answered_here,
            (self._services,),
        )
        self._changes = Changes(clock, config.min_sync_period_seconds)
        self._is_synced = False
        self._backoff = Backoff(0.5, 30.0, rng=rng)

    async def run(self) -> None:
        """Run until cancelled or until a part fails."""
        supervisor = Supervisor("proxy-app")
        try:
            if self._config.health_address is not None:
                host, port = self._config.health_address
                checks = {"sync": self._not_synced}
                supervisor.start(health.serve(host, port, checks), "health", eternal=True)
            supervisor.start(self._events.run(), "events", eternal=True)
            supervisor.start(self._enforcer.run(), "policies", eternal=True)
            for informer in (self._nodes, self._services, self._slices, self._pods):
                self._changes.watch(informer)
                name = informer.resource.plural
                supervisor.start(informer.run(), name, eternal=True)
            for informer in (self._nodes, self._services, self._slices):
                await informer.wait_synced()
            supervisor.start(self._changes.follow(self._sync), "sync", eternal=True)
            await supervisor.wait()
        finally:
            await supervisor.stop()
            if self._userspace is not None:
                await self._userspace.stop()
            await self._health_ports.stop()
            await self._client.close()

    def _not_synced(self) -> str | None:
        return None if self._is_synced else "the rules are not written yet"

    async def _sync(self) -> float:
        try:
            count = await self._write()
        except NftError as error:
            pause = self._backoff.next()
            log.warning("the rules could not be written", error=str(error), again_in=pause)
            return pause
        self._is_synced = True
        self._backoff.reset()
        if count:
            log.debug("rules written", commands=count)
        return self._config.sync_period_seconds

    async def _write(self) -> int:
        settings, services = self._settings(), self._proxied()
        slices_of = frontends.by_service(self._slices.indexer.list())
        said = health_ports.wanted(services, slices_of, settings.node)
        await self._health_ports.update(said)
        if self._userspace is None:
            table = rules.build(services, slices_of, settings, self._pods.indexer.list())
            return await self._nft.apply(table, rules.preamble(settings))
        wanted = frontends.on_node(services, slices_of, settings.node, settings.node_addresses)
        before = set(self._userspace.frontends)
        for frontend, problem in (await self._userspace.update(wanted)).items():
            log.warning("cannot listen", at=f"{frontend.address}:{frontend.port}", error=problem)
        return len(before ^ set(self._userspace.frontends))

    def _settings(self) -> rules.Settings:
        """What the rules depend on besides Services."""
        node = self._nodes.indexer.get(self._config.hostname_override) or {}
        labels = meta.metadata(node).get("labels") or {}
        addresses = tuple(
            str(row["address"])
            for row in meta.status(node).get("addresses") or ()
            if row.get("type") in ("InternalIP", "ExternalIP") and ":" not in row["address"]
        )
        zone = str(labels.get("topology.kubernetes.io/zone") or "")
        view = NodeView(self._config.hostname_override, zone)
        return rules.Settings(view, self._config.cluster_cidr, addresses)

    def _answered_here(self) -> list[Member]:
        """Services that the node answers itself, for policies that let pods reach what stands behind them."""
        return [
            Member(
                meta.namespace(one),
                meta.spec(one).get("selector") or {},
                (meta.spec(one)["clusterIP"],),
            )
            for one in self._services.indexer.list()
            if f"{meta.namespace(one)}/{meta.name(one)}" in self._config.local_services
            and meta.spec(one).get("clusterIP") not in (None, "", "None")
        ]

    def _proxied(self) -> list[Obj]:
        local = self._config.local_services
        return [
            one
            for one in self._services.indexer.list()
            if f"{meta.namespace(one)}/{meta.name(one)}" not in local
        ]
