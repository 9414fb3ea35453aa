"""The whole state as a stream of bytes, and back.

The stream: a magic line with the format's version, then records, each a length (4 bytes, big endian) and that many
bytes of msgpack: `[kind, body]`. Kinds come in this order:

    "head"  applied index, revision, compacted revision, leases, alarms, members, users and roles, configuration
    "base"  some versions that existed at the compacted revision
    "revs"  for some consecutive revisions, the versions written in each, tombstones too
    "tail"  how many versions and revisions there were, and the CRC-32 of every byte before this record

History is kept by revision rather than by key, since events in their order are what watchers must get again; the
versions of a key follow from it. What `write` yields is pinned when it is called and made while it is consumed.
"""

import struct
from collections.abc import Iterable, Iterator
from typing import Any, cast
from zlib import crc32

import msgspec

from kvstore.auth.store import AuthState
from kvstore.lease.lessor import Lessor
from kvstore.mvcc.kv import KeyValue
from kvstore.mvcc.store import Store

MAGIC = b"quorate-state 1\n"
MAX_CHUNK_BYTES = 1 << 20
"""What the replication layer may be given at once."""

_SLICE_BYTES = 128 << 10
"""A chunk is given out at this size: about a millisecond of work between two chances for others to run."""

_LENGTH = struct.Struct(">I")
_encode = msgspec.msgpack.Encoder().encode


class Head(msgspec.Struct, frozen=True, array_like=True):
    """All but keys. Fields are only ever appended, with defaults."""

    applied_index: int
    revision: int
    compact_revision: int
    leases: list[tuple[int, int, int]] = []
    alarms: list[tuple[int, int]] = []
    members: list[tuple[int, str, tuple[str, ...]]] = []
    auth: AuthState = AuthState()
    peer_urls: list[tuple[int, tuple[str, ...]]] = []
    downgrade: str = ""
    configuration: bytes = b""


class Tail(msgspec.Struct, frozen=True, array_like=True):
    """What must have been read by now."""

    base_count: int
    revision_count: int
    checksum: int = 0


class State(msgspec.Struct):
    """What a snapshot holds."""

    applied_index: int = 0
    store: Store = msgspec.field(default_factory=Store)
    lessor: Lessor = msgspec.field(default_factory=Lessor)
    alarms: set[tuple[int, int]] = msgspec.field(default_factory=set)
    members: dict[int, tuple[str, tuple[str, ...]]] = msgspec.field(default_factory=dict)
    auth: AuthState = msgspec.field(default_factory=AuthState)
    peer_urls: dict[int, tuple[str, ...]] = msgspec.field(default_factory=dict)
    downgrade: str = ""
    configuration: bytes = b""
    """The members by whom the log was replicated last, in the replication layer's own form; empty = the first ones."""


def write(state: State) -> Iterator[bytes]:
    """The snapshot of `state` as it is at this call, in chunks of at most MAX_CHUNK_BYTES."""
    store = state.store
    head = Head(
        state.applied_index,
        store.revision,
        store.compact_revision,
        [(lease.id, lease.ttl, lease.remaining) for lease in state.lessor.leases.values()],
        sorted(state.alarms),
        [(member_id, *state.members[member_id]) for member_id in sorted(state.members)],
        state.auth,
        sorted(state.peer_urls.items()),
        state.downgrade,
        state.configuration,
    )
    return _chunks(_records(head, store.pinned_base(), store.history.pinned()))


def read(chunks: Iterable[bytes]) -> State:
    """The state in a snapshot. Raises ValueError, and says where, if it is damaged, cut off or of another format."""
    reader = StateReader(chunks)
    head = reader.head()
    state = build(head, reader.base(), reader.revisions())
    reader.finish()
    return state


def build(head: Head, base: Iterable[KeyValue], revisions: Iterable[list[KeyValue]]) -> State:
    """The state of these parts (see `Store.rebuild`). Raises ValueError if they do not fit together."""
    try:
        store = Store.rebuild(head.compact_revision, base, revisions)
    except (msgspec.ValidationError, TypeError) as error:
        raise ValueError(f"snapshot does not hold versions: {error}") from error
    if store.revision != head.revision:
        raise ValueError(f"snapshot ends at revision {store.revision}, not {head.revision}")
    lessor = Lessor()
    for lease_id, ttl, remaining in head.leases:
        lessor.grant(lease_id, ttl, remaining)
    for kv in store.leased():
        if kv.lease not in lessor:
            raise ValueError(f"snapshot has a key on lease {kv.lease}, which does not exist")
        lessor.attach(kv.lease, kv.key)
    members = {member_id: (name, urls) for member_id, name, urls in head.members}
    return State(
        head.applied_index,
        store,
        lessor,
        set(head.alarms),
        members,
        head.auth,
        dict(head.peer_urls),
        head.downgrade,
        head.configuration,
    )


