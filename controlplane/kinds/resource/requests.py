"""What a claim asks for: the spec that ResourceClaims and their templates share.

Source: pkg/apis/resource/validation/validation.go, pkg/apis/resource/v1/defaults.go.
"""

from __future__ import annotations

from typing import Any

from controlplane.api import names
from controlplane.api.defaulting import part
from controlplane.api.errors import Cause
from controlplane.api.meta import Obj
from controlplane.api.validation import causes as fields
from controlplane.api.validation.internal import Items, Pointer, Shape
from controlplane.kinds.resource.configuration import (
    MAX_CONFIG,
    validate_configuration,
    validate_selectors,
    validate_toleration,
)
from controlplane.kinds.resource.identifiers import full_name
from controlplane.kinds.resource.lists import validate_items, validate_set

MAX_REQUESTS = 32
_MAX_ALTERNATIVES = 8
_MAX_CONSTRAINTS = 32
_MAX_TOLERATIONS = 16
_ALL, _EXACT = "All", "ExactCount"
_NO_NAME = (
    "must be the name of a request in the claim or the name of a request and a subrequest "
    "separated by '/'"
)
_NEITHER = "exactly one of `exactly` or `firstAvailable` is required"

_SELECTOR = Shape((("CEL", "cel", Pointer(Shape((("Expression", "expression", ""),)))),))
_TOLERATION = Shape(
    (
        ("Key", "key", ""),
        ("Operator", "operator", ""),
        ("Value", "value", ""),
        ("Effect", "effect", ""),
        ("TolerationSeconds", "tolerationSeconds", None),
    )
)
_CAPACITY = Shape((("Requests", "requests", None),))
_WISH: tuple[tuple[str, str, Any], ...] = (
    ("DeviceClassName", "deviceClassName", ""),
    ("Selectors", "selectors", Items(_SELECTOR)),
    ("AllocationMode", "allocationMode", ""),
    ("Count", "count", 0),
)
_REST: tuple[tuple[str, str, Any], ...] = (
    ("Tolerations", "tolerations", Items(_TOLERATION)),
    ("Capacity", "capacity", Pointer(_CAPACITY)),
)
_EXACTLY = Shape((*_WISH, ("AdminAccess", "adminAccess", None), *_REST))
_SUB_REQUEST = Shape((("Name", "name", ""), *_WISH, *_REST))
_REQUEST = Shape(
    (
        ("Name", "name", ""),
        ("Exactly", "exactly", Pointer(_EXACTLY)),
        ("FirstAvailable", "firstAvailable", Items(_SUB_REQUEST)),
    )
)
_CONSTRAINT = Shape(
    (
        ("Requests", "requests", None),
        ("MatchAttribute", "matchAttribute", None),
        ("DistinctAttribute", "distinctAttribute", None),
    )
)
_OPAQUE = Shape((("Driver", "driver", ""), ("Parameters", "parameters", None)))
_CONFIG = Shape((("Requests", "requests", None), ("Opaque", "opaque", Pointer(_OPAQUE))))
SPEC = Shape(
    (
        (
            "Devices",
            "devices",
            Shape(
                (
                    ("Requests", "requests", Items(_REQUEST)),
                    ("Constraints", "constraints", Items(_CONSTRAINT)),
                    ("Config", "config", Items(_CONFIG)),
                )
            ),
        ),
    )
)
"""The spec of a claim as messages show it."""


def default_spec(spec: Obj) -> None:
    """Fill in what was left out."""
    for request in part(spec, "devices").get("requests") or ():
        if not isinstance(request, dict):
            continue
        for row in (request.get("exactly"), *(request.get("firstAvailable") or ())):
            if isinstance(row, dict):
                _default_wish(row)


def _default_wish(row: Obj) -> None:
    if not row.get("allocationMode"):
        row["allocationMode"] = _EXACT
    if row["allocationMode"] == _EXACT and not row.get("count"):
        row["count"] = 1


def names_of(spec: Obj) -> frozenset[str]:
    """The names by which requests, and their alternatives, can be meant."""
    found: set[str] = set()
    for request in (spec.get("devices") or {}).get("requests") or ():
        name = request.get("name") or ""
        found.add(name)
        for row in request.get("firstAvailable") or ():
            found.add(f"{name}/{row.get('name') or ''}")
    return frozenset(found)


