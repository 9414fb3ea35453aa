"""A release that fails leaves the lock taken, says so, and is tried again by the next one. Elections alike."""

import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from kvstore.base.clock import ManualClock
from kvstore.client.election import Election
from kvstore.client.errors import Unavailable
from kvstore.client.lease import LeaseKeeper
from kvstore.client.lock import Lock
from kvstore.client.types import OpDelete, OpPut


class Line:
    """A store with one line, as far as `Place` asks: keys in order of creation; the next `failures` commits fail."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.keys: dict[bytes, int] = {}
        self.leases: dict[int, list[bytes]] = {}
        self.failures = 0
        self.revision = 1

    async def lease_grant(self, ttl: int, *, lease_id: int = 0) -> Any:
        granted = lease_id or random.Random(len(self.leases)).getrandbits(60)
        self.leases[granted] = []
        return _Thing(id=granted, ttl=ttl)

    async def lease_revoke(self, lease_id: int) -> None:
        for key in self.leases.pop(lease_id, []):
            self.keys.pop(key, None)

    async def lease_keep_alive(self, lease_id: int, *, timeout_seconds: float) -> Any:
        return _Thing(id=lease_id, ttl=60)

    async def commit(self, op: Any, *, is_repeatable: bool) -> Any:
        if self.failures:
            self.failures -= 1
            raise Unavailable("connection refused")
        (condition,) = op.compares
        succeeded = self.keys.get(condition.key, 0) == condition.operand
        for one in op.success if succeeded else ():
            self.revision += 1
            if isinstance(one, OpPut):
                self.keys[condition.key] = self.revision
                self.leases[one.lease].append(condition.key)
            elif isinstance(one, OpDelete):
                del self.keys[condition.key]
        found = _Thing(kvs=[_kv(condition.key, self.keys.get(condition.key, 0))])
        return _Thing(succeeded=succeeded, revision=self.revision, range=lambda _: found)

    async def range(self, op: Any) -> Any:
        ahead = [one for one in self.keys.items() if one[1] <= op.max_create_revision]
        return _Thing(kvs=[_kv(*one) for one in ahead[-1:]], revision=self.revision)

    async def get(self, key: bytes) -> Any:
        return _Thing(kvs=[_kv(key, self.keys[key])] if key in self.keys else [])


class _Thing:
    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)


def _kv(key: bytes, revision: int) -> Any:
    return _Thing(key=key, create_revision=revision, value=b"v")


Leave = Callable[[], Awaitable[None]]


async def lock(line: Line, lease: LeaseKeeper | None) -> tuple[Lock | Election, Leave, Leave]:
    made = Lock(line, "l", lease=lease)  # type: ignore[arg-type]
    return made, made.acquire, made.release


async def election(line: Line, lease: LeaseKeeper | None) -> tuple[Lock | Election, Leave, Leave]:
    made = Election(line, "l", lease=lease)  # type: ignore[arg-type]

    async def campaign() -> None:
        await made.campaign("v")

    return made, campaign, made.resign


@pytest.mark.parametrize("make", [lock, election])
@pytest.mark.parametrize("shares_lease", [False, True], ids=["own_lease", "shared_lease"])
async def test_a_failed_release_is_an_error_and_the_next_one_releases(
    make: Any, shares_lease: bool
) -> None:
    line = Line()
    lease = LeaseKeeper(line, 60) if shares_lease else None  # type: ignore[arg-type]
    if lease is not None:
        await lease.start()
    made, take, leave = await make(line, lease)
    await take()
    line.failures = 2
    for _ in range(2):
        with pytest.raises(Unavailable):
            await leave()
        assert made.key in line.keys
    await leave()
    assert not line.keys
    assert made.key == b""
    await leave()
    if lease is None:
        assert not line.leases
    else:
        assert list(line.leases) == [lease.id]
        await lease.stop()


@pytest.mark.parametrize("make", [lock, election])
async def test_after_a_failed_release_it_can_be_taken_again(make: Any) -> None:
    line = Line()
    _, take, leave = await make(line, None)
    await take()
    line.failures = 1
    with pytest.raises(Unavailable):
        await leave()
    # It would wait for its own old place if that were forgotten.
    await take()
    assert len(line.keys) == 1
    await leave()
    assert not line.keys


async def test_a_lease_of_ones_own_is_not_renewed_after_a_failed_release() -> None:
    line = Line()
    made = Lock(line, "l", ttl_seconds=60)  # type: ignore[arg-type]
    await made.acquire()
    line.failures = 1
    with pytest.raises(Unavailable):
        await made.release()
    assert not made._place.lease._tasks._tasks
    assert not made.is_held
    await made.release()
