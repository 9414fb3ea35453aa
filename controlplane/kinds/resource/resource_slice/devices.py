"""The devices of a slice: attributes, capacities, taints, counters, and the nodes that reach them.

Source: pkg/apis/resource/validation/validation.go.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from controlplane.api import names
from controlplane.api.errors import Cause
from controlplane.api.meta import Obj
from controlplane.api.validation import causes as fields
from controlplane.api.validation.equality import is_same
from controlplane.kinds.core.node_selector import validate_node_selector
from controlplane.kinds.resource.configuration import TAINT_EFFECTS, validate_binding_conditions
from controlplane.kinds.resource.identifiers import qualified_name
from controlplane.kinds.resource.lists import alternatives, validate_items, validate_set
from controlplane.kinds.resource.resource_slice.capacity import validate_capacity

_MAX_PROPERTIES = 32
_MAX_VALUES = 48
_MAX_TAINTS = 16
_MAX_CONSUMED_SETS = 2
_MAX_COUNTERS = 32
_MAX_VALUE_BYTES = 64
_MAX_KEY = 63 + 1 + 32
_SCALARS = ("int", "bool", "string", "version")
_LISTS = ("ints", "bools", "strings", "versions")
_NUMBER = r"(0|[1-9]\d*)"
_PRE_RELEASE = r"(0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)"
_BUILD = r"[0-9a-zA-Z-]+"
_VERSION = re.compile(
    rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}(-{_PRE_RELEASE}(\.{_PRE_RELEASE})*)?(\+{_BUILD}(\.{_BUILD})*)?",
    re.ASCII,
)


def validate_device(path: str, device: Obj, old: Obj | None, *, selects_nodes: bool) -> list[Cause]:
    """Causes in a device; `old` is the stored one of the same name, `selects_nodes` whether each says its nodes."""
    name = device.get("name") or ""
    attributes, capacity = device.get("attributes") or {}, device.get("capacity") or {}
    causes = fields.each(f"{path}.name", name, names.dns_label(name))
    for count, limit, what in (
        (len(attributes) + len(capacity), _MAX_PROPERTIES, "attributes and capacities"),
        (sum(_value_count(row) for row in attributes.values()), _MAX_VALUES, "attribute values"),
    ):
        if count > limit:
            detail = f"the total number of {what} must not exceed {limit}"
            causes.append(fields.invalid(path, count, detail))
    is_shared = bool(device.get("allowMultipleAllocations"))

    def amount(where: str, row: Obj) -> list[Cause]:
        return validate_capacity(where, row, is_shared=is_shared)

    causes += validate_map(f"{path}.attributes", attributes, -1, qualified_name, _attribute)
    causes += validate_map(f"{path}.capacity", capacity, -1, qualified_name, amount)
    taints = device.get("taints")
    if old is None or not is_same(taints, old.get("taints")):
        causes += validate_items(f"{path}.taints", taints, _MAX_TAINTS, _taint)
    causes += validate_set(
        f"{path}.consumesCounters",
        device.get("consumesCounters"),
        _MAX_CONSUMED_SETS,
        _consumption,
        lambda row: row.get("counterSet") or "",
    )
    causes += _nodes(path, device) if selects_nodes else _no_nodes(path, device)
    return causes + validate_binding_conditions(path, device)


def _value_count(row: Obj) -> int:
    return sum(len(row.get(key) or ()) for key in _LISTS) or 1


def validate_map(
    path: str,
    values: dict[str, Any],
    limit: int,
    key_rule: Callable[[str, str], list[Cause]],
    rule: Callable[[str, Any], list[Cause]],
) -> list[Cause]:
    """Causes in keys and values; causes in keys are told at the map."""
    if 0 <= limit < len(values):
        return [fields.too_many(path, len(values), limit)]
    causes: list[Cause] = []
    for key, value in values.items():
        causes += key_rule(path, key) + rule(f"{path}[{_shortened(key)}]", value)
    return causes


def _shortened(key: str) -> str:
    if len(key) <= _MAX_KEY:
        return key
    left = _MAX_KEY - 3
    return f"{key[: (left + 1) // 2]}...{key[len(key) - left // 2 :]}"


def _attribute(path: str, row: Obj) -> list[Cause]:
    causes: list[Cause] = []
    for key, text in _texts(row):
        where = f"{path}.{key}"
        if key.startswith("version") and not _VERSION.fullmatch(text):
            detail = "must be a string compatible with semver.org spec 2.0.0"
            causes.append(fields.invalid(where, text, detail))
        if len(text.encode()) > _MAX_VALUE_BYTES:
            causes.append(fields.too_long(where, _MAX_VALUE_BYTES))
    given = [key for key in (*_SCALARS, *_LISTS) if row.get(key) is not None]
    if len(given) == 1:
        return causes
    shown: Any = row if given else ""
    return [*causes, fields.invalid(path, shown, "exactly one value must be specified")]


def _texts(row: Obj) -> list[tuple[str, str]]:
    found = [(key, row[key]) for key in ("string", "version") if row.get(key) is not None]
    for key in ("strings", "versions"):
        found += [(f"{key}[{index}]", text) for index, text in enumerate(row.get(key) or ())]
    return found


def _taint(path: str, row: Obj) -> list[Cause]:
    key, value, effect = (row.get(name) or "" for name in ("key", "value", "effect"))
    causes = fields.qualified(f"{path}.key", key)
    causes += fields.each(f"{path}.value", value, names.label_value(value))
    if not effect:
        causes.append(fields.required(f"{path}.effect"))
    elif effect not in TAINT_EFFECTS:
        causes.append(fields.not_supported(f"{path}.effect", effect, TAINT_EFFECTS))
    return causes


def _consumption(path: str, row: Obj) -> list[Cause]:
    return validate_counters(path, row, row.get("counterSet") or "", "counterSet")


def validate_counters(path: str, row: Obj, name: str, name_key: str) -> list[Cause]:
    """Causes in counters and in the name of their set."""
    where = f"{path}.{name_key}"
    if name:
        causes = fields.each(where, name, names.dns_label(name))
    else:
        causes = [fields.required(where)]
    counters, where = row.get("counters") or {}, f"{path}.counters"
    if not counters:
        return [*causes, fields.required(where)]

    def key_rule(at: str, key: str) -> list[Cause]:
        return fields.each(at, key, names.dns_label(key))

    return causes + validate_map(where, counters, _MAX_COUNTERS, key_rule, lambda at, value: [])


def _nodes(path: str, device: Obj) -> list[Cause]:
    node, selector, every = (device.get(k) for k in ("nodeName", "nodeSelector", "allNodes"))
    causes: list[Cause] = []
    given: list[str] = []
    if node:
        given.append("nodeName")
        causes += fields.each(f"{path}.nodeName", node, names.dns_subdomain(node))
    elif node is not None:
        causes.append(fields.invalid(f"{path}.nodeName", node, "must not be empty"))
    if selector is not None:
        given.append("nodeSelector")
        causes += validate_node_selector(f"{path}.nodeSelector", selector)
    if every:
        given.append("allNodes")
    elif every is not None:
        detail = "must be either unset or set to true"
        causes.append(fields.invalid(f"{path}.allNodes", every, detail))
    if len(given) == 1:
        return causes
    detail = (
        "exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required when "
        "`perDeviceNodeSelection` is set to true in the ResourceSlice spec"
    )
    if not given:
        return [*causes, fields.required(path, detail)]
    return [*causes, fields.invalid(path, alternatives(given), detail)]


def _no_nodes(path: str, device: Obj) -> list[Cause]:
    if all(device.get(key) is None for key in ("nodeName", "nodeSelector", "allNodes")):
        return []
    detail = (
        "`nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` "
        "is set to true in the ResourceSlice spec"
    )
    return [fields.invalid(path, None, detail)]
