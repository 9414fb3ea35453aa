"""What quotas count of ResourceClaims: devices by class, at their most.

Source: pkg/quota/v1/evaluator/core/resource_claims.go, k8s.io/api/resource/v1 (AllocationResultsMaxSize).
"""

from __future__ import annotations

from controlplane.api import meta
from controlplane.api.meta import Obj
from controlplane.kinds.core.quota.amounts import ONE, Amount, Amounts, add, whole
from controlplane.kinds.core.quota.evaluator import Evaluator, count_name, new_or_changed

_OBJECTS = count_name("resourceclaims.resource.k8s.io")
_BY_CLASS = ".deviceclass.resource.k8s.io/devices"
# How many devices "all" can mean.
_MAX_DEVICES = 32


def _usage(claim: Obj, now: float) -> Amounts:
    usage: dict[str, Amount] = {_OBJECTS: ONE}
    for request in (meta.spec(claim).get("devices") or {}).get("requests") or ():
        choices = request.get("firstAvailable") or [request.get("exactly")]
        greatest: dict[str, Amount] = {}
        for choice in choices:
            if choice is None:
                continue
            name = f"{choice.get('deviceClassName')}{_BY_CLASS}"
            number = whole(_devices(choice))
            if name not in greatest or number.number > greatest[name].number:
                greatest[name] = number
        usage = add(usage, greatest)
    return usage


def _devices(choice: Obj) -> int:
    match choice.get("allocationMode"):
        case "ExactCount":
            return int(choice.get("count") or 0)
        case "All":
            return _MAX_DEVICES
    return 0


EVALUATOR = Evaluator(
    counts=lambda name: name == _OBJECTS or name.endswith(_BY_CLASS),
    usage=_usage,
    handles=new_or_changed,
)
