"""Locks served for clients that cannot watch: the one whose key is oldest holds it, the others wait.

A wait that is cut short gives its place up, so that nobody waits for a client that is gone. That is done in the
background, for whoever was cancelled cannot wait for it.
"""

import contextlib
from collections.abc import Coroutine
from typing import Any

import msgspec

from kvstore.base.tasks import Supervisor
from kvstore.service.recipes import (
    SESSION_TTL_SECONDS,
    Keys,
    RecipeError,
    contender_key,
    until_oldest,
)
from kvstore.service.watch.hub import WatchHub

SESSION_EXPIRED = "mutex: session is expired"


class Held(msgspec.Struct, frozen=True):
    """A lock that is held: its key, and the store's revision when it was seen to be."""

    key: bytes
    revision: int


class LockService:
    """The lock use cases. Raise RecipeError and what `Keys` raise."""

    def __init__(self, hub: WatchHub, tasks: Supervisor) -> None:
        self._hub = hub
        self._tasks = tasks

    async def lock(self, keys: Keys, name: bytes, lease: int) -> Held:
        """Wait until `lease` (0: a new one) has the lock. Who has it already is answered at once."""
        session = lease or await keys.grant(SESSION_TTL_SECONDS)
        prefix = name + b"/"
        key = contender_key(prefix, session)
        entered = await keys.enter(key, b"", session, oldest_of=prefix)
        mine = entered.create_revision
        if entered.oldest is None or entered.oldest.create_revision == mine:
            return Held(key, entered.revision)
        try:
            await until_oldest(self._hub, keys, prefix, mine)
            found = await keys.get(key)
        except BaseException:
            self._give_up(keys.delete(key))
            raise
        if found.kv is None:
            raise RecipeError(SESSION_EXPIRED)
        return Held(key, found.revision)

    async def unlock(self, keys: Keys, key: bytes) -> int:
        """Delete a lock's key; the store's revision. A key that is gone is no error."""
        return await keys.delete(key)

    def _give_up(self, leave: Coroutine[Any, Any, int]) -> None:
        self._tasks.start(quietly(leave), "lock/give-up")


async def quietly(leave: Coroutine[Any, Any, int]) -> None:
    """Run to the end; the lease removes what this cannot."""
    with contextlib.suppress(Exception):
        await leave
