"""EndpointSlices: what an endpoint says, how slices are filled, and that each change costs few writes."""

import pytest

from controlplane.controllers.endpointslice.plan import endpoint_of, plan_slices
from controlplane.controllers.workloads.slices import lay_out
from controlplane.kinds.core.node import NODES
from controlplane.kinds.core.pod.resource import PODS
from controlplane.kinds.core.service import SERVICES
from controlplane.kinds.discovery.endpoint_slice import ENDPOINT_SLICES

ONLY = "--controllers=endpointslice-controller"
NODE = {"metadata": {"name": "n", "labels": {"topology.kubernetes.io/zone": "z"}}}


def service(**spec):
    ports = [{"name": "p", "port": 80, "targetPort": 8080}]
    spec = {"selector": {"app": "a"}, "clusterIP": "10.0.0.1", "ports": ports, **spec}
    return {"metadata": {"name": "s", "namespace": "d", "uid": "su"}, "spec": spec}


def pod(name, ip="10.1.0.1", *, ready=True, deleting=False, **spec):
    metadata = {"name": name, "namespace": "d", "uid": name, "labels": {"app": "a"}}
    if deleting:
        metadata |= {"deletionTimestamp": "2023-11-14T22:13:20Z", "finalizers": ["test/hold"]}
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
    return {
        "metadata": metadata,
        "spec": {"containers": [{"name": "c", "image": "a:1"}], "nodeName": "n", **spec},
        "status": {
            "phase": "Running",
            "podIP": ip,
            "podIPs": [{"ip": ip}],
            "conditions": conditions,
        },
    }


@pytest.mark.parametrize(
    ("ready", "deleting", "publish", "expected"),
    [
        (True, False, False, (True, True, False)),
        (False, False, False, (False, False, False)),
        (True, True, False, (False, True, True)),
        (False, False, True, (True, False, False)),
        (True, True, True, (True, True, True)),
    ],
    ids=["ready", "not_ready", "terminating_still_serves", "published", "published_terminating"],
)
def test_conditions(ready, deleting, publish, expected):
    subject = service(publishNotReadyAddresses=publish)
    endpoint = endpoint_of(subject, pod("a", ready=ready, deleting=deleting), NODE, "IPv4")
    found = endpoint["conditions"]
    assert (found["ready"], found["serving"], found["terminating"]) == expected
    assert (endpoint["zone"], endpoint["nodeName"]) == ("z", "n")


@pytest.mark.parametrize(
    ("distribution", "hints"),
    [
        (None, None),
        ("PreferClose", {"forZones": [{"name": "z"}]}),
        ("PreferSameZone", {"forZones": [{"name": "z"}]}),
        ("PreferSameNode", {"forZones": [{"name": "z"}], "forNodes": [{"name": "n"}]}),
    ],
    ids=str,
)
def test_hints_keep_traffic_near(distribution, hints):
    subject = service(trafficDistribution=distribution)
    plan, _ = plan_slices(subject, [pod("a")], [], lambda name: NODE, "", 100)
    assert plan.create[0]["endpoints"][0].get("hints") == hints


def test_a_pod_on_a_node_nobody_knows_waits():
    plan, unknown = plan_slices(service(), [pod("a")], [], lambda name: None, "", 100)
    assert unknown == ["a"]
    assert [slice_["endpoints"] for slice_ in plan.create] == [[]]


def test_slices_of_another_family_go():
    old = {"metadata": {"name": "s-6", "namespace": "d"}, "addressType": "IPv6"}
    plan, _ = plan_slices(service(ipFamilies=["IPv4"]), [], [old], lambda name: NODE, "", 100)
    assert plan.delete == (old,)


def test_headless_slices_say_so():
    plan, _ = plan_slices(service(clusterIP="None"), [], [], lambda name: NODE, "", 100)
    labels = {frozenset(slice_["metadata"]["labels"].items()) for slice_ in plan.create}
    assert labels == {
        frozenset(
            {
                "kubernetes.io/service-name": "s",
                "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
                "service.kubernetes.io/headless": "",
            }.items()
        )
    }


def endpoints(*names):
    return [{"addresses": [name]} for name in names]


def slice_of(name, *held):
    return {"metadata": {"name": name}, "endpoints": endpoints(*held)}


def laid(existing, desired, limit=3):
    plan = lay_out(existing, endpoints(*desired), lambda s: s, lambda: {"metadata": {}}, limit)

    def held(slices):
        return {
            slice_["metadata"].get("name", "new"): "".join(
                e["addresses"][0] for e in slice_["endpoints"]
            )
            for slice_ in slices
        }

    return held(plan.create), held(plan.update), [s["metadata"]["name"] for s in plan.delete]


