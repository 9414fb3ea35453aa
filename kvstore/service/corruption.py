"""Finds members whose state went apart from the others', and raises CORRUPT for them.

Members that applied the same log hold the same state; a bug, a damaged memory or a disk that lies may part them, and
nobody would notice before a client reads the wrong value. So hashes are compared through the log: a member asks by an
entry that carries a revision and the hash it has for it (`DigestClaim`), all others answer by such an entry, and the
one that asked compares. Who is not with the majority gets the alarm; without a majority for one hash all that do not
agree with most do. No member needs another connection for it, and each has the revision when it applies the question.

It is asked by the leader every `interval_seconds` and within `compacted_seconds` after a compaction, and by each member
that starts with data. Source of when and what: etcd's server/etcdserver/corrupt.go (initial check, periodic check,
compact hash check); etcd asks over HTTP between members and has all of it off by default.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Iterable
from typing import Any

import msgspec

from kvstore.base.clock import Clock
from kvstore.base.log import get_logger
from kvstore.machine.commands import Alarm, DigestClaim
from kvstore.machine.outcome import DigestClaimed
from kvstore.mvcc.errors import FutureRevision, StoreError
from kvstore.raft.replicator import ReplicationError
from kvstore.service.errors import ServiceError
from kvstore.service.guard import SYSTEM
from kvstore.service.ports import MachineView
from kvstore.service.proposer import Proposer

log = get_logger("kvstore.service.corruption")

_LOOK_SECONDS = 1.0
_ANSWER_SECONDS = 5.0
"""How long the others may take to answer; who is down does not."""

_MAJORITY_SECONDS = 30.0
"""How long while hashes differ, no majority has the same, and somebody's answer is missing: it tells who is right."""

_POLL_SECONDS = 0.02
_PROPOSE_SECONDS = 5.0
_MOST_QUESTIONS = 8
_SETTLED_AT_ONCE = 4096
_ACTIVATE, _CORRUPT = 1, 2
_LACKS_REVISION = -1
"""In place of a hash."""

_Failed = (ReplicationError, StoreError, ServiceError)


class CorruptionSettings(msgspec.Struct, frozen=True):
    """When hashes are compared. 0 seconds = not for that reason."""

    interval_seconds: float = 300.0
    compacted_seconds: float = 60.0
    must_pass_at_start: bool = False
    """A member that starts is ready only after the comparison, and ends if it is the one that differs."""


class StateDiffers(Exception):
    """This member's state is not that of the majority, and it was told not to serve it."""


async def digest_of(machine: MachineView, revision: int) -> tuple[int, int]:
    """(hash of the state at `revision`, compacted revision); 0 = newest. Works in slices. May raise StoreError."""
    is_owed = True
    while is_owed:
        is_owed = machine.reclaim(_SETTLED_AT_ONCE) or machine.settle(_SETTLED_AT_ONCE)
        await asyncio.sleep(0)
    return machine.digest(revision)