def _records(
    head: Head, base: Iterator[KeyValue], revisions: Iterator[tuple[Any, ...]]
) -> Iterator[bytes | Tail]:
    yield _encode(("head", head))
    base_count = revision_count = 0
    for kvs in _sliced(base, lambda kv: len(kv.value)):
        base_count += len(kvs)
        yield _encode(("base", kvs))
    written = ([event.kv for event in events] for events in revisions)
    for slice_ in _sliced(written, lambda kvs: sum(len(kv.value) + len(kv.key) for kv in kvs)):
        revision_count += len(slice_)
        yield _encode(("revs", slice_))
    # `_chunks` adds the checksum, which covers the records with their lengths.
    yield Tail(base_count, revision_count)


def _sliced(items: Iterator[Any], size_of: Any) -> Iterator[list[Any]]:
    """Lists of items that make up a record of about _SLICE_BYTES."""
    found: list[Any] = []
    size = 0
    for item in items:
        found.append(item)
        size += size_of(item) + 64
        if size >= _SLICE_BYTES:
            yield found
            found, size = [], 0
    if found:
        yield found


def _chunks(records: Iterator[bytes | Tail]) -> Iterator[bytes]:
    checksum = crc32(MAGIC)
    yield MAGIC
    for body in records:
        if isinstance(body, Tail):
            body = _encode(("tail", Tail(body.base_count, body.revision_count, checksum)))
        record = _LENGTH.pack(len(body)) + body
        checksum = crc32(record, checksum)
        for start in range(0, len(record), MAX_CHUNK_BYTES):
            yield record[start : start + MAX_CHUNK_BYTES]


class StateReader:
    """What a snapshot holds, piece by piece: `head`, all of `base`, all of `revisions`, `finish`. Raises ValueError."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._buffer = bytearray()
        self._offset = 0
        self._checksum = 0
        self._checksum_before = 0
        self._ahead: tuple[str, Any] | None = None
        self._base_count = 0
        self._revision_count = 0
        magic = self._take(len(MAGIC))
        if magic != MAGIC:
            raise ValueError(f"not a snapshot of this format: it begins with {magic[:20]!r}")

    def head(self) -> Head:
        """All but keys."""
        return cast("Head", _convert(self.expect("head"), Head))

    def expect(self, kind: str) -> Any:
        """The body of the next record, which must be of `kind`."""
        found, body = self._next()
        if found != kind:
            raise ValueError(f"snapshot has {found!r} instead of {kind!r} before {self._offset}")
        return body

    def base(self) -> Iterator[KeyValue]:
        """Versions of the base."""
        for body in self._all("base"):
            kvs = _convert(body, list[KeyValue])
            self._base_count += len(kvs)
            yield from kvs

    def revisions(self) -> Iterator[list[KeyValue]]:
        """Versions by revision."""
        for body in self._all("revs"):
            revisions = _convert(body, list[list[KeyValue]])
            self._revision_count += len(revisions)
            yield from revisions

    def finish(self) -> None:
        """Check that all was there, and nothing more."""
        tail = _convert(self.expect("tail"), Tail)
        if tail.checksum != self._checksum_before:
            raise ValueError("snapshot is damaged: its checksum does not match")
        if (tail.base_count, tail.revision_count) != (self._base_count, self._revision_count):
            raise ValueError("snapshot is incomplete")
        if self._buffer or any(self._chunks):
            raise ValueError(f"snapshot goes on after its end at {self._offset}")

    def _all(self, kind: str) -> Iterator[Any]:
        while True:
            record = self._next()
            if record[0] != kind:
                self._ahead = record
                return
            yield record[1]

    def _next(self) -> tuple[str, Any]:
        if self._ahead is not None:
            record, self._ahead = self._ahead, None
            return record
        self._checksum_before = self._checksum
        at = self._offset
        (length,) = _LENGTH.unpack(self._take(_LENGTH.size))
        body = self._take(length)
        try:
            kind, value = msgspec.msgpack.decode(body, type=tuple[str, msgspec.Raw])
        except msgspec.DecodeError as error:
            raise ValueError(f"snapshot is damaged at {at}: {error}") from error
        return kind, value

    def _take(self, count: int) -> bytes:
        while len(self._buffer) < count:
            chunk = next(self._chunks, None)
            if chunk is None:
                have = self._offset + len(self._buffer)
                raise ValueError(f"snapshot is cut off at {have}: {count} bytes expected")
            self._buffer += chunk
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        self._offset += count
        self._checksum = crc32(taken, self._checksum)
        return taken


def _convert(raw: Any, wanted: Any) -> Any:
    try:
        return msgspec.msgpack.decode(raw, type=wanted)
    except msgspec.DecodeError as error:
        raise ValueError(f"snapshot is damaged: {error}") from error
