"""Directories made of API objects: changed as one, whatever readers hold open."""

import os
from pathlib import Path

import pytest

from controlplane.kubelet.containers.references import ConfigError
from controlplane.kubelet.volumes.interface import File
from controlplane.kubelet.volumes.payload import checked_path, select, write_files

NOW = 1_700_000_000.0


def shown(directory: Path) -> dict[str, str]:
    names = [name for name in os.listdir(directory) if not name.startswith("..")]
    files = [path for name in names for path in _files(directory / name)]
    return {str(path.relative_to(directory)): path.read_text() for path in files}


def _files(path: Path) -> list[Path]:
    return sorted(path.glob("**/*")) if path.is_dir() else [path]


async def test_changes_swap_the_data_directory(tmp_path: Path) -> None:
    assert await write_files(tmp_path, {"a": File(b"1", 0o644), "d/b": File(b"2", 0o600)}, NOW)
    assert shown(tmp_path) == {"a": "1", "d/b": "2"}
    assert os.readlink(tmp_path / "a") == "..data/a"
    assert os.readlink(tmp_path / "..data").startswith("..2023_11_14_22_13_20.")
    assert (tmp_path / "d/b").stat().st_mode & 0o777 == 0o600
    before = os.readlink(tmp_path / "..data")

    assert await write_files(tmp_path, {"a": File(b"3", 0o644), "c": File(b"4", 0o644)}, NOW)
    assert shown(tmp_path) == {"a": "3", "c": "4"}
    assert not (tmp_path / before).exists()


async def test_nothing_is_touched_when_nothing_changed(tmp_path: Path) -> None:
    files = {"a": File(b"1", 0o644)}
    await write_files(tmp_path, files, NOW)
    before = os.readlink(tmp_path / "..data")
    assert not await write_files(tmp_path, files, NOW + 60)
    assert os.readlink(tmp_path / "..data") == before
    assert await write_files(tmp_path, {"a": File(b"1", 0o400)}, NOW)


@pytest.mark.parametrize("path", ["../x", "/x", "a/../../b", "", "..data/a"])
def test_paths_out_of_the_volume(path: str) -> None:
    with pytest.raises(ConfigError, match="invalid path"):
        checked_path(path)


def test_items_choose_and_name() -> None:
    data = {"a": b"1", "b": b"2"}
    items = [{"key": "a", "path": "x/y", "mode": 0o400}]
    assert select(data, items, 0o644, optional=False, what="configmap") == {
        "x/y": File(b"1", 0o400)
    }
    missing = [{"key": "c", "path": "c"}]
    assert select(data, missing, 0o644, optional=True, what="configmap") == {}
    with pytest.raises(ConfigError, match="configmap references non-existent config key: c"):
        select(data, missing, 0o644, optional=False, what="configmap")
