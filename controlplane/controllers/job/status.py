"""The status of a Job in the two steps of counting, and its conditions: pure."""

from collections.abc import Iterable, Sequence

from controlplane.api import conditions, meta
from controlplane.api.meta import Obj
from controlplane.controllers.job import indexes
from controlplane.controllers.job.plan import (
    Condition,
    Look,
    has_failed,
    is_indexed,
    is_suspended,
)
from controlplane.controllers.job.policies import judge


def write_down(
    seen: Look,
    released: Sequence[Obj],
    finish: Condition | None,
    *,
    active: int,
    ready: int,
    terminating: int,
    now: str,
) -> Obj:
    """The status that names every Pod about to lose its finalizer; to be stored before any loses it."""
    status = meta.copy_of(meta.status(seen.job))
    if not status.get("startTime") and not is_suspended(seen.job):
        status["startTime"] = now
    _set_count(status, "active", active)
    status["ready"], status["terminating"] = ready, terminating
    _settle(status, {meta.uid(pod) for pod in seen.pods if seen.is_tracked(pod)})
    uncounted = status["uncountedTerminatedPods"]
    before = {uid for uids in uncounted.values() for uid in uids}
    done = set(indexes.parse(status.get("completedIndexes"), _completions(seen.job)))
    for pod in released:
        _write_down_one(seen, pod, finish, uncounted, before, done)
    if is_indexed(seen.job):
        _set_text(status, "completedIndexes", indexes.written(done))
        _set_count(status, "succeeded", len(done))
        if seen.failed_indexes is not None:
            status["failedIndexes"] = indexes.written(seen.failed_indexes)
    if finish is not None and finish.type != "Failed":
        add_condition(status, finish.type, finish.reason, finish.message, now)
    return status


def _write_down_one(
    seen: Look,
    pod: Obj,
    finish: Condition | None,
    uncounted: dict[str, list[str]],
    before: set[str],
    done: set[int],
) -> None:
    uid, index = meta.uid(pod), indexes.index_of(pod)
    has_index = index is not None and index < _completions(seen.job)
    if meta.status(pod).get("phase") == "Succeeded" and uid not in uncounted.get("failed", ()):
        if is_indexed(seen.job):
            if has_index and index is not None:
                done.add(index)
        elif uid not in before:
            uncounted.setdefault("succeeded", []).append(uid)
        return
    if not has_failed(seen.job, pod) and (finish is None or finish.is_success):
        return
    if uid in before or (is_indexed(seen.job) and not has_index):
        return
    if judge(seen.job, pod).is_counted:
        uncounted.setdefault("failed", []).append(uid)


def _completions(job: Obj) -> int:
    value = meta.spec(job).get("completions")
    return 0 if value is None else int(value)


def settle(status: Obj, tracked: Iterable[str]) -> Obj:
    """The status with the Pods counted that have lost their finalizer; `tracked` are uids of those that have it."""
    settled = meta.copy_of(status)
    _settle(settled, set(tracked))
    return settled


def _settle(status: Obj, tracked: set[str]) -> None:
    uncounted = dict(status.get("uncountedTerminatedPods") or {})
    for field in ("succeeded", "failed"):
        uids = uncounted.pop(field, None) or []
        left = [uid for uid in uids if uid in tracked]
        if len(left) != len(uids):
            _set_count(status, field, int(status.get(field) or 0) + len(uids) - len(left))
        if left:
            uncounted[field] = left
    status["uncountedTerminatedPods"] = uncounted


def end(status: Obj, finish: Condition | None, now: str) -> Obj | None:
    """The status of a Job that has come to its end; None while something is still to be counted or to go."""
    uncounted = status.get("uncountedTerminatedPods") or {}
    if finish is None or any(uncounted.values()) or status.get("terminating"):
        return None
    ended = meta.copy_of(status)
    if finish.is_success:
        add_condition(ended, "Complete", finish.reason, finish.message, now)
        ended["completionTime"] = now
    else:
        add_condition(ended, "Failed", finish.reason, finish.message, now)
    return ended


def add_condition(
    status: Obj, kind: str, reason: str, message: str, now: str, value: str = "True"
) -> bool:
    """Add or replace a condition; whether anything changed. One that would be new and False is not added."""
    listed = status.setdefault("conditions", [])
    old = conditions.get({"status": status}, kind)
    wanted = (value, reason, message)
    if old is not None and (old["status"], old.get("reason"), old.get("message")) == wanted:
        return False
    if old is None and value == "False":
        if not listed:
            del status["conditions"]
        return False
    condition = {
        "type": kind,
        "status": value,
        "lastProbeTime": now,
        "lastTransitionTime": now,
        "reason": reason,
        "message": message,
    }
    if old is None:
        listed.append(condition)
    else:
        listed[listed.index(old)] = condition
    return True


def set_suspended(job: Obj, status: Obj, now: str) -> str:
    """Keep the Suspended condition and the start time; the event to tell, if any: Suspended or Resumed."""
    if is_suspended(job):
        if add_condition(status, "Suspended", "JobSuspended", "Job suspended", now):
            status.pop("startTime", None)
            return "Suspended"
        status.pop("startTime", None)
        return ""
    if add_condition(status, "Suspended", "JobResumed", "Job resumed", now, "False"):
        status["startTime"] = now
        return "Resumed"
    return ""


def _set_count(status: Obj, field: str, value: int) -> None:
    if value:
        status[field] = value
    else:
        status.pop(field, None)


def _set_text(status: Obj, field: str, value: str) -> None:
    if value:
        status[field] = value
    else:
        status.pop(field, None)
