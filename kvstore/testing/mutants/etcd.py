"""Mistakes that etcd once had, rebuilt in this store's state machine, watches and snapshots.

The numbers are etcd's issues. Rebuilt is what a client or operator would see of them, at the place where this store
could have made the same mistake; its structure is another one, so the code is, too.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from kvstore.machine import machine, snapshot, txn
from kvstore.mvcc import history
from kvstore.mvcc.kv import Event
from kvstore.raft import snapshots
from kvstore.raft.pysync import guards
from kvstore.service.watch import cursor, notices, stream
from kvstore.testing.mutants.mutant import POWER, SNAPSHOTS, Mutant, Patch

_CUTS = ("isolate", "split", "pause", "cut")
_WATCHES = {"watchers": 4, "think_seconds": 0.1, "clients": 4}
_COMPACTING = {"traffic": ("put", "delete", "compact", "get"), "keys": 2, "think_seconds": 0.05}


def _index_behind_data() -> Sequence[Patch]:
    original = snapshot.write

    def write(state: Any) -> Iterator[bytes]:
        state.applied_index -= 1
        return original(state)

    begin = snapshots.SnapshotStore.writer

    def writer(self: Any, index: int, term: int) -> Any:
        return begin(self, index - 1, term)

    return [(snapshot, "write", write), (snapshots.SnapshotStore, "writer", writer)]


def _auth_not_restored() -> Sequence[Patch]:
    original = snapshot.read

    def read(*arguments: Any, **options: Any) -> Any:
        state = original(*arguments, **options)
        state.auth = type(state.auth)()
        return state

    return [(snapshot, "read", read)]


def _progress_before_events() -> Sequence[Patch]:
    original = stream.WatchStream.take

    def take(self: Any) -> Any:
        if self._is_progress_wanted:
            self._is_progress_wanted = False
            return notices.WatchProgress(None, self._machine.revision)
        if self._periodic:
            watcher = next(iter(self._periodic))
            del self._periodic[watcher]
            return notices.WatchProgress(watcher, self._machine.revision)
        return original(self)

    return [(stream.WatchStream, "take", take)]


def _start_not_ahead() -> Sequence[Patch]:
    original = stream.WatchStream.create

    def create(self: Any, spec: Any) -> Any:
        watcher = original(self, spec)
        watcher.next_revision = min(watcher.next_revision, self._machine.revision + 1)
        return watcher

    return [(stream.WatchStream, "create", create)]


def _future_start_forgotten() -> Sequence[Patch]:
    def fall_behind(watcher: Any, revision: int) -> None:
        if not watcher.is_behind:
            watcher.next_revision = revision
            watcher.is_behind = True
            watcher.wake(watcher)

    return [(cursor.Watcher, "fall_behind", fall_behind)]


def _event_twice() -> Sequence[Patch]:
    original = history.History.append

    def append(self: Any, events: tuple[Event, ...]) -> None:
        original(self, (*events, events[-1]) if len(events) > 1 else events)

    return [(history.History, "append", append)]


def _starved_stream_loses() -> Sequence[Patch]:
    original = stream.WatchStream._read

    def read(self: Any, watcher: Any) -> Any:
        behind = self._machine.revision - watcher.next_revision
        notice = original(self, watcher)
        if behind >= 3 and watcher.was_sent and isinstance(notice, notices.WatchBatch):
            kept = notice.events[: len(notice.events) // 2 + 1]
            return notices.WatchBatch(watcher, kept, notice.revision)
        return notice

    return [(stream.WatchStream, "_read", read)]


def _revision_from_live_keys() -> Sequence[Patch]:
    original = machine.StateMachine.restore

    def restore(self: Any, chunks: Any) -> None:
        original(self, chunks)
        kept = self._store
        live = max((kv.mod_revision for kv in kept.select(b"\0", b"\0")), default=1)
        kept.revision = max(live, kept.compact_revision, 1)

    return [(machine.StateMachine, "restore", restore)]


def _second_snapshot_removes_first() -> Sequence[Patch]:
    original = snapshots.SnapshotStore.publish

    def publish(self: Any, snapshot_: Any) -> None:
        before = self.latest
        original(self, snapshot_)
        if before is not None and snapshot_.index - before.index < 12:
            self.latest = before

    return [(snapshots.SnapshotStore, "publish", publish)]


def _compaction_drops_deletes() -> Sequence[Patch]:
    original = history.History.compact

    def compact(self: Any, revision: int) -> Any:
        touched = original(self, revision)
        self._revisions[0] = tuple(one for one in self._revisions[0] if not one.is_delete)
        return touched

    return [(history.History, "compact", compact)]


def _start_at_compacted_skips() -> Sequence[Patch]:
    original = history.History.scan

    def scan(self: Any, key_range: Any, revision: int, *limits: int) -> Any:
        found, following = original(self, key_range, revision, *limits)
        if revision == self.compact_revision:
            found = [
                (at, kept)
                for at, events in found
                if (kept := tuple(e for e in events if at != revision or not e.is_delete))
            ]
        return found, following

    return [(history.History, "scan", scan)]


ETCD_MUTANTS: dict[str, Mutant] = {
    "etcd-13766": Mutant(
        "the index in a saved state is behind its data: an entry is applied twice after a crash",
        _index_behind_data,
        POWER,
        changes=SNAPSHOTS,
    ),
    "etcd-14370": Mutant(
        "a cluster of one acknowledges before its fsync",
        lambda: [(guards, "countable_index", lambda last, durable: last)],
        ("power-loss", "slow-disk"),
        0.6,
        {"members": 1, "traffic": ("put", "get"), "think_seconds": 0.05},
    ),
    "etcd-14571": Mutant(
        "users and roles are not read back from a snapshot",
        _auth_not_restored,
        POWER,
        changes=SNAPSHOTS | {"traffic": ("put", "role")},
    ),
    "etcd-15220": Mutant(
        "a progress notification overtakes the events of its stream",
        _progress_before_events,
        _CUTS,
        changes=_WATCHES,
    ),
    "etcd-15271": Mutant(
        "a watch that resumes on a member that lags begins where that member is",
        _start_not_ahead,
        ("straggler",),
        2.0,
        _WATCHES,
    ),
    "etcd-17247": Mutant("a transaction's event is sent twice", _event_twice, (), changes=_WATCHES),
    "etcd-17529": Mutant(
        "a stream that is behind loses events",
        _starved_stream_loses,
        ("slow-network", "cut-client"),
        changes=_WATCHES,
    ),
    "etcd-17780": Mutant(
        "after a start the revision is that of the newest key that still exists",
        _revision_from_live_keys,
        POWER,
        changes=SNAPSHOTS | _COMPACTING,
    ),
    "etcd-18055": Mutant(
        "a second snapshot in short order takes the first one's file away",
        _second_snapshot_removes_first,
        ("isolate", "wipe", "kill"),
        0.8,
        SNAPSHOTS | {"traffic": ("put", "get"), "think_seconds": 0.05},
    ),
    "etcd-18089": Mutant(
        "compacting at a deletion drops its event",
        _compaction_drops_deletes,
        (),
        changes=_COMPACTING | {"watchers": 4},
    ),
    "etcd-18667": Mutant(
        "a transaction reads a compacted revision",
        lambda: [(txn, "_check_ranges", lambda *_: None)],
        (),
        changes={"traffic": ("txn", "compact", "put"), "think_seconds": 0.05},
    ),
    "etcd-19179": Mutant(
        "a watch from the compacted revision misses the deletion there",
        _start_at_compacted_skips,
        (),
        changes=_COMPACTING | {"watchers": 4},
    ),
    "etcd-20221": Mutant(
        "a watch on a future revision is sent what lies before it",
        _future_start_forgotten,
        ("straggler",),
        2.0,
        _WATCHES,
    ),
}
