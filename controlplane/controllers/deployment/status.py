"""The status of a Deployment and its conditions, with upstream's reasons and messages: pure."""

from collections.abc import Sequence

from controlplane.api import meta
from controlplane.api.meta import Obj
from controlplane.api.times import parse_or_none, to_rfc3339
from controlplane.controllers.deployment.plan import bounds, replicas_of

_NO_DEADLINE = 2**31 - 1


def condition_of(status: Obj, type_: str) -> Obj | None:
    """The condition of a type, or None."""
    return next((c for c in status.get("conditions") or () if c["type"] == type_), None)


def set_condition(
    status: Obj, type_: str, value: str, reason: str, message: str, now: float
) -> None:
    """Add or replace; the same status and reason leave everything, also the times, as it was."""
    old = condition_of(status, type_)
    if old is not None and old["status"] == value and old.get("reason") == reason:
        return
    stamp = to_rfc3339(now)
    kept = old is not None and old["status"] == value
    condition = {
        "type": type_,
        "status": value,
        "reason": reason,
        "message": message,
        "lastUpdateTime": stamp,
        "lastTransitionTime": old.get("lastTransitionTime", stamp) if old and kept else stamp,
    }
    remove_condition(status, type_)
    status.setdefault("conditions", []).append(condition)


def remove_condition(status: Obj, type_: str) -> None:
    """Drop the condition of a type."""
    kept = [c for c in status.get("conditions") or () if c["type"] != type_]
    status.pop("conditions", None)
    if kept:
        status["conditions"] = kept


def deadline_seconds(deployment: Obj) -> int | None:
    """progressDeadlineSeconds, None when there is no deadline."""
    value = meta.spec(deployment).get("progressDeadlineSeconds")
    return None if value is None or int(value) == _NO_DEADLINE else int(value)


def plan_status(deployment: Obj, new: Obj | None, olds: Sequence[Obj], now: float) -> Obj:
    """Counts and the Available condition, from scratch; other conditions are kept."""
    everything = [*olds, *([new] if new is not None else [])]
    total = _sum(everything, "replicas")
    available = _sum(everything, "availableReplicas")
    old_status = meta.status(deployment)
    status: Obj = {"observedGeneration": meta.generation(deployment)}
    counts = {
        "replicas": total,
        "updatedReplicas": _sum([new] if new is not None else [], "replicas"),
        "readyReplicas": _sum(everything, "readyReplicas"),
        "availableReplicas": available,
        "unavailableReplicas": max(0, sum(map(replicas_of, everything)) - available),
    }
    status.update({name: count for name, count in counts.items() if count})
    if old_status.get("collisionCount") is not None:
        status["collisionCount"] = old_status["collisionCount"]
    if old_status.get("conditions"):
        status["conditions"] = [dict(c) for c in old_status["conditions"]]
    _, unavailable = bounds(deployment)
    if available >= replicas_of(deployment) - unavailable:
        message = "Deployment has minimum availability."
        set_condition(status, "Available", "True", "MinimumReplicasAvailable", message, now)
    else:
        message = "Deployment does not have minimum availability."
        set_condition(status, "Available", "False", "MinimumReplicasUnavailable", message, now)
    return status


def add_paused(deployment: Obj, status: Obj, now: float) -> None:
    """The Progressing condition says whether the Deployment rests; that stops the deadline."""
    if deadline_seconds(deployment) is None:
        return
    progressing = condition_of(status, "Progressing")
    if progressing is not None and progressing.get("reason") == "ProgressDeadlineExceeded":
        return
    was_paused = progressing is not None and progressing.get("reason") == "DeploymentPaused"
    if meta.spec(deployment).get("paused"):
        if not was_paused:
            message = "Deployment is paused"
            set_condition(status, "Progressing", "Unknown", "DeploymentPaused", message, now)
    elif was_paused:
        message = "Deployment is resumed"
        set_condition(status, "Progressing", "Unknown", "DeploymentResumed", message, now)


