"""NodeUnschedulable: cordoned nodes take only pods that tolerate it."""

from controlplane.api.meta import View
from controlplane.kinds.core.pod.tolerations import tolerated
from controlplane.scheduler.framework import events as cluster
from controlplane.scheduler.framework.cycle_state import CycleState
from controlplane.scheduler.framework.node_info import NodeInfo, PodInfo
from controlplane.scheduler.framework.status import SUCCESS, Status, unresolvable

REASON = "node(s) were unschedulable"
TAINT = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}


def _is_open(pod: PodInfo, old: View | None, new: View | None) -> bool:
    """A hint: whether the node takes pods now."""
    return new is not None and not (new.get("spec") or {}).get("unschedulable")


class NodeUnschedulable:
    """Filter on spec.unschedulable of the node."""

    name = "NodeUnschedulable"
    is_local = True
    events = (
        cluster.Wake(cluster.NODE_ADDED, _is_open),
        cluster.Wake(cluster.NODE_TAINTS, _is_open),
    )

    def filter(self, state: CycleState, pod: PodInfo, node: NodeInfo) -> Status:
        """Refuse a cordoned node."""
        if not ((node.node or {}).get("spec") or {}).get("unschedulable"):
            return SUCCESS
        return SUCCESS if tolerated(TAINT, pod.spec.get("tolerations")) else unresolvable(REASON)
