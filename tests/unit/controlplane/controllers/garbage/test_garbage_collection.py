"""Background, foreground and orphan deletion."""

from controlplane.kinds.apps.deployment import DEPLOYMENTS
from controlplane.kinds.apps.replica_set import REPLICA_SETS
from controlplane.kinds.core.config_map import CONFIG_MAPS
from controlplane.kinds.core.pod.resource import PODS


def owned(name, kind, owner, *, block=False, namespace="d"):
    meta = owner["metadata"]
    reference = {"apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": meta["name"],
                 "uid": meta["uid"], "blockOwnerDeletion": block}  # fmt: skip
    return {"metadata": {"name": name, "namespace": namespace, "ownerReferences": [reference]}}


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


async def test_a_circle_of_owners_goes(make_world):
    # Each waits for the one below it, and the last one for the first.
    async with make_world() as world:
        made = {
            name: world.api.put(CONFIG_MAPS, {"metadata": {"name": name, "namespace": "d"}})
            for name in ("one", "two", "three")
        }
        for name, owner in (("one", "three"), ("two", "one"), ("three", "two")):
            references = owned("x", "ConfigMap", made[owner], block=True)["metadata"][
                "ownerReferences"
            ]
            await world.client.patch(
                CONFIG_MAPS, name, {"metadata": {"ownerReferences": references}}, "d"
            )
        await world.step(3)
        assert len(world.api.objects(CONFIG_MAPS, "d")) == 3
        await world.client.delete(CONFIG_MAPS, "one", "d", propagation_policy="Foreground")
        await world.step(20)
        left = [one["metadata"]["name"] for one in world.api.objects(CONFIG_MAPS, "d")]
        assert not {"one", "two", "three"} & set(left)
