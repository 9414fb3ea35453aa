"""The hub and its caches, over the fake store."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from controlplane.api.meta import Obj
from controlplane.storage.errors import TooOldError, UnreachableError
from controlplane.storage.memory import MemoryStorage
from controlplane.storage.watch_cache import Cursor, WatchCache
from kvstore.base.clock import SystemClock

PODS = "/registry/pods/"


def pod(name: str, **fields: object) -> Obj:
    return {"metadata": {"name": name, "namespace": "n"}, **fields}


@pytest.fixture
def storage() -> MemoryStorage:
    return MemoryStorage()


@pytest.fixture
async def hub(storage: MemoryStorage) -> AsyncIterator[WatchCache]:
    hub = WatchCache(storage, SystemClock(), capacity=5)
    hub.start()
    yield hub
    await hub.stop()


async def names_until(cursor: Cursor, count: int) -> list[str]:
    names: list[str] = []
    async with asyncio.timeout(5):
        while len(names) < count:
            names += [event.key.rpartition("/")[2] for event in await cursor.next(5)]
    return names


async def test_list_sees_every_write_done_before(storage: MemoryStorage, hub: WatchCache) -> None:
    cache = await hub.cache(PODS)
    for number in range(4):
        await storage.create(f"{PODS}n/p{number}", pod(f"p{number}"))
        await hub.wait_current()
        assert len(cache.select(PODS)) == number + 1
    assert hub.revision_of(cache) == await storage.current_revision()


async def test_write_elsewhere_is_learnt_by_a_progress_mark(
    storage: MemoryStorage, hub: WatchCache
) -> None:
    await hub.cache(PODS)
    await storage.create("/other/key", pod("x"))
    async with asyncio.timeout(2):
        await hub.wait_current()


async def test_cursor_goes_on_after_its_revision(storage: MemoryStorage, hub: WatchCache) -> None:
    cache = await hub.cache(PODS)
    first = await storage.create(f"{PODS}n/a", pod("a"))
    await storage.create(f"{PODS}n/b", pod("b"))
    await hub.wait_current()
    cursor = cache.cursor(int(first["metadata"]["resourceVersion"]))
    assert await names_until(cursor, 1) == ["b"]
    await storage.create(f"{PODS}n/c", pod("c"))
    assert await names_until(cursor, 1) == ["c"]
    assert await cursor.next(0) == []


async def test_event_holds_both_states(storage: MemoryStorage, hub: WatchCache) -> None:
    cache = await hub.cache(PODS)
    cursor = cache.cursor(hub.revision_of(cache))
    await storage.create(f"{PODS}n/a", pod("a", x=1))

    async def changed(live: Obj) -> Obj:
        return {**live, "x": 2}

    await storage.guaranteed_update(f"{PODS}n/a", changed)
    await storage.delete(f"{PODS}n/a")
    await hub.wait_current()
    events = await cursor.next(1)
    states = [(e.previous and e.previous["x"], e.obj and e.obj["x"]) for e in events]
    assert states == [(None, 1), (1, 2), (2, None)]


async def test_slow_cursor_is_told_that_it_was_overtaken(
    storage: MemoryStorage, hub: WatchCache
) -> None:
    cache = await hub.cache(PODS)
    start = hub.revision_of(cache)
    cursor = cache.cursor(start)
    for number in range(10):
        await storage.create(f"{PODS}n/p{number}", pod(f"p{number}"))
    await hub.wait_current()
    with pytest.raises(TooOldError):
        await cursor.next(1)
    with pytest.raises(TooOldError):
        cache.cursor(start)


async def test_cache_loaded_ahead_of_the_hub_repeats_nothing(
    storage: MemoryStorage, hub: WatchCache
) -> None:
    await hub.cache("/registry/minions/")
    created = await storage.create(f"{PODS}n/a", pod("a"))
    cache = await hub.cache(PODS)
    cursor = cache.cursor(int(created["metadata"]["resourceVersion"]))
    await storage.create(f"{PODS}n/b", pod("b"))
    assert await names_until(cursor, 1) == ["b"]


async def test_lost_history_ends_all_cursors(storage: MemoryStorage, hub: WatchCache) -> None:
    cache = await hub.cache(PODS)
    cursor = cache.cursor(hub.revision_of(cache))
    hub._reset()
    with pytest.raises(TooOldError):
        await cursor.next(1)


async def test_unreachable_store_is_told_to_who_asks(storage: MemoryStorage) -> None:
    storage.unreachable = True
    hub = WatchCache(storage, SystemClock())
    hub.start()
    try:
        with pytest.raises(UnreachableError):
            await hub.cache(PODS)
        storage.unreachable = False
        assert (await hub.cache(PODS)).select(PODS) == []
    finally:
        await hub.stop()


async def test_key_of_an_old_kind_finds_its_cache(storage: MemoryStorage, hub: WatchCache) -> None:
    cache = await hub.cache("/registry/services/specs/")
    await storage.create("/registry/services/specs/n/s", pod("s"))
    await hub.wait_current()
    assert [obj["metadata"]["name"] for obj in cache.select("/registry/services/specs/n/")] == ["s"]
