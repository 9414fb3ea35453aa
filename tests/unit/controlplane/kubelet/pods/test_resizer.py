"""How a change of resources is granted and handed on, over the fake runtime."""

import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from controlplane.kubelet.pods.admission import Room
from controlplane.kubelet.pods.allocation import Allocation
from controlplane.kubelet.pods.node import Node
from controlplane.kubelet.pods.resizer import Resizer
from controlplane.kubelet.runtimes.fake import FakeRuntime
from controlplane.kubelet.runtimes.interface import ContainerConfig, Feature, SandboxConfig
from kvstore.base.clock import ManualClock


def pod(cpu: str, policy: str = "NotRequired") -> dict[str, Any]:
    container = {
        "name": "c",
        "resources": {"limits": {"cpu": cpu}, "requests": {"cpu": cpu}},
        "resizePolicy": [{"resourceName": "cpu", "restartPolicy": policy}],
    }
    return {"metadata": {"name": "p", "uid": "u1"}, "spec": {"containers": [container]}}


class Stage:
    """A pod of one container that runs."""

    def __init__(self, root: Path) -> None:
        clock = ManualClock()
        self.runtime = FakeRuntime(clock)
        self.said: list[str] = []
        node = SimpleNamespace(
            runtime=self.runtime, clock=clock, most_pids=10, rng=random.Random(1)
        )
        self.allocation = Allocation(root / "allocation.json", pod("1"))
        self.resizer = Resizer(
            cast("Node", node), self.allocation, lambda kind, reason, text: self.said.append(reason)
        )

    async def start(self) -> str:
        box = await self.runtime.run_sandbox(SandboxConfig("u1", "p", "ns", "10.0.0.1"))
        made = await self.runtime.create_container(
            box.id, ContainerConfig("c", 0, "x", "x", ("sleep",))
        )
        await self.runtime.start_container(made)
        self.allocation.give("c")
        return made

    async def resize(self, wished: dict[str, Any]) -> list[tuple[str, str]]:
        await self.resizer.resize(wished, lambda: Room(None, {"cpu": "4"}, []))
        return [(one.kind, one.reason) for one in self.resizer.conditions]


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


async def test_a_running_container_gets_other_limits(stage: Stage) -> None:
    made = await stage.start()
    assert await stage.resize(pod("2")) == []
    assert stage.runtime.configs[made].limits.cpu_millis == 2000
    assert stage.said == ["ResizeStarted", "ResizeCompleted"]
    assert await stage.resize(pod("2000m")) == []
    assert len(stage.said) == 2, "the same, written otherwise"
    assert stage.allocation.actual["c"]["limits"] == {"cpu": "2000m"}


async def test_what_does_not_fit_waits(stage: Stage) -> None:
    await stage.start()
    for _ in range(2):
        assert await stage.resize(pod("5")) == [("PodResizePending", "Deferred")]
        assert stage.resizer.retry_at is not None
    assert stage.said == ["ResizeDeferred"]
    assert await stage.resize(pod("1")) == []
    assert stage.resizer.retry_at is None


async def test_a_restart_is_waited_for(stage: Stage) -> None:
    await stage.start()
    wished = pod("2", "RestartContainer")
    assert await stage.resize(wished) == [("PodResizeInProgress", "")]
    runs = {s.name: s for s in stage.runtime.list_containers("u1")}
    assert stage.resizer.restarts(wished, runs) == {"c"}
    stage.allocation.give("c")
    assert stage.resizer.restarts(wished, runs) == frozenset()
    assert await stage.resize(wished) == []
    assert stage.said == ["ResizeStarted", "ResizeCompleted"]


async def test_nodes_without_limits_cannot(stage: Stage) -> None:
    await stage.start()
    stage.runtime.features = frozenset(Feature) - {Feature.LIMITS}  # type: ignore[misc]
    assert await stage.resize(pod("2")) == [("PodResizePending", "Infeasible")]
    assert stage.resizer.retry_at is None
