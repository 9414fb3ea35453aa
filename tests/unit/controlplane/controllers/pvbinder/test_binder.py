"""Claims and volumes over the real API server."""

from controlplane.controllers.pvbinder.local_path import FINALIZER
from controlplane.kinds.core.node import NODES
from controlplane.kinds.core.persistent_volume.binding import LOCAL_PATH, PROVISIONER, SELECTED_NODE
from controlplane.kinds.core.persistent_volume.kind import PERSISTENT_VOLUMES as VOLUMES
from controlplane.kinds.core.persistent_volume_claim import PERSISTENT_VOLUME_CLAIMS as CLAIMS
from controlplane.kinds.core.pod.resource import PODS
from controlplane.kinds.storage.storage_class import STORAGE_CLASSES as CLASSES

ONLY = (
    "--controllers=persistentvolume-binder-controller,"
    "persistentvolume-protection-controller,persistentvolumeclaim-protection-controller"
)
LOCAL = "--local-path-directory=/nodes/{node}/volumes"


def volume(name="v", **spec):
    """A hostPath volume of 50Mi, as in courses."""
    return {
        "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": "50Mi"},
            "accessModes": ["ReadWriteOnce"],
            "hostPath": {"path": "/data/demo"},
            **spec,
        },
    }


def claim(name="c", **spec):
    """A claim for 50Mi."""
    return {
        "metadata": {"name": name, "namespace": "d"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "50Mi"}},
            **spec,
        },
    }


def local_class(**fields):
    """The class whose volumes are made here."""
    return {
        "metadata": {"name": "local-path"},
        "provisioner": LOCAL_PATH,
        "volumeBindingMode": "WaitForFirstConsumer",
        **fields,
    }


def phase(world, resource, name, namespace=""):
    """The phase of an object."""
    return world.api.object(resource, name, namespace)["status"]["phase"]


async def test_row_130_a_claim_finds_its_volume_and_leaves_it_released(make_world):
    async with make_world(ONLY) as world:
        await world.client.create(VOLUMES, volume())
        await world.step(3)
        assert phase(world, VOLUMES, "v") == "Available"
        await world.client.create(CLAIMS, claim())
        await world.step(5)
        bound = world.api.object(CLAIMS, "c", "d")
        assert bound["spec"]["volumeName"] == "v"
        assert bound["status"] == {
            "phase": "Bound",
            "accessModes": ["ReadWriteOnce"],
            "capacity": {"storage": "50Mi"},
        }
        assert phase(world, VOLUMES, "v") == "Bound"
        await world.client.delete(CLAIMS, "c", "d")
        await world.step(5)
        assert world.api.object(CLAIMS, "c", "d") is None
        assert phase(world, VOLUMES, "v") == "Released"


async def test_a_volume_that_comes_later_is_taken(make_world):
    async with make_world(ONLY) as world:
        await world.client.create(CLAIMS, claim(storageClassName=""))
        await world.step(3)
        assert phase(world, CLAIMS, "c", "d") == "Pending"
        assert world.events("FailedBinding") == [
            "no persistent volumes available for this claim and no storage class is set"
        ]
        await world.client.create(VOLUMES, volume())
        await world.step(5)
        assert phase(world, CLAIMS, "c", "d") == "Bound"


async def test_of_two_claims_one_gets_the_only_volume(make_world):
    async with make_world(ONLY) as world:
        for name in ("a", "b"):
            await world.client.create(CLAIMS, claim(name, storageClassName=""))
        await world.client.create(VOLUMES, volume())
        await world.step(10)
        phases = sorted(phase(world, CLAIMS, name, "d") for name in ("a", "b"))
        assert phases == ["Bound", "Pending"]


async def test_a_volume_reserved_by_name_waits_for_its_claim(make_world):
    async with make_world(ONLY) as world:
        wanted = {"namespace": "d", "name": "mine"}
        await world.client.create(VOLUMES, volume(claimRef=wanted))
        await world.client.create(CLAIMS, claim("other", storageClassName=""))
        await world.step(5)
        assert phase(world, VOLUMES, "v") == "Available"
        await world.client.create(CLAIMS, claim("mine", storageClassName=""))
        await world.step(5)
        assert phase(world, CLAIMS, "mine", "d") == "Bound"
        assert phase(world, CLAIMS, "other", "d") == "Pending"


async def test_a_claim_that_loses_its_volume_is_told(make_world):
    async with make_world(ONLY) as world:
        await world.client.create(VOLUMES, volume())
        await world.client.create(CLAIMS, claim(storageClassName=""))
        await world.step(5)
        world.api.remove(VOLUMES, "v")
        await world.step(20)
        assert phase(world, CLAIMS, "c", "d") == "Lost"
        assert world.events("ClaimLost") == [
            "Bound claim has lost its PersistentVolume. Data on the volume is lost!"
        ]


async def test_a_claim_without_a_class_takes_the_default_when_it_comes(make_world):
    async with make_world(ONLY) as world:
        await world.client.create(CLAIMS, claim())
        await world.step(3)
        default = local_class(volumeBindingMode="Immediate", provisioner="example.com/p")
        noted = {"storageclass.kubernetes.io/is-default-class": "true"}
        default["metadata"]["annotations"] = noted
        await world.client.create(CLASSES, default)
        await world.step(5)
        taken = world.api.object(CLAIMS, "c", "d")
        assert taken["spec"]["storageClassName"] == "local-path"
        assert taken["metadata"]["annotations"][PROVISIONER] == "example.com/p"
        assert "external provisioner 'example.com/p'" in world.events("ExternalProvisioning")[0]


