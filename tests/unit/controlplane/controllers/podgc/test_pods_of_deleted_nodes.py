"""Pods go with their node."""

from controlplane.kinds.core.node import NODES
from controlplane.kinds.core.pod.resource import PODS


async def test_pods_of_a_deleted_node_are_removed(make_world):
    async with make_world() as world:
        world.add_node("node-1")
        pod = {"metadata": {"name": "p", "namespace": "d"}, "spec": {"nodeName": "node-1"}}
        world.api.put(PODS, pod)
        await world.step(3)
        world.answering_nodes.clear()
        world.api.remove(NODES, "node-1")
        await world.step(30, 1)
        assert world.api.object(PODS, "p", "d") is not None
        await world.step(25, 1)
        assert world.api.object(PODS, "p", "d") is None


async def test_what_went_with_its_node_has_failed_for_no_fault_of_its_own(make_world):
    async with make_world() as world:
        world.add_node("node-1")
        pod = {
            "metadata": {"name": "p", "namespace": "d", "finalizers": ["example.com/stay"]},
            "spec": {"nodeName": "node-1"},
            "status": {"phase": "Running"},
        }
        world.api.put(PODS, pod)
        await world.step(3)
        world.answering_nodes.clear()
        world.api.remove(NODES, "node-1")
        await world.step(60, 1)
        left = world.api.object(PODS, "p", "d")
        row = next(c for c in left["status"]["conditions"] if c["type"] == "DisruptionTarget")
        assert (left["status"]["phase"], row["status"], row["reason"], row["message"]) == (
            "Failed",
            "True",
            "DeletionByPodGC",
            "PodGC: node no longer exists",
        )
