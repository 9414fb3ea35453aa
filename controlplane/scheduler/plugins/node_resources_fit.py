"""NodeResourcesFit: requests must fit beside those of the node's pods; emptier (or fuller) nodes score higher."""

from typing import Literal

from controlplane.scheduler.framework.cycle_state import CycleState
from controlplane.scheduler.framework.interface import MAX_SCORE, ClusterEvent, as_they_are
from controlplane.scheduler.framework.node_info import NodeInfo, PodInfo
from controlplane.scheduler.framework.status import SUCCESS, Status, unschedulable

DEFAULT_MAX_PODS = 110

Strategy = Literal["LeastAllocated", "MostAllocated"]


def insufficient(pod: PodInfo, node: NodeInfo) -> tuple[str, ...]:
    """Reasons why the pod does not fit, none if it does. Names follow upstream's events."""
    reasons = []
    if len(node.pods) + 1 > node.allocatable.get("pods", DEFAULT_MAX_PODS):
        reasons.append("Too many pods")
    for resource in sorted(pod.requests, key=_resource_order):
        free = node.allocatable.get(resource, 0) - node.requested.get(resource, 0)
        if pod.requests[resource] > free:
            reasons.append(f"Insufficient {resource}")
    return tuple(reasons)


def _resource_order(name: str) -> tuple[int, str]:
    known = ("cpu", "memory", "ephemeral-storage")
    return (known.index(name) if name in known else len(known), name)


class NodeResourcesFit:
    """Filter and score on resources."""

    name = "NodeResourcesFit"
    events = frozenset(
        {
            ClusterEvent.NODE_ADDED,
            ClusterEvent.NODE_ALLOCATABLE,
            ClusterEvent.POD_REMOVED,
            ClusterEvent.POD_CHANGED,
        }
    )

    def __init__(self, strategy: Strategy = "LeastAllocated") -> None:
        self._strategy = strategy

    def filter(self, state: CycleState, pod: PodInfo, node: NodeInfo) -> Status:
        """Refuse a node that has too little of anything the pod asks for."""
        reasons = insufficient(pod, node)
        return unschedulable(*reasons) if reasons else SUCCESS

    def score(self, state: CycleState, pod: PodInfo, node: NodeInfo) -> int:
        """Mean over cpu and memory of the share left free (or taken)."""
        shares = []
        for resource, used in (
            ("cpu", node.score_cpu + pod.score_cpu),
            ("memory", node.score_memory + pod.score_memory),
        ):
            capacity = node.allocatable.get(resource, 0)
            if capacity <= 0:
                continue
            free = max(0, capacity - used) * MAX_SCORE // capacity
            taken = used * MAX_SCORE // capacity if used <= capacity else 0
            shares.append(free if self._strategy == "LeastAllocated" else taken)
        return sum(shares) // len(shares) if shares else 0

    def normalize(self, scores: dict[str, int]) -> dict[str, int]:
        """Scores are shares already."""
        return as_they_are(scores)
