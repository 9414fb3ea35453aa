"""Each guard upholds what its row of the library's faults needs."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.raft.pysync import guards
from kvstore.raft.pysync.guards import SafetyViolated, plan_append
from kvstore.raft.pysync.messages import PreVote

LOG = {1: 0, 2: 1, 3: 1, 4: 2, 5: 2}


def plan(previous: int, term: int, terms: list[int], commit: int = 1, base: int = 1) -> Any:
    entries = [(b"", previous + 1 + n, t) for n, t in enumerate(terms)]
    log = {index: value for index, value in LOG.items() if index >= base}
    return plan_append(previous, term, entries, log.get, base, 5, commit)


@pytest.mark.parametrize(
    ("previous", "term", "terms", "expected"),
    [
        pytest.param(3, 1, [2], (None, 5, 0, 4), id="all_here_never_truncates"),
        pytest.param(3, 1, [], (None, 5, 0, 3), id="heartbeat_covers_only_its_position"),
        pytest.param(5, 2, [2, 2], (None, 5, 2, 7), id="new_entries_at_the_end"),
        pytest.param(3, 1, [2, 2, 2], (None, 5, 1, 6), id="matching_prefix_is_trimmed"),
        pytest.param(3, 1, [3], (None, 3, 1, 4), id="true_conflict_is_shown"),
        pytest.param(9, 2, [2], (6, 0, 0, 0), id="gap_rewinds_to_own_end"),
        pytest.param(5, 3, [3], (4, 0, 0, 0), id="conflict_rewinds_a_whole_term"),
    ],
)
def test_append_plans(
    previous: int, term: int, terms: list[int], expected: tuple[int | None, int, int, int]
) -> None:
    made = plan(previous, term, terms)
    shown = (made.rewind_to, made.previous_index, len(made.entries), made.covered)
    assert shown == expected


def test_entries_below_the_base_are_skipped() -> None:
    made = plan(1, 0, [1, 1, 2, 2, 7], base=4, commit=4)
    assert (made.previous_index, [e[1] for e in made.entries], made.covered) == (5, [6], 6)


@pytest.mark.parametrize(("previous", "term", "terms"), [(4, 1, []), (3, 1, [9])])
def test_contradicting_what_is_committed_is_fatal(
    previous: int, term: int, terms: list[int]
) -> None:
    with pytest.raises(SafetyViolated):
        plan(previous, term, terms, commit=5)


def test_acknowledgements_count_only_in_their_term() -> None:
    assert guards.ack_counts(3, 3)
    assert not guards.ack_counts(2, 3)


def test_resets_older_than_the_last_rewind_do_not_count() -> None:
    assert guards.reset_counts(10, 10)
    assert not guards.reset_counts(9, 10)


def test_votes_count_once_a_member_and_only_for_members() -> None:
    members = {"a", "b"}
    assert guards.vote_counts("a", set(), 2, 2, members)
    assert not guards.vote_counts("a", {"a"}, 2, 2, members)
    assert not guards.vote_counts("x", set(), 2, 2, members)
    assert not guards.vote_counts("a", set(), 1, 2, members)


def test_promises_leave_after_the_disk_and_never_in_a_later_term() -> None:
    assert guards.may_leave(5, 2, 2, 5, True) is True
    assert guards.may_leave(6, 2, 2, 5, True) is False
    assert guards.may_leave(5, 2, 2, 5, False) is False
    assert guards.may_leave(5, 1, 2, 9, True) is None


def test_pre_votes_need_a_silent_leader_and_a_full_log() -> None:
    asked = PreVote(4, 5, 2)
    assert guards.grants_pre_vote(asked, 3, (5, 2), False)
    assert not guards.grants_pre_vote(asked, 3, (5, 2), True)
    assert not guards.grants_pre_vote(asked, 3, (6, 2), False)
    assert not guards.grants_pre_vote(asked, 3, (2, 3), False)
    assert not guards.grants_pre_vote(asked, 4, (5, 2), False)


def test_a_sticky_member_votes_only_for_a_transfer() -> None:
    assert guards.may_vote_now(True, True)
    assert guards.may_vote_now(False, False)
    assert not guards.may_vote_now(False, True)


def test_a_leader_counts_only_what_is_durable() -> None:
    assert guards.countable_index(9, 7) == 7
    assert guards.countable_index(7, 9) == 7


@pytest.mark.parametrize(
    ("said", "end"),
    [([3, 7], (3, 7)), (None, None), ([3], None), (["3", 7], None), ((3, 7), None), ("37", None)],
)
def test_where_a_log_ends_is_believed_only_as_two_numbers(said: object, end: object) -> None:
    assert guards.log_end(said) == end


@given(st.data())
def test_committed_is_what_counting_entry_by_entry_says(data: st.DataObject) -> None:
    """Against the definition: the last entry of the leader's term that a majority with this member holds."""
    terms = [0, *sorted(data.draw(st.lists(st.integers(1, 3), max_size=8)))]
    last = len(terms) - 1
    others = data.draw(st.lists(st.integers(0, last), min_size=0, max_size=6))
    own, commit = data.draw(st.integers(0, last)), data.draw(st.integers(0, last))
    # A leader's term is that of its log's end, or newer.
    term = data.draw(st.integers(max(1, terms[-1]), 4))
    expected = commit
    for index in range(commit + 1, own + 1):
        holders = 1 + sum(matched >= index for matched in others)
        if 2 * holders > len(others) + 1 and terms[index] == term:
            expected = index
    found = guards.committed(
        others, own, commit, term, lambda index: terms[index] if 0 <= index <= last else None
    )
    assert found == expected
