"""The leader's clock over leases: when one is due, it proposes the revocation.

Deadlines live only here, in monotonic time of the leading member, and are never replicated; that a lease ended is true
only once `LeaseRevoke` went through the log. A new leader gives every lease its whole TTL again (or what the last
checkpoint left of it), so a lease can live longer than its TTL after a fail-over, and never shorter. What this clock
proposes is worth something only in the term it leads: a deposed leader's revocation that got to the log later would end
a lease which the next leader has renewed (etcd's #15247).
"""

import heapq
from collections.abc import Sequence

from kvstore.base.clock import Clock
from kvstore.base.log import get_logger
from kvstore.machine.commands import LeaseCheckpoint, LeaseRevoke
from kvstore.machine.outcome import LeaseGranted, LeaseRevoked, Outcome
from kvstore.mvcc.errors import LeaseNotFound, StoreError
from kvstore.raft.replicator import NotLeader, ReplicationError
from kvstore.service.errors import ServiceError
from kvstore.service.guard import SYSTEM
from kvstore.service.ports import MachineView
from kvstore.service.proposer import Proposer

_TICK_SECONDS = 0.25
"""How often due leases are looked for; TTLs are whole seconds, etcd looks every 0.5 s."""

_MAX_REVOKES_A_TICK = 250
"""So that a mass expiry does not fill the log's queue; etcd revokes 1000 a second."""

_CHECKPOINT_SECONDS = 300.0
"""etcd's interval: shorter leases lose less than this at a fail-over and are not worth an entry."""

_MAX_CHECKPOINTS = 1000
"""In one entry, which so is far below any sensible --max-request-bytes."""

log = get_logger("kvstore.service.expiry")


class LeaseClock:
    """Deadlines of all leases while this member leads."""

    def __init__(self, machine: MachineView, proposer: Proposer, clock: Clock) -> None:
        self._machine = machine
        self._proposer = proposer
        self._clock = clock
        self._deadlines: dict[int, float] = {}
        # One entry a lease, however often it is renewed: a renewal only moves its deadline, and the entry follows when
        # its time has come.
        self._heap: list[tuple[float, int]] = []
        self._queued: dict[int, float] = {}
        self._checkpointed: set[int] = set()
        self._next_checkpoint = 0.0
        self._term = 0
        self.is_primary = False
        self.expired_count = 0

    def on_leadership(self, is_leader: bool) -> None:
        """Start with whole TTLs, or forget all."""
        self._deadlines.clear()
        self._heap.clear()
        self._queued.clear()
        self._checkpointed.clear()
        self.is_primary = is_leader
        if not is_leader:
            return
        self._term = self._proposer.term()
        self._next_checkpoint = self._clock.monotonic() + _CHECKPOINT_SECONDS
        for lease_id, lease in self._machine.lessor.leases.items():
            remaining = getattr(lease, "remaining", 0) or 0
            if remaining > 0:
                self._checkpointed.add(lease_id)
            self._set(lease_id, remaining if 0 < remaining < lease.ttl else lease.ttl)

    def on_applied(self, outcomes: Sequence[Outcome]) -> None:
        """Follow grants and revocations. Never raises."""
        if not self.is_primary:
            return
        for outcome in outcomes:
            for effect in outcome.effects:
                if isinstance(effect, LeaseGranted):
                    self._set(effect.id, effect.ttl)
                elif isinstance(effect, LeaseRevoked):
                    self._deadlines.pop(effect.id, None)
                    self._checkpointed.discard(effect.id)

    async def renew(self, lease_id: int) -> int:
        """Start the lease's TTL anew; the TTL. Raises LeaseNotFound, also for one that is due, NotLeader."""
        deadline = self._deadlines.get(lease_id)
        lease = self._machine.lessor.leases.get(lease_id)
        if lease is None or deadline is None or deadline <= self._clock.monotonic():
            raise LeaseNotFound
        if lease_id in self._checkpointed:
            # Otherwise the next leader would start from what was left before this renewal.
            self._checkpointed.discard(lease_id)
            await self._proposer.submit(
                LeaseCheckpoint(((lease_id, 0),)), SYSTEM, only_in_term=self._term
            )
            # Meanwhile it may have been revoked, or another member may have come to lead.
            if not self.is_primary:
                raise NotLeader
            if lease_id not in self._deadlines:
                raise LeaseNotFound
        self._set(lease_id, lease.ttl)
        return lease.ttl

    def remaining_seconds(self, lease_id: int) -> float | None:
        """Until the lease is due; None = no such lease."""
        deadline = self._deadlines.get(lease_id)
        return None if deadline is None else max(0.0, deadline - self._clock.monotonic())

    async def run(self) -> None:
        """Revoke what is due, until cancelled."""
        while True:
            await self._clock.sleep(_TICK_SECONDS)
            if self.is_primary:
                await self._revoke_due()
                await self._checkpoint()

    def _set(self, lease_id: int, seconds: float) -> None:
        deadline = self._clock.monotonic() + seconds
        self._deadlines[lease_id] = deadline
        self._queue(lease_id, deadline)

    def _queue(self, lease_id: int, deadline: float) -> None:
        queued = self._queued.get(lease_id)
        if queued is None or deadline < queued:
            self._queued[lease_id] = deadline
            heapq.heappush(self._heap, (deadline, lease_id))

    async def _revoke_due(self) -> None:
        now = self._clock.monotonic()
        due: list[int] = []
        while self._heap and self._heap[0][0] <= now and len(due) < _MAX_REVOKES_A_TICK:
            queued, lease_id = heapq.heappop(self._heap)
            if self._queued.get(lease_id) != queued:
                continue
            del self._queued[lease_id]
            deadline = self._deadlines.get(lease_id)
            if deadline is not None and deadline > now:
                self._queue(lease_id, deadline)
            elif deadline is not None:
                due.append(lease_id)
        for position, lease_id in enumerate(due):
            try:
                await self._proposer.submit(LeaseRevoke(lease_id), SYSTEM, only_in_term=self._term)
                self.expired_count += 1
                log.debug("lease expired", lease_id=lease_id)
            except StoreError:
                self._deadlines.pop(lease_id, None)
            except ReplicationError as error:
                log.warning("lease is due but could not be revoked yet", error=repr(error))
                self._push_again(due[position:])
                return

    def _push_again(self, lease_ids: list[int]) -> None:
        for lease_id in lease_ids:
            deadline = self._deadlines.get(lease_id)
            if deadline is not None:
                self._queue(lease_id, deadline)

    async def _checkpoint(self) -> None:
        now = self._clock.monotonic()
        if now < self._next_checkpoint:
            return
        self._next_checkpoint = now + _CHECKPOINT_SECONDS
        leases = self._machine.lessor.leases
        remaining = [
            (lease_id, max(1, int(deadline - now)))
            for lease_id, deadline in sorted(self._deadlines.items())
            if (lease := leases.get(lease_id)) is not None and lease.ttl > _CHECKPOINT_SECONDS
        ]
        for start in range(0, len(remaining), _MAX_CHECKPOINTS):
            part = tuple(remaining[start : start + _MAX_CHECKPOINTS])
            try:
                await self._proposer.submit(LeaseCheckpoint(part), SYSTEM, only_in_term=self._term)
                self._checkpointed.update(lease_id for lease_id, _ in part)
            except (ReplicationError, StoreError, ServiceError) as error:
                log.warning("lease checkpoint failed", error=repr(error))
                return
