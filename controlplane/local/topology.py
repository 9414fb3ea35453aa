"""From settings to processes: every port, folder, certificate, flag and kubeconfig of a cluster.

`Layout` answers where things are; `plan_cluster` makes certificates and kubeconfigs and returns the processes in
stages (stores, API servers, the rest). Ports given as 0 are chosen once and kept in `ports.json`, because a store
member's identity comes from its peer address.
"""

import dataclasses
import hashlib
import json
import shlex
import ssl
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from controlplane.local import protection
from controlplane.local.kubeconfig import Server, write_kubeconfig
from controlplane.local.networks import (
    API_SERVICE,
    BALANCER_USER,
    DNS_SERVICE,
    MASTERS_NETWORK,
    balancer_health,
    balancer_pool,
    node_ip,
)
from controlplane.local.nodes import fabric_folder, node_folder
from controlplane.local.settings import MASTER_PORTS, ClusterSettings, MasterSettings, NodeSettings
from kvstore.base.clock import Clock
from kvstore.base.ports import free_port, holder, is_free
from kvstore.client.types import ClientTls
from kvstore.local.certificates import CertificateAuthority, Identity
from kvstore.local.growth import AddMember, added, recorded
from kvstore.local.process import ProcessSpec
from kvstore.local.topology import (
    MemberAddress,
    certificate_hosts,
    endpoint,
    health_check,
    peer_endpoint,
    store_folder,
    store_specs,
)

FRONT_PROXY = "front-proxy-client"
"""The name by which API servers are known to those behind them."""
KINDS = ("store", "apiserver", "scheduler", "controllers", "nodes")

_MOST_TOLD = 3
"""Taken ports that are named; the others are counted."""


class PortInUse(Exception):
    """Ports that others listen on; the message names each, with its holder where that can be known."""

    def __init__(self, taken: Sequence[tuple[str, str, int]]) -> None:
        lines = []
        for key, host, port in taken[:_MOST_TOLD]:
            who = holder(port)
            by = f" by {who}" if who else ""
            lines.append(f"port {port} on {host} ({key}) is in use{by}")
        if len(taken) > _MOST_TOLD:
            lines.append(f"and {len(taken) - _MOST_TOLD} more ports")
        lines.append(
            "stop that process, or start beside it: `quorate up --ports auto --state DIR`; ports can be set in "
            "cluster.toml too (0 = any free one), and `quorate config default` prints that file"
        )
        super().__init__("\n  ".join(lines))


@dataclass(frozen=True, slots=True)
class Layout:
    """Folders and files of a state folder."""

    state_dir: Path

    @property
    def certificates(self) -> Path:
        """All certificates and keys."""
        return self.state_dir / "pki"

    @property
    def peer_certificates(self) -> Path:
        """The store members' own authority, for each other."""
        return self.state_dir / "pki" / "peers"

    @property
    def store_certificates(self) -> Path:
        """The authority of the store's clients: what it signs opens the store, and nothing else does."""
        return self.state_dir / "pki" / "store"

    @property
    def front_proxy_certificates(self) -> Path:
        """The authority of front proxies: of API servers that speak for users to those behind them."""
        return self.state_dir / "pki" / "front-proxy"

    @property
    def kubeconfig(self) -> Path:
        """The operator's kubeconfig."""
        return self.state_dir / "kubeconfig"

    @property
    def env(self) -> Path:
        """Shell lines for etcdctl and kubectl."""
        return self.state_dir / "env"

    @property
    def cluster_file(self) -> Path:
        """What runs: names, pids, addresses."""
        return self.state_dir / "cluster.json"

    @property
    def control_socket(self) -> Path:
        """The supervisor's socket."""
        return self.state_dir / "control.sock"

    @property
    def lock(self) -> Path:
        """Held while a supervisor runs."""
        return self.state_dir / "lock"


