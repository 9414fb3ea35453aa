"""A journal on a full disk loses nothing, doubts nothing, and goes on when there is space."""

import errno
import os
from pathlib import Path

import pytest

from kvstore.base.files import Files, is_full
from kvstore.raft.journal import Flush, Journal
from kvstore.raft.snapshots import SnapshotStore

SEGMENT = 64 << 10


class FullFiles(Files):
    """Refuses to grow any file while `is_full`."""

    def __init__(self) -> None:
        self.is_full = False

    def write_at(self, descriptor: int, data: bytes, offset: int) -> None:
        if self.is_full and offset + len(data) > os.fstat(descriptor).st_size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        super().write_at(descriptor, data, offset)


def opened(folder: Path, files: Files) -> Journal:
    journal = Journal(folder, files, segment_bytes=SEGMENT)
    journal.open()
    return journal


def attempt(journal: Journal, flush: Flush) -> OSError | None:
    try:
        journal.write(flush)
    except OSError as error:
        return error
    return None


def reread(folder: Path) -> list[bytes]:
    journal = opened(folder, Files())
    journal.close()
    return [data for data, _, _ in journal.entries[1:]]


def test_a_write_without_space_can_come_again(tmp_path: Path) -> None:
    files = FullFiles()
    journal = opened(tmp_path, files)
    words = [bytes([65 + n]) * 10_000 for n in range(8)]
    files.is_full = True
    written = 0
    for number, word in enumerate(words):
        journal.append(word, number + 2, 1)
        flush = journal.begin_flush()
        problem = attempt(journal, flush)
        if problem is not None:
            assert is_full(problem)
            break
        journal.end_flush(flush)
        written += 1
    # The segment's own zeros are room that a full disk leaves.
    assert written == 6
    assert journal.durable_index == 7
    with pytest.raises(OSError, match="No space"):
        journal.write(flush)
    files.is_full = False
    journal.write(flush)
    journal.end_flush(flush)
    assert journal.durable_index == 8
    journal.append(b"after", 9, 1)
    journal.flush()
    journal.close()
    assert reread(tmp_path) == [*words[:7], b"after"]
    assert not list(tmp_path.glob("*.new"))


def test_a_crash_while_it_is_full_loses_only_what_was_never_acknowledged(tmp_path: Path) -> None:
    files = FullFiles()
    journal = opened(tmp_path, files)
    journal.append(b"a" * 60_000, 2, 1)
    journal.flush()
    files.is_full = True
    journal.append(b"b" * 60_000, 3, 1)
    with pytest.raises(OSError, match="No space"):
        journal.write(journal.begin_flush())
    assert reread(tmp_path) == [b"a" * 60_000]


def test_a_reset_that_comes_again_does_not_pile_up_segments(tmp_path: Path) -> None:
    files = FullFiles()
    journal = opened(tmp_path, files)
    journal.append(b"a", 2, 1)
    journal.flush()
    files.is_full = True
    journal.reset(50, 3)
    flush = journal.begin_flush()
    for _ in range(3):
        with pytest.raises(OSError, match="No space"):
            journal.write(flush)
    files.is_full = False
    journal.write(flush)
    journal.end_flush(flush)
    journal.append(b"c", 51, 3)
    journal.flush()
    journal.close()
    assert len(list(tmp_path.glob("*.log"))) == 1
    again = opened(tmp_path, Files())
    assert (again.base_index, again.last_index) == (50, 51)
    again.close()


def test_space_is_asked_for_before_it_is_needed(tmp_path: Path) -> None:
    files = FullFiles()
    journal = opened(tmp_path, files)
    assert journal.check_space()
    files.is_full = True
    assert not journal.check_space()
    journal.append(b"a" * (SEGMENT // 2), 2, 1)
    journal.flush()
    assert journal.needs_spare()
    assert not journal.check_space()
    files.is_full = False
    assert journal.check_space()
    assert not journal.needs_spare()
    # With the next segment there, a disk that fills up now does not stop the log.
    files.is_full = True
    journal.append(b"b" * (SEGMENT // 2), 3, 1)
    journal.flush()
    assert journal.durable_index == 3
    journal.close()


def test_term_and_vote_have_room_of_their_own(tmp_path: Path) -> None:
    class NoBlocks(FullFiles):
        """Full until the ballast is gone, as a disk whose last blocks it holds."""

        def write_at(self, descriptor: int, data: bytes, offset: int) -> None:
            if self.is_full and not (tmp_path / "ballast").exists():
                Files.write_at(self, descriptor, data, offset)
                return
            super().write_at(descriptor, data, offset)

    files = NoBlocks()
    journal = opened(tmp_path, files)
    journal.append(b"a" * (SEGMENT // 2), 2, 1)
    journal.flush()
    assert journal.check_space()
    assert (tmp_path / "ballast").exists()
    files.is_full = True
    journal.set_term(9, "m")
    journal.flush()
    journal.close()
    assert not (tmp_path / "ballast").exists()
    again = opened(tmp_path, Files())
    assert (again.term, again.vote) == (9, "m")
    again.close()


def test_a_snapshot_without_space_leaves_nothing_behind(tmp_path: Path) -> None:
    files = FullFiles()
    store = SnapshotStore(tmp_path, files)
    store.open()
    files.is_full = True
    with pytest.raises(OSError, match="No space"):
        store.writer(5, 1)
    assert list(tmp_path.iterdir()) == []
