"""Which ranges a key touches, without asking each one.

Three shapes, by what clients really send: one key (a hash look-up), a prefix (a look-up for each prefix length in
use) and any other range (asked one by one). All who watch one range share its entry, so that thousands on the same
prefix cost one look-up.
"""

from collections.abc import Callable
from typing import Generic, TypeVar

from kvstore.mvcc.ranges import FROM_KEY, in_range, prefix_end

G = TypeVar("G")
K = TypeVar("K")


class WatchIndex(Generic[G]):
    """What is kept for each key range; `make` makes it."""

    def __init__(self, make: Callable[[bytes, bytes], G]) -> None:
        self._make = make
        self._by_key: dict[bytes, G] = {}
        self._by_prefix: dict[int, dict[bytes, G]] = {}
        self._by_range: dict[tuple[bytes, bytes], G] = {}

    def entry(self, key: bytes, range_end: bytes) -> G:
        """The entry of a range, made if there is none: from now on among what `touched` finds."""
        if not range_end:
            return self._at(self._by_key, key, key, range_end)
        if _is_prefix(key, range_end):
            return self._at(self._by_prefix.setdefault(len(key), {}), key, key, range_end)
        return self._at(self._by_range, (key, range_end), key, range_end)

    def remove(self, key: bytes, range_end: bytes) -> None:
        """Forget a range. Idempotent."""
        if not range_end:
            self._by_key.pop(key, None)
        elif _is_prefix(key, range_end):
            prefixes = self._by_prefix.get(len(key), {})
            prefixes.pop(key, None)
            if not prefixes:
                self._by_prefix.pop(len(key), None)
        else:
            self._by_range.pop((key, range_end), None)

    def touched(self, key: bytes) -> list[G]:
        """The entries of all ranges that hold `key`."""
        entry = self._by_key.get(key)
        found = [] if entry is None else [entry]
        for length, prefixes in self._by_prefix.items():
            if len(key) >= length:
                entry = prefixes.get(key[:length])
                if entry is not None:
                    found.append(entry)
        for (start, range_end), entry in self._by_range.items():
            if in_range(key, start, range_end):
                found.append(entry)
        return found

    def _at(self, table: dict[K, G], at: K, key: bytes, range_end: bytes) -> G:
        entry = table.get(at)
        if entry is None:
            entry = table[at] = self._make(key, range_end)
        return entry


def _is_prefix(key: bytes, range_end: bytes) -> bool:
    return bool(key) and range_end == prefix_end(key) and range_end != FROM_KEY
