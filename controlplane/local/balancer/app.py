"""The balancer program: addresses for Services, listeners on the machine, connections into the nodes' networks."""

import ipaddress
import random
import socket
from pathlib import Path

from controlplane.api import meta
from controlplane.api.errors import APIError
from controlplane.api.meta import Obj
from controlplane.client.changes import Changes
from controlplane.client.events import EventRecorder
from controlplane.client.informer import Informer
from controlplane.client.rest import MERGE_PATCH, RestClient
from controlplane.ingress.app import Door, IngressController
from controlplane.kinds.core.node import MACHINE_ADDRESS, NODES
from controlplane.kinds.core.pod.resource import PODS
from controlplane.kinds.core.service import SERVICES
from controlplane.kinds.discovery.endpoint_slice import ENDPOINT_SLICES
from controlplane.kinds.networking.network_policy import NETWORK_POLICIES
from controlplane.local.balancer import processes, sockets
from controlplane.local.balancer.addon_maker import AddonMaker
from controlplane.local.balancer.config import BalancerConfig
from controlplane.local.balancer.notices import notices
from controlplane.local.balancer.plan import INGRESS, Assignment, plan
from controlplane.local.low_ports import first_port, port_instead
from controlplane.program import health
from controlplane.proxy import frontends
from controlplane.proxy.frontends import Backend, Frontend, SlicesOf
from controlplane.proxy.userspace import UserspaceProxy
from kvstore.base.clock import Clock
from kvstore.base.log import get_logger
from kvstore.base.tasks import Supervisor

log = get_logger(__name__)

_AGAIN_SECONDS = 2.0
"""How often what could not be had (a port of others, a write) is tried again."""


