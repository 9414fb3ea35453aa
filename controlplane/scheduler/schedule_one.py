"""The algorithm, top to bottom: take a pod, filter the nodes, score what is left, assume, bind.

One pod at a time decides on the snapshot; binding runs beside the next decision, because `assume` has counted the pod
already. A binding that fails takes the pod off the node again and sends it back to the queue.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from controlplane.api.errors import APIError, NotFound
from controlplane.api.times import to_rfc3339
from controlplane.client.events import EventRecorder
from controlplane.client.leader import NotLeader
from controlplane.client.rest import STRATEGIC_MERGE_PATCH, RestClient
from controlplane.kinds.core.pod.resource import PODS
from controlplane.scheduler import extenders
from controlplane.scheduler.cache import SchedulerCache
from controlplane.scheduler.classes import Classes
from controlplane.scheduler.extenders import Extender, ExtenderError
from controlplane.scheduler.framework import events
from controlplane.scheduler.framework.cycle_state import CycleState
from controlplane.scheduler.framework.node_info import NodeInfo, PodInfo
from controlplane.scheduler.framework.runtime import Framework
from controlplane.scheduler.framework.status import Code, Diagnosis, Status, error
from controlplane.scheduler.queue import QueuedPod, SchedulingQueue
from kvstore.base.clock import Clock
from kvstore.base.log import get_logger
from kvstore.base.tasks import Supervisor

_log = get_logger("scheduler")

DEFAULT_NAME = "default-scheduler"

_LEAST_NODES = 100
_LEAST_PERCENT = 5

PodLookup = Callable[[str, str], Mapping[str, Any] | None]
"""Name and namespace to the pod as the watch last showed it."""


@dataclass(frozen=True, slots=True)
class Decision:
    """The node chosen, or nothing and why."""

    node_name: str | None
    diagnosis: Diagnosis


def choose(
    framework: Framework,
    pod: PodInfo,
    nodes: Sequence[NodeInfo],
    rng: random.Random,
    state: CycleState | None = None,
    *,
    most: int = 0,
    start: int = 0,
) -> Decision:
    """The best node for a pod; equals are drawn by lot. Pure but for `rng` and the cycle's `state`.

    With `most`, the best of that many feasible nodes, looked for from the node `start` on.
    """
    state = state or CycleState()
    feasible, diagnosis = framework.find_feasible(state, pod, nodes, most, start)
    if not feasible:
        return Decision(None, diagnosis)
    if len(feasible) == 1:
        return Decision(feasible[0].name, diagnosis)
    scores = framework.score(state, pod, feasible)
    best = max(scores.values())
    return Decision(
        rng.choice([name for name, score in scores.items() if score == best]), diagnosis
    )


def most_to_score(count: int, percentage: int) -> int:
    """How many feasible nodes of `count` are enough.

    As upstream's numFeasibleNodesToFind: a percentage, or with 0 one that falls from 50 as the cluster grows; never
    fewer than 100 nodes.
    """
    if count < _LEAST_NODES or percentage >= 100:
        return count
    if percentage == 0:
        percentage = max(_LEAST_PERCENT, 50 - count // 125)
    return max(_LEAST_NODES, count * percentage // 100)


@dataclass(frozen=True, slots=True)
class _Cycle:
    """One pod's way through the points."""

    queued: QueuedPod
    framework: Framework
    state: CycleState
    node_name: str

    @property
    def pod(self) -> PodInfo:
        return self.queued.pod


def scheduler_of(pod: PodInfo) -> str:
    """The scheduler name a pod asks for."""
    return str(pod.spec.get("schedulerName") or DEFAULT_NAME)


