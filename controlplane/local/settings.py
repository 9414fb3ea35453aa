"""cluster.toml as types: every key, its default, unit and bounds.

`ClusterSettings` is the whole file. The commented file that ships with the package (`default.toml`) is the default.
"""

import ipaddress
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from kvstore.base.durations import parse_duration
from kvstore.base.settings import load, parse
from kvstore.local.topology import Port, SecuritySettings, StoreSettings

Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9]([-a-z0-9]{0,40}[a-z0-9])?$")]


class ClusterTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[cluster]`."""

    name: Name = "quorate"
    """The kubeconfig's cluster, and the store's cluster token."""
    host: str = "127.0.0.1"
    """The address that masters listen on."""
    kubernetes_port: Port = 6440
    """The front over all API servers: the kubeconfig's address."""
    coredns: Annotated[int, msgspec.Meta(ge=0, le=20)] = 0
    """Name servers as pods of a Deployment `coredns` besides the nodes' own; made once, then scaled as any other."""


class MasterSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[[masters]]`: one store member, API server, scheduler and controller manager."""

    name: Name
    store_client_port: Port = 0
    store_peer_port: Port = 0
    store_health_port: Port = 0
    apiserver_port: Port = 0
    scheduler_health_port: Port = 0
    controllers_health_port: Port = 0


class NodeSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[[nodes]]`: one agent."""

    name: Name
    pod_cidr: str = "auto"
    """A /24 within 127.0.0.0/8: the node takes .1, its pods the rest. "auto" = one that goes with the state folder."""
    port: Port = 10250
    """The agent's HTTPS port, on the node's own address."""
    health_port: Port = 10248
    runtime: Literal["process", "namespaces", "auto"] = "auto"
    """How containers run: as child processes, or in namespaces of the kernel; "auto" = the better that works."""
    max_pods: Annotated[int, msgspec.Meta(ge=1, le=250)] = 110
    capacity: dict[str, str] = {}
    """E.g. { cpu = "2", memory = "4Gi" }; empty = what the machine has."""

    def __post_init__(self) -> None:
        """A node's network must be loopback: nothing else needs no root."""
        if self.pod_cidr != "auto":
            network = ipaddress.ip_network(self.pod_cidr, strict=True)
            if network.prefixlen != 24 or not network.is_loopback:
                raise ValueError(
                    f'pod_cidr = {self.pod_cidr!r} must be a /24 within 127.0.0.0/8, or "auto"'
                )


class LeaderElectionSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[leader_election]` of scheduler and controller manager, as Go durations."""

    lease_duration: str = "4s"
    renew_deadline: str = "3s"
    retry_period: str = "500ms"

    def __post_init__(self) -> None:
        """client-go's rule between the three."""
        lease, renew, retry = (
            parse_duration(text)
            for text in (self.lease_duration, self.renew_deadline, self.retry_period)
        )
        if not lease > renew > 1.2 * retry > 0:
            raise ValueError(
                "lease_duration > renew_deadline > 1.2 * retry_period > 0 must hold; "
                f"they are {self.lease_duration}, {self.renew_deadline}, {self.retry_period}"
            )


class NodeLifecycleSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[node_lifecycle]`: how fast a dead node is noticed and its pods replaced."""

    heartbeat_interval: str = "2s"
    """How often an agent renews its Lease (Kubernetes: 10s)."""
    monitor_period: str = "1s"
    """How often the controller looks (Kubernetes: 5s)."""
    monitor_grace_period: str = "8s"
    """Silence after which a node is Unknown (Kubernetes: 50s)."""
    toleration_seconds: Annotated[int, msgspec.Meta(ge=0)] = 5
    """How long pods stay bound to a node that is not ready (Kubernetes: 300)."""

    def __post_init__(self) -> None:
        """All must be durations, and a heartbeat must fit into the grace period."""
        beat = parse_duration(self.heartbeat_interval)
        parse_duration(self.monitor_period)
        if parse_duration(self.monitor_grace_period) < 2 * beat:
            raise ValueError("monitor_grace_period must be at least twice heartbeat_interval")


class ClusterSecurity(SecuritySettings, frozen=True, forbid_unknown_fields=True):
    """`[security]`."""

    encrypt_secrets: bool = True
    """Whether Secrets are encrypted in the store, by the file encryption.yaml of the state folder."""


class AuditSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[audit]`: who did what, written by each API server."""

    enabled: bool = True
    policy_file: str = ""
    """A policy of audit.k8s.io/v1; empty = audit-policy.yaml in the state folder, made at the first start."""
    max_megabytes: Annotated[int, msgspec.Meta(ge=0)] = 100
    """A file is put aside when it is as large; 0 = never."""
    max_backups: Annotated[int, msgspec.Meta(ge=0)] = 3
    """Files put aside that are kept, by server; 0 = all."""


class ImageSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[images.NAME]`: what a container of that image runs."""

    command: Annotated[list[str], msgspec.Meta(min_length=1)]
    env: dict[str, str] = {}
    workdir: str = ""


class ClusterSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    masters: tuple[MasterSettings, ...]
    nodes: tuple[NodeSettings, ...] = ()
    cluster: ClusterTable = ClusterTable()
    store: StoreSettings = StoreSettings()
    security: ClusterSecurity = ClusterSecurity()
    leader_election: LeaderElectionSettings = LeaderElectionSettings()
    node_lifecycle: NodeLifecycleSettings = NodeLifecycleSettings()
    audit: AuditSettings = AuditSettings()
    images: dict[str, ImageSettings] = {}

    def __post_init__(self) -> None:
        """Names must be unique and no fixed port may be given twice."""
        if not self.masters:
            raise ValueError("at least one [[masters]] table is needed")
        names = [m.name for m in self.masters] + [n.name for n in self.nodes]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"names must be unique; given twice: {', '.join(twice)}")
        ports = [self.cluster.kubernetes_port]
        for master in self.masters:
            ports += [getattr(master, key) for key in MASTER_PORTS]
        double = sorted({port for port in ports if port and ports.count(port) > 1})
        if double:
            raise ValueError(f"ports must differ; given twice: {', '.join(map(str, double))}")


MASTER_PORTS = (
    "store_client_port",
    "store_peer_port",
    "store_health_port",
    "apiserver_port",
    "scheduler_health_port",
    "controllers_health_port",
)


def with_free_ports(settings: ClusterSettings) -> ClusterSettings:
    """The same cluster at ports that nobody has, so that it may run beside another one."""
    masters = tuple(
        msgspec.structs.replace(master, **dict.fromkeys(MASTER_PORTS, 0))
        for master in settings.masters
    )
    nodes = tuple(
        msgspec.structs.replace(node, port=0, health_port=0, pod_cidr="auto")
        for node in settings.nodes
    )
    cluster = msgspec.structs.replace(settings.cluster, kubernetes_port=0)
    return msgspec.structs.replace(settings, masters=masters, nodes=nodes, cluster=cluster)


def default_text() -> str:
    """The commented default file."""
    return (
        resources.files("controlplane.local").joinpath("default.toml").read_text(encoding="utf-8")
    )


def read_settings(
    path: Path | None, *, masters: int | None = None, nodes: int | None = None
) -> ClusterSettings:
    """The settings in `path`, or the default ones; `masters` and `nodes` override how many there are.

    Parts beyond those in the file are called master-N / node-N and take free ports. Raises SettingsError.
    """
    if path is None:
        settings = parse(default_text(), ClusterSettings, source="built-in cluster.toml")
    else:
        settings = load(path, ClusterSettings)
    if masters is not None:
        kept = settings.masters[:masters]
        more = tuple(MasterSettings(f"master-{n + 1}") for n in range(len(kept), masters))
        settings = msgspec.structs.replace(settings, masters=kept + more)
    if nodes is not None:
        kept_nodes = settings.nodes[:nodes]
        more_nodes = tuple(NodeSettings(f"node-{n + 1}") for n in range(len(kept_nodes), nodes))
        settings = msgspec.structs.replace(settings, nodes=kept_nodes + more_nodes)
    return settings
