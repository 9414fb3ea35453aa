"""TaintToleration: NoSchedule and NoExecute taints refuse, PreferNoSchedule taints cost score."""

from controlplane.kinds.core.pod.tolerations import tolerated
from controlplane.scheduler.framework import events as cluster
from controlplane.scheduler.framework.cycle_state import CycleState
from controlplane.scheduler.framework.interface import to_hundred
from controlplane.scheduler.framework.node_info import NodeInfo, PodInfo
from controlplane.scheduler.framework.status import SUCCESS, Status, unresolvable

REASON = "node(s) had untolerated taint(s)"


class TaintToleration:
    """Filter and score on taints."""

    name = "TaintToleration"
    is_local = True
    events = cluster.on(cluster.NODE_ADDED, cluster.NODE_TAINTS)

    def filter(self, state: CycleState, pod: PodInfo, node: NodeInfo) -> Status:
        """Refuse on the first hard taint that is not tolerated."""
        tolerations = pod.spec.get("tolerations")
        for taint in node.taints:
            hard = taint.get("effect") in ("NoSchedule", "NoExecute")
            if hard and not tolerated(taint, tolerations):
                return unresolvable(REASON)
        return SUCCESS

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
