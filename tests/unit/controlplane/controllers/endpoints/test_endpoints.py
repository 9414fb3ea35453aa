"""Endpoints: which Pods are in, how ports share subsets, what is left out."""

import pytest

from controlplane.controllers.endpoints.plan import plan_subsets, truncated
from controlplane.kinds.core.endpoints import ENDPOINTS
from controlplane.kinds.core.pod.resource import PODS
from controlplane.kinds.core.service import SERVICES

ONLY = "--controllers=endpoints-controller"


def service(*ports, **spec):
    return {
        "metadata": {"name": "s", "namespace": "d", "uid": "su"},
        "spec": {"selector": {"app": "a"}, "clusterIP": "10.0.0.1", "ports": list(ports), **spec},
    }


def pod(name, ip, *, ready=True, phase="Running", ports=(), deleting=False, **spec):
    metadata = {"name": name, "namespace": "d", "uid": name, "labels": {"app": "a"}}
    if deleting:
        metadata["deletionTimestamp"] = "2023-11-14T22:13:20Z"
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
    return {
        "metadata": metadata,
        "spec": {"containers": [{"name": "c", "ports": list(ports)}], "nodeName": "n", **spec},
        "status": {"phase": phase, "podIP": ip, "podIPs": [{"ip": ip}], "conditions": conditions},
    }


def shown(subsets):
    """(ports, ready, not ready) of each subset."""
    return [
        (
            [port["port"] for port in subset.get("ports", ())],
            [address["ip"] for address in subset.get("addresses", ())],
            [address["ip"] for address in subset.get("notReadyAddresses", ())],
        )
        for subset in subsets
    ]


HTTP = {"name": "h", "port": 80, "targetPort": "web"}
NUMBER = {"name": "n", "port": 81, "targetPort": 8081}
WEB = ({"name": "web", "containerPort": 8080},)


@pytest.mark.parametrize(
    ("subject", "pods", "expected"),
    [
        pytest.param(service(NUMBER), [], [], id="none"),
        pytest.param(
            service(NUMBER), [pod("b", "10.1.0.2"), pod("a", "10.1.0.1")],
            [([8081], ["10.1.0.1", "10.1.0.2"], [])], id="sorted_by_address",
        ),
        pytest.param(
            service(NUMBER), [pod("a", "10.1.0.1", ready=False)], [([8081], [], ["10.1.0.1"])],
            id="not_ready",
        ),
        pytest.param(
            service(NUMBER, publishNotReadyAddresses=True), [pod("a", "10.1.0.1", ready=False)],
            [([8081], ["10.1.0.1"], [])], id="published_though_not_ready",
        ),
        pytest.param(service(NUMBER), [pod("a", "10.1.0.1", phase="Succeeded")], [], id="ended"),
        pytest.param(service(NUMBER), [pod("a", "10.1.0.1", deleting=True)], [], id="terminating"),
        pytest.param(service(NUMBER), [pod("a", "")], [], id="without_address"),
        pytest.param(
            service(HTTP, NUMBER), [pod("a", "10.1.0.1", ports=WEB)],
            [([8080, 8081], ["10.1.0.1"], [])], id="ports_of_the_same_pods_share_a_subset",
        ),
        pytest.param(
            service(HTTP, NUMBER), [pod("a", "10.1.0.1", ports=WEB), pod("b", "10.1.0.2")],
            [([8080], ["10.1.0.1"], []), ([8081], ["10.1.0.1", "10.1.0.2"], [])],
            id="a_named_port_some_pods_lack",
        ),
        pytest.param(
            service(clusterIP="None"), [pod("a", "10.1.0.1")], [([], ["10.1.0.1"], [])],
            id="headless_without_ports",
        ),
        pytest.param(
            service(NUMBER, ipFamilies=["IPv6"]), [pod("a", "10.1.0.1")], [], id="another_family"
        ),
    ],
)  # fmt: skip
def test_subsets(subject, pods, expected):
    assert shown(plan_subsets(subject, pods)) == expected


def test_an_address_names_its_pod_node_and_hostname():
    subject = service(NUMBER)
    (subset,) = plan_subsets(subject, [pod("a", "10.1.0.1", hostname="h0", subdomain="s")])
    assert subset["addresses"] == [
        {
            "ip": "10.1.0.1",
            "nodeName": "n",
            "hostname": "h0",
            "targetRef": {"kind": "Pod", "namespace": "d", "name": "a", "uid": "a"},
        }
    ]


@pytest.mark.parametrize(
    ("ready", "waiting", "kept"),
    [(1000, 0, (1000, 0)), (1500, 10, (1000, 0)), (900, 300, (900, 100))],
    ids=["just_fits", "ready_ones_are_cut", "others_are_cut_first"],
)
def test_at_most_a_thousand(ready, waiting, kept):
    subset = {
        "addresses": [{"ip": str(n)} for n in range(ready)],
        "notReadyAddresses": [{"ip": str(n)} for n in range(waiting)],
    }
    (cut,), was_cut = truncated([subset])
    assert (len(cut.get("addresses", ())), len(cut.get("notReadyAddresses", ()))) == kept
    assert was_cut is (ready + waiting > 1000)


async def test_endpoints_follow_pods_and_go_with_the_service(make_world):
    async with make_world(ONLY) as world:
        ports = [{"name": "n", "port": 81, "targetPort": 8081}]
        spec = {"selector": {"app": "a"}, "ports": ports}
        await world.client.create(SERVICES, {"metadata": {"name": "s"}, "spec": spec}, "d")
        await world.step(5)
        made = world.api.object(ENDPOINTS, "s", "d")
        assert not made.get("subsets")
        assert made["metadata"]["labels"] == {
            "endpoints.kubernetes.io/managed-by": "endpoint-controller"
        }
        world.api.put(PODS, pod("a", "10.1.0.1"))
        await world.step(5)
        assert shown(world.api.object(ENDPOINTS, "s", "d")["subsets"]) == [
            ([8081], ["10.1.0.1"], [])
        ]
        world.change(PODS, "a", "d", lambda p: p["status"]["conditions"][0].update(status="False"))
        await world.step(5)
        assert shown(world.api.object(ENDPOINTS, "s", "d")["subsets"]) == [
            ([8081], [], ["10.1.0.1"])
        ]
        before = len(world.api.requests)
        await world.step(5)
        writes = [r for r in world.api.requests[before:] if "endpoints" in r[1]]
        assert writes == []
        await world.client.delete(SERVICES, "s", "d")
        await world.step(5)
        assert world.api.object(ENDPOINTS, "s", "d") is None


async def test_endpoints_of_a_service_without_selector_are_left_alone(make_world):
    async with make_world(ONLY) as world:
        spec = {"ports": [{"port": 80}]}
        await world.client.create(SERVICES, {"metadata": {"name": "s"}, "spec": spec}, "d")
        subsets = [{"addresses": [{"ip": "10.9.0.1"}], "ports": [{"port": 8080}]}]
        await world.client.create(ENDPOINTS, {"metadata": {"name": "s"}, "subsets": subsets}, "d")
        await world.step(5)
        assert world.api.object(ENDPOINTS, "s", "d")["subsets"][0]["addresses"] == [
            {"ip": "10.9.0.1"}
        ]