@dataclass(frozen=True, slots=True)
class ClusterPlan:
    """What to run, and what the front and the operator need to know."""

    settings: ClusterSettings
    stages: list[list[ProcessSpec]]
    store_endpoints: list[str]
    apiservers: list[tuple[str, str, int]]
    """(master, host, port) of each API server."""
    front: tuple[str, int] | None
    admin_tls: ssl.SSLContext | None
    operator: Identity | None


def resolve_ports(settings: ClusterSettings, layout: Layout) -> ClusterSettings:
    """Fill in ports given as 0 and networks given as "auto", the same at each start of this state folder."""
    kept_file = layout.state_dir / "ports.json"
    kept: dict[str, Any] = json.loads(kept_file.read_text()) if kept_file.exists() else {}
    used: set[int] = set(kept.values())

    def resolve(key: str, port: int) -> int:
        if port:
            return port
        if key not in kept:
            chosen = free_port(settings.cluster.host)
            while chosen in used:
                chosen = free_port(settings.cluster.host)
            used.add(chosen)
            kept[key] = chosen
        return int(kept[key])

    masters = tuple(
        msgspec.structs.replace(
            master,
            **{key: resolve(f"{master.name}.{key}", getattr(master, key)) for key in MASTER_PORTS},
        )
        for master in settings.masters
    )
    octet = 65 + int(hashlib.sha256(str(layout.state_dir).encode()).hexdigest()[:8], 16) % 180
    nodes = []
    for at, node in enumerate(settings.nodes):
        cidr = f"127.{octet}.{at + 1}.0/24" if node.pod_cidr == "auto" else node.pod_cidr
        nodes.append(
            msgspec.structs.replace(
                node,
                pod_cidr=cidr,
                port=resolve(f"{node.name}.port", node.port),
                health_port=resolve(f"{node.name}.health_port", node.health_port),
            )
        )
    front = resolve("cluster.kubernetes_port", settings.cluster.kubernetes_port)
    kept_file.write_text(json.dumps(kept, indent=1, sort_keys=True))
    return msgspec.structs.replace(
        settings,
        masters=masters,
        nodes=tuple(nodes),
        cluster=msgspec.structs.replace(settings.cluster, kubernetes_port=front),
    )


def check_ports(settings: ClusterSettings, kinds: Sequence[str]) -> None:
    """Raise PortInUse if any port that the chosen kinds need is taken."""
    host, wanted = settings.cluster.host, []
    for master in settings.masters:
        for key in MASTER_PORTS:
            if key.split("_", 1)[0] in kinds:
                wanted.append((f"{master.name}: {key}", host, getattr(master, key)))
    if "apiserver" in kinds:
        wanted.append(("kubernetes_port", host, settings.cluster.kubernetes_port))
    if "nodes" in kinds and settings.nodes:
        wanted.append(("balancer: health_port", *balancer_health(settings)))
        for node in settings.nodes:
            wanted.append((f"{node.name}: port", node_ip(node), node.port))
            wanted.append((f"{node.name}: health_port", node_ip(node), node.health_port))
    taken = [item for item in wanted if not is_free(item[1], item[2])]
    if taken:
        raise PortInUse(taken)


