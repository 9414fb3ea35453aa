"""Nodes that fall silent are marked, tainted and emptied."""

from controlplane.kinds.apps.deployment import DEPLOYMENTS
from controlplane.kinds.core.node import NODES
from controlplane.kinds.core.pod.resource import PODS


async def test_a_silent_node_is_marked_tainted_and_emptied(make_world, make_deployment):
    async with make_world(
        "--unreachable-pod-force-delete-after=20s", unreachable_toleration_seconds=5
    ) as world:
        for name in ("node-1", "node-2", "node-3"):
            world.add_node(name)
        await world.client.create(DEPLOYMENTS, make_deployment(), "d")
        await world.step(5)
        for number, pod in enumerate(world.api.objects(PODS)):
            pod["spec"]["nodeName"] = f"node-{number + 1}"
            pod["spec"]["terminationGracePeriodSeconds"] = 1
            world.api.put(PODS, pod)
        await world.step(5)
        world.answering_nodes.discard("node-2")
        await world.step(42, 1)
        node = world.api.object(NODES, "node-2")
        ready = next(c for c in node["status"]["conditions"] if c["type"] == "Ready")
        assert (ready["status"], ready["reason"]) == ("Unknown", "NodeStatusUnknown")
        assert ready["message"] == "Kubelet stopped posting node status."
        taints = {(t["key"], t["effect"]) for t in node["spec"]["taints"]}
        assert taints == {("node.kubernetes.io/unreachable", "NoSchedule"),
                          ("node.kubernetes.io/unreachable", "NoExecute")}  # fmt: skip
        pod = next(p for p in world.api.objects(PODS) if p["spec"].get("nodeName") == "node-2")
        assert pod["status"]["conditions"][0]["status"] == "False"
        assert "deletionTimestamp" not in pod["metadata"]
        await world.step(6, 1)
        pods = world.api.objects(PODS)
        assert len(pods) == 4
        gone = next(p for p in pods if p["spec"].get("nodeName") == "node-2")
        row = next(c for c in gone["status"]["conditions"] if c["type"] == "DisruptionTarget")
        assert (row["reason"], row["message"]) == (
            "DeletionByTaintManager",
            "Taint manager: deleting due to NoExecute taint",
        )
        assert "deletionTimestamp" in gone["metadata"]
        await world.step(40, 1)
        assert len(world.api.objects(PODS)) == 3
        world.answering_nodes.add("node-2")
        world.change(
            NODES, "node-2", "", lambda n: n["status"]["conditions"][0].update(status="True")
        )
        await world.step(5)
        assert not world.api.object(NODES, "node-2")["spec"].get("taints")


async def test_nothing_is_evicted_when_all_nodes_are_silent(make_world):
    async with make_world(unreachable_toleration_seconds=5) as world:
        for name in ("node-1", "node-2"):
            world.add_node(name)
        pod = {"metadata": {"name": "p", "namespace": "d"}, "spec": {"nodeName": "node-1"}}
        world.api.put(PODS, pod)
        await world.step(3)
        world.answering_nodes.clear()
        await world.step(60, 1)
        for name in ("node-1", "node-2"):
            taints = world.api.object(NODES, name)["spec"]["taints"]
            assert {t["effect"] for t in taints} == {"NoSchedule"}
        assert "deletionTimestamp" not in world.api.object(PODS, "p", "d")["metadata"]
