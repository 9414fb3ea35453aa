"""Plugins that are on by their flag only: what each sets and refuses, and that none acts unasked."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from controlplane.api import meta
from controlplane.api.errors import Forbidden
from controlplane.api.meta import Obj
from controlplane.apiserver.config import ApiServerConfig
from controlplane.client.rest import RestClient
from controlplane.kinds.core.node import NODES
from controlplane.kinds.core.pod.resource import PODS
from controlplane.kinds.core.service import SERVICES
from controlplane.testing.in_process import InProcessServer

FLAGS = (
    "AlwaysPullImages",
    "DenyServiceExternalIPs",
    "ExtendedResourceToleration",
    "LimitPodHardAntiAffinityTopology",
    "TaintNodesByCondition",
)
DEVICE = "example.com/device"


@pytest.fixture
async def client() -> AsyncIterator[RestClient]:
    async with InProcessServer(config=ApiServerConfig(enabled_admission_plugins=FLAGS)) as server:
        yield server.client()


@pytest.fixture
async def lenient() -> AsyncIterator[RestClient]:
    async with InProcessServer() as server:
        yield server.client()


def pod(**spec: Any) -> Obj:
    container = {"name": "c", "image": "nginx:1", "imagePullPolicy": "IfNotPresent"}
    return {"metadata": {"name": "p"}, "spec": {"containers": [container], **spec}}


def device_pod() -> Obj:
    amounts = {"cpu": "1", DEVICE: "1"}
    obj = pod()
    obj["spec"]["containers"][0]["resources"] = {"requests": amounts, "limits": amounts}
    return obj


def apart(topology: str) -> Obj:
    term = {"topologyKey": topology, "labelSelector": {"matchLabels": {"a": "b"}}}
    rules = {"requiredDuringSchedulingIgnoredDuringExecution": [term]}
    return pod(affinity={"podAntiAffinity": rules})


def service(*addresses: str) -> Obj:
    spec = {"ports": [{"port": 80}], "externalIPs": list(addresses)}
    return {"metadata": {"name": "s"}, "spec": spec}


async def test_every_container_and_image_volume_pulls(client: RestClient) -> None:
    first = {"name": "i", "image": "busybox", "imagePullPolicy": "Never"}
    volume = {"name": "v", "image": {"reference": "data:1", "pullPolicy": "Never"}}
    made = await client.create(PODS, pod(initContainers=[first], volumes=[volume]), "default")
    spec = made["spec"]
    assert [one["imagePullPolicy"] for one in spec["containers"]] == ["Always"]
    assert [one["imagePullPolicy"] for one in spec["initContainers"]] == ["Always"]
    assert spec["volumes"][0]["image"]["pullPolicy"] == "Always"


async def test_a_pod_that_asks_for_a_device_tolerates_its_taint_once(client: RestClient) -> None:
    made = await client.create(PODS, device_pod(), "default")
    wanted = {"key": DEVICE, "operator": "Exists", "effect": "NoSchedule"}
    assert [one for one in made["spec"]["tolerations"] if one["key"] == DEVICE] == [wanted]
    made["metadata"]["labels"] = {"a": "b"}
    again = await client.update(PODS, made)
    assert again["spec"]["tolerations"] == made["spec"]["tolerations"]


async def test_anti_affinity_reaches_as_far_as_the_node(client: RestClient) -> None:
    with pytest.raises(Forbidden) as refused:
        await client.create(PODS, apart("topology.kubernetes.io/zone"), "default")
    assert refused.value.message == (
        'pods "p" is forbidden: affinity.PodAntiAffinity.RequiredDuringScheduling has TopologyKey '
        "topology.kubernetes.io/zone but only key kubernetes.io/hostname is allowed"
    )
    await client.create(PODS, apart("kubernetes.io/hostname"), "default")


async def test_a_service_gets_no_new_external_address(client: RestClient) -> None:
    with pytest.raises(Forbidden) as refused:
        await client.create(SERVICES, service("192.0.2.1"), "default")
    assert refused.value.message == (
        'services "s" is forbidden: Use of external IPs is denied by admission control'
    )
    made = await client.create(SERVICES, service(), "default")
    made["spec"]["externalIPs"] = ["192.0.2.1"]
    with pytest.raises(Forbidden):
        await client.update(SERVICES, made)


async def test_an_address_from_before_may_stay_and_go() -> None:
    config = ApiServerConfig(enabled_admission_plugins=FLAGS)
    async with InProcessServer() as before:
        made = await before.client().create(SERVICES, service("192.0.2.1", "192.0.2.2"), "default")
    async with InProcessServer(config=config) as server:
        server.put(SERVICES, made)
        client = server.client()
        live = await client.get(SERVICES, "s", "default")
        live["spec"]["externalIPs"] = ["192.0.2.2"]
        live = await client.update(SERVICES, live)
        live["spec"]["externalIPs"] = ["192.0.2.3"]
        with pytest.raises(Forbidden):
            await client.update(SERVICES, live)


async def test_none_acts_unasked(lenient: RestClient) -> None:
    obj = device_pod()
    obj["spec"]["affinity"] = apart("topology.kubernetes.io/zone")["spec"]["affinity"]
    made = await lenient.create(PODS, obj, "default")
    assert made["spec"]["containers"][0]["imagePullPolicy"] == "IfNotPresent"
    assert DEVICE not in {one["key"] for one in made["spec"]["tolerations"]}
    made = await lenient.create(SERVICES, service("192.0.2.1"), "default")
    assert meta.spec(made)["externalIPs"] == ["192.0.2.1"]


async def test_a_new_node_takes_no_pods_at_first(client: RestClient, lenient: RestClient) -> None:
    taint = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}
    node = {"metadata": {"name": "n"}, "spec": {"taints": [taint]}}
    assert (await client.create(NODES, node))["spec"]["taints"] == [taint]
    bare = {"metadata": {"name": "m"}}
    assert (await client.create(NODES, bare))["spec"]["taints"] == [taint]
    assert "taints" not in (await lenient.create(NODES, {"metadata": {"name": "m"}}))["spec"]
