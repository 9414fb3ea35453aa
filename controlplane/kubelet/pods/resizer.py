"""Grants changes of a pod's resources and hands them on to its running containers; resize.py decides."""

from collections.abc import Callable, Mapping

from controlplane.api.meta import View
from controlplane.kubelet.containers.security import limits_of
from controlplane.kubelet.pods.admission import Room, admit
from controlplane.kubelet.pods.allocation import Allocation
from controlplane.kubelet.pods.node import Node
from controlplane.kubelet.pods.resize import (
    ResizeCondition,
    felt_changes,
    needs_restart,
    resources_of,
    same,
    summary,
    with_resources,
)
from controlplane.kubelet.runtimes.interface import (
    ContainerRuntimeError,
    ContainerState,
    ContainerStatus,
    Feature,
)

Emit = Callable[[str, str, str], None]
"""Type, reason, message."""

RETRY_SECONDS = 10.0
PENDING, IN_PROGRESS = "PodResizePending", "PodResizeInProgress"


class Resizer:
    """The changes of one pod."""

    def __init__(self, node: Node, allocation: Allocation, emit: Emit) -> None:
        self._node = node
        self._allocation = allocation
        self._emit = emit
        self._pending: ResizeCondition | None = None
        self._progress: ResizeCondition | None = None
        self.retry_at: float | None = None
        """When what cannot be had now is to be tried again."""

    @property
    def conditions(self) -> list[ResizeCondition]:
        """What the pod's status is to tell."""
        return [one for one in (self._pending, self._progress) if one is not None]

    async def resize(self, pod: View, room: Callable[[], Room] | None) -> None:
        """Grant what can be granted, and give running containers what they can get without a restart."""
        self.retry_at = None
        self._grant(pod, room)
        error = ""
        left = False
        for status, container, changes in self._behind(pod):
            if needs_restart(container, changes):
                left = True
                continue
            limits = limits_of(container, self._node.most_pids)
            try:
                await self._node.runtime.update_container(status.id, limits)
            except (ContainerRuntimeError, KeyError) as problem:
                error = f"failed to resize container {status.name}: {problem}"
            else:
                self._allocation.give(status.name)
        self._tell_progress(pod, error, left=left)

    def restarts(self, pod: View, runs: Mapping[str, ContainerStatus]) -> frozenset[str]:
        """Containers that only a restart gives what they were granted."""
        granted = with_resources(pod, self._allocation.allocated)
        return frozenset(
            name
            for name, container in _containers(granted).items()
            if name in runs and needs_restart(container, self._changes(name))
        )

    def _grant(self, pod: View, room: Callable[[], Room] | None) -> None:
        wished = resources_of(pod)
        if wished == self._allocation.allocated:
            self._pending = None
            return
        if same(wished, self._allocation.allocated):
            self._pending = None
            self._allocation.grant(pod)
            return
        refusal = self._refusal(pod, room)
        if refusal is None:
            self._pending = None
            self._allocation.grant(pod)
            self._progress = ResizeCondition(IN_PROGRESS)
            self._emit("Normal", "ResizeStarted", f"Pod resize started: {summary(pod)}")
            return
        if refusal != self._pending:
            text = f"Pod resize {refusal.reason}: {summary(pod, refusal.message)}"
            self._emit("Warning", f"Resize{refusal.reason}", text)
        self._pending = refusal
        if refusal.reason == "Deferred":
            self.retry_at = self._node.clock.time() + RETRY_SECONDS

    def _refusal(self, pod: View, room: Callable[[], Room] | None) -> ResizeCondition | None:
        if Feature.LIMITS not in self._node.runtime.features:
            text = "In-place pod resize is not supported on this node"
            return ResizeCondition(PENDING, "Infeasible", text)
        rejection = admit(pod, room()) if room is not None else None
        if rejection is None:
            return None
        return ResizeCondition(PENDING, "Deferred", rejection.message)

    def _behind(self, pod: View) -> list[tuple[ContainerStatus, View, set[str]]]:
        """Running containers that have something else than was granted."""
        containers = _containers(with_resources(pod, self._allocation.allocated))
        found = []
        for status in self._node.runtime.list_containers(str(pod["metadata"]["uid"])):
            container = containers.get(status.name)
            if status.state is not ContainerState.RUNNING or container is None:
                continue
            changes = self._changes(status.name)
            if changes:
                found.append((status, container, changes))
            elif status.name in self._allocation.actual:
                self._keep_up(status.name)
        return found

    def _keep_up(self, name: str) -> None:
        """What a container does not feel is its own at once."""
        if self._allocation.actual[name] != self._allocation.allocated.get(name):
            self._allocation.give(name)

    def _changes(self, name: str) -> set[str]:
        allocation = self._allocation
        if name not in allocation.actual or name not in allocation.allocated:
            return set()
        return felt_changes(allocation.actual[name], allocation.allocated[name])

    def _tell_progress(self, pod: View, error: str, *, left: bool) -> None:
        if self._progress is None and not error:
            return
        if error:
            wanted = ResizeCondition(IN_PROGRESS, "Error", error)
            if wanted != self._progress:
                text = f"Pod resize error: {summary(pod, error)}"
                self._emit("Warning", "ResizeError", text)
            self._progress = wanted
            self.retry_at = self._node.clock.time() + RETRY_SECONDS
        elif left:
            self._progress = ResizeCondition(IN_PROGRESS)
        else:
            self._progress = None
            self._emit("Normal", "ResizeCompleted", f"Pod resize completed: {summary(pod)}")


def _containers(pod: View) -> dict[str, View]:
    spec = pod["spec"]
    return {
        one["name"]: one for key in ("initContainers", "containers") for one in spec.get(key) or ()
    }
