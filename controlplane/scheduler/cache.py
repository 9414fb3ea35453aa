"""What the scheduler believes of nodes and their pods, ahead of what the API server says.

A pod that was given a node counts there from that instant (`assume`), not only when the watch brings it back; a failed
binding takes it away again (`forget`). A cycle works on a `snapshot`, of which only changed nodes are copied anew.
"""

import itertools
from collections.abc import Mapping
from typing import Any

from controlplane.scheduler.framework.node_info import NodeInfo, PodInfo, pod_info


class SchedulerCache:
    """Nodes with their pods; owns every `NodeInfo` it hands out copies of."""

    def __init__(self) -> None:
        self._nodes: dict[str, NodeInfo] = {}
        self._node_of: dict[str, str] = {}
        self._assumed: set[str] = set()
        self._nominated: dict[str, tuple[str, PodInfo]] = {}
        self._generations = itertools.count(1)
        self._snapshot: dict[str, NodeInfo] = {}

    def set_node(self, node: Mapping[str, Any]) -> None:
        """A node appeared or changed."""
        info = self._info(node["metadata"]["name"])
        info.set_node(node)
        info.generation = next(self._generations)

    def remove_node(self, name: str) -> None:
        """A node is gone; pods still recorded on it are kept until they go too."""
        info = self._nodes.get(name)
        if info is None:
            return
        info.set_node(None)
        info.generation = next(self._generations)
        if not info.pods:
            del self._nodes[name]

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
            info.generation = next(self._generations)

    def is_assumed(self, uid: str) -> bool:
        """Whether the pod has a node that the API server has not shown yet."""
        return uid in self._assumed

    def snapshot(self) -> list[NodeInfo]:
        """The nodes as they are now, in order of name; later changes do not reach it."""
        fresh: dict[str, NodeInfo] = {}
        for name, info in self._nodes.items():
            if info.node is None:
                continue
            old = self._snapshot.get(name)
            unchanged = old is not None and old.generation == info.generation
            fresh[name] = old if unchanged and old is not None else info.clone()
        self._snapshot = fresh
        return [fresh[name] for name in sorted(fresh)]

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
        info.generation = next(self._generations)
        self._node_of[pod.uid] = node_name

    def _unplace(self, uid: str) -> None:
        name = self._node_of.pop(uid, None)
        if name is None:
            return
        info = self._nodes[name]
        info.remove_pod(uid)
        info.generation = next(self._generations)
        if info.node is None and not info.pods:
            del self._nodes[name]
