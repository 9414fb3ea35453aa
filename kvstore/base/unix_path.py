"""Paths of Unix sockets: the system takes about 100 bytes, folders of tests and clusters are often longer."""

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

_MAX_PATH_BYTES = 100
_MASK = threading.Lock()


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

    Linux gives the file the mode of the socket, so it is set there. Systems that refuse that (EINVAL) know only the
    mask of the process, which is everybody's: one at a time sets it, and does not wait meanwhile.
    """
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with short_path(path) as name:
            try:
                os.fchmod(bound.fileno(), 0o600)
            except OSError:
                _bind_masked(bound, name)
            else:
                bound.bind(name)
    except BaseException:
        bound.close()
        raise
    bound.setblocking(False)
    return bound


def _bind_masked(bound: socket.socket, name: str) -> None:
    with _MASK:
        before = os.umask(0o177)
        try:
            bound.bind(name)
        finally:
            os.umask(before)
