"""The status of a pod from what is observed, and the patch that makes the API server's equal to it. Pure."""

from typing import Any

from controlplane.api.meta import View
from controlplane.api.times import to_rfc3339
from controlplane.kinds.core.pod.views import is_sidecar, qos_class
from controlplane.kubelet.pods.admission import Rejection
from controlplane.kubelet.pods.plan import (
    Blocked,
    Plan,
    PodView,
    Verdict,
    incomplete_init,
    initialized,
)
from controlplane.kubelet.runtimes.interface import ContainerState, ContainerStatus

Json = dict[str, Any]

CONTAINER_ID_SCHEME = "quorate://"
CONDITIONS = (
    "PodReadyToStartContainers",
    "Initialized",
    "Ready",
    "ContainersReady",
    "PodScheduled",
)
RESIZE_CONDITIONS = ("PodResizePending", "PodResizeInProgress")
"""Conditions that are there only while they hold."""
_OWNED = ("message", "reason", "podIP", "podIPs")
"""Fields that go away again when they are not set; all others only change."""


def pod_status(view: PodView, plan: Plan, *, node_ip: str, gone: bool = False) -> Json:
    """The whole status this agent is responsible for. `gone`: the pod's last, all ended."""
    old: View = view.pod.get("status") or {}
    containers = [_container(view, plan, spec) for spec in view.main_containers]
    if plan.outcome is not None:
        phase = plan.outcome.phase
    else:
        phase = _last_phase(view) if gone else _phase(view)
    status: Json = {
        "phase": phase,
        "conditions": _conditions(view, old, phase, containers),
        "hostIP": node_ip,
        "hostIPs": [{"ip": node_ip}],
        "startTime": to_rfc3339(view.started_at),
        "qosClass": old.get("qosClass") or qos_class(view.spec),
        "containerStatuses": containers,
    }
    if view.init_containers:
        status["initContainerStatuses"] = [
            _container(view, plan, spec, init=True) for spec in view.init_containers
        ]
    if view.ephemeral_containers:
        status["ephemeralContainerStatuses"] = [
            _ephemeral(view, plan, spec) for spec in view.ephemeral_containers
        ]
    if view.sandbox is not None and view.sandbox.ip:
        status["podIP"] = view.sandbox.ip
        status["podIPs"] = [{"ip": view.sandbox.ip}]
    if view.generation:
        status["observedGeneration"] = view.generation
    if plan.outcome is not None and plan.outcome.reason:
        status["reason"], status["message"] = plan.outcome.reason, plan.outcome.message
    return status


def rejected_status(pod: View, rejection: Rejection, now: float) -> Json:
    """The status of a pod that is not run; conditions and addresses are left as they are."""
    status: Json = {
        "phase": "Failed",
        "reason": rejection.reason,
        "message": f"Pod was rejected: {rejection.message}",
        "startTime": to_rfc3339(now),
        "qosClass": (pod.get("status") or {}).get("qosClass") or qos_class(pod["spec"]),
    }
    if pod["metadata"].get("generation"):
        status["observedGeneration"] = int(pod["metadata"]["generation"])
    return status


def status_patch(old: View, wanted: Json) -> Json:
    """A strategic merge patch of the status from `old` to `wanted`; empty when they agree."""
    patch: Json = {
        key: value for key, value in wanted.items() if key != "conditions" and old.get(key) != value
    }
    for key in _OWNED:
        if key in old and key not in wanted:
            patch[key] = None
    known = {entry.get("type"): entry for entry in old.get("conditions") or ()}
    changed = []
    for entry in wanted.get("conditions") or ():
        before = known.get(entry["type"]) or {}
        if any(
            before.get(k) != entry.get(k)
            for k in ("status", "reason", "message", "observedGeneration")
        ):
            # Entries are merged by type, so what is to vanish must be named.
            vanishing = {key: None for key in ("reason", "message") if key in before}
            changed.append({"lastProbeTime": None, **vanishing, **entry})
    if "conditions" in wanted:
        told = {entry["type"] for entry in wanted["conditions"]}
        for kind in RESIZE_CONDITIONS:
            if kind in known and kind not in told:
                changed.append({"type": kind, "$patch": "delete"})
    if changed:
        patch["conditions"] = changed
    return patch


def _phase(view: PodView) -> str:
    if not initialized(view):
        return "Pending"
    running = waiting = ended = 0
    failed = False
    for spec in view.main_containers:
        status = view.containers.get(spec["name"])
        if status is None or status.state is ContainerState.CREATED:
            waiting += 1
        elif status.state is ContainerState.RUNNING:
            running += 1
        else:
            ended += 1
            failed = failed or status.exit_code != 0
    if waiting:
        return "Pending"
    if running or view.restart_policy == "Always" or not ended:
        return "Running"
    if view.restart_policy == "OnFailure" and failed:
        return "Running"
    return "Failed" if failed else "Succeeded"


def _last_phase(view: PodView) -> str:
    statuses = [view.containers.get(spec["name"]) for spec in view.main_containers]
    if all(status is None for status in statuses):
        return "Failed"
    codes = [status.exit_code for status in statuses if status is not None]
    return "Failed" if any(codes) or None in statuses else "Succeeded"