def plan_cluster(
    settings: ClusterSettings,
    layout: Layout,
    authority: CertificateAuthority,
    store_authority: CertificateAuthority,
    peer_authority: CertificateAuthority,
    front_proxies: CertificateAuthority,
    kinds: Sequence[str],
    clock: Clock,
) -> ClusterPlan:
    """Certificates, kubeconfigs and processes. `settings` must be resolved.

    Raises ValueError if the store's folders have members that `settings` leaves out.
    """
    builder = _Builder(
        settings, layout, authority, store_authority, peer_authority, front_proxies, clock
    )
    stages = builder.stores()
    if "apiserver" in kinds:
        stages.append([builder.apiserver(master) for master in settings.masters])
    last: list[ProcessSpec] = []
    for master in settings.masters:
        if "controllers" in kinds:
            last.append(builder.leading(master, "controllers", "system:kube-controller-manager"))
        if "scheduler" in kinds:
            last.append(builder.leading(master, "scheduler", "system:kube-scheduler"))
    if "nodes" in kinds and settings.nodes:
        last += [builder.agent(node) for node in settings.nodes]
        last.append(builder.balancer())
    stages.append(last)
    operator = builder.operator if settings.security.store_tls else None
    return ClusterPlan(
        settings=settings,
        stages=[stage for stage in stages if stage],
        store_endpoints=[endpoint(member, settings.security) for member in builder.members],
        apiservers=builder.apiservers if "apiserver" in kinds else [],
        front=(settings.cluster.host, settings.cluster.kubernetes_port)
        if "apiserver" in kinds
        else None,
        admin_tls=builder.admin_tls if "apiserver" in kinds else None,
        operator=operator,
    )


