"""What the kubelet can be told; flag names are upstream's where it has them, durations are Go's."""

import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from controlplane.kubelet.runtimes.registry import AUTO, OFFERS
from controlplane.program.options import Address, option, parse_options


@dataclass(frozen=True, slots=True)
class KubeletConfig:
    """Settings of one node. Durations are seconds."""

    kubeconfig: str = option(help="how to reach and authenticate to the API server")
    root_dir: str = option(help="where pods and logs live; one kubelet a directory")
    name: str = option("", "name of the node; default host name", flag="--hostname-override")
    servers: tuple[str, ...] = option(
        (), "API servers, in place of the kubeconfig's", flag="--master", metavar="URL[,URL...]"
    )
    address: str = option("", "where to serve HTTPS; default the node's IP")
    port: int = option(10250, "port for HTTPS; 0 picks a free one")
    tls_cert_file: str = option("", "with the two that follow: without them nothing is served")
    tls_key_file: str = option("", "", flag="--tls-private-key-file")
    client_ca_file: str = option("", "callers show a certificate of this authority, or a token")
    health_address: Address | None = option(
        None, "where probes are answered", flag="--healthz-bind-address"
    )
    node_ip: str = option("127.0.0.1", "the node's address")
    pod_cidr: str = option(
        "127.100.0.0/24",
        "addresses of pods: a loopback range, whose counterpart in 10.244.0.0/16 is taken where pods "
        "have networks of their own, or a range for such pods",
    )
    images_file: str | None = option(
        None, "more images: name -> command", flag="--images", metavar="FILE.json"
    )
    image_store: str = option("", "a folder of loaded images, which nodes of one machine share")
    pull_images: bool = option(
        True, "ask registries for images that are not here; takes --image-store"
    )
    registry_mirrors: Mapping[str, str] = option(
        {}, "where images of a registry are asked for first, e.g. docker.io=http://10.0.0.1:5000"
    )
    insecure_registries: tuple[str, ...] = option(
        (), "registries spoken to without TLS; those on loopback addresses always are"
    )
    container_runtime: str = option(
        "process", f"{', '.join(offer.name for offer in OFFERS)}, or {AUTO}: the first that works"
    )
    fabric_dir: str = option(
        "", "a folder that nodes of one machine share, whose pods then reach each other"
    )
    orphan_seconds: float = option(
        30.0, "how long containers that outlive the kubelet wait for the next one"
    )
    pod_max_pids: int = option(8192, "processes a container may have, where that can be limited")
    allowed_unsafe_sysctls: tuple[str, ...] = option(
        (), "sysctls that pods may set beyond the safe ones, also patterns that end in *"
    )
    cluster_dns: tuple[str, ...] = option((), "name servers of pods with dnsPolicy ClusterFirst")
    api_gateway: Address | None = option(
        None, "where pods with networks of their own reach the API servers, e.g. 10.96.0.1:443"
    )
    api_endpoints: tuple[str, ...] = option(
        (),
        "addresses at which such pods reach each of the API servers, in the order of --master",
        metavar="IP:PORT[,...]",
    )
    node_dns: Address | None = option(
        None, "where the node answers its pods' names, where they have networks of their own"
    )
    programs_kubeconfig: str = option(
        "",
        "for proxy and name server of such a node, which ask the gateway; without it neither runs",
    )
    service_range: str = option(
        "10.96.0.0/16", "the addresses of Services", flag="--service-cluster-ip-range"
    )
    cluster_domain: str = option("cluster.local", "the domain of the cluster's names")
    max_pods: int = option(110, "")
    status_seconds: float = option(
        300.0, "how often the node's status is written", flag="--node-status-update-frequency"
    )
    lease_seconds: float = option(40.0, "", flag="--node-lease-duration")
    capacity: Mapping[str, str] = option({}, "what the node has; default the whole machine")
    labels: Mapping[str, str] = option({}, "", flag="--node-labels")
    log_level: Literal["debug", "info", "warning", "error"] = option("info", "")

    @property
    def node_name(self) -> str:
        """The name the node goes by."""
        return self.name or socket.gethostname().lower()

    @property
    def listen_address(self) -> str:
        """Where the HTTPS server listens."""
        return self.address or self.node_ip

    def problems(self) -> list[str]:
        """What is wrong with the fields together."""
        tls = (self.tls_cert_file, self.tls_key_file, self.client_ca_file)
        if any(tls) and not all(tls):
            return [
                "--tls-cert-file, --tls-private-key-file and --client-ca-file go together: "
                "callers are known by a client certificate only"
            ]
        return []


def parse_arguments(arguments: Sequence[str] | None = None) -> KubeletConfig:
    """Read the command line. Raises OptionError."""
    parsed = parse_options(
        "controlplane.kubelet", "Runs the pods of one node.", (KubeletConfig,), arguments
    )
    return parsed.of(KubeletConfig)
