"""Which run of which container a request means."""

from typing import Any

from controlplane.client.indexer import Indexer
from controlplane.kubelet.runtimes.interface import (
    ContainerRuntime,
    ContainerState,
    ContainerStatus,
    Sandbox,
)


class UnknownError(Exception):
    """There is no such thing here; the message is for the caller, with status 404."""


class Containers:
    """The pods of this node and what runs of them."""

    def __init__(self, runtime: ContainerRuntime, pods: Indexer) -> None:
        self.runtime = runtime
        self._pods = pods

    def pod(self, namespace: str, name: str, uid: str = "") -> dict[str, Any]:
        """A pod of this node. Raises UnknownError."""
        pod = self._pods.get(name, namespace)
        if pod is None or (uid and pod["metadata"]["uid"] != uid):
            raise UnknownError(f'pod "{name}" not found on this node')
        return pod

    def running(self, namespace: str, pod: str, name: str, uid: str = "") -> ContainerStatus:
        """The running container of that name. Raises UnknownError."""
        every = self.runtime.list_containers(self.pod(namespace, pod, uid)["metadata"]["uid"])
        runs = [one for one in every if one.name == name]
        if not runs or runs[-1].state is not ContainerState.RUNNING:
            raise UnknownError(f'container not found ("{name}")')
        return runs[-1]

    def sandbox(self, namespace: str, pod: str, uid: str = "") -> Sandbox:
        """The sandbox a pod runs in. Raises UnknownError."""
        wanted = self.pod(namespace, pod, uid)["metadata"]["uid"]
        boxes = [b for b in self.runtime.list_sandboxes() if b.pod_uid == wanted and b.ready]
        if not boxes:
            raise UnknownError(f'pod "{pod}" is not running')
        return boxes[-1]
