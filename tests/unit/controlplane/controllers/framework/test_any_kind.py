"""Kinds that come and go while the controllers run: collected, and removed with their namespace."""

import pytest

from controlplane.api.kind import Kind
from controlplane.api.resource import Resource
from controlplane.client.rest_mapper import REFRESH_SECONDS
from controlplane.kinds.core.config_map import CONFIG_MAPS
from controlplane.kinds.core.namespace import NAMESPACES

# A kind whose bare name is taken by a built-in one.
SERVICES = Resource(
    "serving.knative.dev", "v1", "Service", "services", storage="serving.knative.dev/services"
)


def serve(world):
    world.serve(Kind(SERVICES))


async def refreshed(world):
    await world.step(5, REFRESH_SECONDS)


def reference(owner):
    meta = owner["metadata"]
    return {"apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": meta["name"],
            "uid": meta["uid"], "blockOwnerDeletion": True}  # fmt: skip


async def make(world, resource, name, *owners):
    metadata = {"name": name, "namespace": "d", "ownerReferences": [reference(o) for o in owners]}
    return await world.client.create(resource, {"metadata": metadata}, "d")


async def exists(world, resource, name):
    listed = await world.client.list_all(resource, "d")
    return name in [item["metadata"]["name"] for item in listed.items]


async def test_a_custom_resource_is_an_owner(make_world):
    async with make_world() as world:
        serve(world)
        owner = await make(world, SERVICES, "owner")
        await make(world, CONFIG_MAPS, "child", owner)
        await refreshed(world)
        assert await exists(world, CONFIG_MAPS, "child")
        await world.client.delete(SERVICES, "owner", "d")
        await world.step(5)
        assert not await exists(world, CONFIG_MAPS, "child")


async def test_a_custom_resource_is_collected(make_world):
    async with make_world() as world:
        serve(world)
        owner = await make(world, CONFIG_MAPS, "owner")
        await refreshed(world)
        await make(world, SERVICES, "child", owner)
        await world.client.delete(CONFIG_MAPS, "owner", "d")
        await world.step(5)
        assert not await exists(world, SERVICES, "child")


async def test_dependents_of_a_kind_that_just_came_are_orphaned_not_deleted(make_world):
    async with make_world() as world:
        owner = await make(world, CONFIG_MAPS, "owner")
        await world.step(5)
        serve(world)
        await make(world, SERVICES, "child", owner)
        await world.client.delete(CONFIG_MAPS, "owner", "d", propagation_policy="Orphan")
        await world.step(30)
        await refreshed(world)
        child = await world.client.get(SERVICES, "child", "d")
        assert not child["metadata"].get("ownerReferences")
        assert not await exists(world, CONFIG_MAPS, "owner")


async def test_a_kind_that_goes_takes_nothing_with_it(make_world):
    async with make_world() as world:
        serve(world)
        owner = await make(world, SERVICES, "owner")
        await make(world, CONFIG_MAPS, "child", owner)
        await refreshed(world)
        world.serve_no_more(SERVICES)
        await refreshed(world)
        assert await exists(world, CONFIG_MAPS, "child")
        followed = [resource for resource, _ in world.manager.followed.rows()]
        assert SERVICES.group_resource not in [r.group_resource for r in followed]
        serve(world)
        await refreshed(world)
        await world.client.delete(SERVICES, "owner", "d")
        await world.step(5)
        assert not await exists(world, CONFIG_MAPS, "child")


async def test_a_namespace_is_emptied_of_a_kind_nobody_knew_yet(make_world):
    async with make_world() as world:
        serve(world)
        await make(world, SERVICES, "thing")
        await world.client.delete(NAMESPACES, "d")
        await world.step(30)
        assert not await exists(world, SERVICES, "thing")
        assert world.api.object(NAMESPACES, "d") is None


@pytest.mark.parametrize("kind", ["Nope", "Service"])
async def test_an_unknown_kind_is_asked_for_again(make_world, kind):
    async with make_world() as world:
        await world.step(30)
        serve(world)
        found = await world.manager.kinds.find("serving.knative.dev/v1", kind)
        assert (found is not None) is (kind == "Service")
