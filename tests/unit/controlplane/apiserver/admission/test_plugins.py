"""LimitRanger, Priority, RuntimeClass, default classes, growing claims: what they set, and their words."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from controlplane.api.errors import Forbidden
from controlplane.api.meta import Obj
from controlplane.client.rest import RestClient
from controlplane.kinds.core.limit_range import LIMIT_RANGES
from controlplane.kinds.core.persistent_volume_claim import PERSISTENT_VOLUME_CLAIMS
from controlplane.kinds.core.pod.resource import PODS
from controlplane.kinds.core.pod.totals import totals
from controlplane.kinds.networking.ingress import INGRESSES
from controlplane.kinds.networking.ingress_class import INGRESS_CLASSES
from controlplane.kinds.node.runtime_class import RUNTIME_CLASSES
from controlplane.kinds.scheduling.priority_class import PRIORITY_CLASSES
from controlplane.kinds.storage.storage_class import STORAGE_CLASSES
from controlplane.testing.in_process import InProcessServer


@pytest.fixture
async def server() -> AsyncIterator[InProcessServer]:
    async with InProcessServer() as running:
        yield running


@pytest.fixture
def client(server: InProcessServer) -> RestClient:
    return server.client()


def pod(*resources: Obj, **spec: Any) -> Obj:
    containers = [
        {"name": f"c{number}", "image": "nginx", "resources": one}
        for number, one in enumerate(resources or ({},))
    ]
    return {"metadata": {"name": "a"}, "spec": {"containers": containers, **spec}}


def claim(storage: str, **spec: Any) -> Obj:
    resources = {"requests": {"storage": storage}}
    return {
        "metadata": {"name": "n"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": resources, **spec},
    }


# ---- LimitRanger; the bounds and the words are recorded from the original ----


async def put_limits(server: InProcessServer, *limits: Obj) -> None:
    obj = {"metadata": {"name": "l", "namespace": "default"}, "spec": {"limits": list(limits)}}
    server.put(LIMIT_RANGES, obj)
    await server.app.server.caches.wait_current()


@pytest.fixture
async def bounded(server: InProcessServer) -> None:
    await put_limits(
        server,
        {
            "type": "Container",
            "max": {"cpu": "1"},
            "min": {"cpu": "100m"},
            "maxLimitRequestRatio": {"cpu": "2"},
        },
        {"type": "Pod", "max": {"memory": "1Gi"}},
        {"type": "PersistentVolumeClaim", "min": {"storage": "1Gi"}, "max": {"storage": "2Gi"}},
    )


@pytest.mark.parametrize(
    ("resources", "why"),
    [
        (
            [{"limits": {"cpu": "2", "memory": "1Mi"}}],
            "maximum cpu usage per Container is 1, but limit is 2",
        ),
        (
            [{"limits": {"cpu": "100m", "memory": "1Mi"}, "requests": {"cpu": "50m"}}],
            "minimum cpu usage per Container is 100m, but request is 50m",
        ),
        (
            [{"limits": {"cpu": "1", "memory": "700Mi"}}] * 2,
            "maximum memory usage per Pod is 1Gi, but limit is 1400Mi",
        ),
        (
            [{"limits": {"cpu": "1"}}],
            "maximum memory usage per Pod is 1Gi.  No limit is specified",
        ),
        (
            [{"limits": {"cpu": "900m", "memory": "1Mi"}, "requests": {"cpu": "100m"}}],
            "cpu max limit to request ratio per Container is 2, but provided ratio is 9.000000",
        ),
        (
            [{"limits": {"cpu": "3", "memory": "9Gi"}, "requests": {"cpu": "10m"}}],
            "[minimum cpu usage per Container is 100m, but request is 10m, maximum cpu usage per "
            "Container is 1, but limit is 3, cpu max limit to request ratio per Container is 2, "
            "but provided ratio is 300.000000, maximum memory usage per Pod is 1Gi, but limit is "
            "9Gi]",
        ),
    ],
    ids=["max", "min", "pod sum", "pod without memory", "ratio", "all at once"],
)
async def test_a_pod_out_of_bounds_is_refused(
    bounded: None, client: RestClient, resources: list[Obj], why: str
) -> None:
    with pytest.raises(Forbidden) as refused:
        await client.create(PODS, pod(*resources), "default")
    assert refused.value.message == f'pods "a" is forbidden: {why}'


@pytest.mark.parametrize(
    ("storage", "why"),
    [
        ("1Ti", "maximum storage usage per PersistentVolumeClaim is 2Gi, but request is 1Ti"),
        ("1Mi", "minimum storage usage per PersistentVolumeClaim is 1Gi, but request is 1Mi"),
    ],
)
async def test_a_claim_out_of_bounds_is_refused(
    bounded: None, client: RestClient, storage: str, why: str
) -> None:
    with pytest.raises(Forbidden) as refused:
        await client.create(PERSISTENT_VOLUME_CLAIMS, claim(storage), "default")
    assert refused.value.message == f'persistentvolumeclaims "n" is forbidden: {why}'


async def test_defaults_are_set_and_noted(server: InProcessServer, client: RestClient) -> None:
    await put_limits(
        server,
        {
            "type": "Container",
            "default": {"cpu": "1", "memory": "1Gi"},
            "defaultRequest": {"cpu": "500m"},
        },
    )
    own = {"limits": {"memory": "2Gi"}}
    made = await client.create(
        PODS, pod(own, initContainers=[{"name": "i", "image": "x"}]), "default"
    )
    first = made["spec"]["containers"][0]["resources"]
    assert first == {
        "limits": {"cpu": "1", "memory": "2Gi"},
        "requests": {"cpu": "500m", "memory": "2Gi"},
    }
    assert made["metadata"]["annotations"]["kubernetes.io/limit-ranger"] == (
        "LimitRanger plugin set: cpu request for container c0; cpu limit for container c0; "
        "cpu request for init container i; cpu, memory limit for init container i"
    )


def test_what_a_pod_asks_for_in_all() -> None:
    def container(cpu: str, **more: str) -> Obj:
        return {"resources": {"requests": {"cpu": cpu}}, **more}

    spec = {
        "containers": [container("1"), container("2")],
        "initContainers": [
            container("1", restartPolicy="Always"),
            container("4"),
            container("1"),
        ],
    }
    # Three and a sidecar run in the end; before that, at most the sidecar and an init container of four.
    assert totals(spec, "requests")["cpu"] == 5
    assert totals({**spec, "resources": {"requests": {"cpu": "9"}}}, "requests")["cpu"] == 9


# ---- Priority ----


def priority_class(name: str, value: int, **fields: Any) -> Obj:
    return {"metadata": {"name": name}, "value": value, **fields}


async def test_a_pod_gets_its_classes_number(client: RestClient) -> None:
    made = await client.create(PODS, pod(priorityClassName="system-node-critical"), "default")
    assert made["spec"]["priority"] == 2_000_001_000
    assert made["spec"]["preemptionPolicy"] == "PreemptLowerPriority"


async def test_the_default_class_is_everybodys(server: InProcessServer, client: RestClient) -> None:
    fields = {"globalDefault": True, "preemptionPolicy": "Never"}
    await client.create(PRIORITY_CLASSES, priority_class("low", 7, **fields))
    await server.app.server.caches.wait_current()
    made = await client.create(PODS, pod(), "default")
    spec = made["spec"]
    assert (spec["priorityClassName"], spec["priority"]) == ("low", 7)
    assert spec["preemptionPolicy"] == "Never"
    with pytest.raises(
        Forbidden, match=r"PriorityClass low is already marked as default\. Only one"
    ):
        await client.create(PRIORITY_CLASSES, priority_class("other", 8, globalDefault=True))


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({"priorityClassName": "nope"}, "no PriorityClass with name nope was found"),
        (
            {"priority": 5},
            "the integer value of priority (5) must not be provided in pod spec; priority "
            "admission controller computed 0 from the given PriorityClass name",
        ),
        (
            {"preemptionPolicy": "Never"},
            "the string value of PreemptionPolicy (Never) must not be provided in pod spec; "
            "priority admission controller computed PreemptLowerPriority from the given "
            "PriorityClass name",
        ),
    ],
    ids=["no such class", "number given", "policy given"],
)
async def test_priorities_come_from_classes_only(client: RestClient, spec: Obj, why: str) -> None:
    with pytest.raises(Forbidden) as refused:
        await client.create(PODS, pod(**spec), "default")
    assert refused.value.message == f'pods "a" is forbidden: {why}'


# ---- RuntimeClass ----


async def test_a_pod_takes_over_what_its_runtime_class_says(
    server: InProcessServer, client: RestClient
) -> None:
    toleration = {"key": "k", "operator": "Exists"}
    server.put(
        RUNTIME_CLASSES,
        {
            "metadata": {"name": "r"},
            "handler": "h",
            "overhead": {"podFixed": {"cpu": "10m"}},
            "scheduling": {"nodeSelector": {"a": "b"}, "tolerations": [toleration]},
        },
    )
    made = await client.create(PODS, pod(runtimeClassName="r"), "default")
    assert made["spec"]["overhead"] == {"cpu": "10m"}
    assert made["spec"]["nodeSelector"] == {"a": "b"}
    assert toleration in made["spec"]["tolerations"]
    with pytest.raises(Forbidden, match=r"conflict: runtimeClass\.scheduling\.nodeSelector"):
        await client.create(PODS, pod(runtimeClassName="r", nodeSelector={"a": "c"}), "default")


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({"runtimeClassName": "nope"}, 'RuntimeClass "nope" not found'),
        (
            {"overhead": {"cpu": "1"}},
            "Pod Overhead set without corresponding RuntimeClass defined Overhead",
        ),
    ],
)
async def test_runtime_classes_that_are_none(client: RestClient, spec: Obj, why: str) -> None:
    with pytest.raises(Forbidden) as refused:
        await client.create(PODS, pod(**spec), "default")
    assert refused.value.message == f'pods "a" is forbidden: pod rejected: {why}'


# ---- default classes, growing claims ----


def _class(name: str, made: str, mark: str, **fields: Any) -> Obj:
    annotations = {mark: "true"}
    return {
        "metadata": {"name": name, "creationTimestamp": made, "annotations": annotations},
        **fields,
    }


async def test_the_newest_default_class_is_taken(
    server: InProcessServer, client: RestClient
) -> None:
    mark = "storageclass.kubernetes.io/is-default-class"
    server.put(STORAGE_CLASSES, _class("old", "2024-01-01T00:00:00Z", mark, provisioner="p"))
    server.put(STORAGE_CLASSES, _class("new", "2025-01-01T00:00:00Z", mark, provisioner="p"))
    mark = "ingressclass.kubernetes.io/is-default-class"
    server.put(INGRESS_CLASSES, _class("i", "2024-01-01T00:00:00Z", mark))
    await server.app.server.caches.wait_current()
    made = await client.create(PERSISTENT_VOLUME_CLAIMS, claim("1Gi"), "default")
    assert made["spec"]["storageClassName"] == "new"
    none = {**claim("1Gi", storageClassName=""), "metadata": {"name": "none"}}
    made = await client.create(PERSISTENT_VOLUME_CLAIMS, none, "default")
    assert made["spec"]["storageClassName"] == ""
    backend = {"service": {"name": "s", "port": {"number": 80}}}
    ingress = {"metadata": {"name": "i"}, "spec": {"defaultBackend": backend}}
    made = await client.create(INGRESSES, ingress, "default")
    assert made["spec"]["ingressClassName"] == "i"


@pytest.mark.parametrize(
    ("phase", "expandable", "why"),
    [
        ("Bound", True, ""),
        ("Bound", False, "only dynamically provisioned pvc can be resized"),
    ],
)
async def test_which_claims_may_grow(
    server: InProcessServer, client: RestClient, phase: str, expandable: bool, why: str
) -> None:
    server.put(
        STORAGE_CLASSES,
        {"metadata": {"name": "s"}, "provisioner": "p", "allowVolumeExpansion": expandable},
    )
    obj = claim("1Gi", storageClassName="s", volumeName="v", volumeMode="Filesystem")
    obj["metadata"]["namespace"] = "default"
    server.put(PERSISTENT_VOLUME_CLAIMS, {**obj, "status": {"phase": phase}})
    await server.app.server.caches.wait_current()
    patch = {"spec": {"resources": {"requests": {"storage": "2Gi"}}}}
    if not why:
        grown = await client.patch(PERSISTENT_VOLUME_CLAIMS, "n", patch, "default")
        assert grown["spec"]["resources"]["requests"] == {"storage": "2Gi"}
        return
    with pytest.raises(Forbidden, match=why):
        await client.patch(PERSISTENT_VOLUME_CLAIMS, "n", patch, "default")
