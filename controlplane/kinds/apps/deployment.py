"""Deployments: pods by way of ReplicaSets, with rollouts."""

from __future__ import annotations

from controlplane.api import meta
from controlplane.api.defaulting import part, set_missing
from controlplane.api.errors import Cause
from controlplane.api.kind import Kind, MetadataRules
from controlplane.api.meta import Obj
from controlplane.api.resource import SCALE, STATUS, Resource
from controlplane.api.strategy import SpecStrategy
from controlplane.api.table import cells
from controlplane.api.table.columns import AGE, NAME, Column
from controlplane.api.table.standard import text
from controlplane.api.validation import amounts
from controlplane.api.validation import causes as fields
from controlplane.api.validation.internal import Pointer, Shape
from controlplane.kinds.apps import workload
from controlplane.kinds.core.pod.warnings import workload_warnings

DEPLOYMENTS = Resource(
    "apps",
    "v1",
    "Deployment",
    "deployments",
    short_names=("deploy",),
    categories=("all",),
    subresources=(SCALE, STATUS),
)


_ROLLING = Shape((("MaxUnavailable", "maxUnavailable", 0), ("MaxSurge", "maxSurge", 0)))
_STRATEGY = Shape((("Type", "type", ""), ("RollingUpdate", "rollingUpdate", Pointer(_ROLLING))))
_STRATEGIES = ("Recreate", "RollingUpdate")
_COUNTS = (
    "observedGeneration",
    "replicas",
    "updatedReplicas",
    "readyReplicas",
    "availableReplicas",
    "unavailableReplicas",
    "terminatingReplicas",
    "collisionCount",
)
_BOUNDED = ("updatedReplicas", "readyReplicas", "availableReplicas")


def _default(obj: Obj) -> None:
    workload.default_workload(obj)
    spec = part(obj, "spec")
    strategy = part(spec, "strategy")
    set_missing(strategy, "type", "RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        rolling = part(strategy, "rollingUpdate")
        for key in ("maxUnavailable", "maxSurge"):
            if rolling.get(key) is None:
                rolling[key] = "25%"
    if spec.get("revisionHistoryLimit") is None:
        spec["revisionHistoryLimit"] = 10
    if spec.get("progressDeadlineSeconds") is None:
        spec["progressDeadlineSeconds"] = 600


def _validate(obj: Obj) -> list[Cause]:
    spec = meta.spec(obj)
    causes = workload.validate_replicas(obj) + workload.validate_pods(obj)
    causes += _strategy(spec.get("strategy") or {}, "spec.strategy")
    deadline, least = spec.get("progressDeadlineSeconds"), spec.get("minReadySeconds")
    causes += fields.non_negative("spec.minReadySeconds", least)
    causes += fields.non_negative("spec.revisionHistoryLimit", spec.get("revisionHistoryLimit"))
    causes += fields.non_negative("spec.progressDeadlineSeconds", deadline)
    if deadline is not None and deadline <= (least or 0):
        detail = "must be greater than minReadySeconds"
        causes.append(fields.invalid("spec.progressDeadlineSeconds", deadline, detail))
    return causes


def _strategy(strategy: Obj, path: str) -> list[Cause]:
    kind, rolling = strategy.get("type"), strategy.get("rollingUpdate")
    if kind == "Recreate":
        if rolling is None:
            return []
        detail = "may not be specified when strategy `type` is 'Recreate'"
        return [fields.forbidden(f"{path}.rollingUpdate", detail)]
    if kind != "RollingUpdate":
        return [fields.not_supported(path, _STRATEGY.of(strategy), _STRATEGIES)]
    if rolling is None:
        detail = "this should be defaulted and never be nil"
        return [fields.required(f"{path}.rollingUpdate", detail)]
    return _rolling(rolling, f"{path}.rollingUpdate")


def _rolling(rolling: Obj, path: str) -> list[Cause]:
    causes: list[Cause] = []
    unavailable = rolling.get("maxUnavailable")
    for key in ("maxUnavailable", "maxSurge"):
        causes += amounts.int_or_percent(f"{path}.{key}", rolling.get(key))
    if not amounts.number_of(unavailable) and not amounts.number_of(rolling.get("maxSurge")):
        detail = "may not be 0 when `maxSurge` is 0"
        causes.append(fields.invalid(f"{path}.maxUnavailable", unavailable, detail))
    return causes + amounts.at_most_100_percent(f"{path}.maxUnavailable", unavailable)


def _validate_status(new: Obj, old: Obj) -> list[Cause]:
    causes = workload.validate_status(new, _COUNTS, _BOUNDED)
    return causes + amounts.not_decremented("status", meta.status(new), meta.status(old))


def _deployment_ready(obj: Obj, now: float) -> str:
    """Ready of wanted."""
    ready = meta.status(obj).get("readyReplicas") or 0
    return f"{ready}/{meta.spec(obj).get('replicas') or 0}"


_COLUMNS = (
    NAME,
    Column("Ready", _deployment_ready, description="Ready pods, of those wanted."),
    text("Up-to-date", cells.number("status.updatedReplicas"), "Pods of the newest template."),
    text("Available", cells.number("status.availableReplicas"), "Pods ready for long enough."),
    AGE,
    *workload.WIDE_COLUMNS,
)


KIND = Kind(
    DEPLOYMENTS,
    strategy=SpecStrategy,
    default=_default,
    validate=_validate,
    validate_update=workload.selector_kept,
    validate_status=_validate_status,
    columns=_COLUMNS,
    warnings=workload_warnings,
    metadata_rules=~MetadataRules.WHOLE,
)
