"""What is said of Services and policies that cannot be had as they are."""

from typing import Any

import pytest

from controlplane.local.balancer.notices import notices

OWN = {"metadata": {"name": "n1", "annotations": {"quorate.dev/machine-address": "127.64.1.1"}}}
SHARED = {"metadata": {"name": "n2"}}
POLICY = {"metadata": {"name": "p", "uid": "1"}}


def service(protocol: str, address: str = "10.96.0.5") -> dict[str, Any]:
    ports = [{"port": 80, "protocol": "TCP"}, {"port": 81, "protocol": protocol}]
    return {"metadata": {"name": "s", "uid": "2"}, "spec": {"clusterIP": address, "ports": ports}}


@pytest.mark.parametrize(
    ("services", "policies", "nodes", "expected"),
    [
        pytest.param([service("UDP")], [POLICY], [OWN], [], id="nothing"),
        pytest.param([], [POLICY], [OWN, SHARED], [("1", "NotEnforced")], id="child processes"),
        pytest.param([service("SCTP")], [], [OWN], [("2", "UnsupportedProtocol")], id="SCTP"),
        pytest.param([service("SCTP", "None")], [], [OWN], [], id="SCTP without an address"),
    ],
)
def test_notices(
    services: list[Any], policies: list[Any], nodes: list[Any], expected: list[tuple[str, str]]
) -> None:
    assert [one.key for one in notices(services, policies, nodes)] == expected


def test_the_nodes_are_named() -> None:
    (notice,) = notices([], [POLICY], [OWN, SHARED])
    assert "n2" in notice.text
    assert "n1" not in notice.text
