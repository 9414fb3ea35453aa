"""What `quorate service url` prints, and where `quorate tunnel` listens."""

from typing import Any

import pytest
import typer

from cli.service import chosen, urls


def service(kind: str, *ports: dict[str, Any], address: str = "") -> dict[str, Any]:
    rows = [{"ip": address, "ipMode": "Proxy"}] if address else []
    return {
        "metadata": {"name": "web"},
        "spec": {"type": kind, "ports": list(ports)},
        "status": {"loadBalancer": {"ingress": rows}},
    }


WEB = {"port": 80, "nodePort": 30080}
DNS = {"port": 53, "nodePort": 30053, "protocol": "UDP"}


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        pytest.param(service("ClusterIP", {"port": 80}), [], id="inside alone"),
        pytest.param(service("NodePort", WEB), ["http://127.0.0.1:30080"], id="node port"),
        pytest.param(
            service("NodePort", WEB, DNS),
            ["http://127.0.0.1:30080", "udp://127.0.0.1:30053"],
            id="a line a port",
        ),
        pytest.param(
            service("LoadBalancer", WEB, address="127.64.255.10"),
            ["http://127.64.255.10:80"],
            id="balancer",
        ),
        pytest.param(
            service("LoadBalancer", WEB), ["http://127.0.0.1:30080"], id="balancer to come"
        ),
        pytest.param(
            service("NodePort", {**WEB, "port": 443}), ["https://127.0.0.1:30080"], id="port 443"
        ),
        pytest.param(
            service("NodePort", {**WEB, "name": "https-web"}),
            ["https://127.0.0.1:30080"],
            id="by its name",
        ),
    ],
)
def test_urls(found: dict[str, Any], expected: list[str]) -> None:
    assert urls(found) == expected


def test_ports_that_an_ordinary_user_cannot_have() -> None:
    found = service("LoadBalancer", WEB, {"port": 8090}, address="127.64.255.10")
    assert urls(found, 1024) == ["http://127.64.255.10:8080", "http://127.64.255.10:8090"]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        pytest.param([], {80: None, 53: None}, id="all"),
        pytest.param(["80"], {80: None}, id="one"),
        pytest.param(["8080:80"], {80: 8080}, id="at a port of mine"),
    ],
)
def test_tunnel_ports(asked: list[str], expected: dict[int, int | None]) -> None:
    places = chosen(service("ClusterIP", WEB, DNS), asked)
    assert places.keys() == expected.keys()
    for number, place in places.items():
        assert place.port == (expected[number] or place.port)
        assert place.protocol == ("UDP" if number == 53 else "TCP")
    assert len({place.port for place in places.values()}) == len(places)


@pytest.mark.parametrize("asked", ["81", "x", "a:80", "80:"])
def test_tunnel_to_no_port(asked: str) -> None:
    with pytest.raises(typer.Exit) as ended:
        chosen(service("ClusterIP", WEB), [asked])
    assert ended.value.exit_code == 2
