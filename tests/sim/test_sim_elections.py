"""Who stands and when, in whole simulated clusters: at the first start, after a restart, at a hand-over."""

from dataclasses import dataclass

import pytest
from msgspec.structs import replace

from kvstore.raft.pysync.messages import StaleTerm
from kvstore.testing.sim.schedule import make_plan
from kvstore.testing.sim.world import World


@dataclass
class Stage:
    """A world that is lived through by hand."""

    world: World

    def run(self, seconds: float) -> None:
        """Let time pass."""
        self.world.loop.run_until_time(self.world.loop.now + seconds)
        assert [str(one) for one in self.world.violations] == []
        assert self.world.loop.errors == []

    def core(self, number: int):
        """What replicates in member `number`."""
        return self.world.members[number - 1].booted.replicator._core


@pytest.fixture
def stage():
    plan = replace(make_plan(3, members=3), faults=(), watchers=0, clients=2, traffic=("put",))
    world = World(plan)
    yield Stage(world)
    world.loop.dispose()


def test_members_that_start_together_do_not_wait_for_a_timeout(stage: Stage) -> None:
    for member in stage.world.members:
        member.start()
    stage.run(0.15)
    assert stage.world._leaders == {1: "m1"}, "the first of equals stands at once, and alone"

    # Started again, it is one that has the most: a leader that lacks what is committed there would not be elected.
    first, *others = stage.world.members
    first.kill(is_power_loss=False, lasts=1000.0)
    stage.run(4.0)
    stage.world._start_clients()
    stage.run(2.0)
    for client in stage.world.clients:
        client.is_over = True
    for member in others:
        member.kill(is_power_loss=False, lasts=1000.0)
    before = max(stage.world._leaders)
    for member in stage.world.members:
        member.start()
    stage.run(0.15)
    assert max(stage.world._leaders) == before + 1
    assert stage.world._leaders[before + 1] in ("m2", "m3")


def test_who_meets_a_leader_does_not_stand(stage: Stage) -> None:
    late, *others = stage.world.members
    for member in others:
        member.start()
    stage.run(0.3)
    assert stage.world._leaders == {1: "m2"}
    late.start()
    stage.run(5.0)
    assert stage.world._leaders == {1: "m2"}
    assert late.status().leader_id == 2


def test_a_leader_that_learns_a_newer_term_waits_before_it_stands_again(stage: Stage) -> None:
    # While the vote of a hand-over's target is on its way to the disk, the target's answer to a heartbeat already
    # tells the new term: who handed over must not stand against it at once.
    for member in stage.world.members:
        member.start()
    stage.run(5.0)
    leader = stage.core(1)
    clock = stage.world.members[0].clock
    assert leader.sync.is_leader()
    assert leader.sync.election_deadline < clock.monotonic()
    target = leader.status().member_id + 1
    newer = StaleTerm(leader.sync.term() + 1)
    context = stage.world.members[0].process.context
    stage.world.loop.call_soon(leader.receive, target, newer, context=context)
    stage.run(0.0)
    assert not leader.sync.is_leader()
    assert leader.sync.next_deadline() >= clock.monotonic() + stage.world.plan.election_seconds


def test_a_member_that_lost_its_disk_does_not_vote_before_it_is_filled_again(stage: Stage) -> None:
    for member in stage.world.members:
        member.start()
    stage.run(1.0)
    stage.world._start_clients()
    stage.run(3.0)
    follower = stage.world.members[1]
    follower.kill(is_power_loss=False, lasts=1000.0)
    assert follower.wipe()
    follower.start()
    while follower.status() is None or stage.core(2).sync.may_vote:
        stage.run(0.001)
    assert stage.core(2).journal.facts.get("caught_up") != "yes"
    stage.run(3.0)
    assert stage.core(2).sync.may_vote
    assert stage.core(2).journal.facts["caught_up"] == "yes"