def _container(view: PodView, plan: Plan, spec: View, *, init: bool = False) -> Json:
    name = str(spec["name"])
    status = view.containers.get(name)
    verdict = view.verdicts.get(name, Verdict())
    running = status is not None and status.state is ContainerState.RUNNING
    result: Json = {
        "name": name,
        "state": _state(view, plan, name, init=init),
        "lastState": {},
        "ready": running and verdict.started and verdict.ready,
        "restartCount": status.attempt if status is not None else 0,
        "image": spec.get("image", ""),
        "imageID": status.image_id if status is not None else "",
        "started": running and verdict.started,
    }
    if init and not is_sidecar(spec):
        done = status is not None and status.state is ContainerState.EXITED
        result["ready"] = done and status is not None and status.exit_code == 0
    mounts = [_mount(entry) for entry in spec.get("volumeMounts") or ()]
    if mounts:
        result["volumeMounts"] = mounts
    if status is not None and status.id:
        result["containerID"] = CONTAINER_ID_SCHEME + status.id
        granted = _amounts(spec.get("resources") or {})
        if granted.get("requests"):
            result["allocatedResources"] = granted["requests"]
        result["resources"] = _amounts(view.actual[name]) if name in view.actual else granted
    if status is not None and status.state is ContainerState.EXITED and name in plan.waiting:
        result["lastState"] = _terminated(status)
    elif name in view.previous:
        result["lastState"] = _terminated(view.previous[name])
    return result


def _mount(entry: View) -> Json:
    """A mount as the status tells of it; without a wish, read-only is not told to reach below."""
    told: Json = {"name": entry["name"], "mountPath": entry["mountPath"]}
    if entry.get("readOnly"):
        wished = entry.get("recursiveReadOnly") or "Disabled"
        told["readOnly"] = True
        told["recursiveReadOnly"] = "Disabled" if wished == "Disabled" else "Enabled"
    return told


def _amounts(resources: View) -> Json:
    return {key: dict(resources[key]) for key in ("limits", "requests") if resources.get(key)}


def _ephemeral(view: PodView, plan: Plan, spec: View) -> Json:
    """As for other containers, without what probes say."""
    result = {**_container(view, plan, spec), "ready": False}
    del result["started"]
    return result


def _state(view: PodView, plan: Plan, name: str, *, init: bool) -> Json:
    status = view.containers.get(name)
    waiting = plan.waiting.get(name) or view.blocked.get(name)
    if status is None or status.state is ContainerState.CREATED:
        if waiting is not None:
            return _waiting(waiting)
        reason = "PodInitializing" if view.init_containers else "ContainerCreating"
        return {"waiting": {"reason": reason}}
    if status.state is ContainerState.RUNNING:
        return {"running": {"startedAt": to_rfc3339(status.started_at)}}
    if name in plan.waiting and waiting is not None:
        return _waiting(waiting)
    return _terminated(status)


def _waiting(why: Blocked) -> Json:
    message = {"message": why.message} if why.message else {}
    return {"waiting": {"reason": why.reason, **message}}


def _terminated(status: ContainerStatus) -> Json:
    ended: Json = {
        "exitCode": status.exit_code,
        "reason": status.reason or ("Completed" if status.exit_code == 0 else "Error"),
        "startedAt": to_rfc3339(status.started_at or status.finished_at),
        "finishedAt": to_rfc3339(status.finished_at),
    }
    if status.id:
        ended["containerID"] = CONTAINER_ID_SCHEME + status.id
    if status.message:
        ended["message"] = status.message
    return {"terminated": ended}


def _conditions(view: PodView, old: View, phase: str, containers: list[Json]) -> list[Json]:
    has_sandbox = view.sandbox is not None and view.sandbox.ready
    unready = [entry["name"] for entry in containers if not entry["ready"]]
    pending = incomplete_init(view)
    values: dict[str, tuple[bool, str, str]] = dict.fromkeys(CONDITIONS, (True, "", ""))
    values["PodReadyToStartContainers"] = (has_sandbox, "", "")
    if phase == "Succeeded":
        values["Initialized"] = (True, "PodCompleted", "")
        values["ContainersReady"] = (False, "PodCompleted", "")
    elif pending:
        message = f"containers with incomplete status: [{' '.join(pending)}]"
        values["Initialized"] = (False, "ContainersNotInitialized", message)
    if phase == "Failed":
        values["ContainersReady"] = (False, "PodFailed", "")
    elif phase != "Succeeded":
        message = f"containers with unready status: [{' '.join(unready)}]"
        values["ContainersReady"] = (
            (False, "ContainersNotReady", message) if unready or pending else (True, "", "")
        )
    values["Ready"] = _ready(view, old, values["ContainersReady"])
    known = {entry.get("type"): entry for entry in old.get("conditions") or ()}
    for resize in view.resizing:
        values[resize.kind] = (True, resize.reason, resize.message)
    return [_condition(view, kind, values[kind], known.get(kind) or {}) for kind in values]


def _ready(view: PodView, old: View, containers: tuple[bool, str, str]) -> tuple[bool, str, str]:
    if not containers[0]:
        return containers
    known = {entry.get("type"): entry for entry in old.get("conditions") or ()}
    for gate in view.spec.get("readinessGates") or ():
        kind = gate.get("conditionType")
        if (known.get(kind) or {}).get("status") != "True":
            message = f'corresponding condition of pod readiness gate "{kind}" does not exist.'
            if kind in known:
                message = f'the status of pod readiness gate "{kind}" is not "True"'
            return (False, "ReadinessGatesNotReady", message)
    return containers


def _condition(view: PodView, kind: str, value: tuple[bool, str, str], before: View) -> Json:
    state = "True" if value[0] else "False"
    since = before.get("lastTransitionTime") if before.get("status") == state else None
    entry: Json = {
        "type": kind,
        "status": state,
        "lastProbeTime": None,
        "lastTransitionTime": since or to_rfc3339(view.now),
    }
    if view.generation:
        entry["observedGeneration"] = view.generation
    if value[1]:
        entry["reason"] = value[1]
    if value[2]:
        entry["message"] = value[2]
    return entry
