"""Volumes follow their pods from node to node."""

import pytest

from controlplane.controllers.attachdetach.plan import (
    MANAGED,
    Attachment,
    may_detach,
    multi_attach_message,
)
from controlplane.kinds.core.node import NODES
from controlplane.kinds.core.persistent_volume.binding import BIND_COMPLETED
from controlplane.kinds.core.persistent_volume.kind import PERSISTENT_VOLUMES as VOLUMES
from controlplane.kinds.core.persistent_volume_claim import PERSISTENT_VOLUME_CLAIMS as CLAIMS
from controlplane.kinds.core.pod.resource import PODS
from controlplane.kinds.storage.csi_driver import CSI_DRIVERS
from controlplane.kinds.storage.volume_attachment import VOLUME_ATTACHMENTS as ATTACHMENTS

ONLY = "--controllers=persistentvolume-attach-detach-controller"
ONE = Attachment("v", "csi.example.com", "handle", "node-1")


def objects(world, modes=("ReadWriteOnce",)):
    """A bound claim `c`, and two managed nodes."""
    for name in ("node-1", "node-2"):
        world.add_node(name)
        world.change(
            NODES, name, "", lambda one: one["metadata"].update(annotations={MANAGED: "true"})
        )
    world.api.put(
        CLAIMS,
        {
            "metadata": {
                "name": "c", "namespace": "d", "uid": "uid-c",
                "annotations": {BIND_COMPLETED: "yes"},
            },
            "spec": {"volumeName": "v", "accessModes": list(modes)},
            "status": {"phase": "Bound"},
        },
    )  # fmt: skip
    world.api.put(
        VOLUMES,
        {
            "metadata": {"name": "v"},
            "spec": {
                "accessModes": list(modes),
                "capacity": {"storage": "1Gi"},
                "claimRef": {"namespace": "d", "name": "c", "uid": "uid-c"},
                "csi": {"driver": "csi.example.com", "volumeHandle": "handle"},
            },
        },
    )


def user(make_pod, name, node):
    """A pod on a node with the claim."""
    volume = {"name": "v", "persistentVolumeClaim": {"claimName": "c"}}
    made = make_pod(name, nodeName=node, volumes=[volume])
    made["metadata"]["uid"] = f"uid-{name}"
    return made


def attach(world, name):
    """What the driver's attacher does."""
    world.change(ATTACHMENTS, name, "", lambda one: one.update(status={"attached": True}))


async def test_a_volume_is_attached_and_goes_with_the_pod(make_world, make_pod):
    async with make_world(ONLY) as world:
        objects(world)
        world.api.put(PODS, user(make_pod, "p", "node-1"))
        await world.step(5)
        (made,) = world.api.objects(ATTACHMENTS)
        assert made["metadata"]["name"] == ONE.name
        assert made["spec"]["attacher"] == "csi.example.com"
        attach(world, ONE.name)
        await world.step(5)
        shown = world.api.object(NODES, "node-1")["status"]["volumesAttached"]
        assert shown == [{"name": "kubernetes.io/csi/csi.example.com^handle", "devicePath": ""}]
        assert world.events("SuccessfulAttachVolume") == [
            'AttachVolume.Attach succeeded for volume "v" '
        ]
        world.api.remove(PODS, "p", "d")
        await world.step(5)
        assert world.api.objects(ATTACHMENTS) == []
        assert not world.api.object(NODES, "node-1")["status"].get("volumesAttached")


async def test_what_a_node_uses_is_not_taken_away(make_world, make_pod):
    async with make_world(ONLY) as world:
        objects(world)
        world.api.put(PODS, user(make_pod, "p", "node-1"))
        await world.step(5)
        world.change(
            NODES, "node-1", "",
            lambda node: node["status"].update(volumesInUse=[ONE.unique_name]),
        )  # fmt: skip
        world.api.remove(PODS, "p", "d")
        await world.step(5)
        assert world.api.objects(ATTACHMENTS)
        world.change(NODES, "node-1", "", lambda node: node["status"].update(volumesInUse=[]))
        await world.step(5)
        assert world.api.objects(ATTACHMENTS) == []


async def test_a_volume_for_one_node_waits_for_the_first_to_let_go(make_world, make_pod):
    async with make_world(ONLY) as world:
        objects(world)
        world.api.put(PODS, user(make_pod, "p", "node-1"))
        await world.step(5)
        world.api.put(PODS, user(make_pod, "q", "node-2"))
        await world.step(5)
        assert len(world.api.objects(ATTACHMENTS)) == 1
        assert world.events("FailedAttachVolume") == [
            'Multi-Attach error for volume "v" Volume is already used by pod(s) p'
        ]
        world.api.remove(PODS, "p", "d")
        await world.step(8)
        (moved,) = world.api.objects(ATTACHMENTS)
        assert moved["spec"]["nodeName"] == "node-2"


async def test_a_volume_for_many_is_attached_to_each(make_world, make_pod):
    async with make_world(ONLY) as world:
        objects(world, ("ReadWriteMany",))
        for name, node in (("p", "node-1"), ("q", "node-2")):
            world.api.put(PODS, user(make_pod, name, node))
        await world.step(5)
        nodes = sorted(one["spec"]["nodeName"] for one in world.api.objects(ATTACHMENTS))
        assert nodes == ["node-1", "node-2"]


async def test_drivers_that_attach_nothing_are_left_alone(make_world, make_pod):
    async with make_world(ONLY) as world:
        objects(world)
        world.api.put(
            CSI_DRIVERS,
            {"metadata": {"name": "csi.example.com"}, "spec": {"attachRequired": False}},
        )
        world.api.put(PODS, user(make_pod, "p", "node-1"))
        await world.step(5)
        assert world.api.objects(ATTACHMENTS) == []


IN_USE = {"status": {"volumesInUse": [ONE.unique_name]}}
DETACHES = {
    "not_used": ({"status": {}}, 0, True),
    "used": (IN_USE, 0, False),
    "used_for_too_long": (IN_USE, 360, True),
    "the_node_is_gone": (None, 0, True),
    "the_node_is_out_of_service": (
        {**IN_USE, "spec": {"taints": [{"key": "node.kubernetes.io/out-of-service"}]}}, 0, True,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("node", "seconds", "expected"), DETACHES.values(), ids=DETACHES)
def test_when_a_volume_may_go(node, seconds, expected):
    assert may_detach(node, ONE, seconds, 360) is expected


def test_pods_of_other_namespaces_are_only_counted():
    mine = {"metadata": {"name": "p", "namespace": "d"}}
    other = {"metadata": {"name": "x", "namespace": "e"}}
    head = 'Multi-Attach error for volume "v" '
    assert multi_attach_message("v", "d", [mine, other]) == (
        f"{head}Volume is already used by pod(s) p and 1 pod(s) in different namespaces"
    )
    assert multi_attach_message("v", "d", []) == (
        f"{head}Volume is already exclusively attached to one node and can't be attached to another"
    )