def validate_spec(spec: Obj, path: str) -> list[Cause]:
    """Causes in the spec of a claim."""
    devices, path, known = spec.get("devices") or {}, f"{path}.devices", names_of(spec)

    def constraint(where: str, row: Obj) -> list[Cause]:
        return _constraint(where, row, known)

    def config(where: str, row: Obj) -> list[Cause]:
        return _names(f"{where}.requests", row, known) + validate_configuration(where, row)

    causes = validate_set(
        f"{path}.requests", devices.get("requests"), MAX_REQUESTS, _request, _name_of
    )
    causes += validate_items(
        f"{path}.constraints", devices.get("constraints"), _MAX_CONSTRAINTS, constraint
    )
    return causes + validate_items(f"{path}.config", devices.get("config"), MAX_CONFIG, config)


def _name_of(row: Obj) -> str:
    return row.get("name") or ""


def _request(path: str, row: Obj) -> list[Cause]:
    causes = _label(f"{path}.name", _name_of(row))
    exactly, alternatives = row.get("exactly"), row.get("firstAvailable")
    if exactly is None and not alternatives:
        return [*causes, fields.required(path, _NEITHER)]
    if exactly is not None and alternatives:
        detail = f"{_NEITHER}, but multiple fields are set"
        return [*causes, fields.invalid(path, None, detail)]
    if exactly is not None:
        return causes + _wish(f"{path}.exactly", exactly)

    def alternative(where: str, one: Obj) -> list[Cause]:
        return _label(f"{where}.name", _name_of(one)) + _wish(where, one)

    where = f"{path}.firstAvailable"
    return causes + validate_set(where, alternatives, _MAX_ALTERNATIVES, alternative, _name_of)


def _label(path: str, name: str) -> list[Cause]:
    return fields.each(path, name, names.dns_label(name))


def _wish(path: str, row: Obj) -> list[Cause]:
    name, where = row.get("deviceClassName") or "", f"{path}.deviceClassName"
    if name:
        causes = fields.each(where, name, names.dns_subdomain(name))
    else:
        causes = [fields.required(where)]
    causes += validate_selectors(f"{path}.selectors", row.get("selectors"))
    mode, count = row.get("allocationMode") or "", row.get("count") or 0
    if mode == _ALL:
        if count:
            detail = "must not be specified when allocationMode is 'All'"
            causes.append(fields.invalid(f"{path}.count", count, detail))
    elif mode != _EXACT:
        where = f"{path}.allocationMode"
        causes.append(fields.not_supported(where, mode, (_ALL, _EXACT)))
    elif count <= 0:
        causes.append(fields.invalid(f"{path}.count", count, "must be greater than zero"))
    return causes + validate_items(
        f"{path}.tolerations", row.get("tolerations"), _MAX_TOLERATIONS, validate_toleration
    )


def _constraint(path: str, row: Obj, known: frozenset[str]) -> list[Cause]:
    causes = _names(f"{path}.requests", row, known)
    for key in ("matchAttribute", "distinctAttribute"):
        if row.get(key) is not None:
            return causes + full_name(f"{path}.{key}", row[key])
    detail = (
        'exactly one of "matchAttribute" or "distinctAttribute" is required, but multiple fields '
        "are set"
    )
    return [*causes, fields.required(path, detail)]


def _names(path: str, row: Obj, known: frozenset[str]) -> list[Cause]:
    def rule(where: str, name: str) -> list[Cause]:
        return validate_name(where, name, known)

    return validate_set(path, row.get("requests"), MAX_REQUESTS, rule)


def validate_name(path: str, name: str, known: frozenset[str]) -> list[Cause]:
    """Causes in a name of a request, or of a request and one of its alternatives."""
    segments = name.split("/")
    if len(segments) > 2:
        return [fields.invalid(path, name, _NO_NAME)]
    causes = [cause for segment in segments for cause in _label(path, segment)]
    if name not in known:
        causes.append(fields.invalid(path, name, _NO_NAME))
    return causes