class App:
    """All parts of the program."""

    def __init__(
        self, config: BalancerConfig, client: RestClient, clock: Clock, rng: random.Random
    ) -> None:
        self._config = config
        self._client = client
        self._nodes = Informer(client, NODES, clock, rng=rng)
        self._services = Informer(client, SERVICES, clock, rng=rng)
        self._slices = Informer(client, ENDPOINT_SLICES, clock, rng=rng)
        self._pods = Informer(client, PODS, clock, rng=rng)
        self._policies = Informer(client, NETWORK_POLICIES, clock, rng=rng)
        self._events = EventRecorder(client, "service-controller", clock)
        self._proxy = UserspaceProxy(clock, rng, self._open_socket)
        self._first_port = first_port()
        address = str(ipaddress.ip_network(config.pool)[INGRESS])
        self._ingress = IngressController(
            client,
            self._services,
            self._slices_of,
            (self._slices, self._pods),
            (Door(address, self._port(80)), Door(address, self._port(443), is_tls=True)),
            address,
            self._events.speaking_as("ingress-controller"),
            clock,
            rng,
            self._ingress_socket,
        )
        self._changes = Changes(clock)
        self._is_synced = False
        self._said: dict[Frontend, str] = {}
        self._noticed: set[tuple[str, str]] = set()
        self._without: set[str] = set()
        self._addons = AddonMaker(client, config)

    async def run(self) -> None:
        """Run until cancelled or until a part fails."""
        supervisor = Supervisor("balancer-app")
        try:
            if self._config.health_address is not None:
                host, port = self._config.health_address
                supervisor.start(
                    health.serve(host, port, {"sync": self._not_synced}), "health", eternal=True
                )
            supervisor.start(self._events.run(), "events", eternal=True)
            for informer in (
                self._nodes,
                self._services,
                self._slices,
                self._policies,
                self._pods,
            ):
                self._changes.watch(informer)
                supervisor.start(informer.run(), informer.resource.plural, eternal=True)
            for informer in (self._nodes, self._services, self._slices, self._pods):
                await informer.wait_synced()
            supervisor.start(self._changes.follow(self._sync), "sync", eternal=True)
            supervisor.start(self._ingress.run(), "ingress", eternal=True)
            await supervisor.wait()
        finally:
            await self._proxy.stop()
            await supervisor.stop()
            await self._client.close()

    def _not_synced(self) -> str | None:
        return None if self._is_synced else "Services are not known yet"

    async def _sync(self) -> float | None:
        is_whole = await self._listen()
        is_whole = await self._assign() and is_whole
        is_whole = await self._addons.make(bool(self._own_networks())) and is_whole
        self._notice()
        self._is_synced = True
        return None if is_whole else _AGAIN_SECONDS

    async def _listen(self) -> bool:
        """Listen where Services ask for it; whether all could be had."""
        nodes = {}
        for node in self._nodes.indexer.list():
            address = meta.annotations(node).get(MACHINE_ADDRESS) or _internal_address(node)
            if address.startswith("127."):
                nodes[meta.name(node)] = address
        wanted = frontends.on_machine(
            self._services.indexer.list(),
            self._slices_of(),
            nodes,
            self._config.node_port_address,
            self._port,
        )
        problems = await self._proxy.update(wanted)
        for frontend, problem in problems.items():
            if self._said.get(frontend) != problem:
                where = f"{frontend.address}:{frontend.port}"
                log.warning(
                    "cannot listen", at=where, service=wanted[frontend].service, error=problem
                )
                self._tell(wanted[frontend].service, f"cannot listen at {where}: {problem}")
        self._said = problems
        return not problems

    def _port(self, port: int) -> int:
        return port_instead(port, self._first_port)

    def _slices_of(self) -> SlicesOf:
        found = frontends.by_service(self._slices.indexer.list())
        services = self._services.indexer.list()
        for key, more in processes.slices_of(services, self._pods.indexer.list()).items():
            found.setdefault(key, []).extend(more)
        return found

    def _ingress_socket(self, backend: Backend) -> socket.socket:
        nodes, folder = self._nodes.indexer.list(), Path(self._config.state_dir)
        return sockets.make_socket(folder, nodes, backend.node, socket.SOCK_STREAM)

    def _tell(self, service: str, text: str) -> None:
        namespace, _, rest = service.partition("/")
        found = self._services.indexer.get(rest.rpartition(":")[0], namespace)
        if found is not None:
            self._events.event(found, "Warning", "SyncLoadBalancerFailed", text)

    def _own_networks(self) -> list[str]:
        """The nodes whose pods have networks of their own."""
        return [
            meta.name(node)
            for node in self._nodes.indexer.list()
            if MACHINE_ADDRESS in meta.annotations(node)
        ]

    def _notice(self) -> None:
        """Say once what cannot be had."""
        found = notices(
            self._services.indexer.list(),
            self._policies.indexer.list(),
            self._nodes.indexer.list(),
        )
        for notice in found:
            if notice.key not in self._noticed:
                self._noticed.add(notice.key)
                self._events.event(notice.about, "Warning", notice.reason, notice.text)

    async def _assign(self) -> bool:
        """Give Services their addresses; whether that went well."""
        wanted = plan(self._services.indexer.list(), self._config.pool)
        for service in wanted.without:
            if meta.uid(service) not in self._without:
                text = f"Error syncing load balancer: no such address, or none left, in {self._config.pool}"
                self._events.event(service, "Warning", "SyncLoadBalancerFailed", text)
        # Only a change of Services can give them one, so that nothing is to be tried again.
        self._without = {meta.uid(service) for service in wanted.without}
        return all([await self._write(change) for change in wanted.changes])

    async def _write(self, change: Assignment) -> bool:
        service = change.service
        # Against the version that was seen: what changed meanwhile is looked at again.
        patch = {
            "metadata": {"resourceVersion": meta.resource_version(service)},
            "status": {"loadBalancer": {"ingress": list(change.rows)} if change.rows else None},
        }
        try:
            await self._client.patch(
                SERVICES,
                meta.name(service),
                patch,
                meta.namespace(service),
                patch_type=MERGE_PATCH,
                subresource="status",
            )
        except APIError as problem:
            log.debug("balancer not written", service=meta.key_of(service), error=str(problem))
            return False
        if change.rows:
            self._events.event(service, "Normal", "EnsuredLoadBalancer", "Ensured load balancer")
        else:
            self._events.event(service, "Normal", "DeletedLoadBalancer", "Deleted load balancer")
        return True

    async def _open_socket(
        self, frontend: Frontend, backend: Backend, kind: socket.SocketKind
    ) -> socket.socket:
        nodes, folder = self._nodes.indexer.list(), Path(self._config.state_dir)
        return sockets.make_socket(folder, nodes, frontend.via or backend.node, kind)


def _internal_address(node: Obj) -> str:
    for row in meta.status(node).get("addresses") or ():
        if row.get("type") == "InternalIP":
            return str(row["address"])
    return ""
