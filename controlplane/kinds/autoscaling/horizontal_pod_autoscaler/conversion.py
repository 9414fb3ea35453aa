"""autoscaling/v1 from v2 and back, without loss: what v1 cannot say stands in annotations of its objects.

The annotations hold JSON: metrics, current metrics and conditions in v1's own spelling, behavior under Go's names, as
upstream writes it. They are read on the way in and never stored.
Source: pkg/apis/autoscaling/v1/conversion.go, pkg/apis/autoscaling/annotations.go.
"""

from __future__ import annotations

import json
from typing import Any

from controlplane.api import meta, quantity
from controlplane.api.meta import Obj
from controlplane.api.validation.internal import Items, Pointer, Shape
from controlplane.kinds.autoscaling.horizontal_pod_autoscaler.kind import (
    CPU_UTILIZATION,
    cpu_metric,
)

_PREFIX = "autoscaling.alpha.kubernetes.io/"
METRICS = _PREFIX + "metrics"
CURRENT_METRICS = _PREFIX + "current-metrics"
CONDITIONS = _PREFIX + "conditions"
BEHAVIOR = _PREFIX + "behavior"
_ALL = (
    METRICS,
    BEHAVIOR,
    _PREFIX + "scale-down-tolerance",
    _PREFIX + "scale-up-tolerance",
    CURRENT_METRICS,
    CONDITIONS,
)
_POLICY = Shape(
    (("Type", "type", ""), ("Value", "value", 0), ("PeriodSeconds", "periodSeconds", 0))
)
_RULES = Shape(
    (
        ("StabilizationWindowSeconds", "stabilizationWindowSeconds", None),
        ("SelectPolicy", "selectPolicy", None),
        ("Policies", "policies", Items(_POLICY)),
        ("Tolerance", "tolerance", None),
    )
)
_BEHAVIOR = Shape(
    (("ScaleUp", "scaleUp", Pointer(_RULES)), ("ScaleDown", "scaleDown", Pointer(_RULES)))
)
_SHARED_STATUS = ("observedGeneration", "lastScaleTime", "currentReplicas", "desiredReplicas")
_SOURCES = ("object", "pods", "resource", "containerResource", "external")


def to_v2(obj: Obj) -> Obj:
    """A v1 object as v2."""
    noted = meta.annotations(obj)
    spec = meta.spec(obj)
    result = _frame(obj)
    result["spec"] = _kept(spec, ("scaleTargetRef", "minReplicas", "maxReplicas"))
    percent = spec.get("targetCPUUtilizationPercentage")
    metrics = [_metric_to_v2(row) for row in _list(noted.get(METRICS))]
    if percent is not None:
        metrics.append(cpu_metric(percent))
    result["spec"]["metrics"] = metrics or [cpu_metric(CPU_UTILIZATION)]
    behavior = _lower(_read(noted.get(BEHAVIOR)))
    if isinstance(behavior, dict) and any(behavior.values()):
        result["spec"]["behavior"] = behavior
    if "status" in obj:
        result["status"] = _status_to_v2(meta.status(obj), noted)
    return result


def _status_to_v2(status: Obj, noted: dict[str, str]) -> Obj:
    result = _kept(status, _SHARED_STATUS)
    used = status.get("currentCPUUtilizationPercentage")
    if CURRENT_METRICS in noted:
        result["currentMetrics"] = [_status_metric(row) for row in _list(noted[CURRENT_METRICS])]
    elif used is not None:
        current = {"averageUtilization": used}
        row = {"type": "Resource", "resource": {"name": "cpu", "current": current}}
        result["currentMetrics"] = [row]
    if CONDITIONS in noted:
        result["conditions"] = _list(noted[CONDITIONS])
    return result


