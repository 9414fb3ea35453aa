"""Where a webhook is: targets of configurations, and endpoints of Services."""

from typing import Any

import pytest

from controlplane.api.meta import Obj
from controlplane.apiserver.callouts.endpoints import (
    Endpoint,
    UnresolvedError,
    port_name_of,
    ready,
)
from controlplane.apiserver.callouts.target import target_of


@pytest.mark.parametrize(
    ("client", "url", "host", "port"),
    [
        pytest.param(
            {"url": "https://h.example/p"}, "https://h.example/p", "h.example", 443, id="url"
        ),
        pytest.param(
            {"url": "https://[::1]:8443"}, "https://[::1]:8443/", "::1", 8443, id="address and port"
        ),
        pytest.param(
            {"service": {"namespace": "n", "name": "s"}},
            "https://s.n.svc:443/",
            "s.n.svc",
            443,
            id="service",
        ),
        pytest.param(
            {"service": {"namespace": "n", "name": "s", "path": "p", "port": 1}},
            "https://s.n.svc:1/p",
            "s.n.svc",
            1,
            id="service with path and port",
        ),
    ],
)
def test_a_target_is_named_as_errors_name_it(client: Obj, url: str, host: str, port: int) -> None:
    target = target_of(client)
    assert (target.url, target.host, target.port) == (url, host, port)


def service(**spec: Any) -> Obj:
    ports = [{"name": "web", "port": 80}, {"name": "tls", "port": 443}]
    return {"metadata": {"name": "s"}, "spec": {"ports": ports, **spec}}


@pytest.mark.parametrize(
    ("spec", "port", "why"),
    [
        pytest.param(
            {"type": "ExternalName"}, 443, 'unsupported service type "ExternalName"', id="alias"
        ),
        pytest.param({}, 8080, 'no service port 8080 found for service "s"', id="port"),
    ],
)
def test_a_service_that_cannot_be_called_says_why(spec: Obj, port: int, why: str) -> None:
    with pytest.raises(UnresolvedError) as unresolved:
        port_name_of(service(**spec), port)
    assert str(unresolved.value) == why


def slice_of(address: str, family: str = "IPv4", port: str = "tls", **endpoint: Any) -> Obj:
    return {
        "addressType": family,
        "ports": [{"name": port, "port": 8443}],
        "endpoints": [{"addresses": [address], **endpoint}],
    }


@pytest.mark.parametrize(
    ("slices", "found"),
    [
        pytest.param([slice_of("10.0.0.1")], ["10.0.0.1"], id="one that does not say it"),
        pytest.param(
            [slice_of("10.0.0.1", conditions={"ready": False})], [], id="one that is not ready"
        ),
        pytest.param([slice_of("10.0.0.1", port="web")], [], id="another port"),
        pytest.param(
            [slice_of("fd00::1", "IPv6"), slice_of("10.0.0.1")], ["10.0.0.1"], id="own family"
        ),
        pytest.param([slice_of("fd00::1", "IPv6")], ["fd00::1"], id="other family at need"),
    ],
)
def test_ready_endpoints_of_the_port_are_found(slices: list[Obj], found: list[str]) -> None:
    endpoints = ready(slices, port_name_of(service(), 443), ["IPv4"])
    assert [one.address for one in endpoints] == found


def test_a_pods_endpoint_is_known_by_pod_and_node() -> None:
    target = {"kind": "Pod", "namespace": "n", "name": "p"}
    slices = [slice_of("10.0.0.1", targetRef=target, nodeName="node-1")]
    assert ready(slices, "tls", []) == [Endpoint("10.0.0.1", 8443, ("n", "p"), "node-1")]
