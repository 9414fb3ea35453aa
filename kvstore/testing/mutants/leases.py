"""Mistakes about the time that leases have."""

from collections.abc import Sequence
from typing import Any

from kvstore.mvcc.errors import LeaseNotFound
from kvstore.service import expiry
from kvstore.service import lease as lease_service
from kvstore.testing.mutants.mutant import LEASES, Mutant, Patch


def _forget_renewals() -> Sequence[Patch]:
    async def renew(self: Any, lease_id: int) -> int:
        lease = self._machine.lessor.leases.get(lease_id)
        if lease is None:
            raise LeaseNotFound
        return int(lease.ttl)

    return [(expiry.LeaseClock, "renew", renew)]


def _new_leader_ends_leases() -> Sequence[Patch]:
    original = expiry.LeaseClock.on_leadership

    def on_leadership(self: Any, is_leader: bool) -> None:
        original(self, is_leader)
        for lease_id in self._deadlines:
            self._set(lease_id, 0.3)

    return [(expiry.LeaseClock, "on_leadership", on_leadership)]


def _deposed_leader_keeps_leases() -> Sequence[Patch]:
    original = lease_service.LeaseService.keep_alive

    async def keep_alive(self: Any, lease_id: int, *rest: Any, **options: Any) -> int:
        if self._lease_clock.is_primary:
            return int(await self._lease_clock.renew(lease_id))
        return int(await original(self, lease_id, *rest, **options))

    return [(lease_service.LeaseService, "keep_alive", keep_alive)]


LEASES_MUTANTS: dict[str, Mutant] = {
    "lease-renewal-forgotten": Mutant(
        "a lease that was kept alive ends all the same", _forget_renewals, (), changes=LEASES
    ),
    "new-leader-ends-leases": Mutant(
        "a new leader gives leases no time",
        _new_leader_ends_leases,
        ("kill", "move-leader", "isolate"),
        changes=LEASES,
    ),
    "deposed-leader-keeps-leases": Mutant(
        "a leader promises a renewal without asking whether it still leads",
        _deposed_leader_keeps_leases,
        ("lease-keepers",),
        5.0,
        LEASES | {"clients": 4, "think_seconds": 0.1},
    ),
}
