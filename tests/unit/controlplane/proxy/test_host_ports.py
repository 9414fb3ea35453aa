"""Ports of a node that lead to one pod, and what is said at health check node ports."""

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from controlplane.proxy.endpoints import NodeView
from controlplane.proxy.health_ports import Health, HealthPorts, wanted
from controlplane.proxy.rules import Settings, build
from kvstore.base.ports import free_port

SECONDS = 60.0


def pod(*ports: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "p", "namespace": "x"},
        "spec": {"containers": [{"ports": list(ports)}], **spec},
        "status": {
            "podIP": "10.244.1.2",
            **({"phase": spec.pop("phase")} if "phase" in spec else {}),
        },
    }


def keys(*pods: dict[str, Any]) -> set[tuple[str, str]]:
    table = build([], {}, Settings(NodeView("n1")), pods)
    assert all(verdict.removeprefix("goto ") in table.chains for verdict in table.elements.values())
    return set(table.elements)


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        pytest.param(
            pod({"containerPort": 80, "hostPort": 8080}),
            {("node-ports", "tcp . 8080"), ("service-ips", "127.0.0.1 . tcp . 8080")},
            id="at all addresses of the node",
        ),
        pytest.param(
            pod({"containerPort": 80, "hostPort": 8080, "hostIP": "127.0.0.1", "protocol": "UDP"}),
            {("service-ips", "127.0.0.1 . udp . 8080")},
            id="at one address",
        ),
        pytest.param(pod({"containerPort": 80}), set(), id="none"),
        pytest.param(
            pod({"containerPort": 80, "hostPort": 80}, hostNetwork=True), set(), id="has the node's"
        ),
        pytest.param(pod({"containerPort": 80, "hostPort": 80}, phase="Failed"), set(), id="ended"),
        pytest.param(pod({"containerPort": 80, "hostPort": 80, "hostIP": "::1"}), set(), id="IPv6"),
    ],
)
def test_host_ports(one: dict[str, Any], expected: set[tuple[str, str]]) -> None:
    assert keys(one) == expected


def test_one_port_at_two_addresses_leads_to_two_pods() -> None:
    first = pod({"containerPort": 80, "hostPort": 8080, "hostIP": "127.0.0.1"})
    second = pod({"containerPort": 80, "hostPort": 8080, "hostIP": "10.244.1.1"})
    second["metadata"]["name"], second["status"]["podIP"] = "q", "10.244.1.3"
    table = build([], {}, Settings(NodeView("n1")), [first, second])
    leads = {
        key: table.chains[verdict.removeprefix("goto ")][-1]
        for (_, key), verdict in table.elements.items()
    }
    assert leads == {
        "127.0.0.1 . tcp . 8080": "meta l4proto tcp dnat to 10.244.1.2:80",
        "10.244.1.1 . tcp . 8080": "meta l4proto tcp dnat to 10.244.1.3:80",
    }


def service(policy: str, port: int) -> dict[str, Any]:
    spec = {"externalTrafficPolicy": policy, "healthCheckNodePort": port, "ports": [{"port": 80}]}
    return {"metadata": {"name": "web", "namespace": "x"}, "spec": spec}


def slices(*nodes: str) -> dict[tuple[str, str], list[dict[str, Any]]]:
    rows = [
        {"addresses": [f"10.244.1.{at}"], "nodeName": node, "conditions": {"ready": True}}
        for at, node in enumerate(nodes)
    ]
    return {("x", "web"): [{"endpoints": rows, "ports": [{"port": 8080}]}]}


@pytest.mark.parametrize(
    ("policy", "nodes", "expected"),
    [
        pytest.param("Local", ["n1", "n1", "n2"], {30000: Health("x", "web", 2)}, id="two here"),
        pytest.param("Local", ["n2"], {30000: Health("x", "web", 0)}, id="none here"),
        pytest.param("Cluster", ["n1"], {}, id="may go anywhere"),
    ],
)
def test_what_is_said(policy: str, nodes: list[str], expected: dict[int, Health]) -> None:
    assert wanted([service(policy, 30000)], slices(*nodes), NodeView("n1")) == expected


async def test_listeners_follow() -> None:
    ports, port = HealthPorts("127.0.0.1"), free_port("127.0.0.1")
    url = f"http://127.0.0.1:{port}/"
    try:
        async with asyncio.timeout(SECONDS), aiohttp.ClientSession() as session:
            for count, status in ((2, 200), (0, 503)):
                await ports.update({port: Health("x", "web", count)})
                async with session.get(url) as answer:
                    assert answer.status == status
                    assert answer.headers["X-Load-Balancing-Endpoint-Weight"] == str(count)
                    assert json.loads(await answer.text()) == {
                        "service": {"namespace": "x", "name": "web"},
                        "localEndpoints": count,
                        "serviceProxyHealthy": True,
                    }
            await ports.update({})
            with pytest.raises(aiohttp.ClientConnectionError):
                await session.get(url)
    finally:
        await ports.stop()
