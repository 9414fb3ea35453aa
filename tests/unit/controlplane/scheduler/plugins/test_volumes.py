"""The plugins of volumes, by tables: which nodes a pod with claims may have, and in which words it is refused."""

import asyncio
import random
from typing import Any

import pytest

from controlplane.client.events import EventRecorder
from controlplane.client.indexer import Indexer
from controlplane.kinds.core.persistent_volume.binding import BIND_COMPLETED, SELECTED_NODE
from controlplane.kinds.core.persistent_volume.kind import PERSISTENT_VOLUMES
from controlplane.kinds.core.persistent_volume_claim import PERSISTENT_VOLUME_CLAIMS
from controlplane.scheduler.framework.claims import concerns_claim
from controlplane.scheduler.framework.cycle_state import CycleState
from controlplane.scheduler.framework.handle import Handle
from controlplane.scheduler.framework.node_info import NodeInfo, pod_info
from controlplane.scheduler.framework.waiting import WaitingPods
from controlplane.scheduler.plugins.volume_restrictions import conflict
from controlplane.scheduler.profiles import Profile
from controlplane.scheduler.schedule_one import choose
from controlplane.testing.in_process import InProcessServer
from kvstore.base.clock import ManualClock

ZONE = "topology.kubernetes.io/zone"


def stored(name: str, **fields: Any) -> dict[str, Any]:
    """An object with metadata."""
    metadata = {"name": name, "uid": f"uid-{name}", "resourceVersion": "1"}
    return {"metadata": {**metadata, **fields.pop("metadata", {})}, **fields}


def claim(name: str = "c", volume: str = "", **spec: Any) -> dict[str, Any]:
    """A claim of namespace d; bound when it has a volume."""
    noted = {BIND_COMPLETED: "yes"} if volume else {}
    return stored(
        name,
        metadata={"namespace": "d", "annotations": noted},
        spec={
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}},
            "storageClassName": "late",
            **({"volumeName": volume} if volume else {}),
            **spec,
        },
        status={"phase": "Bound" if volume else "Pending"},
    )


def volume(name: str = "v", only: str = "", labels: Any = None, **spec: Any) -> dict[str, Any]:
    """A volume of a gigabyte, of one node if `only` says so."""
    row = {"key": "kubernetes.io/hostname", "operator": "In", "values": [only]}
    affinity = {"required": {"nodeSelectorTerms": [{"matchExpressions": [row]}]}}
    return stored(
        name,
        metadata={"labels": labels or {}},
        spec={
            "accessModes": ["ReadWriteOnce"],
            "capacity": {"storage": "1Gi"},
            "storageClassName": "late",
            **({"nodeAffinity": affinity} if only else {}),
            **spec,
        },
        status={"phase": "Available"},
    )


LATE = stored("late", provisioner="example.com/p", volumeBindingMode="WaitForFirstConsumer")
STATIC = {**LATE, "provisioner": "kubernetes.io/no-provisioner"}
ZONED = {
    **LATE,
    "allowedTopologies": [{"matchLabelExpressions": [{"key": ZONE, "values": ["z2"]}]}],
}


def pod(name: str = "p", *claims: str, **spec: Any) -> dict[str, Any]:
    """A pod of namespace d with these claims."""
    volumes = [
        {"name": f"v{number}", "persistentVolumeClaim": {"claimName": one}}
        for number, one in enumerate(claims)
    ]
    return {
        "metadata": {"name": name, "namespace": "d", "uid": f"uid-{name}"},
        "spec": {"containers": [{"name": "c"}], "volumes": volumes, **spec},
    }


def node(name: str, zone: str = "", *pods: dict[str, Any]) -> NodeInfo:
    """A node with pods."""
    info = NodeInfo(name)
    labels = {"kubernetes.io/hostname": name, **({ZONE: zone} if zone else {})}
    info.set_node(
        {"metadata": {"name": name, "labels": labels}, "status": {"allocatable": {"pods": "9"}}}
    )
    for one in pods:
        info.add_pod(pod_info(one))
    return info


class Caches:
    """What the plugins read, by resource."""

    def __init__(self, **objects: list[dict[str, Any]]) -> None:
        self._objects = objects
        self._made: dict[str, Indexer] = {}

    def of(self, resource: Any) -> Indexer:
        name = resource.plural
        if name not in self._made:
            self._made[name] = Indexer()
            for obj in self._objects.get(name, ()):
                self._made[name].put(obj)
        return self._made[name]


