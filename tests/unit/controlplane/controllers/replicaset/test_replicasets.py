"""A number of like Pods, over the real API server."""

from controlplane.api.errors import Forbidden
from controlplane.kinds.apps.replica_set import REPLICA_SETS as RESOURCE
from controlplane.kinds.core.pod.resource import PODS

ONLY = "--controllers=replicaset"
SELECTOR = {"matchLabels": {"app": "a"}}


async def make(world, replicas=2):
    template = {
        "metadata": {"labels": {"app": "a"}},
        "spec": {"containers": [{"name": "c", "image": "a:1"}]},
    }
    spec = {"replicas": replicas, "selector": SELECTOR, "template": template}
    await world.client.create(RESOURCE, {"metadata": {"name": "r"}, "spec": spec}, "d")


def owned(world):
    return [p for p in world.api.objects(PODS, "d") if p["metadata"].get("ownerReferences")]


async def test_pods_are_made_adopted_and_let_go(make_world, make_pod):
    async with make_world(ONLY) as world:
        loose = make_pod("loose")
        del loose["status"]
        loose["metadata"]["labels"] = {"app": "a"}
        await world.client.create(PODS, loose, "d")
        await world.step(3)
        await make(world)
        await world.step(10)
        assert len(owned(world)) == 2
        assert "loose" in [p["metadata"]["name"] for p in owned(world)]
        status = world.api.object(RESOURCE, "r", "d")["status"]
        assert (status["replicas"], status["availableReplicas"]) == (2, 2)
        labels = {"metadata": {"labels": {"app": "other"}}}
        await world.client.patch(PODS, "loose", labels, "d")
        await world.step(10)
        assert not world.api.object(PODS, "loose", "d")["metadata"].get("ownerReferences")
        assert len(owned(world)) == 2
        await world.client.patch(RESOURCE, "r", {"spec": {"replicas": 0}}, "d")
        await world.step(10)
        assert owned(world) == []


async def test_a_refused_pod_shows_in_the_status(make_world):
    def refuse(request):
        if request.method == "POST" and request.path.endswith("/pods"):
            raise Forbidden("no more pods")

    async with make_world(ONLY) as world:
        world.api.intercept = refuse
        await make(world)
        await world.step(10)
        (condition,) = world.api.object(RESOURCE, "r", "d")["status"]["conditions"]
        assert (condition["type"], condition["reason"]) == ("ReplicaFailure", "FailedCreate")
        assert world.events("FailedCreate")[0] == "Error creating: no more pods"
        world.api.intercept = None
        await world.step(30, 1)
        assert "conditions" not in world.api.object(RESOURCE, "r", "d")["status"]