async def test_what_cannot_be_taken_back_fails(make_world):
    async with make_world(ONLY) as world:
        nfs = {"hostPath": None, "nfs": {"server": "s", "path": "/p"}}
        await world.client.create(
            VOLUMES, volume("d", persistentVolumeReclaimPolicy="Delete", **nfs)
        )
        await world.client.create(CLAIMS, claim(storageClassName=""))
        await world.step(5)
        await world.client.delete(CLAIMS, "c", "d")
        await world.step(5)
        assert world.api.object(VOLUMES, "d")["status"]["phase"] == "Failed"
        why = (
            'error getting deleter volume plugin for volume "d": no deletable volume plugin matched'
        )
        assert world.events("VolumeFailedDelete") == [why]


async def test_volumes_are_not_recycled(make_world):
    async with make_world(ONLY) as world:
        await world.client.create(VOLUMES, volume(persistentVolumeReclaimPolicy="Recycle"))
        await world.client.create(CLAIMS, claim(storageClassName=""))
        await world.step(5)
        await world.client.delete(CLAIMS, "c", "d")
        await world.step(5)
        assert phase(world, VOLUMES, "v") == "Failed"
        assert world.events("VolumeFailedRecycle") == ["No recycler plugin found for the volume!"]


async def test_row_134_a_volume_is_made_on_the_chosen_node_and_goes_with_its_claim(make_world):
    async with make_world(ONLY, LOCAL) as world:
        world.add_node("node-1")
        await world.client.create(CLASSES, local_class())
        await world.client.create(CLAIMS, claim(storageClassName="local-path"))
        await world.step(3)
        assert world.events("WaitForFirstConsumer")
        world.change(
            CLAIMS, "c", "d",
            lambda one: one["metadata"].setdefault("annotations", {}).update(
                {SELECTED_NODE: "node-1"}
            ),
        )  # fmt: skip
        await world.step(8)
        bound = world.api.object(CLAIMS, "c", "d")
        assert bound["status"]["phase"] == "Bound"
        name = bound["spec"]["volumeName"]
        made = world.api.object(VOLUMES, name)
        assert made["spec"]["hostPath"] == {
            "path": f"/nodes/node-1/volumes/{name}_d_c",
            "type": "DirectoryOrCreate",
        }
        assert FINALIZER in made["metadata"]["finalizers"]
        assert world.events("ProvisioningSucceeded") == [
            f"Successfully provisioned volume {name} using {LOCAL_PATH}"
        ]
        world.ready_pods = False
        await world.client.delete(CLAIMS, "c", "d")
        await world.step(5)
        remover = world.api.object(PODS, f"remove-{name}", "kube-system")
        assert remover["spec"]["nodeName"] == "node-1"
        assert remover["spec"]["containers"][0]["command"][-1].endswith(f"{name}_d_c")
        assert phase(world, VOLUMES, name) == "Released"
        world.change(
            PODS, f"remove-{name}", "kube-system",
            lambda pod: pod["status"].update(phase="Succeeded"),
        )  # fmt: skip
        await world.step(8)
        assert world.api.object(VOLUMES, name) is None
        assert world.api.object(PODS, f"remove-{name}", "kube-system") is None


async def test_a_volume_whose_node_is_gone_goes_at_once(make_world):
    async with make_world(ONLY, LOCAL) as world:
        world.add_node("node-1")
        await world.client.create(CLASSES, local_class(volumeBindingMode="Immediate"))
        await world.client.create(CLAIMS, claim(storageClassName="local-path"))
        await world.step(8)
        name = world.api.object(CLAIMS, "c", "d")["spec"]["volumeName"]
        world.answering_nodes.clear()
        world.api.remove(NODES, "node-1")
        await world.client.delete(CLAIMS, "c", "d")
        await world.step(8)
        assert world.api.object(VOLUMES, name) is None
        assert world.api.objects(PODS) == []


async def test_what_cannot_be_made_is_told_and_may_be_scheduled_anew(make_world):
    async with make_world(ONLY, LOCAL) as world:
        world.add_node("node-1")
        await world.client.create(CLASSES, local_class())
        wanted = claim(storageClassName="local-path", accessModes=["ReadWriteMany"])
        wanted["metadata"]["annotations"] = {SELECTED_NODE: "node-1"}
        await world.client.create(CLAIMS, wanted)
        await world.step(5)
        (message,) = world.events("ProvisioningFailed")
        assert message.startswith('Failed to provision volume with StorageClass "local-path": ')
        refused = world.api.object(CLAIMS, "c", "d")
        assert SELECTED_NODE not in refused["metadata"]["annotations"]


async def test_a_class_that_is_not_there_is_told(make_world):
    async with make_world(ONLY) as world:
        await world.client.create(CLAIMS, claim(storageClassName="nope"))
        await world.step(3)
        assert world.events("ProvisioningFailed") == [
            'storageclass.storage.k8s.io "nope" not found'
        ]