class CorruptionWatch:
    """Asks, answers and compares for one member; `run` it once the member is there."""

    def __init__(
        self,
        machine: MachineView,
        proposer: Proposer,
        clock: Clock,
        member_id: int,
        member_count: int,
        settings: CorruptionSettings,
    ) -> None:
        self._machine, self._proposer, self._clock = machine, proposer, clock
        self._own, self._settings = member_id, settings
        self.member_count = member_count
        """How many there are now; alone there is nothing to compare with."""
        self._is_leader = False
        self._is_live = False
        self._must_check = False
        self._checked_at = clock.monotonic()
        self._checked_compact = 0
        self._questions: deque[DigestClaim] = deque(maxlen=_MOST_QUESTIONS)
        self._asked = asyncio.Event()
        self._answers: dict[int, DigestClaim] = {}
        self._question: DigestClaim | None = None

    async def run(self) -> None:
        """Answer, and ask when it is time, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._answer_all(), name="answer")
            group.create_task(self._ask_by_time(), name="ask")

    def on_leadership(self, is_leader: bool) -> None:
        """The leader asks; a new one begins its interval anew."""
        self._is_leader = is_leader
        self._checked_at = self._clock.monotonic()
        self._checked_compact = self._machine.compact_revision

    def on_applied(self, outcomes: Iterable[Any]) -> None:
        """Take questions and answers out of applied entries."""
        for outcome in outcomes:
            for effect in outcome.effects:
                if isinstance(effect, DigestClaimed):
                    self._claimed(effect.claim)

    async def at_start(self) -> None:
        """This member has all that was committed before it started. Raises StateDiffers if it was to look, and differs.

        Questions from before were answered in an earlier life, or are nobody's any more.
        """
        self._is_live = True
        if self.member_count < 2 or self._machine.revision <= 1:
            return
        if not self._settings.must_pass_at_start:
            self._must_check = True
        elif self._own in await self.check():
            raise StateDiffers(
                "--experimental-initial-corrupt-check: the state of this member differs from that of the majority; "
                "move its data directory away and start it again"
            )

    async def check(self) -> tuple[int, ...]:
        """Compare now; the members that differ, for which the alarm is raised. None if nobody can be asked."""
        self._checked_at = self._clock.monotonic()
        self._checked_compact = self._machine.compact_revision
        if self.member_count < 2:
            return ()
        revision = self._machine.revision
        try:
            digest, compact_revision = await digest_of(self._machine, revision)
            question = DigestClaim(self._own, self._own, revision, compact_revision, digest)
            self._question, self._answers = question, {self._own: question}
            await self._proposer.submit(question, SYSTEM, timeout_seconds=_PROPOSE_SECONDS)
        except _Failed as error:
            log.debug("hashes were not compared", error=repr(error))
            return ()
        await self._wait_for_answers()
        found = differing(self._answers.values(), self.member_count)
        for member_id in found:
            await self._raise_alarm(member_id, self._answers[member_id])
        return found

    async def _wait_for_answers(self) -> None:
        began = self._clock.monotonic()
        while len(self._answers) < self.member_count:
            age = self._clock.monotonic() - began
            if age >= _MAJORITY_SECONDS or (age >= _ANSWER_SECONDS and not self._is_undecided()):
                return
            await self._clock.sleep(_POLL_SECONDS)

    def _is_undecided(self) -> bool:
        supporters = _supporters(_comparable(self._answers.values()))
        return len(supporters) > 1 and max(supporters.values()) <= self.member_count // 2

    # What others say

    def _claimed(self, claim: DigestClaim) -> None:
        if claim.asker == self._own:
            question = self._question
            if question is not None and claim.revision == question.revision:
                self._answers[claim.author] = claim
        elif claim.author == claim.asker and self._is_live:
            self._questions.append(claim)
            self._asked.set()

    async def _answer_all(self) -> None:
        while True:
            await self._asked.wait()
            self._asked.clear()
            while self._questions:
                await self._answer(self._questions.popleft())

    async def _answer(self, question: DigestClaim) -> None:
        try:
            try:
                digest, compact_revision = await digest_of(self._machine, question.revision)
            except FutureRevision:
                # Whoever asked had it by an entry that was applied here too.
                digest, compact_revision = _LACKS_REVISION, self._machine.compact_revision
            answer = DigestClaim(
                question.asker, self._own, question.revision, compact_revision, digest
            )
            await self._proposer.submit(answer, SYSTEM, timeout_seconds=_PROPOSE_SECONDS)
        except _Failed as error:
            # Compacted meanwhile, or nobody leads: the next question comes.
            log.debug("a hash was not told", error=repr(error))

    # When to ask

    async def _ask_by_time(self) -> None:
        while True:
            await self._clock.sleep(_LOOK_SECONDS)
            if self._must_check or (self._is_leader and self._is_live and self._is_due()):
                self._must_check = False
                await self.check()

    def _is_due(self) -> bool:
        age = self._clock.monotonic() - self._checked_at
        settings = self._settings
        if settings.interval_seconds and age >= settings.interval_seconds:
            return True
        return (
            settings.compacted_seconds > 0
            and age >= settings.compacted_seconds
            and self._machine.compact_revision != self._checked_compact
        )

    async def _raise_alarm(self, member_id: int, claim: DigestClaim) -> None:
        if self._question is None or (member_id, _CORRUPT) in self._machine.alarms:
            return
        log.error(
            "found data inconsistency with peers: the CORRUPT alarm is raised",
            member=f"{member_id:x}",
            revision=claim.revision,
            compact_revision=claim.compact_revision,
            hash=claim.digest,
            hashes={f"{one:x}": answer.digest for one, answer in sorted(self._answers.items())},
        )
        try:
            await self._proposer.submit(
                Alarm(_ACTIVATE, member_id, _CORRUPT), SYSTEM, timeout_seconds=_PROPOSE_SECONDS
            )
        except _Failed as error:
            log.warning("the CORRUPT alarm could not be raised yet", error=repr(error))
            self._must_check = True


def differing(answers: Iterable[DigestClaim], member_count: int) -> tuple[int, ...]:
    """The members that are not with the majority, by id.

    Only answers with the compacted revision of most can be compared. Without a majority for one hash, those with the
    most common one are believed; if that is not one either, nobody is.
    """
    comparable = _comparable(answers)
    supporters = _supporters(comparable)
    if len(supporters) < 2:
        return ()
    most = max(supporters.values())
    believed = [digest for digest, count in supporters.items() if count == most]
    right = believed[0] if len(believed) == 1 or most > member_count // 2 else None
    return tuple(sorted(one.author for one in comparable if one.digest != right))


def _comparable(answers: Iterable[DigestClaim]) -> list[DigestClaim]:
    by_compact: dict[int, list[DigestClaim]] = {}
    for one in answers:
        by_compact.setdefault(one.compact_revision, []).append(one)
    return max(by_compact.values(), key=len, default=[])


def _supporters(answers: Iterable[DigestClaim]) -> Counter[int]:
    """How many have each hash."""
    return Counter(one.digest for one in answers)
