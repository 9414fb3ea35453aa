"""Settings of the agent and the flags they come from."""

import argparse
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from controlplane.kubelet.runtimes.registry import AUTO, OFFERS
from controlplane.program.run import parse_address
from kvstore.base.durations import parse_duration


@dataclass(frozen=True, slots=True)
class AgentConfig:
    """What the agent is told at start. Durations are seconds."""

    kubeconfig: str
    root_dir: str
    name: str
    servers: tuple[str, ...] = ()
    address: str = ""
    """Where the HTTPS server listens; default the node's IP."""
    port: int = 10250
    tls_cert_file: str = ""
    tls_key_file: str = ""
    client_ca_file: str = ""
    health_address: tuple[str, int] | None = None
    node_ip: str = "127.0.0.1"
    pod_cidr: str = "127.100.0.0/24"
    images_file: str | None = None
    container_runtime: str = AUTO
    max_pods: int = 110
    status_seconds: float = 300.0
    lease_seconds: float = 40.0
    capacity: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    log_level: str = "info"


def parse_pairs(text: str) -> dict[str, str]:
    """`a=1,b=2` as a dict."""
    pairs: dict[str, str] = {}
    for part in filter(None, text.split(",")):
        key, equals, value = part.partition("=")
        if not equals or not key:
            raise argparse.ArgumentTypeError(f"{part!r} is not NAME=VALUE")
        pairs[key.strip()] = value.strip()
    return pairs


def parse_arguments(arguments: Sequence[str] | None = None) -> AgentConfig:
    """Read the command line; exits with usage on a mistake."""
    parser = argparse.ArgumentParser(prog="agent", description="Run the pods of one node.")
    add = parser.add_argument
    add("--kubeconfig", required=True, help="how to reach and authenticate to the API server")
    add(
        "--master",
        default="",
        metavar="URL[,URL...]",
        help="API servers, in place of the kubeconfig's",
    )
    add("--hostname-override", default="", help="name of the node; default host name")
    add("--root-dir", required=True, help="where pods and logs live; one agent a directory")
    add("--address", default="", help="where to serve logs; default the node's IP")
    add("--port", type=int, default=10250, help="port for logs; 0 picks a free one")
    add("--tls-cert-file", default="")
    add("--tls-private-key-file", default="")
    add("--client-ca-file", default="")
    add("--healthz-bind-address", type=parse_address, default=None, metavar="HOST:PORT")
    add("--node-ip", default="127.0.0.1")
    add("--pod-cidr", default="127.100.0.0/24", help="addresses of pods, within 127.0.0.0/8")
    add("--images", default=None, metavar="FILE.json", help="more images: name -> command")
    add(
        "--container-runtime",
        default=AUTO,
        metavar="NAME",
        help=f"{', '.join(offer.name for offer in OFFERS)}, or auto: the first that works here",
    )
    add("--max-pods", type=int, default=110)
    add("--node-status-update-frequency", type=parse_duration, default=300.0, metavar="DURATION")
    add("--node-lease-duration", type=parse_duration, default=40.0, metavar="DURATION")
    add("--capacity", type=parse_pairs, default={}, metavar="cpu=4,memory=8Gi")
    add("--node-labels", type=parse_pairs, default={}, metavar="KEY=VALUE,...")
    add("--log-level", default="info")
    options = parser.parse_args(arguments)
    tls = (options.tls_cert_file, options.tls_private_key_file, options.client_ca_file)
    if any(tls) and not all(tls):
        parser.error(
            "--tls-cert-file, --tls-private-key-file and --client-ca-file go together: "
            "logs are served to callers with a client certificate only"
        )
    return AgentConfig(
        kubeconfig=options.kubeconfig,
        root_dir=options.root_dir,
        name=options.hostname_override or socket.gethostname().lower(),
        servers=tuple(url for url in options.master.split(",") if url),
        address=options.address or options.node_ip,
        port=options.port,
        tls_cert_file=tls[0],
        tls_key_file=tls[1],
        client_ca_file=tls[2],
        health_address=options.healthz_bind_address,
        node_ip=options.node_ip,
        pod_cidr=options.pod_cidr,
        images_file=options.images,
        container_runtime=options.container_runtime,
        max_pods=options.max_pods,
        status_seconds=options.node_status_update_frequency,
        lease_seconds=options.node_lease_duration,
        capacity=options.capacity,
        labels=options.node_labels,
        log_level=options.log_level,
    )
