"""A way from this machine to one Service, for as long as somebody wants it: what `quorate tunnel` opens."""

import random
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from controlplane.api import meta
from controlplane.api.errors import NotFound
from controlplane.api.meta import Obj
from controlplane.client.changes import Changes
from controlplane.client.informer import Informer
from controlplane.client.rest import RestClient
from controlplane.kinds.core.node import NODES
from controlplane.kinds.core.pod.resource import PODS
from controlplane.kinds.core.service import SERVICES
from controlplane.kinds.discovery.endpoint_slice import ENDPOINT_SLICES
from controlplane.local.balancer import processes, sockets
from controlplane.proxy.endpoints import SERVICE_LABEL
from controlplane.proxy.frontends import Backend, Frontend, by_service, to_service
from controlplane.proxy.userspace import UserspaceProxy
from kvstore.base.clock import Clock
from kvstore.base.tasks import Supervisor


class Tunnel:
    """One Service's ports, each at a port of the machine."""

    def __init__(
        self, client: RestClient, state_dir: Path, service: Obj, clock: Clock, rng: random.Random
    ) -> None:
        self._state_dir = state_dir
        self._service = service
        selector = f"{SERVICE_LABEL}={meta.name(service)}"
        self._nodes = Informer(client, NODES, clock, rng=rng)
        self._slices = Informer(
            client,
            ENDPOINT_SLICES,
            clock,
            namespace=meta.namespace(service),
            label_selector=selector,
            rng=rng,
        )
        self._pods = Informer(client, PODS, clock, namespace=meta.namespace(service), rng=rng)
        self._proxy = UserspaceProxy(clock, rng, self._open_socket)
        self._changes = Changes(clock)

    @asynccontextmanager
    async def opened(self, at: Mapping[int, Frontend]) -> AsyncIterator[None]:
        """Lead `at`, by the Service's ports, to its endpoints until the block ends. Raises OSError."""
        supervisor = Supervisor("tunnel")
        try:
            for informer in (self._nodes, self._slices, self._pods):
                self._changes.watch(informer)
                supervisor.start(informer.run(), informer.resource.plural, eternal=True)
            for informer in (self._nodes, self._slices, self._pods):
                await informer.wait_synced()
            problems = await self._follow(at)
            if problems:
                frontend, problem = next(iter(problems.items()))
                raise OSError(f"cannot listen at {frontend.address}:{frontend.port}: {problem}")

            async def work() -> None:
                await self._follow(at)

            supervisor.start(self._changes.follow(work), "follow", eternal=True)
            yield
        finally:
            await self._proxy.stop()
            await supervisor.stop()

    async def _follow(self, at: Mapping[int, Frontend]) -> dict[Frontend, str]:
        found = by_service(self._slices.indexer.list())
        more = processes.slices_of([self._service], self._pods.indexer.list())
        for key, slices in more.items():
            found.setdefault(key, []).extend(slices)
        pools = to_service(self._service, found)
        return await self._proxy.update({at[port]: pools[port] for port in at})

    async def _open_socket(
        self, frontend: Frontend, backend: Backend, kind: socket.SocketKind
    ) -> socket.socket:
        nodes = self._nodes.indexer.list()
        return sockets.make_socket(self._state_dir, nodes, frontend.via or backend.node, kind)


async def find(client: RestClient, namespace: str, name: str) -> Obj | None:
    """The Service; None where there is none."""
    try:
        return await client.get(SERVICES, name, namespace)
    except NotFound:
        return None
