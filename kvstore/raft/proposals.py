"""Proposals of this member that wait for their outcome.

Each has (member id, boot nonce, sequence number). It waits until a leader is known, is handed over once - to the own
log or to the leader, for one term - and is resolved when an entry that holds it is applied here. Whether it may be
handed over again is knowledge, not hope: a leader accepts a hand-over only in the term it was made for, so once an
entry of a later term is applied, entries of the earlier term can no more be committed. What was handed over for it
and is not applied by then surely never will be, and goes back to the queue. All else ends, at its deadline, as
OutcomeUnknown; what was never handed over ends as NoLeader.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from kvstore.raft.replicator import MemberId, NoLeader, NotLeader, OutcomeUnknown, TooManyRequests

Pack = tuple[int, int, list[int], list[bytes]]
"""(member id, boot nonce, sequence numbers, commands) as handed over and as found in entries."""

# The library's type byte of a regular command; it looks at nothing but this byte.
PACK_PREFIX = b"\x00"
# Commands waiting in one member, so that large values cannot fill the memory before the count limit is met.
MAX_BYTES_IN_FLIGHT = 256 << 20


def encode_entry(packs: Sequence[Pack]) -> bytes:
    """One log entry that holds all of `packs`."""
    return PACK_PREFIX + msgspec.msgpack.encode(packs)


def decode_entry(data: bytes) -> list[Pack]:
    """The packs of an entry; empty for an entry without commands, as at the start of a term."""
    if data[:1] != PACK_PREFIX:
        return []
    packs: list[Pack] = msgspec.msgpack.decode(memoryview(data)[1:])
    return packs


class _Pending:
    __slots__ = ("command", "deadline", "future", "handed_term", "only_in_term")

    def __init__(
        self, command: bytes, deadline: float, future: asyncio.Future[Any], only_in_term: int
    ) -> None:
        self.command = command
        self.deadline = deadline
        self.future = future
        self.only_in_term = only_in_term
        self.handed_term = 0


def _term_over(pending: _Pending) -> NotLeader:
    return NotLeader(f"term {pending.only_in_term}, which this was for, is over")


class Proposals:
    """The table of pending proposals; lives on the loop's thread."""

    def __init__(
        self, member_id: MemberId, nonce: int, max_in_flight: int, monotonic: Callable[[], float]
    ) -> None:
        self.nonce = nonce
        self._member_id = member_id
        self._max_in_flight = max_in_flight
        self._monotonic = monotonic
        self._pending: dict[int, _Pending] = {}
        self._waiting: deque[int] = deque()
        self._next = 0
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._pending)

    @property
    def has_waiting(self) -> bool:
        """Whether something may be handed over."""
        return bool(self._waiting)

    def submit(self, command: bytes, deadline: float, only_in_term: int = 0) -> asyncio.Future[Any]:
        """Queue `command` until `deadline`; who does not wait any more cancels the future. Raises TooManyRequests.

        With `only_in_term` it is handed over in that term or ends as NotLeader, and never a second time.
        """
        if len(self._pending) >= self._max_in_flight or (
            self._pending and self._bytes + len(command) > MAX_BYTES_IN_FLIGHT
        ):
            raise TooManyRequests(f"{len(self._pending)} proposals are in flight")
        self._next += 1
        number = self._next
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._pending[number] = _Pending(command, deadline, future, only_in_term)
        self._bytes += len(command)
        self._waiting.append(number)
        return future

    def take(self, max_bytes: int, term: int) -> Pack | None:
        """The next commands to hand over for `term`: at least one if any waits, then up to `max_bytes`."""
        numbers: list[int] = []
        commands: list[bytes] = []
        total = 0
        waiting = self._waiting
        while waiting:
            pending = self._pending.get(waiting[0])
            if pending is None or pending.handed_term:
                waiting.popleft()
                continue
            if pending.future.done():
                # Its caller has gone away.
                self._forget(waiting.popleft(), pending)
                continue
            if pending.only_in_term not in (0, term):
                self._fail(waiting.popleft(), _term_over(pending))
                continue
            total += len(pending.command) + 16
            if numbers and total > max_bytes:
                break
            pending.handed_term = term
            numbers.append(waiting.popleft())
            commands.append(pending.command)
        return (self._member_id, self.nonce, numbers, commands) if numbers else None

    def handed_for(self, term: int) -> list[int]:
        """Numbers of what was handed over for `term`, and whose outcome is not known."""
        return [number for number, one in self._pending.items() if one.handed_term == term]

    def take_back(self, numbers: Sequence[int], term: int) -> None:
        """What was handed over for `term` was surely not accepted: queue it again.

        A refusal may be late, and speaks only of its own hand-over, not of a newer one for another term.
        """
        for number in reversed(numbers):
            pending = self._pending.get(number)
            if pending is not None and pending.handed_term == term:
                self._queue_again(number, pending)

    def _queue_again(self, number: int, pending: _Pending) -> None:
        if pending.only_in_term:
            # What a leader decides by its clock may be wrong in a later term.
            self._fail(number, _term_over(pending))
            return
        pending.handed_term = 0
        self._waiting.appendleft(number)

    def resolve(self, pack: Pack, results: Sequence[Any]) -> None:
        """An entry with `pack` was applied; answer those who wait here."""
        if pack[0] != self._member_id or pack[1] != self.nonce:
            return
        for number, result in zip(pack[2], results, strict=True):
            pending = self._pending.pop(number, None)
            if pending is not None:
                self._bytes -= len(pending.command)
                if not pending.future.done():
                    pending.future.set_result(result)

    def settle(self, applied_term: int) -> None:
        """An entry of `applied_term` was applied: earlier terms can bring nothing any more."""
        lost = [
            (number, pending)
            for number, pending in self._pending.items()
            if 0 < pending.handed_term < applied_term
        ]
        for number, pending in reversed(lost):
            self._queue_again(number, pending)

    def lose_track(self) -> None:
        """State was replaced by a snapshot: what was handed over may be in it, its result is gone."""
        for number in [n for n, pending in self._pending.items() if pending.handed_term]:
            self._fail(number, OutcomeUnknown("a snapshot took the place of the log"))

    def expire(self) -> float | None:
        """Fail what is past its deadline; the next deadline, None if nothing waits."""
        soonest = self._expire_due(self._monotonic())
        # Without a leader nothing is taken from the queue: numbers that are answered already are removed here.
        while self._waiting and self._waiting[0] not in self._pending:
            self._waiting.popleft()
        return soonest

    def _expire_due(self, now: float) -> float | None:
        """A walk over all, once in a deadline: what comes and goes in between costs nothing."""
        soonest: float | None = None
        for number, pending in list(self._pending.items()):
            if pending.future.done():
                self._forget(number, pending)
            elif pending.deadline > now:
                if soonest is None or pending.deadline < soonest:
                    soonest = pending.deadline
            elif pending.handed_term:
                self._fail(number, OutcomeUnknown("the deadline passed"))
            else:
                self._fail(number, NoLeader("no leader took the proposal before its deadline"))
        return soonest

    def _forget(self, number: int, pending: _Pending) -> None:
        del self._pending[number]
        self._bytes -= len(pending.command)

    def fail_all(self, unsent: Exception) -> None:
        """The member stops: `unsent` for what was never handed over, OutcomeUnknown for the rest."""
        for number, pending in list(self._pending.items()):
            handed = pending.handed_term
            self._fail(number, OutcomeUnknown("this member is stopping") if handed else unsent)

    def _fail(self, number: int, error: Exception) -> None:
        pending = self._pending.pop(number)
        self._bytes -= len(pending.command)
        if not pending.future.done():
            pending.future.set_exception(error)
