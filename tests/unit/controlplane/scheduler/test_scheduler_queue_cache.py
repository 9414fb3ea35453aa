"""The queue's three places on a clock that stands still, and the cache's assumptions."""

import asyncio
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from controlplane.scheduler.cache import SchedulerCache
from controlplane.scheduler.event_handlers import Feed
from controlplane.scheduler.framework import events
from controlplane.scheduler.framework.node_info import PodInfo, pod_info
from controlplane.scheduler.framework.status import Status
from controlplane.scheduler.plugins.scheduling_gates import SchedulingGates
from controlplane.scheduler.queue import SchedulingQueue
from kvstore.base.clock import ManualClock

FIT = frozenset({"NodeResourcesFit"})


def pod(name: str, priority: int = 0, node: str = "") -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": "default", "uid": name},
        "spec": {"priority": priority, "containers": [], **({"nodeName": node} if node else {})},
    }


class Lone:
    """A profile whose refused pods only a pod that goes can help; gated pods have gates."""

    def sort_key(self, pod: PodInfo, added_at: float) -> tuple[float, ...]:
        return (-pod.priority, added_at)

    def pre_enqueue(self, pod: PodInfo) -> Status:
        return SchedulingGates().pre_enqueue(pod)

    def worth_a_try(self, pod: PodInfo, refused_by: Any, event: Any, old: Any, new: Any) -> bool:
        return event in (events.POD_REMOVED, events.POD_ITSELF)


def queue(clock: ManualClock) -> SchedulingQueue:
    return SchedulingQueue(clock, lambda pod: Lone())


async def test_priority_then_age() -> None:
    places = queue(ManualClock())
    for name, priority in (("low", 0), ("high", 5), ("low2", 0)):
        places.add(pod(name, priority))
    assert [(await places.pop()).pod.name for _ in range(3)] == ["high", "low", "low2"]
    places.check_invariants()


async def test_refused_pod_waits_for_an_event_that_helps() -> None:
    clock = ManualClock()
    places = queue(clock)
    places.add(pod("a"))
    places.failed(await places.pop(), FIT)
    assert places.sizes() == {"active": 0, "backoff": 0, "unschedulable": 1, "gated": 0}
    places.move_all(events.NODE_TAINTS)
    assert places.sizes()["unschedulable"] == 1
    places.move_all(events.POD_REMOVED)
    assert places.sizes() == {"active": 0, "backoff": 1, "unschedulable": 0, "gated": 0}
    async with asyncio.TaskGroup() as group:
        popped = group.create_task(places.pop())
        await clock.advance(0.9)
        assert not popped.done()
        await clock.advance(0.2)
    assert popped.result().attempts == 2
    places.check_invariants()


async def test_event_during_the_try_is_not_lost() -> None:
    clock = ManualClock()
    places = queue(clock)
    places.add(pod("a"))
    tried = await places.pop()
    places.move_all(events.POD_REMOVED)
    places.failed(tried, FIT)
    assert places.sizes()["backoff"] == 1


async def test_leftover_is_tried_after_five_minutes() -> None:
    clock = ManualClock()
    places = queue(clock)
    places.add(pod("a"))
    places.failed(await places.pop(), FIT)
    async with asyncio.TaskGroup() as group:
        popped = group.create_task(places.pop())
        await clock.advance(301)
    assert popped.result().pod.name == "a"


async def test_deleted_while_tried_does_not_come_back() -> None:
    places = queue(ManualClock())
    places.add(pod("a"))
    tried = await places.pop()
    places.delete("a")
    places.failed(tried, FIT, error=True)
    assert sum(places.sizes().values()) == 0


def test_back_off_doubles_to_ten_seconds() -> None:
    from controlplane.scheduler.queue import QueuedPod

    info = pod_info(pod("a"))
    seconds = [QueuedPod(info, 0, attempts=n).backoff_seconds(1.0, 10.0) for n in range(1, 7)]
    assert seconds == [1, 2, 4, 8, 10, 10]


def test_assume_counts_at_once_and_forget_undoes() -> None:
    cache = SchedulerCache()
    cache.set_node({"metadata": {"name": "n"}, "status": {}})
    info = pod_info(pod("a"))
    before = cache.snapshot()
    cache.assume(info, "n")
    assert not before[0].pods
    assert "a" in cache.snapshot()[0].pods
    cache.forget(info)
    assert not cache.snapshot()[0].pods
    cache.assume(info, "n")
    cache.set_pod(pod("a", node="n"))
    cache.forget(info)  # Confirmed meanwhile: stays.
    assert "a" in cache.snapshot()[0].pods
    cache.check_invariants()


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["set", "remove", "assume", "forget", "node", "unnode"]),
            st.sampled_from("abc"),
            st.sampled_from("xyz"),
        )
    )
)
def test_cache_stays_consistent(steps: list[tuple[str, str, str]]) -> None:
    cache = SchedulerCache()
    for step, name, node in steps:
        if step == "set":
            cache.set_pod(pod(name, node=node))
        elif step == "remove":
            cache.remove_pod(name)
        elif step == "assume":
            cache.assume(pod_info(pod(name)), node)
        elif step == "forget":
            cache.forget(pod_info(pod(name)))
        elif step == "node":
            cache.set_node({"metadata": {"name": node}, "status": {}})
        else:
            cache.remove_node(node)
        cache.check_invariants()
        cache.snapshot()


def test_feed_leaves_other_schedulers_pods_alone() -> None:
    places = queue(ManualClock())
    feed = Feed(SchedulerCache(), places, {"default-scheduler"})
    foreign = pod("a")
    foreign["spec"]["schedulerName"] = "mine"
    feed.pod_added(foreign)
    gated = pod("g")
    gated["spec"]["schedulingGates"] = [{"name": "x"}]
    feed.pod_added(gated)
    assert places.sizes() == {"active": 0, "backoff": 0, "unschedulable": 0, "gated": 1}
    feed.pod_updated(gated, pod("g"))
    assert places.sizes()["active"] == 1
    feed.pod_updated(pod("g"), pod("g", node="n"))
    assert places.sizes()["active"] == 0
