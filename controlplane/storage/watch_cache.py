"""One watch of the whole store, fanned out to a cache per resource; lists and watches of clients are served from here.

The hub follows everything below `/registry/` with a single upstream watch, so its revision moves with every write of
the cluster and all caches are complete up to it. A consistent list reads the store's current revision and waits until
the hub has reached it (asking for a progress mark when the newest write was not below `/registry/`).

Each cache holds the objects of one resource and a ring of recent events. A client's watch is a cursor over that ring,
not a queue: a slow client costs nothing, and one that the ring has overtaken is told `TooOldError` and lists again.
When the store has compacted what the hub still needs, all caches start afresh and all watches end that way.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import islice

from sortedcontainers import SortedDict

from controlplane.api.meta import Obj
from controlplane.storage import codec
from controlplane.storage.errors import (
    FutureRevisionError,
    StorageError,
    TooOldError,
    UnreachableError,
)
from controlplane.storage.interface import Change, ChangeBatch, Storage
from kvstore.base.backoff import Backoff
from kvstore.base.clock import Clock
from kvstore.base.log import get_logger
from kvstore.base.tasks import Supervisor

ROOT = "/registry/"
# Upstream answers a list of a future revision after three seconds of waiting (blockTimeout of its watch cache).
FRESHNESS_SECONDS = 3.0

log = get_logger(__name__)


class CacheEvent:
    """One change of one object; `previous` is the state before, None when it was not there."""

    __slots__ = ("_encoded", "key", "obj", "previous", "revision")

    def __init__(self, key: str, obj: Obj | None, previous: Obj | None, revision: int) -> None:
        self.key = key
        self.obj = obj
        self.previous = previous
        self.revision = revision
        self._encoded: dict[str, bytes] = {}

    def encoded(self, kind: str, make: Callable[[], bytes]) -> bytes:
        """What `make()` gives, kept under `kind`: watchers of one event share its bytes."""
        found = self._encoded.get(kind)
        if found is None:
            found = self._encoded[kind] = make()
        return found


class ResourceCache:
    """Objects and recent events of one resource, complete up to the hub's revision once `is_ready`."""

    def __init__(self, prefix: str, capacity: int) -> None:
        self.prefix = prefix
        self.objects: SortedDict = SortedDict()
        self.is_ready = False
        self.is_dead = False
        # The ring holds every event after this revision.
        self.ring_start = 0
        self._loaded_at = 0
        self._ring: deque[CacheEvent] = deque()
        self._capacity = capacity
        # Number of events that have left the ring: a cursor counts events from the first one ever.
        self._dropped = 0
        self._pending: list[Change] = []
        self._changed: asyncio.Event = asyncio.Event()

    def load(self, objects: Iterable[tuple[str, Obj]], revision: int) -> None:
        """Take the listed state, then what has happened while it was listed."""
        self.objects.update(objects)
        self.ring_start = self._loaded_at = revision
        self.is_ready = True
        pending, self._pending = self._pending, []
        for change in pending:
            self.apply(change)

    def apply(self, change: Change) -> None:
        """Take one change; changes come in order of revision."""
        if not self.is_ready:
            self._pending.append(change)
            return
        if change.revision <= self._loaded_at:
            # The list was newer than the hub: this change is in it already.
            return
        previous = self.objects.get(change.key)
        if change.value is None:
            if previous is None:
                return
            obj = None
            del self.objects[change.key]
        else:
            obj = codec.decode(change.value, change.revision)
            self.objects[change.key] = obj
        self._ring.append(CacheEvent(change.key, obj, previous, change.revision))
        if len(self._ring) > self._capacity:
            self.ring_start = self._ring.popleft().revision
            self._dropped += 1

    def wake(self) -> None:
        """Let cursors look again."""
        self._changed.set()
        self._changed = asyncio.Event()

    def forget(self) -> None:
        """Drop the ring: whoever has not read it by now is too old."""
        if self._ring:
            self.ring_start = self._ring[-1].revision
            self._dropped += len(self._ring)
            self._ring.clear()

    def kill(self) -> None:
        """End all cursors: this cache is no longer fed."""
        self.is_dead = True
        self.wake()

    def select(self, prefix: str) -> list[Obj]:
        """Objects whose key starts with `prefix`, in key order."""
        if prefix == self.prefix:
            return list(self.objects.values())
        end = prefix[:-1] + chr(ord(prefix[-1]) + 1)
        keys = self.objects.irange(prefix, end, inclusive=(True, False))
        return [self.objects[key] for key in keys]

    def cursor(self, after_revision: int) -> "Cursor":
        """A cursor at the first event after `after_revision`; `TooOldError` when some are gone."""
        if after_revision < self.ring_start:
            raise TooOldError(after_revision, self.ring_start)
        position = self._dropped + sum(1 for e in self._ring if e.revision <= after_revision)
        return Cursor(self, position, after_revision)

    def cursor_at_end(self) -> "Cursor":
        """A cursor behind everything that `objects` shows."""
        last = self._ring[-1].revision if self._ring else self._loaded_at
        return Cursor(self, self._dropped + len(self._ring), last)

    def is_end(self, position: int) -> bool:
        """Whether `position` is behind the newest event."""
        return position == self._dropped + len(self._ring)

    def take(self, position: int) -> list[CacheEvent]:
        """Events from `position` on."""
        if position < self._dropped:
            raise TooOldError(0, self.ring_start)
        if position == self._dropped + len(self._ring):
            return []
        return list(islice(self._ring, position - self._dropped, None))

    @property
    def changed(self) -> asyncio.Event:
        """Set at the next `wake`."""
        return self._changed


