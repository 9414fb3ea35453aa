"""Volumes made of files: what goes into them, and how a directory is changed under the eyes of its readers.

As upstream's, the directory holds a link per top-level name into `..data`, itself a link to a directory with a time in
its name. A change makes a new such directory and swaps `..data` by one rename: readers see all of it or nothing.
"""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from controlplane.api.meta import View
from controlplane.kubelet.containers.references import ConfigError
from controlplane.kubelet.volumes.interface import File, FileSource, Request

DEFAULT_MODE = 0o644
_DATA = "..data"


class FilesVolume:
    """See `VolumePlugin`: the volume type of one source of files."""

    def __init__(self, source: FileSource) -> None:
        self.name = source.name
        self._source = source

    def can_handle(self, volume: View) -> bool:
        """See `VolumePlugin`."""
        return volume.get(self._source.key) is not None

    async def set_up(self, request: Request) -> Path:
        """See `VolumePlugin`."""
        wanted = request.volume[self._source.key]
        mode = default_mode(wanted)
        files = await self._source.files(request, wanted, mode)
        if request.group is not None:
            files = {path: _for_group(file) for path, file in files.items()}

        async def own(made: Path) -> None:
            await request.own(made, read_only=True)

        if await write_files(request.directory, files, request.now, own):
            await own(request.directory)
        return request.directory

    async def refresh(self, request: Request) -> None:
        """See `VolumePlugin`."""
        await self.set_up(request)

    async def tear_down(self, directory: Path) -> None:
        """See `VolumePlugin`."""


def _for_group(file: File) -> File:
    """What ownership by the pod's group makes of its mode."""
    return replace(file, mode=file.mode | 0o440)


def default_mode(source: View) -> int:
    """The mode of files that name none."""
    mode = source.get("defaultMode")
    return DEFAULT_MODE if mode is None else int(mode)


def select(
    data: Mapping[str, bytes], items: Any, mode: int, *, optional: bool, what: str
) -> dict[str, File]:
    """All entries under their keys, or those that `items` names under its paths. Raises ConfigError."""
    if not items:
        return {key: File(value, mode) for key, value in data.items()}
    files = {}
    for item in items:
        if item["key"] not in data:
            if optional:
                continue
            raise ConfigError(f"{what} references non-existent config key: {item['key']}")
        own = item.get("mode")
        files[checked_path(item["path"])] = File(data[item["key"]], mode if own is None else own)
    return files


def checked_path(path: str) -> str:
    """A path that stays below the volume. Raises ConfigError for any other."""
    pure = PurePosixPath(path)
    if not path or pure.is_absolute() or ".." in pure.parts or path.startswith(".."):
        raise ConfigError(f"invalid path {path!r} in a volume")
    return str(pure)


async def write_files(
    directory: Path,
    files: Mapping[str, File],
    now: float,
    own: Callable[[Path], Awaitable[None]] | None = None,
) -> bool:
    """Make the directory hold exactly `files`; false if it does already.

    `own` is called with the new directory before readers see it.
    """
    data = directory / _DATA
    before = os.readlink(data) if data.is_symlink() else ""
    if before and _read(directory / before) == dict(files):
        return False
    stamp = datetime.fromtimestamp(now, UTC).strftime("..%Y_%m_%d_%H_%M_%S.")
    made = Path(tempfile.mkdtemp(prefix=stamp, dir=directory))
    made.chmod(0o755)
    for path, file in files.items():
        place = made / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(file.content)
        place.chmod(file.mode)
    if own is not None:
        await own(made)
    swap = directory / "..data_tmp"
    with contextlib.suppress(FileNotFoundError):
        swap.unlink()
    swap.symlink_to(made.name)
    os.replace(swap, data)
    _link_names(directory, {PurePosixPath(path).parts[0] for path in files})
    if before:
        shutil.rmtree(directory / before, ignore_errors=True)
    return True


def _link_names(directory: Path, names: set[str]) -> None:
    for name in names:
        place = directory / name
        if not place.is_symlink():
            place.symlink_to(f"{_DATA}/{name}")
    for place in list(directory.iterdir()):
        if not place.name.startswith("..") and place.name not in names:
            place.unlink()


def _read(directory: Path) -> dict[str, File]:
    files = {}
    for place in directory.rglob("*"):
        if place.is_file():
            mode = place.stat().st_mode & 0o7777
            try:
                files[str(place.relative_to(directory))] = File(place.read_bytes(), mode)
            except PermissionError:
                return {}  # A mode that keeps even its owner out: written anew each time.
    return files
