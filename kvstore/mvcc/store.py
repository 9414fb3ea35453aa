"""Store: keys, their versions, and the revision.

One writer at a time: `put` and `delete` take effect at once under the next revision and `commit` ends that revision;
with nothing written there is nothing to end and the revision stays. There is no rollback: who writes has checked first.

Compaction has two halves. `compact` moves the bound, after which nothing older can be read. `reclaim` frees memory, a
bounded number of events at a time, so that compacting a long history does not hold up the log. When it runs changes
nothing that can be read: neither ranges, nor history, nor digests, only `size_bytes` and memory.
"""

from collections.abc import Iterable, Iterator
from itertools import islice

from kvstore.mvcc.digest import MASK, fold
from kvstore.mvcc.errors import Compacted, FutureRevision
from kvstore.mvcc.history import History, sum_of
from kvstore.mvcc.key_index import Versions, check_versions, compact, version_at
from kvstore.mvcc.kv import Event, KeyValue
from kvstore.mvcc.ordered import OrderedKeys
from kvstore.mvcc.ranges import FROM_KEY

VERSION_OVERHEAD_BYTES = 48
"""What a version counts for besides key and value: about its numbers' size in a snapshot, an index entry with it."""

_BASE_BATCH = 512
"""Versions that a start files at once, and that are hashed at once later: a third of a millisecond."""

_RECLAIM_VERSIONS = 256
"""How many versions of one key are freed in one step: a key may have a million of them."""


