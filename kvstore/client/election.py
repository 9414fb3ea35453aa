"""An election among the clients of one cluster; `etcdctl elect` and etcd's Go library take part in it.

    election = client.election("scheduler", ttl_seconds=10)
    await election.campaign("me:8080")          # returns when elected
    await election.proclaim("me:9090")          # another value under the same leadership
    await election.resign()

    async for leader in client.election("scheduler").observe():
        print(leader.value)

A leader can be overtaken without noticing at once, as the holder of a lock; see `lock.py` about `revision` and
`lost`.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from kvstore.client.errors import Compacted, DeadlineExceeded, NotTheOwner
from kvstore.client.lease import LeaseKeeper
from kvstore.client.ops import prefix_end
from kvstore.client.queueing import InLine, Place
from kvstore.client.types import (
    Key,
    KeyValue,
    OpGet,
    RangeResult,
    SortOrder,
    SortTarget,
    encoded,
)

if TYPE_CHECKING:
    from kvstore.client.client import Client


class Election(InLine):
    """One election; `campaign` until elected, then `proclaim` and `resign`, or `observe` the leaders."""

    def __init__(
        self,
        client: "Client",
        name: Key,
        *,
        ttl_seconds: int = 60,
        lease: LeaseKeeper | None = None,
    ) -> None:
        self._client = client
        super().__init__(Place(client, name, ttl_seconds=ttl_seconds, lease=lease))
        self._is_leader = False

    @property
    def is_leader(self) -> bool:
        """True while we surely lead."""
        return self._is_leader and self._place.lease.is_valid

    async def campaign(self, value: Key, *, timeout_seconds: float | None = None) -> None:
        """Stand, and return when elected. DeadlineExceeded, NotTheOwner if the lease ends first."""
        try:
            async with asyncio.timeout(timeout_seconds):
                before = await self._place.enter(value)
                if before is not None and before.value != encoded(value):
                    await self._change(value)
                await self._place.wait_turn()
        except TimeoutError as cause:
            await self._give_up()
            raise DeadlineExceeded(
                f"not elected within {timeout_seconds:g} s", outcome_known=True
            ) from cause
        except BaseException:
            await self._give_up()
            raise
        self._is_leader = True

    async def proclaim(self, value: Key) -> None:
        """Another value under the same leadership; NotTheOwner if it is over."""
        if not self._is_leader:
            raise NotTheOwner("election: not leader")
        await self._change(value)

    async def resign(self) -> None:
        """Let the next one lead. Idempotent; after an error call it again, for others may still see us lead."""
        self._is_leader = False
        await self._place.leave()

    @asynccontextmanager
    async def leading(self, value: Key) -> AsyncIterator["Election"]:
        """Campaign on entry, resign on exit."""
        await self.campaign(value)
        try:
            yield self
        finally:
            await self.resign()

    async def leader(self) -> KeyValue | None:
        """Who leads now: its key, and its value; None if nobody stands."""
        found = await self._oldest()
        return found.kvs[0] if found.kvs else None

    async def observe(self) -> AsyncIterator[KeyValue]:
        """Each leader and each of its values, from now on, for ever; one may be missed if it was short."""
        while True:
            found = await self._oldest()
            try:
                if found.kvs:
                    head, revision = found.kvs[0], found.revision
                else:
                    head = await self._first_candidate(found.revision + 1)
                    revision = head.mod_revision
                yield head
                async with self._client.watch(head.key, start_revision=revision + 1) as watcher:
                    async for batch in watcher:
                        for event in batch.events:
                            if event.type == "PUT":
                                yield event.kv
                        if any(event.type == "DELETE" for event in batch.events):
                            break
            except Compacted:
                continue

    async def _first_candidate(self, revision: int) -> KeyValue:
        prefix = self._place.prefix
        async with self._client.watch(
            prefix, range_end=prefix_end(prefix), start_revision=revision, without_deletes=True
        ) as watcher:
            async for batch in watcher:
                for event in batch.events:
                    return event.kv
        raise NotTheOwner("the watch for candidates was closed")

    async def _oldest(self) -> RangeResult:
        prefix = self._place.prefix
        return await self._client.range(
            OpGet(
                prefix,
                prefix_end(prefix),
                limit=1,
                sort_order=SortOrder.ASCEND,
                sort_target=SortTarget.CREATE,
            )
        )

    async def _change(self, value: Key) -> None:
        if not (await self._place.change(value)).succeeded:
            self._is_leader = False
            raise NotTheOwner("election: not leader")
