"""Composition root of the agent: health, leftovers, log server, registration, then pods and heartbeat."""

import os
import random
import sys
from pathlib import Path
from typing import Any

from controlplane.api.errors import APIError, MethodNotAllowed, NotFound
from controlplane.client.events import EventRecorder
from controlplane.client.informer import Informer
from controlplane.client.rest import RestClient
from controlplane.kinds.catalog import SCHEME
from controlplane.kinds.core.pod.resource import PODS
from controlplane.kinds.core.service_account import SERVICE_ACCOUNTS
from controlplane.kubelet.config import AgentConfig
from controlplane.kubelet.images.catalog import load_catalog
from controlplane.kubelet.network.addresses import AddressPool
from controlplane.kubelet.node.heartbeat import Heartbeat
from controlplane.kubelet.node.registration import Machine, default_capacity, read_system_info
from controlplane.kubelet.pods.manager import PodManager
from controlplane.kubelet.pods.worker import Node
from controlplane.kubelet.runtimes.interface import ContainerRuntime
from controlplane.kubelet.runtimes.process.runtime import ProcessRuntime
from controlplane.kubelet.server.server import AgentServer, tls_context
from controlplane.program import health
from kvstore.base.clock import Clock
from kvstore.base.log import get_logger
from kvstore.base.tasks import Supervisor

_log = get_logger("agent")

# What containers inherit of the agent's own environment: enough to find programs, nothing secret.
_INHERITED = ("PATH", "LANG", "TZ", "TMPDIR")


class App:
    """All parts of one agent."""

    def __init__(
        self,
        config: AgentConfig,
        client: RestClient,
        clock: Clock,
        rng: random.Random,
        runtime: ContainerRuntime | None = None,
    ) -> None:
        self._config = config
        self._client = client
        self._clock = clock
        self._rng = rng
        self._catalog = load_catalog(config.images_file)
        self._addresses = AddressPool(config.pod_cidr)
        self._runtime = runtime or ProcessRuntime(Path(config.root_dir), clock, _base_env())
        self._events = EventRecorder(client, "kubelet", clock, host=config.name)
        self._informer = Informer(
            client,
            PODS,
            clock,
            field_selector=f"spec.nodeName={config.name}",
            rng=rng,
        )
        self._heartbeat: Heartbeat | None = None
        self.port = config.port

    async def run(self) -> None:
        """Run until cancelled or until a part fails; containers end with it."""
        config, supervisor = self._config, Supervisor("app")
        server = None
        try:
            if config.health_address is not None:
                # First: whoever starts this process watches it from the beginning.
                checks = {"registered": self._not_registered}
                host, port = config.health_address
                supervisor.start(health.serve(host, port, checks), "health", eternal=True)
            if isinstance(self._runtime, ProcessRuntime):
                # Before anything starts: addresses and names of an earlier life must be free.
                killed = self._runtime.start()
                if killed:
                    _log.warning("killed what an earlier life left", processes=killed)
            tls = None
            if config.tls_cert_file:
                tls = tls_context(config.tls_cert_file, config.tls_key_file, config.client_ca_file)
                # Before registration, which tells the port.
                routes = AgentServer(self._runtime, self._informer.indexer, self._clock)
                server = await routes.serve(config.address, config.port, tls, self._set_port)
            else:
                _log.warning("no TLS files given: logs are not served")
            supervisor.start(self._events.run(), "events", eternal=True)
            heartbeat = self._heartbeat = self._make_heartbeat()
            await heartbeat.register()
            supervisor.start(heartbeat.run(), "heartbeat", eternal=True)
            supervisor.start(self._informer.run(), "pods", eternal=True)
            await self._informer.wait_synced()
            supervisor.start(
                PodManager(self._node(), self._informer).run(), "workers", eternal=True
            )
            await supervisor.wait()
        finally:
            await supervisor.stop()
            await self._runtime.close()
            if server is not None:
                await server.cleanup()
            await self._client.close()

    def _set_port(self, port: int) -> None:
        self.port = port

    def _not_registered(self) -> str | None:
        well = self._heartbeat is not None and self._heartbeat.registered
        return None if well else "the node is not registered yet"

    def _make_heartbeat(self) -> Heartbeat:
        config = self._config
        Path(config.root_dir).mkdir(parents=True, exist_ok=True)
        capacity = {**default_capacity(config.root_dir, config.max_pods), **config.capacity}
        machine = Machine(
            name=config.name,
            ip=config.node_ip,
            port=self.port,
            capacity=capacity,
            pod_cidr=self._addresses.cidr,
            labels=config.labels,
            images=tuple(self._catalog.names),
            info=read_system_info(config.name),
        )
        return Heartbeat(
            self._client,
            machine,
            self._events,
            self._clock,
            self._rng,
            lease_seconds=config.lease_seconds,
            status_seconds=config.status_seconds,
        )

    def _node(self) -> Node:
        return Node(
            name=self._config.name,
            ip=self._config.node_ip,
            client=self._client,
            runtime=self._runtime,
            catalog=self._catalog,
            addresses=self._addresses,
            events=self._events,
            fetch=self._fetch,
            clock=self._clock,
            rng=self._rng,
        )

    async def _fetch(self, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        try:
            if kind == "ServiceAccountToken":
                body = {
                    "apiVersion": "authentication.k8s.io/v1",
                    "kind": "TokenRequest",
                    "spec": {},
                }
                answer = await self._client.create_subresource(
                    SERVICE_ACCOUNTS, name, "token", body, namespace
                )
                return {"token": answer["status"]["token"]}
            return await self._client.get(SCHEME.of(kind), name, namespace)
        except (NotFound, MethodNotAllowed):
            return None
        except APIError:
            if kind == "ServiceAccountToken":
                return None  # Pods start without one, as this product lets them do without.
            raise


def _base_env() -> dict[str, str]:
    env = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    # The image `python` is this interpreter, by that name too.
    env["PATH"] = os.pathsep.join(
        (os.path.dirname(sys.executable), env.get("PATH", "/usr/bin:/bin"))
    )
    return env
