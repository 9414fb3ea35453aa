"""Quotas are counted when they come, when something frees room, and again and again."""

from controlplane.controllers.resourcequota.plan import gives_back, lacks_usage, status_of
from controlplane.kinds.core.config_map import CONFIG_MAPS
from controlplane.kinds.core.pod.resource import PODS
from controlplane.kinds.core.quota.amounts import parsed
from controlplane.kinds.core.resource_quota import RESOURCE_QUOTAS

FLAGS = ("--controllers=resourcequota-controller",)


def quota(**hard):
    names = {key.replace("__", "/"): value for key, value in hard.items()}
    return {"metadata": {"name": "q", "namespace": "d"}, "spec": {"hard": names}}


def status(world):
    return world.api.object(RESOURCE_QUOTAS, "q", "d")["status"]


async def test_a_new_quota_is_told_what_is_there(make_world):
    async with make_world(*FLAGS) as world:
        for name in ("a", "b"):
            await world.client.create(CONFIG_MAPS, {"metadata": {"name": name}}, "d")
        await world.client.create(
            RESOURCE_QUOTAS,
            quota(configmaps="3", pods="1", cpu="2", count__secrets="4"),
            "d",
        )
        await world.step(10)
        assert status(world) == {
            "hard": {"configmaps": "3", "pods": "1", "cpu": "2", "count/secrets": "4"},
            "used": {"configmaps": "2", "pods": "0", "cpu": "0", "count/secrets": "0"},
        }
        entries = world.api.object(RESOURCE_QUOTAS, "q", "d")["metadata"]["managedFields"]
        assert entries[-1]["subresource"] == "status"


async def test_a_deletion_and_an_end_give_room_back(make_world, make_pod):
    async with make_world(*FLAGS) as world:
        await world.client.create(RESOURCE_QUOTAS, quota(configmaps="3", pods="5"), "d")
        await world.step(5)
        await world.client.create(CONFIG_MAPS, {"metadata": {"name": "a"}}, "d")
        world.api.put(PODS, make_pod("p"))
        world.change(
            RESOURCE_QUOTAS, "q", "d",
            lambda one: one["status"]["used"].update(configmaps="1", pods="1"),
        )  # fmt: skip
        await world.step(5)
        assert status(world)["used"] == {"configmaps": "1", "pods": "1"}
        await world.client.delete(CONFIG_MAPS, "a", "d")
        await world.step(15)
        assert status(world)["used"] == {"configmaps": "0", "pods": "1"}
        world.change(PODS, "p", "d", lambda one: one["status"].update(phase="Failed"))
        await world.step(15)
        assert status(world)["used"] == {"configmaps": "0", "pods": "0"}


async def test_other_bounds_are_taken_over(make_world):
    async with make_world(*FLAGS) as world:
        made = await world.client.create(RESOURCE_QUOTAS, quota(configmaps="3"), "d")
        await world.step(5)
        made = await world.client.get(RESOURCE_QUOTAS, "q", "d")
        made["spec"]["hard"] = {"secrets": "2"}
        await world.client.update(RESOURCE_QUOTAS, made)
        await world.step(5)
        assert status(world) == {"hard": {"secrets": "2"}, "used": {"secrets": "0"}}


async def test_what_is_wrong_is_mended_at_the_next_resync(make_world):
    async with make_world(*FLAGS, "--resource-quota-sync-period=2s") as world:
        await world.client.create(RESOURCE_QUOTAS, quota(configmaps="3"), "d")
        await world.step(5)
        world.change(
            RESOURCE_QUOTAS, "q", "d", lambda one: one["status"]["used"].update(configmaps="3")
        )
        await world.step(5)
        assert status(world)["used"] == {"configmaps": "3"}
        await world.step(40)
        assert status(world)["used"] == {"configmaps": "0"}


async def test_a_charge_ahead_of_its_object_is_not_taken_back_at_once(make_world):
    async with make_world(*FLAGS) as world:
        for name in ("a", "b"):
            await world.client.create(CONFIG_MAPS, {"metadata": {"name": name}}, "d")
        await world.client.create(RESOURCE_QUOTAS, quota(configmaps="9"), "d")
        await world.step(5)
        # A server has charged for a third one, which is on its way, when another one goes.
        world.change(
            RESOURCE_QUOTAS, "q", "d", lambda one: one["status"]["used"].update(configmaps="3")
        )
        await world.client.delete(CONFIG_MAPS, "a", "d")
        await world.step(2)
        assert status(world)["used"] == {"configmaps": "3"}
        world.api.put(CONFIG_MAPS, {"metadata": {"name": "c", "namespace": "d"}})
        await world.step(15)
        assert status(world)["used"] == {"configmaps": "2"}


def test_plan_keeps_what_could_not_be_counted_and_drops_what_is_not_bounded():
    one = {
        **quota(a="1", b="2"),
        "status": {"hard": {"a": "1", "c": "1"}, "used": {"a": "1", "b": "2", "c": "1"}},
    }
    assert lacks_usage(one)
    written = status_of(one, parsed({"a": "0"}))
    assert written == {"hard": {"a": "1", "b": "2"}, "used": {"a": "0", "b": "2"}}
    assert gives_back(one, written)
    settled = {**one, "status": written}
    assert not lacks_usage(settled)
    assert status_of(settled, parsed({"a": "0"})) is None
