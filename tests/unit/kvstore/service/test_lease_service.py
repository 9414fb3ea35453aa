"""Who answers for leases: this member if it leads, else the leader; again until the deadline."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from kvstore.base.clock import SystemClock
from kvstore.mvcc.errors import LeaseNotFound
from kvstore.raft.replicator import MemberId, NoLeader, NotLeader, OutcomeUnknown
from kvstore.service.lease import LeaseService, TimeToLive

ME, OTHER = MemberId(1), MemberId(2)


class Clock(SystemClock):
    """Virtual: sleeping takes no time and moves it."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


class World:
    """A member and its leader; `looks` counts questions for the status."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.leader = ME
        self.looks = 0
        self.calls: list[str] = []
        self.limits = SimpleNamespace(timeout_seconds=1.0)
        self.is_primary = True
        self.on_call: Any = lambda: None
        self.peer_error: Exception | None = None
        self.lessor = SimpleNamespace(leases={7: SimpleNamespace(id=7, ttl=60, keys=(b"b", b"a"))})
        own = cast("Any", self)
        self.service = LeaseService(
            own, own, own, own, own, own, clock=self.clock, rng=own, min_ttl_seconds=1
        )

    # The replicator

    def status(self) -> Any:
        self.looks += 1
        return SimpleNamespace(leader_id=self.leader, member_id=ME)

    def leadership(self) -> tuple[MemberId, int]:
        return self.leader, 1

    # The proposer

    async def confirm_read(self) -> None:
        self.calls.append("confirm")
        self.on_call()

    # The guard

    async def check_lease(self, caller: Any, lease_id: int, **_: Any) -> None:
        self.calls.append("check")

    async def vouch(self, caller: Any, lease_id: int) -> str:
        return "proof"

    # The lease clock

    async def renew(self, lease_id: int) -> int:
        self.calls.append("renew")
        if lease_id != 7:
            raise LeaseNotFound
        return 60

    def remaining_seconds(self, lease_id: int) -> float | None:
        return 12.5 if lease_id == 7 else None

    # The leader's door

    async def keep_alive(self, leader: int, lease_id: int, left: float, proof: str) -> int:
        assert (leader, proof) == (OTHER, "proof")
        assert 0 < left <= 1
        self.calls.append("forward")
        self.on_call()
        if self.peer_error is not None:
            raise self.peer_error
        return 61

    async def time_to_live(
        self, leader: int, lease_id: int, with_keys: bool, left: float, proof: str
    ) -> TimeToLive:
        await self.keep_alive(leader, lease_id, left, proof)
        return TimeToLive(5, 61)


@pytest.fixture
def world() -> World:
    return World()


async def test_the_leader_makes_sure_that_it_leads_then_renews(world: World) -> None:
    assert await world.service.keep_alive(7) == 60
    assert world.calls == ["confirm", "check", "renew"]
    assert world.looks == 0
    with pytest.raises(LeaseNotFound):
        await world.service.keep_alive(8)


async def test_the_leader_tells_what_is_left_and_the_keys_if_asked(world: World) -> None:
    assert await world.service.time_to_live(7) == TimeToLive(12, 60)
    assert await world.service.time_to_live(7, with_keys=True) == TimeToLive(12, 60, (b"a", b"b"))
    assert await world.service.time_to_live(8) == TimeToLive(-1, 0)


async def test_any_other_member_asks_the_leader_with_one_look_a_round(world: World) -> None:
    world.is_primary, world.leader = False, OTHER
    assert await world.service.keep_alive(7) == 61
    assert await world.service.time_to_live(7) == TimeToLive(5, 61)
    assert world.calls == ["forward", "forward"]
    assert world.looks == 2


async def test_what_was_forwarded_is_not_forwarded_again(world: World) -> None:
    world.is_primary, world.leader = False, OTHER
    with pytest.raises(NotLeader):
        await world.service.keep_alive(7, may_forward=False)
    with pytest.raises(NotLeader):
        await world.service.time_to_live(7, may_forward=False)
    assert world.calls == []


async def test_who_is_deposed_while_it_asks_renews_nothing_and_goes_to_the_new_leader(
    world: World,
) -> None:
    def deposed() -> None:
        world.is_primary, world.leader = False, OTHER

    world.on_call = deposed
    assert await world.service.keep_alive(7) == 61
    assert world.calls == ["confirm", "check", "forward"]


async def test_it_waits_for_a_leader_until_the_deadline(world: World) -> None:
    world.is_primary, world.leader = False, MemberId(0)
    with pytest.raises(NoLeader):
        await world.service.keep_alive(7)
    assert 0.9 <= world.clock.now <= 1.0
    assert world.calls == []


@pytest.mark.parametrize("error", [NoLeader(), NotLeader("elsewhere")], ids=["none", "moved"])
async def test_a_leader_that_refuses_is_asked_again_until_the_deadline(
    world: World, error: Exception
) -> None:
    world.is_primary, world.leader, world.peer_error = False, OTHER, error
    with pytest.raises(type(error)):
        await world.service.keep_alive(7)
    assert 10 <= len(world.calls) <= 21


async def test_a_leader_that_never_knows_it_leads_leaves_the_outcome_open(world: World) -> None:
    """It leads by its own view and has no clock of leases: the time between the two views."""
    world.is_primary = False
    with pytest.raises(OutcomeUnknown):
        await world.service.time_to_live(7)


async def test_leases_are_listed_without_a_leader_too() -> None:
    world = World()
    world.check_leases = _nothing  # type: ignore[attr-defined]
    assert await world.service.leases() == [7]
    assert world.calls == ["confirm"], "while there is a leader the list is current"
    world.leader = MemberId(0)
    assert await world.service.leases() == [7]
    assert world.calls == ["confirm"]


async def _nothing(_: Any) -> None:
    return None
