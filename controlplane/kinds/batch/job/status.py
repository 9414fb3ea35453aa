"""The rules of a Job's status: an ended Job stays ended, and counts only grow.

Most rules look only at what a write changes, so that a status which a change of the spec made wrong can be mended.
Source: pkg/apis/batch/validation/validation.go (ValidateJobStatusUpdate), pkg/registry/batch/job/strategy.go.
"""

from __future__ import annotations

from controlplane.api import conditions, meta, times
from controlplane.api.errors import Cause
from controlplane.api.meta import Obj
from controlplane.api.validation import amounts
from controlplane.api.validation import causes as fields
from controlplane.kinds.batch.job import indexes

_TERMINAL = ("Failed", "Complete", "FailureTarget")


def _conditions(detail: str) -> Cause:
    return Cause("status.conditions", f"Invalid value: {detail}")


def _is(obj: Obj, *kinds: str) -> bool:
    return any(conditions.is_true(obj, kind) for kind in kinds)


def validate_status(new: Obj, old: Obj) -> list[Cause]:
    """Causes in a changed status."""
    causes = _numbers(meta.status(new))
    causes += _ends(new, old)
    causes += _times(new, old)
    causes += _finished(new, old)
    causes += _indexes(new, old)
    causes += _success(new)
    causes += _only_forward(new, old)
    return causes


def _changed(new: Obj, old: Obj, key: str) -> bool:
    return meta.status(new).get(key) != meta.status(old).get(key)


def _turned(new: Obj, old: Obj, *kinds: str) -> bool:
    return _is(new, *kinds) != _is(old, *kinds)


def _numbers(status: Obj) -> list[Cause]:
    keys = ("active", "succeeded", "failed", "ready", "terminating")
    causes = amounts.all_non_negative("status", status, keys)
    seen: set[str] = set()
    uncounted = status.get("uncountedTerminatedPods") or {}
    for key in ("succeeded", "failed"):
        for index, uid in enumerate(uncounted.get(key) or ()):
            path = f"status.uncountedTerminatedPods.{key}[{index}]"
            if not uid:
                causes.append(fields.invalid(path, uid, "must not be empty"))
            elif uid in seen:
                causes.append(fields.duplicate(path, uid))
            seen.add(uid)
    return causes


def _ends(new: Obj, old: Obj) -> list[Cause]:
    causes: list[Cause] = []
    for other in ("Failed", "FailureTarget"):
        is_asked = _turned(new, old, "Complete") or _turned(new, old, other)
        if is_asked and _is(new, "Complete") and _is(new, other):
            detail = f"cannot set Complete=True and {other}=true conditions"
            causes.append(_conditions(detail))
    return causes


def _times(new: Obj, old: Obj) -> list[Cause]:
    status, causes = meta.status(new), list[Cause]()
    started, completed = status.get("startTime"), status.get("completionTime")
    is_complete, path = _is(new, "Complete"), "status.completionTime"
    is_completion_changed = _changed(new, old, "completionTime")
    if _turned(new, old, "Complete") or is_completion_changed:
        if completed is not None and not is_complete:
            detail = "cannot set completionTime when there is no Complete=True condition"
            causes.append(fields.invalid(path, completed, detail))
        if completed is None and is_complete:
            detail = "completionTime is required for Complete jobs"
            causes.append(fields.required(path, detail))
    if is_completion_changed or _changed(new, old, "startTime"):
        start, end = times.parse_or_none(started), times.parse_or_none(completed)
        if start is not None and end is not None and end < start:
            detail = "must be equal to or after `startTime`"
            causes.append(fields.invalid(path, completed, detail))
    return causes


def _finished(new: Obj, old: Obj) -> list[Cause]:
    causes: list[Cause] = []
    steps = (
        ("Failed", "FailureTarget", _changed(new, old, "failedIndexes")),
        ("Complete", "SuccessCriteriaMet", _turned(new, old, "SuccessCriteriaMet")),
    )
    for kind, before, is_other_changed in steps:
        is_asked = is_other_changed or _turned(new, old, kind)
        if is_asked and _is(new, kind) and not _is(new, before):
            detail = f"cannot set {kind}=True condition without the {before}=true condition"
            causes.append(_conditions(detail))
    if _is(new, "Complete", "Failed"):
        causes += _nothing_left(new, old)
    return causes


def _nothing_left(new: Obj, old: Obj) -> list[Cause]:
    """Causes in a finished Job that seems to run."""
    status, spec, causes = meta.status(new), meta.spec(new), list[Cause]()
    is_turned = _turned(new, old, "Complete", "Failed")
    active = status.get("active") or 0
    if (is_turned or _changed(new, old, "active")) and active > 0:
        detail = "active>0 is invalid for finished job"
        causes.append(fields.invalid("status.active", active, detail))
    is_empty = bool(spec.get("suspend")) and spec.get("completions") == 0
    is_asked = (is_turned or _changed(new, old, "startTime")) and not is_empty
    if is_asked and status.get("startTime") is None:
        detail = "startTime is required for finished job"
        causes.append(fields.required("status.startTime", detail))
    uncounted = status.get("uncountedTerminatedPods") or {}
    pods = {"Succeeded": uncounted.get("succeeded"), "Failed": uncounted.get("failed")}
    is_asked = is_turned or _changed(new, old, "uncountedTerminatedPods")
    if is_asked and any(pods.values()):
        detail = "must be empty for finished job"
        causes.append(fields.invalid("status.uncountedTerminatedPods", pods, detail))
    return causes


