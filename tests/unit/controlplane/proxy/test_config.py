"""The proxy's command line."""

from controlplane.program.options import Address
from controlplane.proxy.config import parse_arguments


def test_flags_and_defaults() -> None:
    config = parse_arguments(["--hostname-override", "n", "--healthz-bind-address=127.0.0.1:1"])
    assert config.hostname_override == "n"
    assert config.health_address == Address("127.0.0.1", 1)
    assert config.cluster_cidr == "10.244.0.0/16"
