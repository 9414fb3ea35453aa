"""Changes of the members: asked for anywhere, made by the leader one at a time, in force when they stand in the log.

The leader begins one only when the last is committed and an entry of its own term is (the dissertation's rule of 4.1 as
its author mended it in 2015: without that entry, two leaders could each change another's configuration and miss each
other). It never leads without being a voter: asked to remove itself it hands the lead over first, and its successor
removes it. So whoever counts, counts itself.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import structlog

from kvstore.base.clock import Clock
from kvstore.raft.configuration import (
    Change,
    ChangeRefused,
    Configuration,
    Entered,
    Reason,
    Seat,
    encode_entered,
)
from kvstore.raft.pysync.configurations import Configurations
from kvstore.raft.pysync.leader_contact import LeaderContact
from kvstore.raft.pysync.messages import ChangeReply, ChangeRequest, Removed
from kvstore.raft.pysync.overrides import GuardedSyncObj
from kvstore.raft.pysync.ports import Shell
from kvstore.raft.pysync.state import node_name
from kvstore.raft.pysync.transfer import Transfer
from kvstore.raft.replicator import MemberId, NoLeader, OutcomeUnknown, RaftSettings

log = structlog.get_logger(__name__)

READY_SHARE = 0.9
"""A learner may be promoted that holds this share of the leader's log, as in etcd."""
MAX_WAITING = 64
"""Changes of other members that wait here at once; more are refused, to be asked for again."""


@dataclass(slots=True)
class _Pending:
    change: Change
    deadline: float
    future: asyncio.Future[Configuration]
    is_handed_over: bool = False


@dataclass(frozen=True, slots=True)
class _Request:
    """`member_id` asks, under `number` of its boot `nonce`."""

    member_id: MemberId
    nonce: int
    number: int
    change: Change


