"""A claim that is deleted waits for the pods that use it."""

import pytest

from controlplane.controllers.pvcprotection.reconciler import FINALIZER, claims_of
from controlplane.kinds.core.persistent_volume_claim import PERSISTENT_VOLUME_CLAIMS as CLAIMS
from controlplane.kinds.core.pod.resource import PODS

ONLY = "--controllers=persistentvolumeclaim-protection-controller"
CLAIM = {
    "metadata": {"name": "c"},
    "spec": {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Gi"}},
        "storageClassName": "",
    },
}


def pod(name, node=None):
    spec = {
        "containers": [{"name": "c", "image": "i"}],
        "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}],
    }
    if node:
        spec["nodeName"] = node
    return {"metadata": {"name": name, "namespace": "d"}, "spec": spec}


async def test_an_unused_claim_ends_at_once(make_world):
    async with make_world(ONLY) as world:
        made = await world.client.create(CLAIMS, CLAIM, "d")
        assert made["metadata"]["finalizers"] == [FINALIZER]
        await world.client.delete(CLAIMS, "c", "d")
        await world.step(5)
        assert world.api.object(CLAIMS, "c", "d") is None


async def test_a_used_claim_waits_for_its_pod(make_world):
    async with make_world(ONLY) as world:
        await world.client.create(CLAIMS, CLAIM, "d")
        world.api.put(PODS, pod("p", "n"))
        await world.client.delete(CLAIMS, "c", "d")
        await world.step(5)
        assert world.api.object(CLAIMS, "c", "d") is not None
        world.api.remove(PODS, "p", "d")
        await world.step(5)
        assert world.api.object(CLAIMS, "c", "d") is None


async def test_a_pod_on_no_node_holds_nothing(make_world):
    async with make_world(ONLY) as world:
        await world.client.create(CLAIMS, CLAIM, "d")
        world.ready_pods = False
        world.api.put(PODS, pod("p"))
        await world.client.delete(CLAIMS, "c", "d")
        await world.step(5)
        assert world.api.object(CLAIMS, "c", "d") is None


async def test_a_claim_of_before_gets_its_finalizer(make_world):
    async with make_world(ONLY) as world:
        made = await world.client.create(CLAIMS, CLAIM, "d")
        metadata = {key: value for key, value in made["metadata"].items() if key != "finalizers"}
        world.api.put(CLAIMS, {**made, "metadata": metadata})
        await world.step(5)
        assert world.api.object(CLAIMS, "c", "d")["metadata"]["finalizers"] == [FINALIZER]


@pytest.mark.parametrize(
    ("volume", "claims"),
    [
        ({"name": "v", "persistentVolumeClaim": {"claimName": "c"}}, ["c"]),
        ({"name": "v", "ephemeral": {}}, ["p-v"]),
        ({"name": "v", "emptyDir": {}}, []),
    ],
    ids=["named", "ephemeral", "other"],
)
def test_the_claims_of_a_pod(volume, claims):
    assert claims_of({"metadata": {"name": "p"}, "spec": {"volumes": [volume]}}) == claims
