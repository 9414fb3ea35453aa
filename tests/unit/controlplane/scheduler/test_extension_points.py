"""Every extension point is asked, in order, and what was begun is undone when something refuses."""

import asyncio
import random
from typing import Any

import pytest

from controlplane.client.events import EventRecorder
from controlplane.kinds.core.node import NODES
from controlplane.kinds.core.pod.resource import PODS
from controlplane.scheduler.cache import SchedulerCache
from controlplane.scheduler.event_handlers import Feed
from controlplane.scheduler.framework import events
from controlplane.scheduler.framework.interface import Permission, PostFilterResult
from controlplane.scheduler.framework.runtime import Enabled, Framework
from controlplane.scheduler.framework.status import SKIP, SUCCESS, WAIT, Code, unschedulable
from controlplane.scheduler.framework.waiting import WaitingPods
from controlplane.scheduler.plugins.default_binder import DefaultBinder
from controlplane.scheduler.plugins.priority_sort import PrioritySort
from controlplane.scheduler.queue import SchedulingQueue
from controlplane.scheduler.schedule_one import Scheduler
from controlplane.testing.in_process import InProcessServer
from kvstore.base.clock import ManualClock
from kvstore.base.tasks import Supervisor


class Everywhere:
    """A plugin with all points; `answers` replaces what it says at some."""

    name = "Everywhere"
    events = events.on(events.POD_REMOVED)

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answers: dict[str, Any] = {}

    def _say(self, point: str, usual: Any = SUCCESS) -> Any:
        self.asked.append(point)
        return self.answers.get(point, usual)

    def pre_enqueue(self, pod):
        return self._say("pre_enqueue")

    def pre_filter(self, state, pod, nodes):
        return self._say("pre_filter")

    def filter(self, state, pod, node):
        return self._say("filter")

    async def post_filter(self, state, pod, nodes, diagnosis):
        return self._say("post_filter", PostFilterResult(unschedulable("no room can be made")))

    def pre_score(self, state, pod, nodes):
        return self._say("pre_score")

    def score(self, state, pod, node):
        return self._say("score", 1)

    def normalize(self, scores):
        self.asked.append("normalize")
        return scores

    def reserve(self, state, pod, node_name):
        return self._say("reserve")

    def unreserve(self, state, pod, node_name):
        self.asked.append("unreserve")

    def permit(self, state, pod, node_name):
        return self._say("permit", Permission(SUCCESS))

    async def pre_bind(self, state, pod, node_name):
        return self._say("pre_bind")

    async def bind(self, state, pod, node_name):
        return self._say("bind", SKIP)

    def post_bind(self, state, pod, node_name):
        self.asked.append("post_bind")


class World:
    """One scheduler with that plugin on two nodes; no loop of its own."""

    def __init__(self, api: InProcessServer, clock: ManualClock) -> None:
        self.api, self.client, self.clock = api, api.client(), clock
        self.plugin = Everywhere()
        self.waiting = WaitingPods(clock)
        plugins = [self.plugin, PrioritySort(), DefaultBinder(self.client)]
        framework = Framework([Enabled(plugin) for plugin in plugins], self.waiting)
        self.cache = SchedulerCache()
        self.queue = SchedulingQueue(clock, lambda pod: framework)
        self.feed = Feed(self.cache, self.queue, {"default-scheduler"})
        self.recorder = EventRecorder(self.client, "test", clock)
        self.scheduler = Scheduler(
            client=self.client,
            frameworks={"default-scheduler": framework},
            cache=self.cache,
            queue=self.queue,
            recorder=self.recorder,
            lookup=lambda name, namespace: self.api.object(PODS, name, namespace),
            clock=clock,
            rng=random.Random(1),
        )
        self.supervisor = Supervisor("test")

    async def add_pod(self, name: str = "p") -> None:
        spec = {"containers": [{"name": "c", "image": "a:1"}]}
        made = await self.client.create(PODS, {"metadata": {"name": name}, "spec": spec}, "default")
        self.feed.pod_added(made)

    async def cycle(self) -> None:
        await self.scheduler.schedule_one(self.supervisor)
        for _ in range(100):
            await asyncio.sleep(0)

    def node_of(self, name: str = "p") -> str | None:
        return self.api.object(PODS, name, "default")["spec"].get("nodeName")


@pytest.fixture
async def world():
    clock = ManualClock()
    async with InProcessServer(clock=clock) as api:
        world = World(api, clock)
        for name in ("n1", "n2"):
            world.feed.node_added(api.put(NODES, {"metadata": {"name": name}}))
        yield world
        await world.supervisor.stop()
        world.cache.check_invariants()
        world.queue.check_invariants()


