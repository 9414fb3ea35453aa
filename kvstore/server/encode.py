"""Encoded key-values and events, made once and shared.

A version of a key never changes, and (key, mod_revision) names it: so its protobuf bytes can be kept, and a range of a
thousand keys or an event for a thousand watchers is joined from them instead of built anew each time. The cache is
bounded by bytes and dropped whole when full: cheaper than ageing, and refilled within a few calls.
"""

from collections.abc import Iterable

from kvstore.machine.outcome import Event, KeyValue, RangeReply
from kvstore.server.header import varint

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


def with_length(tag: bytes, body: bytes) -> bytes:
    """A length-delimited field."""
    return tag + varint(len(body)) + body


class Encoder:
    """Bytes of versions and events, cached."""

    def __init__(self, limit_bytes: int = _LIMIT_BYTES) -> None:
        self._limit = limit_bytes
        self._size = 0
        self._cache: dict[tuple[bytes, int, int], bytes] = {}

    def key_value(self, kv: KeyValue) -> bytes:
        """mvccpb.KeyValue of one version."""
        at = (kv.key, kv.mod_revision, 0 if kv.value else 1)
        found = self._cache.get(at)
        if found is None:
            found = self._keep(at, encode_key_value(kv))
        return found

    def event(self, event: Event, with_prev: bool) -> bytes:
        """mvccpb.Event as field 11 of a WatchResponse."""
        at = (event.kv.key, event.kv.mod_revision, 3 if with_prev else 2)
        found = self._cache.get(at)
        if found is None:
            body = b"\x08\x01" if event.is_delete else b""
            body += with_length(b"\x12", encode_key_value(event.kv))
            if with_prev and event.prev is not None:
                body += with_length(b"\x1a", encode_key_value(event.prev))
            found = self._keep(at, with_length(b"\x5a", body))
        return found

    def range_response(self, header: bytes, reply: RangeReply) -> bytes:
        """RangeResponse."""
        parts = [header]
        for kv in reply.kvs:
            body = self.key_value(kv)
            parts += (b"\x12", varint(len(body)), body)
        if reply.more:
            parts.append(b"\x18\x01")
        if reply.count:
            parts += (b"\x20", varint(reply.count))
        return b"".join(parts)

    def _keep(self, at: tuple[bytes, int, int], data: bytes) -> bytes:
        if len(data) <= _MAX_ENTRY_BYTES:
            if self._size > self._limit:
                self._cache.clear()
                self._size = 0
            self._cache[at] = data
            self._size += len(data) + len(at[0]) + 200
        return data


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
