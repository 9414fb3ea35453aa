"""Endpoints written by hand show in slices."""

import pytest

from controlplane.controllers.endpointslicemirroring.plan import is_mirrored, plan_mirror
from controlplane.kinds.core.endpoints import ENDPOINTS
from controlplane.kinds.core.service import SERVICES
from controlplane.kinds.discovery.endpoint_slice import ENDPOINT_SLICES

ONLY = "--controllers=endpointslice-mirroring-controller"


def endpoints(*subsets, labels=None, annotations=None):
    metadata = {"name": "s", "namespace": "d", "uid": "e", "labels": labels or {}}
    return {"metadata": {**metadata, "annotations": annotations or {}}, "subsets": list(subsets)}


def subset(ready=(), waiting=(), port=8080):
    return {
        "addresses": [{"ip": ip} for ip in ready],
        "notReadyAddresses": [{"ip": ip} for ip in waiting],
        "ports": [{"port": port}],
    }


LEADER = {"control-plane.alpha.kubernetes.io/leader": "{}"}


@pytest.mark.parametrize(
    ("subject", "service", "expected"),
    [
        (endpoints(), {"spec": {}}, True),
        (endpoints(), None, False),
        (None, {"spec": {}}, False),
        (endpoints(), {"spec": {"selector": {"a": "b"}}}, False),
        (endpoints(labels={"endpointslice.kubernetes.io/skip-mirror": "true"}), {"spec": {}}, False),
        (endpoints(annotations=LEADER), {"spec": {}}, False),
    ],
    ids=["mirrored", "no_service", "gone", "selector", "skipped", "leader_election"],
)  # fmt: skip
def test_what_is_mirrored(subject, service, expected):
    assert is_mirrored(subject, service) is expected


def test_families_and_ports_have_slices_of_their_own():
    subject = endpoints(subset(["10.0.0.1", "fd00::1"], ["10.0.0.2"]), subset(["10.0.0.3"], port=9))
    plan, skipped = plan_mirror(subject, [], 1000, 1000)
    assert skipped == 0
    assert [
        (s["addressType"], s["ports"][0]["port"], [e["addresses"][0] for e in s["endpoints"]])
        for s in plan.create
    ] == [
        ("IPv4", 8080, ["10.0.0.1", "10.0.0.2"]),
        ("IPv6", 8080, ["fd00::1"]),
        ("IPv4", 9, ["10.0.0.3"]),
    ]
    conditions = [e["conditions"] for e in plan.create[0]["endpoints"]]
    assert conditions == [{"ready": True}, {"ready": False}]


def test_too_many_addresses_are_counted():
    plan, skipped = plan_mirror(endpoints(subset(["10.0.0.1", "10.0.0.2", "10.0.0.3"])), [], 2, 2)
    assert skipped == 1
    assert len(plan.create[0]["endpoints"]) == 2


async def test_a_mirror_follows_and_goes(make_world):
    async with make_world(ONLY) as world:
        spec = {"ports": [{"port": 80}]}
        await world.client.create(SERVICES, {"metadata": {"name": "s"}, "spec": spec}, "d")
        wanted = {"metadata": {"name": "s", "labels": {"x": "y"}}}
        wanted["subsets"] = [subset(["10.9.0.1"], ["10.9.0.2"])]
        await world.client.create(ENDPOINTS, wanted, "d")
        await world.step(5)
        (made,) = world.api.objects(ENDPOINT_SLICES, "d")
        assert made["metadata"]["labels"] == {
            "x": "y",
            "kubernetes.io/service-name": "s",
            "endpointslice.kubernetes.io/managed-by": ("endpointslicemirroring-controller.k8s.io"),
        }
        assert made["ports"] == [{"name": "", "port": 8080, "protocol": "TCP"}]
        patch = {"subsets": [subset(["10.9.0.7"])]}
        await world.client.patch(ENDPOINTS, "s", patch, "d")
        await world.step(5)
        (after,) = world.api.objects(ENDPOINT_SLICES, "d")
        assert [e["addresses"] for e in after["endpoints"]] == [["10.9.0.7"]]
        selector = {"spec": {"selector": {"app": "a"}}}
        await world.client.patch(SERVICES, "s", selector, "d")
        await world.step(5)
        assert world.api.objects(ENDPOINT_SLICES, "d") == []
