"""A disk in memory that forgets, tears, fills up, slows down and fails as real ones do.

What a process wrote is seen at once by whoever reads (the page cache); it is durable only after a sync. A kill of
the process loses nothing that was written; a loss of power loses what was not synced: of each unsynced write nothing,
all, or some of its 512-byte sectors, and of the names not synced since the last `sync_directory` a suffix, as the
journal of a file system keeps their order. A sync that fails drops the dirty pages' promise: they can be read, and are
never written (what Linux does), until they are written again.

`DiskPath` is a `Path` to such a disk, as far as the store uses paths; `SimFiles` is its `Files`.
"""

import errno
import io
import random
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from typing import Any

from kvstore.raft.files import Files
from kvstore.testing.sim.loop import Killed

SECTOR = 512


class _Inode:
    __slots__ = ("data", "durable", "pending")

    def __init__(self) -> None:
        self.data = bytearray()
        self.durable = bytearray()
        self.pending: list[tuple[int, bytes | None]] = []
        """(offset, bytes) of a write, (size, None) of a truncation, not yet durable."""

    def write(self, offset: int, data: bytes) -> None:
        _put(self.data, offset, data)
        self.pending.append((offset, data))

    def truncate(self, size: int) -> None:
        _resize(self.data, size)
        self.pending.append((size, None))

    def sync(self) -> None:
        for offset, data in self.pending:
            if data is None:
                _resize(self.durable, offset)
            else:
                _put(self.durable, offset, data)
        self.pending.clear()

    def lose_power(self, rng: random.Random) -> None:
        for offset, data in self.pending:
            fate = rng.randrange(4)
            if fate == 0:
                continue
            if data is None:
                _resize(self.durable, offset)
            elif fate == 1:
                _put(self.durable, offset, data)
            else:
                # Torn: sectors reach the disk in any order.
                for start in range(0, len(data), SECTOR):
                    if rng.random() < 0.5:
                        _put(self.durable, offset + start, data[start : start + SECTOR])
        self.pending.clear()
        self.data = bytearray(self.durable)


def _put(target: bytearray, offset: int, data: bytes) -> None:
    if len(target) < offset:
        target.extend(bytes(offset - len(target)))
    target[offset : offset + len(data)] = data


def _resize(target: bytearray, size: int) -> None:
    if len(target) > size:
        del target[size:]
    else:
        target.extend(bytes(size - len(target)))


_Change = tuple[str, PurePosixPath, PurePosixPath | None, "_Inode | None"]


class SimDisk:
    """One member's disk; outlives its boots."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._names: dict[PurePosixPath, _Inode] = {}
        self._durable_names: dict[PurePosixPath, _Inode] = {}
        self._changes: list[_Change] = []
        self._path_class = type("DiskPath", (DiskPath,), {"disk": self, "__slots__": ()})
        self.boot = 0
        self.is_full = False
        self.fails_sync = False
        self.slow_seconds = 0.0
        self.crash_after: int | None = None
        """Crash at the so many-th operation from now; None = never."""
        self.on_crash: Callable[[], None] = lambda: None
        self.on_operation: Callable[[str, str], None] = lambda operation, name: None
        self._spent = 0.0
        self.operations = 0

    @property
    def root(self) -> Any:
        """The path of the data directory."""
        return self._path_class("/data")

    def take_spent(self) -> float:
        """Seconds that the operations since the last call took."""
        spent, self._spent = self._spent, 0.0
        return spent

    # Power, damage

    def lose_power(self) -> None:
        """Forget what is not durable."""
        keep = self._rng.randint(0, len(self._changes)) if self._changes else 0
        for change in self._changes[:keep]:
            _change(self._durable_names, change)
        self._changes.clear()
        for path in sorted(self._durable_names):
            self._durable_names[path].lose_power(self._rng)
        self._names = dict(self._durable_names)

    def wipe(self) -> None:
        """An empty disk."""
        self._names, self._durable_names = {}, {}
        self._changes.clear()

    def flip_bit(self, part: str) -> str:
        """Flip a bit of what is durable: `part` is snap, term or log. Where, or empty if there is nothing.

        The end of the newest segment is spared: damage there looks like a torn write, and is cut like one.
        """
        found = sorted(path for path in self._names if path.name.endswith(part))
        if part == "log":
            found = found[:-1]
        found = [path for path in found if self._names[path].data]
        if not found:
            return ""
        path = self._rng.choice(found)
        inode = self._names[path]
        written = len(bytes(inode.data).rstrip(b"\0")) or 1
        at, bit = self._rng.randrange(written), 1 << self._rng.randrange(8)
        inode.data[at] ^= bit
        if at < len(inode.durable):
            inode.durable[at] = inode.data[at]
        return f"{path.name}:{at}"

    # Operations

    def step(self, operation: str, path: PurePosixPath, seconds: float) -> None:
        """Every operation passes here first: it costs time, and may be where the world ends."""
        self.operations += 1
        self._spent += seconds + self.slow_seconds * self._rng.random()
        if self.crash_after is not None:
            self.crash_after -= 1
            if self.crash_after < 0:
                self.crash_after = None
                self.on_crash()
                raise Killed(operation)
        self.on_operation(operation, path.name)

    def check_room(self) -> None:
        """Raise if the disk is full."""
        if self.is_full:
            raise OSError(errno.ENOSPC, "No space left on device")

    def create(self, path: PurePosixPath) -> _Inode:
        """An empty file under `path`."""
        old = self._names.get(path)
        if old is not None:
            old.truncate(0)
            return old
        inode = _Inode()
        self._names[path] = inode
        self._changes.append(("create", path, None, inode))
        return inode

    def find(self, path: PurePosixPath) -> _Inode:
        """The file at `path`. Raises FileNotFoundError."""
        inode = self._names.get(path)
        if inode is None:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", str(path))
        return inode

    def rename(self, source: PurePosixPath, target: PurePosixPath) -> None:
        """Replace `target`."""
        inode = self.find(source)
        del self._names[source]
        self._names[target] = inode
        self._changes.append(("rename", source, target, inode))

    def remove(self, path: PurePosixPath) -> None:
        """Delete a name."""
        self.find(path)
        del self._names[path]
        self._changes.append(("remove", path, None, None))

    def sync_names(self, directory: PurePosixPath) -> None:
        """Make changes of names durable, and those before them in the file system's journal."""
        for change in self._changes:
            _change(self._durable_names, change)
        self._changes.clear()

    def sync_file(self, inode: _Inode) -> None:
        """Make a file's bytes durable, or fail."""
        if self.fails_sync:
            inode.pending.clear()
            raise OSError(errno.EIO, "Input/output error")
        inode.sync()

    def names(self, directory: PurePosixPath) -> Iterator[PurePosixPath]:
        """Files in `directory`."""
        return iter([path for path in self._names if path.parent == directory])


