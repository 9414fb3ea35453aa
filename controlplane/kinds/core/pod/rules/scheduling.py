"""Rules of where a pod may run: affinity, tolerations, spreading, gates."""

from __future__ import annotations

from typing import Any

from controlplane.api import names
from controlplane.api.errors import Cause
from controlplane.api.meta import View
from controlplane.api.validation import causes as fields
from controlplane.api.validation.selector import validate_selector
from controlplane.kinds.core import node_selector

_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


def validate_affinity(affinity: View | None, path: str) -> list[Cause]:
    """Causes in `affinity`."""
    causes: list[Cause] = []
    for key, rule in (
        ("nodeAffinity", _node_affinity),
        ("podAffinity", _pod_affinity),
        ("podAntiAffinity", _pod_affinity),
    ):
        part = (affinity or {}).get(key)
        if part is not None:
            causes += rule(part, f"{path}.{key}")
    return causes


def _node_affinity(affinity: View, path: str) -> list[Cause]:
    causes: list[Cause] = []
    if affinity.get(_REQUIRED) is not None:
        causes += node_selector.validate_node_selector(f"{path}.{_REQUIRED}", affinity[_REQUIRED])
    for index, row in enumerate(affinity.get(_PREFERRED) or ()):
        where = f"{path}.{_PREFERRED}[{index}]"
        causes += _weight(row, where)
        preference = row.get("preference") or {}
        # Values that no label can have are let through: a preference harms nobody.
        causes += node_selector.validate_term(
            f"{where}.preference", preference, allows_invalid_values=True
        )
    return causes


def _weight(row: View, path: str) -> list[Cause]:
    weight = row.get("weight") or 0
    if 1 <= weight <= 100:
        return []
    return [fields.invalid(f"{path}.weight", weight, "must be in the range 1-100")]


def _pod_affinity(affinity: View, path: str) -> list[Cause]:
    causes: list[Cause] = []
    for index, term in enumerate(affinity.get(_REQUIRED) or ()):
        causes += _pod_term(term, f"{path}.{_REQUIRED}[{index}]")
    for index, row in enumerate(affinity.get(_PREFERRED) or ()):
        where = f"{path}.{_PREFERRED}[{index}]"
        causes += _weight(row, where)
        causes += _pod_term(row.get("podAffinityTerm") or {}, f"{where}.podAffinityTerm")
    return causes


def _pod_term(term: View, path: str) -> list[Cause]:
    causes: list[Cause] = []
    for key in ("labelSelector", "namespaceSelector"):
        causes += validate_selector(term.get(key), f"{path}.{key}")
    for name in term.get("namespaces") or ():
        # Compat: upstream's path is in the singular and without a number.
        causes += fields.each(f"{path}.namespace", name, names.dns_label(name))
    match, mismatch = term.get("matchLabelKeys") or [], term.get("mismatchLabelKeys") or []
    causes += _label_keys(match, mismatch, term.get("labelSelector"), path)
    key = term.get("topologyKey") or ""
    if not key:
        causes.append(fields.required(f"{path}.topologyKey", "can not be empty"))
    return causes + fields.each(f"{path}.topologyKey", key, names.qualified_name(key))


def _label_keys(
    match: list[str], mismatch: list[str], selector: View | None, path: str
) -> list[Cause]:
    """matchLabelKeys and mismatchLabelKeys: names of labels, told apart from the selector and from each other."""
    causes: list[Cause] = []
    for word, keys in (("matchLabelKeys", match), ("mismatchLabelKeys", mismatch)):
        where = f"{path}.{word}"
        if keys and selector is None:
            detail = "must not be specified when labelSelector is not set"
            causes.append(fields.forbidden(where, detail))
        elif keys:
            for index, key in enumerate(keys):
                causes += fields.each(f"{where}[{index}]", key, names.qualified_name(key))
    if selector is not None:
        places = {key: index for index, key in enumerate(match)}
        seen = set(selector.get("matchLabels") or ())
        for row in selector.get("matchExpressions") or ():
            key = row.get("key") or ""
            if key in places and key in seen:
                detail = "exists in both matchLabelKeys and labelSelector"
                causes.append(fields.invalid(f"{path}[{places[key]}]", key, detail))
            seen.add(key)
    for index, key in enumerate(match):
        if key in mismatch:
            detail = "exists in both matchLabelKeys and mismatchLabelKeys"
            causes.append(fields.invalid(f"{path}.matchLabelKeys[{index}]", key, detail))
    return causes


