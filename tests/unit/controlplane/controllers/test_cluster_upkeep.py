"""Nodes, evictions, pod garbage, owner garbage, namespaces, and their gifts over the in-memory API."""

from controlplane.kinds.apps.deployment import DEPLOYMENTS
from controlplane.kinds.core.namespace import NAMESPACES


def owned(name, kind, owner, *, block=False, namespace="d"):
    meta = owner["metadata"]
    reference = {"apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": meta["name"],
                 "uid": meta["uid"], "blockOwnerDeletion": block}  # fmt: skip
    return {"metadata": {"name": name, "namespace": namespace, "ownerReferences": [reference]}}


async def test_a_silent_node_is_marked_tainted_and_emptied(make_world, make_deployment):
    async with make_world(
        "--default-unreachable-toleration-seconds=5", "--unreachable-pod-force-delete-after=20s"
    ) as world:
        for name in ("node-1", "node-2", "node-3"):
            world.add_node(name)
        await world.client.create(DEPLOYMENTS, make_deployment(), "d")
        await world.step(5)
        for number, pod in enumerate(world.api.objects("Pod")):
            pod["spec"]["nodeName"] = f"node-{number + 1}"
            pod["spec"]["terminationGracePeriodSeconds"] = 1
            world.api.put("Pod", pod)
        await world.step(5)
        world.answering_nodes.discard("node-2")
        await world.step(42, 1)
        node = world.api.object("Node", "node-2")
        ready = next(c for c in node["status"]["conditions"] if c["type"] == "Ready")
        assert (ready["status"], ready["reason"]) == ("Unknown", "NodeStatusUnknown")
        assert ready["message"] == "Kubelet stopped posting node status."
        taints = {(t["key"], t["effect"]) for t in node["spec"]["taints"]}
        assert taints == {("node.kubernetes.io/unreachable", "NoSchedule"),
                          ("node.kubernetes.io/unreachable", "NoExecute")}  # fmt: skip
        pod = next(p for p in world.api.objects("Pod") if p["spec"].get("nodeName") == "node-2")
        assert pod["status"]["conditions"][0]["status"] == "False"
        assert "deletionTimestamp" not in pod["metadata"]
        await world.step(6, 1)
        pods = world.api.objects("Pod")
        assert len(pods) == 4
        gone = next(p for p in pods if p["spec"].get("nodeName") == "node-2")
        assert "deletionTimestamp" in gone["metadata"]
        await world.step(40, 1)
        assert len(world.api.objects("Pod")) == 3
        world.answering_nodes.add("node-2")
        world.api.change(
            "Node", "node-2", "", lambda n: n["status"]["conditions"][0].update(status="True")
        )
        await world.step(5)
        assert not world.api.object("Node", "node-2")["spec"].get("taints")


async def test_nothing_is_evicted_when_all_nodes_are_silent(make_world):
    async with make_world("--default-unreachable-toleration-seconds=5") as world:
        for name in ("node-1", "node-2"):
            world.add_node(name)
        pod = {"metadata": {"name": "p", "namespace": "d"}, "spec": {"nodeName": "node-1"}}
        world.api.put("Pod", pod)
        await world.step(3)
        world.answering_nodes.clear()
        await world.step(60, 1)
        for name in ("node-1", "node-2"):
            taints = world.api.object("Node", name)["spec"]["taints"]
            assert {t["effect"] for t in taints} == {"NoSchedule"}
        assert "deletionTimestamp" not in world.api.object("Pod", "p", "d")["metadata"]


async def test_pods_of_a_deleted_node_are_removed(make_world):
    async with make_world() as world:
        world.add_node("node-1")
        pod = {"metadata": {"name": "p", "namespace": "d"}, "spec": {"nodeName": "node-1"}}
        world.api.put("Pod", pod)
        await world.step(3)
        world.answering_nodes.clear()
        world.api.remove("Node", "node-1")
        await world.step(30, 1)
        assert world.api.object("Pod", "p", "d") is not None
        await world.step(25, 1)
        assert world.api.object("Pod", "p", "d") is None


