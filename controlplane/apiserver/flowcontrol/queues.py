"""One priority level's queues: which request is served next, so that every flow gets its part.

A level has so many seats. While there are free ones whoever comes is served at once. Then requests wait, each in one of
the queues that its flow was dealt, the one with the least work in it. A seat that becomes free goes to the queue that
would be done with its next request first, if all queues that have work were served at the same rate. The clock of that
thought is `R`: seat-seconds that each busy queue would have been given so far. A queue remembers the reading of R at
which its next request would begin; serving a request moves it on by the work that the request is estimated to be, and
its end corrects it by what the request has really taken.

    level with 1 seat; A has requests of 3 ms waiting, B comes with one
    queue   next R   next request would end at
    A       0.009    0.012
    B       0.004    0.007   <- B is next, although A came before

Nothing here waits or reads a clock: `now` and `later` are given, and who waits is told by the ticket's `wake`.

Source: KEP-1040 and apiserver/pkg/util/flowcontrol/fairqueuing/queueset, whose decisions these are.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from controlplane.apiserver.flowcontrol.demand import Integrator
from controlplane.apiserver.flowcontrol.tally import Tally
from controlplane.apiserver.flowcontrol.work import Work

ESTIMATED_SECONDS = 0.003
"""What a request is taken to last until it has ended."""


@dataclass(frozen=True, slots=True)
class Queuing:
    """How requests wait: so many queues, a flow in `hand_size` of them, at most `length_limit` requests in each."""

    queues: int
    hand_size: int
    length_limit: int


class Queue:
    """Requests that wait, oldest first, and what is served of them."""

    __slots__ = ("executing", "index", "next_r", "seats_in_use", "waiting", "waiting_work")

    def __init__(self, index: int) -> None:
        self.index = index
        self.waiting: deque[Ticket] = deque()
        self.waiting_work = 0.0
        self.executing = 0
        self.seats_in_use = 0
        self.next_r = 0.0

    @property
    def is_idle(self) -> bool:
        """Whether nothing of it waits or is served."""
        return not self.executing and not self.waiting


class Ticket:
    """A request's place. `wake` is called once when it is served after it has waited."""

    __slots__ = (
        "arrived",
        "arrived_r",
        "flow",
        "is_executing",
        "queue",
        "request",
        "seats",
        "started",
        "tally",
        "total_work",
        "wake",
        "work",
    )

    def __init__(self, work: Work, tally: Tally, flow: str, request: Any, now: float) -> None:
        self.work = work
        self.seats = work.seats
        self.total_work = (
            work.initial_seats * ESTIMATED_SECONDS + work.final_seats * work.additional_seconds
        )
        self.tally = tally
        self.flow = flow
        # What the dump of requests shows of it.
        self.request = request
        self.queue: Queue | None = None
        self.arrived = now
        self.arrived_r = 0.0
        self.started = 0.0
        self.is_executing = False
        self.wake: Callable[[], None] | None = None


