"""Fair queues by a simulated server: nobody starves, flows get equal parts, counts are right after each step."""

import heapq
import random
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.apiserver.flowcontrol.dealing import deal, flow_hash
from controlplane.apiserver.flowcontrol.queues import QueueSet, Queuing, Ticket
from controlplane.apiserver.flowcontrol.tally import Tally
from controlplane.apiserver.flowcontrol.work import ONE_SEAT, Work


class World:
    """Time that moves from event to event, and a server whose requests take as long as they say."""

    def __init__(self, queuing: Queuing | None, limit: int, *, is_exempt: bool = False) -> None:
        self.time = 0.0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self.queues = QueueSet(lambda: self.time, self.at, is_exempt=is_exempt)
        self.queues.configure(queuing, limit)
        self.queuing = queuing
        self.tally = Tally("level", "schema")
        self.served: Counter[str] = Counter()
        self.seat_seconds: Counter[str] = Counter()
        self.waited: dict[str, float] = {}

    def at(self, seconds: float, call: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._events, (self.time + seconds, self._count, call))

    def ask(
        self,
        flow: str,
        seconds: float,
        work: Work = ONE_SEAT,
        then: Callable[[], None] | None = None,
    ) -> Ticket | None:
        hand: tuple[int, ...] = ()
        if self.queuing is not None:
            hand = deal(flow_hash("s", flow), self.queuing.queues, self.queuing.hand_size)
        ticket = self.queues.start(work, hand, self.tally, flow)
        if ticket is None:
            return None
        arrived = self.time

        def served() -> None:
            self.served[flow] += 1
            self.seat_seconds[flow] += seconds * work.initial_seats
            self.waited[flow] = max(self.waited.get(flow, 0.0), self.time - arrived)
            self.at(seconds, ended)

        def ended() -> None:
            self.queues.finish(ticket)
            if then is not None:
                then()

        ticket.wake = served
        if ticket.is_executing:
            served()
        self.queues.check_invariants()
        return ticket

    def keep_asking(self, flow: str, at_once: int, seconds: float, work: Work = ONE_SEAT) -> None:
        """A client with so many requests under way at any time."""

        def again() -> None:
            self.ask(flow, seconds, work, again)

        for _ in range(at_once):
            again()

    def run(self, seconds: float) -> None:
        while self._events and self._events[0][0] <= seconds:
            self.time, _, call = heapq.heappop(self._events)
            call()
            self.queues.check_invariants()
        self.time = seconds


QUEUING = Queuing(64, 6, 100)


def test_while_there_are_seats_nobody_waits() -> None:
    world = World(QUEUING, 10)
    tickets = [world.ask("a", 1.0) for _ in range(10)]
    assert all(one is not None and one.is_executing for one in tickets)
    waiting = world.ask("b", 1.0)
    assert waiting is not None
    assert not waiting.is_executing


def test_a_flood_does_not_starve_a_quiet_flow() -> None:
    """One flow of 300 requests at any time against one that sends them one after the other, ten seats."""
    world = World(QUEUING, 10)
    world.keep_asking("flood", 300, 0.05)
    world.keep_asking("quiet", 1, 0.05)
    world.run(20.0)
    # It is never behind more than the requests that are being served and those at the heads of the flood's queues.
    assert world.waited["quiet"] < 0.1
    assert world.served["quiet"] > 0.45 * 20.0 / 0.05
    assert world.waited["flood"] > 1.0


@pytest.mark.parametrize("seconds", [(0.05, 0.05), (0.02, 0.2)], ids=["alike", "long and short"])
def test_two_floods_get_equal_parts(seconds: tuple[float, float]) -> None:
    """In a queue each, it is seats times time that is shared, not the number of requests."""
    world = World(Queuing(16, 1, 100), 8)
    world.keep_asking("a", 40, seconds[0])
    world.keep_asking("b", 40, seconds[1])
    world.run(20.0)
    a, b = world.seat_seconds["a"], world.seat_seconds["b"]
    assert a == pytest.approx(b, rel=0.12)


def test_wide_requests_cost_their_flow_turns() -> None:
    world = World(Queuing(16, 1, 100), 8)
    world.keep_asking("wide", 20, 0.05, Work(4))
    world.keep_asking("narrow", 40, 0.05)
    world.run(20.0)
    assert world.seat_seconds["wide"] == pytest.approx(world.seat_seconds["narrow"], rel=0.15)


