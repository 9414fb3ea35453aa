"""A pod of higher priority gets its room: the whole default profile on the real API server in process (row 28)."""

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest

from controlplane.api.meta import Obj
from controlplane.client.events import EventRecorder
from controlplane.client.indexer import Indexer
from controlplane.kinds.core.event import EVENTS
from controlplane.kinds.core.node import NODES
from controlplane.kinds.core.pod.resource import PODS
from controlplane.scheduler.cache import SchedulerCache
from controlplane.scheduler.event_handlers import Feed
from controlplane.scheduler.framework.handle import Handle
from controlplane.scheduler.framework.waiting import WaitingPods
from controlplane.scheduler.profiles import Profile
from controlplane.scheduler.queue import SchedulingQueue
from controlplane.scheduler.schedule_one import Scheduler
from controlplane.testing.in_process import InProcessServer
from kvstore.base.clock import ManualClock
from kvstore.base.tasks import Supervisor


class World:
    """The scheduler of the default profile over one node of two cpus; no loop of its own."""

    def __init__(self, api: InProcessServer, clock: ManualClock) -> None:
        self.api, self.client, self.clock = api, api.client(), clock
        self.cache = SchedulerCache()
        self.recorder = EventRecorder(self.client, "default-scheduler", clock)
        waiting = WaitingPods(clock)
        handle = Handle(
            self.client, lambda resource: Indexer(), tuple, self.recorder, waiting, clock
        )
        framework = Profile().build(handle)
        self.queue = SchedulingQueue(clock, lambda pod: framework)
        self.feed = Feed(self.cache, self.queue, {"default-scheduler"})
        self.scheduler = Scheduler(
            client=self.client,
            frameworks={"default-scheduler": framework},
            cache=self.cache,
            queue=self.queue,
            recorder=self.recorder,
            lookup=self.pod,
            clock=clock,
            rng=random.Random(1),
        )
        self.supervisor = Supervisor("test")

    def pod(self, name: str, namespace: str = "default") -> Obj | None:
        return self.api.object(PODS, name, namespace)

    async def add(self, name: str, priority: int, **spec: Any) -> None:
        container = {"name": "c", "image": "a:1", "resources": {"requests": {"cpu": "1500m"}}}
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": "default", "uid": name},
            "spec": {"containers": [container], "priority": priority, **spec},
            "status": {"phase": "Pending"},
        }
        self.feed.pod_added(self.api.put(PODS, pod))
        await self.cycle()

    async def cycle(self) -> None:
        async with asyncio.timeout(10):
            await self.scheduler.schedule_one(self.supervisor)
        for _ in range(200):
            await asyncio.sleep(0)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    clock = ManualClock()
    async with InProcessServer(clock=clock) as api:
        made = World(api, clock)
        status = {"allocatable": {"cpu": "2", "memory": "4Gi", "pods": "110"}}
        made.feed.node_added(api.put(NODES, {"metadata": {"name": "n1"}, "status": status}))
        yield made
        await made.supervisor.stop()
        made.cache.check_invariants()


async def test_the_less_important_pod_goes_and_the_other_is_told_its_node(world: World) -> None:
    await world.add("low", 1)
    low = world.pod("low")
    assert low is not None
    assert low["spec"]["nodeName"] == "n1"
    world.feed.pod_added(low)
    await world.add("high", 100)
    high, low = world.pod("high"), world.pod("low")
    assert high is not None
    assert high["status"]["nominatedNodeName"] == "n1"
    assert low is not None
    assert low["metadata"]["deletionTimestamp"]
    (target,) = [row for row in low["status"]["conditions"] if row["type"] == "DisruptionTarget"]
    assert (target["reason"], target["message"]) == (
        "PreemptionByScheduler",
        "default-scheduler: preempting to accommodate a higher priority pod",
    )
    # Once the victim has gone the room is taken.
    world.api.remove(PODS, "low", "default")
    world.feed.pod_deleted(low)
    await world.clock.advance(2)
    await world.cycle()
    high = world.pod("high")
    assert high is not None
    assert high["spec"]["nodeName"] == "n1"


async def test_a_pod_that_must_not_evicts_nobody(world: World) -> None:
    await world.add("low", 1)
    low = world.pod("low")
    assert low is not None
    world.feed.pod_added(low)
    await world.add("high", 100, preemptionPolicy="Never")
    high, low = world.pod("high"), world.pod("low")
    assert high is not None
    assert "nominatedNodeName" not in high["status"]
    assert low is not None
    assert "deletionTimestamp" not in low["metadata"]
    (scheduled,) = high["status"]["conditions"]
    assert scheduled["message"] == (
        "0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: "
        "not eligible due to preemptionPolicy=Never."
    )


async def test_the_room_that_is_made_is_not_given_to_another(world: World) -> None:
    await world.add("low", 1)
    low = world.pod("low")
    assert low is not None
    world.feed.pod_added(low)
    await world.add("high", 100)
    world.api.remove(PODS, "low", "default")
    world.cache.remove_pod("low")
    await world.add("middle", 50)
    middle = world.pod("middle")
    assert middle is not None
    assert not middle["spec"].get("nodeName")


async def test_an_event_says_who_was_evicted_for_whom(world: World) -> None:
    await world.add("low", 1)
    low = world.pod("low")
    assert low is not None
    world.feed.pod_added(low)
    running = world.supervisor.start(world.recorder.run(), "events")
    await world.add("high", 100)
    async with asyncio.timeout(10):
        while not any(e["reason"] == "Preempted" for e in world.api.objects(EVENTS, "default")):
            await asyncio.sleep(0.01)
    running.cancel()
    (event,) = [e for e in world.api.objects(EVENTS, "default") if e["reason"] == "Preempted"]
    assert event["message"] == "Preempted by pod high on node n1"
