"""Variables that tell of Services."""

from typing import Any

import pytest

from controlplane.kubelet.containers.service_links import service_env


def service(name: str, namespace: str, address: str | None, *ports: dict[str, Any]) -> Any:
    spec = {"clusterIP": address, "ports": list(ports)}
    return {"metadata": {"name": name, "namespace": namespace}, "spec": spec}


HTTPS = {"name": "https", "port": 443, "protocol": "TCP"}
MASTER = service("kubernetes", "default", "10.96.0.1", HTTPS)
OWN = service(
    "my-db", "ns", "10.96.0.7", {"port": 5432}, {"name": "x-y", "port": 53, "protocol": "UDP"}
)
EVERY = [
    OWN,
    service("headless", "ns", "None", {"port": 1}),
    service("outside", "ns", None, {"port": 1}),
    service("elsewhere", "other", "10.96.0.8", {"port": 1}),
    MASTER,
]
OF_MASTER = {
    "KUBERNETES_SERVICE_HOST": "10.96.0.1",
    "KUBERNETES_SERVICE_PORT": "443",
    "KUBERNETES_SERVICE_PORT_HTTPS": "443",
    "KUBERNETES_PORT": "tcp://10.96.0.1:443",
    "KUBERNETES_PORT_443_TCP": "tcp://10.96.0.1:443",
    "KUBERNETES_PORT_443_TCP_PROTO": "tcp",
    "KUBERNETES_PORT_443_TCP_PORT": "443",
    "KUBERNETES_PORT_443_TCP_ADDR": "10.96.0.1",
}
OF_OWN = {
    "MY_DB_SERVICE_HOST": "10.96.0.7",
    "MY_DB_SERVICE_PORT": "5432",
    "MY_DB_SERVICE_PORT_X_Y": "53",
    "MY_DB_PORT": "tcp://10.96.0.7:5432",
    "MY_DB_PORT_5432_TCP": "tcp://10.96.0.7:5432",
    "MY_DB_PORT_5432_TCP_PROTO": "tcp",
    "MY_DB_PORT_5432_TCP_PORT": "5432",
    "MY_DB_PORT_5432_TCP_ADDR": "10.96.0.7",
    "MY_DB_PORT_53_UDP": "udp://10.96.0.7:53",
    "MY_DB_PORT_53_UDP_PROTO": "udp",
    "MY_DB_PORT_53_UDP_PORT": "53",
    "MY_DB_PORT_53_UDP_ADDR": "10.96.0.7",
}


@pytest.mark.parametrize(
    ("links", "expected"),
    [(True, {**OF_MASTER, **OF_OWN}), (False, OF_MASTER)],
    ids=["with_links", "without"],
)
def test_services_of_the_namespace_and_the_master(links: bool, expected: dict[str, str]) -> None:
    assert service_env(EVERY, "ns", links=links) == expected


def test_a_service_of_the_masters_name_in_the_namespace_wins() -> None:
    own = service("kubernetes", "ns", "10.96.0.9", {"port": 1})
    for order in ([own, MASTER], [MASTER, own]):
        assert service_env(order, "ns", links=True)["KUBERNETES_SERVICE_HOST"] == "10.96.0.9"


def test_addresses_of_version_six_stand_in_brackets() -> None:
    env = service_env([service("a", "ns", "fd00::7", {"port": 80})], "ns", links=True)
    assert (env["A_PORT"], env["A_PORT_80_TCP_ADDR"]) == ("tcp://[fd00::7]:80", "fd00::7")