def framework_on(caches: Caches, client: Any, clock: Any) -> Any:
    """All default plugins over these caches."""
    recorder = EventRecorder(client, "test", clock)
    handle = Handle(client, caches.of, tuple, recorder, WaitingPods(clock), clock)
    return Profile().build(handle)


@pytest.fixture
def decide(handle: Handle) -> Any:
    def run(subject: dict[str, Any], nodes: list[NodeInfo], **objects: Any) -> tuple[Any, str]:
        framework = framework_on(Caches(**objects), handle.client, ManualClock())
        decision = choose(framework, pod_info(subject), nodes, random.Random(1))
        return decision.node_name, decision.diagnosis.text()

    return run


NODES = [("a", "z1"), ("b", "z2")]
CHOICES = {
    "a_bound_volume_says_the_node": (
        {"persistentvolumeclaims": [claim(volume="v")], "persistentvolumes": [volume(only="b")]},
        "b",
    ),
    "a_free_volume_says_the_node": (
        {
            "persistentvolumeclaims": [claim()],
            "persistentvolumes": [volume(only="b")],
            "storageclasses": [STATIC],
        },
        "b",
    ),
    "the_class_says_where_volumes_are_made": (
        {"persistentvolumeclaims": [claim()], "storageclasses": [ZONED]}, "b",
    ),
    "a_claim_whose_node_is_chosen_stays_there": (
        {
            "persistentvolumeclaims": [
                {
                    **claim(),
                    "metadata": {**claim()["metadata"], "annotations": {SELECTED_NODE: "b"}},
                }
            ],
            "storageclasses": [LATE],
        },
        "b",
    ),
    "labels_of_a_volume_say_the_zone": (
        {
            "persistentvolumeclaims": [claim(volume="v")],
            "persistentvolumes": [volume(labels={ZONE: "z2__z3"})],
        },
        "b",
    ),
    "old_labels_of_a_zone_mean_the_same": (
        {
            "persistentvolumeclaims": [claim(volume="v")],
            "persistentvolumes": [volume(labels={"failure-domain.beta.kubernetes.io/zone": "z2"})],
        },
        "b",
    ),
    "only_there_is_capacity": (
        {
            "persistentvolumeclaims": [claim()],
            "storageclasses": [LATE],
            "csidrivers": [stored("example.com/p", spec={"storageCapacity": True})],
            "csistoragecapacities": [
                stored(
                    f"c-{zone}", metadata={"namespace": "d"}, storageClassName="late",
                    capacity=size, nodeTopology={"matchLabels": {ZONE: zone}},
                )
                for zone, size in (("z1", "1Mi"), ("z2", "5Gi"))
            ],
        },
        "b",
    ),
    "a_driver_that_must_be_there_first": (
        {
            "persistentvolumeclaims": [claim(volume="v")],
            "persistentvolumes": [volume(csi={"driver": "example.com/p", "volumeHandle": "1"})],
            "csidrivers": [stored("example.com/p", spec={"preventPodSchedulingIfMissing": True})],
            "csinodes": [stored("b", spec={"drivers": [{"name": "example.com/p"}]})],
        },
        "b",
    ),
    "a_node_that_may_attach_no_more": (
        {
            "persistentvolumeclaims": [claim(volume="v")],
            "persistentvolumes": [
                volume(csi={"driver": "example.com/p", "volumeHandle": "1"}),
                volume("w", csi={"driver": "example.com/p", "volumeHandle": "2"}),
            ],
            "volumeattachments": [
                stored(
                    "x", spec={
                        "attacher": "example.com/p", "nodeName": "a",
                        "source": {"persistentVolumeName": "w"},
                    },
                )
            ],
            "csinodes": [
                stored(
                    name,
                    spec={"drivers": [{"name": "example.com/p", "allocatable": {"count": 1}}]},
                )
                for name in ("a", "b")
            ],
        },
        "b",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("objects", "expected"), CHOICES.values(), ids=CHOICES)
def test_the_node_of_a_pod_with_a_claim(decide: Any, objects: Any, expected: str) -> None:
    nodes = [node(name, zone) for name, zone in NODES]
    assert decide(pod("p", "c"), nodes, **objects)[0] == expected


NOT_HELPFUL = "no new claims to deallocate, preemption: 0/1 nodes are available: 1 {}."
UNRESOLVABLE = NOT_HELPFUL.format("Preemption is not helpful for scheduling")
WORDS = {
    "no_claim": ({}, 'persistentvolumeclaim "c" not found. not found'),
    "a_claim_that_binds_at_once_and_is_not_bound": (
        {"persistentvolumeclaims": [claim(storageClassName="")]},
        "PersistentVolumeClaims. not found",
    ),
    "a_claim_that_ends": (
        {
            "persistentvolumeclaims": [
                {**claim(), "metadata": {**claim()["metadata"], "deletionTimestamp": "now"}}
            ]
        },
        'persistentvolumeclaim "c" is being deleted. not found',
    ),
    "a_claim_that_lost_its_volume": (
        {"persistentvolumeclaims": [{**claim(volume="v"), "status": {"phase": "Lost"}}]},
        'persistentvolumeclaim "c" bound to non-existent persistentvolume "v". not found',
    ),
    "a_volume_of_another_node": (
        {"persistentvolumeclaims": [claim(volume="v")], "persistentvolumes": [volume(only="x")]},
        f"1 node(s) didn't match PersistentVolume's node affinity. {UNRESOLVABLE}",
    ),
    "no_volume_and_none_is_made": (
        {"persistentvolumeclaims": [claim()], "storageclasses": [STATIC]},
        f"1 node(s) didn't find available persistent volumes to bind. {UNRESOLVABLE}",
    ),
    "no_capacity": (
        {
            "persistentvolumeclaims": [claim()],
            "storageclasses": [LATE],
            "csidrivers": [stored("example.com/p", spec={"storageCapacity": True})],
        },
        f"1 node(s) did not have enough free storage. {UNRESOLVABLE}",
    ),
    "another_zone": (
        {
            "persistentvolumeclaims": [claim(volume="v")],
            "persistentvolumes": [volume(labels={ZONE: "z9"})],
        },
        f"1 node(s) had no available volume zone. {UNRESOLVABLE}",
    ),
    "a_claim_for_one_pod_that_another_has": (
        {
            "persistentvolumeclaims": [claim(volume="v", accessModes=["ReadWriteOncePod"])],
            "persistentvolumes": [volume()],
        },
        "1 node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode "
        "already in-use by another pod. "
        + NOT_HELPFUL.format("No preemption victims found for incoming pod"),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("objects", "words"), WORDS.values(), ids=WORDS)
def test_words(decide: Any, objects: Any, words: str) -> None:
    chosen, text = decide(pod("p", "c"), [node("a", "z1", pod("other", "c"))], **objects)
    assert chosen is None
    assert text.startswith("0/1 nodes are available: ")
    assert text.endswith(words)


def test_an_ephemeral_claim_must_be_the_pods_own(decide: Any) -> None:
    subject = pod("p", volumes=[{"name": "x", "ephemeral": {"volumeClaimTemplate": {}}}])
    text = decide(subject, [node("a")])[1]
    assert (
        'waiting for ephemeral volume controller to create the persistentvolumeclaim "p-x"' in text
    )
    made = claim("p-x", volume="v")
    text = decide(
        subject, [node("a")], persistentvolumeclaims=[made], persistentvolumes=[volume()]
    )[1]
    assert "PVC d/p-x was not created for pod d/p (pod is not owner)" in text
    made["metadata"]["ownerReferences"] = [{"uid": "uid-p", "controller": True}]
    assert decide(
        subject, [node("a")], persistentvolumeclaims=[made], persistentvolumes=[volume()]
    )[0]


DISKS = {
    "one_disk_twice": ({"gcePersistentDisk": {"pdName": "x"}}, {"gcePersistentDisk": {"pdName": "x"}}, True),
    "two_readers": (
        {"gcePersistentDisk": {"pdName": "x", "readOnly": True}},
        {"gcePersistentDisk": {"pdName": "x", "readOnly": True}}, False,
    ),
    "two_readers_of_ebs": (
        {"awsElasticBlockStore": {"volumeID": "x", "readOnly": True}},
        {"awsElasticBlockStore": {"volumeID": "x", "readOnly": True}}, True,
    ),
    "an_iscsi_writer": ({"iscsi": {"iqn": "x", "readOnly": True}}, {"iscsi": {"iqn": "x"}}, True),
    "rbd_with_a_common_monitor": (
        {"rbd": {"monitors": ["a", "b"], "image": "i"}}, {"rbd": {"monitors": ["b"], "image": "i"}}, True,
    ),
    "rbd_of_another_cluster": (
        {"rbd": {"monitors": ["a"], "image": "i"}}, {"rbd": {"monitors": ["b"], "image": "i"}}, False,
    ),
    "different_sorts": ({"iscsi": {"iqn": "x"}}, {"rbd": {"monitors": ["x"]}}, False),
}  # fmt: skip


@pytest.mark.parametrize(("one", "other", "expected"), DISKS.values(), ids=DISKS)
def test_disks_that_pods_name(one: Any, other: Any, expected: bool) -> None:
    assert conflict(one, other) is expected


def test_a_change_of_a_claim_wakes_only_its_pods() -> None:
    subject = pod_info(pod("p", "c"))
    assert concerns_claim(subject, None, claim("c"))
    assert not concerns_claim(subject, None, claim("other"))
    elsewhere = claim("c")
    elsewhere["metadata"]["namespace"] = "e"
    assert not concerns_claim(subject, None, elsewhere)


def test_two_pods_do_not_choose_one_volume(handle: Handle) -> None:
    caches = Caches(
        persistentvolumeclaims=[claim("c1"), claim("c2")],
        persistentvolumes=[volume("v")],
        storageclasses=[STATIC],
    )
    framework = framework_on(caches, handle.client, ManualClock())
    first, second = pod_info(pod("p1", "c1")), pod_info(pod("p2", "c2"))
    nodes, state = [node("a")], CycleState()
    assert choose(framework, first, nodes, random.Random(1), state).node_name == "a"
    assert framework.reserve(state, first, "a").ok
    assert choose(framework, second, nodes, random.Random(1)).node_name is None
    framework.unreserve(state, first, "a")
    assert choose(framework, second, nodes, random.Random(1)).node_name == "a"


async def _written(server: InProcessServer, before: dict[str, Any]) -> dict[str, Any] | None:
    """The claim `c` once it has changed; as it was when it does not."""
    found = before
    for _ in range(10_000):
        await asyncio.sleep(0)
        found = server.object(PERSISTENT_VOLUME_CLAIMS, "c", "default")
        if found != before:
            break
    return found


async def test_the_choice_is_written_and_the_pod_waits_for_its_claim() -> None:
    clock = ManualClock()
    async with InProcessServer(clock=clock) as server:
        client = server.client()
        made = claim()
        made["metadata"] = {"name": "c", "namespace": "default"}
        kept = await client.create(PERSISTENT_VOLUME_CLAIMS, made)
        caches = Caches(persistentvolumeclaims=[kept], storageclasses=[LATE])
        framework = framework_on(caches, client, clock)
        subject = pod("p", "c")
        subject["metadata"]["namespace"] = "default"
        info, state = pod_info(subject), CycleState()
        assert choose(framework, info, [node("a")], random.Random(1), state).node_name == "a"
        assert framework.reserve(state, info, "a").ok
        waiting = asyncio.ensure_future(framework.pre_bind(state, info, "a"))
        written = await _written(server, kept)
        assert written is not None
        assert written["metadata"]["annotations"][SELECTED_NODE] == "a"
        assert not waiting.done()
        bound = {**written, "spec": {**written["spec"], "volumeName": "v"}}
        bound["metadata"] = {
            **written["metadata"],
            "annotations": {SELECTED_NODE: "a", BIND_COMPLETED: "yes"},
        }
        caches.of(PERSISTENT_VOLUME_CLAIMS).put(bound)
        await clock.advance(1.0)
        assert (await waiting).ok


async def test_a_volume_that_could_not_be_made_sends_the_pod_back() -> None:
    clock = ManualClock()
    async with InProcessServer(clock=clock) as server:
        client = server.client()
        made = claim()
        made["metadata"] = {"name": "c", "namespace": "default"}
        kept = await client.create(PERSISTENT_VOLUME_CLAIMS, made)
        caches = Caches(persistentvolumeclaims=[kept], storageclasses=[LATE])
        framework = framework_on(caches, client, clock)
        subject = pod("p", "c")
        subject["metadata"]["namespace"] = "default"
        info, state = pod_info(subject), CycleState()
        choose(framework, info, [node("a")], random.Random(1), state)
        framework.reserve(state, info, "a")
        waiting = asyncio.ensure_future(framework.pre_bind(state, info, "a"))
        written = await _written(server, kept)
        assert written is not None
        caches.of(PERSISTENT_VOLUME_CLAIMS).put(
            {**written, "metadata": {**written["metadata"], "annotations": {}}}
        )
        await clock.advance(1.0)
        status = await waiting
        assert status.reasons == ('binding volumes: provisioning failed for PVC "c"',)
        assert caches.of(PERSISTENT_VOLUMES).list() == []