class Scheduler:
    """Runs cycles for ever; needs to be run by the leader only."""

    def __init__(
        self,
        *,
        client: RestClient,
        frameworks: Mapping[str, Framework],
        cache: SchedulerCache,
        queue: SchedulingQueue,
        recorder: EventRecorder,
        lookup: PodLookup,
        clock: Clock,
        rng: random.Random,
        max_bindings: int = 100,
        extenders: Sequence[Extender] = (),
    ) -> None:
        self._client = client
        self._frameworks = frameworks
        self._cache = cache
        self._queue = queue
        self._events = recorder
        self._lookup = lookup
        self._clock = clock
        self._rng = rng
        self._max_bindings = max_bindings
        self._extenders = extenders
        self._bindings = 0
        self._nodes = cache.snapshot()
        self._classes = Classes(rng)
        self._next_node = 0

    def snapshot(self) -> Sequence[NodeInfo]:
        """The nodes the current cycle decides on."""
        return self._nodes

    async def run(self) -> None:
        """Schedule until cancelled; bindings under way are cancelled too, and undone."""
        supervisor = Supervisor("scheduler")
        try:
            while True:
                await self.schedule_one(supervisor)
        finally:
            await supervisor.stop()

    async def schedule_one(self, supervisor: Supervisor) -> None:
        """One cycle."""
        queued = await self._queue.pop()
        pod = queued.pod
        if not self._still_wanted(pod):
            self._queue.done(queued)
            return
        framework, state = self._frameworks[scheduler_of(pod)], CycleState()
        self._nodes = self._cache.snapshot()
        try:
            decision = await self._decide(framework, pod, state)
        except ExtenderError as problem:
            self._queue.failed(queued, frozenset(), error=True)
            self._events.event(dict(pod.object), "Warning", "FailedScheduling", str(problem))
            return
        if decision.node_name is None:
            await self._no_node(_Cycle(queued, framework, state, ""), decision.diagnosis)
            return
        cycle = _Cycle(queued, framework, state, decision.node_name)
        self._cache.assume(pod, cycle.node_name)
        status = framework.reserve(state, pod, cycle.node_name)
        if status.ok:
            status = framework.permit(state, pod, cycle.node_name)
            if status.refused or status.code is Code.ERROR:
                framework.unreserve(state, pod, cycle.node_name)
        if status.refused or status.code is Code.ERROR:
            self._undo(cycle, status)
            return
        self._bindings += 1
        binding = self._bind(cycle)
        if self._bindings >= self._max_bindings:
            await binding  # The API server is slow: do not decide further ahead of it.
        else:
            supervisor.start(binding, f"bind {pod.key}")

    async def _decide(self, framework: Framework, pod: PodInfo, state: CycleState) -> Decision:
        """By what is known of pods of its class, or by a cycle of its own. Raises ExtenderError."""
        nodes = self._nodes
        if any(extender.is_interested(pod) for extender in self._extenders):
            return await self._decide_with_extenders(framework, pod, state)
        known = self._classes.choose(framework, pod, nodes, state)
        if known is not None:
            return Decision(*known)
        most = most_to_score(len(nodes), framework.percentage_to_score)
        start = self._next_node % len(nodes) if nodes else 0
        decision = choose(framework, pod, nodes, self._rng, state, most=most, start=start)
        self._next_node = start + decision.diagnosis.looked_at
        return decision

    async def _decide_with_extenders(
        self, framework: Framework, pod: PodInfo, state: CycleState
    ) -> Decision:
        feasible, diagnosis = framework.find_feasible(state, pod, self._nodes)
        left, refused = await extenders.filtered(self._extenders, pod, feasible)
        diagnosis.refusals |= refused
        diagnosis.is_by_extender = bool(refused)
        if not left:
            return Decision(None, diagnosis)
        scores = framework.score(state, pod, left)
        for name, value in (await extenders.scores(self._extenders, pod, left)).items():
            if name in scores:
                scores[name] += value
        best = max(scores.values())
        names = [name for name, score in scores.items() if score == best]
        return Decision(self._rng.choice(names), diagnosis)

    def _still_wanted(self, pod: PodInfo) -> bool:
        current = self._lookup(pod.name, pod.namespace)
        if current is None or current["metadata"].get("uid") != pod.uid:
            return False
        if current["metadata"].get("deletionTimestamp") or current["spec"].get("nodeName"):
            return False
        return not self._cache.is_assumed(pod.uid)

    async def _bind(self, cycle: _Cycle) -> None:
        pod, node_name = cycle.pod, cycle.node_name
        status = error("cancelled")
        try:
            status = await self._run_binding(cycle)
        finally:
            self._bindings -= 1
            if not status.ok:
                cycle.framework.unreserve(cycle.state, pod, node_name)
                self._undo(cycle, status)
        if status.ok:
            self._queue.done(cycle.queued)
            message = f"Successfully assigned {pod.key} to {node_name}"
            self._events.event(dict(pod.object), "Normal", "Scheduled", message)
            _log.info("pod scheduled", pod=pod.key, node=node_name)
            cycle.framework.post_bind(cycle.state, pod, node_name)

    async def _run_binding(self, cycle: _Cycle) -> Status:
        framework, state, pod, name = cycle.framework, cycle.state, cycle.pod, cycle.node_name
        status = await framework.wait_on_permit(pod)
        if status.ok:
            status = await framework.pre_bind(state, pod, name)
        if not status.ok:
            return status
        for extender in self._extenders:
            if extender.config.bind_verb and extender.is_interested(pod):
                return await extender.bind(pod, name)
        return await framework.bind(state, pod, name)

    def _undo(self, cycle: _Cycle, status: Status) -> None:
        """Take the pod off the node again; a refusal waits for an event, a failure for the delay."""
        pod = cycle.pod
        _log.warning("not bound", pod=pod.key, node=cycle.node_name, why=status.reasons)
        self._cache.forget(pod)
        refused_by = frozenset({status.plugin}) if status.refused else frozenset()
        self._queue.failed(cycle.queued, refused_by, error=not status.refused)
        if status.refused:
            # Only a plugin's verdict: a failed call is tried again and would only fill the log of events.
            message = ", ".join(status.reasons)
            self._events.event(dict(pod.object), "Warning", "FailedScheduling", message)
        # What the assumed pod took is free again.
        self._queue.move_all(events.POD_REMOVED, pod.object, None)

    async def _no_node(self, cycle: _Cycle, diagnosis: Diagnosis) -> None:
        pod = cycle.pod
        result = await cycle.framework.post_filter(cycle.state, pod, self._nodes, diagnosis)
        if result is not None:
            diagnosis.preemption = ", ".join(result.status.reasons)
            if result.nominated_node:
                diagnosis.has_room_made = True
                self._cache.nominate(pod, result.nominated_node)
        message = diagnosis.text()
        self._queue.failed(cycle.queued, diagnosis.plugins)
        _log.info(
            "no node fits",
            pod=pod.key,
            refusals={n: (s.plugin, *s.reasons) for n, s in diagnosis.refusals.items()},
        )
        self._events.event(dict(pod.object), "Warning", "FailedScheduling", message)
        patch = unschedulable_patch(self._lookup(pod.name, pod.namespace), message, self._clock)
        if result is not None and result.nominated_node:
            patch = patch or {"metadata": {"uid": pod.uid}, "status": {}}
            patch["status"]["nominatedNodeName"] = result.nominated_node
        if patch is None:
            return
        try:
            await self._client.patch(
                PODS,
                pod.name,
                patch,
                pod.namespace,
                patch_type=STRATEGIC_MERGE_PATCH,
                subresource="status",
            )
        except NotFound:
            self._queue.delete(pod.uid)
        except (APIError, NotLeader) as problem:
            # The next failed cycle writes it again.
            _log.warning("condition not written", pod=pod.key, error=str(problem))


def unschedulable_patch(
    pod: Mapping[str, Any] | None, message: str, clock: Clock
) -> dict[str, Any] | None:
    """The status patch that says why, or nothing if the pod says it already."""
    if pod is None:
        return None
    wanted = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": message,
    }
    conditions = (pod.get("status") or {}).get("conditions") or ()
    current: Mapping[str, Any] = next(
        (c for c in conditions if c.get("type") == "PodScheduled"), {}
    )
    if all(current.get(key) == value for key, value in wanted.items()):
        return None
    since = current.get("lastTransitionTime") if current.get("status") == "False" else None
    wanted["lastTransitionTime"] = since or to_rfc3339(clock.time())
    return {
        "metadata": {"uid": pod["metadata"].get("uid")},
        "status": {"conditions": [{**wanted, "lastProbeTime": None}]},
    }
