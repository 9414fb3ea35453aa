"""Options of the machine's balancer."""

from collections.abc import Sequence
from dataclasses import dataclass

from controlplane.program.options import Address, option, parse_options


@dataclass(frozen=True, slots=True)
class BalancerConfig:
    """What the balancer is told at start."""

    kubeconfig: str = option(help="How to reach the API servers")
    state_dir: str = option(help="The cluster's folder, with its nodes'")
    pool: str = option(help="A loopback range: the addresses of Services of type LoadBalancer")
    servers: tuple[str, ...] = option(
        (), "API servers, in place of the kubeconfig's", flag="--master", metavar="URL[,URL...]"
    )
    node_port_address: str = option(
        "127.0.0.1", "Where node ports are served besides the nodes' own addresses"
    )
    dns_address: str = option("", "The address of the Service kube-dns; empty: no such Service")
    coredns: int = option(0, "Name servers as pods of the Deployment coredns, besides the nodes'")
    health_address: Address | None = option(
        None, "Where /healthz is served", flag="--healthz-bind-address"
    )
    log_level: str = option("info", "debug, info, warning or error")


def parse_arguments(arguments: Sequence[str] | None = None) -> BalancerConfig:
    """Read the command line. Raises OptionError."""
    return parse_options(
        "controlplane.local.balancer",
        "Leads the machine to Services.",
        (BalancerConfig,),
        arguments,
    ).of(BalancerConfig)
