"""Views the plugins work on: a pod with what is computed once, a node with the sums over its pods."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from controlplane.kinds.core.pod.ports import HostPort, host_ports
from controlplane.scheduler.framework.resources import (
    Resources,
    add,
    parse_resources,
    pod_requests,
    score_requests,
)


@dataclass(frozen=True, slots=True, eq=False)
class PodInfo:
    """A pod with its requests, ports and owner read once. The object itself is never changed."""

    object: Mapping[str, Any]
    key: str
    uid: str
    requests: Resources
    score_cpu: int
    score_memory: int
    host_ports: tuple[HostPort, ...]

    @property
    def namespace(self) -> str:
        """The pod's namespace."""
        return str(self.object["metadata"].get("namespace", ""))

    @property
    def name(self) -> str:
        """The pod's name."""
        return str(self.object["metadata"]["name"])

    @property
    def spec(self) -> Mapping[str, Any]:
        """The pod's spec."""
        spec: Mapping[str, Any] = self.object["spec"]
        return spec

    @property
    def labels(self) -> dict[str, str]:
        """The pod's labels."""
        return dict(self.object["metadata"].get("labels") or {})

    @property
    def priority(self) -> int:
        """The pod's priority, 0 when it has none."""
        return int(self.spec.get("priority") or 0)

    @property
    def controller_uid(self) -> str:
        """The uid of the owner that made this pod, or nothing."""
        for owner in self.object["metadata"].get("ownerReferences") or ():
            if owner.get("controller"):
                return str(owner.get("uid", ""))
        return ""

    @property
    def affinity(self) -> Mapping[str, Any]:
        """The pod's affinity, of pods and of nodes."""
        found: Mapping[str, Any] = self.spec.get("affinity") or {}
        return found

    @property
    def has_pod_affinity(self) -> bool:
        """Whether the pod says beside which pods it wants to be, or does not."""
        return bool(self.affinity.get("podAffinity") or self.affinity.get("podAntiAffinity"))

    @property
    def terminating(self) -> bool:
        """Whether the pod is being deleted."""
        return bool(self.object["metadata"].get("deletionTimestamp"))


def pod_info(pod: Mapping[str, Any]) -> PodInfo:
    """Read a pod once."""
    meta, spec = pod["metadata"], pod["spec"]
    cpu, memory = score_requests(spec)
    return PodInfo(
        object=pod,
        key=f"{meta.get('namespace', '')}/{meta['name']}",
        uid=str(meta.get("uid", "")),
        requests=pod_requests(spec),
        score_cpu=cpu,
        score_memory=memory,
        host_ports=host_ports(spec),
    )


@dataclass(slots=True, eq=False)
class NodeInfo:
    """A node, its pods, and the sums that filters need. `generation` grows with every change."""

    name: str
    node: Mapping[str, Any] | None = None
    pods: dict[str, PodInfo] = field(default_factory=dict)
    requested: Resources = field(default_factory=dict)
    allocatable: Resources = field(default_factory=dict)
    score_cpu: int = 0
    score_memory: int = 0
    generation: int = 0
    affine: dict[str, PodInfo] = field(default_factory=dict)
    """Those of its pods that say beside which pods they want to be, or not."""
    nominated: tuple[PodInfo, ...] = ()
    """Pods for which room is being made here."""
    controlled: dict[str, int] = field(default_factory=dict)
    """How many of its pods each controller has, by uid; those that are ending do not count."""

    def affine_pods(self) -> Collection[PodInfo]:
        """See `affine`."""
        return self.affine.values()

    @property
    def labels(self) -> Mapping[str, str]:
        """Labels of the node."""
        labels: Mapping[str, str] = ((self.node or {}).get("metadata") or {}).get("labels") or {}
        return labels

    @property
    def taints(self) -> tuple[Mapping[str, Any], ...]:
        """Taints of the node."""
        return tuple(((self.node or {}).get("spec") or {}).get("taints") or ())

    @property
    def host_ports(self) -> set[HostPort]:
        """Host ports its pods hold."""
        return {port for pod in self.pods.values() for port in pod.host_ports}

    def set_node(self, node: Mapping[str, Any] | None) -> None:
        """Take over a new version of the node."""
        self.node = node
        status = (node or {}).get("status") or {}
        self.allocatable = parse_resources(status.get("allocatable") or status.get("capacity"))

    def add_pod(self, pod: PodInfo) -> None:
        """Count a pod in."""
        self.pods[pod.uid] = pod
        if pod.has_pod_affinity:
            self.affine[pod.uid] = pod
        self._count(pod, 1)

    def remove_pod(self, uid: str) -> None:
        """Count a pod out; unknown ones are ignored."""
        pod = self.pods.pop(uid, None)
        self.affine.pop(uid, None)
        if pod is not None:
            self._count(pod, -1)

    def _count(self, pod: PodInfo, sign: int) -> None:
        add(self.requested, pod.requests, sign)
        self.score_cpu += sign * pod.score_cpu
        self.score_memory += sign * pod.score_memory
        owner = pod.controller_uid
        if owner and not pod.terminating:
            self.controlled[owner] = self.controlled.get(owner, 0) + sign
            if not self.controlled[owner]:
                del self.controlled[owner]

    def clone(self) -> "NodeInfo":
        """A copy that later changes do not reach."""
        return NodeInfo(
            self.name,
            self.node,
            dict(self.pods),
            dict(self.requested),
            self.allocatable,
            self.score_cpu,
            self.score_memory,
            self.generation,
            dict(self.affine),
            self.nominated,
            dict(self.controlled),
        )

    def check_invariants(self) -> None:
        """The sums are those of the pods."""
        fresh = NodeInfo(self.name)
        for pod in self.pods.values():
            fresh.add_pod(pod)
        held = {name: amount for name, amount in self.requested.items() if amount}
        assert held == {name: amount for name, amount in fresh.requested.items() if amount}
        assert (self.score_cpu, self.score_memory) == (fresh.score_cpu, fresh.score_memory)
        assert self.controlled == fresh.controlled


def node_info(node: Mapping[str, Any]) -> NodeInfo:
    """A node by itself, without pods."""
    made = NodeInfo(str(node["metadata"]["name"]))
    made.set_node(node)
    return made
