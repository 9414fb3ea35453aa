"""The informer against the API server in process: broken watches, 410, silence about nothing."""

import asyncio
import random

import pytest

from controlplane.client.informer import Informer
from controlplane.kinds.core.pod.resource import PODS
from controlplane.testing.in_process import InProcessServer
from kvstore.base.clock import ManualClock
from kvstore.base.tasks import Supervisor


def pod(name, **labels):
    return {"metadata": {"name": name, "namespace": "d", "labels": labels}, "spec": {}}


async def advance(clock, seconds):
    """Let time pass in small steps, and whatever that sets off come to rest."""
    while seconds > 0:
        await clock.advance(min(seconds, 1.0))
        seconds -= 1.0
        for _ in range(100):
            await asyncio.sleep(0)


@pytest.fixture
async def world():
    clock = ManualClock()
    api = await InProcessServer(clock=clock).__aenter__()
    api.put(PODS, pod("old"))
    informer = Informer(api.client(), PODS, clock, rng=random.Random(3))
    heard: list[tuple[str, str]] = []
    informer.add_listener(
        lambda new: heard.append(("add", new["metadata"]["name"])),
        lambda old, new: heard.append(("update", new["metadata"]["name"])),
        lambda old: heard.append(("delete", old["metadata"]["name"])),
    )
    supervisor = Supervisor("informer")
    supervisor.start(informer.run(), "run", eternal=True)
    await advance(clock, 0.1)
    yield clock, api, informer, heard
    await supervisor.stop()
    await api.__aexit__(None, None, None)
    informer.indexer.check_invariants()


async def test_lists_then_follows(world):
    clock, api, informer, heard = world
    assert informer.synced
    api.put(PODS, pod("new"))
    old = api.object(PODS, "old", "d")
    old["metadata"]["labels"] = {"a": "b"}
    api.put(PODS, old)
    api.remove(PODS, "new", "d")
    await advance(clock, 0.1)
    assert heard == [("add", "old"), ("add", "new"), ("update", "old"), ("delete", "new")]
    assert informer.indexer.get("old", "d")["metadata"]["labels"] == {"a": "b"}


async def test_a_broken_watch_loses_and_repeats_nothing(world):
    clock, api, _informer, heard = world
    for number in range(5):
        api.break_watches()
        api.put(PODS, pod(f"p{number}"))
        await advance(clock, 1)
    await advance(clock, 2)
    assert heard == [("add", "old"), *(("add", f"p{n}") for n in range(5))]
    lists = [r for r in api.requests if r == ("GET", "/api/v1/pods")]
    assert len(lists) == 1


async def test_410_lists_again_and_tells_the_difference(world):
    clock, api, informer, heard = world
    api.down = True
    api.break_watches()
    await advance(clock, 0.1)
    api.remove(PODS, "old", "d")
    api.put(PODS, pod("new"))
    api.forget_history()
    api.down = False
    await advance(clock, 10)
    assert heard == [("add", "old"), ("delete", "old"), ("add", "new")]
    assert informer.indexer.keys() == ["d/new"]


async def test_made_again_under_the_same_name_is_delete_then_add(world):
    clock, api, _informer, heard = world
    api.down = True
    api.break_watches()
    await advance(clock, 0.1)
    api.remove(PODS, "old", "d")
    api.put(PODS, pod("old"))
    api.forget_history()
    api.down = False
    await advance(clock, 10)
    assert heard == [("add", "old"), ("delete", "old"), ("add", "old")]


async def test_an_unreachable_server_is_asked_ever_less_often(world):
    clock, api, _, _ = world
    api.down = True
    api.break_watches()
    await advance(clock, 60)
    assert len(api.requests) < 30


async def test_a_late_listener_hears_what_is_cached(world):
    _, _, informer, _ = world
    late: list[str] = []
    listener = informer.add_listener(on_add=lambda obj: late.append(obj["metadata"]["name"]))
    assert late == ["old"]
    listener.remove()
    listener.remove()


async def test_indexes(world):
    clock, api, informer, _ = world
    api.put(PODS, {**pod("bound"), "spec": {"nodeName": "n1"}})
    await advance(clock, 0.1)
    assert [p["metadata"]["name"] for p in informer.indexer.by_node("n1")] == ["bound"]
    uid = informer.indexer.get("bound", "d")["metadata"]["uid"]
    assert informer.indexer.by_uid(uid)["metadata"]["name"] == "bound"
    assert len(informer.indexer.list("d")) == 2
