"""What a real etcd's write-ahead log tells of its data: whose it is, and which entries only the log has.

Files of `member/wal` hold records one after the other: eight octets with the record's size (and, in the highest octet,
how many octets of padding follow), then a protobuf of kind, running CRC-32C and data. Zeros in place of a size are
space not used yet. A record cut short at the very end was being written when etcd ended, and is not part of the log.

Source: etcd's server/wal (encoder.go, decoder.go, walpb/record.proto) and raft/raftpb/raft.proto, versions 3.4 and 3.5.
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

import google_crc32c

_METADATA, _ENTRY, _STATE, _CRC = 1, 2, 3, 4
_SIZE = struct.Struct("<q")
_SIZE_MASK = (1 << 56) - 1
_NORMAL = 0
_HEADER = 100
"""Of etcd's InternalRaftRequest: older ones, about members and versions, have none."""

_READS = (3, 1013, 1102, 1106, 1107, 1202)
_HARMLESS = frozenset((1, 2, *_READS, 11, _HEADER, 1012, 1300, 1301, 1302))
"""Its fields that change nothing of what is kept here: reads, times left of leases, logins, members, versions. etcd 3.4
does not note in its file that it has applied these."""

_AUTH_ENABLE, _AUTH_DISABLE = 1000, 1011


class BadWal(ValueError):
    """The files are no whole log; the message says what is wrong."""


class Entry(IntEnum):
    """What an entry holds."""

    NO_REQUEST = 0
    """A change of members, or nothing."""
    HARMLESS = 1
    CHANGE = 2
    """It may have changed keys, leases, users or alarms."""
    AUTH_ON = 3
    AUTH_OFF = 4


@dataclass(slots=True)
class EtcdWal:
    """What was read; `entries` by index."""

    member_id: int = 0
    cluster_id: int = 0
    commit: int = 0
    entries: dict[int, Entry] = field(default_factory=dict)

    @property
    def was_never_used(self) -> bool:
        """Whether it is as `snapshot restore` made it: whole, and without any request."""
        return 1 in self.entries and not any(self.entries.values())

    def changes_behind(self, index: int, *, is_auth_on: bool) -> list[int]:
        """Indexes of changes that a state up to `index` lacks. Raises BadWal if the log does not reach back.

        etcd 3.4 writes down that authentication is on without noting the entry: the state itself says whether it is.
        """
        later = sorted(one for one in self.entries if one > index)
        if later and later != list(range(index + 1, later[-1] + 1)):
            raise BadWal(f"entries behind {index} are missing")
        switches = [one for one in later if self.entries[one] in (Entry.AUTH_ON, Entry.AUTH_OFF)]
        wanted = Entry.AUTH_ON if is_auth_on else Entry.AUTH_OFF
        lacking = [one for one in later if self.entries[one] is Entry.CHANGE]
        if switches and self.entries[switches[-1]] is not wanted:
            lacking = sorted([*lacking, *switches])
        return lacking


def read_wal(files: Sequence[bytes]) -> EtcdWal:
    """The log in the contents of its files, in the order of their names. Raises BadWal."""
    wal = EtcdWal()
    checksum = 0
    for position, data in enumerate(files):
        for kind, crc, body in _records(data, is_last=position == len(files) - 1):
            if kind == _CRC:
                if checksum and crc != checksum:
                    raise BadWal(
                        "the checksum of a file does not go on with that of the one before"
                    )
                checksum = crc
                continue
            checksum = google_crc32c.extend(checksum, body)
            if checksum != crc:
                raise BadWal("a record's checksum is wrong")
            _take(wal, kind, _fields(body))
    return wal


def _take(wal: EtcdWal, kind: int, record: dict[int, int | bytes]) -> None:
    if kind == _METADATA:
        wal.member_id, wal.cluster_id = _number(record, 1), _number(record, 2)
    elif kind == _ENTRY:
        index = _number(record, 3)
        # What was overwritten later was never committed, with all that followed it.
        for stale in [one for one in wal.entries if one >= index] if index in wal.entries else ():
            del wal.entries[stale]
        wal.entries[index] = _kind_of(record)
    elif kind == _STATE:
        wal.commit = _number(record, 3)


def _kind_of(record: dict[int, int | bytes]) -> Entry:
    request = record.get(4, b"")
    if _number(record, 1) != _NORMAL or not isinstance(request, bytes) or not request:
        return Entry.NO_REQUEST
    try:
        fields = _fields(request).keys()
    except BadWal:
        # Not understood: it may be anything.
        return Entry.CHANGE
    if _HEADER not in fields or not (changing := fields - _HARMLESS):
        return Entry.HARMLESS
    if changing == {_AUTH_ENABLE}:
        return Entry.AUTH_ON
    return Entry.AUTH_OFF if changing == {_AUTH_DISABLE} else Entry.CHANGE


def _records(data: bytes, *, is_last: bool) -> Iterator[tuple[int, int, bytes]]:
    at = 0
    while at + _SIZE.size <= len(data):
        (word,) = _SIZE.unpack_from(data, at)
        if word == 0:
            return
        size = word & _SIZE_MASK
        padding = (word >> 56) & 7 if word < 0 else 0
        at += _SIZE.size
        record = data[at : at + size]
        if len(record) < size or (is_last and size and not any(record)):
            if is_last:
                return
            raise BadWal("a record is cut short before the last file")
        at += size + padding
        fields = _fields(record)
        body = fields.get(3, b"")
        if not isinstance(body, bytes):
            raise BadWal("a record of another kind")
        yield _number(fields, 1), _number(fields, 2), body


def _number(fields: dict[int, int | bytes], name: int) -> int:
    found = fields.get(name, 0)
    if not isinstance(found, int):
        raise BadWal(f"field {name} is no number")
    return found


def _fields(data: bytes) -> dict[int, int | bytes]:
    """A flat protobuf message: numbers and bytes by field. Raises BadWal."""
    found: dict[int, int | bytes] = {}
    at = 0
    try:
        while at < len(data):
            tag, at = _varint(data, at)
            if tag & 7 == 0:
                found[tag >> 3], at = _varint(data, at)
            elif tag & 7 == 2:
                size, at = _varint(data, at)
                if at + size > len(data):
                    raise BadWal("a field is cut short")
                found[tag >> 3] = data[at : at + size]
                at += size
            else:
                raise BadWal(f"a field of wire type {tag & 7}")
    except IndexError:
        raise BadWal("a message is cut short") from None
    return found


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        octet = data[at]
        at += 1
        value |= (octet & 127) << shift
        if octet < 128:
            return value, at
        shift += 7
        if shift > 63:
            raise BadWal("a number is too long")
