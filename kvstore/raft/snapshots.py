"""Snapshots on disk: written aside in frames with checksums, fsynced, renamed; verified before use.

A file is a header (what log position it stands for), frames of the applier's chunks, and a trailer with the number
of frames and a checksum over all. A snapshot sent by a leader arrives as the file's raw bytes in pieces; it always
starts at byte 0, and is verified as a whole before its name appears. Only the newest is kept.
"""

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from kvstore.raft.files import Files
from kvstore.raft.replicator import DamagedData

_MAGIC = b"QUORSNP1"
_HEADER = struct.Struct("<8sQQI")
_FRAME = struct.Struct("<II")
# A length no frame can have marks the trailer: (mark, checksum of all before) and the number of frames.
_TRAILER_MARK = 0xFFFFFFFF
_COUNT = struct.Struct("<Q")
MAX_FRAME_BYTES = 64 << 20


class Snapshot(msgspec.Struct, frozen=True):
    """A finished file: the state after entry `index`, which had `term`."""

    index: int
    term: int
    size: int
    path: Path


class SnapshotWriter:
    """Collects chunks in a file aside; `finish` gives it its name. All calls block."""

    def __init__(self, directory: Path, index: int, term: int, files: Files) -> None:
        self._directory, self._files = directory, files
        self._index, self._term = index, term
        self._aside = directory / f"{index:016x}-{term:016x}.new"
        self._descriptor = files.create(self._aside)
        self._offset = 0
        self._crc = 0
        self._frames = 0
        body = _HEADER.pack(_MAGIC, index, term, 0)[:-4]
        try:
            self._write(body + struct.pack("<I", zlib.crc32(body)))
        except OSError:
            self.abort()
            raise

    def _write(self, data: bytes) -> None:
        self._files.write_at(self._descriptor, data, self._offset)
        self._offset += len(data)
        self._crc = zlib.crc32(data, self._crc)

    def add(self, chunk: bytes) -> None:
        """Write one chunk."""
        self._write(_FRAME.pack(len(chunk), zlib.crc32(chunk)) + chunk)
        self._frames += 1

    def finish(self) -> Snapshot:
        """Make it durable and visible."""
        trailer = _FRAME.pack(_TRAILER_MARK, self._crc) + _COUNT.pack(self._frames)
        self._write(trailer)
        self._files.sync(self._descriptor)
        self._files.close(self._descriptor)
        self._descriptor = -1
        path = self._aside.with_suffix(".snap")
        self._files.rename(self._aside, path)
        self._files.sync_directory(self._directory)
        return Snapshot(self._index, self._term, self._offset, path)

    def abort(self) -> None:
        """Forget it."""
        if self._descriptor >= 0:
            self._files.close(self._descriptor)
            self._descriptor = -1
            self._files.remove(self._aside)


class SnapshotReceiver:
    """Takes a leader's file piece by piece from byte 0; nothing counts before `finish`."""

    def __init__(self, directory: Path, index: int, term: int, size: int, files: Files) -> None:
        self._directory, self._files = directory, files
        self.index, self.term, self.size = index, term, size
        self.offset = 0
        self._aside = directory / f"{index:016x}-{term:016x}.incoming.new"
        self._descriptor = files.create(self._aside)

    def add(self, offset: int, data: bytes) -> bool:
        """Append a piece; False if it is not the next one, which changes nothing."""
        if offset != self.offset or offset + len(data) > self.size:
            return False
        self._files.write_at(self._descriptor, data, offset)
        self.offset += len(data)
        return True

    @property
    def is_complete(self) -> bool:
        """Whether every byte is here."""
        return self.offset == self.size

    def finish(self) -> Snapshot:
        """Verify, make durable and visible. Raises DamagedData and forgets the file if it does not check."""
        self._files.sync(self._descriptor)
        self._files.close(self._descriptor)
        self._descriptor = -1
        arrived = Snapshot(self.index, self.term, self.size, self._aside)
        try:
            for _ in read_chunks(arrived):
                pass
        except DamagedData:
            self._files.remove(self._aside)
            raise
        path = self._directory / f"{self.index:016x}-{self.term:016x}.snap"
        self._files.rename(self._aside, path)
        self._files.sync_directory(self._directory)
        return Snapshot(self.index, self.term, self.size, path)

    def abort(self) -> None:
        """Forget it."""
        if self._descriptor >= 0:
            self._files.close(self._descriptor)
            self._descriptor = -1
            self._files.remove(self._aside)


