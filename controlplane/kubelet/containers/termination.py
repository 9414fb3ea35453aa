"""The last words of a container: a file it writes, or the end of its log."""

import os
from pathlib import Path

MAX_BYTES = 4096
"""Of the file; source: pkg/kubelet/container (MaxContainerTerminationMessageLength)."""
MAX_LOG_BYTES = 2048
MAX_LOG_LINES = 80
DEFAULT_PATH = "/dev/termination-log"


def prepare(path: Path) -> None:
    """Make the empty file that any user of the container may write."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    os.chmod(path, 0o666)


def read(path: Path) -> str:
    """What the container wrote; "" for nothing, and for what is no plain file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return ""
    with open(descriptor, "rb") as file:
        size = os.fstat(descriptor).st_size
        return file.read(min(size, MAX_BYTES)).decode(errors="replace")
