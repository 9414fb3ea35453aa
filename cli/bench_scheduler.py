"""`quorate bench scheduler`: how many pods a second a scheduler binds, ours or another program, on one API server.

The cases are those of upstream's scheduler_perf at a size that is asked for: nodes that are only objects, some pods
that are bound before, and the measured pods, all of which wait when the scheduler starts. Counted is the time between
the first and the last binding, as a watch of the pods shows them. The API server must have no other scheduler, and
nobody who minds silent nodes: `quorate up --only store,apiserver`.
Source of cases and thresholds: test/integration/scheduler_perf (5,000 nodes).
"""

import asyncio
import itertools
import os
import sys
import tempfile
import time
from asyncio.subprocess import DEVNULL, Process
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cli.bench_api import cpu_seconds
from controlplane.api.errors import AlreadyExists, NotFound, ServiceUnavailable
from controlplane.api.meta import Obj
from controlplane.client.rest import RestClient
from controlplane.kinds.core.namespace import NAMESPACES
from controlplane.kinds.core.node import NODES
from controlplane.kinds.core.pod.resource import PODS
from controlplane.kinds.core.service_account import SERVICE_ACCOUNTS

OURS: tuple[str, ...] = (sys.executable, "-m", "controlplane.scheduler")
_CREATORS = 32
_STOP_SECONDS = 20.0
_RETRY_SECONDS = 0.2
_ZONES = 3
_ZONE, _HOST = "topology.kubernetes.io/zone", "kubernetes.io/hostname"
_PATIENCE_SECONDS = 60.0
"""A case ends when nothing was bound for so long."""

_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


def _term(key: str, color: str) -> dict[str, Any]:
    return {"topologyKey": key, "labelSelector": {"matchLabels": {"color": color}}}


def _spread(action: str) -> dict[str, Any]:
    return {
        "topologySpreadConstraints": [
            {
                "maxSkew": 5,
                "topologyKey": _ZONE,
                "whenUnsatisfiable": action,
                "labelSelector": {"matchLabels": {"color": "blue"}},
            }
        ]
    }


_IN_ZONES = {"key": _ZONE, "operator": "In", "values": ["zone-0", "zone-1"]}


@dataclass(frozen=True, slots=True)
class Case:
    """What is scheduled: `spec` and `color` of the pods, and upstream's threshold in pods a second."""

    threshold: int
    spec: Mapping[str, Any] = field(default_factory=dict)
    color: str = ""
    init_spec: Mapping[str, Any] | None = None
    """Of the pods that are bound before; None: as the measured ones."""
    cpu: str = "100m"
    blockers: int = 0
    """Pods that fit nowhere and wait all the time, in hundredths of the measured ones."""


