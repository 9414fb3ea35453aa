"""Whether the expressions of admission policies and webhooks compile, and what they give.

Types of `request` and `namespaceObject` are known, those of objects are not. `variables` has the types of what was
declared so far. Types that only the checker knows are messages in a pool of descriptors; those of the expressions that
build objects (`Object{spec: Object.spec{...}}`) are made up from the expression's own field names.

Sources: k8s.io/apiserver/pkg/admission/plugin/cel/{compile,composition}.go, pkg/cel/mutation.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

from controlplane.api.cel import messages
from controlplane.api.cel.environment import DYN, MAP, CompileError, Environment, message_type

BOOL, STRING = "bool", "string"
AUDIT = "[string null_type]"
"""What the value of an audit annotation may be."""
PATCH, CONFIGURATION = "list(JSONPatch)", "Object"
"""What mutations give."""

_PACKAGE = "kubernetes"
_VERSIONED = {"group": "string", "version": "string"}
# message -> field -> type; `*` marks lists.
TYPES: dict[str, dict[str, str]] = {
    "GroupVersionKind": {**_VERSIONED, "kind": "string"},
    "GroupVersionResource": {**_VERSIONED, "resource": "string"},
    "UserInfo": {
        "username": "string",
        "uid": "string",
        "groups": "*string",
        "extra": messages.VALUE,
    },
    "AdmissionRequest": {
        "uid": "string",
        "kind": "kubernetes.GroupVersionKind",
        "resource": "kubernetes.GroupVersionResource",
        "subResource": "string",
        "requestKind": "kubernetes.GroupVersionKind",
        "requestResource": "kubernetes.GroupVersionResource",
        "requestSubResource": "string",
        "name": "string",
        "namespace": "string",
        "operation": "string",
        "userInfo": "kubernetes.UserInfo",
        "dryRun": "bool",
        "options": messages.VALUE,
    },
    "NamespaceMetadata": {
        "name": "string",
        "generateName": "string",
        "namespace": "string",
        "labels": messages.VALUE,
        "annotations": messages.VALUE,
        "UID": "string",
        "creationTimestamp": messages.TIME,
        "deletionGracePeriodSeconds": "int",
        "deletionTimestamp": messages.TIME,
        "generation": "int",
        "resourceVersion": "string",
        "finalizers": "*string",
    },
    "NamespaceSpec": {"finalizers": "*string"},
    "NamespaceStatus": {"phase": "string"},
    "Namespace": {
        "metadata": "kubernetes.NamespaceMetadata",
        "spec": "kubernetes.NamespaceSpec",
        "status": "kubernetes.NamespaceStatus",
    },
}
_JSON_PATCH = {"op": "string", "path": "string", "from": "string", "value": messages.VALUE}
_BUILT = re.compile(r"\bObject(?:\.[A-Za-z_]\w*)*(?=\s*\{)")
_SET_FIELD = re.compile(r"([A-Za-z_]\w*)\s*:")


def problem(
    expression: str,
    gives: str,
    *,
    has_params: bool = False,
    has_authorizer: bool = True,
    variables: Mapping[str, str] | None = None,
) -> str:
    """Why the expression cannot be used; empty when it can. `variables` are names and types declared before it."""
    try:
        found = _type_of(expression, gives, has_params, has_authorizer, variables)
    except CompileError as error:
        return f"compilation failed: {error}"
    if found == gives or f" {found}]" in gives or f"[{found} " in gives:
        return ""
    if gives.startswith("["):
        return f"must evaluate to one of {gives}"
    return f"must evaluate to {gives} but got {found}"


def variable_type(
    expression: str, *, has_params: bool, variables: Mapping[str, str]
) -> tuple[str, str]:
    """The type of a variable, and why it cannot be used, which is empty when it can."""
    try:
        return _type_of(expression, "", has_params, True, variables), ""
    except CompileError as error:
        return "dyn", f"compilation failed: {error}"


def _type_of(
    expression: str,
    gives: str,
    has_params: bool,
    has_authorizer: bool,
    variables: Mapping[str, str] | None,
) -> str:
    built: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    if gives in (PATCH, CONFIGURATION):
        built = tuple(sorted({_flat(name) for name in _BUILT.findall(expression)} | {"Object"}))
        names = tuple(sorted(set(_SET_FIELD.findall(expression))))
        expression = _BUILT.sub(lambda match: _flat(match[0]), expression)
    declared = None if variables is None else tuple(sorted(variables.items()))
    environment = _environment(has_params, has_authorizer, declared, built, names)
    try:
        return _spelled(environment.compile(expression).result_type.name())
    except CompileError as error:
        raise CompileError(_dotted(str(error), built)) from error


def _flat(name: str) -> str:
    """A name of a type without dots, as long as before: columns in errors stay right."""
    return name.replace(".", "_")


def _dotted(text: str, flat: tuple[str, ...]) -> str:
    for name in flat:
        text = text.replace(name, name.replace("_", "."))
    return text


def _spelled(name: str) -> str:
    """A type in CEL's own spelling: `list(string)` for `LIST<STRING>`."""
    words = re.sub(r"\b[A-Z]+\b", lambda match: match[0].lower(), name)
    return words.replace("<", "(").replace(">", ")").replace("null", "null_type")


@cache
def _environment(
    has_params: bool,
    has_authorizer: bool,
    variables: tuple[tuple[str, str], ...] | None,
    built: tuple[str, ...],
    names: tuple[str, ...],
) -> Environment:
    pool = messages.new_pool()
    messages.add(pool, "admission", _PACKAGE, TYPES)
    types = {
        "object": DYN,
        "oldObject": DYN,
        "request": message_type("kubernetes.AdmissionRequest"),
        "namespaceObject": message_type("kubernetes.Namespace"),
    }
    if has_params:
        types["params"] = DYN
    if has_authorizer:
        types["authorizer"] = MAP
    if variables is not None:
        known = {
            name: sort if sort in messages.SCALARS else messages.VALUE for name, sort in variables
        }
        messages.add(pool, "variables", _PACKAGE, {"variables": known})
        types["variables"] = message_type("kubernetes.variables")
    if built:
        fields = dict.fromkeys(names, messages.VALUE)
        messages.add(pool, "built", "", {**dict.fromkeys(built, fields), "JSONPatch": _JSON_PATCH})
    return Environment(types, descriptor_pool=pool)
