"""Which configuration is in force: the last that stands in the log."""

from pathlib import Path

from kvstore.raft.configuration import Change, Configuration, Entered, Seat, encode_entered
from kvstore.raft.journal import Journal
from kvstore.raft.pysync.configurations import Configurations
from kvstore.raft.replicator import MemberId

FIRST = Configuration((Seat(MemberId(1)), Seat(MemberId(2)), Seat(MemberId(3))))
SECOND = FIRST.changed(Change("add", MemberId(4)))
THIRD = SECOND.changed(Change("count", MemberId(4)))


def entry(configuration: Configuration) -> bytes:
    return encode_entered(Entered(configuration, MemberId(1), 1, 1))


def opened(tmp_path: Path) -> tuple[Journal, Configurations, list[Configuration]]:
    journal = Journal(tmp_path / "log")
    journal.open()
    known = Configurations(0, FIRST)
    seen: list[Configuration] = []
    known.on_change = seen.append
    journal.configuration_watch = known
    for index, data in ((2, b"\x00"), (3, entry(SECOND)), (4, b"\x00"), (5, entry(THIRD))):
        journal.append(data, index, 1)
    return journal, known, seen


def test_one_is_in_force_as_soon_as_it_stands_in_the_log(tmp_path: Path) -> None:
    _, known, seen = opened(tmp_path)
    assert seen == [SECOND, THIRD]
    assert (known.latest, known.latest_index) == (THIRD, 5)
    assert [known.at(index) for index in (1, 3, 4, 5)] == [FIRST, SECOND, SECOND, THIRD]


def test_one_that_is_cut_off_is_not_in_force_any_more(tmp_path: Path) -> None:
    journal, known, seen = opened(tmp_path)
    journal.truncate(4)
    assert (known.latest, known.latest_index) == (SECOND, 3)
    journal.truncate(2)
    assert (known.latest, seen[-1]) == (FIRST, FIRST)


def test_a_start_finds_it_again(tmp_path: Path) -> None:
    journal, _, _ = opened(tmp_path)
    journal.flush()
    journal.close()
    again = Journal(tmp_path / "log")
    again.open()
    known = Configurations(0, FIRST)
    known.read(again)
    assert (known.latest, known.latest_index) == (THIRD, 5)
    # What a snapshot covers is in its own configuration.
    later = Configurations(4, SECOND)
    later.read(again)
    assert [later.at(4), later.latest] == [SECOND, THIRD]
    again.close()


def test_a_snapshot_takes_the_place_of_what_was_before_and_leaves_what_is_behind(
    tmp_path: Path,
) -> None:
    _, known, _ = opened(tmp_path)
    known.rebase(4, SECOND)
    assert (known.latest, known.at(4)) == (THIRD, SECOND)
    known.rebase(9, SECOND)
    assert (known.latest, known.latest_index) == (SECOND, 9)


def test_what_is_committed_is_not_told_apart_any_more(tmp_path: Path) -> None:
    journal, known, _ = opened(tmp_path)
    known.compacted(3)
    assert (known.latest, known.at(3)) == (THIRD, SECOND)
    journal.truncate(3)
    assert known.latest == SECOND
