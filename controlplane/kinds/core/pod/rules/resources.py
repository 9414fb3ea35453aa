"""Rules of requests and limits, of containers and of whole pods."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from controlplane.api import names, quantity
from controlplane.api.errors import Cause
from controlplane.api.meta import Obj, View
from controlplane.api.validation import causes as fields
from controlplane.kinds.core import resource_names

HUGE_PAGES = "hugepages-"
_OF_PODS = ("cpu", "memory")

NameRule = Callable[[str, str], list[Cause]]


def _is_extended(name: str) -> bool:
    """Whether the resource is one that nodes advertise for others."""
    if resource_names.is_native(name) or name.startswith("requests."):
        return False
    return not names.qualified_name("requests." + name)


def _allows_overcommit(name: str) -> bool:
    """Whether more may be used than was asked for."""
    return resource_names.is_native(name) and not name.startswith(HUGE_PAGES)


def container_resource_name(name: str, where: str) -> list[Cause]:
    """A resource that a container can ask for."""
    causes = resource_names.validate_container_resource_name(where, name)
    if "/" in name and not resource_names.is_native(name) and not _is_extended(name):
        detail = "doesn't follow extended resource name standard"
        causes.append(fields.invalid(where, name, detail))
    return causes


def _pod_resource_name(name: str, where: str) -> list[Cause]:
    causes = resource_names.validate_resource_name(where, name)
    if not causes and name not in _OF_PODS and not name.startswith(HUGE_PAGES):
        causes.append(fields.not_supported(where, name, ("cpu", "hugepages-", "memory")))
    return causes


def resource_quantity(name: str, value: object, where: str) -> list[Cause]:
    """An amount of a resource: not below zero, whole where only whole ones exist."""
    number = quantity.parse(str(value))
    causes = []
    if number < 0:
        detail = "must be greater than or equal to 0"
        causes.append(fields.invalid(where, str(value), detail))
    if resource_names.is_counted_whole(name) and number.denominator != 1:
        causes.append(fields.invalid(where, str(value), "must be an integer"))
    return causes


def validate_resources(resources: View, path: str, claims: frozenset[str]) -> list[Cause]:
    """Causes in what a container asks for; `claims` are the names in the pod's resourceClaims."""
    return _requirements(resources, path, claims, container_resource_name)


def _requirements(
    resources: View, path: str, claims: frozenset[str], name_rule: NameRule
) -> list[Cause]:
    causes: list[Cause] = []
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    for name, value in limits.items():
        causes += _amount(name, value, f"{path}.limits[{name}]", name_rule)
    for name, value in requests.items():
        causes += _amount(name, value, f"{path}.requests[{name}]", name_rule)
        causes += _within_limit(name, value, limits, path)
    every = {*limits, *requests}
    if any(name.startswith(HUGE_PAGES) for name in every) and not every & {"cpu", "memory"}:
        causes.append(fields.forbidden(path, "HugePages require cpu or memory"))
    return causes + _claims(resources.get("claims") or (), claims, f"{path}.claims")


def _amount(name: str, value: object, where: str, name_rule: NameRule) -> list[Cause]:
    if not quantity.is_valid(value):
        return [fields.invalid(where, value, quantity.PATTERN_MESSAGE)]
    causes = name_rule(name, where) + resource_quantity(name, value, where)
    if name.startswith(HUGE_PAGES):
        size = name.removeprefix(HUGE_PAGES)
        whole = quantity.is_valid(size) and quantity.parse(size) > 0
        if not whole or quantity.parse(str(value)) % quantity.parse(size):
            detail = f"{value} is not positive integer multiple of {name}"
            causes.append(fields.invalid(where, str(value), detail))
    return causes


def _within_limit(name: str, value: object, limits: View, path: str) -> list[Cause]:
    if name not in limits:
        if _allows_overcommit(name):
            return []
        detail = "Limit must be set for non overcommitable resources"
        return [fields.required(f"{path}.limits", detail)]
    limit = limits[name]
    if not quantity.is_valid(limit) or not quantity.is_valid(value):
        return []
    asked, most = quantity.parse(str(value)), quantity.parse(str(limit))
    if asked != most and not _allows_overcommit(name):
        detail = f"must be equal to {name} limit of {limit}"
    elif asked > most:
        detail = f"must be less than or equal to {name} limit of {limit}"
    else:
        return []
    return [fields.invalid(f"{path}.requests", str(value), detail)]


