"""Which paths of the node a container sees."""

from pathlib import Path
from typing import Any

import pytest

from controlplane.kubelet.containers.mounts import container_mounts
from controlplane.kubelet.containers.references import ConfigError
from controlplane.kubelet.runtimes.interface import Mount


def mounts(volume: Path, **entry: Any) -> tuple[Mount, ...]:
    container = {"volumeMounts": [{"name": "v", "mountPath": "/data", **entry}]}
    return container_mounts(container, {"v": str(volume)}, {"POD": "p-1"})


def test_a_volume_at_its_path(tmp_path: Path) -> None:
    assert mounts(tmp_path, readOnly=True) == (Mount("v", str(tmp_path), "/data", True),)


def test_sub_paths_are_made(tmp_path: Path) -> None:
    assert mounts(tmp_path, subPathExpr="logs/$(POD)")[0].host_path == f"{tmp_path}/logs/p-1"
    assert (tmp_path / "logs/p-1").is_dir()


@pytest.mark.parametrize("sub_path", ["../x", "/etc", "a/../../x", "out", "out/deeper"])
def test_sub_paths_cannot_leave_the_volume(tmp_path: Path, sub_path: str) -> None:
    volume = tmp_path / "v"
    volume.mkdir()
    (volume / "out").symlink_to("/etc")
    with pytest.raises(ConfigError, match="subPath"):
        mounts(volume, subPath=sub_path)


def test_links_within_the_volume_are_followed(tmp_path: Path) -> None:
    (tmp_path / "..data").mkdir()
    (tmp_path / "..data" / "key").write_text("v")
    (tmp_path / "key").symlink_to("..data/key")
    assert mounts(tmp_path, subPath="key")[0].host_path == f"{tmp_path}/..data/key"


def test_a_volume_the_pod_does_not_have() -> None:
    with pytest.raises(ConfigError, match="not available"):
        container_mounts({"volumeMounts": [{"name": "x", "mountPath": "/d"}]}, {}, {})


def test_sub_paths_of_volumes_that_the_runtime_alone_sees() -> None:
    container = {"volumeMounts": [{"name": "v", "mountPath": "/data", "subPath": "a/b"}]}
    shown = container_mounts(container, {"v": "/x"}, {}, in_memory={"v"})
    assert shown == (Mount("v", "/x", "/data", sub_path="a/b"),)
    container["volumeMounts"][0]["subPath"] = "../b"
    with pytest.raises(ConfigError, match="subPath"):
        container_mounts(container, {"v": "/x"}, {}, in_memory={"v"})


def test_volumes_that_nobody_may_write() -> None:
    container = {"volumeMounts": [{"name": "v", "mountPath": "/data"}]}
    shown = container_mounts(container, {"v": "/x"}, {}, only_read={"v"})
    assert shown == (Mount("v", "/x", "/data", read_only=True),)
