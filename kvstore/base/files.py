"""The few file operations that durability rests on, as one object that tests and fault injection replace.

Every write that matters goes through here, so that a test can stop the world between any two of them and a fault
injector can make the disk slow, full or broken. An error is never retried: after a failed fsync the page cache
may hold data that the disk does not, so the caller must end the process.
"""

import errno
import os
from pathlib import Path

_FULL = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
_NO_SUCH_WRITE = frozenset((errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL))


def is_full(error: OSError) -> bool:
    """Whether a write failed for want of space: of the disk, of a quota, or of the process's file size limit.

    Unlike after a failed fsync nothing is in doubt then: the same bytes can be written to the same place later.
    """
    return error.errno in _FULL


class Files:
    """Plain files of the operating system."""

    def create(self, path: Path) -> int:
        """Open a new empty file for reading and writing; an old one of that name is emptied."""
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)

    def open(self, path: Path) -> int:
        """Open an existing file for reading and writing."""
        return os.open(path, os.O_RDWR | os.O_CLOEXEC)

    def write_at(self, descriptor: int, data: bytes, offset: int) -> None:
        """Write all of `data` at `offset`."""
        view = memoryview(data)
        while view:
            written = os.pwrite(descriptor, view, offset)
            view = view[written:]
            offset += written

    def write_durably(self, descriptor: int, data: bytes, offset: int) -> None:
        """`write_at`, then `sync_data`."""
        # Who replaces one of the two, as faults and tests do, must see both.
        if type(self) is not Files or not _write_through(descriptor, data, offset):
            self.write_at(descriptor, data, offset)
            self.sync_data(descriptor)

    def sync_data(self, descriptor: int) -> None:
        """Return once the written bytes are durable."""
        # macOS has no fdatasync.
        getattr(os, "fdatasync", os.fsync)(descriptor)

    def sync(self, descriptor: int) -> None:
        """Return once the written bytes and the file's size are durable."""
        os.fsync(descriptor)

    def truncate(self, descriptor: int, size: int) -> None:
        """Cut the file, or lengthen it by zeros."""
        os.ftruncate(descriptor, size)

    def close(self, descriptor: int) -> None:
        """Give the descriptor back."""
        os.close(descriptor)

    def rename(self, source: Path, target: Path) -> None:
        """Replace `target` by `source` in one step; not durable before `sync_directory`."""
        os.replace(source, target)

    def remove(self, path: Path) -> None:
        """Delete a file."""
        os.unlink(path)

    def sync_directory(self, path: Path) -> None:
        """Make created, renamed and removed names durable."""
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def write_whole(self, path: Path, data: bytes) -> None:
        """Replace a small file so that after a crash it holds either the old or the new bytes."""
        aside = path.with_name(path.name + ".new")
        descriptor = self.create(aside)
        try:
            self.write_at(descriptor, data, 0)
            self.sync(descriptor)
        finally:
            self.close(descriptor)
        self.rename(aside, path)
        self.sync_directory(path.parent)


def _write_through(descriptor: int, data: bytes, offset: int) -> bool:
    """Write and sync in one system call, which spares a log's thread two turns of the interpreter's lock.

    False, with nothing promised, where the system has no such write.
    """
    flag = getattr(os, "RWF_DSYNC", 0)
    if not flag:
        return False
    view = memoryview(data)
    try:
        while view:
            written = os.pwritev(descriptor, [view], offset, flag)
            view = view[written:]
            offset += written
    except OSError as error:
        if error.errno not in _NO_SUCH_WRITE:
            raise
        return False
    return True
