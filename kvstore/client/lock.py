"""A lock among the clients of one cluster; `etcdctl lock` and etcd's Go library take part in it.

    async with client.lock("locks/nightly", ttl_seconds=10) as lock:
        await work(fencing_token=lock.revision)

Whoever holds it may lose it without noticing at once: a process can stop for longer than the lease lives. So what
the lock protects must check: give `lock.revision`, which grows from holder to holder, to systems that can refuse an
older one, or put `lock.is_mine()` into each transaction. `lock.lost` is set when the lease is gone or may be.
"""

import asyncio
from types import TracebackType
from typing import TYPE_CHECKING

from kvstore.client.errors import ClientError, DeadlineExceeded
from kvstore.client.lease import LeaseKeeper
from kvstore.client.queueing import InLine, Place
from kvstore.client.types import Key

if TYPE_CHECKING:
    from kvstore.client.client import Client


class Lock(InLine):
    """One lock of one client. Not reentrant; it can be taken again after its release."""

    def __init__(
        self,
        client: "Client",
        name: Key,
        *,
        ttl_seconds: int = 60,
        lease: LeaseKeeper | None = None,
    ) -> None:
        super().__init__(Place(client, name, ttl_seconds=ttl_seconds, lease=lease))
        self._is_held = False

    @property
    def is_held(self) -> bool:
        """True while we surely hold it."""
        return self._is_held and self._place.lease.is_valid

    async def acquire(self, *, timeout_seconds: float | None = None) -> None:
        """Wait for the lock. DeadlineExceeded after `timeout_seconds`; NotTheOwner if the lease ends first."""
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._place.enter(b"")
                await self._place.wait_turn()
        except TimeoutError as cause:
            await self._give_up()
            raise DeadlineExceeded(
                f"the lock was not free within {timeout_seconds:g} s", outcome_known=True
            ) from cause
        except BaseException:
            await self._give_up()
            raise
        self._is_held = True

    async def try_acquire(self) -> bool:
        """Take the lock if it is free now."""
        try:
            await self._place.enter(b"")
            ahead, _ = await self._place.ahead()
        except BaseException:
            await self._give_up()
            raise
        if ahead is not None:
            await self._place.leave()
            return False
        self._is_held = True
        return True

    async def release(self) -> None:
        """Let the next one have it. Idempotent; after an error call it again, for the lock may still be taken."""
        self._is_held = False
        await self._place.leave()

    async def __aenter__(self) -> "Lock":
        await self.acquire()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            await self.release()
        except ClientError:
            if error is None and not self.lost.is_set():
                raise
