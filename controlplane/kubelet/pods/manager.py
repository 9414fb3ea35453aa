"""Pods bound to this node, from the watch to one worker each, by uid."""

from collections.abc import Mapping
from typing import Any

from controlplane.client.informer import Informer
from controlplane.kubelet.pods.node import Node
from controlplane.kubelet.pods.worker import PodWorker
from kvstore.base.log import get_logger
from kvstore.base.tasks import Supervisor

_log = get_logger("pods")

Object = Mapping[str, Any]


class PodManager:
    """Starts a worker for every pod and tells it what the watch and the runtime say."""

    def __init__(self, node: Node, informer: Informer) -> None:
        self._node = node
        self._informer = informer
        self._workers: dict[str, PodWorker] = {}
        self._supervisor = Supervisor("pods")

    @property
    def count(self) -> int:
        """Pods looked after."""
        return len(self._workers)

    async def run(self) -> None:
        """Follow the pods until cancelled."""
        self._node.runtime.on_change(self._container_changed)
        self._informer.add_listener(self._added, self._updated, self._deleted)
        for box in self._node.runtime.list_sandboxes():
            if box.pod_uid not in self._workers:
                # Its pod was deleted while no kubelet was there.
                await self._node.runtime.remove_sandbox(box.id)
        await self._node.volumes.remove_orphans(self._workers)
        try:
            await self._supervisor.wait()
        finally:
            await self._supervisor.stop(10.0)

    def _added(self, pod: Object) -> None:
        uid = pod["metadata"]["uid"]
        if uid in self._workers:
            self._workers[uid].update(pod)
            return
        worker = self._workers[uid] = PodWorker(self._node, pod)
        self._supervisor.start(self._look_after(uid, worker), pod["metadata"]["name"])

    def _updated(self, old: Object, new: Object) -> None:
        self._added(new)

    def _deleted(self, pod: Object) -> None:
        worker = self._workers.get(pod["metadata"]["uid"])
        if worker is not None:
            worker.object_deleted()

    def _container_changed(self, pod_uid: str) -> None:
        worker = self._workers.get(pod_uid)
        if worker is not None:
            worker.poke()

    async def _look_after(self, uid: str, worker: PodWorker) -> None:
        try:
            await worker.run()
        except Exception:
            # A bug met by one pod must not end the others; the next agent start tries again.
            _log.exception("worker failed", pod_uid=uid)
        finally:
            self._workers.pop(uid, None)
