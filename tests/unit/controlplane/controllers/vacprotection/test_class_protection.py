"""A class of volume attributes that is deleted waits until nobody names it."""

import pytest

from controlplane.controllers.vacprotection.reconciler import FINALIZER, named_classes
from controlplane.kinds.core.persistent_volume.kind import PERSISTENT_VOLUMES as VOLUMES
from controlplane.kinds.storage.volume_attributes_class import VOLUME_ATTRIBUTES_CLASSES as CLASSES

ONLY = "--controllers=volumeattributesclass-protection-controller"
CLASS = {"metadata": {"name": "fast"}, "driverName": "csi.example.com", "parameters": {"a": "b"}}
VOLUME = {
    "metadata": {"name": "v"},
    "spec": {
        "accessModes": ["ReadWriteOnce"],
        "capacity": {"storage": "1Gi"},
        "csi": {"driver": "csi.example.com", "volumeHandle": "h"},
        "volumeAttributesClassName": "fast",
    },
}


@pytest.mark.parametrize(
    ("obj", "wanted"),
    [
        ({}, set()),
        ({"spec": {"volumeAttributesClassName": "a"}}, {"a"}),
        ({"status": {"currentVolumeAttributesClassName": "a"}}, {"a"}),
        ({"status": {"modifyVolumeStatus": {"targetVolumeAttributesClassName": "b"}}}, {"b"}),
    ],
)
def test_the_class_wanted_and_the_one_in_use_count(obj, wanted):
    assert named_classes(obj) == wanted


async def test_a_class_that_nobody_names_ends_at_once(make_world):
    async with make_world(ONLY) as world:
        made = await world.client.create(CLASSES, CLASS)
        assert made["metadata"]["finalizers"] == [FINALIZER]
        await world.client.delete(CLASSES, "fast")
        await world.step(5)
        assert world.api.object(CLASSES, "fast") is None


async def test_a_class_that_a_volume_names_waits(make_world):
    async with make_world(ONLY) as world:
        await world.client.create(CLASSES, CLASS)
        await world.client.create(VOLUMES, VOLUME)
        await world.client.delete(CLASSES, "fast")
        await world.step(5)
        assert world.api.object(CLASSES, "fast") is not None
        world.api.remove(VOLUMES, "v")
        await world.step(5)
        assert world.api.object(CLASSES, "fast") is None
