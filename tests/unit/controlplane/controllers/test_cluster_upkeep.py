"""Nodes, evictions, pod garbage, owner garbage, namespaces, and their gifts over the in-memory API."""

from controlplane.kinds.apps.deployment import DEPLOYMENTS
from controlplane.kinds.apps.replica_set import REPLICA_SETS
from controlplane.kinds.core.config_map import CONFIG_MAPS
from controlplane.kinds.core.namespace import NAMESPACES
from controlplane.kinds.core.node import NODES
from controlplane.kinds.core.pod.resource import PODS
from controlplane.kinds.core.service_account import SERVICE_ACCOUNTS


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
    async with make_world("--default-unreachable-toleration-seconds=5") as world:
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


async def test_background_deletion_takes_the_dependents(make_world, make_deployment):
    async with make_world() as world:
        await world.client.create(DEPLOYMENTS, make_deployment(), "d")
        await world.step()
        await world.client.delete(DEPLOYMENTS, "web", "d", propagation_policy="Background")
        await world.step()
        assert world.api.objects(REPLICA_SETS) == []
        assert world.api.objects(PODS) == []


async def test_foreground_deletion_keeps_the_owner_to_the_last(make_world, make_deployment):
    async with make_world() as world:
        await world.client.create(DEPLOYMENTS, make_deployment(), "d")
        await world.step()
        for pod in world.api.objects(PODS):
            pod["metadata"]["finalizers"] = ["test/hold"]
            world.api.put(PODS, pod)
        await world.client.delete(DEPLOYMENTS, "web", "d", propagation_policy="Foreground")
        await world.step()
        assert world.api.object(DEPLOYMENTS, "web", "d") is not None
        assert len(world.api.objects(PODS)) == 3
        for pod in world.api.objects(PODS):
            pod["metadata"]["finalizers"] = []
            world.api.put(PODS, pod)
        await world.step()
        assert world.api.objects(PODS) == []
        assert world.api.object(DEPLOYMENTS, "web", "d") is None


async def test_orphan_deletion_leaves_the_dependents(make_world, make_deployment):
    async with make_world() as world:
        await world.client.create(DEPLOYMENTS, make_deployment(), "d")
        await world.step()
        await world.client.delete(DEPLOYMENTS, "web", "d", propagation_policy="Orphan")
        await world.step()
        assert world.api.object(DEPLOYMENTS, "web", "d") is None
        (replicaset,) = world.api.objects(REPLICA_SETS)
        assert not replicaset["metadata"].get("ownerReferences")
        assert len(world.api.objects(PODS)) == 3


async def test_one_of_two_owners_gone_only_drops_the_reference(make_world):
    async with make_world() as world:
        a = world.api.put(CONFIG_MAPS, {"metadata": {"name": "a", "namespace": "d"}})
        b = world.api.put(CONFIG_MAPS, {"metadata": {"name": "b", "namespace": "d"}})
        child = owned("child", "ConfigMap", a)
        child["metadata"]["ownerReferences"] += owned("x", "ConfigMap", b)["metadata"][
            "ownerReferences"
        ]
        world.api.put(CONFIG_MAPS, child)
        await world.step(3)
        world.api.remove(CONFIG_MAPS, "a", "d")
        await world.step(5)
        references = world.api.object(CONFIG_MAPS, "child", "d")["metadata"]["ownerReferences"]
        assert [ref["name"] for ref in references] == ["b"]
        world.api.remove(CONFIG_MAPS, "b", "d")
        await world.step(5)
        assert world.api.object(CONFIG_MAPS, "child", "d") is None


async def test_an_owner_of_the_same_name_but_another_uid_is_gone(make_world):
    async with make_world() as world:
        a = world.api.put(CONFIG_MAPS, {"metadata": {"name": "a", "namespace": "d"}})
        a["metadata"]["uid"] = "never-existed"
        world.api.put(CONFIG_MAPS, owned("child", "ConfigMap", a))
        await world.step(5)
        assert world.api.object(CONFIG_MAPS, "child", "d") is None


async def test_a_namespace_gets_its_gifts_and_is_emptied_when_deleted(
    make_world, make_deployment, tmp_path
):
    namespaces = NAMESPACES
    (tmp_path / "ca").write_text("PEM")
    async with make_world(f"--root-ca-file={tmp_path}/ca") as world:
        await world.client.create(namespaces, {"metadata": {"name": "d"}})
        await world.step(5)
        assert world.api.object(SERVICE_ACCOUNTS, "default", "d") is not None
        assert world.api.object(CONFIG_MAPS, "kube-root-ca.crt", "d")["data"] == {"ca.crt": "PEM"}
        await world.client.create(DEPLOYMENTS, make_deployment(), "d")
        await world.step()
        await world.client.delete(namespaces, "d")
        await world.step(60)
        assert world.api.object(NAMESPACES, "d") is None
        for kind in ("Pod", "ReplicaSet", "Deployment", "ConfigMap", "ServiceAccount"):
            assert world.api.objects(kind, "d") == []
