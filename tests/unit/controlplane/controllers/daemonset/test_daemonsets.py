"""DaemonSets over the real API server: nodes come, go, change; templates roll."""

from controlplane.controllers.daemonset.plan import node_of
from controlplane.kinds.apps.controller_revision import CONTROLLER_REVISIONS
from controlplane.kinds.apps.daemon_set import DAEMON_SETS
from controlplane.kinds.core.node import NODES
from controlplane.kinds.core.pod.resource import PODS

ONLY = "--controllers=daemonset"


async def make(world, **spec):
    template = {
        "metadata": {"labels": {"app": "a"}},
        "spec": {"containers": [{"name": "c", "image": "a:1"}], **spec},
    }
    obj = {"metadata": {"name": "x"}, "spec": {"selector": {"matchLabels": {"app": "a"}}}}
    obj["spec"]["template"] = template
    await world.client.create(DAEMON_SETS, obj, "d")


def placed(world):
    return sorted(node_of(pod) for pod in world.api.objects(PODS, "d"))


def status(world):
    return world.api.object(DAEMON_SETS, "x", "d")["status"]


def label(world, name, **labels):
    def edit(node):
        node["metadata"]["labels"] = labels

    world.change(NODES, name, "", edit)


async def test_nodes_come_and_change(make_world):
    async with make_world(ONLY) as world:
        world.add_node("node-1")
        await make(world, nodeSelector={"pool": "a"})
        await world.step(5)
        assert placed(world) == []
        label(world, "node-1", pool="a")
        await world.step(5)
        assert placed(world) == ["node-1"]
        world.add_node("node-2")
        label(world, "node-2", pool="a")
        await world.step(10)
        assert placed(world) == ["node-1", "node-2"]
        assert (status(world)["numberAvailable"], status(world)["desiredNumberScheduled"]) == (2, 2)
        label(world, "node-1")
        await world.step(10)
        assert placed(world) == ["node-2"]


async def test_an_update_rolls_over_the_nodes(make_world):
    async with make_world(ONLY) as world:
        for number in range(3):
            world.add_node(f"node-{number}")
        await make(world)
        await world.step(10)
        container = {"name": "c", "image": "a:2"}
        patch = {"spec": {"template": {"spec": {"containers": [container]}}}}
        await world.client.patch(DAEMON_SETS, "x", patch, "d")
        fewest = 3
        for _ in range(60):
            await world.step(1)
            fewest = min(fewest, len(placed(world)))
        images = {p["spec"]["containers"][0]["image"] for p in world.api.objects(PODS, "d")}
        assert images == {"a:2"}
        assert fewest >= 2
        assert status(world)["updatedNumberScheduled"] == 3
        assert sorted(r["revision"] for r in world.api.objects(CONTROLLER_REVISIONS, "d")) == [1, 2]


async def test_a_failed_daemon_is_replaced_and_told(make_world):
    async with make_world(ONLY) as world:
        world.add_node("node-1")
        await make(world)
        await world.step(10)
        (pod,) = world.api.objects(PODS, "d")
        name = pod["metadata"]["name"]
        world.change(PODS, name, "d", lambda p: p["status"].update(phase="Failed"))
        await world.step(15)
        (after,) = world.api.objects(PODS, "d")
        assert after["metadata"]["name"] != name
        assert world.events("FailedDaemonPod") == [
            f"Found failed daemon pod d/{name} on node node-1, will try to kill it"
        ]


async def test_quiet_when_nothing_changes(make_world):
    async with make_world(ONLY) as world:
        world.add_node("node-1")
        await make(world)
        await world.step(30)
        before = len(world.api.requests)
        await world.step(10)
        others = [r for r in world.api.requests[before:] if "/leases/" not in r[1]]
        assert [r for r in others if r[1] not in ("/api", "/apis")] == []
