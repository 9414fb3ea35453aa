"""Mistakes about what is durable when: the log, term and vote, snapshots and their checksums."""

from collections.abc import Callable, Sequence
from typing import Any

from kvstore.machine import snapshot as machine_snapshot
from kvstore.raft import journal, segment, snapshots
from kvstore.raft.pysync import (
    library,
    snapshotting,
)
from kvstore.testing.mutants.mutant import BUSY, POWER, SNAPSHOTS, Mutant, Patch, always, guard
from kvstore.testing.sim.disk import SimFiles


def forget_votes() -> Sequence[Patch]:
    """Term and vote are only held in memory."""

    def set_term(self: Any, term: int, vote: str | None) -> None:
        self.term, self.vote = term, vote

    return [(journal.Journal, "set_term", set_term)]


def skip_sync(kind: str) -> Callable[[], Sequence[Patch]]:
    """Files with `kind` in their names are not synced."""

    def patches() -> Sequence[Patch]:
        original = SimFiles.sync_data

        def sync_data(self: Any, descriptor: int) -> None:
            path, _ = self._open[descriptor]
            if kind not in path.name:
                original(self, descriptor)

        return [(SimFiles, "sync_data", sync_data)]

    return patches


def _no_checksums(module: Any) -> Callable[[], Sequence[Patch]]:
    class Blind:
        """Every sum is the same."""

        @staticmethod
        def crc32(data: Any, start: int = 0) -> int:
            return 0

    return lambda: [(module, "zlib", Blind)]


def _no_snapshot_checksums() -> Sequence[Patch]:
    """Neither the file's nor the state's own."""
    return [
        *_no_checksums(snapshots)(),
        (machine_snapshot, "crc32", lambda data, start=0: 0),
    ]


def _remember_commit_index() -> Sequence[Patch]:
    def remember(self: Any, index: int) -> None:
        self._journal.set_fact("commit", str(index))

    def recall(self: Any) -> int:
        return int(self._journal.facts.get("commit", "1"))

    target = library.LibraryJournal
    return [(target, "setRaftCommitIndex", remember), (target, "getRaftCommitIndex", recall)]


def _compact_before_snapshot() -> Sequence[Patch]:
    original = snapshotting.Snapshotting.maybe_start

    def maybe_start(self: Any) -> None:
        was_writing = self._writing
        original(self)
        if self._writing is not was_writing and self._writing is not None:
            self._journal.compact(self._snapshot_index)

    return [(snapshotting.Snapshotting, "maybe_start", maybe_start)]


def _rename_before_sync() -> Sequence[Patch]:
    def write_whole(self: Any, path: Any, data: bytes) -> None:
        aside = path.with_name(path.name + ".new")
        descriptor = self.create(aside)
        self.write_at(descriptor, data, 0)
        self.close(descriptor)
        self.rename(aside, path)
        self.sync_directory(path.parent)

    files: Any = next(one for one in SimFiles.__mro__ if "write_whole" in one.__dict__)
    return [(files, "write_whole", write_whole)]


DISK_MUTANTS: dict[str, Mutant] = {
    "old-snapshot-installs": Mutant(
        "row 4: a snapshot is installed although newer state is here",
        guard("snapshot_is_news", always),
        ("relapse",),
        2.0,
        SNAPSHOTS | BUSY,
    ),
    "snapshot-clears-suffix": Mutant(
        "row 4: installing or loading a snapshot clears the log behind it",
        guard("keeps_suffix", lambda *_: False),
        POWER,
        changes=SNAPSHOTS,
    ),
    "snapshot-checksums-ignored": Mutant(
        "row 5: a damaged snapshot is loaded, whatever the file's checksums and the state's own say",
        _no_snapshot_checksums,
        ("bit-flip:snap",),
        0.8,
        SNAPSHOTS | BUSY,
    ),
    "file-checksums-ignored": Mutant(
        "row 5: the checksums of a snapshot's file are ignored",
        _no_checksums(snapshots),
        ("bit-flip:snap",),
        0.8,
        SNAPSHOTS | BUSY,
        covered="the state within has a checksum of its own",
    ),
    "rename-before-sync": Mutant(
        "rows 6, 7: small files are renamed before their bytes are durable",
        _rename_before_sync,
        POWER,
    ),
    "log-not-synced": Mutant("row 7: the log is not synced", skip_sync(".log"), POWER),
    "snapshot-not-synced": Mutant(
        "row 7, #14685: a snapshot gets its name before its bytes are durable",
        skip_sync("-"),
        POWER,
        changes=SNAPSHOTS,
    ),
    "directory-not-synced": Mutant(
        "row 7: names are not synced",
        lambda: [(SimFiles, "sync_directory", lambda self, path: None)],
        POWER,
        changes=SNAPSHOTS,
    ),
    "vote-forgotten": Mutant(
        "row 7: term and vote are not written",
        forget_votes,
        ("kill-at-message", "kill"),
        0.5,
    ),
    "acks-before-sync": Mutant(
        "row 7: acknowledgements and votes leave before the fsync that covers them",
        guard("may_leave", lambda covered, term, own, *_: True if term == own else None),
        ("seesaw:rest slow",),
        3.0,
        BUSY,
    ),
    "leader-counts-unsynced": Mutant(
        "row 7: the leader counts itself before its fsync",
        guard("countable_index", lambda last, durable: last),
        ("seesaw:leader slow",),
        4.0,
        BUSY,
    ),
    "start-trusts-page-cache": Mutant(
        "what a start reads back counts as durable without being written again",
        lambda: [(journal.Journal, "_make_durable", lambda self, *read: None)],
        (*POWER, "failing-sync", "slow-disk"),
        0.5,
        BUSY,
    ),
    "commit-index-remembered": Mutant(
        "row 8: the commit index is kept on disk, the log perhaps not",
        _remember_commit_index,
        ("half-flush",),
        2.0,
        BUSY,
    ),
    "compact-before-snapshot": Mutant(
        "row 9: the log is compacted before the snapshot is durable",
        _compact_before_snapshot,
        ("slow-disk", "power-loss", "kill"),
        0.5,
        SNAPSHOTS | BUSY,
    ),
    "log-checksums-ignored": Mutant(
        "row 22: records of the log are believed without a checksum",
        _no_checksums(segment),
        ("bit-flip",),
        0.7,
        BUSY | {"segment_bytes": 1 << 11, "snapshot_count": 10_000},
    ),
}
