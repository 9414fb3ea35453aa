"""What an autoscaler may say, in the words of v2; v1 is read as v2 first.

Source: pkg/apis/autoscaling/validation/validation.go.
"""

from __future__ import annotations

from controlplane.api import meta, names, quantity
from controlplane.api.errors import Cause
from controlplane.api.meta import Obj
from controlplane.api.validation import amounts
from controlplane.api.validation import causes as fields
from controlplane.kinds.core.resource_names import validate_container_resource_name

# Scaling to nothing is behind a gate that is off.
_LEAST_REPLICAS = 1
_MAX_WINDOW_SECONDS = 3600
_MAX_PERIOD_SECONDS = 1800
_SELECT_POLICIES = ("Disabled", "Max", "Min")
_POLICY_TYPES = ("Percent", "Pods")
_FIELD_OF = {
    "ContainerResource": "containerResource",
    "External": "external",
    "Object": "object",
    "Pods": "pods",
    "Resource": "resource",
}
_METRIC_TYPES = tuple(sorted(_FIELD_OF))
_TARGET_TYPES = ("Utilization", "Value", "AverageValue")
# The order in which upstream looks at a metric's members; only the first is checked.
_SOURCES = ("object", "external", "pods", "resource", "containerResource")


def validate_spec(spec: Obj, old: Obj | None) -> list[Cause]:
    """Causes in the spec; `old` is the stored one when it is changed."""
    causes: list[Cause] = []
    least, most = spec.get("minReplicas"), spec.get("maxReplicas") or 0
    bound = 0 if old is not None and old.get("minReplicas") == 0 else _LEAST_REPLICAS
    if least is not None and least < bound:
        detail = f"must be greater than or equal to {bound}"
        causes.append(fields.invalid("spec.minReplicas", least, detail))
    path = "spec.maxReplicas"
    if most == 0:
        causes.append(fields.required(path, "must be set and greater than 0"))
    elif most < 0:
        causes.append(fields.invalid(path, most, "must be greater than or equal to 1"))
    if least is not None and most < least:
        causes.append(fields.invalid(path, most, "must be greater than or equal to `minReplicas`"))
    target = spec.get("scaleTargetRef") or {}
    before = (old or {}).get("scaleTargetRef")
    is_kept = before is not None and all(
        (before.get(key) or "") == (target.get(key) or "") for key in ("apiVersion", "kind")
    )
    causes += _reference(
        target,
        "spec.scaleTargetRef",
        checks_version=not is_kept,
        needs_group=target.get("kind") != "ReplicationController",
    )
    causes += _metrics(spec, old)
    behavior = spec.get("behavior") or {}
    for key in ("scaleUp", "scaleDown"):
        if behavior.get(key) is not None:
            causes += _scaling_rules(behavior[key], f"spec.behavior.{key}")
    return causes


def _reference(target: Obj, path: str, *, checks_version: bool, needs_group: bool) -> list[Cause]:
    causes: list[Cause] = []
    for key in ("kind", "name"):
        value = target.get(key)
        if not value:
            causes.append(fields.required(f"{path}.{key}"))
        else:
            causes += fields.each(f"{path}.{key}", value, names.path_segment(value))
    version = target.get("apiVersion") or ""
    problem = _version_problem(version, needs_group) if checks_version else ""
    if problem:
        causes.append(fields.invalid(f"{path}.apiVersion", version, problem))
    return causes


def _version_problem(version: str, needs_group: bool) -> str:
    if version.count("/") > 1:
        return f"unexpected GroupVersion string: {version}"
    if needs_group and not version.rpartition("/")[0]:
        return "apiVersion must specify API group"
    return ""


def _metrics(spec: Obj, old: Obj | None) -> list[Cause]:
    causes: list[Cause] = []
    metrics = spec.get("metrics") or []
    was_bad = any(
        _version_problem(_described(metric).get("apiVersion") or "", needs_group=False)
        for metric in (old or {}).get("metrics") or ()
    )
    for index, metric in enumerate(metrics):
        causes += _metric(metric, f"spec.metrics[{index}]", checks_version=not was_bad)
    if spec.get("minReplicas") == 0 and not any(
        metric.get("type") in ("Object", "External") for metric in metrics
    ):
        detail = (
            "must specify at least one Object or External metric to support scaling to zero "
            "replicas"
        )
        causes.append(fields.forbidden("spec.metrics", detail))
    return causes


def _described(metric: Obj) -> Obj:
    found: Obj = (metric.get("object") or {}).get("describedObject") or {}
    return found


def _metric(metric: Obj, path: str, *, checks_version: bool) -> list[Cause]:
    causes: list[Cause] = []
    kind = metric.get("type") or ""
    if not kind:
        causes.append(fields.required(f"{path}.type", "must specify a metric source type"))
    unknown = fields.not_supported(f"{path}.type", kind, _METRIC_TYPES)
    if kind not in _FIELD_OF:
        causes.append(unknown)
    present = [key for key in _SOURCES if metric.get(key) is not None]
    if present:
        causes += _source(metric[present[0]], present[0], path, checks_version)
    expected = _FIELD_OF.get(kind)
    if expected is None:
        causes.append(unknown)
    elif metric.get(expected) is None:
        detail = "must populate information for the given metric source"
        causes.append(fields.required(f"{path}.{expected}", detail))
    if len(present) != 1:
        detail = "must populate the given metric source only"
        causes += [fields.forbidden(f"{path}.{key}", detail) for key in present if key != expected]
    return causes