def add_found(deployment: Obj, status: Obj, new: Obj, now: float, *, created: bool) -> None:
    """A new ReplicaSet, or one found for a Deployment without history, starts the deadline."""
    if deadline_seconds(deployment) is None:
        return
    name = meta.name(new)
    if created:
        message = f'Created new replica set "{name}"'
        set_condition(status, "Progressing", "True", "NewReplicaSetCreated", message, now)
    elif condition_of(status, "Progressing") is None:
        message = f'Found new replica set "{name}"'
        set_condition(status, "Progressing", "True", "FoundNewReplicaSet", message, now)


def add_progress(deployment: Obj, status: Obj, new: Obj | None, now: float) -> None:
    """The Progressing condition of a rollout."""
    deadline = deadline_seconds(deployment)
    if deadline is None:
        remove_condition(status, "Progressing")
        return
    current = condition_of(status, "Progressing")
    counted_all = status.get("replicas", 0) == status.get("updatedReplicas", 0)
    if counted_all and current is not None and current.get("reason") == "NewReplicaSetAvailable":
        return
    name = meta.name(deployment)
    subject = f'ReplicaSet "{meta.name(new)}"' if new is not None else f'Deployment "{name}"'
    if is_complete(deployment, status):
        message = f"{subject} has successfully progressed."
        set_condition(status, "Progressing", "True", "NewReplicaSetAvailable", message, now)
    elif _progressed(meta.status(deployment), status):
        message = f"{subject} is progressing."
        since = current.get("lastTransitionTime") if current else None
        kept = current is not None and current["status"] == "True"
        remove_condition(status, "Progressing")
        set_condition(status, "Progressing", "True", "ReplicaSetUpdated", message, now)
        if kept and since:
            status["conditions"][-1]["lastTransitionTime"] = since
    elif _timed_out(current, deadline, now):
        message = f"{subject} has timed out progressing."
        set_condition(status, "Progressing", "False", "ProgressDeadlineExceeded", message, now)


def add_failure(status: Obj, replicasets: Sequence[Obj], now: float) -> None:
    """The ReplicaFailure condition, taken over from a ReplicaSet that has one."""
    for replicaset in replicasets:
        failure = condition_of(meta.status(replicaset), "ReplicaFailure")
        if failure is not None:
            reason, message = failure.get("reason", ""), failure.get("message", "")
            set_condition(status, "ReplicaFailure", failure["status"], reason, message, now)
            return
    remove_condition(status, "ReplicaFailure")


def is_complete(deployment: Obj, status: Obj) -> bool:
    """Whether all replicas are of the new template and available, and nothing old is left."""
    wanted = replicas_of(deployment)
    return (
        status.get("updatedReplicas", 0) == wanted
        and status.get("replicas", 0) == wanted
        and status.get("availableReplicas", 0) == wanted
        and int(status.get("observedGeneration") or 0) >= meta.generation(deployment)
    )


def next_look_seconds(deployment: Obj, status: Obj, now: float) -> float | None:
    """When the progress deadline may have passed; None when it does not run."""
    deadline = deadline_seconds(deployment)
    current = condition_of(status, "Progressing")
    if deadline is None or current is None or is_complete(deployment, status):
        return None
    if current.get("reason") in (
        "NewReplicaSetAvailable",
        "ProgressDeadlineExceeded",
        "DeploymentPaused",
    ):
        return None
    return max(0.0, (parse_or_none(current.get("lastUpdateTime")) or 0.0) + deadline - now) + 1.0


def _progressed(old: Obj, new: Obj) -> bool:
    def left(status: Obj) -> int:
        return int(status.get("replicas", 0)) - int(status.get("updatedReplicas", 0))

    grown = any(
        new.get(name, 0) > old.get(name, 0)
        for name in ("updatedReplicas", "readyReplicas", "availableReplicas")
    )
    return grown or left(new) < left(old)


def _timed_out(current: Obj | None, deadline: int, now: float) -> bool:
    if current is None or current.get("reason") in ("NewReplicaSetAvailable", "DeploymentPaused"):
        return False
    if current.get("reason") == "ProgressDeadlineExceeded":
        return True
    return (parse_or_none(current.get("lastUpdateTime")) or 0.0) + deadline < now


def _sum(replicasets: Sequence[Obj], field: str) -> int:
    return sum(int(meta.status(rs).get(field) or 0) for rs in replicasets)
