"""Composition root of the kubelet: health, runtime, HTTPS server, registration, then pods and heartbeat."""

import os
import random
import shutil
import sys
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from controlplane.client.events import EventRecorder
from controlplane.client.informer import Informer
from controlplane.client.kubeconfig import load_kubeconfig
from controlplane.client.rest import RestClient
from controlplane.kinds.core.pod.resource import PODS
from controlplane.kinds.core.service import SERVICES
from controlplane.kubelet.config import KubeletConfig
from controlplane.kubelet.images.catalog import ImageCatalog, load_catalog
from controlplane.kubelet.images.registry.client import Registries
from controlplane.kubelet.images.registry.puller import ImagePuller
from controlplane.kubelet.images.store import ImageStore
from controlplane.kubelet.network.addresses import AddressPool
from controlplane.kubelet.network.addresses import own_network as pod_network
from controlplane.kubelet.network.gateway import ApiGateway
from controlplane.kubelet.network.namespaces import node_address
from controlplane.kubelet.network.programs import NodePrograms, Program
from controlplane.kubelet.network.resolv import Resolver, parse
from controlplane.kubelet.node.heartbeat import Heartbeat
from controlplane.kubelet.node.objects import ApiObjects
from controlplane.kubelet.node.registration import Machine, default_capacity, read_system_info
from controlplane.kubelet.pods.manager import PodManager
from controlplane.kubelet.pods.node import Names, Node
from controlplane.kubelet.runtimes.interface import ContainerRuntime, Feature
from controlplane.kubelet.runtimes.registry import RuntimeOptions, choose
from controlplane.kubelet.server.access import Access
from controlplane.kubelet.server.server import KubeletServer, tls_context
from controlplane.kubelet.volumes.manager import VolumeManager
from controlplane.kubelet.volumes.registry import volume_plugins
from controlplane.program import health
from kvstore.base.clock import Clock
from kvstore.base.log import get_logger
from kvstore.base.tasks import Supervisor

_log = get_logger("kubelet")

# What containers inherit of the kubelet's own environment: enough to find programs, nothing secret.
_INHERITED = ("PATH", "LANG", "TZ", "TMPDIR")


