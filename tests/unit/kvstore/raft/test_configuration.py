"""Changes of the members: which are refused, and that majorities of neighbours always meet."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.raft import configuration as configurations
from kvstore.raft.configuration import Change, ChangeRefused, Configuration, Entered, Seat
from kvstore.raft.replicator import MemberId

A, B, C, D, E = (MemberId(number) for number in range(1, 6))
THREE = Configuration((Seat(A, ("http://a",)), Seat(B, ("http://b",)), Seat(C, ("http://c",))))


def after(*changes: Change, start: Configuration = THREE) -> Configuration:
    for change in changes:
        start = start.changed(change)
    return start


def test_a_member_that_is_added_votes_once_it_is_counted() -> None:
    added = after(Change("add", D, ("http://d",)))
    assert added.voters == (A, B, C)
    assert added.joining == (D,)
    assert added.learners == ()
    assert after(Change("count", D), start=added).voters == (A, B, C, D)


def test_a_learner_votes_once_it_is_promoted() -> None:
    added = after(Change("add-learner", D, ("http://d",)))
    assert (added.voters, added.learners) == ((A, B, C), (D,))
    assert after(Change("promote", D), start=added).voters == (A, B, C, D)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        pytest.param([Change("remove", D)], "not-found", id="removing_a_stranger"),
        pytest.param([Change("promote", D)], "not-found", id="promoting_a_stranger"),
        pytest.param([Change("promote", A)], "not-learner", id="promoting_a_voter"),
        pytest.param([Change("count", A)], "not-learner", id="counting_a_voter"),
        pytest.param([Change("add", A)], "id-exists", id="adding_a_member"),
        pytest.param([Change("add", D, ("http://c",))], "url-exists", id="adding_at_its_address"),
        pytest.param([Change("remove", A), Change("add", A)], "id-removed", id="coming_back"),
        pytest.param([Change("remove", A), Change("remove", A)], "id-removed", id="twice"),
        pytest.param(
            [Change("add-learner", D), Change("add-learner", E)],
            "too-many-learners",
            id="two_learners",
        ),
        pytest.param(
            [Change("remove", A), Change("remove", B), Change("remove", C)],
            "last-voter",
            id="the_last_voter",
        ),
    ],
)
def test_what_does_not_fit_is_refused(changes: list[Change], reason: str) -> None:
    *before, last = changes
    with pytest.raises(ChangeRefused) as refusal:
        after(*before).changed(last)
    assert refusal.value.reason == reason


_steps = st.lists(
    st.tuples(
        st.sampled_from(["add", "add-learner", "remove", "promote", "count"]), st.integers(1, 7)
    ),
    max_size=20,
)


@given(_steps)
def test_majorities_of_neighbours_have_a_member_in_common(steps: Any) -> None:
    now = THREE
    for kind, number in steps:
        try:
            then = now.changed(Change(kind, MemberId(number)))
        except ChangeRefused:
            continue
        assert len(set(now.voters) ^ set(then.voters)) <= 1
        both, need = set(now.voters) | set(then.voters), 0
        for one in (now, then):
            need += len(one.voters) // 2 + 1
        assert need > len(both), "two majorities among so many members meet"
        assert not set(then.removed) & {seat.id for seat in then}
        assert then.voters
        now = then


def test_it_survives_the_log_and_a_snapshot() -> None:
    entered = Entered(after(Change("remove", A)), B, 7, 9)
    data = configurations.encode_entered(entered)
    assert configurations.is_configuration(data)
    assert configurations.decode_entered(data) == entered
    stored = configurations.encode(entered.configuration)
    assert configurations.decode(stored) == entered.configuration
    assert configurations.decode(b"") is None
