"""Options of the DNS server."""

from collections.abc import Sequence
from dataclasses import dataclass

from controlplane.program.options import Address, option, parse_options


@dataclass(frozen=True, slots=True)
class DnsConfig:
    """What the DNS server is told at start."""

    kubeconfig: str = option("", "How to reach the API servers; empty: as a pod does")
    listen_address: Address = option(Address("0.0.0.0", 53), "Where questions come in")
    health_address: Address | None = option(Address("0.0.0.0", 8080), "Where /health is served")
    cluster_domain: str = option("cluster.local", "The domain of the cluster's names")
    resolv_conf: str = option("/etc/resolv.conf", "Whom to ask for other names; empty: nobody")
    log_level: str = option("info", "debug, info, warning or error")


def parse_arguments(arguments: Sequence[str] | None = None) -> DnsConfig:
    """Read the command line. Raises OptionError."""
    return parse_options(
        "controlplane.dns", "Answers the cluster's names.", (DnsConfig,), arguments
    ).of(DnsConfig)