def _claims(rows: object, known: frozenset[str], path: str) -> list[Cause]:
    causes: list[Cause] = []
    seen: set[str] = set()
    for index, row in enumerate(rows):  # type: ignore[var-annotated, arg-type]
        where = f"{path}[{index}]"
        name, request = row.get("name") or "", row.get("request") or ""
        if not name:
            causes.append(fields.required(where))
            continue
        if name in seen:
            causes.append(fields.duplicate(where, name))
        else:
            if request:
                causes += fields.each(f"{where}.request", request, names.dns_label(request))
            key = f"{name}/{request}" if request else name
            overlaps = not request and any(one.partition("/")[0] == name for one in seen)
            if key in seen or overlaps:
                causes.append(fields.duplicate(where, key))
            seen.add(key)
        if name not in known:
            listed = ": " + ", ".join(sorted(known)) if known else " which is empty"
            detail = f"must be one of the names in pod.spec.resourceClaims{listed}"
            cause = fields.not_found(where, name)
            causes.append(Cause(where, f"{cause.message}: {detail}", cause.reason))
    return causes


def validate_pod_resources(spec: View, path: str, claims: frozenset[str]) -> list[Cause]:
    """Causes in what the pod as a whole asks for."""
    resources = spec.get("resources")
    where = f"{path}.resources"
    if resources is None:
        return []
    if (spec.get("os") or {}).get("name") == "windows":
        return [fields.forbidden(where, "may not be set for a windows pod")]
    causes = []
    if resources.get("claims") is not None:
        detail = "claims may not be set for Resources at pod-level"
        causes.append(fields.forbidden(f"{where}.claims", detail))
    causes += _requirements(resources, where, claims, _pod_resource_name)
    if any("quantities must match" in cause.message for cause in causes):
        return causes
    return causes + _of_all_containers(spec, resources, where)


def _of_all_containers(spec: View, resources: View, where: str) -> list[Cause]:
    """The pod's own amounts hold what its containers ask for together, and each one's limit."""
    causes: list[Cause] = []
    requests, limits = resources.get("requests") or {}, resources.get("limits") or {}
    for name, total in aggregated(spec, "requests").items():
        if name in requests and total > quantity.parse(requests[name]):
            shown = quantity.format(total)
            detail = f"must be greater than or equal to aggregate container requests of {shown}"
            causes.append(fields.invalid(f"{where}.requests[{name}]", str(requests[name]), detail))
    for name, total in aggregated(spec, "limits").items():
        is_huge = name.startswith(HUGE_PAGES)
        if is_huge and name in limits and total > quantity.parse(limits[name]):
            shown = quantity.format(total, "binary")
            detail = f"must be greater than or equal to aggregate container limits of {shown}"
            causes.append(fields.invalid(f"{where}.limits[{name}]", str(limits[name]), detail))
    for index, container in enumerate(spec.get("containers") or ()):
        own: Obj = (container.get("resources") or {}).get("limits") or {}
        for name, value in own.items():
            if name in limits and quantity.parse(value) > quantity.parse(limits[name]):
                detail = f"must be less than or equal to pod limits of {limits[name]}"
                place = f"{where}.containers[{index}][{name}].limits"
                causes.append(fields.invalid(place, str(value), detail))
    return causes


def aggregated(spec: View, part: str) -> dict[str, Fraction]:
    """What the containers need together: all at once, or the largest of what runs before them.

    As upstream's resource helper: sidecars count from their start on, an init container together with the sidecars that
    were started before it. `part` is `requests` or `limits`; amounts that cannot be read count as none.
    """
    totals: dict[str, Fraction] = {}
    for container in spec.get("containers") or ():
        _add(totals, container, part)
    before: dict[str, Fraction] = {}
    largest: dict[str, Fraction] = {}
    for container in spec.get("initContainers") or ():
        if container.get("restartPolicy") == "Always":
            _add(totals, container, part)
            _add(before, container, part)
            mine = dict(before)
        else:
            mine = dict(before)
            _add(mine, container, part)
        for name, value in mine.items():
            largest[name] = max(largest.get(name, Fraction(0)), value)
    for name, value in largest.items():
        totals[name] = max(totals.get(name, Fraction(0)), value)
    return totals


def _add(totals: dict[str, Fraction], container: View, part: str) -> None:
    for name, value in ((container.get("resources") or {}).get(part) or {}).items():
        if quantity.is_valid(value):
            totals[name] = totals.get(name, Fraction(0)) + quantity.parse(value)
