"""What is in an image file or folder: an OCI layout, or what `docker save` writes, as a folder or as a tar of it.

Source of the forms: OCI image-spec v1 (image-layout, manifest, config), Docker image specification v1.2.
"""

import contextlib
import hashlib
import json
import platform
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm"}
_NAME = "org.opencontainers.image.ref.name"
_FULL_NAME = "io.containerd.image.name"


class ArchiveError(Exception):
    """It is no image, or one that is damaged or for other machines; the message says which."""


@dataclass(frozen=True, slots=True)
class Found:
    """An image of an archive; its layers are files, the lowest first."""

    names: Sequence[str]
    digest: str
    """Of its manifest, or of its config where there is none."""
    config: Mapping[str, Any]
    layers: Sequence[Path]


@contextlib.contextmanager
def opened(path: Path, workspace: Path) -> Iterator[list[Found]]:
    """The images of an archive; a tar is unpacked below `workspace` for that long. Raises ArchiveError."""
    if path.is_dir():
        yield read_folder(path)
        return
    with tempfile.TemporaryDirectory(prefix="archive-", dir=workspace) as folder:
        try:
            with tarfile.open(path) as tar:
                tar.extractall(folder, filter="data")
        except (tarfile.TarError, OSError, EOFError) as problem:
            raise ArchiveError(f"{path}: {problem}") from problem
        yield read_folder(Path(folder))


def read_folder(folder: Path) -> list[Found]:
    """The images of an unpacked archive. Raises ArchiveError."""
    try:
        if (folder / "index.json").exists():
            index = json.loads((folder / "index.json").read_bytes())
            return [found for entry in index["manifests"] for found in _entry(folder, entry, ())]
        if (folder / "manifest.json").exists():
            entries = json.loads((folder / "manifest.json").read_bytes())
            return [_saved(folder, entry) for entry in entries]
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise ArchiveError(f"{folder}: damaged: {problem!r}") from problem
    raise ArchiveError(f"{folder}: neither an OCI layout nor a saved Docker image")


def _entry(folder: Path, entry: Mapping[str, Any], names: Sequence[str]) -> list[Found]:
    notes = entry.get("annotations") or {}
    own = [str(notes[key]) for key in (_FULL_NAME, _NAME) if notes.get(key)][:1]
    names = own or list(names)
    content = _blob(folder, entry["digest"]).read_bytes()
    document = json.loads(content)
    if "manifests" in document:
        chosen = fitting(document["manifests"])
        if chosen is None:
            raise ArchiveError(f"{' '.join(names)}: not for {platform.machine()}")
        return _entry(folder, {**chosen, "annotations": {}}, names)
    config = json.loads(_blob(folder, document["config"]["digest"]).read_bytes())
    layers = [_blob(folder, layer["digest"]) for layer in document["layers"]]
    return [Found(names, entry["digest"], config, layers)]


def _saved(folder: Path, entry: Mapping[str, Any]) -> Found:
    content = _inside(folder, entry["Config"]).read_bytes()
    layers = [_inside(folder, layer) for layer in entry["Layers"]]
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    return Found(list(entry.get("RepoTags") or ()), digest, json.loads(content), layers)


def fitting(entries: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The entry of an index that is for this kind of machine; None if there is none."""
    return next((one for one in entries if _fits(one.get("platform") or {})), None)


def _fits(wanted: Mapping[str, Any]) -> bool:
    machine = _ARCHITECTURES.get(platform.machine(), platform.machine())
    return wanted.get("os", "linux") == "linux" and wanted.get("architecture") == machine


def _blob(folder: Path, digest: str) -> Path:
    algorithm, _, value = digest.partition(":")
    path = _inside(folder, f"blobs/{algorithm}/{value}")
    if algorithm == "sha256":
        with open(path, "rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != value:
                raise ArchiveError(f"{path}: its content is not what its name says")
    return path


def _inside(folder: Path, name: str) -> Path:
    if ".." in PurePosixPath(name).parts or name.startswith("/"):
        raise ArchiveError(f"{name!r} leads out of the archive")
    return folder / name
