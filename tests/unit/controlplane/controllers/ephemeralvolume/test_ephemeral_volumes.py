"""A pod's ephemeral volumes have claims of their own, which go with it."""

from controlplane.kinds.core.persistent_volume_claim import PERSISTENT_VOLUME_CLAIMS as CLAIMS
from controlplane.kinds.core.pod.resource import PODS

ONLY = "--controllers=ephemeral-volume-controller"
SPEC = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}


def pod():
    template = {"metadata": {"labels": {"a": "b"}}, "spec": SPEC}
    volumes = [
        {"name": "v", "ephemeral": {"volumeClaimTemplate": template}},
        {"name": "w", "emptyDir": {}},
    ]
    spec = {"containers": [{"name": "c", "image": "i"}], "volumes": volumes}
    return {"metadata": {"name": "p"}, "spec": spec}


async def test_a_claim_is_made_for_the_pod(make_world):
    async with make_world(ONLY) as world:
        made = await world.client.create(PODS, pod(), "d")
        await world.step(5)
        (claim,) = world.api.objects(CLAIMS, "d")
        assert claim["metadata"]["name"] == "p-v"
        assert claim["metadata"]["labels"] == {"a": "b"}
        assert claim["metadata"]["ownerReferences"][0]["uid"] == made["metadata"]["uid"]
        assert claim["spec"]["accessModes"] == ["ReadWriteOnce"]


async def test_it_comes_back_while_the_pod_is_there(make_world):
    async with make_world(f"{ONLY},pvc-protection") as world:
        world.ready_pods = False
        await world.client.create(PODS, pod(), "d")
        await world.step(5)
        (claim,) = world.api.objects(CLAIMS, "d")
        world.api.remove(CLAIMS, "p-v", "d")
        await world.step(5)
        (other,) = world.api.objects(CLAIMS, "d")
        assert other["metadata"]["uid"] != claim["metadata"]["uid"]


async def test_the_claim_of_somebody_else_is_left_alone(make_world):
    async with make_world(ONLY) as world:
        await world.client.create(CLAIMS, {"metadata": {"name": "p-v"}, "spec": SPEC}, "d")
        await world.client.create(PODS, pod(), "d")
        await world.step(5)
        (claim,) = world.api.objects(CLAIMS, "d")
        assert "ownerReferences" not in claim["metadata"]
