"""Bindings put a pod on a node, and change nothing else."""

import pytest

from controlplane.api.errors import APIError
from controlplane.kinds.core.node import NODES
from controlplane.kinds.core.pod.resource import PODS
from controlplane.kinds.core.service_account import SERVICE_ACCOUNTS
from controlplane.testing.in_process import InProcessServer

POD = {
    "metadata": {"name": "p", "labels": {"a": "b"}},
    "spec": {"containers": [{"name": "c", "image": "i"}], "automountServiceAccountToken": False},
}


def binding(node="n", **metadata):
    """A binding of the pod."""
    return {
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {"name": "p", "namespace": "default", **metadata},
        "target": {"kind": "Node", "name": node},
    }


@pytest.fixture
async def client():
    async with InProcessServer() as server:
        made = server.client()
        await made.create(SERVICE_ACCOUNTS, {"metadata": {"name": "default"}}, "default")
        await made.create(PODS, POD, "default")
        yield made


async def test_the_pod_has_its_node_and_no_new_manager_of_fields(client):
    before = await client.get(PODS, "p", "default")
    await client.create_subresource(PODS, "p", "binding", binding(labels={"zone": "z"}), "default")
    after = await client.get(PODS, "p", "default")
    assert after["spec"] == {**before["spec"], "nodeName": "n"}
    assert after["metadata"]["labels"] == {"a": "b", "zone": "z"}
    assert after["metadata"].get("managedFields") == before["metadata"].get("managedFields")
    assert after["metadata"]["generation"] == before["metadata"]["generation"]
    (condition,) = after["status"]["conditions"]
    assert (condition["type"], condition["status"]) == ("PodScheduled", "True")


async def test_a_pod_is_bound_once(client):
    await client.create_subresource(PODS, "p", "binding", binding(), "default")
    with pytest.raises(APIError, match='pod p is already assigned to node "n"'):
        await client.create_subresource(PODS, "p", "binding", binding("other"), "default")


async def test_a_pod_of_the_name_that_came_since_is_not_bound(client):
    with pytest.raises(APIError, match="UID in precondition"):
        await client.create_subresource(PODS, "p", "binding", binding(uid="old"), "default")


async def test_no_pod_is_told(client):
    with pytest.raises(APIError, match='pods "q" not found'):
        await client.create_subresource(
            PODS, "q", "binding", {**binding(), "metadata": {"name": "q"}}, "default"
        )


async def test_the_pod_gets_the_zone_and_region_of_its_node(client):
    labels = {
        "topology.kubernetes.io/zone": "z",
        "topology.kubernetes.io/region": "r",
        "other": "o",
    }
    await client.create(NODES, {"metadata": {"name": "n", "labels": labels}})
    await client.create_subresource(PODS, "p", "binding", binding(), "default")
    bound = await client.get(PODS, "p", "default")
    del labels["other"]
    assert bound["metadata"]["labels"] == {"a": "b", **labels}
    placed = {"metadata": {"name": "q"}, "spec": {**POD["spec"], "nodeName": "n"}}
    made = await client.create(PODS, placed, "default")
    assert made["metadata"]["labels"] == labels
