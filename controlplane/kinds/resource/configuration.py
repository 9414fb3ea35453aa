"""What classes and claims share: expressions that select devices, parameters that drivers understand, tolerations.

Source: pkg/apis/resource/validation/validation.go.
"""

from __future__ import annotations

import json
from typing import Any

from controlplane.api import names
from controlplane.api.cel import devices
from controlplane.api.errors import Cause
from controlplane.api.meta import Obj
from controlplane.api.validation import causes as fields
from controlplane.kinds.core.volume_sources import driver_name
from controlplane.kinds.resource.lists import validate_items

MAX_CONFIG = 32
MAX_SELECTORS = 32
MAX_DATA_BYTES = 10 * 1024
TAINT_EFFECTS = ("NoExecute", "NoSchedule", "None")
_OPERATORS = ("Equal", "Exists")
_MAX_EXPRESSION_BYTES = 10 * 1024


def validate_selectors(path: str, rows: list[Obj] | None) -> list[Cause]:
    """Causes in the selectors of devices."""
    return validate_items(path, rows, MAX_SELECTORS, _selector)


def _selector(path: str, row: Obj) -> list[Cause]:
    cel = row.get("cel")
    if cel is None:
        return [fields.required(f"{path}.cel")]
    where, expression = f"{path}.cel.expression", cel.get("expression") or ""
    if len(expression.encode()) > _MAX_EXPRESSION_BYTES:
        return [fields.too_long(where, _MAX_EXPRESSION_BYTES)]
    problem = devices.problem(expression)
    return [fields.invalid(where, expression, problem)] if problem else []


def validate_configuration(path: str, row: Obj, *, is_stored: bool = False) -> list[Cause]:
    """Causes in a DeviceConfiguration."""
    opaque, where = row.get("opaque"), f"{path}.opaque"
    if opaque is None:
        return [fields.required(where)]
    causes = driver_name(opaque.get("driver"), f"{where}.driver")
    return causes + validate_data(
        f"{where}.parameters", opaque.get("parameters"), is_stored=is_stored
    )


def validate_data(path: str, value: Any, *, is_stored: bool = False) -> list[Cause]:
    """Causes in an object of the driver's own."""
    if value is None:
        return [fields.required(path)]
    size = len(json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode())
    if size > MAX_DATA_BYTES and not is_stored:
        return [fields.too_long(path, MAX_DATA_BYTES)]
    if not isinstance(value, dict):
        return [fields.invalid(path, "<value omitted>", "must be a valid JSON object")]
    return []


def validate_toleration(path: str, row: Obj) -> list[Cause]:
    """Causes in a toleration of devices' taints."""
    key, value = row.get("key") or "", row.get("value") or ""
    operator, effect = row.get("operator") or "", row.get("effect") or ""
    causes = fields.qualified(f"{path}.key", key) if key else []
    if operator == "Exists":
        if value:
            detail = "must be empty for operator `Exists`"
            causes.append(fields.invalid(f"{path}.value", value, detail))
    elif operator == "Equal":
        causes += fields.each(f"{path}.value", value, names.label_value(value))
    elif operator:
        causes.append(fields.not_supported(f"{path}.operator", operator, _OPERATORS))
    else:
        causes.append(fields.required(f"{path}.operator"))
    if effect and effect not in TAINT_EFFECTS:
        causes.append(fields.not_supported(f"{path}.effect", effect, TAINT_EFFECTS))
    return causes


def validate_binding_conditions(path: str, row: Obj) -> list[Cause]:
    """Causes in the conditions that a binding waits for, and in those that end it."""
    wanted, failing = "bindingConditions", "bindingFailureConditions"
    good, bad = row.get(wanted) or [], row.get(failing) or []
    causes = validate_items(f"{path}.{wanted}", good, 4, fields.qualified)
    causes += validate_items(f"{path}.{failing}", bad, 4, fields.qualified)
    for index, one in enumerate(good):
        if one in good[:index]:
            causes.append(fields.duplicate(f"{path}.{wanted}[{index}]", one))
    for index, one in enumerate(bad):
        where = f"{path}.{failing}[{index}]"
        if one in bad[:index]:
            causes.append(fields.duplicate(where, one))
        if one in good:
            detail = f"{failing} must not overlap with {wanted}"
            causes.append(fields.invalid(where, one, detail))
    for key, values, other, others in ((wanted, good, failing, bad), (failing, bad, wanted, good)):
        if others and not values:
            shown = row.get(key)
            detail = f"{key} are required to use {other}"
            causes.append(fields.invalid(f"{path}.{key}", shown, detail))
    return causes
