"""Election with several candidates on a manual clock: never two at work at once."""

import asyncio
import contextlib
import random

import pytest

from controlplane.client.leader import LeaderElector, NotLeader
from controlplane.client.rest import RestClient
from controlplane.client.transport import TransportError
from controlplane.kinds.coordination.lease import LEASES
from controlplane.testing.in_process import InProcessServer
from kvstore.base.clock import ManualClock
from kvstore.base.tasks import Supervisor


class Candidate:
    def __init__(self, api: InProcessServer, name: str, working: set[str], clock) -> None:
        self.name, self.working, self.cut = name, working, False
        self.starts = 0
        self.overlap = False
        outer, line = self, api.transport()

        class Line:
            async def send(self, request):
                if outer.cut:
                    raise TransportError("cut", outcome_known=False)
                return await line.send(request)

            stream, close = line.stream, line.close

        self.elector = LeaderElector(
            RestClient(Line()), "kube-system", "x", name, clock,
            lease_duration_seconds=4, renew_deadline_seconds=3, retry_period_seconds=0.5,
            rng=random.Random(name),
        )  # fmt: skip

    async def work(self) -> None:
        self.starts += 1
        self.working.add(self.name)
        self.overlap |= len(self.working) > 1
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            self.working.discard(self.name)


@pytest.fixture
async def race():
    clock = ManualClock()
    api = await InProcessServer(clock=clock).__aenter__()
    working: set[str] = set()
    supervisor = Supervisor("race")
    candidates = [Candidate(api, name, working, clock) for name in "abc"]
    tasks = {
        c.name: supervisor.start(c.elector.run_with_leadership(c.work), c.name) for c in candidates
    }
    await clock.advance(2)
    yield clock, api, working, candidates, tasks
    await supervisor.stop()
    await api.__aexit__(None, None, None)
    assert not any(c.overlap for c in candidates)
    assert not working


async def test_one_leads_and_stays(race):
    clock, api, working, candidates, _ = race
    assert len(working) == 1
    first = set(working)
    await clock.advance(60)
    assert working == first
    assert api.object(LEASES, "x", "kube-system")["spec"]["leaseTransitions"] == 0
    assert sum(c.starts for c in candidates) == 1


async def test_a_leader_cut_off_stops_before_the_next_starts(race):
    clock, api, working, candidates, _ = race
    leader = next(c for c in candidates if c.name in working)
    leader.cut = True
    await clock.advance(2.9)
    assert working == {leader.name}
    await clock.advance(0.7)
    assert working == set()
    assert not leader.elector.is_leader
    with pytest.raises(NotLeader):
        leader.elector.check()
    await clock.advance(2)
    assert len(working) == 1
    assert leader.name not in working
    assert api.object(LEASES, "x", "kube-system")["spec"]["leaseTransitions"] == 1
    leader.cut = False
    await clock.advance(10)
    assert leader.name not in working


async def test_release_hands_over_within_a_retry_period(race):
    clock, _, working, _candidates, tasks = race
    leader = next(iter(working))
    tasks[leader].cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await tasks[leader]
    assert working == set()
    await clock.advance(0.7)
    assert len(working) == 1
    assert leader not in working


async def test_random_cuts_never_make_two_leaders(race):
    clock, _, working, candidates, _ = race
    rng = random.Random(7)
    for _ in range(300):
        rng.choice(candidates).cut = rng.random() < 0.4
        await clock.advance(rng.uniform(0.05, 1.5))
        assert len(working) <= 1
    for candidate in candidates:
        candidate.cut = False
    await clock.advance(10)
    assert len(working) == 1


@pytest.mark.parametrize(
    ("duration", "deadline", "retry"), [(3, 3, 1), (4, 1, 1), (4, 3, 0)], ids=str
)
async def test_relations_between_the_times_are_checked(duration, deadline, retry):
    clock = ManualClock()
    with pytest.raises(ValueError, match="must be greater"):
        LeaderElector(
            InProcessServer(clock=clock).client(), "n", "x", "me", clock,
            lease_duration_seconds=duration, renew_deadline_seconds=deadline,
            retry_period_seconds=retry,
        )  # fmt: skip