def test_a_request_wider_than_the_level_is_served_alone() -> None:
    world = World(QUEUING, 4)
    world.ask("a", 1.0)
    wide = world.ask("b", 1.0, Work(10))
    assert wide is not None
    assert not wide.is_executing
    world.run(1.0)
    assert wide.is_executing
    after = world.ask("a", 1.0)
    assert after is not None
    assert not after.is_executing
    world.run(2.0)
    assert after.is_executing


def test_queues_are_bounded() -> None:
    world = World(Queuing(1, 1, 2), 1)
    made = [world.ask("a", 1.0) for _ in range(4)]
    assert [one is None for one in made] == [False, False, False, True]
    assert world.tally.refused == {"queue-full": 1}


def test_without_queues_the_rest_is_refused() -> None:
    world = World(None, 2)
    made = [world.ask("a", 1.0) for _ in range(3)]
    assert [one is None for one in made] == [False, False, True]
    assert world.tally.refused == {"concurrency-limit": 1}
    world.run(1.0)
    assert world.ask("a", 1.0) is not None


def test_the_exempt_are_always_served() -> None:
    world = World(None, 0, is_exempt=True)
    assert all(world.ask("a", 1.0) is not None for _ in range(1000))


def test_who_leaves_is_not_served_and_whoever_is_served_cannot_leave() -> None:
    world = World(QUEUING, 1)
    first, second, third = world.ask("a", 1.0), world.ask("b", 1.0), world.ask("c", 1.0)
    assert first is not None
    assert second is not None
    assert third is not None
    assert not world.queues.leave(first)
    assert world.queues.leave(second)
    world.run(1.0)
    assert third.is_executing
    assert not second.is_executing
    assert world.tally.refused == {"time-out": 1}


def test_seats_are_kept_for_what_follows_the_answer() -> None:
    world = World(QUEUING, 5)
    world.ask("a", 1.0, Work(1, 5, 2.0))
    waiting = world.ask("b", 1.0)
    assert waiting is not None
    world.run(2.5)
    assert not waiting.is_executing
    world.run(3.0)
    assert waiting.is_executing


def test_what_follows_is_made_narrower_and_longer_in_a_small_level() -> None:
    world = World(QUEUING, 2)
    world.ask("a", 1.0, Work(1, 4, 1.0))
    waiting = world.ask("b", 1.0)
    assert waiting is not None
    world.run(2.9)
    assert not waiting.is_executing
    world.run(3.0)
    assert waiting.is_executing


def test_fewer_queues_serve_those_that_wait_in_the_others_first() -> None:
    world = World(Queuing(8, 2, 50), 1)
    tickets = [world.ask(f"flow {number}", 0.1) for number in range(30)]
    world.queues.configure(Queuing(2, 1, 50), 1)
    world.queuing = Queuing(2, 1, 50)
    world.run(10.0)
    assert all(one is not None and one.is_executing for one in tickets)
    assert len(world.queues.queues) == 2


def test_a_level_that_lost_its_seats_serves_when_it_has_some_again() -> None:
    world = World(QUEUING, 0)
    waiting = world.ask("a", 1.0)
    assert waiting is not None
    assert not waiting.is_executing
    world.queues.configure(QUEUING, 3)
    assert waiting.is_executing


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 6),
    st.sampled_from([Queuing(1, 1, 5), Queuing(4, 2, 3), Queuing(16, 4, 50), None]),
    st.lists(
        st.tuples(
            st.integers(0, 5),
            st.floats(0.0, 0.3),
            st.integers(1, 8),
            st.sampled_from([(0, 0.0), (0, 0.0), (3, 0.2)]),
            st.sampled_from(["stay", "stay", "stay", "leave"]),
        ),
        max_size=80,
    ),
    st.randoms(use_true_random=False),
)
def test_whatever_comes_everybody_is_served_in_the_end(
    limit: int,
    queuing: Queuing | None,
    asked: list[tuple[int, float, int, tuple[int, float], str]],
    rng: random.Random,
) -> None:
    world = World(queuing, limit)
    tickets: list[Ticket] = []
    for flow, seconds, seats, (final, after), what in asked:
        world.run(world.time + rng.random() * 0.05)
        ticket = world.ask(f"flow {flow}", seconds, Work(seats, final, after))
        if ticket is None:
            continue
        if what == "stay" or not world.queues.leave(ticket):
            tickets.append(ticket)
        world.queues.check_invariants()
    world.run(world.time + 1000.0)
    assert all(ticket.is_executing for ticket in tickets)
    assert world.queues.is_idle
    assert world.queues.seats_in_use == 0
    assert world.tally.executing_seats == world.tally.waiting_seats == 0
