"""Work that is done anew after changes: once for many, and again by itself only where it asks for that."""

import asyncio

from controlplane.client.changes import Changes
from controlplane.client.informer import Informer
from controlplane.kinds.core.pod.resource import PODS
from controlplane.testing.in_process import InProcessServer
from kvstore.base.clock import ManualClock, SystemClock
from kvstore.base.tasks import Supervisor


def pod(name):
    return {"metadata": {"name": name, "namespace": "d"}, "spec": {}}


async def rest():
    for _ in range(300):
        await asyncio.sleep(0)


async def test_many_changes_are_answered_once():
    clock, supervisor = ManualClock(), Supervisor("changes")
    async with InProcessServer(clock=clock) as api:
        informer, changes, seen = Informer(api.client(), PODS, clock), Changes(clock, 1.0), []
        changes.watch(informer)

        async def work():
            seen.append(sorted(one["metadata"]["name"] for one in informer.indexer.list()))

        try:
            supervisor.start(informer.run(), "pods")
            supervisor.start(changes.until(lambda: bool(informer.indexer.list())), "until")
            supervisor.start(changes.follow(work), "follow")
            await rest()
            assert seen == [[]]
            api.put(PODS, pod("a"))
            api.put(PODS, pod("b"))
            await rest()
            api.remove(PODS, "a", "d")
            await rest()
            assert seen == [[]], "gathered first"
            await clock.advance(1.0)
            await rest()
            assert seen == [[], ["b"]]
            await clock.advance(100.0)
            await rest()
            assert len(seen) == 2, "nothing has changed"
        finally:
            await supervisor.stop()


async def test_work_that_is_not_whole_is_done_again_without_a_change():
    changes, supervisor, count = Changes(SystemClock()), Supervisor("changes"), 0
    third = asyncio.Event()

    async def work():
        nonlocal count
        count += 1
        if count == 3:
            third.set()
            return None
        return 0.001

    try:
        supervisor.start(changes.follow(work), "follow")
        await asyncio.wait_for(third.wait(), 5)
        await asyncio.sleep(0.05)
        assert count == 3
    finally:
        await supervisor.stop()


async def test_until_asks_at_once_and_after_each_change():
    clock, supervisor = ManualClock(), Supervisor("changes")
    async with InProcessServer(clock=clock) as api:
        informer, changes = Informer(api.client(), PODS, clock), Changes(clock)
        await changes.until(lambda: True)
        changes.watch(informer)
        try:
            supervisor.start(informer.run(), "pods")
            waiting = asyncio.ensure_future(
                changes.until(lambda: informer.indexer.get("b", "d") is not None)
            )
            await rest()
            api.put(PODS, pod("a"))
            await rest()
            assert not waiting.done()
            api.put(PODS, pod("b"))
            await rest()
            assert waiting.done()
        finally:
            await supervisor.stop()
