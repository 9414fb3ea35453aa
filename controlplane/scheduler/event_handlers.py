"""Turns what the watches show into changes of the cache and the queue; synchronous and free of IO.

A pod belongs to the cache once it has a node and has not ended, to the queue while it has none and asks for this
scheduler, and to neither otherwise.
"""

from collections.abc import Mapping
from typing import Any

from controlplane.scheduler.cache import SchedulerCache
from controlplane.scheduler.framework.interface import ClusterEvent
from controlplane.scheduler.queue import SchedulingQueue

Object = Mapping[str, Any]


class Feed:
    """Listeners for the informers of pods and nodes."""

    def __init__(self, cache: SchedulerCache, queue: SchedulingQueue, scheduler_name: str) -> None:
        self._cache = cache
        self._queue = queue
        self._scheduler_name = scheduler_name

    def pod_added(self, pod: Object) -> None:
        """A pod appeared."""
        if occupies_node(pod):
            self._cache.set_pod(pod)
            self._queue.delete(pod["metadata"]["uid"])
            self._queue.move_all(ClusterEvent.POD_ADDED)
        elif self._is_ours(pod):
            self._queue.add(pod)

    def pod_updated(self, old: Object, new: Object) -> None:
        """A pod changed; it may have moved between cache, queue and neither."""
        uid = new["metadata"]["uid"]
        was_here, is_here = occupies_node(old), occupies_node(new)
        if is_here:
            self._cache.set_pod(new)
            self._queue.delete(uid)
            if not was_here:
                self._queue.move_all(ClusterEvent.POD_ADDED)
            elif _matters(old) != _matters(new):
                self._queue.move_all(ClusterEvent.POD_CHANGED)
        elif was_here:
            self.pod_deleted(new)
        elif self._is_ours(new):
            self._queue.update(new, relevant=_matters(old) != _matters(new))
        else:
            self._queue.delete(uid)

    def pod_deleted(self, pod: Object) -> None:
        """A pod is gone or has ended."""
        uid = pod["metadata"]["uid"]
        self._queue.delete(uid)
        self._cache.remove_pod(uid)
        if pod["spec"].get("nodeName"):
            self._queue.move_all(ClusterEvent.POD_REMOVED)

    def node_added(self, node: Object) -> None:
        """A node appeared."""
        self._cache.set_node(node)
        self._queue.move_all(ClusterEvent.NODE_ADDED)

    def node_updated(self, old: Object, new: Object) -> None:
        """A node changed; heartbeats are changes too, and must not wake every waiting pod."""
        self._cache.set_node(new)
        if (old.get("status") or {}).get("allocatable") != (new.get("status") or {}).get(
            "allocatable"
        ):
            self._queue.move_all(ClusterEvent.NODE_ALLOCATABLE)
        if old["metadata"].get("labels") != new["metadata"].get("labels"):
            self._queue.move_all(ClusterEvent.NODE_LABELS)
        old_spec, new_spec = old.get("spec") or {}, new.get("spec") or {}
        if any(old_spec.get(key) != new_spec.get(key) for key in ("taints", "unschedulable")):
            self._queue.move_all(ClusterEvent.NODE_TAINTS)

    def node_deleted(self, node: Object) -> None:
        """A node is gone. Nothing gets easier, so nobody is woken."""
        self._cache.remove_node(node["metadata"]["name"])

    def _is_ours(self, pod: Object) -> bool:
        spec = pod["spec"]
        return (
            not spec.get("nodeName")
            and not pod["metadata"].get("deletionTimestamp")
            and not spec.get("schedulingGates")
            and not ended(pod)
            and (spec.get("schedulerName") or "default-scheduler") == self._scheduler_name
        )


def ended(pod: Object) -> bool:
    """Whether the pod will never run again."""
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def occupies_node(pod: Object) -> bool:
    """Whether the pod takes up room on a node."""
    return bool(pod["spec"].get("nodeName")) and not ended(pod)


def _matters(pod: Object) -> tuple[object, ...]:
    """The parts of a pod that scheduling looks at; a status write is no reason to try again."""
    meta = pod["metadata"]
    return (pod["spec"], meta.get("labels"), meta.get("deletionTimestamp"))