class Membership:
    """Of one member. `turn` does what can be done."""

    is_removed: bool = False
    """Whether this member is known to be none any more; it must stop."""

    def __init__(
        self,
        settings: RaftSettings,
        configurations: Configurations,
        sync: GuardedSyncObj,
        shell: Shell,
        clock: Clock,
        contact: LeaderContact,
        transfer: Transfer,
        nonce: int,
    ) -> None:
        self._settings, self._configurations, self._sync = settings, configurations, sync
        self._shell, self._clock, self._contact = shell, clock, contact
        self._transfer, self._nonce, self._number = transfer, nonce, 0
        self._own = settings.member_id
        self._pending: dict[int, _Pending] = {}
        self._requests: list[_Request] = []
        self._must_force = settings.is_forced
        self._transfer_until = float("inf")
        self._not_before = 0.0
        self.applied = configurations.at(sync.last_applied())
        """That of the state: the last one that is known to be committed."""
        self.callbacks: list[Callable[[Configuration], None]] = []
        """Called when another is applied."""
        configurations.on_change = self._in_force
        self._has_joining = bool(self.latest.joining)
        self.is_waiting = True
        """Whether `turn` or `expire` may have something to do: asked some times a turn, and nearly always not."""
        self.is_removed = self._own in self.applied.removed and not settings.is_forced

    # For callers

    @property
    def latest(self) -> Configuration:
        """The one in force, committed or not."""
        return self._configurations.latest

    def submit(self, change: Change, deadline: float) -> asyncio.Future[Configuration]:
        """Make a change; the configuration after it. Fails with ChangeRefused, NoLeader or OutcomeUnknown."""
        self._number += 1
        future: asyncio.Future[Configuration] = asyncio.get_running_loop().create_future()
        self._pending[self._number] = _Pending(change, deadline, future)
        self.is_waiting = True
        self._shell.wake()
        return future

    def turn(self) -> None:
        """Make the next change, if this member leads and may; else ask the leader."""
        self._drive()
        self.is_waiting = bool(
            self._has_joining or self._requests or self._pending or self._must_force
        )

    def _drive(self) -> None:
        if not self._sync.is_leader():
            self._ask()
            return
        now = self._clock.monotonic()
        if now >= self._transfer_until:
            # Whoever was to lead has not taken over.
            self._transfer_until = float("inf")
            self._not_before = now + 2 * self._settings.election_timeout_seconds
            self._transfer.end()
        for number, pending in self._pending.items():
            if not pending.is_handed_over:
                pending.is_handed_over = True
                self._requests.append(_Request(self._own, self._nonce, number, pending.change))
        while self._requests and self._may_change and now >= self._not_before:
            request = self._requests[0]
            if request.change.kind == "remove" and request.change.member_id == self._own:
                self._hand_lead_over(now)
                return
            del self._requests[0]
            self._make(request)
        if self._must_force and self._may_change:
            self._force()
        if self._has_joining and self._may_change:
            self._count_who_is_ready()

    @property
    def _may_change(self) -> bool:
        return (
            self._transfer.target is None
            and self._sync.has_committed_own_term()
            and self._configurations.latest_index <= self._sync.commit_index()
        )

    def _make(self, request: _Request) -> None:
        try:
            configuration = self.latest.changed(request.change)
            if request.change.kind == "promote":
                self._check_ready(request.change.member_id)
        except ChangeRefused as refusal:
            self._answer(request, refusal.reason)
            return
        self._append(Entered(configuration, request.member_id, request.nonce, request.number))

    def _append(self, entered: Entered) -> None:
        self._sync.append(encode_entered(entered))
        self._shell.wake()

    def _check_ready(self, member_id: MemberId) -> None:
        if not self._is_ready(member_id):
            raise ChangeRefused("learner-not-ready")

    def _is_ready(self, member_id: MemberId) -> bool:
        progress = self._sync.peers[node_name(member_id)]
        needed = READY_SHARE * self._sync.commit_index()
        return progress.connected and progress.match_index >= max(needed, 1)

    def _count_who_is_ready(self) -> None:
        """One at a time, as any change."""
        for member_id in self.latest.joining:
            if self._is_ready(member_id):
                configuration = self.latest.changed(Change("count", member_id))
                self._append(Entered(configuration, self._own, 0, 0))
                return

    def _force(self) -> None:
        """Write down that this member goes on alone, so that nobody of before is counted or let in again."""
        self._must_force = False
        self._append(Entered(self.latest, self._own, 0, 0))

    def _hand_lead_over(self, now: float) -> None:
        """Before this member is removed another leads, which holds most; with no other there is nothing to do."""
        others = [one for one in self._sync.voters if one.connected]
        if not others:
            if not self._sync.voters:
                self._answer(self._requests.pop(0), "last-voter")
            return
        target = max(others, key=lambda one: (one.match_index, one.name))
        self._transfer_until = now + 2 * self._settings.election_timeout_seconds
        self._transfer.begin(MemberId(int(target.name, 16)))

    def next_deadline(self) -> float:
        """When `turn` must be called at the latest."""
        deadline = self._transfer_until
        if self._requests and self._not_before > self._clock.monotonic():
            deadline = min(deadline, self._not_before)
        return min([deadline, *(one.deadline for one in self._pending.values())])

    def expire(self) -> None:
        """Give up what waited too long."""
        now = self._clock.monotonic()
        for number in [one for one, pending in self._pending.items() if pending.deadline <= now]:
            pending = self._pending.pop(number)
            self._requests = [one for one in self._requests if not self._is(one, number)]
            is_known = not pending.is_handed_over and self._sync.leader_name() is None
            self._fail(pending, NoLeader("no leader") if is_known else OutcomeUnknown("too late"))

    def _is(self, request: _Request, number: int) -> bool:
        return (request.member_id, request.nonce, request.number) == (
            self._own,
            self._nonce,
            number,
        )

    def fail_all(self, error: Exception) -> None:
        """The member stops."""
        for pending in self._pending.values():
            self._fail(pending, error)
        self._pending.clear()

    def _fail(self, pending: _Pending, error: Exception) -> None:
        if not pending.future.done():
            pending.future.set_exception(error)

    # Between members

    def _ask(self) -> None:
        waiting = [(n, one) for n, one in self._pending.items() if not one.is_handed_over]
        leader = self._contact.find() if waiting else None
        if leader is None:
            return
        for number, pending in waiting:
            request = ChangeRequest(self._sync.term(), self._nonce, number, pending.change)
            if not self._contact.send(leader, request):
                return
            pending.is_handed_over = True

    def on_request(self, member: MemberId, message: ChangeRequest) -> None:
        """Another member asks for a change."""
        request = _Request(member, message.nonce, message.number, message.change)
        if (
            not self._sync.is_leader()
            or message.term != self._sync.term()
            or len(self._requests) >= MAX_WAITING
        ):
            self._answer(request, "")
        elif request not in self._requests:
            self._requests.append(request)
            self.is_waiting = True

    def _answer(self, request: _Request, reason: str) -> None:
        reply = ChangeReply(request.nonce, request.number, reason)
        if request.member_id == self._own:
            self.on_reply(self._own, reply)
        else:
            self._shell.send(request.member_id, reply)

    def on_reply(self, member: MemberId, message: ChangeReply) -> None:
        """A change of this member was not made."""
        pending = self._pending.get(message.number)
        if pending is None or message.nonce != self._nonce:
            return
        if message.reason:
            del self._pending[message.number]
            self._fail(pending, ChangeRefused(cast("Reason", message.reason)))
        else:
            pending.is_handed_over = False
            self._contact.put_off()

    def leader_changed(self) -> None:
        """What waited here and is not in the log may be asked for again."""
        self._transfer_until = float("inf")
        if not self._sync.is_leader():
            requests, self._requests = self._requests, []
            for request in requests:
                self._answer(request, "")

    # The log

    def _in_force(self, configuration: Configuration) -> None:
        self._has_joining = bool(configuration.joining)
        self.is_waiting = True
        self._sync.configure(configuration)
        self._shell.members_changed(configuration)

    def entry_applied(self, index: int, entered: Entered) -> None:
        """Entry `index` is committed."""
        self._configurations.compacted(index)
        self._take(entered.configuration)
        if (entered.member_id, entered.nonce) == (self._own, self._nonce):
            pending = self._pending.pop(entered.number, None)
            if pending is not None and not pending.future.done():
                pending.future.set_result(entered.configuration)

    def state_replaced(self, index: int, configuration: Configuration) -> None:
        """A snapshot of the state after `index` was installed, which had `configuration`."""
        self._configurations.rebase(index, configuration)
        self._take(configuration)

    def _take(self, configuration: Configuration) -> None:
        if configuration == self.applied:
            return
        self.applied = configuration
        log.info(
            "members changed",
            voters=[f"{one:x}" for one in configuration.voters],
            learners=[f"{one:x}" for one in configuration.learners],
        )
        for progress in self._sync.connected_peers():
            self.meet(MemberId(int(progress.name, 16)))
        if self._own in configuration.removed and not self._settings.is_forced:
            self.is_removed = True
        for callback in self.callbacks:
            callback(configuration)

    def meet(self, member: MemberId) -> None:
        """Tell a connected member if it was removed: it may never hear of it otherwise."""
        if member in self.applied.removed:
            self._shell.send(member, Removed())

    def on_removed(self, member: MemberId, message: Removed) -> None:
        """Another member says that this one was removed."""
        # Ids are never given again, so that this can only be meant for this member, and for good.
        self.is_removed = True


def first_configuration(settings: RaftSettings) -> Configuration:
    """The members of the first start; nobody for one that joins a cluster."""
    voters = settings.peers if settings.voters is None else settings.voters
    return Configuration(
        tuple(Seat(one, settings.peer_urls.get(one, ())) for one in sorted(voters))
    )


def forced(configuration: Configuration, member_id: MemberId) -> Configuration:
    """Only `member_id` is left."""
    seat = configuration.seat(member_id) or Seat(member_id)
    gone = {one.id for one in configuration if one.id != member_id}
    return Configuration(
        (Seat(seat.id, seat.peer_urls),), tuple(sorted({*configuration.removed, *gone}))
    )