class App:
    """All parts of one kubelet."""

    def __init__(
        self,
        config: KubeletConfig,
        client: RestClient,
        clock: Clock,
        rng: random.Random,
        runtime: ContainerRuntime | None = None,
        catalog: ImageCatalog | None = None,
    ) -> None:
        self._config = config
        self._client = client
        self._clock = clock
        self._rng = rng
        self._store = ImageStore(Path(config.image_store)) if config.image_store else None
        self._catalog = catalog or load_catalog(config.images_file, self._store)
        self._runtime = runtime or self._choose_runtime()
        self._has_pod_network = Feature.NETWORK in self._runtime.features and runtime is None
        self._addresses = AddressPool(
            pod_network(config.pod_cidr) if self._has_pod_network else config.pod_cidr
        )
        # Pods reach a node with a network of its own at an address of that network, the machine at another.
        self._node_ip = (
            node_address(self._addresses.cidr) if self._has_pod_network else config.node_ip
        )
        self._events = EventRecorder(client, "kubelet", clock, host=config.node_name)
        self._informer = Informer(
            client,
            PODS,
            clock,
            field_selector=f"spec.nodeName={config.node_name}",
            rng=rng,
        )
        self._services = Informer(client, SERVICES, clock, rng=rng)
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
            # Before anything else: addresses and names of an earlier life must be free.
            killed = await self._runtime.start()
            if killed:
                _log.warning("killed what an earlier life left", processes=killed)
            tls = None
            if config.tls_cert_file:
                tls = tls_context(
                    config.tls_cert_file,
                    config.tls_key_file,
                    config.client_ca_file,
                    demands_certificate=False,
                )
                access = Access(self._client, config.node_name, self._clock)
                # Before registration, which tells the port.
                routes = KubeletServer(
                    self._runtime,
                    self._informer.indexer,
                    self._clock,
                    access,
                    node_name=config.node_name,
                    disk=config.root_dir,
                )
                server = await routes.serve(config.listen_address, config.port, tls, self._set_port)
            else:
                _log.warning("no TLS files given: neither logs nor commands are served")
            supervisor.start(self._events.run(), "events", eternal=True)
            heartbeat = self._heartbeat = self._make_heartbeat()
            await heartbeat.register()
            supervisor.start(heartbeat.run(), "heartbeat", eternal=True)
            supervisor.start(self._informer.run(), "pods", eternal=True)
            supervisor.start(self._services.run(), "services", eternal=True)
            if self._has_pod_network:
                self._start_node_services(supervisor)
            await self._informer.wait_synced()
            # Containers are told of them once, at their start.
            await self._services.wait_synced()
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

    def _start_node_services(self, supervisor: Supervisor) -> None:
        """What pods with networks of their own find at the addresses of the cluster."""
        config = self._config
        if config.api_gateway is not None:
            servers = self._api_servers()
            gateway = ApiGateway(self._runtime, config.api_gateway, servers, self._clock)
            supervisor.start(gateway.run(), "gateway", eternal=True)
            for text, server in zip(config.api_endpoints, servers, strict=False):
                host, _, number = text.rpartition(":")
                one = ApiGateway(self._runtime, (host, int(number)), [server], self._clock)
                supervisor.start(one.run(), f"gateway {text}", eternal=True)
        if not config.programs_kubeconfig or config.api_gateway is None:
            return
        programs = NodePrograms(self._runtime, Path(config.root_dir), self._clock, self._rng)
        reach = ("--kubeconfig", config.programs_kubeconfig)
        # The gateway and the name server answer at addresses of Services themselves.
        local = ",".join(("default/kubernetes", "kube-system/kube-dns"))
        proxy = [
            *("-m", "controlplane.proxy", "--hostname-override", config.node_name, *reach),
            *("--local-services", local),
        ]
        taken = ""
        if not shutil.which("nft"):
            _log.warning(
                "no nft on this machine: Services are proxied in user space; install nftables"
            )
            proxy += ["--proxy-mode", "userspace"]
            taken = config.service_range
        kept = Program("proxy", proxy, addresses=taken)
        supervisor.start(programs.keep(kept), "proxy", eternal=True)
        if config.node_dns is not None:
            address, port = config.node_dns
            argv = (
                *("-m", "controlplane.dns", "--listen-address", f"{address}:{port}", *reach),
                *("--health-address", "127.0.0.1:8080", "--cluster-domain", config.cluster_domain),
            )
            program = Program("dns", argv, address)
            supervisor.start(programs.keep(program), "dns", eternal=True)

    def _api_servers(self) -> Sequence[str]:
        if self._config.servers or not self._config.kubeconfig:
            return self._config.servers
        return (load_kubeconfig(self._config.kubeconfig).server,)

    def _set_port(self, port: int) -> None:
        self.port = port

    def _not_registered(self) -> str | None:
        well = self._heartbeat is not None and self._heartbeat.registered
        return None if well else "the node is not registered yet"

    def _make_heartbeat(self) -> Heartbeat:
        config = self._config
        machine = Machine(
            name=config.node_name,
            ip=self._node_ip,
            port=self.port,
            machine_address=config.listen_address,
            capacity=self._capacity,
            pod_cidr=self._addresses.cidr,
            labels=config.labels,
            images=tuple(self._catalog.names),
            info=read_system_info(config.node_name, self._runtime.name),
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

    def _choose_runtime(self) -> ContainerRuntime:
        config = self._config
        options = RuntimeOptions(
            root=Path(config.root_dir),
            clock=self._clock,
            base_env=_base_env(),
            pod_cidr=pod_network(config.pod_cidr),
            fabric=Path(config.fabric_dir) if config.fabric_dir else None,
            orphan_seconds=config.orphan_seconds,
        )
        choice = choose(config.container_runtime, options)
        for name, why in choice.refusals.items():
            _log.warning("container runtime does not work here", runtime=name, reason=why)
        return choice.runtime

    @cached_property
    def _capacity(self) -> dict[str, str]:
        config = self._config
        Path(config.root_dir).mkdir(parents=True, exist_ok=True)
        return {**default_capacity(config.root_dir, config.max_pods), **config.capacity}

    def _puller(self) -> ImagePuller | None:
        config = self._config
        if self._store is None or not config.pull_images:
            return None
        folder = Path(config.root_dir) / "pulls"
        # What a pull has left that was cut off.
        shutil.rmtree(folder, ignore_errors=True)
        mirrors = {name: (url,) for name, url in config.registry_mirrors.items()}
        return ImagePuller(self._store, folder, Registries(mirrors, config.insecure_registries))

    def _node(self) -> Node:
        references = ApiObjects(self._client)
        config = self._config
        volumes = VolumeManager(
            Path(config.root_dir),
            volume_plugins(self._catalog.find),
            references,
            self._clock,
            self._runtime,
            shared=Path(config.fabric_dir) if config.fabric_dir else None,
            groups=Feature.USERS in self._runtime.features,
        )
        servers = config.cluster_dns
        if self._has_pod_network and config.node_dns is not None and config.programs_kubeconfig:
            servers = servers or (config.node_dns.host,)
        names = Names(servers, config.cluster_domain, _host_resolver(), _text(Path("/etc/hosts")))
        return Node(
            name=self._config.node_name,
            ip=self._node_ip,
            client=self._client,
            runtime=self._runtime,
            catalog=self._catalog,
            puller=self._puller(),
            addresses=self._addresses,
            events=self._events,
            references=references,
            services=self._services.indexer.list,
            volumes=volumes,
            names=names,
            root=Path(config.root_dir),
            most_pids=config.pod_max_pids,
            allocatable=self._capacity,
            own=lambda: self._heartbeat.node if self._heartbeat is not None else None,
            unsafe_sysctls=config.allowed_unsafe_sysctls,
            clock=self._clock,
            rng=self._rng,
        )


def _host_resolver() -> Resolver:
    return parse(_text(Path("/etc/resolv.conf")))


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _base_env() -> dict[str, str]:
    env = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    # The image `python` is this interpreter, by that name too.
    env["PATH"] = os.pathsep.join(
        (os.path.dirname(sys.executable), env.get("PATH", "/usr/bin:/bin"))
    )
    return env
