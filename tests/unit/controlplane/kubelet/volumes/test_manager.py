"""Volumes of every type, made, refreshed and removed."""

from pathlib import Path
from typing import Any

import pytest

from controlplane.kubelet.containers.references import Token, TokenRequest
from controlplane.kubelet.images.image import Image
from controlplane.kubelet.runtimes.fake import FakeRuntime
from controlplane.kubelet.volumes.interface import VolumeError
from controlplane.kubelet.volumes.manager import VolumeManager
from controlplane.kubelet.volumes.registry import volume_plugins
from kvstore.base.clock import ManualClock


class Objects:
    """What the pod refers to."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], dict[str, Any]] = {
            ("ConfigMap", "settings"): {"data": {"a": "1"}, "binaryData": {"b": "AAE="}},
            ("Secret", "keys"): {"data": {"password": "aGk="}},
        }
        self.requests: list[TokenRequest] = []
        self.clock = ManualClock()

    async def get(self, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        assert namespace == ("" if kind == "PersistentVolume" else "ns")
        return self.objects.get((kind, name))

    async def token(self, request: TokenRequest) -> Token | None:
        self.requests.append(request)
        expires = self.clock.time() + request.expiration_seconds
        return Token(f"token-{len(self.requests)}", expires)


IMAGES = {"real": Image("real", rootfs="/store/real"), "busybox": Image("busybox")}


def pod(*volumes: dict[str, Any]) -> dict[str, Any]:
    return {
        "metadata": {"name": "p", "namespace": "ns", "uid": "u1", "labels": {"app": "x"}},
        "spec": {
            "serviceAccountName": "robot",
            "containers": [{"name": "c", "resources": {"limits": {"memory": "64Mi"}}}],
            "volumes": list(volumes),
        },
    }


class Node:
    """A manager with what it stands on."""

    def __init__(self, root: Path, *, groups: bool = True) -> None:
        self.root = root
        self.objects = Objects()
        self.runtime = runtime = FakeRuntime(self.objects.clock)
        self.manager = VolumeManager(
            root,
            volume_plugins(IMAGES.get),
            self.objects,
            self.objects.clock,
            runtime,
            groups=groups,
        )

    async def set_up(self, volume: dict[str, Any]) -> Path:
        return Path(await self.manager.set_up(pod(volume), volume, {}))


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


MEMORY = {"containerName": "c", "resource": "limits.memory", "divisor": "1Mi"}
ALL = {
    "sources": [
        {"configMap": {"name": "settings", "items": [{"key": "a", "path": "conf/a"}]}},
        {"secret": {"name": "keys"}},
        {"downwardAPI": {"items": [{"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}]}},
        {"serviceAccountToken": {"path": "token", "expirationSeconds": 600}},
    ]
}


@pytest.mark.parametrize(
    ("volume", "expected"),
    [
        ({"configMap": {"name": "settings"}}, {"a": "1", "b": "\x00\x01"}),
        ({"secret": {"secretName": "keys"}}, {"password": "hi"}),
        ({"configMap": {"name": "none", "optional": True}}, {}),
        ({"downwardAPI": {"items": [{"path": "m", "resourceFieldRef": MEMORY}]}}, {"m": "64"}),
        ({"projected": ALL}, {"conf/a": "1", "password": "hi", "name": "p", "token": "token-1"}),
    ],
    ids=["config_map", "secret", "optional", "downward", "projected"],
)
async def test_files(node: Node, volume: dict[str, Any], expected: dict[str, str]) -> None:
    place = await node.set_up({"name": "v", **volume})
    for name, text in expected.items():
        assert (place / name).read_text() == text
    names = {path.name for path in place.iterdir() if not path.name.startswith("..")}
    assert names == {name.partition("/")[0] for name in expected}


async def test_empty_dir_survives_the_kubelet(node: Node) -> None:
    volume = {"name": "v", "emptyDir": {}}
    place = await node.set_up(volume)
    assert place == node.root / "pods/u1/volumes/kubernetes.io~empty-dir/v"
    (place / "data").write_text("kept")
    again = Node(node.root)
    assert ((await again.set_up(volume)) / "data").read_text() == "kept"
    await again.manager.remove_orphans({"u1"})
    assert place.exists()
    await again.manager.remove_orphans(set())
    assert not (node.root / "pods/u1").exists()


@pytest.mark.parametrize(
    ("source", "allocatable", "size"),
    [
        ({}, "1Gi", 64 << 20),
        ({"sizeLimit": "1Mi"}, "1Gi", 1 << 20),
        ({"sizeLimit": "1Gi"}, "32Mi", 32 << 20),
        ({}, None, 64 << 20),
    ],
    ids=["limits_of_the_pod", "own_limit", "memory_of_the_node", "unknown_node"],
)
async def test_empty_dirs_in_memory(
    node: Node, source: dict[str, str], allocatable: str | None, size: int
) -> None:
    volume = {"name": "v", "emptyDir": {"medium": "Memory", **source}}
    facts = {} if allocatable is None else {"allocatable.memory": allocatable}
    place = await node.manager.set_up(pod(volume), volume, facts)
    assert node.runtime.memory == {place: size}


@pytest.mark.parametrize("groups", [True, False], ids=["with_groups", "without"])
async def test_volumes_belong_to_the_group(tmp_path: Path, groups: bool) -> None:
    node = Node(tmp_path, groups=groups)
    volumes = [
        {"name": "a", "emptyDir": {}},
        {"name": "b", "secret": {"secretName": "keys", "defaultMode": 0o400}},
    ]
    whole = pod(*volumes)
    whole["spec"]["securityContext"] = {"fsGroup": 1234}
    places = [Path(await node.manager.set_up(whole, volume, {})) for volume in volumes]
    made = str((places[1] / "..data").resolve())
    expected = {**dict.fromkeys(map(str, places), 1234), made: 1234}
    assert node.runtime.owned == (expected if groups else {})
    mode = (places[1] / "password").stat().st_mode & 0o777
    assert mode == (0o440 if groups else 0o400)


@pytest.mark.parametrize(
    ("kind", "made", "refused"),
    [
        ("DirectoryOrCreate", True, ""),
        ("FileOrCreate", True, ""),
        ("Directory", False, "not a directory"),
        ("File", False, "not a file"),
        ("Socket", False, "not a socket"),
        ("", False, ""),
    ],
)
async def test_host_paths(node: Node, tmp_path: Path, kind: str, made: bool, refused: str) -> None:
    path = tmp_path / "there"
    volume = {"name": "v", "hostPath": {"path": str(path), "type": kind}}
    if refused:
        with pytest.raises(VolumeError, match=refused):
            await node.set_up(volume)
    else:
        assert await node.set_up(volume) == path
    assert path.exists() == made
    await node.manager.tear_down("u1")
    assert path.exists() == made, "the path is not the pod's"


@pytest.mark.parametrize(
    ("volume", "message"),
    [
        ({"configMap": {"name": "none"}}, 'configmap "none" not found'),
        ({"secret": {"secretName": "keys", "items": [{"key": "x", "path": "x"}]}}, "non-existent"),
        ({"image": {"reference": "none"}}, 'image "none" is not on this node'),
        ({"image": {"reference": "busybox"}}, "stands for programs of the machine"),
        ({"emptyDir": {"medium": "Tape"}}, 'unknown storage medium "Tape"'),
        ({"iscsi": {}}, "volume type iscsi is not supported"),
        ({"projected": {"sources": [{"podCertificate": {}}]}}, "podCertificate is not supported"),
    ],
)
async def test_refusals(node: Node, volume: dict[str, Any], message: str) -> None:
    with pytest.raises(VolumeError, match=message):
        await node.set_up({"name": "v", **volume})


async def test_changes_arrive_and_tokens_are_renewed_before_they_end(node: Node) -> None:
    volume = {"name": "v", "projected": ALL}
    place = await node.set_up(volume)
    node.objects.objects["Secret", "keys"] = {"data": {"password": "YmFy"}}
    await node.objects.clock.advance(470)
    await node.manager.refresh(pod(volume), {})
    assert ((place / "password").read_text(), (place / "token").read_text()) == ("bar", "token-1")
    await node.objects.clock.advance(20)
    await node.manager.refresh(pod(volume), {})
    assert (place / "token").read_text() == "token-2"
    asked = node.objects.requests[0]
    assert (asked.service_account, asked.pod_uid, asked.expiration_seconds) == ("robot", "u1", 600)


async def test_what_vanished_stays_as_it_was(node: Node) -> None:
    volume = {"name": "v", "configMap": {"name": "settings"}}
    place = await node.set_up(volume)
    del node.objects.objects["ConfigMap", "settings"]
    await node.manager.refresh(pod(volume), {})
    assert (place / "a").read_text() == "1"


def bound_claim(source: dict[str, Any], **metadata: Any) -> dict[tuple[str, str], dict[str, Any]]:
    """A claim `c` and its volume `v`."""
    reference = {"namespace": "ns", "name": "c", "uid": "claim-1"}
    return {
        ("PersistentVolumeClaim", "c"): {
            "metadata": {"name": "c", "namespace": "ns", "uid": "claim-1"},
            "spec": {"volumeName": "v"},
            "status": {"phase": "Bound"},
        },
        ("PersistentVolume", "v"): {
            "metadata": {"name": "v", **metadata},
            "spec": {"claimRef": reference, "accessModes": ["ReadWriteOnce"], **source},
        },
    }


CLAIM = {"name": "data", "persistentVolumeClaim": {"claimName": "c"}}


async def test_a_claims_data_stay_when_the_pod_goes(node: Node, tmp_path: Path) -> None:
    folder = tmp_path / "volumes" / "v"
    node.objects.objects |= bound_claim(
        {"hostPath": {"path": str(folder), "type": "DirectoryOrCreate"}},
        annotations={"pv.kubernetes.io/provisioned-by": "quorate/local-path"},
    )
    made = await node.set_up(CLAIM)
    assert made == folder
    assert made.stat().st_mode & 0o777 == 0o777
    (made / "index.html").write_text("Hello Students")
    await node.manager.tear_down("u1")
    assert (await node.set_up(CLAIM) / "index.html").read_text() == "Hello Students"


async def test_row_138_host_paths_that_the_machine_lacks_are_the_nodes_own(node: Node) -> None:
    volume = {"name": "v", "hostPath": {"path": "/no-such-folder/demo"}}
    made = await node.set_up(volume)
    assert made == node.root / "host/no-such-folder/demo"
    assert made.is_dir()


async def test_a_local_volume_must_be_there(node: Node, tmp_path: Path) -> None:
    node.objects.objects |= bound_claim({"local": {"path": str(tmp_path / "disk")}})
    with pytest.raises(VolumeError, match="does not exist"):
        await node.set_up(CLAIM)
    (tmp_path / "disk").mkdir()
    assert await node.set_up(CLAIM) == tmp_path / "disk"


async def test_an_ephemeral_volume_is_the_pods_own_claim(node: Node, tmp_path: Path) -> None:
    made = bound_claim({"hostPath": {"path": str(tmp_path)}})
    claim = made.pop(("PersistentVolumeClaim", "c"))
    node.objects.objects |= made | {("PersistentVolumeClaim", "p-data"): claim}
    volume = {"name": "data", "ephemeral": {"volumeClaimTemplate": {}}}
    with pytest.raises(VolumeError, match="was not created for pod"):
        await node.set_up(volume)
    claim["metadata"]["ownerReferences"] = [{"uid": "u1", "controller": True}]
    assert await node.set_up(volume) == tmp_path


UNUSABLE = {
    "no_claim": (lambda objects: objects.pop(("PersistentVolumeClaim", "c")), "not found"),
    "not_bound": (
        lambda objects: objects[("PersistentVolumeClaim", "c")].update(status={"phase": "Pending"}),
        "PVC is not bound",
    ),
    "no_volume": (lambda objects: objects.pop(("PersistentVolume", "v")), "failed to get PV v"),
    "ending": (
        lambda objects: objects[("PersistentVolumeClaim", "c")]["metadata"].update(
            deletionTimestamp="2024-01-01T00:00:00Z"
        ),
        "PVC is being deleted",
    ),
    "anothers": (
        lambda objects: objects[("PersistentVolume", "v")]["spec"]["claimRef"].update(uid="x"),
        "bound to another claim",
    ),
    "a_driver_that_is_not_there": (
        lambda objects: objects[("PersistentVolume", "v")]["spec"].update(
            hostPath=None, nfs={"server": "s"}
        ),
        "volume type .*nfs is not supported",
    ),
}


@pytest.mark.parametrize(("spoil", "words"), UNUSABLE.values(), ids=UNUSABLE)
async def test_claims_that_cannot_be_had(
    node: Node, tmp_path: Path, spoil: Any, words: str
) -> None:
    node.objects.objects |= bound_claim({"hostPath": {"path": str(tmp_path)}})
    spoil(node.objects.objects)
    with pytest.raises(VolumeError, match=words):
        await node.set_up(CLAIM)


async def test_images_as_volumes(node: Node) -> None:
    assert await node.set_up({"name": "v", "image": {"reference": "real"}}) == Path("/store/real")
