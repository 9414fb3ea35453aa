"""What passes between kubelet and spawner: JSON messages, with file descriptors, over a socket that keeps boundaries.

A message longer than a datagram may be travels in a memory file, whose descriptor comes first.
"""

import array
import json
import os
import socket
from pathlib import Path
from typing import Any

Message = dict[str, Any]

SOCKET_NAME = "spawner.sock"
_INLINE_BYTES = 60_000
_MOST_DESCRIPTORS = 8
_IN_MEMORY = b"m"
_INLINE = b"j"


class Gone(ConnectionError):
    """The other side has closed."""


def send(connection: socket.socket, message: Message, descriptors: tuple[int, ...] = ()) -> None:
    """Send a message; the descriptors stay the sender's. Raises OSError."""
    data = json.dumps(message).encode()
    if len(data) <= _INLINE_BYTES:
        _send(connection, _INLINE + data, descriptors)
        return
    memory = os.memfd_create("message")
    try:
        with open(memory, "wb", closefd=False) as file:
            file.write(data)
        _send(connection, _IN_MEMORY, (memory, *descriptors))
    finally:
        os.close(memory)


def _send(connection: socket.socket, data: bytes, descriptors: tuple[int, ...]) -> None:
    rights = array.array("i", descriptors)
    ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)] if descriptors else []
    connection.sendmsg([data], ancillary)


def receive(connection: socket.socket) -> tuple[Message, list[int]]:
    """The next message and its descriptors, which are the receiver's now. Raises Gone and OSError."""
    data, ancillary, _, _ = connection.recvmsg(
        _INLINE_BYTES + 1, socket.CMSG_SPACE(_MOST_DESCRIPTORS * 4), socket.MSG_CMSG_CLOEXEC
    )
    descriptors: list[int] = []
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            numbers = array.array("i")
            numbers.frombytes(content[: len(content) - len(content) % numbers.itemsize])
            descriptors += numbers
    if not data:
        raise Gone
    if data[:1] == _INLINE:
        return json.loads(data[1:]), descriptors
    memory = descriptors.pop(0)
    with open(memory, "rb") as file:
        file.seek(0)
        return json.loads(file.read()), descriptors


def listen(directory: Path) -> socket.socket:
    """A socket in `directory`; in place of one that nobody listens on any more."""
    path = directory / SOCKET_NAME
    path.unlink(missing_ok=True)
    made = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with _Near(directory) as place:
        made.bind(f"{place}/{SOCKET_NAME}")
    path.chmod(0o600)
    made.listen(8)
    return made


def connect(directory: Path) -> socket.socket:
    """A connection to the spawner of `directory`. Raises OSError when there is none."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        with _Near(directory) as place:
            made.connect(f"{place}/{SOCKET_NAME}")
    except BaseException:
        made.close()
        raise
    return made


class _Near:
    """A short name of a directory, as socket paths hold no more than 107 bytes."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def __enter__(self) -> str:
        self._descriptor = os.open(self._directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        return f"/proc/self/fd/{self._descriptor}"

    def __exit__(self, *error: object) -> None:
        os.close(self._descriptor)
