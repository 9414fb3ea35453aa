"""A volume that is deleted waits until it is bound no more."""

from controlplane.controllers.pvprotection.reconciler import FINALIZER
from controlplane.kinds.core.persistent_volume.kind import PERSISTENT_VOLUMES as VOLUMES

ONLY = "--controllers=persistentvolume-protection-controller"
VOLUME = {
    "metadata": {"name": "v"},
    "spec": {
        "accessModes": ["ReadWriteOnce"],
        "capacity": {"storage": "1Gi"},
        "hostPath": {"path": "/x"},
    },
}


async def test_a_volume_that_nobody_holds_ends_at_once(make_world):
    async with make_world(ONLY) as world:
        made = await world.client.create(VOLUMES, VOLUME)
        assert made["metadata"]["finalizers"] == [FINALIZER]
        await world.client.delete(VOLUMES, "v")
        await world.step(5)
        assert world.api.object(VOLUMES, "v") is None


async def test_a_bound_volume_waits(make_world):
    async with make_world(ONLY) as world:
        made = await world.client.create(VOLUMES, VOLUME)
        await world.client.update_status(VOLUMES, {**made, "status": {"phase": "Bound"}})
        await world.client.delete(VOLUMES, "v")
        await world.step(5)
        held = world.api.object(VOLUMES, "v")
        assert held is not None
        await world.client.update_status(VOLUMES, {**held, "status": {"phase": "Released"}})
        await world.step(5)
        assert world.api.object(VOLUMES, "v") is None
