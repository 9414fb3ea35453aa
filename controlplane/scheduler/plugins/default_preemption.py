"""DefaultPreemption: when no node fits, evict pods of lower priority where that makes room.

The victims get the condition DisruptionTarget, an event and are deleted with their grace; the pod is told which node it
will have (status.nominatedNodeName) and waits for the room. A pod with `preemptionPolicy: Never`, and one for which
victims are going already, evict nobody.

Source: pkg/scheduler/framework/plugins/defaultpreemption, pkg/scheduler/framework/preemption.
"""

from collections.abc import Sequence

from controlplane.api import meta
from controlplane.api.errors import APIError, NotFound
from controlplane.api.meta import View
from controlplane.api.times import to_rfc3339
from controlplane.client import disruption
from controlplane.kinds.core.pod.resource import PODS
from controlplane.kinds.policy.pod_disruption_budget import POD_DISRUPTION_BUDGETS
from controlplane.scheduler.framework import events as cluster
from controlplane.scheduler.framework.cycle_state import CycleState
from controlplane.scheduler.framework.handle import Handle
from controlplane.scheduler.framework.interface import PostFilterResult
from controlplane.scheduler.framework.node_info import NodeInfo, PodInfo
from controlplane.scheduler.framework.status import (
    SUCCESS,
    Code,
    Diagnosis,
    Status,
    error,
    unschedulable,
)
from controlplane.scheduler.preemption import candidates

_NO_VICTIMS = "No preemption victims found for incoming pod"
_NOT_HELPFUL = "Preemption is not helpful for scheduling"


class DefaultPreemption:
    """The PostFilter of the default profile."""

    name = "DefaultPreemption"
    events = cluster.on(cluster.POD_REMOVED)

    def __init__(self, handle: Handle, args: View) -> None:
        self._percentage = int(args.get("minCandidateNodesPercentage", 10))
        self._least = int(args.get("minCandidateNodesAbsolute", 100))
        if not 0 <= self._percentage <= 100:
            raise ValueError("minCandidateNodesPercentage: must be in the range [0, 100]")
        if self._least < 0:
            raise ValueError("minCandidateNodesAbsolute: must be positive")
        self._handle = handle
        self._budgets = handle.cache_of(POD_DISRUPTION_BUDGETS)

    async def post_filter(
        self, state: CycleState, pod: PodInfo, nodes: Sequence[NodeInfo], diagnosis: Diagnosis
    ) -> PostFilterResult:
        """Evict, and say where room will be; or say why that helps nothing."""
        why_not = _not_eligible(pod, nodes)
        if why_not:
            return PostFilterResult(unschedulable(_message(len(nodes), {why_not: len(nodes)})))
        trial = state.trial
        helped = [n for n in nodes if _may_help(diagnosis, n.name)]
        if trial is None or not helped:
            return PostFilterResult(unschedulable(_message(len(nodes), {_NOT_HELPFUL: len(nodes)})))

        def fits(changed: NodeInfo) -> bool:
            others = [changed if node.name == changed.name else node for node in nodes]
            return trial(pod, others, changed).ok

        most = candidates.most_to_look_at(len(helped), self._percentage, self._least)
        found = candidates.find(pod, helped, fits, self._budgets.list(), most)
        chosen = candidates.best(found)
        if chosen is None:
            counts = {_NO_VICTIMS: len(helped), _NOT_HELPFUL: len(nodes) - len(helped)}
            return PostFilterResult(unschedulable(_message(len(nodes), counts)))
        status = await self._evict(pod, chosen)
        return PostFilterResult(status, chosen.node_name if status.ok else "")

    async def _evict(self, pod: PodInfo, chosen: candidates.Candidate) -> Status:
        for victim in chosen.victims:
            if victim.terminating:
                continue
            held_back = self._handle.waiting.get(victim.uid)
            if held_back is not None:
                held_back.reject(self.name, f"preempted by {pod.key}")
                continue
            try:
                await self._mark(pod, victim)
                await self._handle.client.delete(PODS, victim.name, victim.namespace)
            except NotFound:
                continue
            except APIError as problem:
                return error(f"preempting {victim.key}: {problem}")
            self._handle.recorder.event(
                dict(victim.object),
                "Normal",
                "Preempted",
                f"Preempted by pod {pod.uid} on node {chosen.node_name}",
            )
        return SUCCESS

    async def _mark(self, pod: PodInfo, victim: PodInfo) -> None:
        name = str(pod.spec.get("schedulerName") or "default-scheduler")
        await disruption.mark(
            self._handle.client,
            dict(victim.object),
            to_rfc3339(self._handle.clock.time()),
            reason="PreemptionByScheduler",
            message=f"{name}: preempting to accommodate a higher priority pod",
        )


def _not_eligible(pod: PodInfo, nodes: Sequence[NodeInfo]) -> str:
    """Why the pod may evict nobody; empty when it may."""
    if pod.spec.get("preemptionPolicy") == "Never":
        return "not eligible due to preemptionPolicy=Never."
    nominated = meta.status(dict(pod.object)).get("nominatedNodeName")
    for node in nodes:
        if node.name == nominated and any(
            other.terminating and other.priority < pod.priority for other in node.pods.values()
        ):
            return "not eligible due to a terminating pod on the nominated node."
    return ""


def _may_help(diagnosis: Diagnosis, node_name: str) -> bool:
    status = diagnosis.refusals.get(node_name)
    return status is not None and status.code is Code.UNSCHEDULABLE


def _message(node_count: int, counts: dict[str, int]) -> str:
    reasons = ", ".join(sorted(f"{count} {reason}" for reason, count in counts.items() if count))
    if any(reason.startswith("not eligible") for reason in counts):
        return next(reason for reason in counts if reason.startswith("not eligible"))
    return f"0/{node_count} nodes are available: {reasons}."