def _change(names: dict[PurePosixPath, _Inode], change: _Change) -> None:
    kind, path, target, inode = change
    if kind == "remove":
        names.pop(path, None)
    elif kind == "create" and inode is not None:
        names[path] = inode
    elif target is not None and inode is not None:
        names.pop(path, None)
        names[target] = inode


class DiskPath(PurePosixPath):
    """A path on the disk that its class belongs to."""

    __slots__ = ()
    disk: SimDisk

    def mkdir(self, mode: int = 0o777, parents: bool = False, exist_ok: bool = False) -> None:
        """Directories need not be made."""

    def exists(self) -> bool:
        """Whether there is such a file."""
        return self in self.disk._names

    is_file = exists

    def read_bytes(self) -> bytes:
        """The whole file."""
        return bytes(self.disk.find(self).data)

    def write_bytes(self, data: bytes) -> int:
        """Write the whole file, not synced."""
        self.disk.create(self).write(0, data)
        return len(data)

    def glob(self, pattern: str) -> Iterator[Any]:
        """Files of this directory that match, in no order worth relying on."""
        return iter([path for path in self.disk.names(self) if path.match(pattern)])

    def stat(self) -> Any:
        """Only the size."""
        return _Stat(len(self.disk.find(self).data))

    def unlink(self, missing_ok: bool = False) -> None:
        """Delete it."""
        if not missing_ok or self.exists():
            self.disk.remove(self)

    def open(self, mode: str = "rb") -> io.BytesIO:
        """Read it as it is now."""
        if mode != "rb":
            raise ValueError(f"mode {mode!r}: writing goes through Files")
        return io.BytesIO(self.read_bytes())


class _Stat:
    def __init__(self, size: int) -> None:
        self.st_size = size


class SimFiles(Files):
    """`Files` of one boot. After it is dead nothing it does reaches the disk."""

    def __init__(self, disk: SimDisk, rng: random.Random, is_dead: Callable[[], bool]) -> None:
        self._disk, self._rng, self._is_dead = disk, rng, is_dead
        self._open: dict[int, tuple[PurePosixPath, _Inode]] = {}
        self._next = 3

    def _step(self, operation: str, path: Any, seconds: float) -> None:
        if self._is_dead():
            raise Killed(operation)
        self._disk.step(operation, path, seconds)

    def _add(self, path: Any, inode: _Inode) -> int:
        self._next += 1
        self._open[self._next] = (path, inode)
        return self._next

    def create(self, path: Any) -> int:
        """Open a new empty file."""
        self._step("create", path, 2e-5)
        self._disk.check_room()
        return self._add(path, self._disk.create(path))

    def open(self, path: Any) -> int:
        """Open an existing file."""
        self._step("open", path, 1e-5)
        return self._add(path, self._disk.find(path))

    def write_at(self, descriptor: int, data: bytes, offset: int) -> None:
        """Into the page cache."""
        path, inode = self._open[descriptor]
        self._step("write", path, 1e-5)
        if offset + len(data) > len(inode.data):
            self._disk.check_room()
        inode.write(offset, bytes(data))

    def sync_data(self, descriptor: int) -> None:
        """Onto the disk."""
        path, inode = self._open[descriptor]
        self._step("sync", path, self._rng.uniform(3e-4, 3e-3))
        self._disk.sync_file(inode)

    def sync(self, descriptor: int) -> None:
        """Onto the disk."""
        self.sync_data(descriptor)

    def truncate(self, descriptor: int, size: int) -> None:
        """Cut or lengthen."""
        path, inode = self._open[descriptor]
        self._step("truncate", path, 1e-5)
        inode.truncate(size)

    def close(self, descriptor: int) -> None:
        """Give back."""
        self._open.pop(descriptor, None)

    def rename(self, source: Any, target: Any) -> None:
        """Rename in the cache."""
        self._step("rename", target, 1e-5)
        self._disk.rename(source, target)

    def remove(self, path: Any) -> None:
        """Remove in the cache."""
        self._step("remove", path, 1e-5)
        self._disk.remove(path)

    def sync_directory(self, path: Any) -> None:
        """Names onto the disk."""
        self._step("sync-directory", path, self._rng.uniform(3e-4, 2e-3))
        if self._disk.fails_sync:
            raise OSError(errno.EIO, "Input/output error")
        self._disk.sync_names(path)
