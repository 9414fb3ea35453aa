"""History: the events of each revision until compaction.

Revisions are contiguous and each has at least one event, so a revision is found by its offset. The revision that was
compacted to is still there, as in etcd a watch may start at it; its events have lost `prev`, which lies before it.
Kept beside each revision is the running sum of version hashes, from which digests at a past revision come. Hashing a
version costs as much as all else that filing it does, so it is put off: somebody calls `settle` when there is time, and
what asks for a sum first gets it made.
"""

from array import array
from collections.abc import Iterable, Iterator
from itertools import islice

from kvstore.mvcc.digest import MASK, hash_version
from kvstore.mvcc.errors import Compacted
from kvstore.mvcc.kv import Event, KeyValue
from kvstore.mvcc.ranges import KeyRange

Batch = tuple[int, tuple[Event, ...]]
"""A revision and events of it."""

_OWED_AT_MOST = 1 << 17
"""Versions whose hashes may be put off: a tenth of a second of work."""


class History:
    """Events from the compacted revision (inclusive) to the current one."""

    __slots__ = ("_first", "_owed", "_revisions", "_sums", "compact_revision")

    def __init__(
        self,
        first_revision: int = 1,
        first_events: tuple[Event, ...] = (),
        compact_revision: int = 0,
        first_sum: int = 0,
    ) -> None:
        self._first = first_revision
        self._revisions: list[tuple[Event, ...]] = [first_events]
        # Of the oldest revisions; the sums of those behind them are not made yet.
        self._sums = array("Q", (first_sum,))
        self._owed = 0
        self.compact_revision = compact_revision

    @property
    def first_revision(self) -> int:
        """The oldest revision with events; 1, which has none, if nothing was ever compacted."""
        return self._first

    @property
    def revision(self) -> int:
        """The newest revision."""
        return self._first + len(self._revisions) - 1

    @property
    def owed(self) -> int:
        """How many versions are not in any sum yet."""
        return self._owed

    def append(self, events: tuple[Event, ...]) -> None:
        """The events of the next revision."""
        self._revisions.append(events)
        self._owed += len(events)
        if self._owed > _OWED_AT_MOST:
            self.settle(len(events))

    def settle(self, limit_events: int) -> None:
        """Make sums that are owed, of about `limit_events` events."""
        sums, revisions = self._sums, self._revisions
        total, position = sums[-1], len(sums)
        done = 0
        while position < len(revisions) and done < limit_events:
            events = revisions[position]
            for event in events:
                total += hash_version(event.kv)
            total &= MASK
            sums.append(total)
            done += len(events)
            position += 1
        self._owed -= done

    def since(self, key: bytes, range_end: bytes, revision: int, limit_events: int) -> list[Batch]:
        """Whole revisions from `revision` on that touch the range, oldest first.

        Stops after the revision that reaches `limit_events` (0 = no limit). Raises Compacted below the compacted one.
        """
        return self.scan(KeyRange(key, range_end), revision, limit_events, 0)[0]

    def scan(
        self, key_range: KeyRange, revision: int, limit_events: int, limit_revisions: int
    ) -> tuple[list[Batch], int]:
        """Like `since`, and the revision to go on from; looks at no more than `limit_revisions` (0 = no limit).

        The second limit is for narrow ranges: a reader far behind would else pass all history in one step.
        """
        if revision < self.compact_revision:
            raise Compacted(revision, self.compact_revision)
        low = max(revision, self._first)
        offset = low - self._first
        stop = len(self._revisions)
        if limit_revisions:
            stop = min(stop, offset + limit_revisions)
        found: list[Batch] = []
        count = 0
        single = key_range.key if key_range.is_single else None
        matched: tuple[Event, ...]
        for position in range(offset, stop):
            events = self._revisions[position]
            if len(events) == 1:
                key = events[0].kv.key
                matched = events if key == single or (single is None and key in key_range) else ()
            else:
                matched = tuple(event for event in events if event.kv.key in key_range)
            if matched:
                found.append((self._first + position, matched))
                count += len(matched)
                if limit_events and count >= limit_events:
                    return found, self._first + position + 1
        return found, max(low, self._first + stop)

    def sum_at(self, revision: int) -> int:
        """Sum of the hashes of all versions written up to `revision`."""
        self._settle_up_to(revision)
        return self._sums[revision - self._first]

    def _settle_up_to(self, revision: int) -> None:
        while len(self._sums) <= revision - self._first:
            self.settle(1)

    def compact(self, revision: int) -> list[tuple[Event, ...]]:
        """Forget what is before `revision`; the events of it and of all that went, for the store to clean up after."""
        self._settle_up_to(revision)
        offset = revision - self._first
        touched = self._revisions[: offset + 1]
        kept = tuple(Event(event.kv, event.is_delete) for event in touched[-1])
        self._revisions = [kept, *self._revisions[offset + 1 :]]
        self._sums = self._sums[offset:]
        self._first = revision
        self.compact_revision = revision
        return touched

    def pinned(self) -> Iterator[tuple[Event, ...]]:
        """All revisions from the first on, as of now: later appends and compactions do not show."""
        # The list is only ever appended to or replaced, so a reference and a length pin it.
        return islice(self._revisions, len(self._revisions))

    def adopt(self, other: "History") -> None:
        """Become `other`, which must not be used any more."""
        self._first = other._first
        self._revisions = other._revisions
        self._sums = other._sums
        self._owed = other._owed
        self.compact_revision = other.compact_revision

    def check_invariants(self) -> None:
        """Raise AssertionError if revisions, sums and bounds do not agree."""
        assert 0 < len(self._sums) <= len(self._revisions)
        assert self._owed == sum(len(events) for events in self._revisions[len(self._sums) :])
        assert self._first == max(1, self.compact_revision)
        total = self._sums[0]
        for offset, events in enumerate(self._revisions):
            revision = self._first + offset
            if offset:
                assert events, f"revision {revision} has no events"
            if 0 < offset < len(self._sums):
                total = (total + sum_of(event.kv for event in events)) & MASK
                assert self._sums[offset] == total, f"wrong sum at revision {revision}"
            for event in events:
                assert event.kv.mod_revision == revision, f"{event!r} is filed under {revision}"
                assert event.is_delete == (event.kv.version == 0)


def sum_of(versions: Iterable[KeyValue]) -> int:
    """Sum of the hashes of `versions`."""
    return sum(hash_version(kv) for kv in versions) & MASK
