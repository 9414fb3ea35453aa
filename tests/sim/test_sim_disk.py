"""The simulated disk forgets as it says, and the journal on it keeps what it called durable."""

import contextlib
import random
from typing import Any

from kvstore.raft.journal import Journal
from kvstore.testing.sim.disk import SimDisk, SimFiles


def journal_on(disk: SimDisk) -> Journal:
    files = SimFiles(disk, random.Random(1), lambda: False)
    journal = Journal(disk.root / "log", files, segment_bytes=4096)
    journal.open()
    return journal


def indexes(journal: Journal) -> list[int]:
    return [entry[1] for entry in journal.entries[1:]]


def test_what_was_not_synced_is_lost_with_the_power_and_only_then() -> None:
    lost = 0
    for seed in range(20):
        disk = SimDisk(random.Random(seed))
        files = SimFiles(disk, random.Random(1), lambda: False)
        descriptor = files.create(disk.root / "a")
        files.write_at(descriptor, b"1" * 2000, 0)
        files.sync(descriptor)
        files.sync_directory(disk.root)
        files.write_at(descriptor, b"2" * 2000, 0)
        assert (disk.root / "a").read_bytes() == b"2" * 2000
        disk.lose_power()
        after: bytes = (disk.root / "a").read_bytes()
        assert set(after) <= set(b"12")
        lost += b"1" in after
    assert 0 < lost < 20


class UnsyncedFiles(SimFiles):
    """The process is killed before its fsync, or that fails."""

    def sync_data(self, descriptor: int) -> None:
        raise OSError("no fsync")


def written_but_not_synced(disk: SimDisk, *, drop_pages: bool) -> None:
    journal = journal_on(disk)
    journal._files = UnsyncedFiles(disk, random.Random(1), lambda: False)
    files: Any = journal._files
    files._open, files._next = dict(journal_files(journal, disk)), 100
    for index in range(2, 6):
        journal.append(b"x" * 900, index, 1)
    with contextlib.suppress(OSError):
        journal.flush()
    if drop_pages:
        for inode in disk._names.values():
            inode.pending.clear()


def journal_files(journal: Journal, disk: SimDisk) -> dict[int, Any]:
    path = max(path for path in disk._names if path.suffix == ".log")
    return {journal._descriptor: (path, disk._names[path])}


def test_what_a_start_reads_back_survives_the_next_loss_of_power() -> None:
    # A member killed between write and fsync finds its entries in the page cache and acknowledges them.
    for drop_pages in (False, True):
        for seed in range(10):
            disk = SimDisk(random.Random(seed))
            written_but_not_synced(disk, drop_pages=drop_pages)
            held = indexes(journal_on(disk))
            assert held == [2, 3, 4, 5]
            disk.lose_power()
            assert indexes(journal_on(disk)) == held
