"""Which requests a webhook or a policy is for: rules, selectors and conditions.

Source: pkg/apis/admissionregistration/validation/validation.go.
"""

from __future__ import annotations

from typing import Any

from controlplane.api import names
from controlplane.api.cel import policies
from controlplane.api.errors import Cause
from controlplane.api.meta import Obj
from controlplane.api.validation import causes as fields
from controlplane.api.validation.selector import validate_selector

MATCH_POLICIES = ("Equivalent", "Exact")
FAILURE_POLICIES = ("Fail", "Ignore")
REINVOCATION_POLICIES = ("IfNeeded", "Never")
_OPERATIONS = ("*", "CONNECT", "CREATE", "DELETE", "UPDATE")
_SCOPES = ("*", "Cluster", "Namespaced")
_ALL = "*"
_MAX_CONDITIONS = 64


def default_match_resources(match: Any) -> None:
    """Fill in what was left out of a MatchResources."""
    if not isinstance(match, dict):
        return
    default_selection(match)
    for key in ("resourceRules", "excludeResourceRules"):
        default_rules(match.get(key))


def default_selection(match: Obj) -> None:
    """How strictly to match, and selectors that select everything."""
    if match.get("matchPolicy") is None:
        match["matchPolicy"] = "Equivalent"
    for key in ("namespaceSelector", "objectSelector"):
        if match.get(key) is None:
            match[key] = {}


def default_rules(rules: Any) -> None:
    """Rules are for all scopes."""
    for rule in rules or ():
        if isinstance(rule, dict) and rule.get("scope") is None:
            rule["scope"] = _ALL


def validate_match_resources(match: Obj | None, path: str) -> list[Cause]:
    """Causes in a MatchResources; an absent one has none."""
    if match is None:
        return []
    policy = match.get("matchPolicy")
    causes: list[Cause] = []
    if policy is None:
        causes.append(fields.required(f"{path}.matchPolicy"))
    elif policy not in MATCH_POLICIES:
        causes.append(fields.not_supported(f"{path}.matchPolicy", policy, MATCH_POLICIES))
    for key in ("namespaceSelector", "objectSelector"):
        if match.get(key) is None:
            causes.append(fields.required(f"{path}.{key}"))
        else:
            causes += validate_selector(match[key], f"{path}.{key}")
    for key in ("resourceRules", "excludeResourceRules"):
        for index, rule in enumerate(match.get(key) or ()):
            causes += _named_rule(rule, f"{path}.{key}[{index}]")
    return causes


def _named_rule(rule: Obj, path: str) -> list[Cause]:
    causes: list[Cause] = []
    seen: set[str] = set()
    for index, name in enumerate(rule.get("resourceNames") or ()):
        where = f"{path}.resourceNames[{index}]"
        causes += fields.each(where, name, names.path_segment(name))
        if name in seen:
            causes.append(fields.duplicate(where, name))
        seen.add(name)
    return causes + validate_rule(rule, path)


def validate_rule(rule: Obj, path: str) -> list[Cause]:
    """Causes in a rule: operations on resources."""
    operations = rule.get("operations") or []
    causes = _some(operations, f"{path}.operations", "operations")
    for index, operation in enumerate(operations):
        if operation not in _OPERATIONS:
            where = f"{path}.operations[{index}]"
            causes.append(fields.not_supported(where, operation, _OPERATIONS))
    causes += _some(rule.get("apiGroups") or [], f"{path}.apiGroups", "API groups")
    versions, where = rule.get("apiVersions") or [], f"{path}.apiVersions"
    causes += _some(versions, where, "API versions")
    for index, version in enumerate(versions):
        if not version:
            causes.append(fields.required(f"{where}[{index}]"))
    causes += _resources(rule.get("resources") or [], f"{path}.resources")
    scope = rule.get("scope")
    if scope is not None and scope not in _SCOPES:
        causes.append(fields.not_supported(f"{path}.scope", scope, _SCOPES))
    return causes


def _some(values: list[str], path: str, what: str) -> list[Cause]:
    """At least one value, and a wildcard alone."""
    if not values:
        return [fields.required(path)]
    if len(values) > 1 and _ALL in values:
        detail = f"if '*' is present, must not specify other {what}"
        return [fields.invalid(path, values, detail)]
    return []


def _resources(resources: list[str], path: str) -> list[Cause]:
    causes = [] if resources else [fields.required(path)]
    all_below: set[str] = set()
    below_all: set[str] = set()
    last_is_plain = False
    for index, text in enumerate(resources):
        where = f"{path}[{index}]"
        if not text:
            causes.append(fields.required(where))
            continue
        resource, slash, sub = text.partition("/")
        if not slash:
            last_is_plain = text != _ALL
            continue
        if resource in all_below:
            detail = f"if '{resource}/*' is present, must not specify {text}"
            causes.append(fields.invalid(where, text, detail))
        if sub in below_all:
            detail = f"if '*/{sub}' is present, must not specify {text}"
            causes.append(fields.invalid(where, text, detail))
        if sub == _ALL:
            all_below.add(resource)
        if resource == _ALL:
            below_all.add(sub)
    if len(resources) > 1 and "*/*" in resources:
        detail = "if '*/*' is present, must not specify other resources"
        causes.append(fields.invalid(path, resources, detail))
    if _ALL in resources and last_is_plain:
        detail = "if '*' is present, must not specify other resources without subresources"
        causes.append(fields.invalid(path, resources, detail))
    return causes


def validate_conditions(rows: list[Obj] | None, path: str, *, has_params: bool) -> list[Cause]:
    """Causes in matchConditions."""
    rows = rows or []
    causes: list[Cause] = []
    if len(rows) > _MAX_CONDITIONS:
        causes.append(fields.too_many(path, len(rows), _MAX_CONDITIONS))
    seen: set[str] = set()
    for index, row in enumerate(rows):
        where, name = f"{path}[{index}]", row.get("name") or ""
        expression = (row.get("expression") or "").strip()
        if expression:
            problem = policies.problem(expression, policies.BOOL, has_params=has_params)
            if problem:
                causes.append(fields.invalid(f"{where}.expression", expression, problem))
        else:
            causes.append(fields.required(f"{where}.expression"))
        if not name:
            causes.append(fields.required(f"{where}.name"))
            continue
        causes += fields.qualified(f"{where}.name", name)
        if name in seen:
            causes.append(fields.duplicate(f"{where}.name", name))
        seen.add(name)
    return causes