def _source(source: Obj, key: str, path: str, checks_version: bool) -> list[Cause]:
    where = f"{path}.{key}"
    causes: list[Cause] = []
    if key == "object":
        target = source.get("describedObject") or {}
        causes += _reference(
            target, f"{where}.describedObject", checks_version=checks_version, needs_group=False
        )
    if key in ("object", "external", "pods"):
        name = (source.get("metric") or {}).get("name")
        if not name:
            detail = "must specify a metric name"
            causes.append(fields.required(f"{where}.metric.name", detail))
        else:
            causes += fields.each(f"{where}.metric.name", name, names.path_segment(name))
    else:
        causes += _resource(source, key, where)
    target = source.get("target") or {}
    return causes + _target(target, f"{where}.target") + _wanted(target, key, f"{where}.target")


def _resource(source: Obj, key: str, path: str) -> list[Cause]:
    causes: list[Cause] = []
    name = source.get("name")
    if not name:
        causes.append(fields.required(f"{path}.name", "must specify a resource name"))
    elif key == "containerResource":
        causes += validate_container_resource_name(f"{path}.name", name)
    if key == "containerResource":
        container = source.get("container")
        if not container:
            causes.append(fields.required(f"{path}.container", "must specify a container"))
        else:
            causes += fields.each(f"{path}.container", container, names.dns_label(container))
    return causes


def _target(target: Obj, path: str) -> list[Cause]:
    causes: list[Cause] = []
    kind = target.get("type") or ""
    if not kind:
        causes.append(fields.required(f"{path}.type", "must specify a metric target type"))
    if kind not in _TARGET_TYPES:
        detail = "must be either Utilization, Value, or AverageValue"
        causes.append(fields.invalid(f"{path}.type", kind, detail))
    for key in ("value", "averageValue"):
        value = target.get(key)
        if value is not None and quantity.is_valid(value) and quantity.parse(value) <= 0:
            shown = quantity.canonical(value)
            causes.append(fields.invalid(f"{path}.{key}", shown, "must be positive"))
    share = target.get("averageUtilization")
    if share is not None and share < 1:
        detail = "must be greater than 0"
        causes.append(fields.invalid(f"{path}.averageUtilization", share, detail))
    return causes


def _wanted(target: Obj, key: str, path: str) -> list[Cause]:
    """Causes in which of the three amounts are there."""
    value, average = target.get("value"), target.get("averageValue")
    share = target.get("averageUtilization")
    if key in ("object", "external"):
        if value is None and average is None:
            detail = (
                "must set either a target value or averageValue"
                if key == "object"
                else "must set either a target value for metric or a per-pod target"
            )
            return [fields.required(f"{path}.averageValue", detail)]
        if key == "external" and value is not None and average is not None:
            detail = "may not set both a target value for metric and a per-pod target"
            return [fields.forbidden(f"{path}.value", detail)]
        return []
    if key == "pods":
        detail = "must specify a positive target averageValue"
        return [] if average is not None else [fields.required(f"{path}.averageValue", detail)]
    if share is None and average is None:
        detail = "must set either a target raw value or a target utilization"
        return [fields.required(f"{path}.averageUtilization", detail)]
    if share is not None and average is not None:
        detail = "may not set both a target raw value and a target utilization"
        return [fields.forbidden(f"{path}.averageValue", detail)]
    return []


def _scaling_rules(rules: Obj, path: str) -> list[Cause]:
    causes: list[Cause] = []
    window, where = rules.get("stabilizationWindowSeconds"), f"{path}.stabilizationWindowSeconds"
    if window is not None and window < 0:
        causes.append(fields.invalid(where, window, "must be greater than or equal to zero"))
    if window is not None and window > _MAX_WINDOW_SECONDS:
        detail = f"must be less than or equal to {_MAX_WINDOW_SECONDS}"
        causes.append(fields.invalid(where, window, detail))
    select = rules.get("selectPolicy")
    if select is not None and select not in _SELECT_POLICIES:
        causes.append(fields.not_supported(f"{path}.selectPolicy", select, _SELECT_POLICIES))
    policies = rules.get("policies") or []
    if not policies:
        causes.append(fields.required(f"{path}.policies", "must specify at least one Policy"))
    for index, policy in enumerate(policies):
        causes += _policy(policy, f"{path}.policies[{index}]")
    return causes + amounts.non_negative_quantity(f"{path}.tolerance", rules.get("tolerance"))


def _policy(policy: Obj, path: str) -> list[Cause]:
    causes: list[Cause] = []
    kind = policy.get("type") or ""
    if kind not in _POLICY_TYPES:
        causes.append(fields.not_supported(f"{path}.type", kind, _POLICY_TYPES))
    for key in ("value", "periodSeconds"):
        if (policy.get(key) or 0) <= 0:
            detail = "must be greater than zero"
            causes.append(fields.invalid(f"{path}.{key}", policy.get(key) or 0, detail))
    period = policy.get("periodSeconds") or 0
    if period > _MAX_PERIOD_SECONDS:
        detail = f"must be less than or equal to {_MAX_PERIOD_SECONDS}"
        causes.append(fields.invalid(f"{path}.periodSeconds", period, detail))
    return causes


def validate_status(new: Obj, old: Obj) -> list[Cause]:
    """Causes in the status, which is alike in both versions."""
    del old
    keys = ("currentReplicas", "desiredReplicas")
    return amounts.all_non_negative("status", meta.status(new), keys)