def from_v2(obj: Obj) -> Obj:
    """A v2 object as v1."""
    spec, status = meta.spec(obj), meta.status(obj)
    result = _frame(obj)
    result["spec"] = _kept(spec, ("scaleTargetRef", "minReplicas", "maxReplicas"))
    metrics = spec.get("metrics") or []
    cpu = [metric for metric in metrics if _is_cpu_share(metric)]
    if cpu:
        share = cpu[0]["resource"]["target"]["averageUtilization"]
        result["spec"]["targetCPUUtilizationPercentage"] = share
    noted: dict[str, str] = {}
    others = [_metric_to_v1(metric) for metric in metrics if not _is_cpu_share(metric)]
    if others:
        noted[METRICS] = _write(others)
    if status.get("currentMetrics"):
        rows = [_status_metric_to_v1(metric) for metric in status["currentMetrics"]]
        noted[CURRENT_METRICS] = _write(rows)
    if spec.get("behavior") is not None:
        noted[BEHAVIOR] = _write(_BEHAVIOR.of(spec["behavior"]))
    if status.get("conditions"):
        noted[CONDITIONS] = _write(status["conditions"])
    if noted:
        metadata = result["metadata"]
        metadata["annotations"] = {**(metadata.get("annotations") or {}), **noted}
    if "status" in obj:
        result["status"] = _status_to_v1(status)
    return result


def _status_to_v1(status: Obj) -> Obj:
    result = {"currentReplicas": 0, "desiredReplicas": 0, **_kept(status, _SHARED_STATUS)}
    for metric in status.get("currentMetrics") or ():
        resource = metric.get("resource") or {}
        used = (resource.get("current") or {}).get("averageUtilization")
        if metric.get("type") == "Resource" and resource.get("name") == "cpu" and used is not None:
            result["currentCPUUtilizationPercentage"] = used
    return result


def _frame(obj: Obj) -> Obj:
    """Type and metadata of the object, without the annotations that stand for v2's fields."""
    metadata = dict(meta.metadata(obj))
    annotations = metadata.get("annotations")
    if annotations:
        left = {key: value for key, value in annotations.items() if key not in _ALL}
        metadata["annotations"] = left
        if not left and len(annotations) != len(left):
            del metadata["annotations"]
    return {**_kept(obj, ("apiVersion", "kind")), "metadata": metadata}


def _kept(source: Obj, keys: tuple[str, ...]) -> Obj:
    return {key: source[key] for key in keys if source.get(key) is not None}


def _is_cpu_share(metric: Obj) -> bool:
    resource = metric.get("resource") or {}
    share = (resource.get("target") or {}).get("averageUtilization")
    return metric.get("type") == "Resource" and resource.get("name") == "cpu" and share is not None


def _read(text: str | None) -> Any:
    try:
        return json.loads(text) if text else None
    except ValueError:
        return None


def _list(text: str | None) -> list[Obj]:
    found = _read(text)
    return [row for row in found if isinstance(row, dict)] if isinstance(found, list) else []


