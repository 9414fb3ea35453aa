"""Layers unpacked over each other into one folder, with what later ones remove of earlier ones taken away.

Layers come from strangers: a path is always taken within the folder, also through links that a layer has made, and
devices are left out. Owners are kept where this process may give files away, that is for root.

Source of the form: OCI image-spec v1, layer.md (whiteouts, opaque whiteouts).
"""

import contextlib
import os
import shutil
import stat
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"
_MOST_LINKS = 40
_ZSTD = b"\x28\xb5\x2f\xfd"


class LayerError(Exception):
    """A layer that cannot be unpacked."""


def unpack(layer: Path, root: Path) -> None:
    """Put one layer over what `root` holds. Raises LayerError."""
    modes: dict[Path, int] = {}
    own: set[Path] = set()
    try:
        with _plain(layer) as file, tarfile.open(fileobj=file) as tar:
            for member in tar:
                _put(tar, member, root, modes, own)
    except (tarfile.TarError, OSError, EOFError) as problem:
        raise LayerError(f"{layer.name}: {problem}") from problem
    for folder, mode in modes.items():
        with contextlib.suppress(FileNotFoundError):
            folder.chmod(mode)


@contextlib.contextmanager
def _plain(layer: Path) -> Iterator[IO[bytes]]:
    """A layer's tar, or what `tarfile` makes one of; zstd it does not know, so a program has to."""
    with open(layer, "rb") as file:
        is_zstd = file.read(4) == _ZSTD
        file.seek(0)
        if not is_zstd:
            yield file
            return
        program = shutil.which("zstd")
        if program is None:
            raise LayerError(f"{layer.name}: it takes the program zstd to unpack it")
        with tempfile.TemporaryFile() as plain:
            done = subprocess.run([program, "-dc"], stdin=file, stdout=plain, check=False)
            if done.returncode:
                raise LayerError(f"{layer.name}: zstd cannot unpack it")
            plain.seek(0)
            yield plain


def _put(
    tar: tarfile.TarFile,
    member: tarfile.TarInfo,
    root: Path,
    modes: dict[Path, int],
    own: set[Path],
) -> None:
    pure = PurePosixPath("/", member.name)
    parts = [part for part in pure.parts[1:] if part not in ("", ".", "..")]
    if not parts:
        return
    parent = resolve(root, parts[:-1])
    if parts[-1].startswith(_WHITEOUT):
        _take_away(parent, parts[-1], own)
        return
    parent.mkdir(parents=True, exist_ok=True)
    if not os.access(parent, os.W_OK):
        # Of an earlier layer, and this is not root: opened for now.
        modes.setdefault(parent, stat.S_IMODE(parent.stat().st_mode))
        parent.chmod(0o700)
    place = parent / parts[-1]
    own.update((place, *(one for one in place.parents if root in one.parents)))
    if member.isdir():
        if not place.is_dir() or place.is_symlink():
            _remove(place)
            place.mkdir()
        # Writable until all is in it.
        modes[place] = stat.S_IMODE(member.mode)
        place.chmod(0o700)
        _give(place, member)
    else:
        _remove(place)
        _make(tar, member, root, place)


def _take_away(parent: Path, name: str, own: set[Path]) -> None:
    """What a whiteout says: one entry, or all that earlier layers put into a folder."""
    if name != _OPAQUE:
        _remove(parent / name.removeprefix(_WHITEOUT))
        return
    for entry in list(parent.iterdir()) if parent.is_dir() else ():
        if entry not in own:  # What this layer itself brought stays.
            _remove(entry)


def _make(tar: tarfile.TarFile, member: tarfile.TarInfo, root: Path, place: Path) -> None:
    """Anything but a folder."""
    if member.issym():
        place.symlink_to(member.linkname)
        _give(place, member)
        return
    if member.islnk():
        target = [p for p in PurePosixPath("/", member.linkname).parts[1:] if p not in (".", "..")]
        os.link(resolve(root, target[:-1]) / target[-1], place, follow_symlinks=False)
        return
    if member.isfifo():
        os.mkfifo(place)
    elif member.isreg():
        source = tar.extractfile(member)
        if source is None:
            raise LayerError(f"{member.name}: no content")
        with open(place, "xb") as file:
            shutil.copyfileobj(source, file, 1024 * 1024)
    else:
        return  # Devices: containers get their own.
    _give(place, member)
    place.chmod(stat.S_IMODE(member.mode))


def resolve(root: Path, parts: list[str]) -> Path:
    """A path below `root` with all links followed as if `root` were the root. Raises LayerError for circles."""
    left, place, links = list(reversed(parts)), root, 0
    while left:
        part = left.pop()
        if part in ("", "."):
            continue
        if part == "..":
            place = place if place == root else place.parent
            continue
        step = place / part
        if not step.is_symlink():
            place = step
            continue
        links += 1
        if links > _MOST_LINKS:
            raise LayerError(f"{'/'.join(parts)}: too many links")
        target = os.readlink(step)
        place = root if target.startswith("/") else place
        left.extend(reversed(target.split("/")))
    return place


def _give(place: Path, member: tarfile.TarInfo) -> None:
    with contextlib.suppress(PermissionError):
        os.chown(place, member.uid, member.gid, follow_symlinks=False)


def _remove(place: Path) -> None:
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    else:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            place.unlink()