CASES: dict[str, Case] = {
    "SchedulingBasic": Case(270),
    "SchedulingNodeAffinity": Case(
        220,
        {"affinity": {"nodeAffinity": {_REQUIRED: {"nodeSelectorTerms": [{"matchExpressions": [_IN_ZONES]}]}}}},
        init_spec={},
    ),
    "SchedulingPodAffinity": Case(
        35, {"affinity": {"podAffinity": {_REQUIRED: [_term(_ZONE, "blue")]}}}, "blue"
    ),
    "SchedulingPodAntiAffinity": Case(
        60, {"affinity": {"podAntiAffinity": {_REQUIRED: [_term(_HOST, "green")]}}}, "green"
    ),
    "SchedulingPreferredPodAffinity": Case(
        90,
        {"affinity": {"podAffinity": {_PREFERRED: [{"weight": 1, "podAffinityTerm": _term(_HOST, "red")}]}}},
        "red",
    ),
    "TopologySpreading": Case(85, _spread("DoNotSchedule"), "blue", init_spec={}),
    "PreferredTopologySpreading": Case(125, _spread("ScheduleAnyway"), "blue", init_spec={}),
    "Unschedulable": Case(140, blockers=10),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a case went; `seconds` from the first binding to the last."""

    bound: int
    asked: int
    seconds: float
    first_seconds: float
    """From the start of the program to the first binding."""
    cpu_seconds: float

    @property
    def pods_per_second(self) -> float:
        """The rate between first and last."""
        return (self.bound - 1) / self.seconds if self.seconds > 0 else 0.0


def node_of(number: int) -> dict[str, Any]:
    """A node that nobody runs: 4 cpu, 32 GiB, 110 pods, as upstream's."""
    name = f"hollow-{number:05}"
    amounts = {"cpu": "4", "memory": "32Gi", "pods": "110"}
    return {
        "metadata": {"name": name, "labels": {_HOST: name, _ZONE: f"zone-{number % _ZONES}"}},
        "status": {
            "capacity": amounts,
            "allocatable": amounts,
            "conditions": [{"type": "Ready", "status": "True", "reason": "Hollow"}],
        },
    }


def pod_of(case: Case, name: str, spec: Mapping[str, Any], cpu: str = "") -> dict[str, Any]:
    """One pod of a case."""
    amounts = {"cpu": cpu or case.cpu, "memory": "500Mi"}
    container = {
        "name": "pause",
        "image": "registry.k8s.io/pause:3.10.2",
        "ports": [{"containerPort": 80}],
        "resources": {"requests": amounts, "limits": amounts},
    }
    labels = {"color": case.color} if case.color else {}
    return {
        "metadata": {"name": name, "labels": labels},
        "spec": {"containers": [container], **spec},
    }


class SchedulerBench:
    """Runs cases on an API server."""

    def __init__(self, kubeconfig: Path, client: RestClient) -> None:
        self._kubeconfig = kubeconfig
        self._client = client
        self._run = itertools.count()

    async def make_nodes(self, count: int) -> None:
        """Make the nodes that are missing, and delete what are too many."""
        there = {
            node["metadata"]["name"]
            for node in (await self._client.list_all(NODES)).items
            if node["metadata"]["name"].startswith("hollow-")
        }
        wanted = {node["metadata"]["name"]: node for node in map(node_of, range(count))}

        async def make(node: dict[str, Any]) -> None:
            try:
                await self._client.create(NODES, node)
            except AlreadyExists:
                return

        await _each(make, [node for name, node in wanted.items() if name not in there])
        await _each(self._delete_node, sorted(there - wanted.keys()))

    async def _delete_node(self, name: str) -> None:
        try:
            await self._client.delete(NODES, name)
        except NotFound:
            return

    async def run(
        self, case: Case, nodes: int, init_pods: int, pods: int, program: Sequence[str]
    ) -> Outcome:
        """Measure one case in a namespace of its own."""
        await self.make_nodes(nodes)
        namespace = f"sched-{os.getpid()}-{next(self._run)}"
        await self._client.create(NAMESPACES, {"metadata": {"name": namespace}})
        # Nobody else makes it, and pods are refused without.
        await self._client.create(SERVICE_ACCOUNTS, {"metadata": {"name": "default"}}, namespace)
        try:
            await self._fill(case, namespace, nodes, init_pods)
            blockers = pods * case.blockers // 100
            wanted = [pod_of(case, f"big-{n}", {}, "9") for n in range(blockers)]
            wanted += [pod_of(case, f"p-{n}", case.spec) for n in range(pods)]
            await _each(lambda pod: self._create(pod, namespace), wanted)
            return await self._measure(namespace, pods, program)
        finally:
            await self._empty(namespace)

    async def _create(self, pod: dict[str, Any], namespace: str) -> None:
        await self._client.create(PODS, pod, namespace, timeout_seconds=60)

    async def _fill(self, case: Case, namespace: str, nodes: int, count: int) -> None:
        spec = case.spec if case.init_spec is None else case.init_spec
        # Bound from the beginning, evenly: what is measured is not how they came there.
        wanted = [
            pod_of(case, f"init-{n}", {**spec, "nodeName": f"hollow-{n % nodes:05}"})
            for n in range(count)
        ]
        await _each(lambda pod: self._create(pod, namespace), wanted)

    async def _empty(self, namespace: str) -> None:
        page = await self._client.list_all(PODS, namespace)

        async def delete(name: str) -> None:
            try:
                await self._client.delete(PODS, name, namespace, grace_period_seconds=0)
            except NotFound:
                return

        await _each(delete, [pod["metadata"]["name"] for pod in page.items])
        await self._client.delete(NAMESPACES, namespace)

    async def _measure(self, namespace: str, pods: int, program: Sequence[str]) -> Outcome:
        listed = await self._client.list(PODS, namespace)
        async with _running(program, self._kubeconfig) as process:
            began, times, cpu = time.perf_counter(), [], 0.0
            bound: set[str] = set()
            changes = self._changes(namespace, listed.resource_version)
            try:
                while len(bound) < pods:
                    async with asyncio.timeout(_PATIENCE_SECONDS):
                        pod = await anext(changes)
                    name = pod["metadata"]["name"]
                    is_bound = bool(pod["spec"].get("nodeName"))
                    if name.startswith("p-") and is_bound and name not in bound:
                        bound.add(name)
                        times.append(time.perf_counter())
            except TimeoutError:
                pass
            finally:
                cpu = cpu_seconds([process.pid]) if process.returncode is None else 0.0
                await changes.aclose()
        if not times:
            return Outcome(0, pods, 0.0, 0.0, cpu)
        return Outcome(len(bound), pods, times[-1] - times[0], times[0] - began, cpu)

    async def _changes(self, namespace: str, version: str) -> AsyncGenerator[Obj, None]:
        """The pods as they change, for ever; a server that is too busy to be heard of is asked again."""
        while True:
            events = self._client.watch(PODS, namespace, resource_version=version, bookmarks=False)
            try:
                async for event in events:
                    version = str(event.object["metadata"]["resourceVersion"])
                    yield event.object
            except ServiceUnavailable:
                await asyncio.sleep(_RETRY_SECONDS)
            finally:
                await events.aclose()


@asynccontextmanager
async def _running(program: Sequence[str], kubeconfig: Path) -> AsyncIterator[Process]:
    """A scheduler that leads at once; ended afterwards."""
    with tempfile.TemporaryDirectory(prefix="quorate-bench-") as folder:
        argv = [*program, *_arguments(program, kubeconfig, Path(folder))]
        async with _process(argv) as process:
            yield process


def _arguments(program: Sequence[str], kubeconfig: Path, folder: Path) -> list[str]:
    if tuple(program) == OURS:
        health = "--healthz-bind-address=127.0.0.1:0"
        return [f"--kubeconfig={kubeconfig}", "--leader-elect=false", health]
    config = folder / "config.yaml"
    # Without this the original asks 50 times a second at most, and that would be what is measured.
    config.write_text(
        "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n"
        f"clientConnection: {{kubeconfig: {kubeconfig.resolve()}, qps: 5000, burst: 5000}}\n"
        "leaderElection: {leaderElect: false}\n"
    )
    return [
        f"--config={config}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        "--secure-port=0",
    ]


@asynccontextmanager
async def _process(argv: Sequence[str]) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(*argv, stdout=DEVNULL, stderr=DEVNULL)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


async def _each(do: Callable[[Any], Awaitable[None]], items: Iterable[Any]) -> None:
    """Do it to all, many at a time."""
    queue = iter(list(items))

    async def work() -> None:
        for item in queue:
            await do(item)

    async with asyncio.TaskGroup() as group:
        for _ in range(_CREATORS):
            group.create_task(work())