def _write(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _lower(value: Any) -> Any:
    """Go's field names as JSON's, without nulls."""
    if isinstance(value, list):
        return [_lower(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key[:1].lower() + key[1:]: _lower(item) for key, item in value.items() if item is not None
    }


def _plain(**parts: Any) -> Obj:
    return {key: value for key, value in parts.items() if value is not None}


def _metric_to_v2(row: Obj) -> Obj:
    result: Obj = {"type": row.get("type") or ""}
    for key in _SOURCES:
        source = row.get(key)
        if isinstance(source, dict):
            result[key] = _SPEC_TO_V2[key](source)
    return result


def _object_to_v2(source: Obj) -> Obj:
    value, average = source.get("targetValue"), source.get("averageValue")
    if average is not None and _is_zero(value):
        value = None
    kind = "Value" if average is None else "AverageValue"
    target = _plain(type=kind, value=value, averageValue=average)
    metric = _plain(name=source.get("metricName"), selector=source.get("selector"))
    return {"describedObject": source.get("target") or {}, "metric": metric, "target": target}


def _pods_to_v2(source: Obj) -> Obj:
    target = _plain(type="AverageValue", averageValue=source.get("targetAverageValue"))
    metric = _plain(name=source.get("metricName"), selector=source.get("selector"))
    return {"metric": metric, "target": target}


def _resource_to_v2(source: Obj) -> Obj:
    share = source.get("targetAverageUtilization")
    target = _plain(
        type="AverageValue" if share is None else "Utilization",
        averageValue=source.get("targetAverageValue"),
        averageUtilization=share,
    )
    return {**_kept(source, ("name", "container")), "target": target}


def _external_to_v2(source: Obj) -> Obj:
    value = source.get("targetValue")
    target = _plain(
        type="AverageValue" if value is None else "Value",
        value=value,
        averageValue=source.get("targetAverageValue"),
    )
    metric = _plain(name=source.get("metricName"), selector=source.get("metricSelector"))
    return {"metric": metric, "target": target}


_SPEC_TO_V2 = {
    "object": _object_to_v2,
    "pods": _pods_to_v2,
    "resource": _resource_to_v2,
    "containerResource": _resource_to_v2,
    "external": _external_to_v2,
}


def _is_zero(value: Any) -> bool:
    return value is None or (quantity.is_valid(value) and quantity.parse(value) == 0)


def _metric_to_v1(metric: Obj) -> Obj:
    result: Obj = {"type": metric.get("type") or ""}
    for key in _SOURCES:
        source = metric.get(key)
        if not isinstance(source, dict):
            continue
        target, about = source.get("target") or {}, source.get("metric") or {}
        name, selector = about.get("name") or "", about.get("selector")
        value, average = target.get("value"), target.get("averageValue")
        share = target.get("averageUtilization")
        if key == "object":
            row = {"target": source.get("describedObject") or {}, "metricName": name}
            row["targetValue"] = value or "0"
            row |= _plain(selector=selector, averageValue=average)
        elif key == "pods":
            row = {"metricName": name, "targetAverageValue": average or "0"}
            row |= _plain(selector=selector)
        elif key == "external":
            row = {"metricName": name} | _plain(
                metricSelector=selector, targetValue=value, targetAverageValue=average
            )
        else:
            row = {"name": source.get("name") or ""} | _plain(
                targetAverageUtilization=share,
                targetAverageValue=average,
                container=source.get("container"),
            )
        result[key] = row
    return result


def _status_metric(row: Obj) -> Obj:
    result: Obj = {"type": row.get("type") or ""}
    for key in _SOURCES:
        source = row.get(key)
        if not isinstance(source, dict):
            continue
        is_external = key == "external"
        selector = source.get("metricSelector" if is_external else "selector")
        metric = _plain(name=source.get("metricName"), selector=selector)
        average = source.get("averageValue" if key == "object" else "currentAverageValue")
        current = _plain(
            value=source.get("currentValue"),
            averageValue=average,
            averageUtilization=source.get("currentAverageUtilization"),
        )
        if key in ("resource", "containerResource"):
            result[key] = {**_kept(source, ("name", "container")), "current": current}
        else:
            result[key] = {"metric": metric, "current": current}
            if key == "object":
                result[key]["describedObject"] = source.get("target") or {}
    return result


def _status_metric_to_v1(metric: Obj) -> Obj:
    result: Obj = {"type": metric.get("type") or ""}
    for key in _SOURCES:
        source = metric.get(key)
        if not isinstance(source, dict):
            continue
        current, about = source.get("current") or {}, source.get("metric") or {}
        name, selector = about.get("name") or "", about.get("selector")
        value, average = current.get("value") or "0", current.get("averageValue")
        if key == "object":
            row = {"target": source.get("describedObject") or {}, "metricName": name}
            row["currentValue"] = value
            row |= _plain(selector=selector, averageValue=average)
        elif key == "pods":
            row = {"metricName": name, "currentAverageValue": average or "0"}
            row |= _plain(selector=selector)
        elif key == "external":
            row = {"metricName": name} | _plain(
                metricSelector=selector, currentValue=value, currentAverageValue=average
            )
        else:
            row = {"name": source.get("name") or ""}
            row |= _plain(currentAverageUtilization=current.get("averageUtilization"))
            row["currentAverageValue"] = average or "0"
            row |= _plain(container=source.get("container"))
        result[key] = row
    return result
