"""Descriptors decide which controllers run, which caches exist, and who waits for them."""

import asyncio
import random

import pytest

from controlplane.api.errors import ServiceUnavailable
from controlplane.client.leader import LeaderElector
from controlplane.controllers.catalog import CONTROLLERS
from controlplane.controllers.framework.context import UndeclaredCache
from controlplane.controllers.framework.controller import Controller, Watch
from controlplane.controllers.framework.descriptor import (
    Descriptor,
    NoOptions,
    chosen,
    declared,
)
from controlplane.controllers.framework.manager import Manager
from controlplane.controllers.framework.reconciler import Result
from controlplane.controllers.framework.sources import to_itself
from controlplane.kinds.core.config_map import CONFIG_MAPS
from controlplane.kinds.core.event import EVENTS
from controlplane.kinds.core.node import NODES
from controlplane.program.options import Parsed
from controlplane.testing.in_process import InProcessServer
from kvstore.base.clock import ManualClock
from kvstore.base.tasks import Supervisor


def names(*words):
    return [descriptor.name for descriptor in chosen(CONTROLLERS, words)]


EVERY = [descriptor.name for descriptor in CONTROLLERS]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        pytest.param(["*"], EVERY, id="all"),
        pytest.param(["deployment-controller"], ["deployment-controller"], id="one"),
        pytest.param(["deployment"], ["deployment-controller"], id="by_alias"),
        pytest.param([], [], id="none"),
        pytest.param(
            ["*", "-podgc"], [n for n in EVERY if n != "pod-garbage-collector-controller"],
            id="all_but_an_alias",
        ),
        pytest.param(["-podgc", "podgc"], [], id="the_first_counts"),
        pytest.param(["podgc", "-podgc"], ["pod-garbage-collector-controller"], id="the_first_counts_2"),
    ],
)  # fmt: skip
def test_which_controllers_are_chosen(words, expected):
    assert names(*words) == expected


def test_an_unknown_name_is_refused():
    with pytest.raises(ValueError, match='"nope" is not in the list of known controllers'):
        names("*", "nope")


def test_names_and_aliases_are_given_once():
    given = [name for d in CONTROLLERS for name in (d.name, *d.aliases)]
    assert len(given) == len(set(given))


class Recording:
    """A reconciler that writes down what it saw in its cache."""

    def __init__(self, context):
        self.events = context.informers.of(EVENTS)
        self.seen = []

    async def reconcile(self, key):
        self.seen.append((key.name, self.events.synced, len(self.events.indexer)))
        return Result.done()


class Run:
    """A manager with the given descriptors on an API in memory."""

    def __init__(self, *descriptors):
        self.clock = ManualClock()
        self.api = InProcessServer(clock=self.clock)
        client = self.api.client()
        elector = LeaderElector(client, "kube-system", "kcm", "me", self.clock)
        self.manager = Manager(
            client, self.clock, random.Random(1), elector, descriptors, Parsed({}), component="test"
        )
        self.supervisor = Supervisor("run")

    async def __aenter__(self):
        await self.api.__aenter__()
        self.supervisor.start(self.manager.run(), "manager")
        return self

    async def __aexit__(self, *_):
        await self.supervisor.stop()
        await self.api.__aexit__(None, None, None)

    async def step(self):
        for _ in range(30):
            await self.clock.advance(0.1)
            for _ in range(50):
                await asyncio.sleep(0)


def descriptor(made, *watches, watched=CONFIG_MAPS):
    def build(context, options):
        reconciler = Recording(context)
        made.append(reconciler)
        return Controller("recording", (Watch(watched, to_itself),), reconciler)

    return Descriptor("recording-controller", build, watches, NoOptions)


async def test_a_controller_waits_for_the_cache_of_events_it_declares():
    made = []
    async with Run(descriptor(made, CONFIG_MAPS, EVENTS)) as run:
        run.api.put(CONFIG_MAPS, {"metadata": {"name": "c", "namespace": "d"}})
        run.api.put(EVENTS, {"metadata": {"name": "e", "namespace": "d"}})

        def held(request):
            if request.path.endswith("/events"):
                raise ServiceUnavailable("held")

        run.api.intercept = held
        await run.step()
        assert made == []
        assert run.manager.ready() == "caches not filled: events"
        run.api.intercept = None
        for _ in range(10):
            await run.step()
        assert made[0].seen == [("c", True, 1)]
        assert run.manager.ready() is None


async def test_only_declared_caches_exist():
    async with Run(descriptor([], CONFIG_MAPS, EVENTS)) as run:
        await run.step()
        assert [informer.resource for informer in run.manager.informers.all()] == [
            CONFIG_MAPS,
            EVENTS,
        ]


async def test_a_cache_that_is_not_declared_is_not_given():
    async with Run(descriptor([], CONFIG_MAPS)) as run:
        await run.step()
        with pytest.raises(ExceptionGroup) as caught:
            await run.supervisor.wait()
        assert caught.group_contains(UndeclaredCache)


def test_shared_caches_are_declared_once():
    first = descriptor([], CONFIG_MAPS, NODES)
    second = descriptor([], NODES, EVENTS)
    assert declared([first, second]) == [CONFIG_MAPS, NODES, EVENTS]