async def test_all_points_in_order(world):
    await world.add_pod()
    await world.cycle()
    assert world.plugin.asked == [
        "pre_enqueue", "pre_filter", "filter", "filter", "pre_score", "score", "score", "normalize",
        "reserve", "permit", "pre_bind", "bind", "post_bind",
    ]  # fmt: skip
    assert world.node_of() in ("n1", "n2")


@pytest.mark.parametrize(
    ("point", "left_out"), [("pre_filter", "filter"), ("pre_score", "score")], ids=str
)
async def test_skip_leaves_the_next_point_out(world, point, left_out):
    world.plugin.answers[point] = SKIP
    await world.add_pod()
    await world.cycle()
    assert left_out not in world.plugin.asked
    assert world.node_of() is not None


@pytest.mark.parametrize("point", ["reserve", "permit", "pre_bind", "bind"])
async def test_a_refusal_undoes_the_decision_and_waits_for_an_event(world, point):
    refusal = unschedulable("not now")
    world.plugin.answers[point] = Permission(refusal) if point == "permit" else refusal
    await world.add_pod()
    await world.cycle()
    assert "unreserve" in world.plugin.asked
    assert world.node_of() is None
    assert not any(info.pods for info in world.cache.snapshot())
    assert world.queue.sizes()["backoff"] + world.queue.sizes()["unschedulable"] == 1


async def test_a_pod_kept_out_is_asked_again_when_it_changes(world):
    world.plugin.answers["pre_enqueue"] = unschedulable("gate")
    await world.add_pod()
    assert world.queue.sizes()["gated"] == 1
    world.feed.node_added({"metadata": {"name": "n3"}})
    assert world.queue.sizes()["gated"] == 1
    del world.plugin.answers["pre_enqueue"]
    pod = world.api.object(PODS, "p", "default")
    world.feed.pod_updated(pod, {**pod, "spec": {**pod["spec"], "priority": 1}})
    assert world.queue.sizes()["active"] == 1
    await world.cycle()
    assert world.node_of() is not None


async def test_a_gated_pod_is_woken_by_the_event_its_plugin_names(world):
    world.plugin.answers["pre_enqueue"] = unschedulable("gate")
    await world.add_pod()
    del world.plugin.answers["pre_enqueue"]
    world.queue.move_all(events.POD_REMOVED)
    assert world.queue.sizes()["active"] == 1


async def test_post_filter_is_asked_when_no_node_fits_and_its_words_end_the_message(world):
    world.plugin.answers["filter"] = unschedulable("too small")
    await world.add_pod()
    await world.cycle()
    assert world.plugin.asked[-1] == "post_filter"
    condition = world.api.object(PODS, "p", "default")["status"]["conditions"][0]
    assert condition["message"] == (
        "0/2 nodes are available: 2 too small. no new claims to deallocate, preemption: no room can be made"
    )


async def test_a_nominated_node_is_written_into_the_status(world):
    world.plugin.answers["filter"] = unschedulable("too small")
    world.plugin.answers["post_filter"] = PostFilterResult(SUCCESS, "n2")
    await world.add_pod()
    await world.cycle()
    assert world.api.object(PODS, "p", "default")["status"]["nominatedNodeName"] == "n2"


@pytest.mark.parametrize("verdict", ["allow", "reject", "timeout"])
async def test_a_permit_may_wait(world, verdict):
    world.plugin.answers["permit"] = Permission(WAIT, timeout_seconds=30)
    await world.add_pod()
    await world.cycle()
    (waiting,) = world.waiting.all()
    assert world.node_of() is None
    assert waiting.node_name in ("n1", "n2")
    if verdict == "allow":
        waiting.allow("Everywhere")
    elif verdict == "reject":
        waiting.reject("Everywhere", "others do not come")
    else:
        await world.clock.advance(31)
    for _ in range(200):
        await asyncio.sleep(0)
    assert (world.node_of() is not None) is (verdict == "allow")
    assert world.waiting.all() == []
    assert ("unreserve" in world.plugin.asked) is (verdict != "allow")


def test_a_hint_narrows_an_event():
    wake = events.Wake(events.NODE_ADDED, lambda pod, old, new: new["fits"])
    assert wake.helps(events.NODE_ADDED, None, None, {"fits": True})
    assert not wake.helps(events.NODE_ADDED, None, None, {"fits": False})
    assert not wake.helps(events.POD_REMOVED, None, None, {"fits": True})
    assert wake.helps(events.POD_ITSELF, None, None, None)


def test_codes_that_let_a_cycle_go_on():
    assert {code for code in Code if unschedulable().__class__(code).ok} == {
        Code.SUCCESS,
        Code.SKIP,
    }
