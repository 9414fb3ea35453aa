"""The status of a PodDisruptionBudget: pure. Counting, reasons and times are upstream's."""

import math
from collections.abc import Sequence

from controlplane.api import conditions, meta
from controlplane.api.meta import Obj
from controlplane.api.times import parse_or_none, to_rfc3339
from controlplane.kinds.core.pod.views import is_ready

# An evicted Pod counts as going for so long; then it was not deleted after all.
DELETION_SECONDS = 120.0


def needs_scale(budget: Obj) -> bool:
    """Whether the budget is a share of what the Pods' controllers want, not a number of Pods."""
    spec = meta.spec(budget)
    return spec.get("maxUnavailable") is not None or isinstance(spec.get("minAvailable"), str)


def counts(budget: Obj, pods: int, scale: int) -> tuple[int, int]:
    """(expected Pods, Pods that must be healthy); `scale` is what the controllers want together."""
    spec = meta.spec(budget)
    if spec.get("maxUnavailable") is not None:
        return scale, max(0, scale - _resolved(spec["maxUnavailable"], scale))
    minimum = spec.get("minAvailable")
    if isinstance(minimum, str):
        return scale, _resolved(minimum, scale)
    return pods, int(minimum or 0)


def _resolved(value: int | str, total: int) -> int:
    if isinstance(value, str) and value.endswith("%"):
        return math.ceil(int(value[:-1]) * total / 100)
    return int(value)


def still_going(
    budget: Obj, pods: Sequence[Obj], now: float
) -> tuple[dict[str, str], list[Obj], float | None]:
    """Evicted Pods that may yet be deleted, those that were not in time, and when to look again (seconds)."""
    going: dict[str, str] = {}
    failed: list[Obj] = []
    waits: list[float] = []
    disrupted = meta.status(budget).get("disruptedPods") or {}
    for pod in pods:
        stamp = disrupted.get(meta.name(pod))
        if stamp is None or meta.is_deleting(pod):
            continue
        left = (parse_or_none(stamp) or 0.0) + DELETION_SECONDS - now
        if left < 0:
            failed.append(pod)
        else:
            going[meta.name(pod)] = stamp
            waits.append(left + 0.01)
    return going, failed, min(waits, default=None)


def plan_status(
    budget: Obj, pods: Sequence[Obj], going: dict[str, str], scale: int, now: float
) -> Obj:
    """The status; `going` are evicted Pods that do not count as healthy any more."""
    expected, desired = counts(budget, len(pods), scale)
    healthy = sum(
        is_ready(pod) and not meta.is_deleting(pod) and meta.name(pod) not in going for pod in pods
    )
    allowed = max(0, healthy - desired) if expected > 0 else 0
    status: Obj = {
        "currentHealthy": healthy,
        "desiredHealthy": desired,
        "disruptionsAllowed": allowed,
        "expectedPods": expected,
        "observedGeneration": meta.generation(budget),
    }
    if going:
        status["disruptedPods"] = going
    return {
        **status,
        "conditions": _conditions(budget, "SufficientPods" if allowed else "InsufficientPods", now),
    }


def failed_status(budget: Obj, message: str, now: float) -> Obj:
    """The status when nothing could be counted: nothing may be disrupted."""
    status = {**meta.status(budget), "disruptionsAllowed": 0}
    return {**status, "conditions": _conditions(budget, "SyncFailed", now, message)}


def _conditions(budget: Obj, reason: str, now: float, message: str = "") -> list[Obj]:
    listed = [dict(condition) for condition in meta.status(budget).get("conditions") or ()]
    condition = {
        "type": "DisruptionAllowed",
        "status": "True" if reason == "SufficientPods" else "False",
        "observedGeneration": meta.generation(budget),
        "reason": reason,
        "message": message,
    }
    conditions.set(listed, condition, to_rfc3339(now))
    return listed
