"""TaintToleration: NoSchedule and NoExecute taints refuse, PreferNoSchedule taints cost score."""

from collections.abc import Iterable

from controlplane.api.meta import View
from controlplane.kinds.core.pod.tolerations import tolerated
from controlplane.scheduler.framework import events as cluster
from controlplane.scheduler.framework.cycle_state import CycleState
from controlplane.scheduler.framework.interface import to_hundred
from controlplane.scheduler.framework.node_info import NodeInfo, PodInfo
from controlplane.scheduler.framework.status import SUCCESS, Status, unresolvable

REASON = "node(s) had untolerated taint(s)"


def _tolerates(pod: PodInfo, taints: Iterable[View]) -> bool:
    tolerations = pod.spec.get("tolerations")
    return all(
        tolerated(taint, tolerations)
        for taint in taints
        if taint.get("effect") in ("NoSchedule", "NoExecute")
    )


def _is_tolerated(pod: PodInfo, old: View | None, new: View | None) -> bool:
    """A hint: whether the pod tolerates the node's taints now."""
    return new is not None and _tolerates(pod, (new.get("spec") or {}).get("taints") or ())


class TaintToleration:
    """Filter and score on taints."""

    name = "TaintToleration"
    is_local = True
    events = (
        cluster.Wake(cluster.NODE_ADDED, _is_tolerated),
        cluster.Wake(cluster.NODE_TAINTS, _is_tolerated),
    )

    def filter(self, state: CycleState, pod: PodInfo, node: NodeInfo) -> Status:
        """Refuse on the first hard taint that is not tolerated."""
        return SUCCESS if _tolerates(pod, node.taints) else unresolvable(REASON)

    def score(self, state: CycleState, pod: PodInfo, node: NodeInfo) -> int:
        """Count of soft taints that are not tolerated."""
        soft = [
            toleration
            for toleration in pod.spec.get("tolerations") or ()
            if toleration.get("effect") in (None, "", "PreferNoSchedule")
        ]
        return sum(
            1
            for taint in node.taints
            if taint.get("effect") == "PreferNoSchedule" and not tolerated(taint, soft)
        )

    def normalize(self, scores: dict[str, int]) -> dict[str, int]:
        """Fewer taints are better."""
        return to_hundred(scores, reverse=True)
