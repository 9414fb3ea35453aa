"""Child processes behind Services, as the machine finds them."""

from typing import Any

import pytest

from controlplane.local.balancer.processes import slices_of
from controlplane.proxy.frontends import Backend, to_service


def pod(name: str = "p", address: str = "127.64.1.2", **more: Any) -> dict[str, Any]:
    ready = more.pop("ready", "True")
    return {
        "metadata": {"name": name, "namespace": "x", "labels": {"app": "web"}, **more},
        "spec": {
            "nodeName": "n1",
            "containers": [{"ports": [{"name": "http", "containerPort": 8080}]}],
        },
        "status": {"podIP": address, "conditions": [{"type": "Ready", "status": ready}]},
    }


def service(**spec: Any) -> dict[str, Any]:
    ports = [{"name": "a", "port": 80, "targetPort": "http"}, {"name": "b", "port": 81}]
    full = {"clusterIP": "10.96.0.7", "selector": {"app": "web"}, "ports": ports, **spec}
    return {"metadata": {"name": "web", "namespace": "x"}, "spec": full}


def test_ports_by_number_and_name() -> None:
    one = service()
    pools = to_service(one, slices_of([one], [pod(), pod("q", "127.64.1.3")]))
    assert pools[80].backends == (
        Backend("127.64.1.2", 8080, "n1"),
        Backend("127.64.1.3", 8080, "n1"),
    )
    assert [one.port for one in pools[81].backends] == [81, 81]


@pytest.mark.parametrize(
    ("one", "found"),
    [
        pytest.param(pod(address="10.244.1.2"), {}, id="has slices"),
        pytest.param(pod(address=""), {}, id="no address yet"),
        pytest.param(pod(labels={"app": "other"}), {}, id="not selected"),
        pytest.param(pod(namespace="y"), {}, id="another namespace"),
        pytest.param(pod(deletionTimestamp="2026-01-01T00:00:00Z"), {}, id="ends"),
    ],
)
def test_what_is_behind_no_service_here(one: dict[str, Any], found: dict[Any, Any]) -> None:
    assert slices_of([service()], [one]) == found


@pytest.mark.parametrize(("publishes", "expected"), [(False, 0), (True, 1)])
def test_readiness(publishes: bool, expected: int) -> None:
    one = service(publishNotReadyAddresses=publishes)
    pools = to_service(one, slices_of([one], [pod(ready="False")]))
    assert len(pools[80].backends) == expected


def test_without_selector_nothing_is_selected() -> None:
    one = service()
    del one["spec"]["selector"]
    assert slices_of([one], [pod()]) == {}
