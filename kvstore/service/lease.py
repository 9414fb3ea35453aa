"""Leases: grant, revoke, keep alive, time to live, list.

Deadlines are the leader's. So on any other member keep-alive and time-to-live are handed to the leader through a
`LeasePeer`, and tried again within the deadline while leadership moves. A leader confirms that it still leads before it
says a lease was kept: a deposed one must not promise what the new one will not keep.
"""

import random
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

import msgspec

from kvstore.base.clock import Clock
from kvstore.machine.commands import LeaseGrant, LeaseRevoke
from kvstore.machine.outcome import LeaseGrantReply
from kvstore.mvcc.errors import LeaseNotFound, LeaseTTLTooLarge
from kvstore.raft.replicator import MemberId, NoLeader, NotLeader, OutcomeUnknown, Replicator
from kvstore.service.expiry import LeaseClock
from kvstore.service.guard import Caller, Guard
from kvstore.service.kv import Quota
from kvstore.service.ports import MachineView
from kvstore.service.proposer import Proposer

MAX_TTL_SECONDS = 9_000_000_000
"""etcd's bound."""

_RETRY_SECONDS = 0.05

Answer = TypeVar("Answer")


class TimeToLive(msgspec.Struct, frozen=True):
    """`remaining` -1 = no such lease. `keys` only if asked for."""

    remaining: int
    granted: int
    keys: tuple[bytes, ...] = ()


class LeasePeer(Protocol):
    """Calls to the leading member. Both raise NoLeader if it cannot be reached, NotLeader if it does not lead.

    `proof` says for whom (`Guard.vouch`); AuthError is what the leader says to that.
    """

    async def keep_alive(
        self, leader: MemberId, lease_id: int, timeout_seconds: float, proof: str = ""
    ) -> int:
        """The renewed TTL. Raises LeaseNotFound."""
        ...

    async def time_to_live(
        self,
        leader: MemberId,
        lease_id: int,
        with_keys: bool,
        timeout_seconds: float,
        proof: str = "",
    ) -> TimeToLive:
        """As `LeaseService.time_to_live`."""
        ...


class LeaseService:
    """The lease use cases."""

    def __init__(
        self,
        machine: MachineView,
        replicator: Replicator,
        proposer: Proposer,
        lease_clock: LeaseClock,
        peer: LeasePeer,
        guard: Guard,
        *,
        clock: Clock,
        rng: random.Random,
        min_ttl_seconds: int,
        quota: Quota | None = None,
    ) -> None:
        self._machine = machine
        self._replicator = replicator
        self._proposer = proposer
        self._lease_clock = lease_clock
        self._peer = peer
        self._guard = guard
        self._clock = clock
        self._rng = rng
        self._min_ttl = min_ttl_seconds
        self._quota = quota

    async def grant(
        self, lease_id: int, ttl: int, caller: Caller | None = None
    ) -> tuple[LeaseGrantReply, int]:
        """A lease of `ttl` seconds, at least the minimum; `lease_id` 0 = choose one. With the revision."""
        if ttl > MAX_TTL_SECONDS:
            raise LeaseTTLTooLarge
        chosen = lease_id or self._rng.randrange(1, 1 << 63)
        command = LeaseGrant(chosen, max(ttl, self._min_ttl))
        caller = await self._guard.require_user(caller)
        if self._quota is not None:
            await self._quota.check(command)
        outcome = await self._proposer.submit(command, caller)
        reply = outcome.reply
        if not isinstance(reply, LeaseGrantReply):
            raise TypeError(f"lease grant yielded {reply!r}")
        return reply, outcome.revision

    async def revoke(self, lease_id: int, caller: Caller | None = None) -> int:
        """End a lease and delete its keys; the revision. Raises LeaseNotFound."""
        return (await self._proposer.submit(LeaseRevoke(lease_id), caller)).revision

    async def keep_alive(
        self, lease_id: int, caller: Caller | None = None, *, may_forward: bool = True
    ) -> int:
        """Start the TTL anew; the TTL. Raises LeaseNotFound, NoLeader, or NotLeader if it may not forward.

        As in etcd whoever may not write all keys of a lease may not keep it alive either.
        """

        async def here() -> int | None:
            await self._guard.check_lease(caller, lease_id, is_write=True)
            return await self._lease_clock.renew(lease_id) if self._lease_clock.is_primary else None

        async def there(leader: MemberId, left: float) -> int:
            proof = await self._guard.vouch(caller, lease_id)
            return await self._peer.keep_alive(leader, lease_id, left, proof)

        return await self._at_primary(here, there, may_forward=may_forward)

    async def time_to_live(
        self,
        lease_id: int,
        caller: Caller | None = None,
        *,
        with_keys: bool = False,
        may_forward: bool = True,
    ) -> TimeToLive:
        """How long the lease has, by the leader's clock. Errors as `keep_alive`, but no LeaseNotFound.

        Its keys are told only to whoever may read all of them.
        """

        async def here() -> TimeToLive | None:
            await self._guard.check_lease(caller, lease_id, has_keys=with_keys)
            if not self._lease_clock.is_primary:
                return None
            return self._local_time_to_live(lease_id, with_keys)

        async def there(leader: MemberId, left: float) -> TimeToLive:
            proof = await self._guard.vouch(caller, lease_id)
            return await self._peer.time_to_live(leader, lease_id, with_keys, left, proof)

        return await self._at_primary(here, there, may_forward=may_forward)

    async def leases(self, caller: Caller | None = None) -> list[int]:
        """Ids of all leases, in order; linearizable while there is a leader.

        Compat: etcd lists what the member knows, always; operators ask just when a cluster has no leader.
        """
        if self._replicator.leadership()[0]:
            await self._proposer.confirm_read()
        await self._guard.check_leases(caller)
        return sorted(self._machine.lessor.leases)

    async def _at_primary(
        self,
        here: Callable[[], Awaitable[Answer | None]],
        there: Callable[[MemberId, float], Awaitable[Answer]],
        *,
        may_forward: bool,
    ) -> Answer:
        """What the member that leads says: `here` once it is sure that this one does, or `there`, the leader.

        Again until the deadline while nobody leads, or leadership moves; `here` answers None if it has just gone.
        """
        deadline = self._clock.monotonic() + self._proposer.limits.timeout_seconds
        while True:
            is_led = self._lease_clock.is_primary
            try:
                if is_led:
                    await self._proposer.confirm_read()
                    answer = await here()
                    if answer is not None:
                        return answer
                elif not may_forward:
                    raise NotLeader
                else:
                    status = self._replicator.status()
                    leader = status.leader_id
                    is_led = bool(leader)
                    if is_led and leader != status.member_id:
                        return await there(leader, deadline - self._clock.monotonic())
            except (NoLeader, NotLeader):
                if not may_forward or deadline - self._clock.monotonic() <= _RETRY_SECONDS:
                    raise
            if deadline - self._clock.monotonic() <= _RETRY_SECONDS:
                raise OutcomeUnknown if is_led else NoLeader
            await self._clock.sleep(_RETRY_SECONDS)

    def _local_time_to_live(self, lease_id: int, with_keys: bool) -> TimeToLive:
        lease = self._machine.lessor.leases.get(lease_id)
        remaining = self._lease_clock.remaining_seconds(lease_id)
        if lease is None or remaining is None:
            return TimeToLive(-1, 0)
        keys: tuple[bytes, ...] = ()
        if with_keys:
            keys = tuple(sorted(getattr(lease, "keys", ())))
        return TimeToLive(int(remaining), lease.ttl, keys)


__all__ = ["LeaseNotFound", "LeasePeer", "LeaseService", "TimeToLive"]
