"""The clock over leases: what happens to a lease while a renewal is on its way through the log."""

from typing import Any, cast

import pytest

from kvstore.base.clock import ManualClock
from kvstore.lease.lessor import Lessor
from kvstore.machine.commands import LeaseCheckpoint, LeaseRevoke
from kvstore.machine.outcome import LeaseGranted, LeaseRevoked, LeaseRevokeReply, Outcome
from kvstore.mvcc.errors import LeaseNotFound
from kvstore.raft.replicator import NotLeader
from kvstore.service.errors import RequestTooLarge
from kvstore.service.expiry import LeaseClock


class Machine:
    def __init__(self) -> None:
        self.lessor = Lessor()


class Proposer:
    """Notes what is proposed; `during` happens before the outcome is there."""

    def __init__(self) -> None:
        self.proposed: list[Any] = []
        self.terms: list[int] = []
        self.during: Any = lambda: None

    def term(self) -> int:
        return 7

    async def submit(self, command: Any, caller: Any, *, only_in_term: int) -> None:
        self.proposed.append(command)
        self.terms.append(only_in_term)
        self.during()


def make() -> tuple[LeaseClock, Machine, Proposer, ManualClock]:
    """A leader's clock over lease 1 of 600 s, of which a checkpoint was taken."""
    machine, proposer, clock = Machine(), Proposer(), ManualClock()
    machine.lessor.grant(1, 600, 300)
    leases = LeaseClock(cast("Any", machine), cast("Any", proposer), clock)
    leases.on_leadership(True)
    return leases, machine, proposer, clock


async def test_a_renewal_starts_the_lease_anew_and_says_so_to_the_next_leader() -> None:
    leases, _, proposer, _ = make()
    assert leases.remaining_seconds(1) == 300
    assert await leases.renew(1) == 600
    assert leases.remaining_seconds(1) == 600
    assert proposer.proposed == [LeaseCheckpoint(((1, 0),))]
    assert proposer.terms == [7], "in the term that this clock leads, or not at all"


async def test_a_lease_that_is_revoked_while_it_is_renewed_is_gone() -> None:
    leases, machine, proposer, clock = make()

    def revoke() -> None:
        machine.lessor.revoke(1)
        leases.on_applied([Outcome(LeaseRevokeReply(), 2, effects=(LeaseRevoked(1),))])

    proposer.during = revoke
    with pytest.raises(LeaseNotFound):
        await leases.renew(1)
    assert leases.remaining_seconds(1) is None
    # The next checkpoint must not look for it.
    await clock.advance(301)
    await leases._checkpoint()
    assert len(proposer.proposed) == 1


async def test_who_lost_the_lead_meanwhile_renews_nothing() -> None:
    leases, _, proposer, _ = make()
    proposer.during = lambda: leases.on_leadership(False)
    with pytest.raises(NotLeader):
        await leases.renew(1)
    assert leases.remaining_seconds(1) is None


async def test_a_checkpoint_that_is_refused_does_not_end_the_member() -> None:
    leases, _, proposer, clock = make()

    def refuse() -> None:
        raise RequestTooLarge(20_000, 10_000)

    proposer.during = refuse
    await clock.advance(301)
    await leases._checkpoint()
    assert len(proposer.proposed) == 1


async def test_renewals_take_no_memory_and_put_the_end_off() -> None:
    leases, _, proposer, clock = make()
    await leases.renew(1)
    for _ in range(1000):
        await leases.renew(1)
    assert len(leases._heap) == 1
    proposer.proposed.clear()
    await clock.advance(599)
    await leases._revoke_due()
    assert proposer.proposed == []
    await clock.advance(2)
    await leases._revoke_due()
    assert proposer.proposed == [LeaseRevoke(1)]


async def test_an_id_that_is_granted_anew_ends_by_its_new_time() -> None:
    leases, machine, proposer, clock = make()
    machine.lessor.revoke(1)
    leases.on_applied([Outcome(LeaseRevokeReply(), 2, effects=(LeaseRevoked(1),))])
    machine.lessor.grant(1, 5)
    leases.on_applied([Outcome(LeaseRevokeReply(), 2, effects=(LeaseGranted(1, 5),))])
    await clock.advance(6)
    await leases._revoke_due()
    await clock.advance(600)
    await leases._revoke_due()
    assert proposer.proposed == [LeaseRevoke(1)]
