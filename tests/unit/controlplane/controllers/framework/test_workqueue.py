"""The work queue: each key once, one worker a key, delays on a manual clock."""

import asyncio
import random

import pytest

from controlplane.controllers.framework.workqueue import WorkQueue
from kvstore.base.clock import ManualClock


@pytest.fixture
async def queue():
    clock = ManualClock()
    queue: WorkQueue[str] = WorkQueue(clock, rng=random.Random(1))
    queue.clock_for_test = clock  # type: ignore[attr-defined]
    yield queue
    queue.check_invariants()
    await queue.close()


async def test_a_key_waits_once(queue):
    queue.add("a")
    queue.add("a")
    queue.add("b")
    assert [await queue.get(), await queue.get()] == ["a", "b"]
    assert len(queue) == 0


async def test_a_key_with_a_worker_comes_again_only_after_done(queue):
    queue.add("a")
    assert await queue.get() == "a"
    queue.add("a")
    queue.add("a")
    assert len(queue) == 0
    queue.done("a")
    assert len(queue) == 1
    assert await queue.get() == "a"
    queue.done("a")
    assert queue.idle


async def test_the_earliest_delay_wins(queue):
    clock = queue.clock_for_test
    queue.add_after("a", 10)
    queue.add_after("a", 2)
    queue.add_after("a", 5)
    await clock.advance(1.9)
    assert len(queue) == 0
    await clock.advance(0.2)
    assert len(queue) == 1
    await clock.advance(20)
    assert len(queue) == 1


async def test_adding_now_forgets_the_delay(queue):
    clock = queue.clock_for_test
    queue.add_after("a", 5)
    queue.add("a")
    assert await queue.get() == "a"
    queue.done("a")
    await clock.advance(10)
    assert len(queue) == 0


async def test_retries_wait_longer_until_forgotten(queue):
    delays = [queue.retry("a") for _ in range(4)]
    assert delays == sorted(delays)
    assert delays[3] > 4 * delays[0]
    queue.forget("a")
    assert queue.retry("a") < delays[1]


async def test_a_cancelled_waiter_passes_its_wake_up_on(queue):
    async with asyncio.TaskGroup() as group:
        first = group.create_task(queue.get())
        second = group.create_task(queue.get())
        await asyncio.sleep(0)
        queue.add("a")
        first.cancel()
        assert await second == "a"