class Cursor:
    """A place in a cache's event history."""

    def __init__(self, cache: ResourceCache, position: int, after_revision: int) -> None:
        self._cache = cache
        self._position = position
        self._after = after_revision

    async def next(self, timeout_seconds: float) -> list[CacheEvent]:
        """The events not yet taken, waiting for one at most `timeout_seconds`; `TooOldError` when overtaken."""
        changed = self._cache.changed
        events = self._take()
        if not events and not self._cache.is_dead and timeout_seconds > 0:
            try:
                async with asyncio.timeout(timeout_seconds):
                    await changed.wait()
            except TimeoutError:
                return []
            events = self._take()
        if not events and self._cache.is_dead:
            raise TooOldError(self._after, self._cache.ring_start)
        return events

    def is_at_end(self) -> bool:
        """Whether nothing has come since the last look, in a cache that is still fed."""
        return not self._cache.is_dead and self._cache.is_end(self._position)

    def poll(self) -> list[CacheEvent]:
        """The events not yet taken, without waiting; `TooOldError` when overtaken or no longer fed."""
        events = self._take()
        if not events and self._cache.is_dead:
            raise TooOldError(self._after, self._cache.ring_start)
        return events

    def _take(self) -> list[CacheEvent]:
        events = self._cache.take(self._position)
        if events:
            self._position += len(events)
            events = [event for event in events if event.revision > self._after]
        if events:
            self._after = events[-1].revision
        return events


