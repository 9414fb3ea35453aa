"""What both kinds of policies and of their bindings share.

Expressions that are stored already are not compiled again unless they, or what they may name, change.
Source: pkg/apis/admissionregistration/validation/validation.go.
"""

from __future__ import annotations

import re
from typing import Any

from controlplane.api import meta, names
from controlplane.api.cel import policies as cel
from controlplane.api.defaulting import part
from controlplane.api.errors import Cause
from controlplane.api.meta import Obj
from controlplane.api.table import cells
from controlplane.api.table.columns import AGE, NAME
from controlplane.api.table.standard import text
from controlplane.api.validation import causes as fields
from controlplane.api.validation.selector import validate_selector
from controlplane.kinds.admissionregistration import matching

_IDENTIFIER = re.compile(r"[_a-zA-Z][_a-zA-Z0-9]*")
_RESERVED = frozenset(
    (
        *("true", "false", "null", "in", "as", "break", "const", "continue", "else", "for"),
        *("function", "if", "import", "let", "loop", "package", "namespace", "return", "var"),
        *("void", "while"),
    )
)
_PARAMETER_ACTIONS = ("Deny", "Allow")
_MUTABLE = ("*", "CONNECT", "CREATE", "UPDATE")


def default(obj: Obj) -> None:
    """Fill in what was left out of a policy."""
    spec = part(obj, "spec")
    if spec.get("failurePolicy") is None:
        spec["failurePolicy"] = "Fail"
    matching.default_match_resources(spec.get("matchConstraints"))


def default_binding(obj: Obj) -> None:
    """Fill in what was left out of a binding."""
    matching.default_match_resources(part(obj, "spec").get("matchResources"))


def validate_head(spec: Obj, *, is_mutating: bool = False) -> list[Cause]:
    """Causes in what comes before the conditions: whom the policy is for, and with which parameters."""
    causes: list[Cause] = []
    policy = spec.get("failurePolicy")
    if policy is None:
        causes.append(fields.required("spec.failurePolicy"))
    elif policy not in matching.FAILURE_POLICIES:
        known = matching.FAILURE_POLICIES
        causes.append(fields.not_supported("spec.failurePolicy", policy, known))
    if spec.get("paramKind") is not None:
        causes += _param_kind(spec["paramKind"], "spec.paramKind")
    match, where = spec.get("matchConstraints"), "spec.matchConstraints"
    if match is None:
        return [*causes, fields.required(where)]
    causes += matching.validate_match_resources(match, where)
    if not match.get("resourceRules"):
        causes.append(fields.required(f"{where}.resourceRules"))
    return causes + (validate_mutable(match, where) if is_mutating else [])


def validate_mutable(match: Obj, path: str) -> list[Cause]:
    """What is deleted cannot be changed."""
    return [
        fields.not_supported(f"{path}.resourceRules.operations", operation, _MUTABLE)
        for rule in match.get("resourceRules") or ()
        for operation in rule.get("operations") or ()
        if operation not in _MUTABLE
    ]


def validate_match_conditions(spec: Obj, old: Obj | None) -> list[Cause]:
    """Causes in the conditions, unless they and the kind of the parameters are the stored ones."""
    keys = ("paramKind", "matchConditions")
    if old is not None and all((spec.get(k) or None) == (old.get(k) or None) for k in keys):
        return []
    return matching.validate_conditions(
        spec.get("matchConditions"),
        "spec.matchConditions",
        has_params=spec.get("paramKind") is not None,
    )


def _param_kind(row: Obj, path: str) -> list[Cause]:
    version, kind = row.get("apiVersion") or "", row.get("kind") or ""
    causes = _api_version(version, f"{path}.apiVersion")
    problems = names.dns1035_label(kind.lower())
    if not kind:
        causes.append(fields.required(f"{path}.kind"))
    elif problems:
        detail = "may have mixed case, but should otherwise match: " + ",".join(problems)
        causes.append(fields.invalid(f"{path}.kind", kind, detail))
    return causes


def _api_version(text: str, path: str) -> list[Cause]:
    if not text:
        return [fields.required(path)]
    if text.count("/") > 1:
        return [fields.invalid(path, text, f"unexpected GroupVersion string: {text}")]
    group, _, version = text.rpartition("/")
    causes: list[Cause] = []
    problems = names.dns_subdomain(group) if group else []
    if problems:
        causes.append(fields.invalid(path, group, ",".join(problems)))
    problems = names.dns1035_label(version)
    if not version:
        causes.append(fields.invalid(path, text, "version must be specified"))
    elif problems:
        causes.append(fields.invalid(path, version, ",".join(problems)))
    return causes


