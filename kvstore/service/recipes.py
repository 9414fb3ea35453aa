"""What locks and elections are made of: keys on leases, in order of their creation, and waiting for older ones to go.

The recipes are etcd's (client/v3/concurrency, read as the specification): a contender's key is `name/` and its lease's
id in hex; the oldest key of the prefix has it. `Keys` is how they reach the store: through the same handlers as any
client, with the caller's own credentials, so that a lock is never a way around permissions. Only waiting looks at the
watch hub directly, at keys that the caller has just been allowed to read.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import msgspec

from kvstore.machine.outcome import Event, KeyValue
from kvstore.mvcc.ranges import prefix_end
from kvstore.service.watch.hub import WatchHub
from kvstore.service.watch.notices import WatchBatch, WatchCompacted
from kvstore.service.watch.spec import WatchSpec
from kvstore.service.watch.stream import WatchStream

SESSION_TTL_SECONDS = 60
"""Of the lease that is granted to callers who bring none; as etcd's sessions."""


class RecipeError(Exception):
    """A lock or an election refuses; the message is etcd's."""


class Found(msgspec.Struct, frozen=True):
    """A key (or none), and the store's revision when it was looked up."""

    revision: int
    kv: KeyValue | None


class Entered(msgspec.Struct, frozen=True):
    """A contender's key: the one just made, or the one it had. `oldest` is the first of the prefix, if asked for."""

    revision: int
    existing: KeyValue | None
    oldest: KeyValue | None = None

    @property
    def create_revision(self) -> int:
        """When the contender's key came to be."""
        return self.revision if self.existing is None else self.existing.create_revision


class Keys(Protocol):
    """The store, as one caller may use it. Refusals are raised as the front will answer them."""

    async def grant(self, ttl: int) -> int:
        """A new lease's id."""
        ...

    async def enter(
        self, key: bytes, value: bytes, lease: int, *, oldest_of: bytes | None = None
    ) -> Entered:
        """Create `key` unless it exists."""
        ...

    async def get(self, key: bytes) -> Found:
        """One key."""
        ...

    async def oldest(self, prefix: bytes) -> Found:
        """The key under `prefix` that was created first."""
        ...

    async def newest_until(self, prefix: bytes, revision: int) -> Found:
        """The key under `prefix` that was created last, of those created up to `revision`."""
        ...

    async def put_if_created_at(
        self, key: bytes, create_revision: int, value: bytes, lease: int
    ) -> int | None:
        """Write an existing key; the store's revision, or None if the key is gone or another."""
        ...

    async def delete_if_created_at(self, key: bytes, create_revision: int) -> int:
        """Delete a key if it still is the one meant; the store's revision."""
        ...

    async def delete(self, key: bytes) -> int:
        """Delete a key; the store's revision."""
        ...


def contender_key(prefix: bytes, lease: int) -> bytes:
    """The key of a lease under a prefix."""
    # A negative id is written with its sign, as Go does.
    return prefix + f"{lease:x}".encode()


class Watching:
    """One watch of a recipe."""

    def __init__(self, stream: WatchStream) -> None:
        self._stream = stream

    async def next(self) -> WatchBatch | None:
        """The next events; None if what was to be seen has been compacted, so that one has to look anew."""
        while True:
            notice = self._stream.take()
            if isinstance(notice, WatchBatch):
                return notice
            if isinstance(notice, WatchCompacted):
                return None
            if notice is None:
                await self._stream.wait()


@contextmanager
def watching(
    hub: WatchHub, key: bytes, start_revision: int, *, is_prefix: bool = False
) -> Iterator[Watching]:
    """Watch a key, or a prefix, from a revision on."""
    stream = hub.open()
    try:
        range_end = prefix_end(key) if is_prefix else b""
        stream.create(WatchSpec(key, range_end, start_revision))
        yield Watching(stream)
    finally:
        stream.close()


async def until_deleted(hub: WatchHub, key: bytes, from_revision: int) -> None:
    """Return when `key` was deleted at `from_revision` or later; also when that cannot be told any more."""
    with watching(hub, key, from_revision) as watch:
        while True:
            batch = await watch.next()
            if batch is None or any(event.is_delete for event in batch.events):
                return


async def until_oldest(hub: WatchHub, keys: Keys, prefix: bytes, create_revision: int) -> None:
    """Return when no key under `prefix` is older than `create_revision`."""
    while True:
        found = await keys.newest_until(prefix, create_revision - 1)
        if found.kv is None:
            return
        await until_deleted(hub, found.kv.key, found.revision)


def first_put(events: tuple[Event, ...]) -> KeyValue | None:
    """The first key that was written."""
    return next((event.kv for event in events if not event.is_delete), None)