class WatchCache:
    """The hub: the upstream watch and the caches it feeds."""

    def __init__(self, storage: Storage, clock: Clock, *, capacity: int = 1000) -> None:
        self._storage = storage
        self._clock = clock
        self._capacity = capacity
        self._caches: dict[str, ResourceCache] = {}
        self._loading: dict[str, asyncio.Task[None]] = {}
        self._failures: dict[str, StorageError] = {}
        self._supervisor = Supervisor("watch-cache")
        self._started = asyncio.Event()
        self._advanced = asyncio.Event()
        self.revision = 0

    def start(self) -> None:
        """Begin to follow the store."""
        self._supervisor.start(self._run(), "upstream", eternal=True)

    async def stop(self) -> None:
        """End the upstream watch and every cursor."""
        await self._supervisor.stop(1.0)
        for cache in self._caches.values():
            cache.kill()
        self._caches.clear()

    async def _run(self) -> None:
        backoff = Backoff(0.05, 2.0)
        while True:
            try:
                if not self.revision:
                    self.revision = await self._storage.current_revision()
                    self._started.set()
                async for batch in self._storage.watch(ROOT, self.revision + 1):
                    backoff.reset()
                    self._feed(batch)
            except TooOldError as error:
                log.warning("watch history lost, caches start afresh", oldest=error.oldest)
                self._reset()
            except StorageError as error:
                log.warning("upstream watch failed", error=str(error))
            await self._clock.sleep(backoff.next())

    def _reset(self) -> None:
        caches, self._caches = self._caches, {}
        for task in self._loading.values():
            task.cancel()
        self._loading.clear()
        self.revision = 0
        self._started.clear()
        for cache in caches.values():
            cache.kill()

    def forget(self) -> None:
        """Drop the recent events of all resources, as if many more had come since."""
        for cache in self._caches.values():
            cache.forget()

    def _feed(self, batch: ChangeBatch) -> None:
        touched: dict[str, ResourceCache] = {}
        for change in batch.changes:
            cache = self._cache_of(change.key)
            if cache is not None and change.problem:
                self._give_up(cache, change)
            elif cache is not None:
                try:
                    cache.apply(change)
                except ValueError as error:
                    self._give_up(cache, replace(change, problem=str(error)))
                else:
                    touched[cache.prefix] = cache
        self.revision = max(self.revision, batch.revision)
        self._advanced.set()
        self._advanced = asyncio.Event()
        for cache in touched.values():
            cache.wake()

    def _give_up(self, cache: ResourceCache, change: Change) -> None:
        """A value that cannot be read ends the cache of its kind, and of no other: the next who asks loads it anew."""
        log.error("cache given up", key=change.key, error=change.problem)
        if self._caches.get(cache.prefix) is cache:
            del self._caches[cache.prefix]
        cache.kill()

    def drop_all(self) -> None:
        """Load every cache anew when it is asked for, as after a change of keys."""
        caches, self._caches = self._caches, {}
        for cache in caches.values():
            cache.kill()

    def _cache_of(self, key: str) -> ResourceCache | None:
        # A resource's prefix is /registry/<one> or, for some old kinds, /registry/<one>/<two>.
        first = key.find("/", len(ROOT))
        found = self._caches.get(key[: first + 1])
        if found is None:
            second = key.find("/", first + 1)
            found = self._caches.get(key[: second + 1])
        return found

    def peek(self, key: str) -> Obj | None:
        """What the caches have under `key` at this moment, which may be old; None also when it is not cached."""
        cache = self._cache_of(key)
        return cache.objects.get(key) if cache is not None and cache.is_ready else None

    def count(self, prefix: str) -> int | None:
        """How many objects are under a resource's prefix; None when it is not cached."""
        cache = self._caches.get(prefix)
        return len(cache.objects) if cache is not None and cache.is_ready else None

    async def cache(self, prefix: str) -> ResourceCache:
        """The ready cache of the resource under `prefix` (ends in a slash), loaded when first asked for."""
        while True:
            cache = self._caches.get(prefix)
            if cache is not None and cache.is_ready:
                return cache
            loading = self._loading.get(prefix)
            if loading is None:
                loading = self._supervisor.start(self._load(prefix), f"load {prefix}")
                self._loading[prefix] = loading
            try:
                await asyncio.shield(loading)
            except asyncio.CancelledError:
                if not loading.cancelled():
                    raise
                await asyncio.sleep(0)
            failure = self._failures.pop(prefix, None)
            if failure is not None:
                raise failure

    async def _load(self, prefix: str) -> None:
        try:
            async with asyncio.timeout(FRESHNESS_SECONDS):
                await self._started.wait()
            cache = self._caches[prefix] = ResourceCache(prefix, self._capacity)
            page = await self._storage.list(prefix)
            cache.load(((_key(prefix, obj), obj) for obj in page.items), page.revision)
        except TimeoutError:
            self._failures[prefix] = UnreachableError(
                "etcdserver: request timed out", outcome_known=True
            )
        except StorageError as error:
            self._caches.pop(prefix, None)
            self._failures[prefix] = error
        finally:
            self._loading.pop(prefix, None)

    async def wait_for(self, revision: int, timeout_seconds: float = FRESHNESS_SECONDS) -> None:
        """Wait until everything up to `revision` is in the caches; `FutureRevisionError` when it takes too long."""
        if self.revision >= revision:
            return
        try:
            async with asyncio.timeout(timeout_seconds):
                # The write may lie outside of /registry/; only a progress mark can tell then.
                await self._storage.request_progress()
                while self.revision < revision:
                    await self._advanced.wait()
        except TimeoutError:
            raise FutureRevisionError(revision, self.revision) from None

    async def wait_current(self) -> None:
        """Wait until the caches hold every write done before this call."""
        await self.wait_for(await self._storage.current_revision())

    def revision_of(self, cache: ResourceCache) -> int:
        """The revision a list of `cache` has now: a cache just loaded may be ahead of the hub."""
        return max(self.revision, cache.ring_start)


def _key(prefix: str, obj: Obj) -> str:
    meta = obj["metadata"]
    namespace = meta.get("namespace")
    return f"{prefix}{namespace}/{meta['name']}" if namespace else f"{prefix}{meta['name']}"
