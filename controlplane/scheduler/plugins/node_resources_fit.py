"""NodeResourcesFit: requests must fit beside those of the node's pods; emptier (or fuller) nodes score higher."""

from collections.abc import Callable

from controlplane.api.meta import View
from controlplane.scheduler.framework import events as cluster
from controlplane.scheduler.framework.cycle_state import CycleState
from controlplane.scheduler.framework.interface import MAX_SCORE, as_they_are
from controlplane.scheduler.framework.node_info import NodeInfo, PodInfo, node_info
from controlplane.scheduler.framework.status import SUCCESS, Status, unresolvable, unschedulable

DEFAULT_MAX_PODS = 110

_TYPES = ("LeastAllocated", "MostAllocated", "RequestedToCapacityRatio")


def insufficient(
    pod: PodInfo, node: NodeInfo, counts: Callable[[str], bool] = lambda resource: True
) -> tuple[str, ...]:
    """Reasons why the pod does not fit, none if it does; only resources that `counts` matter. Upstream's words."""
    reasons = []
    if len(node.pods) + 1 > node.allocatable.get("pods", DEFAULT_MAX_PODS):
        reasons.append("Too many pods")
    for resource in sorted(pod.requests, key=_resource_order):
        free = node.allocatable.get(resource, 0) - node.requested.get(resource, 0)
        if pod.requests[resource] > free and counts(resource):
            reasons.append(f"Insufficient {resource}")
    return tuple(reasons)


def _resource_order(name: str) -> tuple[int, str]:
    known = ("cpu", "memory", "ephemeral-storage")
    return (known.index(name) if name in known else len(known), name)


class NodeResourcesFit:
    """Filter and score on resources."""

    name = "NodeResourcesFit"
    is_local = True

    def __init__(self, args: View) -> None:
        """NodeResourcesFitArgs: `scoringStrategy`, `ignoredResources`, `ignoredResourceGroups`."""
        strategy = args.get("scoringStrategy") or {}
        self._type = str(strategy.get("type") or "LeastAllocated")
        if self._type not in _TYPES:
            raise ValueError(f"scoringStrategy.type: {self._type!r} is none of {', '.join(_TYPES)}")
        listed = strategy.get("resources") or ({"name": "cpu"}, {"name": "memory"})
        self._weights = {str(r["name"]): int(r.get("weight") or 1) for r in listed}
        shape = (strategy.get("requestedToCapacityRatio") or {}).get("shape") or ()
        self._shape = [(int(p["utilization"]), int(p["score"])) for p in shape]
        if self._type == "RequestedToCapacityRatio" and not self._shape:
            raise ValueError("scoringStrategy.requestedToCapacityRatio.shape: at least one point")
        self._ignored = frozenset(args.get("ignoredResources") or ())
        self._ignored_groups = tuple(f"{g}/" for g in args.get("ignoredResourceGroups") or ())
        self.events = (
            cluster.Wake(cluster.NODE_ADDED, self._has_enough),
            cluster.Wake(cluster.NODE_ALLOCATABLE, self._has_enough),
            *cluster.on(cluster.POD_REMOVED, cluster.POD_CHANGED),
        )

    def _has_enough(self, pod: PodInfo, old: View | None, new: View | None) -> bool:
        """A hint: whether the node, were it empty, could have the pod, and has more of it than before."""
        if new is None:
            return False
        now = node_info(new).allocatable
        counted = {name: amount for name, amount in pod.requests.items() if self._counts(name)}
        if any(amount > now.get(name, 0) for name, amount in counted.items()):
            return False
        if old is None:
            return True
        before = node_info(old).allocatable
        return any(now.get(name, 0) > before.get(name, 0) for name in (*counted, "pods"))

    def _counts(self, resource: str) -> bool:
        return resource not in self._ignored and not resource.startswith(self._ignored_groups)

    def filter(self, state: CycleState, pod: PodInfo, node: NodeInfo) -> Status:
        """Refuse a node that has too little of anything the pod asks for; an empty one may not be enough."""
        reasons = insufficient(pod, node, self._counts)
        if not reasons:
            return SUCCESS
        never = any(
            amount > node.allocatable.get(resource, 0) and self._counts(resource)
            for resource, amount in pod.requests.items()
        )
        return unresolvable(*reasons) if never else unschedulable(*reasons)

    def score(self, state: CycleState, pod: PodInfo, node: NodeInfo) -> int:
        """Weighted mean over the resources of the share left free (or taken, or by the shape)."""
        total = weights = 0
        for resource, weight in self._weights.items():
            capacity = node.allocatable.get(resource, 0)
            if capacity <= 0:
                continue
            total += weight * self._share(_used(resource, pod, node), capacity)
            weights += weight
        return total // weights if weights else 0

    def _share(self, used: int, capacity: int) -> int:
        if self._type == "LeastAllocated":
            return max(0, capacity - used) * MAX_SCORE // capacity
        if self._type == "MostAllocated":
            return used * MAX_SCORE // capacity if used <= capacity else 0
        return _interpolated(self._shape, min(MAX_SCORE, used * MAX_SCORE // capacity))

    def normalize(self, scores: dict[str, int]) -> dict[str, int]:
        """Scores are shares already."""
        return as_they_are(scores)


def _used(resource: str, pod: PodInfo, node: NodeInfo) -> int:
    # Pods that ask for no cpu or memory count for scores as if they did (upstream's non-zero requests).
    if resource == "cpu":
        return node.score_cpu + pod.score_cpu
    if resource == "memory":
        return node.score_memory + pod.score_memory
    return node.requested.get(resource, 0) + pod.requests.get(resource, 0)


def _interpolated(shape: list[tuple[int, int]], utilization: int) -> int:
    """The score at a utilization (both 0..100) on the line through the points; a point's score is 0..10."""
    ratio = MAX_SCORE // 10
    before = shape[0]
    for point in shape:
        if utilization <= point[0]:
            if point[0] == before[0]:
                return point[1] * ratio
            rise = (point[1] - before[1]) * ratio
            return before[1] * ratio + rise * (utilization - before[0]) // (point[0] - before[0])
        before = point
    return shape[-1][1] * ratio
