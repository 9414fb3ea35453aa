"""When a finished Job has outlived its time: pure."""

from controlplane.api import conditions, meta
from controlplane.api.meta import Obj
from controlplane.api.times import parse_or_none


def expires_at(job: Obj) -> float | None:
    """Unix seconds at which the Job may go; None when it has no limit, runs, or is going."""
    limit = meta.spec(job).get("ttlSecondsAfterFinished")
    if limit is None or meta.is_deleting(job):
        return None
    for kind in ("Complete", "Failed"):
        condition = conditions.get(job, kind)
        if condition is not None and condition.get("status") == "True":
            finished = parse_or_none(condition.get("lastTransitionTime"))
            return None if finished is None else finished + float(limit)
    return None
