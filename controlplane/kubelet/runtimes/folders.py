"""Folders that a node's containers write: in memory or not, owned, measured and deleted from inside its user namespace.

Volumes in memory are mounted where only the spawner and its children see them.
"""

import contextlib
import os
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from controlplane.kubelet import syscalls

_READ_WRITE, _READ = 0o660, 0o440
_ENTER = 0o110


def mount_memory(path: str, size_bytes: int) -> None:
    """Put a file system in memory at a folder; nothing happens where there is one. 0: half of the machine's memory."""
    if path in _mounted_at_or_below(path):
        return
    size = f",size={size_bytes}" if size_bytes else ""
    syscalls.mount("tmpfs", path, "tmpfs", 0, f"mode=0777{size}")


def own_tree(path: str, group: int, *, read_only: bool, only_on_mismatch: bool) -> None:
    """Give a volume, with all in it, to a group: it reads and, unless `read_only`, writes all of it.

    New files go to the group too; what cannot be given away stays as it is. With `only_on_mismatch` nothing is done
    for a volume whose top looks right. Source of the modes: pkg/volume/volume_linux.go.
    """
    files = _READ if read_only else _READ_WRITE
    folders = files | _ENTER | stat.S_ISGID
    top = os.lstat(path)
    if (
        only_on_mismatch
        and stat.S_ISDIR(top.st_mode)
        and top.st_gid == group
        and top.st_mode & folders == folders
    ):
        return
    for name, found in _deepest_first(path):
        with contextlib.suppress(OSError):
            os.chown(name, -1, group, follow_symlinks=False)
            if not stat.S_ISLNK(found.st_mode):
                wanted = folders if stat.S_ISDIR(found.st_mode) else files
                os.chmod(name, stat.S_IMODE(found.st_mode) | wanted)


def used_bytes(path: str) -> int:
    """What a folder takes on its disk; a file of several names counts once, and what vanishes meanwhile is left out."""
    seen: set[tuple[int, int]] = set()
    total = 0
    if not os.path.lexists(path):
        return 0
    for _, found in _deepest_first(path):
        if (found.st_dev, found.st_ino) not in seen:
            seen.add((found.st_dev, found.st_ino))
            total += found.st_blocks * 512
    return total


def remove_tree(path: Path) -> None:
    """Delete a folder, whatever its modes and what is mounted in it. A part that cannot be deleted stays."""
    import shutil

    for mounted in _mounted_at_or_below(str(path)):
        with contextlib.suppress(OSError):
            syscalls.unmount(mounted)

    def retry(function: Callable[..., object], name: str, error: object) -> None:
        try:
            os.chmod(os.path.dirname(name), 0o700)
            if os.path.isdir(name) and not os.path.islink(name):
                os.chmod(name, 0o700)
            function(name)
        except OSError:
            return

    shutil.rmtree(path, onerror=retry)


def _deepest_first(path: str) -> Iterator[tuple[str, os.stat_result]]:
    found = os.lstat(path)
    if stat.S_ISDIR(found.st_mode):
        with contextlib.suppress(OSError):
            for name in os.listdir(path):
                with contextlib.suppress(FileNotFoundError):
                    yield from _deepest_first(f"{path}/{name}")
    yield path, found


def _mounted_at_or_below(path: str) -> list[str]:
    """Mount points, the deepest first."""
    lines = Path("/proc/self/mountinfo").read_text(errors="surrogateescape").splitlines()
    points = [_plain(line.split()[4]) for line in lines]
    found = {point for point in points if point == path or point.startswith(f"{path}/")}
    return sorted(found, key=len, reverse=True)


def _plain(escaped: str) -> str:
    """A path without the octal escapes of /proc."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match.group(1), 8)), escaped)
