"""Linearizable reads without a log entry: an index that covers all that was acknowledged before the question.

The leader, once it has committed an entry of its own term, notes its commit index and lets one round of messages prove
that no other leader can have committed more: a majority answers messages sent after the question. All reads that
gather share a round. Other members ask the leader, one question for all that wait. A read is answered when the
index is also applied here. Source: Raft dissertation, section 6.4.
"""

import asyncio
import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

from kvstore.raft.replicator import MemberId, NoLeader, OutcomeUnknown


class _Waiter:
    __slots__ = ("deadline", "future")

    def __init__(self, deadline: float, future: asyncio.Future[int]) -> None:
        self.deadline = deadline
        self.future = future


@dataclass(slots=True)
class _Round:
    """`needed` is the first message number whose answer proves leadership after the question."""

    index: int
    needed: int
    local: list[_Waiter]
    remote: list[tuple[MemberId, int]]
    answered: set[MemberId] = field(default_factory=set)


class ReadIndex:
    """The reads of one member, and on the leader those that others ask for."""

    def __init__(self, monotonic: Callable[[], float], first_question: int = 1) -> None:
        self._monotonic = monotonic
        self._new: list[_Waiter] = []
        self._new_remote: list[tuple[MemberId, int]] = []
        self._rounds: list[_Round] = []
        self._asked: dict[int, list[_Waiter]] = {}
        self._ids = itertools.count(first_question)
        self._unapplied: list[tuple[int, int, _Waiter]] = []
        self._order = itertools.count()

    def submit(self, deadline: float) -> asyncio.Future[int]:
        """Ask for an index, to be there before `deadline`."""
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._new.append(_Waiter(deadline, future))
        return future

    def submit_remote(self, member: MemberId, question: int) -> None:
        """Another member asks this leader."""
        self._new_remote.append((member, question))

    @property
    def has_new(self) -> bool:
        """Whether someone waits for a round or a question to begin."""
        return bool(self._new or self._new_remote)

    @property
    def has_rounds(self) -> bool:
        """Leader: whether a round waits for answers."""
        return bool(self._rounds)

    def open_round(self, commit_index: int, needed: int) -> None:
        """Leader: begin a round for all that gathered; messages from `needed` on answer it."""
        self._rounds.append(_Round(commit_index, needed, self._new, self._new_remote))
        self._new, self._new_remote = [], []

    def answer(self, member: MemberId, number: int) -> None:
        """Leader: `member` answered message `number` in this term."""
        for round_ in self._rounds:
            if number >= round_.needed:
                round_.answered.add(member)

    def close_rounds(self, majority: int, applied: int) -> list[tuple[MemberId, int, int]]:
        """Leader: end proven rounds; (member, question, index) to send."""
        replies: list[tuple[MemberId, int, int]] = []
        # A later proof covers all earlier rounds, so they end in order.
        while self._rounds and len(self._rounds[0].answered) + 1 >= majority:
            round_ = self._rounds.pop(0)
            replies.extend((member, question, round_.index) for member, question in round_.remote)
            self._prove(round_.local, round_.index, applied)
        return replies

    def ask(self) -> int:
        """Not leader: a new question for all that gathered; send it to the leader."""
        question = next(self._ids)
        self._asked[question] = self._new
        self._new = []
        return question

    def told(self, question: int, index: int, applied: int) -> None:
        """The leader answered `question`."""
        self._prove(self._asked.pop(question, []), index, applied)

    def start_over(self) -> list[tuple[MemberId, int]]:
        """Leader or term changed: ask again. The questions of others to refuse."""
        for round_ in self._rounds:
            self._new.extend(round_.local)
        for waiters in self._asked.values():
            self._new.extend(waiters)
        refused = [pair for round_ in self._rounds for pair in round_.remote] + self._new_remote
        self._rounds, self._new_remote = [], []
        self._asked = {}
        return refused

    def ask_again(self, question: int) -> None:
        """The leader refused `question`."""
        self._new.extend(self._asked.pop(question, []))

    def applied(self, index: int) -> None:
        """Answer the reads that waited for `index` to be applied."""
        while self._unapplied and self._unapplied[0][0] <= index:
            needed, _, waiter = heapq.heappop(self._unapplied)
            if not waiter.future.done():
                waiter.future.set_result(needed)

    def expire(self, has_leader: bool) -> float | None:
        """Fail what is past its deadline; the next deadline."""
        now = self._monotonic()
        soonest: float | None = None
        for waiter in self._waiting():
            if waiter.deadline > now:
                soonest = waiter.deadline if soonest is None else min(soonest, waiter.deadline)
                continue
            error = OutcomeUnknown("the deadline passed") if has_leader else NoLeader("no leader")
            waiter.future.set_exception(error)
        self._new = [waiter for waiter in self._new if not waiter.future.done()]
        # A leader that answers nothing must not make the questions pile up.
        self._asked = {
            question: waiters
            for question, waiters in self._asked.items()
            if not all(waiter.future.done() for waiter in waiters)
        }
        return soonest

    def _waiting(self) -> list[_Waiter]:
        """All whose future is open, in the order of their questions where it matters: a simulation repeats."""
        everywhere = itertools.chain(
            *(round_.local for round_ in self._rounds),
            *self._asked.values(),
            (waiter for _, _, waiter in self._unapplied),
            self._new,
        )
        return [waiter for waiter in everywhere if not waiter.future.done()]

    def fail_all(self, error: Exception) -> None:
        """The member stops."""
        for waiter in self._waiting():
            waiter.future.set_exception(error)
        self._new = []

    def _prove(self, waiters: list[_Waiter], index: int, applied: int) -> None:
        for waiter in waiters:
            if index > applied:
                heapq.heappush(self._unapplied, (index, next(self._order), waiter))
            elif not waiter.future.done():
                waiter.future.set_result(index)
