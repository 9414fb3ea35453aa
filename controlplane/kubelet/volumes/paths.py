"""Paths of the host, checked for their type and made where the type says so."""

import os
import stat
from pathlib import Path

from controlplane.api.meta import View
from controlplane.kubelet.volumes.interface import VolumeError

_CHECKS = {
    "Directory": (stat.S_ISDIR, "a directory"),
    "DirectoryOrCreate": (stat.S_ISDIR, "a directory"),
    "File": (stat.S_ISREG, "a file"),
    "FileOrCreate": (stat.S_ISREG, "a file"),
    "Socket": (stat.S_ISSOCK, "a socket file"),
    "CharDevice": (stat.S_ISCHR, "a character device"),
    "BlockDevice": (stat.S_ISBLK, "a block device"),
}


def place(source: View, root: Path | None) -> Path:
    """Where a host path is, made if need be. Raises VolumeError, OSError.

    A path in a folder that this machine does not have, or that is not ours to write to, lies below `root`: several
    nodes of one machine do not share what pods make there, and an ordinary user can run the node.
    """
    asked, kind = Path(str(source.get("path", ""))), source.get("type") or ""
    is_moved = root is not None and not asked.exists() and not os.access(asked.parent, os.W_OK)
    path = root / str(asked).lstrip("/") if is_moved and root is not None else asked
    if not path.exists():
        if kind == "DirectoryOrCreate" or (not kind and is_moved):
            # Without a type the runtime makes it, as upstream's do.
            path.mkdir(mode=0o755, parents=True, exist_ok=True)
        elif kind == "FileOrCreate":
            # The folder must exist: upstream makes the file alone.
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o644))
    if kind in _CHECKS:
        is_kind, words = _CHECKS[kind]
        if not path.exists() or not is_kind(path.stat().st_mode):
            raise VolumeError(f"hostPath type check failed: {asked} is not {words}")
    return path
