"""The records of a snapshot, one version at a time: a file of any size is never whole in memory."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgpack

from kvstore.dump.words import HEAD_FIELDS, KV_FIELDS, Wording
from kvstore.machine.snapshot import MAGIC
from kvstore.raft.snapshots import Frame, scan_frames

_LENGTH = struct.Struct(">I")
_MAX_RECORD_BYTES = 256 << 20
_TAIL_FIELDS = ("base_count", "revision_count", "checksum")


@dataclass(frozen=True, slots=True)
class Row:
    """One record or piece of damage; `offset` is in the file where the frame that holds its end begins."""

    path: Path
    offset: int
    kind: str
    """head, base (a version at the compacted revision), version, tail, other, or damaged."""
    revision: int = 0
    fields: tuple[tuple[str, Any], ...] = ()


def file_of(place: Path) -> Path:
    """The snapshot at `place`: a file, or the newest of a data directory or of its folder. Raises FileNotFoundError."""
    if place.is_dir():
        folder = place / "snapshots" if (place / "snapshots").is_dir() else place
        found = sorted(folder.glob("*.snap"))
        if not found:
            raise FileNotFoundError(2, "no snapshot (*.snap) in", str(folder))
        return found[-1]
    if not place.exists():
        raise FileNotFoundError(2, "no such file", str(place))
    return place


def rows(path: Path, wording: Wording) -> Iterator[Row]:
    """All records. Raises OSError if the file cannot be read."""
    stream = bytearray()
    has_magic = is_lost = False
    for frame in _checked(path):
        if isinstance(frame, Row):
            yield frame
            continue
        stream += frame.chunk
        if not has_magic and len(stream) >= len(MAGIC):
            has_magic = True
            if stream[: len(MAGIC)] != MAGIC:
                yield _damaged(path, frame.offset, f"not a state of this format: {stream[:20]!r}")
                is_lost = True
            del stream[: len(MAGIC)]
        while has_magic and not is_lost and len(stream) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(stream)
            if length > _MAX_RECORD_BYTES:
                yield _damaged(path, frame.offset, f"a record claims {length} bytes")
                is_lost = True
                break
            end = _LENGTH.size + length
            if len(stream) < end:
                break
            body = bytes(stream[_LENGTH.size : end])
            del stream[:end]
            yield from _record(path, frame.offset, body, wording)
        if is_lost:
            stream.clear()
    if stream:
        yield _damaged(
            path, path.stat().st_size, f"the last record lacks its end: {len(stream)} bytes of it"
        )


def _checked(path: Path) -> Iterator[Row | Frame]:
    """Damage as rows; the chunks, damaged ones too, as frames."""
    frames = scan_frames(path)
    header = next(frames)
    if header.problem:
        yield _damaged(path, header.offset, header.problem)
    before: Frame | None = None
    for frame in frames:
        if before is not None:
            yield before
        before = frame
        if frame.problem:
            yield _damaged(path, frame.offset, frame.problem)
    # The last is the trailer, or what is left of a frame that is cut short: neither holds a chunk.


def _record(path: Path, offset: int, body: bytes, wording: Wording) -> Iterator[Row]:
    unpacker = msgpack.Unpacker(
        raw=False, strict_map_key=False, use_list=True, max_buffer_size=len(body)
    )
    unpacker.feed(body)
    try:
        if unpacker.read_array_header() != 2:
            raise ValueError("no pair of kind and body")
        kind = unpacker.unpack()
        if kind == "base":
            for _ in range(unpacker.read_array_header()):
                yield _version(path, offset, "base", unpacker.unpack(), wording)
        elif kind == "revs":
            for _ in range(unpacker.read_array_header()):
                for _ in range(unpacker.read_array_header()):
                    yield _version(path, offset, "version", unpacker.unpack(), wording)
        elif kind == "head":
            fields = wording.named(HEAD_FIELDS, _head(unpacker.unpack()))
            yield Row(path, offset, "head", _whole(fields.get("revision")), tuple(fields.items()))
        elif kind == "tail":
            fields = wording.named(_TAIL_FIELDS, unpacker.unpack())
            yield Row(path, offset, "tail", 0, tuple(fields.items()))
        else:
            yield Row(path, offset, "other", 0, (("record", str(kind)), ("bytes", len(body))))
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        yield _damaged(path, offset, f"a record cannot be decoded ({error})")


def _head(fields: Any) -> Any:
    """Without what gives rights: of users and roles only how many parts there are."""
    place = HEAD_FIELDS.index("auth")
    if isinstance(fields, list) and len(fields) > place:
        return [*fields[:place], "hidden", *fields[place + 1 :]]
    return fields


def _version(path: Path, offset: int, kind: str, fields: Any, wording: Wording) -> Row:
    named = wording.named(KV_FIELDS, fields)
    return Row(path, offset, kind, _whole(named.get("mod_revision")), tuple(named.items()))


def _whole(number: Any) -> int:
    return number if isinstance(number, int) else 0


def _damaged(path: Path, offset: int, problem: str) -> Row:
    return Row(path, offset, "damaged", 0, (("problem", problem),))
