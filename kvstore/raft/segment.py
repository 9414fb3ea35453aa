"""Records and segment headers of the journal as bytes: pure encoding, decoding and damage rules.

A segment starts with a header that repeats where the log stood before it, so that it can be read without its
predecessors. Records follow, each aligned to 8 bytes:

    magic u32 | crc u32 | length u32 | kind u8 | ends_group u8 | zero u16 | group u64 | index u64 | term u64 | data

`group` counts the fsyncs: group n+1 is written only after group n is durable. That tells a torn tail from other
damage: a record that does not check belongs to the group its predecessor names; if an intact record of a later
group stands behind it, its own group had been made durable, so the disk lost what it had promised.
A flipped bit in the very last group cannot be told from a torn write and is cut like one.
"""

import struct
import zlib
from collections.abc import Iterator

import msgspec

RECORD_MAGIC = b"QRr\x01"
SEGMENT_MAGIC = b"QUORLOG1"

KIND_ENTRY = 1
KIND_TRUNCATE = 2
"""Drops every entry above (`index`, `term`), in place of cutting the file: a log is only ever appended to."""
KIND_RESET = 3
"""Drops everything; the log goes on behind (`index`, `term`), as after a snapshot from the leader."""

_RECORD = struct.Struct("<4sIIBBHQQQ")
_CHECKED = struct.Struct("<IBBHQQQ")
_HEADER = struct.Struct("<8sIQQQQ")
_HEADER_CHECKED = struct.Struct("<QQQQ")

RECORD_BYTES = _RECORD.size
HEADER_BYTES = 64
ALIGNMENT = 8


class SegmentHeader(msgspec.Struct, frozen=True):
    """`number` orders segments; the rest is the log's end and the next group when it was opened."""

    number: int
    last_index: int
    last_term: int
    next_group: int

    def encode(self) -> bytes:
        """Exactly `HEADER_BYTES` bytes."""
        body = _HEADER_CHECKED.pack(self.number, self.last_index, self.last_term, self.next_group)
        packed = _HEADER.pack(
            SEGMENT_MAGIC,
            zlib.crc32(body),
            self.number,
            self.last_index,
            self.last_term,
            self.next_group,
        )
        return packed.ljust(HEADER_BYTES, b"\0")


class Record(msgspec.Struct, frozen=True):
    """One operation on the log; `end` is the offset just behind it in its segment."""

    kind: int
    ends_group: bool
    group: int
    index: int
    term: int
    data: bytes
    end: int


def decode_header(data: bytes) -> SegmentHeader | None:
    """The header at the start of `data`, or None if it does not check."""
    if len(data) < HEADER_BYTES:
        return None
    magic, crc, number, last_index, last_term, next_group = _HEADER.unpack_from(data)
    body = _HEADER_CHECKED.pack(number, last_index, last_term, next_group)
    if magic != SEGMENT_MAGIC or crc != zlib.crc32(body):
        return None
    return SegmentHeader(number, last_index, last_term, next_group)


def encode_group(operations: list[tuple[int, int, int, bytes]], group: int) -> bytes:
    """(kind, index, term, data) of one group as bytes; only the last is marked as its end."""
    parts: list[bytes] = []
    last = len(operations) - 1
    for position, (kind, index, term, data) in enumerate(operations):
        ends = position == last
        checked = _CHECKED.pack(len(data), kind, ends, 0, group, index, term)
        crc = zlib.crc32(data, zlib.crc32(checked))
        parts.append(_RECORD.pack(RECORD_MAGIC, crc, len(data), kind, ends, 0, group, index, term))
        parts.append(data)
        parts.append(b"\0" * (-(RECORD_BYTES + len(data)) % ALIGNMENT))
    return b"".join(parts)


def decode_record(data: bytes, offset: int) -> Record | None:
    """The record at `offset`, or None if none checks there."""
    start = offset + RECORD_BYTES
    if start > len(data):
        return None
    magic, crc, length, kind, ends, zero, group, index, term = _RECORD.unpack_from(data, offset)
    if magic != RECORD_MAGIC or start + length > len(data):
        return None
    body = data[start : start + length]
    checked = _CHECKED.pack(length, kind, ends, zero, group, index, term)
    if crc != zlib.crc32(body, zlib.crc32(checked)):
        return None
    end = start + length
    return Record(kind, bool(ends), group, index, term, body, end + -end % ALIGNMENT)


def records(data: bytes) -> Iterator[Record]:
    """The intact records from the start of a segment up to the first that does not check."""
    offset = HEADER_BYTES
    while (record := decode_record(data, offset)) is not None:
        yield record
        offset = record.end


def is_clean_end(data: bytes, offset: int) -> bool:
    """Whether nothing but pre-written zeros stands from `offset` on."""
    return data.count(0, offset) == len(data) - offset


def later_group_follows(data: bytes, offset: int, damaged_group: int) -> bool:
    """Whether an intact record of a group after `damaged_group` stands at or behind `offset`."""
    while (offset := data.find(RECORD_MAGIC, offset)) >= 0:
        if offset % ALIGNMENT == 0:
            record = decode_record(data, offset)
            if record is not None and record.group > damaged_group:
                return True
        offset += 1
    return False
