"""The durable log of one member: append-only segments, plus term and vote in a file of their own.

Memory holds every entry above the base; the disk holds the same in segments of pre-written zeros, so that one
fdatasync a group needs no change of metadata. Callers on the event loop change memory at once (`append`, `truncate`,
`set_term`, …) and every change is queued; `begin_flush` takes what has gathered, `write` - in a worker thread -
makes it durable, `end_flush` publishes how far durability reaches. One flush runs at a time.

Nothing is changed in place: truncation is a record, compaction drops whole segments from the front, term and vote are
written aside, fsynced and renamed. See `segment` for how a torn tail differs from damage.
"""

import struct
import zlib
from pathlib import Path
from typing import Protocol

import msgspec

from kvstore.base.files import Files
from kvstore.raft import segment
from kvstore.raft.configuration import CONFIG_PREFIX
from kvstore.raft.replicator import DamagedData
from kvstore.raft.space import LogSpace

Entry = tuple[bytes, int, int]
"""(data, index, term)"""

SEGMENT_BYTES = 16 << 20
# The first segment of a new log: its zeros are written while a start waits for them.
FIRST_SEGMENT_BYTES = 4 << 20
# PySyncObj counts from an entry 1 that every log has. It is never written; the base stands for it.
FIRST_BASE = (1, 0)
_TERM_HEAD = struct.Struct("<8sII")
_TERM_MAGIC = b"QUORTRM1"


class _Segment(msgspec.Struct):
    path: Path
    number: int
    highest_index: int
    size: int


class Flush(msgspec.Struct):
    """What one fsync covers."""

    operations: list[tuple[int, int, int, bytes]]
    meta: bytes | None
    base_index: int
    end: tuple[int, int]
    """(index, term) of the log's end before the operations."""
    durable_target: int = 0


class _Queue(msgspec.Struct):
    operations: list[tuple[int, int, int, bytes]] = msgspec.field(default_factory=list)
    meta_dirty: bool = False
    drop_prefix: bool = False


class ConfigurationWatch(Protocol):
    """Who must know at once which configuration stands in the log."""

    def appended(self, index: int, data: bytes) -> None:
        """Entry `index` is one."""
        ...

    def truncated(self, last_index: int) -> None:
        """All above `last_index` is gone."""
        ...