class Store:
    """All keys of a member."""

    def __init__(self) -> None:
        self.revision = 1
        """The newest revision; 1 when nothing was ever written, as in etcd."""
        self.compact_revision = 0
        """Nothing older than this can be read; 0 = nothing was compacted."""
        self.size_bytes = 0
        """Bytes of all versions, old ones too until they are reclaimed."""
        self.history = History()
        self._versions: dict[bytes, Versions] = {}
        # Keys by whether their newest version is a tombstone: reads of the newest state look at the living only.
        self._keys = OrderedKeys()
        self._dead = OrderedKeys()
        self._pending: list[Event] = []
        # By compaction; taken from the ends, which frees them one by one.
        self._garbage: list[list[tuple[Event, ...]]] = []
        # The history's sums begin at zero. What a snapshot brought from before counts on top, once it is hashed.
        self._base_sum = 0
        self._base_owed: list[list[KeyValue]] = []
        # Hashes of the versions that were reclaimed; the rest of those sums is what is still there.
        self._reclaimed_sum = 0

    def get(self, key: bytes) -> KeyValue | None:
        """The newest version of `key`, written in the open revision or before; None if there is none."""
        versions = self._versions.get(key)
        if versions is None:
            return None
        last = versions[-1]
        return last if last.version else None

    def select(self, key: bytes, range_end: bytes, revision: int = 0) -> list[KeyValue]:
        """All keys of the range as of `revision` (0 = newest, with what the open revision wrote), in key order.

        The caller has checked `revision` with `check_revision`.
        """
        all_versions = self._versions
        if not range_end:
            versions = all_versions.get(key)
            if versions is None:
                return []
            found = version_at(versions, revision) if revision > 0 else versions[-1]
            return [found] if found is not None and found.version else []
        end = None if range_end == FROM_KEY else range_end
        keys = self._keys.between(key, end)
        if revision <= 0:
            return [all_versions[name][-1] for name in keys]
        keys += self._dead.between(key, end)
        # Two sorted runs: that is one merge.
        keys.sort()
        return [kv for name in keys if (kv := version_at(all_versions[name], revision)) is not None]

    def first(self, key: bytes, range_end: bytes, limit: int) -> tuple[list[KeyValue], int]:
        """The first `limit` of what `select` finds now, and how many that are."""
        if not range_end:
            found = self.select(key, b"")
            return found[:limit], len(found)
        end = None if range_end == FROM_KEY else range_end
        keys, count = self._keys.first_between(key, end, limit)
        all_versions = self._versions
        return [all_versions[name][-1] for name in keys], count

    def check_revision(self, revision: int) -> Compacted | FutureRevision | None:
        """Why `revision` cannot be read; None if it can. 0 and below = newest."""
        if revision > self.revision:
            return FutureRevision(revision, self.revision)
        if 0 < revision < self.compact_revision:
            return Compacted(revision, self.compact_revision)
        return None

    def put(self, key: bytes, value: bytes, lease: int = 0) -> KeyValue | None:
        """Write `key` in the open revision; the version before, if there is one."""
        revision = self.revision + 1
        versions = self._versions.get(key)
        prev: KeyValue | None = None
        if versions is None:
            self._versions[key] = versions = []
            self._keys.add(key)
        else:
            last = versions[-1]
            # One bytes object for all versions of a key.
            key = last.key
            if last.version:
                prev = last
            else:
                self._dead.remove(key)
                self._keys.add(key)
        if prev is None:
            kv = KeyValue(key, value, revision, revision, 1, lease)
        else:
            kv = KeyValue(key, value, prev.create_revision, revision, prev.version + 1, lease)
        versions.append(kv)
        self.size_bytes += len(key) + len(value) + VERSION_OVERHEAD_BYTES
        self._pending.append(Event(kv, False, prev))
        return prev

    def put_all(self, writes: Iterable[tuple[bytes, bytes]]) -> list[KeyValue]:
        """Write many keys without a lease, as `put` one after the other; those that were on one, as they were.

        One plain loop: what loads a store, and what reads such a load back at a start, is made of this.
        """
        revision = self.revision + 1
        all_versions, add_event = self._versions, self._pending.append
        new: list[bytes] = []
        leased: list[KeyValue] = []
        size = 0
        for key, value in writes:
            versions = all_versions.get(key)
            if versions is None:
                kv = KeyValue(key, value, revision, revision, 1)
                all_versions[key] = [kv]
                new.append(key)
                add_event(Event(kv))
            else:
                last = versions[-1]
                # One bytes object for all versions of a key.
                key = last.key
                if last.version:
                    kv = KeyValue(key, value, last.create_revision, revision, last.version + 1)
                    add_event(Event(kv, False, last))
                    if last.lease:
                        leased.append(last)
                else:
                    self._dead.remove(key)
                    new.append(key)
                    kv = KeyValue(key, value, revision, revision, 1)
                    add_event(Event(kv))
                versions.append(kv)
            size += len(key) + len(value) + VERSION_OVERHEAD_BYTES
        self._keys.add_all(new)
        self.size_bytes += size
        return leased

    def delete(self, key: bytes) -> KeyValue | None:
        """Delete `key` in the open revision; its last version, or None if it was not there."""
        versions = self._versions.get(key)
        if versions is None:
            return None
        last = versions[-1]
        if not last.version:
            return None
        tombstone = KeyValue(last.key, mod_revision=self.revision + 1)
        versions.append(tombstone)
        self._keys.remove(last.key)
        self._dead.add(last.key)
        self.size_bytes += len(key) + VERSION_OVERHEAD_BYTES
        self._pending.append(Event(tombstone, True, last))
        return last

    def commit(self) -> tuple[Event, ...]:
        """End the open revision; its events, which are none if nothing was written."""
        pending = self._pending
        if not pending:
            return ()
        events = tuple(pending)
        pending.clear()
        self.revision += 1
        self.history.append(events)
        return events

    def compact(self, revision: int) -> Compacted | FutureRevision | None:
        """Forget history before `revision`; why not, if it cannot be."""
        if revision <= self.compact_revision:
            return Compacted(revision, self.compact_revision)
        if revision > self.revision:
            return FutureRevision(revision, self.revision)
        self._garbage.append(self.history.compact(revision))
        self.compact_revision = revision
        return None

    @property
    def has_garbage(self) -> bool:
        """Whether `reclaim` has something to do."""
        return bool(self._garbage)

    def reclaim(self, limit_events: int) -> bool:
        """Free versions that compaction made unreachable, looking at about `limit_events`; whether more is left."""
        garbage = self._garbage
        while garbage and limit_events > 0:
            events = garbage[-1].pop()
            if not garbage[-1]:
                garbage.pop()
            for event in events:
                limit_events -= self._reclaim_key(event.kv.key)
            # An empty revision must count too.
            limit_events -= len(events) or 1
        return bool(garbage)

    def settle(self, limit_versions: int) -> bool:
        """Do some of what `digest` would have to do first; whether more is left. Changes nothing that can be read."""
        owed = self._base_owed
        while owed and limit_versions > 0:
            versions = owed.pop()
            self._base_sum = (self._base_sum + sum_of(versions)) & MASK
            limit_versions -= len(versions)
        if limit_versions > 0:
            self.history.settle(limit_versions)
        return bool(owed) or self.history.owed > 0

    def digest(self, revision: int = 0) -> int:
        """32-bit hash of all that can be read at `revision` (0 = newest) and before; raises why it cannot be read."""
        refusal = self.check_revision(revision)
        if refusal is not None:
            raise refusal
        while self.reclaim(1 << 20) or self.settle(1 << 20):
            pass
        if revision <= 0:
            revision = self.revision
        return fold(self.history.sum_at(revision) + self._base_sum - self._reclaimed_sum)

    def leased(self) -> list[KeyValue]:
        """The newest version of every key that is on a lease, in no order."""
        return [versions[-1] for versions in self._versions.values() if versions[-1].lease]

    def all_versions(self) -> Iterator[KeyValue]:
        """Every version held, tombstones too, key by key in no order; not pinned."""
        for versions in self._versions.values():
            yield from versions

    def pinned_base(self) -> Iterator[KeyValue]:
        """What was there at the compacted revision, as of now; lazily, later writes and compactions do not show."""
        revision = self.compact_revision
        all_versions = list(self._versions.values()) if revision else []
        return (
            kv for versions in all_versions if (kv := version_at(versions, revision)) is not None
        )

    @classmethod
    def rebuild(
        cls, compact_revision: int, base: Iterable[KeyValue], revisions: Iterable[list[KeyValue]]
    ) -> "Store":
        """The store that `pinned_base` and `history.pinned` were taken of. Raises ValueError if they do not fit.

        `revisions` are the versions written in each revision from the first one of the history on.
        """
        store = cls()
        store._load_base(base, compact_revision)
        first = max(1, compact_revision)
        store.revision = first - 1
        store.compact_revision = compact_revision
        later = iter(revisions)
        at_first = next(later, None)
        if at_first is None:
            raise ValueError("no revisions")
        if any(kv.mod_revision != first for kv in at_first):
            raise ValueError(f"revision {first} has versions of another")
        # Those of the first revision that still exist are in the base.
        events = tuple(Event(kv, not kv.version) for kv in at_first)
        store.history = History(first, events, compact_revision)
        store.revision = first
        store._load(later)
        newest = store._versions.items()
        store._keys = OrderedKeys([key for key, versions in newest if versions[-1].version])
        store._dead = OrderedKeys([key for key, versions in newest if not versions[-1].version])
        return store

    def adopt(self, other: "Store") -> None:
        """Become `other`, which must not be used any more. `history` stays the same object."""
        self.revision = other.revision
        self.compact_revision = other.compact_revision
        self.size_bytes = other.size_bytes
        self.history.adopt(other.history)
        self._versions = other._versions
        self._keys = other._keys
        self._dead = other._dead
        self._pending = other._pending
        self._garbage = other._garbage
        self._base_sum = other._base_sum
        self._base_owed = other._base_owed
        self._reclaimed_sum = other._reclaimed_sum

    def check_invariants(self) -> None:
        """Raise AssertionError if keys, versions, history, sizes and sums do not agree."""
        assert not self._pending, "a revision was left open"
        assert 0 <= self.compact_revision <= self.revision
        assert self.history.revision == self.revision
        assert self.history.compact_revision == self.compact_revision
        self.history.check_invariants()
        self._keys.check_invariants()
        self._dead.check_invariants()
        newest = {key: versions[-1] for key, versions in self._versions.items()}
        assert list(self._keys) == sorted(key for key, kv in newest.items() if kv.version)
        assert list(self._dead) == sorted(key for key, kv in newest.items() if not kv.version)
        size = total = 0
        for key, versions in self._versions.items():
            check_versions(key, versions)
            assert versions[-1].mod_revision <= self.revision
            size += sum(len(kv.key) + len(kv.value) + VERSION_OVERHEAD_BYTES for kv in versions)
            total += sum_of(versions)
        assert size == self.size_bytes, f"size is {self.size_bytes}, should be {size}"
        base = self._base_sum + sum(sum_of(versions) for versions in self._base_owed)
        left = (self.history.sum_at(self.revision) + base - self._reclaimed_sum) & MASK
        assert total & MASK == left, "the digest is not that of the versions"
        if not self._garbage:
            for versions in self._versions.values():
                old = [kv for kv in versions if kv.mod_revision <= self.compact_revision]
                assert len(old) <= 1, f"{versions[0].key!r} was not compacted"
                assert not old or old[0].version, f"{versions[0].key!r}: a tombstone was kept"

    def _reclaim_key(self, key: bytes) -> int:
        """Free some old versions of `key`; how many. There was an event for each, so all get their turn."""
        versions = self._versions.get(key)
        if versions is None:
            return 0
        kept, gone = compact(versions, self.compact_revision, _RECLAIM_VERSIONS)
        if not gone:
            return 0
        for kv in gone:
            self.size_bytes -= len(key) + len(kv.value) + VERSION_OVERHEAD_BYTES
        self._reclaimed_sum = (self._reclaimed_sum + sum_of(gone)) & MASK
        if kept:
            self._versions[key] = kept
        else:
            # Nothing is left of it but a tombstone that was the newest.
            del self._versions[key]
            self._dead.remove(key)
        return len(gone)

    def _load_base(self, base: Iterable[KeyValue], compact_revision: int) -> None:
        """File what was there at the compacted revision, many at a time: there may be millions."""
        all_versions = self._versions
        count = size = 0
        rest = iter(base)
        while kvs := list(islice(rest, _BASE_BATCH)):
            revisions = [kv.mod_revision for kv in kvs]
            if min(revisions) <= 0 or max(revisions) > compact_revision:
                raise ValueError("the base has a version of a revision that cannot be in it")
            all_versions.update([(kv.key, [kv]) for kv in kvs])
            count += len(kvs)
            if len(all_versions) != count:
                raise ValueError("the base has two versions of a key")
            size += sum([len(kv.key) + len(kv.value) for kv in kvs])
            self._base_owed.append(kvs)
        self.size_bytes += size + count * VERSION_OVERHEAD_BYTES

    def _load(self, revisions: Iterable[list[KeyValue]]) -> None:
        """Append revisions as they were written, and make their events again.

        One plain loop: a restarting member has hundreds of thousands of them before it can serve.
        """
        all_versions, add_to_history = self._versions, self.history.append
        revision, size = self.revision, self.size_bytes
        for kvs in revisions:
            revision += 1
            if not kvs:
                raise ValueError(f"revision {revision} is empty")
            events = []
            for kv in kvs:
                if kv.mod_revision != revision:
                    raise ValueError(f"revision {revision} has versions of another")
                key = kv.key
                versions = all_versions.get(key)
                if versions is None:
                    if not kv.version:
                        raise ValueError("a tombstone of a key that was not there")
                    all_versions[key] = [kv]
                    events.append(Event(kv))
                else:
                    last = versions[-1]
                    # One bytes object for all versions of a key.
                    kv = KeyValue(
                        last.key, kv.value, kv.create_revision, revision, kv.version, kv.lease
                    )
                    versions.append(kv)
                    events.append(Event(kv, not kv.version, last if last.version else None))
                size += len(key) + len(kv.value) + VERSION_OVERHEAD_BYTES
            add_to_history(tuple(events))
        self.revision, self.size_bytes = revision, size
