"""Services to places to listen at."""

from typing import Any

import pytest

from controlplane.proxy.endpoints import NodeView
from controlplane.proxy.frontends import Backend, Frontend, Pool, by_service, on_machine, on_node

NODES = {"n1": "127.64.1.1", "n2": "127.64.2.1"}
KEY = ("default", "web")


def service(**spec: Any) -> dict[str, Any]:
    status = spec.pop("status", {})
    port = {"port": 80, "targetPort": 8080, "protocol": "TCP", "nodePort": 30080}
    full = {"type": "NodePort", "clusterIP": "10.96.0.7", "ports": [port], **spec}
    return {
        "metadata": {"name": "web", "namespace": "default"},
        "spec": full,
        "status": {"loadBalancer": status},
    }


def part(*rows: tuple[str, str], **conditions: bool) -> dict[str, Any]:
    return {
        "metadata": {
            "name": "web-1",
            "namespace": "default",
            "labels": {"kubernetes.io/service-name": "web"},
        },
        "addressType": "IPv4",
        "endpoints": [
            {"addresses": [ip], "nodeName": node, "conditions": conditions} for ip, node in rows
        ],
        "ports": [{"port": 8080, "protocol": "TCP"}],
    }


A, B = Backend("10.244.1.2", 8080, "n1"), Backend("10.244.2.2", 8080, "n2")
BOTH = part((A.address, "n1"), (B.address, "n2"))


def found(pools: dict[Frontend, Pool]) -> dict[tuple[str, int], tuple[Backend, ...]]:
    return {(at.address, at.port): pool.backends for at, pool in pools.items()}


@pytest.mark.parametrize(
    ("spec", "slices", "expected"),
    [
        pytest.param(
            {},
            [BOTH],
            {
                ("127.0.0.1", 30080): (A, B),
                ("127.64.1.1", 30080): (A, B),
                ("127.64.2.1", 30080): (A, B),
            },
            id="any node leads anywhere",
        ),
        pytest.param(
            {"externalTrafficPolicy": "Local"},
            [part((B.address, "n2"))],
            {
                ("127.0.0.1", 30080): (B,),
                ("127.64.1.1", 30080): (),
                ("127.64.2.1", 30080): (B,),
            },
            id="local: a node without endpoints leads nowhere, all nodes together to where there is one",
        ),
        pytest.param(
            {},
            [part((A.address, "n1"), ready=False, serving=True, terminating=True)],
            dict.fromkeys(
                (("127.0.0.1", 30080), ("127.64.1.1", 30080), ("127.64.2.1", 30080)), (A,)
            ),
            id="one that ends, where there is no other",
        ),
        pytest.param({"ports": [{"port": 80}]}, [BOTH], {}, id="no node port"),
        pytest.param({"type": "ExternalName"}, [BOTH], {}, id="only a name"),
        pytest.param(
            {
                "ports": [{"port": 80}],
                "status": {
                    "ingress": [{"ip": "127.65.0.9", "ipMode": "Proxy"}, {"ip": "203.0.113.9"}]
                },
            },
            [BOTH],
            {("127.65.0.9", 80): (A, B)},
            id="a balancer of this machine's",
        ),
    ],
)
def test_on_the_machine(spec: dict[str, Any], slices: list[Any], expected: Any) -> None:
    assert found(on_machine([service(**spec)], {KEY: slices}, NODES, "127.0.0.1")) == expected


def test_connections_to_a_nodes_own_address_go_through_that_node() -> None:
    pools = on_machine([service()], {KEY: [BOTH]}, NODES, "127.0.0.1")
    assert {(at.address, at.via) for at in pools} == {
        ("127.0.0.1", ""),
        ("127.64.1.1", "n1"),
        ("127.64.2.1", "n2"),
    }


def test_on_a_node() -> None:
    spec = {"internalTrafficPolicy": "Local", "externalIPs": ["203.0.113.7"]}
    pools = on_node([service(**spec)], {KEY: [BOTH]}, NodeView("n2"), ["10.244.2.1"])
    assert found(pools) == {
        ("10.96.0.7", 80): (B,),
        ("203.0.113.7", 80): (A, B),
        ("10.244.2.1", 30080): (A, B),
    }


def test_clients_and_their_endpoints_and_who_may_come() -> None:
    spec = {
        "sessionAffinity": "ClientIP",
        "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 7}},
        "loadBalancerSourceRanges": ["127.0.0.0/8", "fd00::/8"],
        "status": {"ingress": [{"ip": "127.65.0.9", "ipMode": "Proxy"}]},
    }
    pools = on_machine([service(**spec)], {KEY: [BOTH]}, {}, "127.0.0.1")
    by_port = {at.port: pool for at, pool in pools.items()}
    assert {pool.affinity_seconds for pool in pools.values()} == {7}
    assert by_port[80].sources == ("127.0.0.0/8",)
    assert by_port[30080].sources == (), "a node port is not the balancer's"


def test_slices_are_found_by_their_service_ipv4_alone() -> None:
    six = {**BOTH, "addressType": "IPv6"}
    orphan = {**BOTH, "metadata": {"name": "x", "namespace": "default"}}
    assert by_service([BOTH, six, orphan]) == {KEY: [BOTH]}
