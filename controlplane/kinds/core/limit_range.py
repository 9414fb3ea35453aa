"""LimitRanges: what containers, pods and claims of a namespace may ask for, and what they get by default.

Sources: pkg/apis/core/validation/validation.go (ValidateLimitRange), pkg/apis/core/v1/defaults.go.
"""

from __future__ import annotations

from controlplane.api import meta, names, quantity
from controlplane.api.defaulting import part
from controlplane.api.errors import Cause
from controlplane.api.kind import Kind, MetadataRules
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.api.strategy import Strategy
from controlplane.api.validation import amounts
from controlplane.api.validation import causes as fields
from controlplane.kinds.core.resource_names import (
    allows_overcommit,
    validate_container_resource_name,
    validate_resource_name,
)

LIMIT_RANGES = Resource("", "v1", "LimitRange", "limitranges", short_names=("limits",))

_TYPES = ("Container", "PersistentVolumeClaim", "Pod")
_AMOUNTS = ("max", "min", "default", "defaultRequest", "maxLimitRequestRatio")
_NOT_FOR_PODS = "may not be specified when `type` is 'Pod'"


def default(obj: Obj) -> None:
    """Fill in what was left out: containers are limited to the most, and ask for their limit or the least."""
    spec = part(obj, "spec")
    spec.setdefault("limits", None)
    for limit in spec["limits"] or ():
        amounts.canonical_quantities(limit, *_AMOUNTS)
        if limit.get("type") != "Container":
            continue
        limits = dict(limit.get("default") or {})
        requests = dict(limit.get("defaultRequest") or {})
        for target, source in (
            (limits, limit.get("max")),
            (requests, limits),
            (requests, limit.get("min")),
        ):
            for name, value in (source or {}).items():
                target.setdefault(name, value)
        for key, rows in (("default", limits), ("defaultRequest", requests)):
            if rows:
                limit[key] = rows


def validate(obj: Obj) -> list[Cause]:
    """Causes in the limits."""
    causes: list[Cause] = []
    seen: set[str] = set()
    for index, limit in enumerate(meta.spec(obj).get("limits") or ()):
        path, kind = f"spec.limits[{index}]", str(limit.get("type") or "")
        problems = names.qualified_name(kind)
        causes += fields.each(f"{path}.type", kind, problems)
        if not problems and "/" not in kind and kind not in _TYPES:
            detail = "must be a standard limit type or fully qualified"
            causes.append(fields.invalid(f"{path}.type", kind, detail))
        if kind in seen:
            causes.append(fields.duplicate(f"{path}.type", kind))
        seen.add(kind)
        causes += _limit(limit, kind, path)
    return causes


def _limit(limit: Obj, kind: str, path: str) -> list[Cause]:
    causes: list[Cause] = []
    is_for_pods = kind == "Pod"
    rule = (
        validate_container_resource_name if kind in ("Pod", "Container") else validate_resource_name
    )
    counted = {key: limit.get(key) or {} for key in _AMOUNTS}
    for key in ("max", "min", "default", "defaultRequest"):
        if is_for_pods and key.startswith("default"):
            if counted[key]:
                causes.append(fields.forbidden(f"{path}.{key}", _NOT_FOR_PODS))
            counted[key] = {}
        for name in counted[key]:
            causes += rule(f"{path}.{key}[{name}]", name)
    if kind == "PersistentVolumeClaim" and not any("storage" in counted[k] for k in ("min", "max")):
        detail = "either minimum or maximum storage value is required, but neither was provided"
        causes.append(fields.required(f"{path}.limits", detail))
    for name in counted["maxLimitRequestRatio"]:
        causes += rule(f"{path}.maxLimitRequestRatio[{name}]", name)
    for name in dict.fromkeys(name for key in _AMOUNTS for name in counted[key]):
        causes += _order(name, {key: counted[key].get(name) for key in _AMOUNTS}, path)
    return causes


def _order(name: str, given: Obj, path: str) -> list[Cause]:
    """Causes in how the amounts of one resource follow each other."""
    causes: list[Cause] = []
    least, most = given["min"], given["max"]
    limit, request = given["default"], given["defaultRequest"]
    # left, right, words, field, the value shown
    rules = (
        (least, most, "min value {} is greater than max value {}", "min", least),
        (
            least,
            request,
            "min value {} is greater than default request value {}",
            "defaultRequest",
            request,
        ),
        (
            request,
            most,
            "default request value {} is greater than max value {}",
            "defaultRequest",
            request,
        ),
        (
            request,
            limit,
            "default request value {} is greater than default limit value {}",
            "defaultRequest",
            request,
        ),
        (least, limit, "min value {} is greater than default value {}", "default", least),
        (limit, most, "default value {} is greater than max value {}", "default", most),
    )
    for left, right, words, field, shown in rules:
        if _above(left, right):
            where = f"{path}.{field}[{name}]"
            causes.append(fields.invalid(where, shown, words.format(left, right)))
    causes += _ratio(name, given, path)
    is_given = limit is not None and request is not None
    if is_given and not allows_overcommit(name) and not amounts.is_equal(limit, request):
        detail = f"default value {limit} must equal to defaultRequest value {request} in {name}"
        causes.append(fields.invalid(f"{path}.defaultRequest[{name}]", request, detail))
    return causes


def _above(left: object, right: object) -> bool:
    if not quantity.is_valid(left) or not quantity.is_valid(right):
        return False
    return quantity.parse(left) > quantity.parse(right)


def _ratio(name: str, given: Obj, path: str) -> list[Cause]:
    ratio = given["maxLimitRequestRatio"]
    if not quantity.is_valid(ratio):
        return []
    causes: list[Cause] = []
    where = f"{path}.maxLimitRequestRatio[{name}]"
    if quantity.parse(ratio) < 1:
        detail = f"ratio {ratio} is less than 1"
        causes.append(fields.invalid(where, ratio, detail))
    least, most = given["min"], given["max"]
    if quantity.is_valid(least) and quantity.is_valid(most) and quantity.parse(least) > 0:
        bound = quantity.parse(most) / quantity.parse(least)
        if quantity.parse(ratio) > bound:
            detail = f"ratio {ratio} is greater than max/min = {float(bound):f}"
            causes.append(fields.invalid(where, ratio, detail))
    return causes


class LimitRangeStrategy(Strategy):
    """The rules of limit ranges."""

    creates_on_update = True

    def prepare_for_create(self, obj: Obj) -> None:
        """One without a name is called by its uid."""
        super().prepare_for_create(obj)
        fields_of = meta.ensure_metadata(obj)
        if not fields_of.get("name"):
            fields_of["name"] = meta.uid(obj)


KIND = Kind(
    LIMIT_RANGES,
    strategy=LimitRangeStrategy,
    default=default,
    validate=validate,
    metadata_rules=~MetadataRules.CHANGED,
)