@pytest.mark.parametrize(
    ("existing", "desired", "expected"),
    [
        pytest.param([], "", ({}, {}, []), id="nothing"),
        pytest.param([], "ab", ({"new": "ab"}, {}, []), id="first"),
        pytest.param([slice_of("1", *"ab")], "ab", ({}, {}, []), id="unchanged"),
        pytest.param([slice_of("1", *"ab")], "abc", ({}, {"1": "abc"}, []), id="fills_what_is_there"),
        pytest.param([slice_of("1", *"ab")], "ac", ({}, {"1": "ac"}, []), id="replaced_in_place"),
        pytest.param([slice_of("1", *"ab")], "", ({}, {}, ["1"]), id="emptied"),
        pytest.param([slice_of("1", *"abc")], "abcd", ({"new": "d"}, {}, []), id="full"),
        pytest.param(
            [slice_of("1", *"ab"), slice_of("2", "c")], "abcd", ({}, {"1": "abd"}, []),
            id="the_fullest_that_takes_it",
        ),
        pytest.param(
            [slice_of("1", *"ab"), slice_of("2", "c")], "acd", ({}, {"1": "ad"}, []),
            id="one_that_changes_anyway",
        ),
        pytest.param(
            [slice_of("1", "a"), slice_of("2", "b")], "ab", ({}, {}, []), id="never_merged"
        ),
    ],
)  # fmt: skip
def test_how_slices_are_filled(existing, desired, expected):
    assert laid(existing, desired) == expected


async def test_slices_follow_pods(make_world):
    async with make_world(ONLY) as world:
        world.api.put(NODES, NODE)
        spec = {"selector": {"app": "a"}, "ports": [{"port": 80, "targetPort": 8080}]}
        await world.client.create(SERVICES, {"metadata": {"name": "s"}, "spec": spec}, "d")
        await world.step(5)
        (made,) = world.api.objects(ENDPOINT_SLICES, "d")
        assert not made.get("endpoints")
        assert made["metadata"]["name"].startswith("s-")
        assert made["metadata"]["ownerReferences"][0]["kind"] == "Service"
        world.api.put(PODS, pod("a"))
        world.api.put(PODS, pod("b", "10.1.0.2", ready=False))
        await world.step(5)
        (after,) = world.api.objects(ENDPOINT_SLICES, "d")
        assert after["metadata"]["uid"] == made["metadata"]["uid"], "the empty slice is filled"
        assert {e["targetRef"]["name"]: e["conditions"]["ready"] for e in after["endpoints"]} == {
            "a": True,
            "b": False,
        }
        assert after["ports"] == [{"name": "", "port": 8080, "protocol": "TCP"}]
        before = len(world.api.requests)
        await world.step(10)
        assert not [r for r in world.api.requests[before:] if "slices" in r[1]], "at rest"
        await world.client.delete(ENDPOINT_SLICES, after["metadata"]["name"], "d")
        await world.step(5)
        assert len(world.api.objects(ENDPOINT_SLICES, "d")) == 1, "made again"


async def test_many_pods_at_once_make_no_slice_twice(make_world):
    async with make_world(ONLY, "--max-endpoints-per-slice=3") as world:
        world.api.put(NODES, NODE)
        spec = {"selector": {"app": "a"}, "ports": [{"port": 80}]}
        await world.client.create(SERVICES, {"metadata": {"name": "s"}, "spec": spec}, "d")
        for number in range(10):
            world.api.put(PODS, pod(f"p{number}", f"10.1.0.{number}"))
            await world.step(1, 0.01)
        await world.step(20)
        slices = world.api.objects(ENDPOINT_SLICES, "d")
        held = [e["targetRef"]["name"] for s in slices for e in s["endpoints"]]
        assert sorted(held) == [f"p{number}" for number in range(10)]
        assert all(len(s["endpoints"]) <= 3 for s in slices)


async def test_a_node_that_comes_late_lets_its_pods_in(make_world):
    async with make_world(ONLY) as world:
        spec = {"selector": {"app": "a"}, "ports": [{"port": 80}]}
        await world.client.create(SERVICES, {"metadata": {"name": "s"}, "spec": spec}, "d")
        world.api.put(PODS, pod("a"))
        await world.step(5)
        world.api.put(NODES, NODE)
        await world.step(5)
        (slice_,) = world.api.objects(ENDPOINT_SLICES, "d")
        assert [e["zone"] for e in slice_["endpoints"]] == ["z"]
