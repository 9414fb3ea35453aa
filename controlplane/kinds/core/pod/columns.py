"""The cells of `kubectl get pods`.

The words and their precedence are upstream's (pkg/printers/internalversion/printers.go): scripts and people match on
`CrashLoopBackOff`, `Init:0/1`, `1 (5s ago)`.
"""

from __future__ import annotations

from controlplane.api import meta, times
from controlplane.api.meta import Obj
from controlplane.api.table import cells
from controlplane.api.table.columns import AGE, NAME, Column


def _restartable_init(container: Obj) -> bool:
    return container.get("restartPolicy") == "Always"


def _pod_ready(obj: Obj, now: float) -> str:
    """Ready containers of all, sidecars counted in."""
    spec, status = meta.spec(obj), meta.status(obj)
    sidecars = {c["name"] for c in spec.get("initContainers") or () if _restartable_init(c)}
    total = len(spec.get("containers") or ()) + len(sidecars)
    ready = sum(
        1
        for row in status.get("containerStatuses") or ()
        if row.get("ready") and "running" in (row.get("state") or {})
    )
    ready += sum(
        1
        for row in status.get("initContainerStatuses") or ()
        if row.get("name") in sidecars and row.get("started") and row.get("ready")
    )
    return f"{ready}/{total}"


def _terminated_text(terminated: Obj, prefix: str = "") -> str:
    if terminated.get("reason"):
        return prefix + str(terminated["reason"])
    if terminated.get("signal"):
        return f"{prefix}Signal:{terminated['signal']}"
    return f"{prefix}ExitCode:{terminated.get('exitCode', 0)}"


def _init_status(spec: Obj, status: Obj) -> str | None:
    """The status while init containers run; None once they are all done."""
    rows = spec.get("initContainers") or []
    by_name = {row.get("name"): row for row in rows}
    for index, row in enumerate(status.get("initContainerStatuses") or ()):
        state = row.get("state") or {}
        terminated = state.get("terminated")
        if terminated is not None and terminated.get("exitCode", 0) == 0:
            continue
        if _restartable_init(by_name.get(row.get("name"), {})) and row.get("started"):
            continue
        if terminated is not None:
            return _terminated_text(terminated, "Init:")
        waiting = state.get("waiting") or {}
        if waiting.get("reason") and waiting["reason"] != "PodInitializing":
            return f"Init:{waiting['reason']}"
        return f"Init:{index}/{len(rows)}"
    return None


def _container_status(reason: str, status: Obj) -> str:
    has_running = False
    # The first container's word wins, so the last is looked at first.
    for row in reversed(status.get("containerStatuses") or []):
        state = row.get("state") or {}
        waiting, terminated = state.get("waiting") or {}, state.get("terminated")
        if waiting.get("reason"):
            reason = str(waiting["reason"])
        elif terminated is not None:
            reason = _terminated_text(terminated)
        elif row.get("ready") and "running" in state:
            has_running = True
    if reason == "Completed" and has_running:
        ready = any(
            c.get("type") == "Ready" and c.get("status") == "True"
            for c in status.get("conditions") or ()
        )
        reason = "Running" if ready else "NotReady"
    return reason


def _pod_status(obj: Obj, now: float) -> str:
    """One word for the pod's state: the phase, unless something more telling is known."""
    spec, status = meta.spec(obj), meta.status(obj)
    reason = str(status.get("reason") or status.get("phase") or "Pending")
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("reason") == "SchedulingGated":
            reason = "SchedulingGated"
    init = _init_status(spec, status)
    initialized = any(
        c.get("type") == "Initialized" and c.get("status") == "True"
        for c in status.get("conditions") or ()
    )
    if init is not None:
        reason = init
    if init is None or initialized:
        reason = _container_status(reason, status)
    if meta.is_deleting(obj):
        if status.get("reason") == "NodeLost":
            return "Unknown"
        if status.get("phase") not in ("Succeeded", "Failed"):
            return "Terminating"
    return reason


def _pod_restarts(obj: Obj, now: float) -> str:
    """How often containers were restarted and when last: `3 (5m ago)`."""
    spec, status = meta.spec(obj), meta.status(obj)
    sidecars = {c["name"] for c in spec.get("initContainers") or () if _restartable_init(c)}
    initializing = _init_status(spec, status) is not None
    rows = list(status.get("initContainerStatuses") or ())
    if not initializing:
        rows = [row for row in rows if row.get("name") in sidecars]
        rows += status.get("containerStatuses") or ()
    count, last = 0, None
    for row in rows:
        count += int(row.get("restartCount") or 0)
        finished = times.parse_or_none(meta.get_path(row, "lastState.terminated.finishedAt", None))
        if finished is not None and (last is None or finished > last):
            last = finished
    if count == 0 or last is None:
        return str(count)
    return f"{count} ({times.human_duration(now - last)} ago)"


def _pod_ip(obj: Obj, now: float) -> str:
    """status.podIP."""
    ips = meta.status(obj).get("podIPs") or []
    found = ips[0].get("ip") if ips else meta.status(obj).get("podIP")
    return str(found or cells.NONE)


def _pod_node(obj: Obj, now: float) -> str:
    """spec.nodeName."""
    return str(meta.spec(obj).get("nodeName") or cells.NONE)


def _pod_nominated(obj: Obj, now: float) -> str:
    """status.nominatedNodeName."""
    return str(meta.status(obj).get("nominatedNodeName") or cells.NONE)


def _pod_gates(obj: Obj, now: float) -> str:
    """Readiness gates passed, of all."""
    gates = meta.spec(obj).get("readinessGates") or []
    if not gates:
        return cells.NONE
    true = {
        c.get("type") for c in meta.status(obj).get("conditions") or () if c.get("status") == "True"
    }
    return f"{sum(1 for gate in gates if gate.get('conditionType') in true)}/{len(gates)}"


COLUMNS = (
    NAME,
    Column("Ready", _pod_ready, description="Containers that are ready, of all."),
    Column("Status", _pod_status, description="The state the pod is in."),
    Column("Restarts", _pod_restarts, description="Restarts of the containers."),
    AGE,
    Column("IP", _pod_ip, 1, description="IP address of the pod."),
    Column("Node", _pod_node, 1, description="The node the pod is bound to."),
    Column("Nominated Node", _pod_nominated, 1, description="Where preemption runs."),
    Column("Readiness Gates", _pod_gates, 1, description="Gates passed, of all."),
)


def row_conditions(obj: Obj) -> list[Obj]:
    """A finished pod's row is marked Completed, so that clients can leave it out."""
    phase = (obj.get("status") or {}).get("phase")
    if phase not in ("Succeeded", "Failed"):
        return []
    message = "The pod has completed successfully." if phase == "Succeeded" else "The pod failed."
    return [{"type": "Completed", "status": "True", "reason": phase, "message": message}]
