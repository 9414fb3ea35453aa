"""NodeName: a pod that names its node fits nowhere else."""

from controlplane.api.meta import View
from controlplane.scheduler.framework import events as cluster
from controlplane.scheduler.framework.cycle_state import CycleState
from controlplane.scheduler.framework.node_info import NodeInfo, PodInfo
from controlplane.scheduler.framework.status import SUCCESS, Status, unresolvable

REASON = "node(s) didn't match the requested node name"


def _is_named(pod: PodInfo, old: View | None, new: View | None) -> bool:
    """A hint: whether the new node is the one named."""
    return new is not None and new["metadata"]["name"] == pod.spec.get("nodeName")


class NodeName:
    """Filter on spec.nodeName."""

    name = "NodeName"
    is_local = True
    events = (cluster.Wake(cluster.NODE_ADDED, _is_named),)

    def filter(self, state: CycleState, pod: PodInfo, node: NodeInfo) -> Status:
        """Refuse every node but the one named."""
        wanted = pod.spec.get("nodeName")
        return SUCCESS if not wanted or wanted == node.name else unresolvable(REASON)
