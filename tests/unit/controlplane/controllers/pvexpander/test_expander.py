"""Claims that ask for more."""

import pytest

from controlplane.controllers.pvexpander.reconciler import is_too_small
from controlplane.kinds.core.persistent_volume.binding import LOCAL_PATH, PROVISIONED_BY
from controlplane.kinds.core.persistent_volume.kind import PERSISTENT_VOLUMES as VOLUMES
from controlplane.kinds.core.persistent_volume_claim import PERSISTENT_VOLUME_CLAIMS as CLAIMS

ONLY = "--controllers=persistentvolume-expander-controller"


def claim(size="1Gi", has="1Gi", phase="Bound"):
    """A claim `c` for `size` that has `has`."""
    return {
        "metadata": {"name": "c", "namespace": "d", "uid": "uid-c"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": size}},
            "volumeName": "v",
            "storageClassName": "x",
        },
        "status": {"phase": phase, "capacity": {"storage": has}},
    }


def volume(maker, **source):
    """Its volume."""
    return {
        "metadata": {"name": "v", "annotations": {PROVISIONED_BY: maker}},
        "spec": {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"],
            "claimRef": {"namespace": "d", "name": "c", "uid": "uid-c"},
            "volumeMode": "Filesystem",
            **(source or {"hostPath": {"path": "/x", "type": ""}}),
        },
        "status": {"phase": "Bound"},
    }


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (claim(), False),
        (claim("2Gi"), True),
        (claim("1024Mi"), False),
        (claim("1Mi"), False),
        (claim("2Gi", phase="Pending"), False),
    ],
    ids=["enough", "more", "the_same_in_other_words", "less", "not_bound"],
)
def test_which_claims_are_too_small(one, expected):
    assert is_too_small(one) is expected


async def test_a_folder_of_a_node_grows_at_once(make_world):
    async with make_world(ONLY) as world:
        world.api.put(VOLUMES, volume(LOCAL_PATH))
        world.api.put(CLAIMS, claim())
        await world.step(3)
        world.change(
            CLAIMS, "c", "d",
            lambda one: one["spec"]["resources"]["requests"].update(storage="3Gi"),
        )  # fmt: skip
        await world.step(5)
        assert world.api.object(VOLUMES, "v")["spec"]["capacity"] == {"storage": "3Gi"}
        assert world.api.object(CLAIMS, "c", "d")["status"]["capacity"] == {"storage": "3Gi"}
        assert world.events("VolumeResizeSuccessful") == ["ExpandVolume succeeded for volume d/c"]


async def test_volumes_of_others_are_grown_by_others(make_world):
    async with make_world(ONLY) as world:
        world.api.put(
            VOLUMES, volume("example.com/p", csi={"driver": "example.com/p", "volumeHandle": "1"})
        )
        world.api.put(CLAIMS, claim("2Gi"))
        await world.step(5)
        assert world.api.object(VOLUMES, "v")["spec"]["capacity"] == {"storage": "1Gi"}
        assert world.events("ExternalExpanding") == [
            "waiting for an external controller to expand this PVC"
        ]
