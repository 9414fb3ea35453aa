"""Paths of Unix sockets: the system takes about 100 bytes, folders of tests and clusters are often longer."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

_MAX_PATH_BYTES = 100


@contextlib.contextmanager
def short_path(path: Path) -> Iterator[str]:
    """A name for the socket `path` that the system takes: itself, or through its folder's descriptor (Linux)."""
    if len(os.fsencode(path)) <= _MAX_PATH_BYTES:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
