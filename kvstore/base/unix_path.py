"""Paths of Unix sockets: the system takes about 100 bytes, folders of tests and clusters are often longer."""

import contextlib
import os
import socket
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


def private_socket(path: Path) -> socket.socket:
    """A socket bound to `path` that only the owner may open; the caller listens on it. Raises OSError.

    The mask is the whole process's, so nothing else must run while it is set: that is why binding does not wait.
    """
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        with short_path(path) as name:
            bound.bind(name)
    except BaseException:
        bound.close()
        raise
    finally:
        os.umask(before)
    bound.setblocking(False)
    return bound
