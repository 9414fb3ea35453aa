"""KeyRange: etcd's rules for `range_end`, in one place.

Empty `range_end` is one key; a single zero byte is everything from `key` on; else `[key, range_end)`, which is empty if
`range_end` is not above `key`. Both a zero byte means all keys, as no key is empty.
"""

import msgspec

FROM_KEY = b"\0"
"""As `range_end`: no upper bound."""


class KeyRange(msgspec.Struct, frozen=True, gc=False):
    """A range as a request gives it."""

    key: bytes
    range_end: bytes = b""

    @property
    def is_single(self) -> bool:
        """Whether it is one key."""
        return not self.range_end

    @property
    def end(self) -> bytes | None:
        """The bound above (exclusive); None = none."""
        if not self.range_end:
            return self.key + b"\0"
        return None if self.range_end == FROM_KEY else self.range_end

    def __contains__(self, key: bytes) -> bool:
        return in_range(key, self.key, self.range_end)

    def overlaps(self, other: "KeyRange") -> bool:
        """Whether some key could be in both."""
        end, other_end = self.end, other.end
        low = max(self.key, other.key)
        return (end is None or low < end) and (other_end is None or low < other_end)


def prefix_end(prefix: bytes) -> bytes:
    """The `range_end` for all keys that start with `prefix`; FROM_KEY if none is above them."""
    stem = prefix.rstrip(b"\xff")
    if not stem:
        return FROM_KEY
    return stem[:-1] + bytes((stem[-1] + 1,))


def in_range(key: bytes, start: bytes, range_end: bytes) -> bool:
    """Whether `key` is in the range of a request that gives `start` and `range_end`."""
    if not range_end:
        return key == start
    return key >= start and (range_end == FROM_KEY or key < range_end)
