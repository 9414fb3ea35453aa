"""The `Storage` protocol: what the API server asks of a store.

Keys are text paths (`/registry/pods/default/web`). Objects handed out are shared: treat them as frozen, copy before a
change. Every object handed out carries `metadata.resourceVersion`, every object handed in has it ignored. Reads are
linearizable unless a revision is given.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from controlplane.api.meta import Obj
from controlplane.storage.compaction import Turn
from controlplane.storage.errors import PreconditionError


@dataclass(frozen=True, slots=True)
class Preconditions:
    """What must hold of the stored object; None demands nothing."""

    uid: str | None = None
    resource_version: str | None = None

    def check(self, key: str, obj: Obj) -> None:
        """Raise `PreconditionError` when `obj` is not the one meant."""
        meta = obj.get("metadata") or {}
        if self.uid is not None and self.uid != meta.get("uid", ""):
            raise PreconditionError(key, "UID", self.uid, meta.get("uid", ""))
        found = meta.get("resourceVersion", "")
        if self.resource_version is not None and self.resource_version != found:
            raise PreconditionError(key, "ResourceVersion", self.resource_version, found)


NO_PRECONDITIONS = Preconditions()


@dataclass(frozen=True, slots=True)
class Removal:
    """Returned by an update function to delete the object; `obj` is its last state, as answered to the caller."""

    obj: Obj


# live object -> what is to be stored. It may wait, for a webhook or another object; whoever waits long loses races.
UpdateFunction = Callable[[Obj], Awaitable[Obj | Removal]]


@dataclass(frozen=True, slots=True)
class ListPage:
    """Objects in key order at `revision`; `next_key` is where the next page starts, empty at the end."""

    items: list[Obj]
    revision: int
    next_key: str = ""
    remaining_count: int = 0
    is_shared: bool = False
    """The items are those of a cache: the same ones for all who list them, and not to be changed."""


@dataclass(frozen=True, slots=True)
class Change:
    """One key changed at `revision`; `value` is the encoded object, None when deleted.

    `problem` says why the value cannot be read; empty when it can.
    """

    key: str
    revision: int
    value: bytes | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class ChangeBatch:
    """Changes in order; all changes up to `revision` have been handed out. No changes: a progress mark."""

    changes: list[Change]
    revision: int


class Storage(Protocol):
    """A versioned map of objects with watches."""

    async def create(self, key: str, obj: Obj, *, ttl_seconds: int = 0) -> Obj:
        """Store a new object; `KeyExistsError` when there is one. `ttl_seconds=0` keeps it for ever."""
        ...

    async def get(self, key: str) -> Obj:
        """The object, or `KeyNotFoundError`."""
        ...

    async def list(
        self, prefix: str, *, limit: int = 0, start_key: str = "", revision: int = 0
    ) -> ListPage:
        """Objects under `prefix` from `start_key` on; `limit=0` is all, `revision=0` is now."""
        ...

    async def guaranteed_update(
        self,
        key: str,
        update: UpdateFunction,
        *,
        preconditions: Preconditions = NO_PRECONDITIONS,
        cached: Obj | None = None,
        ttl_seconds: int = 0,
    ) -> Obj:
        """Apply `update` to the present state until it is written without a race.

        An equal result writes nothing. `cached` is a state to try first; errors raised from it are not believed
        until seen with the fresh one. `update` may run several times, and must not change what it is given.
        """
        ...

    async def delete(self, key: str, *, preconditions: Preconditions = NO_PRECONDITIONS) -> Obj:
        """Remove the object and return its last state."""
        ...

    async def current_revision(self) -> int:
        """The newest revision, by a linearizable read."""
        ...

    def watch(self, prefix: str, start_revision: int) -> AsyncIterator[ChangeBatch]:
        """Changes under `prefix` from `start_revision` on, for ever; `TooOldError` when compacted."""
        ...

    async def request_progress(self) -> None:
        """Ask the watches to hand out a progress mark soon."""
        ...

    async def compact_in_turn(self, turn: Turn) -> Turn:
        """See `compaction.Compactable`."""
        ...

    async def close(self) -> None:
        """Free connections."""
        ...
