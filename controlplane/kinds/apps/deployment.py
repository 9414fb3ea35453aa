"""Deployments: pods by way of ReplicaSets, with rollouts."""

from __future__ import annotations

from typing import Any

from controlplane.api import meta
from controlplane.api.defaulting import part, set_missing
from controlplane.api.errors import Cause
from controlplane.api.kind import Kind
from controlplane.api.meta import Obj
from controlplane.api.resource import SCALE, STATUS, Resource
from controlplane.api.strategy import SpecStrategy
from controlplane.api.table import cells
from controlplane.api.table.columns import AGE, NAME, Column
from controlplane.api.validation import causes as fields
from controlplane.kinds.apps import workload
from controlplane.kinds.core.pod import template

DEPLOYMENTS = Resource(
    "apps",
    "v1",
    "Deployment",
    "deployments",
    short_names=("deploy",),
    categories=("all",),
    subresources=(SCALE, STATUS),
)


def _default(obj: Obj) -> None:
    spec = part(obj, "spec")
    if spec.get("replicas") is None:
        spec["replicas"] = 1
    strategy = part(spec, "strategy")
    set_missing(strategy, "type", "RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        rolling = part(strategy, "rollingUpdate")
        for key in ("maxUnavailable", "maxSurge"):
            set_missing(rolling, key, "25%")
    if spec.get("revisionHistoryLimit") is None:
        spec["revisionHistoryLimit"] = 10
    if spec.get("progressDeadlineSeconds") is None:
        spec["progressDeadlineSeconds"] = 600
    template.default_template(spec)


def _validate(obj: Obj) -> list[Cause]:
    spec = meta.spec(obj)
    causes = workload.validate_workload(obj)
    causes += fields.non_negative("spec.revisionHistoryLimit", spec.get("revisionHistoryLimit"))
    deadline = spec.get("progressDeadlineSeconds")
    causes += fields.non_negative("spec.progressDeadlineSeconds", deadline)
    if isinstance(deadline, int) and deadline <= (spec.get("minReadySeconds") or 0):
        detail = "must be greater than minReadySeconds"
        causes.append(fields.invalid("spec.progressDeadlineSeconds", deadline, detail))
    strategy = spec.get("strategy") or {}
    kind = strategy.get("type")
    if kind == "Recreate":
        if strategy.get("rollingUpdate") is not None:
            detail = "may not be specified when strategy `type` is 'Recreate'"
            causes.append(fields.forbidden("spec.strategy.rollingUpdate", detail))
    elif kind == "RollingUpdate":
        causes += _rolling(strategy.get("rollingUpdate"), "spec.strategy.rollingUpdate")
    else:
        supported = ("Recreate", "RollingUpdate")
        causes.append(fields.not_supported("spec.strategy.type", kind, supported))
    return causes


def _rolling(rolling: Any, path: str) -> list[Cause]:
    if rolling is None:
        return [fields.required(path, "this should be defaulted and never be nil")]
    causes: list[Cause] = []
    zeros = 0
    for key in ("maxUnavailable", "maxSurge"):
        value = rolling.get(key)
        causes += fields.number_or_percent(value, f"{path}.{key}")
        zeros += value in (0, "0%")
    if zeros == 2:
        detail = "may not be 0 when `maxSurge` is 0"
        causes.append(
            fields.invalid(f"{path}.maxUnavailable", rolling.get("maxUnavailable"), detail)
        )
    value = rolling.get("maxUnavailable")
    percent = str(value).removesuffix("%") if isinstance(value, str) else ""
    if percent.isdigit() and int(percent) > 100:
        detail = "must not be greater than 100%"
        causes.append(fields.invalid(f"{path}.maxUnavailable", value, detail))
    return causes


def _deployment_ready(obj: Obj, now: float) -> str:
    """Ready of wanted."""
    ready = meta.status(obj).get("readyReplicas") or 0
    return f"{ready}/{meta.spec(obj).get('replicas') or 0}"


_COLUMNS = (
    NAME,
    Column("Ready", _deployment_ready, description="Ready pods, of those wanted."),
    Column(
        "Up-to-date",
        cells.number("status.updatedReplicas"),
        type="integer",
        description="Pods of the newest template.",
    ),
    Column(
        "Available",
        cells.number("status.availableReplicas"),
        type="integer",
        description="Pods ready for long enough.",
    ),
    AGE,
    *workload.WIDE_COLUMNS,
)


KIND = Kind(
    DEPLOYMENTS,
    strategy=SpecStrategy,
    default=_default,
    validate=_validate,
    validate_update=workload.selector_kept,
    columns=_COLUMNS,
)
