"""Pods bound to this node, from the watch to one worker each, by uid."""

from controlplane.api.errors import APIError
from controlplane.api.meta import View
from controlplane.client.informer import Informer
from controlplane.kinds.core.node import NODES
from controlplane.kinds.core.pod.views import is_ended
from controlplane.kubelet.pods import eviction
from controlplane.kubelet.pods.admission import NODE_AFFINITY, Rejection, Room, admit
from controlplane.kubelet.pods.node import Node
from controlplane.kubelet.pods.worker import PodWorker
from controlplane.kubelet.runtimes.interface import ContainerRuntimeError
from kvstore.base.log import get_logger
from kvstore.base.tasks import Supervisor

_log = get_logger("pods")


DISK_SECONDS = 10.0
"""How often pods with limits of disk are measured, as upstream does."""


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
        self._supervisor.start(self._watch_disk(), "disk", eternal=True)
        try:
            await self._supervisor.wait()
        finally:
            await self._supervisor.stop(10.0)

    def _added(self, pod: View) -> None:
        uid = pod["metadata"]["uid"]
        if uid in self._workers:
            self._workers[uid].update(pod)
            return
        worker = PodWorker(self._node, pod)
        worker.room = lambda: self._room(self._node.own(), uid)
        status = pod.get("status") or {}
        if not status.get("startTime") and not is_ended(pod):
            # What this node took once, in an earlier life too, is not asked for again.
            worker.rejection = admit(pod, self._room(self._node.own()))
        self._workers[uid] = worker
        self._supervisor.start(self._look_after(uid, worker), pod["metadata"]["name"])

    def _room(self, node: View | None, without: str = "") -> Room:
        others = [
            worker.pod
            for uid, worker in self._workers.items()
            if worker.takes_room and uid != without
        ]
        return Room(node, self._node.allocatable, others, self._node.unsafe_sysctls)

    def _updated(self, old: View, new: View) -> None:
        self._added(new)

    def _deleted(self, pod: View) -> None:
        worker = self._workers.get(pod["metadata"]["uid"])
        if worker is not None:
            worker.object_deleted()

    def _container_changed(self, pod_uid: str) -> None:
        worker = self._workers.get(pod_uid)
        if worker is not None:
            worker.poke()

    async def _look_after(self, uid: str, worker: PodWorker) -> None:
        try:
            if worker.rejection is not None and worker.rejection.reason == NODE_AFFINITY:
                worker.rejection = await self._ask_again(worker)
            await worker.run()
        except Exception:
            # A bug met by one pod must not end the others; the next agent start tries again.
            _log.exception("worker failed", pod_uid=uid)
        finally:
            self._workers.pop(uid, None)

    async def _ask_again(self, worker: PodWorker) -> Rejection | None:
        """The node's labels may have changed a moment ago."""
        try:
            node: View = await self._node.client.get(NODES, self._node.name)
        except APIError:
            return worker.rejection
        return admit(worker.pod, self._room(node))

    async def _watch_disk(self) -> None:
        """End pods that have written more than they may."""
        while True:
            await self._node.clock.sleep(DISK_SECONDS)
            for worker in list(self._workers.values()):
                pod = worker.pod
                if not (worker.takes_room and eviction.is_limited(pod)):
                    continue
                message = eviction.excess(pod, await self._usage(pod))
                if message is not None and not eviction.is_critical(pod):
                    worker.evict(message)

    async def _usage(self, pod: View) -> eviction.Usage:
        directory = self._node.root / "pods" / str(pod["metadata"]["uid"])
        volumes, containers = eviction.places(pod, directory)
        every = [*volumes.values(), *containers.values()]
        try:
            sizes = iter(await self._node.runtime.used_bytes([p for paths in every for p in paths]))
        except ContainerRuntimeError as problem:
            _log.debug("disk not measured", pod=pod["metadata"]["name"], error=str(problem))
            return eviction.Usage()
        return eviction.Usage(
            *(
                {name: sum(next(sizes) for _ in paths) for name, paths in group.items()}
                for group in (volumes, containers)
            )
        )