class _Builder:
    """Makes specs of one cluster; holds what they share."""

    def __init__(
        self,
        settings: ClusterSettings,
        layout: Layout,
        authority: CertificateAuthority,
        store_authority: CertificateAuthority,
        peer_authority: CertificateAuthority,
        front_proxies: CertificateAuthority,
        clock: Clock,
    ) -> None:
        self.settings = settings
        self.clock = clock
        self.layout = layout
        self.authority = authority
        # The cluster's authority signs for whoever is approved: none of that may open the store.
        self.store_authority = store_authority
        self.peer_authority = peer_authority
        self.host = settings.cluster.host
        self.members = [
            MemberAddress(
                m.name, self.host, m.store_client_port, m.store_peer_port, m.store_health_port
            )
            for m in settings.masters
        ]
        self.apiservers = [(m.name, self.host, m.apiserver_port) for m in settings.masters]
        self.api_urls = [f"https://{host}:{port}" for _, host, port in self.apiservers]
        self.operator = store_authority.identity("operator", "quorate-operator")
        self.store_client = store_authority.identity("apiserver-store-client", "quorate-apiserver")
        self.kubelet_client = authority.identity(
            "apiserver-kubelet-client",
            "kube-apiserver-kubelet-client",
            organizations=["system:masters"],
        )
        # Signs what API servers show to those behind them. An authority of its own: no certificate of a client,
        # whatever its name, lets anybody speak for others.
        self.front_proxy = front_proxies.identity("front-proxy-client", FRONT_PROXY)
        # Signs the tokens of service accounts; all API servers share it.
        self.account_key = authority.key("service-account")
        self.admin = authority.identity("admin", "quorate-admin", organizations=["system:masters"])
        self.admin_tls = ssl.create_default_context(cafile=str(authority.ca_file))
        self.admin_tls.load_cert_chain(self.admin.cert_file, self.admin.key_file)

    def stores(self) -> list[list[ProcessSpec]]:
        """The store members: those that are there, or all at the first start; then, one by one, those to be added."""
        security = self.settings.security
        folders = {m.name: store_folder(self.layout.state_dir, m.name) for m in self.members}
        new = added(
            {m.name: peer_endpoint(m, security) for m in self.members},
            recorded(folders.values()),
        )
        specs = store_specs(
            self.members,
            self.settings.store,
            self.settings.security,
            token=self.settings.cluster.name,
            state_dir=self.layout.state_dir,
            authority=self.store_authority if self.settings.security.store_tls else None,
            peer_authority=self.peer_authority if self.settings.security.store_tls else None,
            added=new,
        )
        stages = [[spec for spec in specs if spec.group not in new]]
        tls = None
        if security.store_tls:
            own = self.operator
            tls = ClientTls(str(own.ca_file), str(own.cert_file), str(own.key_file))
        for name in new:
            known = [spec.addresses["client"] for stage in stages for spec in stage]
            [spec] = [one for one in specs if one.group == name]
            before = AddMember(spec.addresses["peer"], known, tls, self.clock)
            stages.append([dataclasses.replace(spec, before=before)])
        return stages

    def apiserver(self, master: MasterSettings) -> ProcessSpec:
        """One API server."""
        names = ("kubernetes", "kubernetes.default", "kubernetes.default.svc")
        serving = self.authority.identity(
            f"apiserver-{master.name}",
            f"apiserver-{master.name}",
            hosts=(
                *(*certificate_hosts(self.host), *names, f"{names[-1]}.cluster.local"),
                API_SERVICE[0],
                self._advertised(master),
            ),
            server=True,
            client=False,
        )
        own = endpoint(self.members[self.settings.masters.index(master)], self.settings.security)
        others = [endpoint(member, self.settings.security) for member in self.members]
        # Its own master's member first: a healthy master needs no network hop.
        endpoints = [own, *(url for url in others if url != own)]
        tolerate = str(self.settings.node_lifecycle.toleration_seconds)
        argv = [
            sys.executable, "-m", "controlplane.apiserver",
            "--name", master.name,
            "--bind-address", self.host,
            "--advertise-address", self._advertised(master),
            "--secure-port", str(master.apiserver_port),
            "--etcd-servers", ",".join(endpoints),
            "--tls-cert-file", str(serving.cert_file),
            "--tls-private-key-file", str(serving.key_file),
            "--client-ca-file", str(serving.ca_file),
            "--kubelet-certificate-authority", str(serving.ca_file),
            "--kubelet-client-certificate", str(self.kubelet_client.cert_file),
            "--kubelet-client-key", str(self.kubelet_client.key_file),
            "--requestheader-client-ca-file", str(self.front_proxy.ca_file),
            "--requestheader-allowed-names", FRONT_PROXY,
            "--proxy-client-cert-file", str(self.front_proxy.cert_file),
            "--proxy-client-key-file", str(self.front_proxy.key_file),
            "--authorization-mode", "Node,RBAC",
            "--enable-admission-plugins", "NodeRestriction",
            # A claim that names no class first looks for a volume without one, as courses have it; the binder gives it
            # the default class when there is none.
            "--disable-admission-plugins", "DefaultStorageClass",
            "--enable-bootstrap-token-auth=true",
            # A server is one core: what it can do at once is little, and the rest waits better in its fair queues.
            "--max-requests-inflight", "60",
            "--max-mutating-requests-inflight", "30",
            "--service-account-signing-key-file", str(self.account_key),
            "--default-not-ready-toleration-seconds", tolerate,
            "--default-unreachable-toleration-seconds", tolerate,
        ]  # fmt: skip
        argv += self._audit(master)
        if self.settings.security.encrypt_secrets:
            argv += [
                "--encryption-provider-config",
                str(protection.encryption_config(self.layout.state_dir)),
                "--encryption-provider-config-automatic-reload=true",
            ]
        if self.settings.security.store_tls:
            argv += [
                "--etcd-cafile", str(self.store_client.ca_file),
                "--etcd-certfile", str(self.store_client.cert_file),
                "--etcd-keyfile", str(self.store_client.key_file),
            ]  # fmt: skip
        return ProcessSpec(
            name=f"{master.name}/apiserver",
            group=master.name,
            kind="apiserver",
            argv=tuple(argv),
            log_file=self._log(f"{master.name}-apiserver"),
            ready=health_check(self.host, master.apiserver_port, "/readyz", self.admin_tls),
            addresses={"https": f"https://{self.host}:{master.apiserver_port}"},
        )

    def _audit(self, master: MasterSettings) -> list[str]:
        audit = self.settings.audit
        if not audit.enabled:
            return []
        policy = audit.policy_file or str(protection.audit_policy(self.layout.state_dir))
        return [
            "--audit-policy-file", policy,
            "--audit-log-path", str(protection.audit_log(self.layout.state_dir, master.name)),
            "--audit-log-maxsize", str(audit.max_megabytes),
            "--audit-log-maxbackup", str(audit.max_backups),
        ]  # fmt: skip

    def leading(self, master: MasterSettings, kind: str, user: str) -> ProcessSpec:
        """A scheduler or controller manager."""
        port = getattr(master, f"{kind}_health_port")
        election = self.settings.leader_election
        argv = [
            sys.executable, "-m", f"controlplane.{kind}",
            "--kubeconfig", str(self._kubeconfig(f"{kind}-{master.name}", user)),
            "--master", self._servers_from(master),
            "--name", master.name,
            "--healthz-bind-address", f"{self.host}:{port}",
            "--leader-elect-lease-duration", election.lease_duration,
            "--leader-elect-renew-deadline", election.renew_deadline,
            "--leader-elect-retry-period", election.retry_period,
        ]  # fmt: skip
        if kind == "controllers":
            life = self.settings.node_lifecycle
            argv += [
                "--node-monitor-period", life.monitor_period,
                "--node-monitor-grace-period", life.monitor_grace_period,
                "--root-ca-file", str(self.authority.ca_file),
                "--cluster-signing-cert-file", str(self.authority.ca_file),
                "--cluster-signing-key-file", str(self.authority.key_file),
                "--use-service-account-credentials=true",
                "--local-path-directory",
                str(node_folder(self.layout.state_dir, "{node}") / "volumes"),
            ]  # fmt: skip
        return ProcessSpec(
            name=f"{master.name}/{kind}",
            group=master.name,
            kind=kind,
            argv=tuple(argv),
            log_file=self._log(f"{master.name}-{kind}"),
            ready=health_check(self.host, port, "/readyz"),
            addresses={"health": f"http://{self.host}:{port}"},
        )

    def agent(self, node: NodeSettings) -> ProcessSpec:
        """A node agent."""
        ip = node_ip(node)
        serving = self.authority.identity(
            f"agent-{node.name}",
            f"system:node:{node.name}",
            hosts=(node.name, ip),
            server=True,
            client=False,
        )
        images = self.layout.state_dir / "images.json"
        images.write_text(
            json.dumps({name: msgspec.to_builtins(i) for name, i in self.settings.images.items()})
        )
        kubeconfig = self._kubeconfig(
            f"agent-{node.name}", f"system:node:{node.name}", organizations=["system:nodes"]
        )
        programs = self._programs_kubeconfig()
        argv = [
            sys.executable, "-m", "controlplane.kubelet",
            "--kubeconfig", str(kubeconfig),
            "--master", ",".join(self.api_urls),
            "--hostname-override", node.name,
            "--root-dir", str(node_folder(self.layout.state_dir, node.name)),
            "--container-runtime", node.runtime,
            "--image-store", str(self.layout.state_dir / "images"),
            "--fabric-dir", str(fabric_folder(self.layout.state_dir)),
            "--api-gateway", "{}:{}".format(*API_SERVICE),
            "--api-endpoints", ",".join(
                f"{self._advertised(master)}:{master.apiserver_port}"
                for master in self.settings.masters
            ),
            "--node-dns", "{}:{}".format(*DNS_SERVICE),
            "--programs-kubeconfig", str(programs),
            "--address", ip,
            "--port", str(node.port),
            "--healthz-bind-address", f"{ip}:{node.health_port}",
            "--tls-cert-file", str(serving.cert_file),
            "--tls-private-key-file", str(serving.key_file),
            "--client-ca-file", str(serving.ca_file),
            "--node-ip", ip,
            "--pod-cidr", node.pod_cidr,
            "--images", str(images),
            "--max-pods", str(node.max_pods),
            "--node-status-update-frequency", self.settings.node_lifecycle.heartbeat_interval,
        ]  # fmt: skip
        if node.capacity:
            argv += [
                "--capacity",
                ",".join(f"{key}={value}" for key, value in node.capacity.items()),
            ]
        return ProcessSpec(
            name=node.name,
            group=node.name,
            kind="node",
            argv=tuple(argv),
            log_file=self._log(node.name),
            ready=health_check(ip, node.health_port, "/readyz"),
            addresses={
                "https": f"https://{ip}:{node.port}",
                "health": f"http://{ip}:{node.health_port}",
            },
            stop_seconds=10.0,
        )

    def balancer(self) -> ProcessSpec:
        """What leads the machine to Services."""
        host, port = balancer_health(self.settings)
        kubeconfig = self._kubeconfig("balancer", BALANCER_USER)
        argv = [
            sys.executable, "-m", "controlplane.local.balancer",
            "--kubeconfig", str(kubeconfig),
            "--master", ",".join(self.api_urls),
            "--state-dir", str(self.layout.state_dir),
            "--pool", str(balancer_pool(self.settings)),
            "--node-port-address", self.host,
            "--dns-address", DNS_SERVICE[0],
            "--coredns", str(self.settings.cluster.coredns),
            "--healthz-bind-address", f"{host}:{port}",
        ]  # fmt: skip
        return ProcessSpec(
            name="balancer",
            group="balancer",
            kind="balancer",
            argv=tuple(argv),
            log_file=self._log("balancer"),
            ready=health_check(host, port, "/readyz"),
            addresses={"health": f"http://{host}:{port}"},
        )

    def _advertised(self, master: MasterSettings) -> str:
        """The master's address in the network of the pods, where each node carries what comes for it."""
        return str(MASTERS_NETWORK[self.settings.masters.index(master) + 1])

    def _programs_kubeconfig(self) -> Path:
        """For proxies and name servers: they reach the API servers as pods do."""
        user = "system:kube-proxy"
        identity = self.authority.identity("client-kube-proxy", user)
        path = self.layout.state_dir / "kubeconfigs" / "kube-proxy"
        url = "https://{}:{}".format(*API_SERVICE)
        write_kubeconfig(path, [Server(self.settings.cluster.name, url)], user, identity)
        return path

    def _servers_from(self, master: MasterSettings) -> str:
        """All API servers, the master's own first."""
        own = f"https://{self.host}:{master.apiserver_port}"
        return ",".join([own, *(url for url in self.api_urls if url != own)])

    def _log(self, name: str) -> Path:
        return self.layout.state_dir / "logs" / f"{name}.log"

    def _kubeconfig(self, name: str, user: str, organizations: Sequence[str] = ()) -> Path:
        identity = self.authority.identity(f"client-{name}", user, organizations=organizations)
        path = self.layout.state_dir / "kubeconfigs" / name
        front = f"https://{self.host}:{self.settings.cluster.kubernetes_port}"
        write_kubeconfig(path, [Server(self.settings.cluster.name, front)], user, identity)
        return path


def write_operator_files(
    plan: ClusterPlan, layout: Layout, authority: CertificateAuthority
) -> None:
    """The kubeconfig (a context for the front and one a master) and the `env` file."""
    exported = {"ETCDCTL_API": "3", "ETCDCTL_ENDPOINTS": ",".join(plan.store_endpoints)}
    if plan.operator is not None:
        exported["ETCDCTL_CACERT"] = str(plan.operator.ca_file)
        exported["ETCDCTL_CERT"] = str(plan.operator.cert_file)
        exported["ETCDCTL_KEY"] = str(plan.operator.key_file)
    if plan.front is not None:
        host, port = plan.front
        servers = [Server(plan.settings.cluster.name, f"https://{host}:{port}")]
        servers += [Server(name, f"https://{at}:{p}") for name, at, p in plan.apiservers]
        admin = authority.identity("admin", "quorate-admin", organizations=["system:masters"])
        write_kubeconfig(layout.kubeconfig, servers, "quorate-admin", admin)
        exported["KUBECONFIG"] = str(layout.kubeconfig)
    layout.env.write_text(
        "".join(f"export {name}={shlex.quote(value)}\n" for name, value in exported.items())
    )
