"""Leases and their keys.

A lease here is a number of seconds and a set of keys. Whether its time is up is known to the leader alone, which then
proposes its revocation; `remaining` is what a leader last said was left, for the next leader to start from.
"""

from collections.abc import Mapping

MAX_TTL_SECONDS = 9_000_000_000
"""etcd's bound, so that deadlines fit its clock."""


class Lease:
    """One lease. `remaining` 0 = nothing was recorded: the whole `ttl`."""

    __slots__ = ("_keys", "id", "remaining", "ttl")

    def __init__(self, id: int, ttl: int, remaining: int = 0) -> None:
        self.id = id
        self.ttl = ttl
        self.remaining = remaining
        self._keys: set[bytes] = set()

    @property
    def keys(self) -> tuple[bytes, ...]:
        """Its keys in order."""
        return tuple(sorted(self._keys))

    def __repr__(self) -> str:
        return f"Lease(id={self.id}, ttl={self.ttl}, remaining={self.remaining}, keys={self.keys})"


class Lessor:
    """All leases."""

    def __init__(self) -> None:
        self._leases: dict[int, Lease] = {}

    @property
    def leases(self) -> Mapping[int, Lease]:
        """By id, in the order of their grants."""
        return self._leases

    def __contains__(self, lease_id: int) -> bool:
        return lease_id in self._leases

    def grant(self, lease_id: int, ttl: int, remaining: int = 0) -> Lease:
        """A new lease; the caller has checked that the id is free."""
        if lease_id in self._leases:
            raise ValueError(f"lease {lease_id} exists")
        lease = Lease(lease_id, ttl, remaining)
        self._leases[lease_id] = lease
        return lease

    def revoke(self, lease_id: int) -> None:
        """End the lease; the caller has deleted its keys."""
        del self._leases[lease_id]

    def attach(self, lease_id: int, key: bytes) -> None:
        """`key` now hangs on the lease, which must exist."""
        self._leases[lease_id]._keys.add(key)

    def detach(self, lease_id: int, key: bytes) -> None:
        """`key` no longer hangs on the lease."""
        lease = self._leases.get(lease_id)
        if lease is not None:
            lease._keys.discard(key)

    def checkpoint(self, lease_id: int, remaining: int) -> bool:
        """Record what is left of the lease; False if there is none."""
        lease = self._leases.get(lease_id)
        if lease is None:
            return False
        lease.remaining = min(max(0, remaining), lease.ttl)
        return True

    def adopt(self, other: "Lessor") -> None:
        """Become `other`, which must not be used any more."""
        self._leases = other._leases

    def check_invariants(self) -> None:
        """Raise AssertionError on an impossible lease."""
        for lease_id, lease in self._leases.items():
            assert lease.id == lease_id != 0
            assert 0 <= lease.remaining <= lease.ttl <= MAX_TTL_SECONDS
