"""NodePorts: two pods of a node cannot hold the same host port."""

from collections.abc import Sequence

from controlplane.api.meta import View
from controlplane.kinds.core.pod.ports import conflict, host_ports
from controlplane.scheduler.framework import events as cluster
from controlplane.scheduler.framework.cycle_state import CycleState
from controlplane.scheduler.framework.node_info import NodeInfo, PodInfo
from controlplane.scheduler.framework.status import SKIP, SUCCESS, Status, unschedulable

REASON = "node(s) didn't have free ports for the requested pod ports"


def _frees_port(pod: PodInfo, old: View | None, new: View | None) -> bool:
    """A hint: whether the pod that went held a port that this one wants."""
    held = host_ports((old or {}).get("spec") or {})
    return any(conflict(wanted, port) for wanted in pod.host_ports for port in held)


class NodePorts:
    """Filter on host ports."""

    name = "NodePorts"
    is_local = True
    events = (
        *cluster.on(cluster.NODE_ADDED),
        cluster.Wake(cluster.POD_REMOVED, _frees_port),
    )

    def pre_filter(self, state: CycleState, pod: PodInfo, nodes: Sequence[NodeInfo]) -> Status:
        """Most pods ask for none."""
        return SUCCESS if pod.host_ports else SKIP

    def filter(self, state: CycleState, pod: PodInfo, node: NodeInfo) -> Status:
        """Refuse a node where a port is taken."""
        held = node.host_ports
        clash = any(conflict(wanted, port) for wanted in pod.host_ports for port in held)
        return unschedulable(REASON) if clash else SUCCESS
