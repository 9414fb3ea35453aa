"""A member that lost its disk: it counts again when it holds what was committed, not before, and then for good."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from kvstore.raft.configuration import Change, Entered, encode_entered
from kvstore.raft.pysync.core import Core
from kvstore.raft.pysync.messages import CaughtUp, RequestVote, UnknownStore, Vote
from kvstore.raft.pysync.origin import entry_of
from kvstore.raft.pysync.rejoin import Rejoin
from kvstore.raft.replicator import MemberId
from kvstore.testing.sim.run import plan_of, run_plan
from kvstore.testing.sim.schedule import Fault, Plan
from kvstore.testing.sim.search import seeds_needed

Make = Callable[..., tuple[Core, Any]]


def plan(*faults: Fault, seed: int) -> Plan:
    return Plan(
        seed=seed,
        members=3,
        heartbeat_seconds=0.3,
        election_seconds=1.0,
        snapshot_count=60,
        segment_bytes=1 << 13,
        append_bytes=1 << 20,
        clients=2,
        watchers=1,
        keys=2,
        think_seconds=0.3,
        traffic=("put", "get"),
        seconds=9.0,
        faults=faults,
    )


def test_an_emptied_member_is_the_majority_with_either_of_the_others_again() -> None:
    """Word of its empty store arrives late: it once took the vote from a member that held everything again."""
    slow = Fault(3.0, "slow-network", "m1", 2.5, 1.0)
    report = run_plan(
        plan(slow, Fault(3.1, "wipe", "m1", 0.1), Fault(6.5, "wipe", "m2", 0.3), seed=4)
    )
    assert [str(one) for one in report.violations] == []
    assert report.counts["wipes"] == 2


def test_a_deposed_leader_gets_no_majority_from_a_member_that_forgot() -> None:
    name = "emptied-member-counts"
    assert run_plan(plan_of(1_000_001, name)).violations == []
    assert seeds_needed(name, 9, rounds=1)


def test_word_of_an_empty_store_counts_only_before_it_is_filled(
    tmp_path: Path, core_in: Make
) -> None:
    core, _ = core_in(tmp_path)
    core.receive(MemberId(2), UnknownStore())
    assert not core.sync.may_vote
    core._rejoin.index = 1
    core.journal.set_fact("caught_up", "yes")
    core.sync.may_vote = True
    core.receive(MemberId(3), UnknownStore())
    assert core.sync.may_vote
    core.close()


def test_answers_of_an_emptied_member_count_when_it_says_that_it_caught_up(
    tmp_path: Path, core_in: Make
) -> None:
    core, shell = core_in(tmp_path)
    core.connected(MemberId(2), {"store": "old", "caught_up": True})
    assert not core.sync.progress["2"].is_emptied
    core.connected(MemberId(2), {"store": "new", "caught_up": False})
    assert core.sync.progress["2"].is_emptied
    assert (MemberId(2), UnknownStore()) in shell.sent
    core.receive(MemberId(2), CaughtUp("new"))
    assert not core.sync.progress["2"].is_emptied
    assert core.journal.facts["peer:2"] == "new"
    core.close()


def test_who_was_added_does_not_count_a_member_that_may_have_lost_its_disk_before(
    tmp_path: Path, core_in: Make
) -> None:
    """Those that knew its former store are not all there to say so."""
    core, shell = core_in(tmp_path, is_joined=True)
    core.connected(MemberId(2), {"store": "of another life?", "caught_up": False})
    assert core.sync.peers["2"].is_emptied
    # It may be new as well, and then has lost nothing: it is not told that it has.
    assert shell.sent == []
    core.connected(MemberId(2), {"store": "of another life?", "caught_up": False})
    assert core.sync.peers["2"].is_emptied
    core.receive(MemberId(2), CaughtUp("of another life?"))
    assert not core.sync.peers["2"].is_emptied
    core.connected(MemberId(3), {"store": "old", "caught_up": True})
    assert not core.sync.peers["3"].is_emptied
    core.close()


def test_the_leader_is_asked_once_and_again_if_the_question_is_lost() -> None:
    rejoin = Rejoin()
    assert not rejoin.must_ask
    rejoin.is_emptied = True
    rejoin.asked(7)
    assert not rejoin.must_ask
    rejoin.told(6, 100)
    assert rejoin.index == 0
    rejoin.start_over()
    assert rejoin.must_ask
    rejoin.asked(8)
    rejoin.told(8, None)
    assert rejoin.must_ask
    rejoin.asked(9)
    rejoin.told(9, 41)
    assert rejoin.index == 41
    assert not rejoin.must_ask


def emptied_core(core_in: Make, directory: Path) -> tuple[Core, Any]:
    """A member without its data that has heard what it must hold, and holds it."""
    core, shell = core_in(directory)
    core.receive(MemberId(2), UnknownStore())
    core._rejoin.index = 2
    core.sync.heard_leader("2", 5)
    core.journal.append(entry_of(7), 2, 5)
    core.sync.set_commit(2)
    core.sync.tick()
    core.turn()
    return core, shell


def hello(term: int) -> dict[str, Any]:
    return {"store": "s", "caught_up": True, "log": [5, 2], "term": term}


def ask_for_vote(core: Core, term: int) -> None:
    core.receive(MemberId(3), RequestVote(term, 9, 9, transfer=True))
    core.turn()


def test_a_member_that_forgot_its_vote_waits_until_it_has_heard_all_others(
    tmp_path: Path, core_in: Make
) -> None:
    core, _ = emptied_core(core_in, tmp_path)
    core.connected(MemberId(2), hello(5))
    core.turn()
    assert not core.sync.may_vote
    core.connected(MemberId(3), hello(5))
    core.turn()
    assert core.sync.may_vote
    core.close()


def test_it_waits_for_a_candidate_that_is_about_to_be_removed_too(
    tmp_path: Path, core_in: Make
) -> None:
    """The removal is in its log and may not come to be: until then the forgotten vote may make that one leader."""
    core, _ = emptied_core(core_in, tmp_path)
    removal = core.membership.latest.changed(Change("remove", MemberId(3)))
    core.journal.append(encode_entered(Entered(removal, MemberId(2), 1, 1)), 3, 5)
    assert core.membership.latest.voters == (1, 2)
    core.connected(MemberId(2), hello(5))
    core.turn()
    assert not core.sync.may_vote
    core.sync.set_commit(3)
    core.sync.tick()
    core.turn()
    assert core.membership.applied.voters == (1, 2)
    assert core.sync.may_vote
    core.close()


def test_it_never_votes_again_in_a_term_in_which_it_may_have_voted(
    tmp_path: Path, core_in: Make
) -> None:
    """Member 3 was a candidate of term 7 with the forgotten vote: no other may have it, and not this one itself."""
    core, shell = emptied_core(core_in, tmp_path)
    core.connected(MemberId(2), hello(5))
    core.connected(MemberId(3), hello(7))
    core.turn()
    assert core.sync.may_vote
    assert core.sync.term() == 7
    ask_for_vote(core, 7)
    assert not [one for _, one in shell.sent if isinstance(one, Vote)]
    ask_for_vote(core, 8)
    assert [one.term for _, one in shell.sent if isinstance(one, Vote)] == [8]
    core.close()
    again, shell = core_in(tmp_path)
    assert again.journal.term == 8
    assert again.hello()["caught_up"]
    again.close()


def test_what_is_forgone_outlives_a_restart(tmp_path: Path, core_in: Make) -> None:
    core, _ = emptied_core(core_in, tmp_path)
    for member in (2, 3):
        core.connected(MemberId(member), hello(7))
    core.turn()
    core.close()
    again, shell = core_in(tmp_path)
    ask_for_vote(again, 7)
    assert not [one for _, one in shell.sent if isinstance(one, Vote)]
    again.close()