def _indexes(new: Obj, old: Obj) -> list[Cause]:
    status, spec, causes = meta.status(new), meta.spec(new), list[Cause]()
    completions, per_index = spec.get("completions"), spec.get("backoffLimitPerIndex")
    completed, failed = status.get("completedIndexes") or "", status.get("failedIndexes")
    is_completed_changed = _changed(new, old, "completedIndexes")
    is_failed_changed = _changed(new, old, "failedIndexes")
    if is_completed_changed and completions is not None:
        causes += _format("completedIndexes", completed, completions)
    if (
        is_failed_changed
        and completions is not None
        and failed is not None
        and per_index is not None
    ):
        causes += _format("failedIndexes", failed, completions)
    if is_completed_changed and completed and spec.get("completionMode") != "Indexed":
        detail = "cannot set non-empty completedIndexes when non-indexed completion mode"
        causes.append(fields.invalid("status.completedIndexes", completed, detail))
    if is_failed_changed and per_index is None and failed is not None:
        detail = "cannot set non-null failedIndexes when backoffLimitPerIndex is null"
        causes.append(fields.invalid("status.failedIndexes", failed, detail))
    is_either_changed = is_failed_changed or is_completed_changed
    if is_either_changed and completions is not None and failed is not None:
        found = indexes.overlap(completed, failed, completions)
        if found is not None:
            detail = f"failedIndexes and completedIndexes overlap at index: {found}"
            causes.append(fields.invalid("status.failedIndexes", failed, detail))
    causes += _pods(new, old)
    return causes


def _format(key: str, text: str, completions: int) -> list[Cause]:
    try:
        indexes.count(text, completions)
    except ValueError as error:
        return [fields.invalid(f"status.{key}", text, f"error parsing {key}: {error}")]
    return []


def _pods(new: Obj, old: Obj) -> list[Cause]:
    status, causes = meta.status(new), list[Cause]()
    terminating, ready = status.get("terminating") or 0, status.get("ready") or 0
    is_asked = _turned(new, old, "Complete", "Failed") or _changed(new, old, "terminating")
    if is_asked and terminating > 0 and _is(new, "Complete", "Failed"):
        detail = "terminating>0 is invalid for finished job"
        causes.append(fields.invalid("status.terminating", terminating, detail))
    is_asked = _changed(new, old, "ready") or _changed(new, old, "active")
    if is_asked and ready > (status.get("active") or 0):
        detail = "cannot set more ready pods than active"
        causes.append(fields.invalid("status.ready", ready, detail))
    return causes


def _success(new: Obj) -> list[Cause]:
    causes: list[Cause] = []
    if _is(new, "SuccessCriteriaMet"):
        for kind in ("Failed", "FailureTarget"):
            if _is(new, kind):
                detail = f"cannot set SuccessCriteriaMet=True and {kind}=true conditions"
                causes.append(_conditions(detail))
    elif meta.spec(new).get("successPolicy") is not None and _is(new, "Complete"):
        detail = (
            "cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True"
        )
        causes.append(_conditions(detail))
    return causes


def _only_forward(new: Obj, old: Obj) -> list[Cause]:
    status, before, spec = meta.status(new), meta.status(old), meta.spec(new)
    causes = [
        _conditions(f"cannot disable the terminal {kind}=True condition")
        for kind in _TERMINAL
        if _is(old, kind) and not _is(new, kind)
    ]
    # An elastic indexed Job may be made smaller, which takes finished indexes away.
    is_elastic = spec.get("completionMode") == "Indexed" and (
        spec.get("completions") == spec.get("parallelism")
    )
    for key in ("failed", "succeeded"):
        if key == "succeeded" and is_elastic:
            continue
        if (status.get(key) or 0) < (before.get(key) or 0):
            detail = f"cannot decrease the {key} counter"
            causes.append(fields.invalid(f"status.{key}", status.get(key) or 0, detail))
    completed, old_completed = status.get("completionTime"), before.get("completionTime")
    if None not in (completed, old_completed) and completed != old_completed:
        causes.append(fields.immutable("status.completionTime", completed))
    causes += _start_time(new, old)
    if _is(old, "SuccessCriteriaMet") and not _is(new, "SuccessCriteriaMet"):
        causes.append(_conditions("cannot disable the SuccessCriteriaMet=True condition"))
    is_late = _is(old, "Complete") and not _is(old, "SuccessCriteriaMet")
    if is_late and _is(new, "SuccessCriteriaMet"):
        detail = "cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions"
        causes.append(_conditions(detail))
    return causes


def _start_time(new: Obj, old: Obj) -> list[Cause]:
    started, before = meta.status(new).get("startTime"), meta.status(old).get("startTime")
    is_resuming = _is(old, "Suspended") and conditions.status_of(new, "Suspended") == "False"
    if before is None or started == before or is_resuming or meta.spec(new).get("suspend"):
        return []
    detail = "field is immutable for unsuspended job once set"
    return [fields.invalid("status.startTime", started, detail)]
