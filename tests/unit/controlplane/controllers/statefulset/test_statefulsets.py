"""StatefulSets over the real API server: the scenes upstream was recorded in."""

import itertools

from controlplane.kinds.apps.controller_revision import CONTROLLER_REVISIONS
from controlplane.kinds.apps.stateful_set import STATEFUL_SETS
from controlplane.kinds.core.persistent_volume_claim import PERSISTENT_VOLUME_CLAIMS
from controlplane.kinds.core.pod.resource import PODS

ONLY = "--controllers=statefulset,garbagecollector"


async def make(world, replicas=3, **spec):
    template = {
        "metadata": {"labels": {"app": "a"}},
        "spec": {"containers": [{"name": "c", "image": "a:1"}]},
    }
    selector = {"matchLabels": {"app": "a"}}
    spec = {"replicas": replicas, "serviceName": "s", "selector": selector, **spec}
    obj = {"metadata": {"name": "s"}, "spec": {"template": template, **spec}}
    await world.client.create(STATEFUL_SETS, obj, "d")


def pods(world):
    return {p["metadata"]["name"]: p for p in world.api.objects(PODS, "d")}


def status(world):
    return world.api.object(STATEFUL_SETS, "s", "d")["status"]


def image(value):
    return {"template": {"spec": {"containers": [{"name": "c", "image": value}]}}}


async def patch(world, **spec):
    await world.client.patch(STATEFUL_SETS, "s", {"spec": spec}, "d")


async def test_pods_come_in_order_and_go_in_reverse(make_world):
    async with make_world(ONLY) as world:
        await make(world)
        seen = []
        for _ in range(30):
            await world.step(1)
            seen.append(len(pods(world)))
        assert sorted(pods(world)) == ["s-0", "s-1", "s-2"]
        assert seen == sorted(seen)
        assert max(b - a for a, b in itertools.pairwise(seen)) == 1
        assert status(world)["availableReplicas"] == 3
        assert world.events("SuccessfulCreate") == [
            f"Create Pod s-{n} in StatefulSet s successful" for n in range(3)
        ]
        await patch(world, replicas=1)
        await world.step(20)
        assert sorted(pods(world)) == ["s-0"]
        assert world.events("SuccessfulDelete") == [
            f"Delete Pod s-{n} in StatefulSet s successful" for n in (2, 1)
        ]


async def test_a_partitioned_update_goes_on_when_the_partition_falls(make_world):
    async with make_world(ONLY) as world:
        await make(world, 2)
        await world.step(20)
        first = status(world)["currentRevision"]
        rolling = {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}
        await patch(world, updateStrategy=rolling, **image("a:2"))
        await world.step(30)
        images = {n: p["spec"]["containers"][0]["image"] for n, p in pods(world).items()}
        assert images == {"s-0": "a:1", "s-1": "a:2"}
        assert (status(world)["currentRevision"], status(world)["updatedReplicas"]) == (first, 1)
        rolling["rollingUpdate"]["partition"] = 0
        await patch(world, updateStrategy=rolling)
        await world.step(30)
        images = {p["spec"]["containers"][0]["image"] for p in pods(world).values()}
        assert images == {"a:2"}
        assert status(world)["currentRevision"] == status(world)["updateRevision"] != first
        numbers = sorted(r["revision"] for r in world.api.objects(CONTROLLER_REVISIONS, "d"))
        assert numbers == [1, 2]
        await patch(world, **image("a:1"))
        await world.step(40)
        revisions = world.api.objects(CONTROLLER_REVISIONS, "d")
        assert {r["metadata"]["name"]: r["revision"] for r in revisions}[first] == 3


async def test_a_failed_pod_is_made_again(make_world):
    async with make_world(ONLY) as world:
        await make(world, 1)
        await world.step(10)
        before = pods(world)["s-0"]["metadata"]["uid"]
        world.change(PODS, "s-0", "d", lambda p: p["status"].update(phase="Failed"))
        await world.step(15)
        assert pods(world)["s-0"]["metadata"]["uid"] != before


async def test_claims_go_by_the_retention_policy(make_world):
    async with make_world(f"{ONLY},pvc-protection") as world:
        claim = {
            "metadata": {"name": "data"},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": "1Gi"}},
            },
        }
        await make(
            world, 2, podManagementPolicy="Parallel", volumeClaimTemplates=[claim],
            persistentVolumeClaimRetentionPolicy={"whenDeleted": "Delete", "whenScaled": "Delete"},
        )  # fmt: skip
        await world.step(15)

        def claims():
            return [c["metadata"]["name"] for c in world.api.objects(PERSISTENT_VOLUME_CLAIMS, "d")]

        assert claims() == ["data-s-0", "data-s-1"]
        await patch(world, replicas=1)
        await world.step(20)
        assert claims() == ["data-s-0"]
        await world.client.delete(STATEFUL_SETS, "s", "d", propagation_policy="Background")
        await world.step(20)
        assert (claims(), pods(world)) == ([], {})


async def test_quiet_when_nothing_changes(make_world):
    async with make_world(ONLY) as world:
        await make(world)
        await world.step(40)
        before = len(world.api.requests)
        await world.step(10)
        others = [r for r in world.api.requests[before:] if "/leases/" not in r[1]]
        assert [r for r in others if r[1] not in ("/api", "/apis")] == []