async def test_background_deletion_takes_the_dependents(make_world, make_deployment):
    async with make_world() as world:
        await world.client.create(DEPLOYMENTS, make_deployment(), "d")
        await world.step()
        await world.client.delete(DEPLOYMENTS, "web", "d", propagation_policy="Background")
        await world.step()
        assert world.api.objects("ReplicaSet") == []
        assert world.api.objects("Pod") == []


async def test_foreground_deletion_keeps_the_owner_to_the_last(make_world, make_deployment):
    async with make_world() as world:
        await world.client.create(DEPLOYMENTS, make_deployment(), "d")
        await world.step()
        for pod in world.api.objects("Pod"):
            pod["metadata"]["finalizers"] = ["test/hold"]
            world.api.put("Pod", pod)
        await world.client.delete(DEPLOYMENTS, "web", "d", propagation_policy="Foreground")
        await world.step()
        assert world.api.object("Deployment", "web", "d") is not None
        assert len(world.api.objects("Pod")) == 3
        for pod in world.api.objects("Pod"):
            pod["metadata"]["finalizers"] = []
            world.api.put("Pod", pod)
        await world.step()
        assert world.api.objects("Pod") == []
        assert world.api.object("Deployment", "web", "d") is None


async def test_orphan_deletion_leaves_the_dependents(make_world, make_deployment):
    async with make_world() as world:
        await world.client.create(DEPLOYMENTS, make_deployment(), "d")
        await world.step()
        await world.client.delete(DEPLOYMENTS, "web", "d", propagation_policy="Orphan")
        await world.step()
        assert world.api.object("Deployment", "web", "d") is None
        (replicaset,) = world.api.objects("ReplicaSet")
        assert not replicaset["metadata"].get("ownerReferences")
        assert len(world.api.objects("Pod")) == 3


async def test_one_of_two_owners_gone_only_drops_the_reference(make_world):
    async with make_world() as world:
        a = world.api.put("ConfigMap", {"metadata": {"name": "a", "namespace": "d"}})
        b = world.api.put("ConfigMap", {"metadata": {"name": "b", "namespace": "d"}})
        child = owned("child", "ConfigMap", a)
        child["metadata"]["ownerReferences"] += owned("x", "ConfigMap", b)["metadata"][
            "ownerReferences"
        ]
        world.api.put("ConfigMap", child)
        await world.step(3)
        world.api.remove("ConfigMap", "a", "d")
        await world.step(5)
        references = world.api.object("ConfigMap", "child", "d")["metadata"]["ownerReferences"]
        assert [ref["name"] for ref in references] == ["b"]
        world.api.remove("ConfigMap", "b", "d")
        await world.step(5)
        assert world.api.object("ConfigMap", "child", "d") is None


async def test_an_owner_of_the_same_name_but_another_uid_is_gone(make_world):
    async with make_world() as world:
        a = world.api.put("ConfigMap", {"metadata": {"name": "a", "namespace": "d"}})
        a["metadata"]["uid"] = "never-existed"
        world.api.put("ConfigMap", owned("child", "ConfigMap", a))
        await world.step(5)
        assert world.api.object("ConfigMap", "child", "d") is None


async def test_a_namespace_gets_its_gifts_and_is_emptied_when_deleted(
    make_world, make_deployment, tmp_path
):
    namespaces = NAMESPACES
    (tmp_path / "ca").write_text("PEM")
    async with make_world(f"--root-ca-file={tmp_path}/ca") as world:
        await world.client.create(namespaces, {"metadata": {"name": "d"}})
        await world.step(5)
        assert world.api.object("ServiceAccount", "default", "d") is not None
        assert world.api.object("ConfigMap", "kube-root-ca.crt", "d")["data"] == {"ca.crt": "PEM"}
        await world.client.create(DEPLOYMENTS, make_deployment(), "d")
        await world.step()
        await world.client.delete(namespaces, "d")
        await world.step(60)
        assert world.api.object("Namespace", "d") is None
        for kind in ("Pod", "ReplicaSet", "Deployment", "ConfigMap", "ServiceAccount"):
            assert world.api.objects(kind, "d") == []
