"""Which watchers a key touches, without asking each one.

Three shapes, by what clients really send: one key (a hash look-up), a prefix (a look-up for each prefix length in
use) and any other range (asked one by one). Watchers of one range share an entry, so that thousands on the same
prefix cost one look-up.
"""

from collections.abc import Iterator
from typing import Generic, TypeVar

W = TypeVar("W")


def prefix_end(prefix: bytes) -> bytes:
    """The `range_end` that etcd clients send for a prefix; b"\\0" (no end) for an empty or all-0xff one."""
    trimmed = prefix.rstrip(b"\xff")
    if not trimmed:
        return b"\0"
    return trimmed[:-1] + bytes([trimmed[-1] + 1])


def in_range(key: bytes, start: bytes, range_end: bytes) -> bool:
    """Whether `key` is in `[start, range_end)` by etcd's rules."""
    if not range_end:
        return key == start
    if range_end == b"\0":
        return key >= start
    return start <= key < range_end


class WatchIndex(Generic[W]):
    """Watchers by key range."""

    def __init__(self) -> None:
        self._by_key: dict[bytes, dict[W, None]] = {}
        self._by_prefix: dict[int, dict[bytes, dict[W, None]]] = {}
        self._by_range: dict[tuple[bytes, bytes], dict[W, None]] = {}

    def add(self, key: bytes, range_end: bytes, watcher: W) -> None:
        """Let `touched(k)` yield `watcher` for every k in the range."""
        if not range_end:
            self._by_key.setdefault(key, {})[watcher] = None
        elif key and range_end == prefix_end(key) and range_end != b"\0":
            self._by_prefix.setdefault(len(key), {}).setdefault(key, {})[watcher] = None
        else:
            self._by_range.setdefault((key, range_end), {})[watcher] = None

    def remove(self, key: bytes, range_end: bytes, watcher: W) -> None:
        """Undo `add`."""
        if not range_end:
            _drop(self._by_key, key, watcher)
        elif key and range_end == prefix_end(key) and range_end != b"\0":
            prefixes = self._by_prefix.get(len(key), {})
            _drop(prefixes, key, watcher)
            if not prefixes:
                self._by_prefix.pop(len(key), None)
        else:
            _drop(self._by_range, (key, range_end), watcher)

    def touched(self, key: bytes) -> Iterator[W]:
        """All watchers whose range holds `key`."""
        yield from self._by_key.get(key, ())
        for length, prefixes in self._by_prefix.items():
            if len(key) >= length:
                yield from prefixes.get(key[:length], ())
        for (start, range_end), watchers in self._by_range.items():
            if in_range(key, start, range_end):
                yield from watchers


K = TypeVar("K")


def _drop(table: dict[K, dict[W, None]], at: K, watcher: W) -> None:
    watchers = table.get(at)
    if watchers is not None:
        watchers.pop(watcher, None)
        if not watchers:
            del table[at]