def validate_spread(rows: Any, path: str) -> list[Cause]:
    """Causes in topologySpreadConstraints."""
    causes: list[Cause] = []
    pairs = [(row.get("topologyKey"), row.get("whenUnsatisfiable")) for row in rows or ()]
    for index, row in enumerate(rows or ()):
        where = f"{path}[{index}]"
        causes += fields.positive(f"{where}.maxSkew", row.get("maxSkew") or 0)
        key, action = row.get("topologyKey") or "", row.get("whenUnsatisfiable") or ""
        if not key:
            causes.append(fields.required(f"{where}.topologyKey", "can not be empty"))
        actions = ("DoNotSchedule", "ScheduleAnyway")
        causes += fields.enum(f"{where}.whenUnsatisfiable", action, actions)
        if pairs[index] in pairs[index + 1 :]:
            place = f"{where}.{{topologyKey, whenUnsatisfiable}}"
            causes.append(fields.duplicate(place, f"{{{key}, {action}}}"))
        domains = row.get("minDomains")
        if domains is not None:
            causes += fields.positive(f"{where}.minDomains", domains)
            if action != "DoNotSchedule":
                detail = f"can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {action}"
                causes.append(fields.invalid(f"{where}.minDomains", domains, detail))
        for policy in ("nodeAffinityPolicy", "nodeTaintsPolicy"):
            if row.get(policy) is not None:
                causes += fields.enum(f"{where}.{policy}", row[policy], ("Honor", "Ignore"))
        selector = row.get("labelSelector")
        causes += _label_keys(row.get("matchLabelKeys") or [], [], selector, where)
        causes += validate_selector(selector, f"{where}.labelSelector")
    return causes


def validate_tolerations(rows: Any, path: str) -> list[Cause]:
    """Causes in tolerations."""
    causes: list[Cause] = []
    for index, row in enumerate(rows or ()):
        causes += _toleration(row, f"{path}[{index}]")
    return causes


def _toleration(row: View, path: str) -> list[Cause]:
    causes: list[Cause] = []
    operator, key = row.get("operator") or "", row.get("key") or ""
    effect, value = row.get("effect") or "", row.get("value") or ""
    if key:
        causes += fields.each(f"{path}.key", key, names.qualified_name(key))
    elif operator != "Exists":
        detail = (
            "operator must be Exists when `key` is empty, which means "
            '"match all values and all keys"'
        )
        causes.append(fields.invalid(f"{path}.operator", operator, detail))
    if row.get("tolerationSeconds") is not None and effect != "NoExecute":
        detail = "effect must be 'NoExecute' when `tolerationSeconds` is set"
        causes.append(fields.invalid(f"{path}.effect", effect, detail))
    where = f"{path}.operator"
    if operator in ("", "Equal"):
        problems = names.label_value(value)
        if problems:
            causes.append(fields.invalid(where, value, ";".join(problems)))
    elif operator == "Exists":
        if value:
            detail = "value must be empty when `operator` is 'Exists'"
            causes.append(fields.invalid(where, value, detail))
    elif operator in ("Gt", "Lt"):
        # Compat: the comparison of taints is behind a gate that is off by default.
        causes.append(fields.not_supported(where, operator, ("Equal", "Exists", "Lt", "Gt")))
    else:
        causes.append(fields.not_supported(where, operator, ("Equal", "Exists")))
    if effect:
        causes += taint_effect(effect, f"{path}.effect")
    return causes


def taint_effect(effect: str, path: str) -> list[Cause]:
    """The cause in an effect that is none."""
    return [] if effect in _EFFECTS else [fields.not_supported(path, effect, _EFFECTS)]


def validate_gates(rows: Any, path: str) -> list[Cause]:
    """Causes in schedulingGates."""
    causes: list[Cause] = []
    seen: set[str] = set()
    for index, row in enumerate(rows or ()):
        name = row.get("name") or ""
        causes += fields.each(f"{path}[{index}]", name, names.qualified_name(name))
        if name in seen:
            causes.append(fields.duplicate(f"{path}[{index}]", name))
        seen.add(name)
    return causes
