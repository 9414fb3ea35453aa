"""The journal: what was flushed survives, torn tails are cut, all other damage is refused."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvstore.raft import segment
from kvstore.raft.files import Files
from kvstore.raft.journal import Journal
from kvstore.raft.replicator import DamagedData

SMALL = 4096


class PowerCut(Exception):
    pass


class CuttingFiles(Files):
    """Fails at the n-th operation; a write at that point leaves only its first half."""

    def __init__(self, operations: int) -> None:
        self.left = operations

    def _count(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise PowerCut

    def write_at(self, descriptor: int, data: bytes, offset: int) -> None:
        self.left -= 1
        if self.left < 0:
            super().write_at(descriptor, data[: len(data) // 2], offset)
            raise PowerCut
        super().write_at(descriptor, data, offset)

    def sync_data(self, descriptor: int) -> None:
        self._count()

    def sync(self, descriptor: int) -> None:
        self._count()

    def rename(self, source: Path, target: Path) -> None:
        self._count()
        super().rename(source, target)

    def sync_directory(self, path: Path) -> None:
        self._count()

    def remove(self, path: Path) -> None:
        self._count()
        super().remove(path)


def opened(directory: Path, files: Files | None = None) -> Journal:
    journal = Journal(directory, files, segment_bytes=SMALL)
    journal.open()
    return journal


def filled(directory: Path, groups: int = 3, per_group: int = 4) -> Journal:
    journal = opened(directory)
    for _ in range(groups):
        for _ in range(per_group):
            journal.append(b"x" * 50, journal.last_index + 1, 1)
        journal.flush()
    return journal


def segments(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.log"))


def test_a_fresh_journal_starts_behind_the_shared_first_entry(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    assert (journal.base_index, journal.last_index, journal.last_term) == (1, 1, 0)
    assert (journal.term, journal.vote) == (0, None)
    journal.close()


def test_entries_term_and_vote_survive(tmp_path: Path) -> None:
    journal = filled(tmp_path)
    journal.set_term(7, "a")
    journal.set_fact("store", "s")
    journal.flush()
    journal.close()
    again = opened(tmp_path)
    assert again.entries == journal.entries
    assert (again.term, again.vote, again.facts) == (7, "a", {"store": "s"})
    again.close()


def test_what_was_not_flushed_is_not_durable(tmp_path: Path) -> None:
    journal = filled(tmp_path)
    durable = journal.durable_index
    journal.append(b"y", journal.last_index + 1, 1)
    journal.set_term(2, "b")
    assert journal.durable_index == durable
    assert not journal.is_vote_durable
    flush = journal.begin_flush()
    assert not journal.is_vote_durable
    journal.write(flush)
    journal.end_flush(flush)
    assert journal.durable_index == journal.last_index
    assert journal.is_vote_durable
    journal.close()


def test_truncation_during_a_flush_lowers_what_it_makes_durable(tmp_path: Path) -> None:
    journal = filled(tmp_path)
    journal.append(b"y", 14, 1)
    flush = journal.begin_flush()
    journal.truncate(5)
    journal.append(b"z", 6, 2)
    journal.write(flush)
    journal.end_flush(flush)
    assert journal.durable_index == 5
    journal.flush()
    assert journal.durable_index == 6
    journal.close()
    again = opened(tmp_path)
    assert again.entries[-1] == (b"z", 6, 2)
    again.close()


def test_reset_drops_everything_and_old_segments_go(tmp_path: Path) -> None:
    journal = filled(tmp_path, groups=40)
    assert len(segments(tmp_path)) > 2
    journal.reset(500, 9)
    journal.append(b"n", 501, 9)
    journal.flush()
    journal.close()
    assert len(segments(tmp_path)) == 1
    again = opened(tmp_path)
    assert (again.base_index, again.last_index, again.last_term) == (500, 501, 9)
    again.close()


def test_compaction_drops_whole_segments_and_keeps_the_rest(tmp_path: Path) -> None:
    journal = filled(tmp_path, groups=40)
    before = len(segments(tmp_path))
    journal.compact(100)
    journal.flush()
    assert journal.base_index == 100
    assert 0 < len(segments(tmp_path)) < before
    journal.close()
    again = opened(tmp_path)
    assert again.base_index <= 100
    assert again.entries[-1] == journal.entries[-1]
    assert again.term_at(101) == 1
    again.close()


def test_a_cut_reaching_into_a_dropped_segment_is_read_back(tmp_path: Path) -> None:
    journal = filled(tmp_path, groups=8)
    while len(segments(tmp_path)) < 2:
        journal.append(bytes(100), journal.last_index + 1, 1)
        journal.flush()
    journal.truncate(journal.last_index - 3)
    for _ in range(10):
        journal.append(b"new", journal.last_index + 1, 2)
    journal.flush()
    journal.compact(journal.last_index - 2)
    journal.flush()
    journal.close()
    assert len(segments(tmp_path)) == 1
    again = opened(tmp_path)
    assert again.entries[-3:] == [(b"new", journal.last_index - n, 2) for n in (2, 1, 0)]
    again.close()


def test_a_torn_tail_is_cut_and_writing_goes_on(tmp_path: Path) -> None:
    journal = filled(tmp_path)
    offset = journal._offset
    journal.append(b"lost" * 20, 14, 1)
    journal.append(b"lost" * 20, 15, 1)
    journal.flush()
    journal.close()
    path = segments(tmp_path)[-1]
    data = bytearray(path.read_bytes())
    data[offset + 150 :] = bytes(len(data) - offset - 150)
    path.write_bytes(data)
    again = opened(tmp_path)
    assert again.last_index == 14
    again.append(b"new", 15, 2)
    again.flush()
    again.close()
    last = opened(tmp_path)
    assert last.entries[-1] == (b"new", 15, 2)
    last.close()


def test_damage_before_the_last_group_names_file_and_offset(tmp_path: Path) -> None:
    filled(tmp_path).close()
    path = segments(tmp_path)[-1]
    data = bytearray(path.read_bytes())
    offset = segment.HEADER_BYTES + segment.RECORD_BYTES + 3
    data[offset] ^= 1
    path.write_bytes(data)
    with pytest.raises(DamagedData) as caught:
        opened(tmp_path)
    assert caught.value.path == path
    assert caught.value.offset == segment.HEADER_BYTES


def test_damaged_or_missing_vote_is_refused(tmp_path: Path) -> None:
    filled(tmp_path).close()
    path = tmp_path / "term"
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(DamagedData):
        opened(tmp_path)
    path.unlink()
    with pytest.raises(DamagedData):
        opened(tmp_path)


def test_a_missing_segment_is_refused(tmp_path: Path) -> None:
    filled(tmp_path, groups=60).close()
    segments(tmp_path)[1].unlink()
    with pytest.raises(DamagedData):
        opened(tmp_path)


@settings(max_examples=60, deadline=None)
@given(position=st.integers(0, SMALL - 1), bit=st.integers(0, 7))
def test_a_flipped_bit_never_changes_an_earlier_group(
    tmp_path_factory: pytest.TempPathFactory, position: int, bit: int
) -> None:
    directory = tmp_path_factory.mktemp("flip")
    journal = filled(directory)
    journal.close()
    path = segments(directory)[0]
    data = bytearray(path.read_bytes())
    data[position] ^= 1 << bit
    path.write_bytes(data)
    try:
        again = opened(directory)
    except DamagedData:
        return
    # Only the last group may be cut; whatever is left is as written.
    assert again.entries == journal.entries[: len(again.entries)]
    assert again.last_index >= 9
    again.close()


@settings(max_examples=80, deadline=None)
@given(
    cut=st.integers(0, 60),
    script=st.lists(
        st.sampled_from(["append", "flush", "truncate", "term", "compact"]), max_size=30
    ),
)
def test_a_power_cut_anywhere_keeps_all_that_was_durable(
    tmp_path_factory: pytest.TempPathFactory, cut: int, script: list[str]
) -> None:
    directory = tmp_path_factory.mktemp("cut")
    opened(directory).close()
    files = CuttingFiles(1 << 30)
    journal = opened(directory, files)
    files.left = cut
    durable: list[tuple[bytes, int, int]] = list(journal.entries)
    term = 0
    try:
        for step in [*script, "flush"]:
            if step == "append":
                for _ in range(3):
                    journal.append(bytes(150), journal.last_index + 1, journal.term)
            elif step == "truncate":
                journal.truncate(max(journal.base_index, journal.last_index - 2))
            elif step == "term":
                journal.set_term(journal.term + 1, "m")
            elif step == "compact":
                journal.compact((journal.base_index + journal.durable_index) // 2)
            # An unfinished truncation may or may not be on the disk.
            durable = [e for e in durable if e[1] <= journal.last_index and e in journal.entries]
            if step == "flush":
                journal.flush()
                durable, term = list(journal.entries), journal.term
    except PowerCut:
        pass
    journal.close()
    again = opened(directory)
    held = set(again.entries[1:])
    assert all(e in held or e[1] <= again.base_index for e in durable[1:])
    assert again.term >= term
    again.close()
