"""The waiting line behind locks and elections: one key per waiter under a prefix, oldest creation first.

A waiter's key is `prefix/<lease id in hexadecimal>`, hangs on its lease, and goes with it. Whoever has the oldest
creation revision is at the head; the others wait for the key right before their own to go, so the end of one wakes
one. The head's creation revision grows from holder to holder: it is the fencing token.

Source: the keys and steps are those of etcd's client/v3/concurrency (mutex.go, election.go, key.go), so that
etcdctl and programs in Go stand in the same line.
"""

import asyncio
from typing import TYPE_CHECKING

from kvstore.client.errors import ClientError, Compacted, NotTheOwner
from kvstore.client.lease import LeaseKeeper
from kvstore.client.ops import prefix_end
from kvstore.client.types import (
    Compare,
    Key,
    KeyValue,
    OpDelete,
    OpGet,
    OpPut,
    OpTxn,
    SortOrder,
    SortTarget,
    TxnResult,
    encoded,
)

if TYPE_CHECKING:
    from kvstore.client.client import Client

# How long an attempt that failed may take to clean up behind itself.
_LEAVE_SECONDS = 2.0


class Place:
    """A place in the line `name`; `lease` may be shared, else the place has one of its own."""

    def __init__(
        self, client: "Client", name: Key, *, ttl_seconds: int, lease: LeaseKeeper | None
    ) -> None:
        self._client = client
        self._shares_lease = lease is not None
        self.lease = lease or LeaseKeeper(client, ttl_seconds)
        self._ttl_seconds = ttl_seconds
        self.prefix = encoded(name) + b"/"
        self.key = b""
        self.revision = 0
        self._is_leaving = False

    @property
    def lost(self) -> asyncio.Event:
        """Set when the lease, and with it the place, is gone or may be gone."""
        return self.lease.lost

    def is_mine(self) -> Compare:
        """The condition that this place still exists; put it into each transaction that relies on it."""
        return Compare(self.key, "create", "=", self.revision)

    async def enter(self, value: Key) -> KeyValue | None:
        """Stand in the line; returns the own key as it was if we stood there already."""
        if self._is_leaving:
            # Else we would stand behind a place of ours that nobody leaves.
            await self.leave()
        if not self._shares_lease:
            self.lease = LeaseKeeper(self._client, self._ttl_seconds)
            await self.lease.start()
        self.key = self.prefix + f"{self.lease.id:x}".encode()
        # Twice is as good as once: the second finds the key of the first.
        op = OpTxn(
            [Compare(self.key, "create", "=", 0)],
            [OpPut(self.key, value, lease=self.lease.id)],
            [OpGet(self.key)],
        )
        result = await self._client.commit(op, is_repeatable=True)
        if result.succeeded:
            self.revision = result.revision
            return None
        mine = result.range(0).kvs[0]
        self.revision = mine.create_revision
        return mine

    async def ahead(self) -> tuple[KeyValue | None, int]:
        """The key right before ours, and the revision at which that was true."""
        found = await self._client.range(
            OpGet(
                self.prefix,
                prefix_end(self.prefix),
                limit=1,
                sort_order=SortOrder.DESCEND,
                sort_target=SortTarget.CREATE,
                max_create_revision=self.revision - 1,
            )
        )
        return (found.kvs[0] if found.kvs else None), found.revision

    async def wait_turn(self) -> None:
        """Return when nobody is ahead; NotTheOwner if the place was lost meanwhile."""
        while True:
            one, revision = await self.ahead()
            if one is None:
                break
            await self._gone(one.key, revision)
        mine = await self._client.get(self.key)
        if not mine.kvs or mine.kvs[0].create_revision != self.revision:
            raise NotTheOwner("etcdclient: session expired: the lease ended while it waited")

    async def _gone(self, key: bytes, revision: int) -> None:
        """Return when `key` is deleted, or may be; NotTheOwner when the lease is lost."""
        watcher = self._client.watch(key, start_revision=revision + 1, without_puts=True)

        async def until_lost() -> None:
            await self.lost.wait()
            await watcher.aclose()

        failure: ClientError | None = None
        async with asyncio.TaskGroup() as group:
            guard = group.create_task(until_lost())
            try:
                async for batch in watcher:
                    if any(event.type == "DELETE" for event in batch.events):
                        break
            except Compacted:
                return  # Whether it is gone is to be read anew.
            except ClientError as error:
                # Raised below: out of a group it would come as a group of errors, which nobody catches.
                failure = error
            finally:
                await watcher.aclose()
                guard.cancel()
        if failure is not None:
            raise failure
        if self.lost.is_set():
            raise NotTheOwner("the lease ended while it waited")

    async def change(self, value: Key) -> TxnResult:
        """Put another value on our key, if it is still ours."""
        op = OpTxn([self.is_mine()], [OpPut(self.key, value, lease=self.lease.id)])
        return await self._client.commit(op, is_repeatable=True)

    async def leave(self) -> None:
        """Go out of the line; the lease ends with it unless it is shared. Idempotent.

        If it fails, the place may still be taken: it is remembered, and the next call tries again. A lease of our
        own is renewed no more from the first try on, so that it ends the place at the latest.
        """
        if not self.key:
            return
        self._is_leaving = True
        try:
            op = OpTxn([self.is_mine()], [OpDelete(self.key)])
            await self._client.commit(op, is_repeatable=True)
        except BaseException:
            if not self._shares_lease:
                await self.lease.stop(revoke=False)
            raise
        self.key, self._is_leaving = b"", False
        if not self._shares_lease:
            await self.lease.stop()


class InLine:
    """What a lock and a candidacy have in common: a place, and what it is worth."""

    def __init__(self, place: Place) -> None:
        self._place = place

    @property
    def key(self) -> bytes:
        """The key that stands for us; empty while we stand in no line."""
        return self._place.key

    @property
    def revision(self) -> int:
        """The fencing token: the creation revision of `key`, higher than that of whoever was at the head before."""
        return self._place.revision

    @property
    def lost(self) -> asyncio.Event:
        """Set when the lease is gone, or may be: stop what needs the lock or the lead."""
        return self._place.lost

    def is_mine(self) -> Compare:
        """The condition that our key is still there, for transactions."""
        return self._place.is_mine()

    async def _give_up(self) -> None:
        try:
            async with asyncio.timeout(_LEAVE_SECONDS):
                await self._place.leave()
        except (ClientError, TimeoutError):
            return  # The lease ends by itself, and the key with it.