class Journal:
    """Entries in memory and on disk. Call `open` first; `entries[0]` is the base, a stand-in without data."""

    def __init__(
        self, directory: Path, files: Files | None = None, segment_bytes: int = SEGMENT_BYTES
    ) -> None:
        self._directory = directory
        self._files = files or Files()
        self._segment_bytes = segment_bytes
        self.entries: list[Entry] = [(b"", *FIRST_BASE)]
        self.term = 0
        self.vote: str | None = None
        self.facts: dict[str, str] = {}
        """Small things to remember beside the term, such as which store each peer had."""
        self.durable_index = FIRST_BASE[0]
        self.bytes_in_memory = 0
        self._queue = _Queue()
        self._queue_end = FIRST_BASE
        self._flushing: Flush | None = None
        self._segments: list[_Segment] = []
        self._descriptor = -1
        self._offset = 0
        self._group = 1
        self._space = LogSpace(directory, self._files, segment_bytes)
        self.configuration_watch: ConfigurationWatch | None = None

    # Reading

    @property
    def base_index(self) -> int:
        """The index just before the first entry held."""
        return self.entries[0][1]

    @property
    def last_index(self) -> int:
        """The index of the last entry, durable or not."""
        return self.entries[-1][1]

    @property
    def last_term(self) -> int:
        """The term of the last entry."""
        return self.entries[-1][2]

    def term_at(self, index: int) -> int | None:
        """The term of entry `index` (the base's included), None if it is not held."""
        position = index - self.entries[0][1]
        return self.entries[position][2] if 0 <= position < len(self.entries) else None

    def slice(self, first_index: int, max_bytes: int) -> list[Entry]:
        """Entries from `first_index` on: at least one if there is one, then up to `max_bytes`."""
        position = first_index - self.entries[0][1]
        end, total = position, 0
        while end < len(self.entries):
            total += len(self.entries[end][0]) + 32
            if total > max_bytes and end > position:
                break
            end += 1
        return self.entries[position:end]

    # Changing memory; durable with the next flush

    def append(self, data: bytes, index: int, term: int) -> None:
        """Add the entry that follows the last."""
        if index != self.entries[-1][1] + 1:
            raise ValueError(f"entry {index} does not follow {self.entries[-1][1]}")
        self.entries.append((data, index, term))
        self.bytes_in_memory += len(data)
        self._queue.operations.append((segment.KIND_ENTRY, index, term, data))
        if data[:1] == CONFIG_PREFIX and self.configuration_watch is not None:
            self.configuration_watch.appended(index, data)

    def truncate(self, last_index: int) -> None:
        """Drop all entries above `last_index`."""
        keep = last_index - self.base_index + 1
        if keep < 1:
            raise ValueError(f"cannot cut to {last_index}, below the base {self.base_index}")
        if keep >= len(self.entries):
            return
        self.bytes_in_memory -= sum(len(entry[0]) for entry in self.entries[keep:])
        del self.entries[keep:]
        self._queue.operations.append((segment.KIND_TRUNCATE, last_index, self.last_term, b""))
        self._lower_durable(last_index)
        if self.configuration_watch is not None:
            self.configuration_watch.truncated(last_index)

    def reset(self, index: int, term: int) -> None:
        """Drop everything and go on behind (`index`, `term`)."""
        self.entries = [(b"", index, term)]
        self.bytes_in_memory = 0
        self._queue.operations.append((segment.KIND_RESET, index, term, b""))
        self._queue.drop_prefix = True
        self._lower_durable(0)
        if self.configuration_watch is not None:
            self.configuration_watch.truncated(0)

    def compact(self, index: int) -> None:
        """Forget entries up to `index`, which a snapshot covers."""
        drop = min(index, self.last_index) - self.base_index
        if drop <= 0:
            return
        self.bytes_in_memory -= sum(len(entry[0]) for entry in self.entries[1 : drop + 1])
        self.entries = [(b"", *self.entries[drop][1:]), *self.entries[drop + 1 :]]
        self._queue.drop_prefix = True

    def set_term(self, term: int, vote: str | None) -> None:
        """Remember the term and who got this member's vote in it."""
        if (term, vote) != (self.term, self.vote):
            self.term, self.vote = term, vote
            self._queue.meta_dirty = True

    def set_fact(self, key: str, value: str) -> None:
        """Remember `value` under `key` beside the term."""
        if self.facts.get(key) != value:
            self.facts[key] = value
            self._queue.meta_dirty = True

    def _lower_durable(self, index: int) -> None:
        self.durable_index = min(self.durable_index, index)
        if self._flushing is not None:
            self._flushing.durable_target = min(self._flushing.durable_target, index)

    # Flushing

    @property
    def is_dirty(self) -> bool:
        """Whether a flush has something to do."""
        queue = self._queue
        return bool(queue.operations or queue.meta_dirty or queue.drop_prefix)

    @property
    def is_vote_durable(self) -> bool:
        """Whether term and vote, as they are now, would survive a crash."""
        flushing = self._flushing is not None and self._flushing.meta is not None
        return not flushing and not self._queue.meta_dirty

    @property
    def is_flushing(self) -> bool:
        """Whether a flush has begun and not ended."""
        return self._flushing is not None

    def begin_flush(self) -> Flush:
        """Take all queued changes; hand the result to `write`, then to `end_flush`."""
        if self._flushing is not None:
            raise RuntimeError("a flush is already running")
        queue, self._queue = self._queue, _Queue()
        flush = Flush(
            operations=queue.operations,
            meta=self._encode_meta() if queue.meta_dirty else None,
            base_index=self.base_index if queue.drop_prefix else 0,
            end=self._queue_end,
            durable_target=self.last_index,
        )
        self._queue_end = (self.last_index, self.last_term)
        self._flushing = flush
        return flush

    def write(self, flush: Flush) -> None:
        """Make `flush` durable. Blocks; touches nothing that the loop's thread uses.

        If it fails for want of space (`is_full` of its error), nothing is lost or in doubt: write it again.
        """
        if flush.meta is not None:
            self._space.write_term(self._directory / "term", flush.meta)
        if flush.operations:
            data = segment.encode_group(flush.operations, self._group)
            # A reset starts a segment of its own, so that all before it can be dropped at once.
            resets = any(operation[0] == segment.KIND_RESET for operation in flush.operations)
            # A write for which there was no space comes again, and the segment may be new already.
            is_new = self._offset == segment.HEADER_BYTES
            if (resets and not is_new) or self._offset + len(data) > self._segments[-1].size:
                self._roll(flush.end, len(data))
            current = self._segments[-1]
            self._files.write_durably(self._descriptor, data, self._offset)
            self._offset += len(data)
            self._group += 1
            for kind, index, _, _ in flush.operations:
                if kind == segment.KIND_ENTRY:
                    current.highest_index = max(current.highest_index, index)
        if flush.base_index:
            self._drop_segments(flush.base_index)

    def end_flush(self, flush: Flush) -> None:
        """Publish what is durable now."""
        self._flushing = None
        self.durable_index = max(self.durable_index, flush.durable_target)

    def flush(self) -> None:
        """All three steps at once, blocking."""
        flush = self.begin_flush()
        self.write(flush)
        self.end_flush(flush)

    def needs_spare(self) -> bool:
        """Whether `check_space` should be called soon: it writes the zeros of the next segment ahead."""
        return self._space.spare is None and self._offset * 2 > self._segments[-1].size

    def check_space(self) -> bool:
        """Whether the disk has space, the next segment's included; blocks, for a worker thread."""
        return self._space.check(self.needs_spare())

    def _roll(self, end: tuple[int, int], needed: int) -> None:
        """Start a new segment; its name appears only when header and zeros are durable."""
        number = self._segments[-1].number + 1 if self._segments else 1
        usual = self._segment_bytes if self._segments else FIRST_SEGMENT_BYTES
        size = max(min(usual, self._segment_bytes), segment.HEADER_BYTES + needed)
        header = segment.SegmentHeader(number, *end, self._group).encode()
        path = self._directory / f"{number:016x}.log"
        if self._space.spare is not None and size == self._segment_bytes:
            aside = self._space.spare
        else:
            aside = path.with_suffix(".new")
            self._space.create_zeros(aside, size)
        descriptor = self._files.open(aside)
        self._files.write_at(descriptor, header, 0)
        self._files.sync(descriptor)
        self._files.rename(aside, path)
        if aside == self._space.spare:
            self._space.spare = None
        self._files.sync_directory(self._directory)
        if self._descriptor >= 0:
            self._files.close(self._descriptor)
        self._descriptor, self._offset = descriptor, segment.HEADER_BYTES
        self._segments.append(_Segment(path, number, 0, size))

    def _drop_segments(self, base_index: int) -> None:
        dropped = False
        while len(self._segments) > 1 and self._segments[0].highest_index <= base_index:
            self._files.remove(self._segments.pop(0).path)
            dropped = True
        if dropped:
            self._files.sync_directory(self._directory)

    def _encode_meta(self) -> bytes:
        body = msgspec.msgpack.encode({"term": self.term, "vote": self.vote, "facts": self.facts})
        return _TERM_HEAD.pack(_TERM_MAGIC, zlib.crc32(body), len(body)) + body

    # Opening and closing

    def open(self) -> None:
        """Read everything back. Raises DamagedData for all damage but a torn tail, which is cut."""
        self._directory.mkdir(parents=True, exist_ok=True)
        for left in self._directory.glob("*.new"):
            self._files.remove(left)
        self._space.open()
        paths = sorted(self._directory.glob("*.log"))
        self._read_meta(bool(paths))
        for position, path in enumerate(paths):
            self._read_segment(path, is_last=position == len(paths) - 1)
        self._queue = _Queue()
        self._queue_end = (self.last_index, self.last_term)
        if not paths:
            self._roll(self._queue_end, 0)
        self.durable_index = self.last_index
        self.bytes_in_memory = sum(len(entry[0]) for entry in self.entries)

    def close(self) -> None:
        """Close the file; what is queued and not flushed is lost."""
        if self._descriptor >= 0:
            self._files.close(self._descriptor)
            self._descriptor = -1

    def _read_meta(self, must_exist: bool) -> None:
        path = self._directory / "term"
        if not path.exists():
            if must_exist:
                raise DamagedData(path, 0, "the term and vote are missing")
            self._files.write_whole(path, self._encode_meta())
            return
        data = path.read_bytes()
        if len(data) < _TERM_HEAD.size:
            raise DamagedData(path, len(data), "the term and vote are cut short")
        magic, crc, length = _TERM_HEAD.unpack_from(data)
        body = data[_TERM_HEAD.size :]
        if magic != _TERM_MAGIC or length != len(body) or crc != zlib.crc32(body):
            raise DamagedData(path, 0, "the term and vote do not match their checksum")
        meta = msgspec.msgpack.decode(body)
        self.term, self.vote, self.facts = meta["term"], meta["vote"], meta["facts"]

    def _read_segment(self, path: Path, is_last: bool) -> None:
        data = path.read_bytes()
        header = segment.decode_header(data)
        if header is None:
            raise DamagedData(path, 0, "the segment's header does not match its checksum")
        previous = self._segments[-1] if self._segments else None
        if previous is None:
            self.entries = [(b"", header.last_index, header.last_term)]
            self._group = header.next_group
        elif header.number != previous.number + 1 or header.next_group != self._group:
            raise DamagedData(path, 0, f"the segment before number {header.number} is missing")
        offset, ends_group, highest = segment.HEADER_BYTES, True, 0
        group, group_start = self._group - 1, offset
        for record in segment.records(data):
            if ends_group:
                group_start = offset
            expected = group + 1 if ends_group else group
            if record.group != expected:
                raise DamagedData(path, offset, f"group {record.group} follows group {group}")
            self._replay(record, path, offset)
            group, ends_group, offset = record.group, record.ends_group, record.end
            if record.kind == segment.KIND_ENTRY:
                highest = max(highest, record.index)
        torn = not segment.is_clean_end(data, offset)
        if torn or not ends_group:
            damaged_group = group + 1 if ends_group else group
            if not is_last or segment.later_group_follows(data, offset, damaged_group):
                raise DamagedData(path, offset, "a record does not match its checksum")
        self._group = group + 1
        self._segments.append(_Segment(path, header.number, highest, len(data)))
        if is_last:
            self._descriptor, self._offset = self._files.open(path), offset
            self._make_durable(data[group_start:offset], group_start)
            if torn or not ends_group:
                self._cut_tail(offset, len(data), ends_group)

    def _make_durable(self, last_group: bytes, offset: int) -> None:
        """Write the last group again as it was read: it may be in the page cache only.

        So it is when the last process was killed before its fsync ended, and also after one that failed: Linux then
        takes the pages for clean, and a later fsync leaves them out. From here on they count as durable. A group
        before the last needs nothing: its successor was written only after its own fsync had ended well.
        """
        self._files.write_at(self._descriptor, last_group, offset)
        self._files.sync(self._descriptor)
        self._files.sync_directory(self._directory)

    def _cut_tail(self, offset: int, size: int, ends_group: bool) -> None:
        """Zero what a torn write left, and end its group, so that the count of groups stays whole.

        Intact records of the torn group stay: nobody was told of them, and keeping them is as good as losing them.
        """
        end = b""
        if not ends_group:
            self._group -= 1
            no_change = (segment.KIND_TRUNCATE, self.last_index, self.last_term, b"")
            end = segment.encode_group([no_change], self._group)
            self._group += 1
        self._files.truncate(self._descriptor, offset)
        self._files.write_at(self._descriptor, end, offset)
        self._offset = offset + len(end)
        self._segments[-1].size = max(size, self._offset)
        zeros = b"\0" * (size - self._offset)
        self._files.write_at(self._descriptor, zeros, self._offset)
        self._files.sync(self._descriptor)

    def _replay(self, record: segment.Record, path: Path, offset: int) -> None:
        if record.kind == segment.KIND_ENTRY:
            if record.index != self.last_index + 1:
                raise DamagedData(path, offset, f"entry {record.index} follows {self.last_index}")
            self.entries.append((record.data, record.index, record.term))
        elif record.kind == segment.KIND_TRUNCATE:
            keep = record.index - self.base_index + 1
            if keep >= 1:
                del self.entries[keep:]
            elif not self._segments:
                # What was cut stood in a segment that compaction has dropped since, with what replaced it committed.
                self.entries = [(b"", record.index, record.term)]
            else:
                raise DamagedData(path, offset, f"cut to {record.index}, below the base")
        elif record.kind == segment.KIND_RESET:
            self.entries = [(b"", record.index, record.term)]
        else:
            raise DamagedData(path, offset, f"unknown kind {record.kind}")
