"""What the scheduler believes of nodes and their pods, ahead of what the API server says.

A pod that was given a node counts there from that instant (`assume`), not only when the watch brings it back; a failed
binding takes it away again (`forget`). A cycle works on a `snapshot`, of which only changed nodes are copied anew.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from controlplane.scheduler.framework.node_info import NodeInfo, PodInfo, pod_info


class SchedulerCache:
    """Nodes with their pods; owns every `NodeInfo` it hands out copies of."""

    def __init__(self) -> None:
        self._nodes: dict[str, NodeInfo] = {}
        self._node_of: dict[str, str] = {}
        self._assumed: set[str] = set()
        self._nominated: dict[str, tuple[str, PodInfo]] = {}
        self._generation = 0
        self._recent: dict[str, None] = {}
        """All nodes, the one that changed last at the end."""
        self._epoch = 0
        self._affine: dict[str, None] = {}
        self._ordered: list[NodeInfo] = []
        self._places: dict[str, int] = {}
        self._ordered_epoch = 0
        self._snapshot_generation = 0

    def set_node(self, node: Mapping[str, Any]) -> None:
        """A node appeared or changed."""
        info = self._info(node["metadata"]["name"])
        if info.node is None or _matters_to_all(info.node) != _matters_to_all(node):
            self._epoch += 1
        info.set_node(node)
        self._mark(info)

    def remove_node(self, name: str) -> None:
        """A node is gone; pods still recorded on it are kept until they go too."""
        info = self._nodes.get(name)
        if info is None:
            return
        info.set_node(None)
        self._epoch += 1
        self._mark(info)
        self._drop_empty(info)

    def set_pod(self, pod: Mapping[str, Any]) -> None:
        """The API server shows a pod on a node; this confirms or corrects an assumption."""
        info = pod_info(pod)
        self._assumed.discard(info.uid)
        self.drop_nomination(info.uid)
        self._place(info, str(pod["spec"]["nodeName"]))

    def remove_pod(self, uid: str) -> None:
        """A pod is gone or has ended."""
        self.drop_nomination(uid)
        self._assumed.discard(uid)
        self._unplace(uid)

    def assume(self, pod: PodInfo, node_name: str) -> None:
        """Count the pod on the node before the API server knows."""
        self.drop_nomination(pod.uid)
        self._assumed.add(pod.uid)
        self._place(pod, node_name)

    def forget(self, pod: PodInfo) -> None:
        """Undo `assume`, unless the API server has confirmed it meanwhile."""
        if pod.uid in self._assumed:
            self.remove_pod(pod.uid)

    def nominate(self, pod: PodInfo, node_name: str) -> None:
        """Room is being made for the pod on the node."""
        self.drop_nomination(pod.uid)
        self._nominated[pod.uid] = (node_name, pod)
        self._touch(node_name)

    def drop_nomination(self, uid: str) -> None:
        """The pod has a node, is gone, or will not get the room."""
        found = self._nominated.pop(uid, None)
        if found is not None:
            self._touch(found[0])

    def _touch(self, node_name: str) -> None:
        info = self._nodes.get(node_name)
        if info is not None:
            info.nominated = tuple(
                pod for name, pod in self._nominated.values() if name == node_name
            )
            self._mark(info)

    def is_assumed(self, uid: str) -> bool:
        """Whether the pod has a node that the API server has not shown yet."""
        return uid in self._assumed

    def snapshot(self) -> "Snapshot":
        """The nodes as they are now, in order of name; later changes do not reach it."""
        if self._epoch != self._ordered_epoch:
            self._order()
        for name in reversed(self._recent):
            info = self._nodes[name]
            if info.generation <= self._snapshot_generation:
                break
            if info.node is not None:
                self._ordered[self._places[name]] = info.clone()
        self._snapshot_generation = self._generation
        shown = [self._ordered[self._places[name]] for name in self._affine if name in self._places]
        return Snapshot(self._ordered, self._epoch, self._generation, shown, self._changed_since)

    def _order(self) -> None:
        """Nodes came, went, or have other images or labels."""
        names = sorted(name for name, info in self._nodes.items() if info.node is not None)
        old = {node.name: node for node in self._ordered}
        kept = self._snapshot_generation
        self._ordered = []
        for name in names:
            info = self._nodes[name]
            is_known = name in old and info.generation <= kept
            self._ordered.append(old[name] if is_known else info.clone())
        self._places = {name: place for place, name in enumerate(names)}
        self._ordered_epoch = self._epoch

    def _changed_since(self, generation: int) -> list[NodeInfo]:
        """The nodes of the latest snapshot that changed after a generation, the last first."""
        found = []
        for name in reversed(self._recent):
            info = self._nodes[name]
            if info.generation <= generation:
                break
            place = self._places.get(name)
            if place is not None:
                found.append(self._ordered[place])
        return found

    def check_invariants(self) -> None:
        """Every pod is on exactly the node recorded for it."""
        for name, info in self._nodes.items():
            info.check_invariants()
            assert all(self._node_of[uid] == name for uid in info.pods)
        assert len(self._node_of) == sum(len(info.pods) for info in self._nodes.values())
        assert self._assumed <= self._node_of.keys()

    def _info(self, name: str) -> NodeInfo:
        return self._nodes.setdefault(name, NodeInfo(name))

    def _place(self, pod: PodInfo, node_name: str) -> None:
        self._unplace(pod.uid)
        info = self._info(node_name)
        info.add_pod(pod)
        self._mark(info)
        self._node_of[pod.uid] = node_name

    def _unplace(self, uid: str) -> None:
        name = self._node_of.pop(uid, None)
        if name is None:
            return
        info = self._nodes[name]
        info.remove_pod(uid)
        self._mark(info)
        self._drop_empty(info)

    def _mark(self, info: NodeInfo) -> None:
        """The node has changed."""
        self._generation += 1
        info.generation = self._generation
        self._recent.pop(info.name, None)
        self._recent[info.name] = None
        if info.affine:
            self._affine[info.name] = None
        else:
            self._affine.pop(info.name, None)

    def _drop_empty(self, info: NodeInfo) -> None:
        if info.node is None and not info.pods:
            for where in (self._nodes, self._recent, self._affine):
                where.pop(info.name, None)


def _matters_to_all(node: Mapping[str, Any]) -> Any:
    """What of a node the scores of others depend on: images, and labels, which say its domains."""
    return (node.get("status") or {}).get("images"), node["metadata"].get("labels")


class Snapshot(list[NodeInfo]):
    """The nodes of a cycle in order of name.

    `epoch` grows when nodes come or go, or have other images or labels, which
    matters to all nodes; `generation` with every
    change. `with_affinity` are the nodes whose pods have affinity. `changed_since` answers until the next snapshot.
    """

    def __init__(
        self,
        nodes: Iterable[NodeInfo],
        epoch: int,
        generation: int,
        with_affinity: Sequence[NodeInfo],
        changed_since: Callable[[int], list[NodeInfo]],
    ) -> None:
        super().__init__(nodes)
        self.epoch = epoch
        self.generation = generation
        self.with_affinity = with_affinity
        self.changed_since = changed_since
