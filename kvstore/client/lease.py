"""A lease that is kept alive by a task: hold it, or learn at once that it is lost.

    async with client.lease(ttl_seconds=10) as lease:
        await client.put("me", "here", lease=lease.id)

A third of the time to live passes between renewals, so two may fail before the lease is in danger. `lost` is set when
the server says the lease is gone, and also when no renewal succeeded for a whole time to live: from then on it may
have expired, and whoever relies on it must stop. Our clock starts before the request is sent, the server's after it
arrives, so ours runs out first.
"""

import asyncio
from types import TracebackType
from typing import TYPE_CHECKING

from kvstore.base.clock import Clock
from kvstore.base.tasks import Supervisor
from kvstore.client.errors import ClientError, LeaseNotFound

if TYPE_CHECKING:
    from kvstore.client.client import Client


class LeaseKeeper:
    """Grants a lease on entry, renews it, revokes it on exit. `lease_id` 0 lets the server choose."""

    def __init__(self, client: "Client", ttl_seconds: int, *, lease_id: int = 0) -> None:
        self._client = client
        self._clock: Clock = client.clock
        self._ttl_seconds = ttl_seconds
        self._tasks = Supervisor("lease")
        self._valid_until = 0.0
        self.id = lease_id
        self.lost = asyncio.Event()

    async def start(self) -> None:
        """Grant the lease and begin to renew it. LeaseExists, LeaseTtlTooLarge."""
        asked_at = self._clock.monotonic()
        granted = await self._client.lease_grant(self._ttl_seconds, lease_id=self.id)
        self.id, self._ttl_seconds = granted.id, granted.ttl
        self._valid_until = asked_at + granted.ttl
        self._tasks.start(self._renew(), f"keep-alive-{self.id:x}")

    async def stop(self, *, revoke: bool = True) -> None:
        """End the renewals; without `revoke` the lease lives until its time is over. Idempotent."""
        await self._tasks.stop()
        if revoke and self.id and not self.lost.is_set():
            try:
                await self._client.lease_revoke(self.id)
            except ClientError:
                return  # It expires by itself.
            finally:
                self.lost.set()

    async def __aenter__(self) -> "LeaseKeeper":
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()

    @property
    def is_valid(self) -> bool:
        """True while the lease surely exists."""
        return not self.lost.is_set() and self._clock.monotonic() < self._valid_until

    @property
    def ttl_seconds(self) -> int:
        """The time to live the server granted."""
        return self._ttl_seconds

    async def _renew(self) -> None:
        pause = self._ttl_seconds / 3
        while True:
            left = self._valid_until - self._clock.monotonic()
            if left <= 0:
                self.lost.set()
                return
            await self._clock.sleep(min(pause, left))
            asked_at = self._clock.monotonic()
            left = self._valid_until - asked_at
            if left <= 0:
                continue
            try:
                alive = await self._client.lease_keep_alive(self.id, timeout_seconds=left)
            except LeaseNotFound:
                self.lost.set()
                return
            except ClientError:
                pause = min(self._ttl_seconds / 10, 1.0)
                continue
            pause = alive.ttl / 3
            self._valid_until = asked_at + alive.ttl
