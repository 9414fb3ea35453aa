"""Key ranges that a user may read or write: many grants become few intervals, asked by one bisection.

A grant is `(key, range_end)` by etcd's rules: no `range_end` is that one key, b"\\0" is from `key` on. An interval is
half-open, `[start, end)`, with `end` None for "no end"; one key is `[key, key + b"\\0")`, since no key lies between.
Adjacent intervals are one: a range over two grants side by side is allowed, as in etcd.
"""

from bisect import bisect_right
from collections.abc import Iterable

READ, WRITE, READWRITE = 0, 1, 2
"""etcd's numbers (authpb.Permission.Type)."""

Interval = tuple[bytes, bytes | None]


def interval(key: bytes, range_end: bytes) -> Interval:
    """The interval of a grant or request."""
    if not range_end:
        return key, key + b"\0"
    return key, None if range_end == b"\0" else range_end


class Intervals:
    """Disjoint intervals in order."""

    __slots__ = ("_ends", "_starts")

    def __init__(self, intervals: Iterable[Interval]) -> None:
        self._starts: list[bytes] = []
        self._ends: list[bytes | None] = []
        for start, end in sorted(intervals, key=lambda one: one[0]):
            if end is not None and end <= start:
                continue
            if self._starts:
                last = self._ends[-1]
                if last is None:
                    break
                if start <= last:
                    self._ends[-1] = None if end is None else max(last, end)
                    continue
            self._starts.append(start)
            self._ends.append(end)

    def covers(self, key: bytes, range_end: bytes) -> bool:
        """Whether every key of the range is inside; of one that holds no key, as in etcd, its start must be."""
        start, end = interval(key, range_end)
        if end is not None and end <= start:
            end = start + b"\0"
        position = bisect_right(self._starts, start) - 1
        if position < 0:
            return False
        limit = self._ends[position]
        return limit is None or (end is not None and end <= limit)
