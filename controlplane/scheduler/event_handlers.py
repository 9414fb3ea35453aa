"""Turns what the watches show into changes of the cache and the queue; synchronous and free of IO.

A pod belongs to the cache once it has a node and has not ended, to the queue while it has none and asks for this
scheduler, and to neither otherwise.
"""

from collections.abc import Collection

from controlplane.api.meta import View
from controlplane.kinds.core.pod.views import is_ended
from controlplane.scheduler.cache import SchedulerCache
from controlplane.scheduler.framework import events
from controlplane.scheduler.queue import SchedulingQueue


class Feed:
    """Listeners for the informers of pods, nodes, and of what plugins asked for; `names` are the schedulers served."""

    def __init__(
        self, cache: SchedulerCache, queue: SchedulingQueue, names: Collection[str]
    ) -> None:
        self._cache = cache
        self._queue = queue
        self._names = names

    def other(self, resource: str) -> "OtherEvents":
        """Listeners for another resource, by its plural with group."""
        return OtherEvents(self._queue, resource)

    def pod_added(self, pod: View) -> None:
        """A pod appeared."""
        if occupies_node(pod):
            self._cache.set_pod(pod)
            self._queue.delete(pod["metadata"]["uid"])
            self._queue.move_all(events.POD_ADDED, None, pod)
        elif self._is_ours(pod):
            self._queue.add(pod)

    def pod_updated(self, old: View, new: View) -> None:
        """A pod changed; it may have moved between cache, queue and neither."""
        uid = new["metadata"]["uid"]
        was_here, is_here = occupies_node(old), occupies_node(new)
        if is_here:
            self._cache.set_pod(new)
            self._queue.delete(uid)
            if not was_here:
                self._queue.move_all(events.POD_ADDED, old, new)
            elif _matters(old) != _matters(new):
                self._queue.move_all(events.POD_CHANGED, old, new)
        elif was_here:
            self.pod_deleted(new)
        elif self._is_ours(new):
            self._queue.update(new, relevant=_matters(old) != _matters(new))
        else:
            self._queue.delete(uid)

    def pod_deleted(self, pod: View) -> None:
        """A pod is gone or has ended."""
        uid = pod["metadata"]["uid"]
        self._queue.delete(uid)
        self._cache.remove_pod(uid)
        if pod["spec"].get("nodeName"):
            self._queue.move_all(events.POD_REMOVED, pod, None)

    def node_added(self, node: View) -> None:
        """A node appeared."""
        self._cache.set_node(node)
        self._queue.move_all(events.NODE_ADDED, None, node)

    def node_updated(self, old: View, new: View) -> None:
        """A node changed; heartbeats are changes too, and must not wake every waiting pod."""
        self._cache.set_node(new)
        if (old.get("status") or {}).get("allocatable") != (new.get("status") or {}).get(
            "allocatable"
        ):
            self._queue.move_all(events.NODE_ALLOCATABLE, old, new)
        if old["metadata"].get("labels") != new["metadata"].get("labels"):
            self._queue.move_all(events.NODE_LABELS, old, new)
        old_spec, new_spec = old.get("spec") or {}, new.get("spec") or {}
        if any(old_spec.get(key) != new_spec.get(key) for key in ("taints", "unschedulable")):
            self._queue.move_all(events.NODE_TAINTS, old, new)

    def node_deleted(self, node: View) -> None:
        """A node is gone. Nothing gets easier, so nobody is woken."""
        self._cache.remove_node(node["metadata"]["name"])

    def _is_ours(self, pod: View) -> bool:
        spec = pod["spec"]
        return (
            not spec.get("nodeName")
            and not pod["metadata"].get("deletionTimestamp")
            and not is_ended(pod)
            and (spec.get("schedulerName") or "default-scheduler") in self._names
        )


class OtherEvents:
    """Listeners for the informer of a resource that only plugins care about."""

    def __init__(self, queue: SchedulingQueue, resource: str) -> None:
        self._queue = queue
        self._resource = resource

    def added(self, obj: View) -> None:
        """An object appeared."""
        self._queue.move_all(events.added(self._resource), None, obj)

    def updated(self, old: View, new: View) -> None:
        """An object changed."""
        self._queue.move_all(events.changed(self._resource), old, new)

    def deleted(self, obj: View) -> None:
        """An object is gone."""
        self._queue.move_all(events.removed(self._resource), obj, None)


def occupies_node(pod: View) -> bool:
    """Whether the pod takes up room on a node."""
    return bool(pod["spec"].get("nodeName")) and not is_ended(pod)


def _matters(pod: View) -> tuple[object, ...]:
    """The parts of a pod that scheduling looks at; a status write is no reason to try again."""
    meta = pod["metadata"]
    return (pod["spec"], meta.get("labels"), meta.get("deletionTimestamp"))
