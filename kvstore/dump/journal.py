"""The records of a journal's segments, in the order in which they were written, damaged ones with their place."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgpack

from kvstore.dump.words import Wording
from kvstore.raft import segment
from kvstore.raft.proposals import PACK_PREFIX

_OPERATIONS = {segment.KIND_TRUNCATE: "truncate", segment.KIND_RESET: "reset"}


@dataclass(frozen=True, slots=True)
class Row:
    """One record, header or piece of damage. `index` and `term` are 0 where there is none."""

    path: Path
    offset: int
    kind: str
    """segment, entry, truncate, reset, torn (what a crash left, cut at the next start) or damaged."""
    index: int = 0
    term: int = 0
    group: int = 0
    details: tuple[tuple[str, Any], ...] = ()
    commands: tuple[dict[str, Any], ...] = ()
    """Of an entry, each with who proposed it."""


def segments_of(place: Path) -> list[Path]:
    """The segments at `place`: a data directory, its log folder, or one file. Raises FileNotFoundError."""
    if place.is_dir():
        folder = place / "log" if (place / "log").is_dir() else place
        found = sorted(folder.glob("*.log"))
        if not found:
            raise FileNotFoundError(2, "no segments (*.log) in", str(folder))
        return found
    if not place.exists():
        raise FileNotFoundError(2, "no such file", str(place))
    return [place]


def rows(paths: Sequence[Path], wording: Wording) -> Iterator[Row]:
    """All records of the segments. Raises OSError if one cannot be read."""
    for number, path in enumerate(paths):
        yield from _segment(path, wording, is_last=number == len(paths) - 1)


def _segment(path: Path, wording: Wording, *, is_last: bool) -> Iterator[Row]:
    data = path.read_bytes()
    header = segment.decode_header(data)
    if header is None:
        yield Row(path, 0, "damaged", details=(("problem", "the header does not check"),))
    else:
        yield Row(
            path,
            0,
            "segment",
            header.last_index,
            header.last_term,
            header.next_group,
            (("number", header.number), ("bytes", len(data))),
        )
    offset, group = segment.HEADER_BYTES, (header.next_group - 1 if header else 0)
    while True:
        record = segment.decode_record(data, offset)
        if record is not None:
            yield _row(path, offset, record, wording)
            offset, group = record.end, record.group
            continue
        if segment.is_clean_end(data, offset):
            return
        later = _next_record(data, offset)
        if later is None:
            yield _unreadable(path, offset, len(data), is_torn=is_last, group=group)
            return
        # As at a start: a later group behind it means that this one had been durable.
        is_torn = is_last and not segment.later_group_follows(data, offset, group + 1)
        yield _unreadable(path, offset, later, is_torn=is_torn, group=group)
        offset = later


def _next_record(data: bytes, offset: int) -> int | None:
    """Where the next intact record stands behind `offset`."""
    while (offset := data.find(segment.RECORD_MAGIC, offset + 1)) >= 0:
        if offset % segment.ALIGNMENT == 0 and segment.decode_record(data, offset) is not None:
            return offset
    return None


def _unreadable(path: Path, offset: int, end: int, *, is_torn: bool, group: int) -> Row:
    problem = "a record does not match its checksum"
    details = (("problem", problem), ("bytes", end - offset), ("after_group", group))
    return Row(path, offset, "torn" if is_torn else "damaged", details=details)


def _row(path: Path, offset: int, record: segment.Record, wording: Wording) -> Row:
    if record.kind != segment.KIND_ENTRY:
        kind = _OPERATIONS.get(record.kind, f"kind {record.kind}")
        return Row(path, offset, kind, record.index, record.term, record.group)
    details: list[tuple[str, Any]] = [("bytes", len(record.data))]
    commands: list[dict[str, Any]] = []
    try:
        for member, nonce, numbers, packed in _packs(record.data):
            for number, command in zip(numbers, packed, strict=True):
                said = wording.command(command)
                said["proposed"] = {"member": f"{member:x}", "boot": nonce >> 40, "number": number}
                commands.append(said)
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        details.append(("problem", f"the entry holds no packs of commands ({error})"))
    if record.data[:1] != PACK_PREFIX:
        details.append(("no_op", True))
    return Row(
        path,
        offset,
        "entry",
        record.index,
        record.term,
        record.group,
        tuple(details),
        tuple(commands),
    )


def _packs(data: bytes) -> Iterator[Any]:
    """The packs of an entry, one by one and untyped; none in one that only begins a term."""
    if data[:1] != PACK_PREFIX:
        return
    unpacker = msgpack.Unpacker(
        raw=False, strict_map_key=False, use_list=True, max_buffer_size=len(data)
    )
    unpacker.feed(memoryview(data)[1:])
    for _ in range(unpacker.read_array_header()):
        yield unpacker.unpack()