class QueueSet:
    """The queues of one priority level. Its owner may read every attribute; only the methods change them."""

    def __init__(
        self,
        now: Callable[[], float],
        later: Callable[[float, Callable[[], None]], object],
        *,
        is_exempt: bool = False,
    ) -> None:
        self._now = now
        self._later = later
        self.is_exempt = is_exempt
        self.queuing: Queuing | None = None
        self.limit = 0
        self.queues: list[Queue] = []
        self.demand = Integrator(now())
        self.r = 0.0
        self._synced = now()
        self._robin = 0
        self._enqueues = 0
        # Queues that have requests waiting, and how many have anything at all.
        self._waiting: dict[Queue, None] = {}
        self._active = 0
        self.queueless: dict[Ticket, None] = {}
        self.in_queues: dict[Ticket, None] = {}
        self.requests_waiting = self.requests_executing = 0
        self.seats_in_use = self.seats_waiting = 0
        self.dispatched = self.rejected = self.timed_out = self.cancelled = 0

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits or is served."""
        return not self.requests_waiting and not self.requests_executing

    def configure(self, queuing: Queuing | None, limit: int) -> None:
        """Have these queues and seats from now on; None serves or refuses at once."""
        self._sync()
        if queuing is not None:
            for index in range(len(self.queues), queuing.queues):
                self.queues.append(Queue(index))
        self.queuing, self.limit = queuing, limit
        for queue in [one for one in self.queues if one.is_idle and not one.seats_in_use]:
            self._drop_surplus(queue)
        self._dispatch_all()

    def start(
        self,
        work: Work,
        hand: tuple[int, ...],
        tally: Tally,
        flow: str = "",
        request: Any = None,
    ) -> Ticket | None:
        """Take in a request: it is served at once, or waits, or None: refused.

        `hand` are the queues of its flow, of those that `queuing` has. Whoever gets a ticket calls `finish` or, while
        it waits, `leave`.
        """
        now = self._sync()
        ticket = Ticket(work, tally, flow, request, now)
        if self.queuing is None:
            if not self.is_exempt and not self._fits(ticket.seats):
                self._refuse(tally, "concurrency-limit")
                return None
            self.queueless[ticket] = None
            self._serve(ticket, now)
            return ticket
        queue = self._choose(hand)
        if self.seats_in_use >= self.limit and len(queue.waiting) >= self.queuing.length_limit:
            self._refuse(tally, "queue-full")
            return None
        ticket.queue, ticket.arrived_r = queue, self.r
        if queue.is_idle:
            queue.next_r = self.r
            self._active += 1
        if not self._waiting and self.seats_in_use < self.limit and self._fits(ticket.seats):
            tally.lengths.observe(0)
            if queue.next_r < self.r:
                queue.next_r = self.r
            self._take_seats(ticket, queue, now)
            return ticket
        self._enqueue(ticket, queue, now)
        self._dispatch_all()
        return ticket

    def finish(self, ticket: Ticket) -> None:
        """A served request has ended; its seats go on to others, at once or when its after-effects are over."""
        now = self._sync()
        self.requests_executing -= 1
        ticket.tally.executing -= 1
        queue = ticket.queue
        if queue is None:
            del self.queueless[ticket]
        else:
            del self.in_queues[ticket]
            queue.executing -= 1
            taken = now - ticket.started
            queue.next_r -= ticket.work.initial_seats * (ESTIMATED_SECONDS - taken)
            self._bound(queue)
            if queue.is_idle:
                self._active -= 1
        if ticket.work.additional_seconds > 0:
            self._later(ticket.work.additional_seconds, lambda: self._lingered(ticket))
        else:
            self._release(ticket, now)
        if self.requests_waiting:
            self._dispatch_all()

    def leave(self, ticket: Ticket, *, is_cancelled: bool = False) -> bool:
        """A request waits no longer, since its time is over or its client is gone; False when it is being served."""
        queue = ticket.queue
        if ticket.is_executing or queue is None:
            return False
        now = self._sync()
        queue.waiting.remove(ticket)
        self._left_queue(ticket, queue)
        self._bound(queue)
        if queue.is_idle:
            self._active -= 1
            self._drop_surplus(queue)
        self._refuse(ticket.tally, "time-out")
        if is_cancelled:
            self.cancelled += 1
        else:
            self.timed_out += 1
        self.demand.set(now, self.seats_in_use + self.seats_waiting)
        # Whoever stood behind a wide request may fit where that did not.
        self._dispatch_all()
        return True

    def check_invariants(self) -> None:
        """Raise AssertionError when the counts are not those of the queues."""
        waiting = [ticket for queue in self.queues for ticket in queue.waiting]
        assert self.requests_waiting == len(waiting)
        assert self.seats_waiting == sum(ticket.seats for ticket in waiting)
        assert set(self._waiting) == {queue for queue in self.queues if queue.waiting}
        assert self._active == sum(not queue.is_idle for queue in self.queues)
        assert self.requests_executing == len(self.in_queues) + len(self.queueless)
        for queue in self.queues:
            assert queue.executing == sum(one.queue is queue for one in self.in_queues)
            assert abs(queue.waiting_work - sum(one.total_work for one in queue.waiting)) < 1e-6
        assert [queue.index for queue in self.queues] == list(range(len(self.queues)))
        if self.requests_waiting and self.queuing is not None and self.limit > 0:
            assert self.seats_in_use > 0, "somebody waits while all seats are free"

    # What follows is private, in the order in which it is called.

    def _sync(self) -> float:
        """Move R on to now; before anything changes that its rate depends on."""
        now = self._now()
        elapsed = now - self._synced
        if elapsed > 0:
            if self._active:
                wanted = self.seats_in_use + self.seats_waiting
                self.r += elapsed * min(wanted, self.limit) / self._active
            self._synced = now
        return now

    def _fits(self, seats: int) -> bool:
        if seats > self.limit:
            # Wider than the level: it is served alone.
            return self.requests_executing == 0
        return self.seats_in_use + seats <= self.limit

    def _refuse(self, tally: Tally, reason: str) -> None:
        self.rejected += 1
        tally.refused[reason] += 1

    def _choose(self, hand: tuple[int, ...]) -> Queue:
        """The queue of the hand with the least work; the hand is looked at from another card each time."""
        offset = self._enqueues % len(hand)
        self._enqueues += 1
        best = self.queues[hand[offset]]
        if self._waiting:
            for card in hand[offset + 1 :] + hand[:offset]:
                queue = self.queues[card]
                if queue.waiting_work < best.waiting_work:
                    best = queue
        return best

    def _enqueue(self, ticket: Ticket, queue: Queue, now: float) -> None:
        queue.waiting.append(ticket)
        queue.waiting_work += ticket.total_work
        self._waiting[queue] = None
        self.requests_waiting += 1
        self.seats_waiting += ticket.seats
        tally = ticket.tally
        tally.waiting += 1
        tally.waiting_seats += ticket.seats
        tally.lengths.observe(len(queue.waiting))
        self.demand.set(now, self.seats_in_use + self.seats_waiting)
        self._bound(queue)

    def _dispatch_all(self) -> None:
        while self.requests_waiting and self.seats_in_use < self.limit and self._dispatch_one():
            pass

    def _dispatch_one(self) -> bool:
        queue = self._next_queue()
        ticket = queue.waiting[0]
        if not self._fits(ticket.seats):
            ticket.tally.no_accommodation += 1
            return False
        self._robin = queue.index
        queue.waiting.popleft()
        self._left_queue(ticket, queue)
        self._take_seats(ticket, queue, self._synced)
        self._bound(queue)
        if ticket.wake is not None:
            ticket.wake()
        return True

    def _next_queue(self) -> Queue:
        """The queue whose oldest request would end first; among equals the next one around from the last served."""
        count, robin = len(self.queues), self._robin
        return min(
            self._waiting,
            key=lambda queue: (
                queue.next_r + queue.waiting[0].total_work,
                (queue.index - robin - 1) % count,
            ),
        )

    def _left_queue(self, ticket: Ticket, queue: Queue) -> None:
        queue.waiting_work -= ticket.total_work
        if not queue.waiting:
            queue.waiting_work = 0.0
            del self._waiting[queue]
        self.requests_waiting -= 1
        self.seats_waiting -= ticket.seats
        ticket.tally.waiting -= 1
        ticket.tally.waiting_seats -= ticket.seats

    def _take_seats(self, ticket: Ticket, queue: Queue, now: float) -> None:
        work = ticket.work
        if work.final_seats > self.limit > 0:
            # What it keeps afterwards is made narrower and longer: the area stays.
            seconds = work.final_seats * work.additional_seconds / self.limit
            ticket.work = Work(work.initial_seats, self.limit, seconds)
            ticket.seats = ticket.work.seats
        self.in_queues[ticket] = None
        queue.executing += 1
        queue.seats_in_use += ticket.seats
        queue.next_r += ticket.total_work
        self._serve(ticket, now)

    def _serve(self, ticket: Ticket, now: float) -> None:
        ticket.is_executing, ticket.started = True, now
        self.dispatched += 1
        self.requests_executing += 1
        self.seats_in_use += ticket.seats
        tally = ticket.tally
        tally.dispatched += 1
        tally.executing += 1
        tally.executing_seats += ticket.seats
        self.demand.set(now, self.seats_in_use + self.seats_waiting)

    def _bound(self, queue: Queue) -> None:
        """A queue that could not use its part saves nothing up: no request begins before it came."""
        if queue.waiting and queue.next_r < queue.waiting[0].arrived_r:
            queue.next_r = queue.waiting[0].arrived_r

    def _lingered(self, ticket: Ticket) -> None:
        self._release(ticket, self._sync())
        self._dispatch_all()

    def _release(self, ticket: Ticket, now: float) -> None:
        self.seats_in_use -= ticket.seats
        ticket.tally.executing_seats -= ticket.seats
        queue = ticket.queue
        if queue is not None:
            queue.seats_in_use -= ticket.seats
            self._drop_surplus(queue)
        self.demand.set(now, self.seats_in_use + self.seats_waiting)

    def _drop_surplus(self, queue: Queue) -> None:
        """Forget an idle queue when there are more than wanted."""
        wanted = self.queuing.queues if self.queuing is not None else 0
        if len(self.queues) <= wanted or not queue.is_idle:
            return
        if queue.index >= len(self.queues) or self.queues[queue.index] is not queue:
            return
        del self.queues[queue.index]
        for index in range(queue.index, len(self.queues)):
            self.queues[index].index = index
        if self._robin >= queue.index:
            self._robin = max(0, self._robin - 1)
