"""Whether a pod may run here at all, whoever bound it: asked once, before anything is made for it. Pure.

The scheduler knows the node a moment late, and pods can be bound by hand; so what would break the node or the pod is
refused here again. Source of reasons and messages: pkg/kubelet/lifecycle/predicate.go, pkg/kubelet/sysctl.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from controlplane.api import quantity
from controlplane.api.meta import View
from controlplane.kinds.core.pod import placement
from controlplane.kinds.core.pod.ports import conflict, host_ports
from controlplane.kinds.core.pod.security import SAFE_SYSCTLS
from controlplane.kinds.core.pod.tolerations import tolerated
from controlplane.kinds.core.pod.totals import charged

NODE_AFFINITY = "NodeAffinity"
_WORDS = {
    NODE_AFFINITY: "node(s) didn't match Pod's node affinity/selector",
    "NodeName": "node(s) didn't match the requested node name",
    "NodePorts": "node(s) didn't have free ports for the requested pod ports",
    "TaintToleration": "node(s) had taints that the pod didn't tolerate",
}
_RESOURCES = ("cpu", "memory", "ephemeral-storage")

_NAMESPACES = (
    ("kernel.shm", "ipc"),
    ("kernel.msg", "ipc"),
    ("kernel.sem", "ipc"),
    ("fs.mqueue.", "ipc"),
)


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a pod is not run."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Room:
    """What there is on the node, and who is there."""

    node: View | None
    """The Node object; None while it is not known."""
    allocatable: Mapping[str, str]
    others: Sequence[View]
    """Pods that were admitted and have not ended."""
    unsafe_sysctls: Sequence[str] = ()
    """More sysctls that pods may set, also as patterns that end in `*`."""


def admit(pod: View, room: Room) -> Rejection | None:
    """None for a pod that may run; else the first reason against it."""
    spec = pod["spec"]
    system = (spec.get("os") or {}).get("name")
    if system and system != "linux":
        words = "Failed to admit pod as the OS field doesn't match node OS"
        return Rejection("PodOSNotSupported", words)
    return (
        _sysctls(spec, room.unsafe_sysctls)
        or _resources(spec, room)
        or _placement(pod, room)
        or _ports(spec, room.others)
        or _taints(spec, room.node)
    )


def _sysctls(spec: View, unsafe: Sequence[str]) -> Rejection | None:
    for entry in (spec.get("securityContext") or {}).get("sysctls") or ():
        name = str(entry["name"]).replace("/", ".")
        allowed = name in SAFE_SYSCTLS or any(_covers(pattern, name) for pattern in unsafe)
        shared = _shared_with_host(name, spec)
        if not allowed:
            return Rejection("SysctlForbidden", f'forbidden sysctl: "{name}" not allowlisted')
        if shared:
            words = f'forbidden sysctl: "{name}" not allowed with host {shared} enabled'
            return Rejection("SysctlForbidden", words)
    return None


def _covers(pattern: str, name: str) -> bool:
    pattern = pattern.replace("/", ".")
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern


def _shared_with_host(name: str, spec: View) -> str:
    """The namespace of a sysctl that the pod has in common with the node."""
    if name.startswith("net."):
        return "net" if spec.get("hostNetwork") else ""
    own = next((kind for prefix, kind in _NAMESPACES if name.startswith(prefix)), "")
    return own if own and spec.get("hostIPC") else ""


def _requested(spec: View) -> Mapping[str, Fraction]:
    """What a pod asks for by its spec, overhead included."""
    return charged({"spec": spec}, "requests")


def _resources(spec: View, room: Room) -> Rejection | None:
    pods = int(quantity.parse(room.allocatable.get("pods", "110")))
    if len(room.others) + 1 > pods:
        return _insufficient("pods", 1, len(room.others), pods)
    wanted = {name: amount for name, amount in _requested(spec).items() if amount}
    held = [_requested(other["spec"]) for other in room.others] if wanted else []
    for name in (*_RESOURCES, *sorted(set(wanted) - set(_RESOURCES))):
        # Extended resources that the node does not have are the cluster's, and not ours to count.
        if name not in wanted or name not in room.allocatable:
            continue
        used = sum((one.get(name, Fraction(0)) for one in held), Fraction(0))
        have = quantity.parse(room.allocatable[name])
        if wanted[name] > have - used:
            unit = 1000 if name == "cpu" else 1
            return _insufficient(
                name, *(int(amount * unit) for amount in (wanted[name], used, have))
            )
    return None


def _insufficient(name: str, asked: int, used: int, have: int) -> Rejection:
    return Rejection(
        f"OutOf{name}",
        f"Node didn't have enough resource: {name}, requested: {asked}, used: {used}, capacity: {have}",
    )


def _placement(pod: View, room: Room) -> Rejection | None:
    if room.node is None:
        return None
    spec = pod["spec"]
    if not placement.fits({**spec, "nodeName": ""}, dict(room.node)):
        return _failed(NODE_AFFINITY)
    if not placement.fits(spec, dict(room.node)):
        return _failed("NodeName")
    return None


def _ports(spec: View, others: Iterable[View]) -> Rejection | None:
    wanted = host_ports(spec)
    if not wanted:
        return None
    held = [port for other in others for port in host_ports(other["spec"])]
    clash = any(conflict(mine, theirs) for mine in wanted for theirs in held)
    return _failed("NodePorts") if clash else None


def _taints(spec: View, node: View | None) -> Rejection | None:
    for taint in ((node or {}).get("spec") or {}).get("taints") or ():
        if taint.get("effect") == "NoExecute" and not tolerated(taint, spec.get("tolerations")):
            return _failed("TaintToleration")
    return None


def _failed(predicate: str) -> Rejection:
    return Rejection(predicate, f"Predicate {predicate} failed: {_WORDS[predicate]}")
