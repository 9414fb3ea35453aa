"""Layers over each other, and layers that mean harm."""

import io
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest

from controlplane.kubelet.images.oci.layers import LayerError, resolve, unpack


def layer(folder: Path, *entries: tuple[str, Any]) -> Path:
    """A tar: bytes are a file, text is a link to it, None a folder, ("hard", x) a hard link."""
    path = folder / f"layer-{len(list(folder.glob('layer-*')))}.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        for name, content in entries:
            info = tarfile.TarInfo(name)
            info.uid, info.gid = os.getuid(), os.getgid()
            info.mode = 0o644
            if content is None:
                info.type, info.mode = tarfile.DIRTYPE, 0o755
            elif isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
            elif isinstance(content, tuple):
                info.type, info.linkname = tarfile.LNKTYPE, content[1]
            else:
                info.size = len(content)
            tar.addfile(info, io.BytesIO(content) if isinstance(content, bytes) else None)
    return path


def tree(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): os.readlink(path) if path.is_symlink() else path.read_text()
        for path in sorted(root.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = tmp_path / "root"
    made.mkdir()
    return made


def test_later_layers_replace_and_remove(tmp_path: Path, root: Path) -> None:
    unpack(layer(tmp_path, ("etc", None), ("etc/a", b"1"), ("etc/b", b"2"), ("d/x", b"3")), root)
    unpack(layer(tmp_path, ("./etc/a", b"new"), ("etc/.wh.b", b""), ("d/y", b"4")), root)
    assert tree(root) == {"etc/a": "new", "d/x": "3", "d/y": "4"}
    unpack(layer(tmp_path, ("d/z", b"5"), ("d/.wh..wh..opq", b"")), root)
    assert tree(root) == {"etc/a": "new", "d/z": "5"}


def test_a_file_becomes_a_folder_and_a_folder_a_link(tmp_path: Path, root: Path) -> None:
    unpack(layer(tmp_path, ("a", b"1"), ("b/c", b"2")), root)
    unpack(layer(tmp_path, ("a", None), ("a/x", b"3"), ("b", "a")), root)
    assert tree(root) == {"a/x": "3", "b": "a"}


def test_hard_links(tmp_path: Path, root: Path) -> None:
    unpack(layer(tmp_path, ("a", b"1"), ("d/b", ("hard", "a"))), root)
    assert (root / "d/b").stat().st_ino == (root / "a").stat().st_ino


@pytest.mark.parametrize(
    "entries",
    [
        [("../out", b"x")],
        [("/out", b"x")],
        [("link", ".."), ("link/out", b"x")],
        [("link", "/../.."), ("link/out", b"x")],
        [("deep/link", "../../.."), ("deep/link/out", b"x")],
        [("out", "../out"), ("out", b"x")],
    ],
    ids=["dots", "absolute", "link up", "link root", "deep link", "over a link"],
)
def test_nothing_lands_outside(tmp_path: Path, root: Path, entries: list[tuple[str, Any]]) -> None:
    unpack(layer(tmp_path, *entries), root)
    assert not (tmp_path / "out").exists()
    assert "x" in tree(root).values()


def test_whiteouts_remove_nothing_outside(tmp_path: Path, root: Path) -> None:
    (tmp_path / "precious").write_text("kept")
    unpack(layer(tmp_path, ("link", ".."), ("link/.wh.precious", b"")), root)
    unpack(layer(tmp_path, ("up", "../.."), ("up/.wh..wh..opq", b"")), root)
    assert (tmp_path / "precious").read_text() == "kept"


def test_circles(root: Path) -> None:
    (root / "a").symlink_to("b")
    (root / "b").symlink_to("a")
    with pytest.raises(LayerError, match="too many links"):
        resolve(root, ["a", "x"])


def test_what_is_no_tar(tmp_path: Path, root: Path) -> None:
    (tmp_path / "junk").write_bytes(b"junk" * 1000)
    with pytest.raises(LayerError):
        unpack(tmp_path / "junk", root)
