"""What happens in the cluster, as far as it may make a refused pod fit, and whom it may help.

A plugin names the events that can change its verdict, each with an optional hint that looks at the object: an event
wakes only pods it can help (upstream's queueing hints).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from controlplane.api.meta import View
from controlplane.scheduler.framework.node_info import PodInfo


class ClusterEvent(NamedTuple):
    """A kind of change: `resource` is a plural with its group (`nodes`, `csinodes.storage.k8s.io`)."""

    resource: str
    action: str


NODE_ADDED = ClusterEvent("nodes", "add")
NODE_LABELS = ClusterEvent("nodes", "update labels")
NODE_TAINTS = ClusterEvent("nodes", "update taints")
NODE_ALLOCATABLE = ClusterEvent("nodes", "update allocatable")
POD_ADDED = ClusterEvent("pods", "add assigned")
POD_REMOVED = ClusterEvent("pods", "delete assigned")
POD_CHANGED = ClusterEvent("pods", "update assigned")
POD_ITSELF = ClusterEvent("pods", "update waiting")
"""The waiting pod was changed in a part that scheduling looks at."""

Hint = Callable[[PodInfo, View | None, View | None], bool]
"""Whether the change from an old to a new object (None: there was, there is none) may help the pod."""


@dataclass(frozen=True, slots=True)
class Wake:
    """An event after which a pod that the plugin refused is worth another try; no hint means: always."""

    event: ClusterEvent
    hint: Hint | None = None

    def helps(self, event: ClusterEvent, pod: PodInfo, old: View | None, new: View | None) -> bool:
        """Whether this very change may help the pod."""
        if event not in (self.event, POD_ITSELF):
            return False
        return self.hint is None or event == POD_ITSELF or self.hint(pod, old, new)


def on(*events: ClusterEvent) -> tuple[Wake, ...]:
    """The events without hints."""
    return tuple(Wake(event) for event in events)


def added(resource: str) -> ClusterEvent:
    """An object of any resource appeared."""
    return ClusterEvent(resource, "add")


def changed(resource: str) -> ClusterEvent:
    """An object of any resource changed."""
    return ClusterEvent(resource, "update")


def removed(resource: str) -> ClusterEvent:
    """An object of any resource went."""
    return ClusterEvent(resource, "delete")
