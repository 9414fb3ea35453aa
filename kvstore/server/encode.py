"""Encoded key-values and events, made once and shared.

A version of a key never changes: so its protobuf bytes can be kept, and a range of a
thousand keys or an event for a thousand watchers is joined from them instead of built anew each time. The cache is
bounded by bytes and dropped whole when full: cheaper than ageing, and refilled within a few calls.
"""

from collections.abc import Iterable

from kvstore.machine.outcome import Event, KeyValue, RangeReply
from kvstore.server.header import varint, with_length

_LIMIT_BYTES = 16 << 20
_MAX_ENTRY_BYTES = 64 << 10


def encode_key_value(kv: KeyValue) -> bytes:
    """mvccpb.KeyValue."""
    parts = [b"\x0a", varint(len(kv.key)), kv.key] if kv.key else []
    for tag, number in (
        (b"\x10", kv.create_revision),
        (b"\x18", kv.mod_revision),
        (b"\x20", kv.version),
    ):
        if number:
            parts += (tag, varint(number))
    if kv.value:
        parts += (b"\x2a", varint(len(kv.value)), kv.value)
    if kv.lease:
        parts += (b"\x30", varint(kv.lease))
    return b"".join(parts)


class Encoder:
    """Bytes of versions and events, cached by the identity of the objects, which a store shares with all its readers.

    What is cached is kept alive with its bytes, so that no other object can take its place.
    """

    def __init__(self, limit_bytes: int = _LIMIT_BYTES) -> None:
        self._limit = limit_bytes
        self._size = 0
        self._kvs: dict[int, bytes] = {}
        self._events: dict[tuple[int, bool], bytes] = {}
        self._alive: list[KeyValue | Event] = []

    def event(self, event: Event, with_prev: bool) -> bytes:
        """mvccpb.Event as field 11 of a WatchResponse."""
        found = self._events.get((id(event), with_prev))
        if found is None:
            body = b"\x08\x01" if event.is_delete else b""
            body += with_length(b"\x12", encode_key_value(event.kv))
            if with_prev and event.prev is not None:
                body += with_length(b"\x1a", encode_key_value(event.prev))
            found = with_length(b"\x5a", body)
            if self._has_room(event, len(found)):
                self._events[id(event), with_prev] = found
        return found

    def range_response(self, header: bytes, reply: RangeReply) -> bytes:
        """RangeResponse."""
        kvs = reply.kvs
        try:
            parts = [header, *map(self._kvs.__getitem__, map(id, kvs))]
        except KeyError:
            parts = [header, *map(self._key_value, kvs)]
        if reply.more:
            parts.append(b"\x18\x01")
        if reply.count:
            parts += (b"\x20", varint(reply.count))
        return b"".join(parts)

    def _key_value(self, kv: KeyValue) -> bytes:
        """mvccpb.KeyValue of one version as field 2 of a RangeResponse."""
        found = self._kvs.get(id(kv))
        if found is None:
            found = with_length(b"\x12", encode_key_value(kv))
            # One without a value may be a copy made for a read of keys only.
            if kv.value and self._has_room(kv, len(found)):
                self._kvs[id(kv)] = found
        return found

    def _has_room(self, source: KeyValue | Event, size: int) -> bool:
        if size > _MAX_ENTRY_BYTES:
            return False
        if self._size > self._limit:
            self._kvs.clear()
            self._events.clear()
            self._alive.clear()
            self._size = 0
        self._alive.append(source)
        self._size += size + 200
        return True


def watch_response(
    header: bytes, watch_id: int, events: Iterable[bytes], *, is_fragment: bool = False
) -> bytes:
    """WatchResponse with events; `events` from `Encoder.event`."""
    head = header
    if watch_id:
        head += b"\x10" + varint(watch_id)
    if is_fragment:
        head += b"\x38\x01"
    return head + b"".join(events)
