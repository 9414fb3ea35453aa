"""Owners that cannot be looked up, or are looked for in the wrong place, cost nobody their objects."""

import pytest

from controlplane.kinds.core.config_map import CONFIG_MAPS
from controlplane.kinds.core.node import NODES

CHILD = "child"


def reference(kind="ConfigMap", uid="absent", *, api="v1", name="owner"):
    return {"apiVersion": api, "kind": kind, "name": name, "uid": uid}


def child(*references, namespace="d", name=CHILD):
    metadata = {"name": name, "ownerReferences": list(references)}
    if namespace:
        metadata["namespace"] = namespace
    return {"metadata": metadata}


async def until_collected(world, name="witness"):
    """Wait until an object with the same owner, named rightly and absent, is gone: the uid is known as absent."""
    world.api.put(CONFIG_MAPS, child(reference(), name=name))
    await world.step(5)
    assert world.api.object(CONFIG_MAPS, name, "d") is None


@pytest.mark.parametrize("order", ["first", "after_the_uid_was_seen_absent"])
@pytest.mark.parametrize(
    "owner",
    [
        pytest.param(reference("Nope", api="example.com/v1"), id="unknown_group"),
        pytest.param(reference("Nope"), id="unknown_kind"),
        pytest.param(reference(api="apps/v1"), id="kind_of_another_group"),
        pytest.param(reference("Deployment", api="extensions/v1beta1"), id="version_gone"),
    ],
)
async def test_an_owner_of_an_unknown_kind_is_not_absent(make_world, owner, order):
    async with make_world() as world:
        if order != "first":
            await until_collected(world)
        world.api.put(CONFIG_MAPS, child(owner))
        await world.step(5)
        await until_collected(world, "later")
        await world.step(5, 30)
        assert world.api.object(CONFIG_MAPS, CHILD, "d")["metadata"]["ownerReferences"] == [owner]


async def test_an_unknown_owner_keeps_the_absent_one_beside_it(make_world):
    references = [reference(), reference("Nope", "other", api="example.com/v1")]
    async with make_world() as world:
        world.api.put(CONFIG_MAPS, child(*references))
        await world.step(5)
        kept = world.api.object(CONFIG_MAPS, CHILD, "d")["metadata"]["ownerReferences"]
        assert kept == references


async def test_the_same_uid_under_a_right_and_a_wrong_name_drops_only_the_wrong_one(make_world):
    async with make_world() as world:
        owner = world.api.put(CONFIG_MAPS, {"metadata": {"name": "owner", "namespace": "d"}})
        uid = owner["metadata"]["uid"]
        right, wrong = reference(uid=uid), reference(uid=uid, name="other")
        world.api.put(CONFIG_MAPS, child(right, wrong))
        await world.step(5)
        kept = world.api.object(CONFIG_MAPS, CHILD, "d")["metadata"]["ownerReferences"]
        assert kept == [right]


async def test_a_cluster_wide_owner_is_looked_for_outside_namespaces(make_world):
    async with make_world() as world:
        world.add_node("node-1")
        uid = world.api.object(NODES, "node-1")["metadata"]["uid"]
        world.api.put(CONFIG_MAPS, child(reference("Node", uid, name="node-1")))
        await world.step(5)
        assert world.api.object(CONFIG_MAPS, CHILD, "d") is not None


@pytest.mark.parametrize("exists", [True, False], ids=["existing", "absent"])
async def test_a_cluster_wide_object_of_a_namespaced_owner_stays(make_world, exists):
    async with make_world() as world:
        uid = "absent"
        if exists:
            owner = world.api.put(CONFIG_MAPS, {"metadata": {"name": "owner", "namespace": "d"}})
            uid = owner["metadata"]["uid"]
        world.api.put(NODES, child(reference(uid=uid), namespace="", name="n"))
        await world.step(5, 10)
        assert world.api.object(NODES, "n") is not None


@pytest.mark.parametrize("first", ["owner", "child"])
async def test_an_owner_in_another_namespace_is_absent_and_said_so(make_world, first):
    owner = {"metadata": {"name": "owner", "namespace": "other", "uid": "u1"}}
    dependent = child(reference(uid="u1"))
    # A name that is taken here too, by another object.
    namesake = {"metadata": {"name": "owner", "namespace": "d", "uid": "u2"}}
    async with make_world() as world:
        world.api.put(CONFIG_MAPS, namesake)
        if first == "owner":
            world.api.put(CONFIG_MAPS, owner)
            await world.step(3)
        world.api.put(CONFIG_MAPS, dependent)
        if first == "child":
            world.api.put(CONFIG_MAPS, owner)
        await world.step(5)
        assert world.api.object(CONFIG_MAPS, CHILD, "d") is None
        assert world.api.object(CONFIG_MAPS, "owner", "other") is not None
        assert world.events("OwnerRefInvalidNamespace") == [
            "ownerRef [v1/ConfigMap, namespace: d, name: owner, uid: u1] "
            'does not exist in namespace "d"'
        ]


async def test_an_owner_the_cache_does_not_show_yet_is_asked_for_at_the_server(make_world):
    async with make_world() as world:
        informer = world.manager.informers.of(NODES)
        world.add_node("node-1")
        await world.step(3)
        uid = world.api.object(NODES, "node-1")["metadata"]["uid"]
        informer.indexer.delete("node-1")  # as a watch that is late would have it
        world.api.put(CONFIG_MAPS, child(reference("Node", uid, name="node-1")))
        await world.step(5)
        assert world.api.object(CONFIG_MAPS, CHILD, "d") is not None