def validate_variables(spec: Obj) -> tuple[list[Cause], dict[str, str]]:
    """Causes in the variables, and the types of those that later expressions may use."""
    causes: list[Cause] = []
    types: dict[str, str] = {}
    for index, row in enumerate(spec.get("variables") or ()):
        path, name = f"spec.variables[{index}]", row.get("name") or ""
        if not name.strip():
            causes.append(fields.required(f"{path}.name", "name is not specified"))
        elif not _IDENTIFIER.fullmatch(name) or name in _RESERVED:
            detail = "must be a valid CEL identifier"
            causes.append(fields.invalid(f"{path}.name", name, detail))
        expression = row.get("expression") or ""
        if not expression.strip():
            detail = "expression is not specified"
            causes.append(fields.required(f"{path}.expression", detail))
            continue
        has_params = spec.get("paramKind") is not None
        sort, problem = cel.variable_type(expression, has_params=has_params, variables=types)
        if problem:
            causes.append(fields.invalid(f"{path}.expression", expression, problem))
        if _IDENTIFIER.fullmatch(name):
            types[name] = sort
    return causes, types


def validate_binding(spec: Obj) -> list[Cause]:
    """Causes in what all bindings have."""
    name, where = spec.get("policyName") or "", "spec.policyName"
    if name:
        causes = fields.each(where, name, names.dns_subdomain(name))
    else:
        causes = [fields.required(where)]
    causes += _param_ref(spec.get("paramRef"), "spec.paramRef")
    return causes + matching.validate_match_resources(
        spec.get("matchResources"), "spec.matchResources"
    )


def _param_ref(row: Obj | None, path: str) -> list[Cause]:
    if row is None:
        return []
    name, selector = row.get("name") or "", row.get("selector")
    both = "name and selector are mutually exclusive"
    causes: list[Cause] = []
    if name:
        causes += fields.each(f"{path}.name", name, names.path_segment(name))
        if selector is not None:
            causes.append(fields.forbidden(f"{path}.name", both))
    if selector is not None:
        causes += validate_selector(selector, f"{path}.selector")
        if name:
            causes.append(fields.forbidden(f"{path}.selector", both))
    if not name and selector is None:
        causes.append(fields.required(path, "one of name or selector must be specified"))
    action, where = row.get("parameterNotFoundAction"), f"{path}.parameterNotFoundAction"
    if not action:
        causes.append(fields.required(where))
    elif action not in _PARAMETER_ACTIONS:
        causes.append(fields.not_supported(where, action, _PARAMETER_ACTIONS))
    return causes


def param_kind(obj: Obj, now: float) -> str:
    """The kind of the parameters, with its version."""
    row = meta.spec(obj).get("paramKind")
    if row is None:
        return "<unset>"
    return f"{row.get('apiVersion') or ''}/{row.get('kind') or ''}"


def _param_ref_cell(obj: Obj, now: float) -> str:
    row = meta.spec(obj).get("paramRef")
    if row is None:
        return "<unset>"
    if row.get("name"):
        return f"{row.get('namespace') or '*'}/{row['name']}"
    return "<unset>" if row.get("selector") is None else _go_selector(row["selector"])


def _go_selector(selector: Any) -> str:
    """A selector as Go prints the struct."""
    labels = ",".join(
        f"{key}: {value}" for key, value in sorted((selector.get("matchLabels") or {}).items())
    )
    rows = "".join(
        f"LabelSelectorRequirement{{Key:{row.get('key') or ''},Operator:{row.get('operator') or ''},"
        f"Values:[{' '.join(row.get('values') or ())}],}},"
        for row in selector.get("matchExpressions") or ()
    )
    labels = f"{labels},".replace(",", ", ").strip() if labels else ""
    return (
        f"&LabelSelector{{MatchLabels:map[string]string{{{labels}}},"
        f"MatchExpressions:[]LabelSelectorRequirement{{{rows}}},}}"
    )


BINDING_COLUMNS = (
    NAME,
    text("PolicyName", cells.field("spec.policyName"), "The policy."),
    text("ParamRef", _param_ref_cell, "Its parameters."),
    AGE,
)
