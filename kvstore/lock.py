"""The lock on a data directory: two processes on one log would destroy it."""

import fcntl
import os
from pathlib import Path

from kvstore.bootstrap import StartError


class DataDirLock:
    """An exclusive lock on a data directory, held as long as the process lives."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / "lock"
        self._fd: int | None = None

    def acquire(self) -> None:
        """Create the directory and lock it. Raises StartError if another process has it."""
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StartError(
                f"--data-dir: cannot use {self._path.parent}: {error.strerror}"
            ) from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(fd, 32).decode(errors="replace").strip()
            os.close(fd)
            raise StartError(
                f"--data-dir: {self._path.parent} is in use by another member"
                + (f" (pid {holder})" if holder else "")
            ) from error
        os.ftruncate(fd, 0)
        os.write(fd, f"{os.getpid()}\n".encode())
        self._fd = fd

    def release(self) -> None:
        """Unlock. Idempotent."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
