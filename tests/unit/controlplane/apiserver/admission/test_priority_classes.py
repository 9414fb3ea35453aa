"""Priorities of pods: by the class that is named, by the default class, or none."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from controlplane.api.errors import Forbidden
from controlplane.api.meta import Obj
from controlplane.kinds.core.pod.resource import PODS
from controlplane.kinds.scheduling.priority_class import PRIORITY_CLASSES, SYSTEM_PRIORITIES
from controlplane.testing.in_process import InProcessServer


@pytest.fixture
async def server() -> AsyncIterator[InProcessServer]:
    async with InProcessServer() as running:
        yield running


def pod(**fields: object) -> Obj:
    spec = {"containers": [{"name": "c", "image": "i"}], **fields}
    return {"metadata": {"name": "p"}, "spec": spec}


def priority_class(name: str, value: int, **fields: object) -> Obj:
    return {"metadata": {"name": name}, "value": value, **fields}


async def _create(server: InProcessServer, obj: Obj) -> Obj:
    """Make a class, and wait until the server has seen it."""
    made = await server.client().create(PRIORITY_CLASSES, obj)
    async with asyncio.timeout(10):
        while made not in await server.app.server.lookup.all(PRIORITY_CLASSES):
            await asyncio.sleep(0)
    return made


async def _spec(server: InProcessServer, **fields: object) -> Obj:
    made = await server.client().create(PODS, pod(**fields), "default")
    return {
        key: made["spec"].get(key) for key in ("priorityClassName", "priority", "preemptionPolicy")
    }


async def test_a_pod_of_no_class_has_no_priority(server: InProcessServer) -> None:
    assert await _spec(server) == {
        "priorityClassName": None,
        "priority": 0,
        "preemptionPolicy": "PreemptLowerPriority",
    }


@pytest.mark.parametrize(("name", "value"), SYSTEM_PRIORITIES.items())
async def test_the_systems_classes_are_there(
    server: InProcessServer, name: str, value: int
) -> None:
    made = await server.client().create(PODS, pod(priorityClassName=name), "kube-system")
    assert made["spec"]["priority"] == value


async def test_a_class_gives_number_and_policy(server: InProcessServer) -> None:
    made = priority_class("high", 7, preemptionPolicy="Never")
    await server.client().create(PRIORITY_CLASSES, made)
    assert await _spec(server, priorityClassName="high") == {
        "priorityClassName": "high",
        "priority": 7,
        "preemptionPolicy": "Never",
    }


async def test_the_default_class_is_that_of_pods_that_name_none(server: InProcessServer) -> None:
    await _create(server, priority_class("usual", 3, globalDefault=True))
    found = await _spec(server)
    assert (found["priorityClassName"], found["priority"]) == ("usual", 3)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"priorityClassName": "none"}, "no PriorityClass with name none was found"),
        (
            {"priority": 5},
            r"the integer value of priority \(5\) must not be provided in pod spec; priority admission "
            "controller computed 0 from the given PriorityClass name",
        ),
        (
            {"preemptionPolicy": "Never"},
            r"the string value of PreemptionPolicy \(Never\) must not be provided in pod spec",
        ),
    ],
    ids=["unknown class", "number", "policy"],
)
async def test_pods_that_are_refused(
    server: InProcessServer, fields: dict[str, object], why: str
) -> None:
    with pytest.raises(Forbidden, match=why):
        await _spec(server, **fields)


async def test_one_class_is_the_default(server: InProcessServer) -> None:
    client = server.client()
    first = await _create(server, priority_class("a", 3, globalDefault=True))
    with pytest.raises(Forbidden, match="PriorityClass a is already marked as default"):
        await client.create(PRIORITY_CLASSES, priority_class("b", 4, globalDefault=True))
    await client.update(PRIORITY_CLASSES, {**first, "description": "x"})


async def test_an_update_that_leaves_the_priority_out_keeps_it(server: InProcessServer) -> None:
    client = server.client()
    made = await client.create(PODS, pod(priorityClassName="system-node-critical"), "kube-system")
    spec = {key: value for key, value in made["spec"].items() if key != "priority"}
    updated = await client.update(PODS, {**made, "spec": spec})
    assert updated["spec"]["priority"] == made["spec"]["priority"]
