"""autoscaling/v2: the version that is stored.

Sources: pkg/apis/autoscaling/v2/defaults.go, pkg/registry/autoscaling/horizontalpodautoscaler,
pkg/printers/internalversion/printers.go.
"""

from __future__ import annotations

import copy

from controlplane.api import meta, quantity
from controlplane.api.defaulting import part
from controlplane.api.errors import Cause
from controlplane.api.kind import Kind, MetadataRules
from controlplane.api.meta import Obj
from controlplane.api.resource import STATUS, Resource
from controlplane.api.strategy import Strategy
from controlplane.api.table.columns import AGE, NAME
from controlplane.api.table.standard import text
from controlplane.kinds.autoscaling.horizontal_pod_autoscaler import rules

HORIZONTAL_POD_AUTOSCALERS = Resource(
    "autoscaling",
    "v2",
    "HorizontalPodAutoscaler",
    "horizontalpodautoscalers",
    short_names=("hpa",),
    categories=("all",),
    subresources=(STATUS,),
)

CPU_UTILIZATION = 80
_PERIOD_SECONDS = 15
_PERCENT = {"type": "Percent", "value": 100, "periodSeconds": _PERIOD_SECONDS}
_PODS = {"type": "Pods", "value": 4, "periodSeconds": _PERIOD_SECONDS}
# Down, the window is a flag of the controller unless it is given.
_BEHAVIOR: dict[str, Obj] = {
    "scaleUp": {
        "stabilizationWindowSeconds": 0,
        "selectPolicy": "Max",
        "policies": [_PODS, _PERCENT],
    },
    "scaleDown": {"selectPolicy": "Max", "policies": [_PERCENT]},
}
_SHOWN_METRICS = 2


def cpu_metric(percent: int) -> Obj:
    """The metric that v1 knows: the share of the requested CPU that pods use on average."""
    target = {"type": "Utilization", "averageUtilization": percent}
    return {"type": "Resource", "resource": {"name": "cpu", "target": target}}


def default(obj: Obj) -> None:
    """Fill in what was left out."""
    spec = part(obj, "spec")
    if spec.get("minReplicas") is None:
        spec["minReplicas"] = 1
    if not spec.get("metrics"):
        spec["metrics"] = [cpu_metric(CPU_UTILIZATION)]
    behavior = spec.get("behavior")
    if behavior is not None:
        for key, usual in _BEHAVIOR.items():
            given = behavior.get(key) or {}
            kept = {name: value for name, value in given.items() if value is not None}
            behavior[key] = {**copy.deepcopy(usual), **kept}
    for metric in spec["metrics"]:
        _canonical(metric, "target")
    for metric in meta.status(obj).get("currentMetrics") or ():
        _canonical(metric, "current")


def _canonical(metric: Obj, key: str) -> None:
    for source in metric.values():
        amounts = (source.get(key) if isinstance(source, dict) else None) or {}
        for name in ("value", "averageValue"):
            value = amounts.get(name)
            if value is not None and quantity.is_valid(value):
                amounts[name] = quantity.canonical(value)


def validate(obj: Obj) -> list[Cause]:
    """Causes in a new autoscaler."""
    return rules.validate_spec(meta.spec(obj), None)


def validate_update(new: Obj, old: Obj) -> list[Cause]:
    """Causes in a changed autoscaler."""
    return rules.validate_spec(meta.spec(new), meta.spec(old))


def _reference(obj: Obj, now: float) -> str:
    target = meta.spec(obj).get("scaleTargetRef") or {}
    return f"{target.get('kind') or ''}/{target.get('name') or ''}"


def _targets(obj: Obj, now: float) -> str:
    metrics = meta.spec(obj).get("metrics") or []
    current = meta.status(obj).get("currentMetrics") or []
    if not metrics:
        return "<none>"
    shown = [
        _metric(metric, current[index] if index < len(current) else {})
        for index, metric in enumerate(metrics[:_SHOWN_METRICS])
    ]
    more = len(metrics) - _SHOWN_METRICS
    return ", ".join(shown) + (f" + {more} more..." if more > 0 else "")


def _metric(metric: Obj, status: Obj) -> str:
    """`<current>/<target>` of one metric, with its name for resources."""
    kind = str(metric.get("type") or "")
    key = kind[:1].lower() + kind[1:]
    source, measured = metric.get(key), status.get(key)
    if source is None:
        return "<unknown type>"
    target = source.get("target") or {}
    # Compat: a source that is measured but without the amount shows 0, as an absent Quantity prints.
    now = None if measured is None else measured.get("current") or {}
    if key in ("resource", "containerResource"):
        return f"{source.get('name')}: {_resource(target, now)}"
    if key == "pods" or target.get("averageValue") is None:
        name = "averageValue" if key == "pods" else "value"
        current = "<unknown>" if now is None else now.get(name) or "0"
        return f"{current}/{target.get(name) or '0'}"
    current = (now or {}).get("averageValue") or "<unknown>"
    return f"{current}/{target['averageValue']} (avg)"


def _resource(target: Obj, now: Obj | None) -> str:
    if target.get("averageValue") is not None:
        current = "<unknown>" if now is None else now.get("averageValue") or "0"
        return f"{current}/{target['averageValue']}"
    used, wanted = (now or {}).get("averageUtilization"), target.get("averageUtilization")
    current = "<unknown>" if used is None else f"{used}%"
    return f"{current}/" + ("<auto>" if wanted is None else f"{wanted}%")


def _least(obj: Obj, now: float) -> str:
    least = meta.spec(obj).get("minReplicas")
    return "<unset>" if least is None else str(least)


def _most(obj: Obj, now: float) -> int:
    return int(meta.spec(obj).get("maxReplicas") or 0)


def _replicas(obj: Obj, now: float) -> int:
    return int(meta.status(obj).get("currentReplicas") or 0)


COLUMNS = (
    NAME,
    text("Reference", _reference, "What is scaled."),
    text("Targets", _targets, "What is measured, and what it should be."),
    text("MinPods", _least, "The lowest number of pods."),
    text("MaxPods", _most, "The highest number of pods."),
    text("Replicas", _replicas, "The number of pods now."),
    AGE,
)


class AutoscalerStrategy(Strategy):
    """The rules of autoscalers; they have no generation."""

    def prepare_for_create(self, obj: Obj) -> None:
        """Nothing has been measured yet."""
        super().prepare_for_create(obj)
        obj["status"] = {"currentMetrics": None, "desiredReplicas": 0}


KIND = Kind(
    HORIZONTAL_POD_AUTOSCALERS,
    strategy=AutoscalerStrategy,
    default=default,
    validate=validate,
    validate_update=validate_update,
    validates_update_alone=True,
    validate_status=rules.validate_status,
    columns=COLUMNS,
    metadata_rules=~MetadataRules.WHOLE,
)
