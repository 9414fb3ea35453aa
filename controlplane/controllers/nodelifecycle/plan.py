"""What heartbeats say about a node, and which taints follow: pure."""

from collections.abc import Sequence

from controlplane.api import conditions, meta
from controlplane.api.meta import Obj
from controlplane.api.times import to_rfc3339

UNREACHABLE = "node.kubernetes.io/unreachable"
NOT_READY = "node.kubernetes.io/not-ready"
UNSCHEDULABLE = "node.kubernetes.io/unschedulable"

_PRESSURES = {
    "MemoryPressure": "node.kubernetes.io/memory-pressure",
    "DiskPressure": "node.kubernetes.io/disk-pressure",
    "PIDPressure": "node.kubernetes.io/pid-pressure",
    "NetworkUnavailable": "node.kubernetes.io/network-unavailable",
}
_HEARTBEAT_CONDITIONS = ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure")
_OWN_KEYS = frozenset({UNREACHABLE, NOT_READY, UNSCHEDULABLE, *_PRESSURES.values()})
_SMALL_CLUSTER = 50  # upstream's large-cluster-size-threshold
_UNHEALTHY_FRACTION = 0.55


def ready_status(node: Obj) -> str:
    """True, False or Unknown; a node without the condition is Unknown."""
    return conditions.status_of(node, "Ready")


def unknown_conditions(node: Obj, now: float) -> list[Obj]:
    """The node's conditions once its heartbeats have stopped."""
    stamp = to_rfc3339(now)
    result: list[Obj] = []
    seen = set()
    for condition in meta.status(node).get("conditions") or ():
        seen.add(condition["type"])
        if condition["type"] not in _HEARTBEAT_CONDITIONS or condition["status"] == "Unknown":
            result.append(condition)
            continue
        result.append(
            {
                **condition,
                "status": "Unknown",
                "reason": "NodeStatusUnknown",
                "message": "Kubelet stopped posting node status.",
                "lastTransitionTime": stamp,
            }
        )
    for type_ in _HEARTBEAT_CONDITIONS:
        if type_ not in seen:
            result.append(
                {
                    "type": type_,
                    "status": "Unknown",
                    "reason": "NodeStatusNeverUpdated",
                    "message": "Kubelet never posted node status.",
                    "lastHeartbeatTime": meta.creation_timestamp(node) or stamp,
                    "lastTransitionTime": stamp,
                }
            )
    return result


def plan_taints(node: Obj, now: float, *, may_evict: bool, all_lost: bool = False) -> list[Obj]:
    """All taints the node should have; foreign ones are kept, kept ones keep their time.

    `all_lost`: no node answers, so evictions begun are called off.
    """
    wanted: list[tuple[str, str]] = []
    ready = ready_status(node)
    key = {"False": NOT_READY, "Unknown": UNREACHABLE}.get(ready)
    if key is not None:
        wanted.append((key, "NoSchedule"))
    if meta.spec(node).get("unschedulable"):
        wanted.append((UNSCHEDULABLE, "NoSchedule"))
    for type_, pressure_key in _PRESSURES.items():
        pressure = conditions.get(node, type_)
        if pressure is not None and pressure["status"] == "True":
            wanted.append((pressure_key, "NoSchedule"))
    before: dict[tuple[str, str], Obj] = {}
    result: list[Obj] = []
    for taint in meta.spec(node).get("taints") or ():
        if taint["key"] in _OWN_KEYS:
            before[taint["key"], taint["effect"]] = taint
        else:
            result.append(taint)
    # A node that was given up may go from one kind of trouble to the other without a new permit.
    evicted = any((k, "NoExecute") in before for k in (NOT_READY, UNREACHABLE))
    if key is not None and not all_lost and (may_evict or evicted):
        wanted.append((key, "NoExecute"))
    for pair in wanted:
        fresh = {"key": pair[0], "effect": pair[1], "timeAdded": to_rfc3339(now)}
        result.append(before.get(pair, fresh))
    return result


def wants_eviction(node: Obj) -> bool:
    """Whether the node's Pods should go but nothing says so yet."""
    if ready_status(node) == "True":
        return False
    taints = meta.spec(node).get("taints") or ()
    return not any(
        t["key"] in (NOT_READY, UNREACHABLE) and t["effect"] == "NoExecute" for t in taints
    )


def all_lost(nodes: Sequence[Obj]) -> bool:
    """Whether no node answers at all."""
    return all(ready_status(node) != "True" for node in nodes)


def eviction_halted(nodes: Sequence[Obj]) -> bool:
    """Whether so many nodes are lost that the fault is rather ours: upstream's zone states."""
    lost = sum(ready_status(node) != "True" for node in nodes)
    if all_lost(nodes):
        return True
    return lost > 2 and lost / len(nodes) >= _UNHEALTHY_FRACTION and len(nodes) <= _SMALL_CLUSTER
