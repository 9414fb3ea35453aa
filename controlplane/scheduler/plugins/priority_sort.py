"""PrioritySort: the more important pod first, among equals the one that waits longer."""

from controlplane.scheduler.framework import events as cluster
from controlplane.scheduler.framework.node_info import PodInfo


class PrioritySort:
    """Orders the queue."""

    name = "PrioritySort"
    events: tuple[cluster.Wake, ...] = ()

    def sort_key(self, pod: PodInfo, added_at: float) -> tuple[float, ...]:
        """By spec.priority, then by arrival."""
        return (-pod.priority, added_at)
