"""Faults of the disk: a `Files` that is slow, full, failing, read-only, or forgets on kill -9 what was not synced.

What the page cache hides from a killed process, `torn_on_kill` shows: written bytes are held back until their fsync.
Of a held-back write every 512-byte sector reaches the file at once or not, by chance, as a disk without power leaves
it; a rename waits for the fsync of its folder. Reading through the path sees what a crash at that moment would leave.

An error here is an OSError with the system's own number, so that no code can tell it from a real one.
"""

import errno
import os
import random
import threading
from collections.abc import Callable
from pathlib import Path

from kvstore.base.files import Files
from kvstore.faults.kinds import DiskFault

SECTOR_BYTES = 512
TORN_FSYNC_SECONDS = 0.02
"""How long a forgetful disk's fsync takes at least: the time in which a kill finds something to tear."""


class FaultFiles(Files):
    """Files with faults; with none set all goes straight to `files`. Safe to use from several threads.

    Args:
        files: the real ones.
        rng: which sectors of a torn write survive.
        sleep: blocks for so many seconds.
    """

    def __init__(self, files: Files, rng: random.Random, sleep: Callable[[float], object]) -> None:
        self._files, self._rng, self._sleep = files, rng, sleep
        self._guard = threading.Lock()
        self._held: dict[int, list[tuple[int, bytes]]] = {}
        self._renames: list[tuple[Path, Path]] = []
        self.fault = DiskFault()

    def create(self, path: Path) -> int:
        """As `Files.create`; EROFS when read-only."""
        self._check_writable(path)
        descriptor = self._files.create(path)
        with self._guard:
            self._held.pop(descriptor, None)
        return descriptor

    def open(self, path: Path) -> int:
        """As `Files.open`; EROFS when read-only."""
        self._check_writable(path)
        return self._files.open(path)

    def write_at(self, descriptor: int, data: bytes, offset: int) -> None:
        """As `Files.write_at`; EROFS, ENOSPC where the file would grow, or held back."""
        fault = self.fault
        self._check_writable()
        if fault.full and offset + len(data) > os.fstat(descriptor).st_size:
            raise _error(errno.ENOSPC)
        if not fault.torn_on_kill:
            self._files.write_at(descriptor, data, offset)
            return
        with self._guard:
            self._held.setdefault(descriptor, []).append((offset, bytes(data)))
        for start, piece in _sectors(offset, data):
            if self._rng.getrandbits(1):
                self._files.write_at(descriptor, piece, start)

    def sync_data(self, descriptor: int) -> None:
        """As `Files.sync_data`; late, or EIO."""
        self._before_sync(descriptor)
        self._files.sync_data(descriptor)

    def sync(self, descriptor: int) -> None:
        """As `Files.sync`; late, or EIO."""
        self._before_sync(descriptor)
        self._files.sync(descriptor)

    def truncate(self, descriptor: int, size: int) -> None:
        """As `Files.truncate`; EROFS, or ENOSPC where the file would grow."""
        self._check_writable()
        if self.fault.full and size > os.fstat(descriptor).st_size:
            raise _error(errno.ENOSPC)
        self._let_go(descriptor)
        self._files.truncate(descriptor, size)

    def close(self, descriptor: int) -> None:
        """As `Files.close`: an orderly close loses nothing."""
        self._let_go(descriptor)
        self._files.close(descriptor)

    def rename(self, source: Path, target: Path) -> None:
        """As `Files.rename`; held back until the folder's fsync on a forgetful disk."""
        self._check_writable(target)
        if not self.fault.torn_on_kill:
            self._files.rename(source, target)
            return
        with self._guard:
            self._renames.append((source, target))

    def remove(self, path: Path) -> None:
        """As `Files.remove`; EROFS when read-only."""
        self._check_writable(path)
        self._files.remove(path)

    def sync_directory(self, path: Path) -> None:
        """As `Files.sync_directory`; late, or EIO."""
        self._before_sync(-1)
        with self._guard:
            ready = [pair for pair in self._renames if pair[1].parent == path]
            self._renames = [pair for pair in self._renames if pair[1].parent != path]
        for source, target in ready:
            self._files.rename(source, target)
        self._files.sync_directory(path)

    def _check_writable(self, path: Path | None = None) -> None:
        if self.fault.read_only:
            raise _error(errno.EROFS, path)

    def _before_sync(self, descriptor: int) -> None:
        fault = self.fault
        wait = max(fault.slow_fsync_seconds, TORN_FSYNC_SECONDS if fault.torn_on_kill else 0.0)
        if wait:
            self._sleep(wait)
        if self.fault.fail_fsync:
            # The bytes are gone, as they are from a page cache that marks them clean after a failure.
            with self._guard:
                self._held.pop(descriptor, None)
            raise _error(errno.EIO)
        self._let_go(descriptor)

    def _let_go(self, descriptor: int) -> None:
        with self._guard:
            held = self._held.pop(descriptor, ())
        for offset, data in held:
            self._files.write_at(descriptor, data, offset)


def _sectors(offset: int, data: bytes) -> list[tuple[int, bytes]]:
    """`data` in pieces that lie in one sector of the file each."""
    pieces, position = [], 0
    while position < len(data):
        size = SECTOR_BYTES - (offset + position) % SECTOR_BYTES
        pieces.append((offset + position, data[position : position + size]))
        position += size
    return pieces


def _error(number: int, path: Path | None = None) -> OSError:
    text = os.strerror(number)
    return OSError(number, text) if path is None else OSError(number, text, str(path))
