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
from controlplane.scheduler.cache import SchedulerCache
from controlplane.scheduler.framework.cycle_state import CycleState
from controlplane.scheduler.framework.node_info import NodeInfo, PodInfo
from controlplane.scheduler.framework.runtime import Framework
from controlplane.scheduler.framework.status import Diagnosis
from controlplane.scheduler.queue import QueuedPod, SchedulingQueue
from kvstore.base.clock import Clock
from kvstore.base.log import get_logger
from kvstore.base.tasks import Supervisor

_log = get_logger("scheduler")

PodLookup = Callable[[str, str], Mapping[str, Any] | None]
"""Name and namespace to the pod as the watch last showed it."""


@dataclass(frozen=True, slots=True)
class Decision:
    """The node chosen, or nothing and why."""

    node_name: str | None
    diagnosis: Diagnosis


def choose(
    framework: Framework, pod: PodInfo, nodes: Sequence[NodeInfo], rng: random.Random
) -> Decision:
    """The best node for a pod; equals are drawn by lot. Pure but for `rng`."""
    state = CycleState()
    feasible, diagnosis = framework.find_feasible(state, pod, nodes)
    if not feasible:
        return Decision(None, diagnosis)
    if len(feasible) == 1:
        return Decision(feasible[0].name, diagnosis)
    scores = framework.score(state, pod, feasible)
    best = max(scores.values())
    return Decision(
        rng.choice([name for name, score in scores.items() if score == best]), diagnosis
    )


class Scheduler:
    """Runs cycles for ever; needs to be run by the leader only."""

    def __init__(
        self,
        *,
        client: RestClient,
        framework: Framework,
        cache: SchedulerCache,
        queue: SchedulingQueue,
        events: EventRecorder,
        lookup: PodLookup,
        clock: Clock,
        rng: random.Random,
        max_bindings: int = 100,
    ) -> None:
        self._client = client
        self._framework = framework
        self._cache = cache
        self._queue = queue
        self._events = events
        self._lookup = lookup
        self._clock = clock
        self._rng = rng
        self._max_bindings = max_bindings
        self._bindings = 0

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
        decision = choose(self._framework, pod, self._cache.snapshot(), self._rng)
        if decision.node_name is None:
            await self._no_node(queued, decision.diagnosis)
            return
        self._cache.assume(pod, decision.node_name)
        self._bindings += 1
        binding = self._bind(queued, decision.node_name)
        if self._bindings >= self._max_bindings:
            await binding  # The API server is slow: do not decide further ahead of it.
        else:
            supervisor.start(binding, f"bind {pod.key}")

    def _still_wanted(self, pod: PodInfo) -> bool:
        current = self._lookup(pod.name, pod.namespace)
        if current is None or current["metadata"].get("uid") != pod.uid:
            return False
        if current["metadata"].get("deletionTimestamp") or current["spec"].get("nodeName"):
            return False
        return not self._cache.is_assumed(pod.uid)

    async def _bind(self, queued: QueuedPod, node_name: str) -> None:
        pod = queued.pod
        bound = False
        try:
            status = await self._framework.bind(pod, node_name)
            bound = status.ok
            if bound:
                self._queue.done(queued)
                self._events.event(
                    dict(pod.object),
                    "Normal",
                    "Scheduled",
                    f"Successfully assigned {pod.key} to {node_name}",
                )
                _log.info("pod scheduled", pod=pod.key, node=node_name)
            else:
                _log.warning("binding failed", pod=pod.key, node=node_name, why=status.reasons)
        finally:
            self._bindings -= 1
            if not bound:
                self._cache.forget(pod)
                self._queue.failed(queued, frozenset(), error=True)

    async def _no_node(self, queued: QueuedPod, diagnosis: Diagnosis) -> None:
        pod, message = queued.pod, diagnosis.text()
        self._queue.failed(queued, diagnosis.plugins)
        _log.info(
            "no node fits",
            pod=pod.key,
            refusals={n: (s.plugin, *s.reasons) for n, s in diagnosis.refusals.items()},
        )
        self._events.event(dict(pod.object), "Warning", "FailedScheduling", message)
        patch = unschedulable_patch(self._lookup(pod.name, pod.namespace), message, self._clock)
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
