"""Options of the proxy."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from controlplane.program.options import Address, option, parse_options


@dataclass(frozen=True, slots=True)
class ProxyConfig:
    """What the proxy is told at start."""

    hostname_override: str = option(help="The node's name")
    kubeconfig: str = option("", "How to reach the API servers; empty: as a pod does")
    servers: tuple[str, ...] = option((), "API servers, in place of the kubeconfig's one")
    cluster_cidr: str = option("10.244.0.0/16", "The network of all pods")
    mode: Literal["nftables", "userspace"] = option(
        "nftables",
        "how traffic is led: by the kernel's rules, or by this process, which takes the clients' addresses from it",
        flag="--proxy-mode",
    )
    local_services: tuple[str, ...] = option(
        (), "NAMESPACE/NAME of Services whose addresses the node answers itself: no rules for them"
    )
    min_sync_period_seconds: float = option(0.05, "How long changes are gathered")
    sync_period_seconds: float = option(
        30.0, "How often the rules are looked after without a change"
    )
    health_address: Address | None = option(
        Address("127.0.0.1", 10256), "Where /healthz is served", flag="--healthz-bind-address"
    )
    log_level: str = option("info", "debug, info, warning or error")


def parse_arguments(arguments: Sequence[str] | None = None) -> ProxyConfig:
    """Read the command line. Raises OptionError."""
    return parse_options(
        "controlplane.proxy", "Leads traffic to Services.", (ProxyConfig,), arguments
    ).of(ProxyConfig)