def read_chunks(snapshot: Snapshot) -> Iterator[bytes]:
    """The chunks, each checked, the whole checked at the end. Raises DamagedData."""
    path = snapshot.path
    with path.open("rb") as file:
        head = file.read(_HEADER.size)
        if len(head) < _HEADER.size:
            raise DamagedData(path, len(head), "the header is cut short")
        magic, index, term, crc = _HEADER.unpack(head)
        if magic != _MAGIC or crc != zlib.crc32(head[:-4]):
            raise DamagedData(path, 0, "the header does not match its checksum")
        if (index, term) != (snapshot.index, snapshot.term):
            raise DamagedData(path, 8, f"it stands for entry {index} of term {term}")
        offset, whole, frames = len(head), zlib.crc32(head), 0
        while True:
            mark = file.read(_FRAME.size)
            if len(mark) < _FRAME.size:
                raise DamagedData(path, offset, "the file is cut short")
            length, crc = _FRAME.unpack(mark)
            if length == _TRAILER_MARK:
                break
            if length > MAX_FRAME_BYTES:
                raise DamagedData(path, offset, f"a chunk claims {length} bytes")
            chunk = file.read(length)
            if len(chunk) != length or zlib.crc32(chunk) != crc:
                raise DamagedData(path, offset, "a chunk does not match its checksum")
            yield chunk
            whole = zlib.crc32(chunk, zlib.crc32(mark, whole))
            offset += len(mark) + length
            frames += 1
        count = file.read(_COUNT.size + 1)
        if len(count) != _COUNT.size or crc != whole or _COUNT.unpack(count)[0] != frames:
            raise DamagedData(path, offset, "the trailer does not match what stands before it")


class Frame(NamedTuple):
    """One piece of a file as it stands there, for tools that look at damaged files. `problem` is empty if it checks."""

    offset: int
    chunk: bytes
    problem: str


def scan_frames(path: Path) -> Iterator[Frame]:
    """All frames that can be told apart, header and trailer included, damaged ones too; ends where nothing follows."""
    with path.open("rb") as file:
        head = file.read(_HEADER.size)
        is_whole = len(head) == _HEADER.size
        is_good = is_whole and head[: len(_MAGIC)] == _MAGIC
        is_good = is_good and _HEADER.unpack(head)[3] == zlib.crc32(head[:-4])
        yield Frame(0, head, "" if is_good else "the header does not match its checksum")
        offset, whole, frames = len(head), zlib.crc32(head), 0
        while is_whole:
            mark = file.read(_FRAME.size)
            if len(mark) < _FRAME.size:
                yield Frame(offset, mark, "the file is cut short")
                return
            length, crc = _FRAME.unpack(mark)
            if length == _TRAILER_MARK:
                rest = file.read(_COUNT.size + 1)
                is_good = crc == whole and rest == _COUNT.pack(frames)
                problem = "" if is_good else "the trailer does not match what stands before it"
                yield Frame(offset, mark + rest, problem)
                return
            if length > MAX_FRAME_BYTES:
                yield Frame(offset, mark, f"a chunk claims {length} bytes")
                return
            chunk = file.read(length)
            if len(chunk) != length:
                yield Frame(offset, chunk, "the file is cut short")
                return
            is_good = zlib.crc32(chunk) == crc
            yield Frame(offset, chunk, "" if is_good else "a chunk does not match its checksum")
            whole = zlib.crc32(chunk, zlib.crc32(mark, whole))
            offset, frames = offset + len(mark) + length, frames + 1


class SnapshotStore:
    """The snapshots of one member."""

    def __init__(self, directory: Path, files: Files | None = None) -> None:
        self._directory = directory
        self._files = files or Files()
        self.latest: Snapshot | None = None
        """The newest finished one."""

    def open(self) -> None:
        """Find the newest; remove what was never finished."""
        self._directory.mkdir(parents=True, exist_ok=True)
        for left in self._directory.glob("*.new"):
            self._files.remove(left)
        found: list[Snapshot] = []
        for path in sorted(self._directory.glob("*.snap")):
            index, _, term = path.stem.partition("-")
            found.append(Snapshot(int(index, 16), int(term, 16), path.stat().st_size, path))
        # A name may be in the page cache only, if the last process was killed just after the rename.
        self._files.sync_directory(self._directory)
        self.latest = max(found, key=lambda snapshot: snapshot.index, default=None)

    def writer(self, index: int, term: int) -> SnapshotWriter:
        """Start a new one from local state."""
        return SnapshotWriter(self._directory, index, term, self._files)

    def receiver(self, index: int, term: int, size: int) -> SnapshotReceiver:
        """Start taking one from the leader."""
        return SnapshotReceiver(self._directory, index, term, size, self._files)

    def publish(self, snapshot: Snapshot) -> None:
        """Make a finished one the latest; older files go. A file being sent stays readable until closed."""
        if self.latest is not None and self.latest.index > snapshot.index:
            return
        self.latest = snapshot
        for path in sorted(self._directory.glob("*.snap")):
            if path != snapshot.path:
                self._files.remove(path)
