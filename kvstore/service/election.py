"""Elections served for clients that cannot watch: the oldest candidate's key leads, its value is what is proclaimed.

A leadership is named by its key and the revision that created it: whoever shows both may proclaim and resign, on any
member. A campaign that is cut short gives its candidacy up, see `lock`.
"""

from collections.abc import Awaitable, Callable

import msgspec

from kvstore.base.tasks import Supervisor
from kvstore.machine.outcome import KeyValue
from kvstore.service.lock import quietly
from kvstore.service.recipes import (
    SESSION_TTL_SECONDS,
    Keys,
    RecipeError,
    contender_key,
    first_put,
    until_oldest,
    watching,
)
from kvstore.service.watch.hub import WatchHub

NOT_LEADER = "election: not leader"
NO_LEADER = "election: no leader"
MISSING_LEADER_KEY = '"leader" field must be provided'

Tell = Callable[[int, KeyValue], Awaitable[None]]
"""(header revision, leader's key-value)"""


class Leadership(msgspec.Struct, frozen=True):
    """Proof of a leadership."""

    key: bytes
    create_revision: int
    lease: int


class ElectionService:
    """The election use cases. Raise RecipeError and what `Keys` raise."""

    def __init__(self, hub: WatchHub, tasks: Supervisor) -> None:
        self._hub = hub
        self._tasks = tasks

    async def campaign(
        self, keys: Keys, name: bytes, lease: int, value: bytes
    ) -> tuple[Leadership, int]:
        """Wait until `lease` (0: a new one) leads; with the revision at which it became a candidate."""
        session = lease or await keys.grant(SESSION_TTL_SECONDS)
        prefix = name + b"/"
        key = contender_key(prefix, session)
        entered = await keys.enter(key, value, session)
        mine = Leadership(key, entered.create_revision, session)
        try:
            if entered.existing is not None and entered.existing.value != value:
                await self.proclaim(keys, mine, value)
            await until_oldest(self._hub, keys, prefix, mine.create_revision)
        except BaseException:
            leave = keys.delete_if_created_at(key, mine.create_revision)
            self._tasks.start(quietly(leave), "election/give-up")
            raise
        return mine, entered.revision

    async def proclaim(self, keys: Keys, leader: Leadership, value: bytes) -> int:
        """Change the leader's value; the store's revision. Raises RecipeError if it does not lead any more."""
        revision = await keys.put_if_created_at(
            leader.key, leader.create_revision, value, leader.lease
        )
        if revision is None:
            raise RecipeError(NOT_LEADER)
        return revision

    async def resign(self, keys: Keys, leader: Leadership) -> int:
        """Give leadership or candidacy up; the store's revision. One that is over is no error."""
        return await keys.delete_if_created_at(leader.key, leader.create_revision)

    async def leader(self, keys: Keys, name: bytes) -> tuple[KeyValue, int]:
        """Who leads, and the store's revision. Raises RecipeError if nobody does."""
        found = await keys.oldest(name + b"/")
        if found.kv is None:
            raise RecipeError(NO_LEADER)
        return found.kv, found.revision

    async def observe(self, keys: Keys, name: bytes, tell: Tell) -> None:
        """Tell every leader and every proclamation, from now on, without end."""
        prefix = name + b"/"
        while True:
            found = await keys.oldest(prefix)
            kv, revision = found.kv, found.revision
            if kv is None:
                kv = await self._next_candidate(prefix, revision)
                if kv is None:
                    continue
                revision = kv.mod_revision
            await tell(revision, kv)
            await self._until_over(kv.key, revision + 1, tell)

    async def _next_candidate(self, prefix: bytes, from_revision: int) -> KeyValue | None:
        with watching(self._hub, prefix, from_revision, is_prefix=True) as watch:
            while True:
                batch = await watch.next()
                if batch is None:
                    return None
                kv = first_put(batch.events)
                if kv is not None:
                    return kv

    async def _until_over(self, key: bytes, from_revision: int, tell: Tell) -> None:
        """Tell what the leader proclaims, until its key is deleted."""
        with watching(self._hub, key, from_revision) as watch:
            while True:
                batch = await watch.next()
                if batch is None:
                    return
                for event in batch.events:
                    if event.is_delete:
                        return
                    await tell(batch.revision, event.kv)
