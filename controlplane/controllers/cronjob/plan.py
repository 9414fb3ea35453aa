"""What a CronJob's Jobs mean for its status, which of them go, and the Job that is due: pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

from controlplane.api import conditions, meta
from controlplane.api.meta import Obj
from controlplane.api.times import parse_or_none, to_rfc3339
from controlplane.controllers.cronjob.times import most_recent, next_after
from controlplane.kinds.batch.schedule import parse

SCHEDULED = "batch.kubernetes.io/cronjob-scheduled-timestamp"

Event = tuple[str, str, str]
"""Type, reason, message."""


@dataclass(slots=True)
class Due:
    """Whether a Job is to be made now (`at`, Unix seconds), when to look next, and what to tell."""

    at: float | None = None
    next_at: float | None = None
    events: list[Event] = field(default_factory=list)


def finished_as(job: Obj) -> str:
    """Complete, Failed, or empty while the Job runs."""
    return next((kind for kind in ("Complete", "Failed") if conditions.is_true(job, kind)), "")


def observe(cron: Obj, jobs: Sequence[Obj]) -> tuple[Obj, list[Event], list[Obj]]:
    """The status with finished Jobs struck off, what to tell, and references to active Jobs that are not seen."""
    status = meta.copy_of(meta.status(cron))
    active: list[Obj] = status.get("active") or []
    events: list[Event] = []
    known = {reference.get("uid") for reference in active}
    for job in jobs:
        uid, ended = meta.uid(job), finished_as(job)
        if not ended and uid not in known:
            message = f"Saw a job that the controller did not create or forgot: {meta.name(job)}"
            events.append(("Warning", "UnexpectedJob", message))
        elif ended and uid in known:
            active = [reference for reference in active if reference.get("uid") != uid]
            message = f"Saw completed job: {meta.name(job)}, condition: {ended}"
            events.append(("Normal", "SawCompletedJob", message))
        if ended == "Complete":
            _set_latest(status, meta.status(job).get("completionTime"))
    present = {meta.uid(job) for job in jobs}
    missing = [reference for reference in active if reference.get("uid") not in present]
    return with_active(status, active), events, missing


def _set_latest(status: Obj, completed: str | None) -> None:
    before = parse_or_none(status.get("lastSuccessfulTime"))
    stamp = parse_or_none(completed)
    if completed and (before is None or (stamp is not None and stamp > before)):
        status["lastSuccessfulTime"] = completed


def with_active(status: Obj, active: Sequence[Obj]) -> Obj:
    """The status with these references to active Jobs."""
    rest = {name: value for name, value in status.items() if name != "active"}
    return {"active": list(active), **rest} if active else rest


def surplus(cron: Obj, jobs: Sequence[Obj]) -> list[Obj]:
    """The finished Jobs beyond the history limits, oldest first."""
    found = []
    for kind, field_name in (
        ("Complete", "successfulJobsHistoryLimit"),
        ("Failed", "failedJobsHistoryLimit"),
    ):
        limit = meta.spec(cron).get(field_name)
        if limit is None:
            continue
        ended = [job for job in jobs if finished_as(job) == kind]
        ended.sort(key=lambda job: (meta.status(job).get("startTime") or "", meta.name(job)))
        found += ended[: max(0, len(ended) - int(limit))]
    return found


def due(cron: Obj, status: Obj, now: float) -> Due:
    """Whether it is time, by the schedule, the deadline and the concurrency policy."""
    spec, result = meta.spec(cron), Due()
    if meta.is_deleting(cron) or spec.get("suspend"):
        return result
    zone, line = spec.get("timeZone") or "", str(spec.get("schedule") or "")
    try:
        ZoneInfo(zone or "UTC")
    except (KeyError, ValueError, OSError):
        message = f'invalid timeZone: "{zone}": unknown time zone {zone}'
        result.events.append(("Warning", "UnknownTimeZone", message))
        return result
    try:
        schedule = parse(line)
    except ValueError as error:
        message = f'unparseable schedule: "{line}" : {error}'
        result.events.append(("Warning", "UnparseableSchedule", message))
        return result
    last = parse_or_none(status.get("lastScheduleTime"))
    created = parse_or_none(meta.creation_timestamp(cron)) or 0.0
    earliest = created if last is None else last
    deadline = spec.get("startingDeadlineSeconds")
    if deadline is not None:
        earliest = max(earliest, now - float(deadline))
    at, is_many = most_recent(schedule, zone, earliest, now)
    result.next_at = next_after(schedule, now, zone)
    if at is None:
        return result
    if is_many:
        message = (
            "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check "
            "clock skew"
        )
        result.events.append(("Warning", "TooManyMissedTimes", message))
    if deadline is not None and at + float(deadline) < now:
        when = datetime.fromtimestamp(at, ZoneInfo("UTC")).strftime("%a, %d %b %Y %H:%M:%S UTC")
        message = f"Missed scheduled time to start a job: {when}"
        result.events.append(("Warning", "MissSchedule", message))
        return result
    active = status.get("active") or []
    if at == last or any(ref.get("name") == job_name(cron, at) for ref in active):
        return result
    if spec.get("concurrencyPolicy") == "Forbid" and active:
        message = (
            "Not starting job because prior execution is running and concurrency policy is Forbid"
        )
        result.events.append(("Normal", "JobAlreadyActive", message))
        return result
    result.at = at
    return result


def job_name(cron: Obj, at: float) -> str:
    """The name of the Job of a time: the minutes since 1970, so that no time has two Jobs."""
    return f"{meta.name(cron)}-{int(at) // 60}"


def new_job(cron: Obj, at: float) -> Obj:
    """The Job of a time."""
    spec = meta.spec(cron)
    template = meta.copy_of(spec.get("jobTemplate") or {})
    source = template.get("metadata") or {}
    local = datetime.fromtimestamp(at, ZoneInfo(spec.get("timeZone") or "UTC"))
    stamp = (
        to_rfc3339(at) if local.utcoffset() is None or not local.utcoffset() else local.isoformat()
    )
    metadata: Obj = {
        "name": job_name(cron, at),
        "namespace": meta.namespace(cron),
        "annotations": {**(source.get("annotations") or {}), SCHEDULED: stamp},
        "ownerReferences": [meta.controller_reference(cron)],
    }
    if source.get("labels"):
        metadata["labels"] = source["labels"]
    return {"metadata": metadata, "spec": template.get("spec") or {}}


def reference_to(job: Obj) -> Obj:
    """What the status says of an active Job."""
    return {
        "kind": "Job",
        "namespace": meta.namespace(job),
        "name": meta.name(job),
        "uid": meta.uid(job),
        "apiVersion": "batch/v1",
        "resourceVersion": meta.resource_version(job),
    }
