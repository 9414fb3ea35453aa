"""Expressions of a ValidatingAdmissionPolicy checked against the types of the objects they are for. Pure.

A schema becomes message types that the checker knows; what has no fixed structure, and maps, may be anything. Problems
are no refusals: they are told in the policy's status.

Source: apiserver/pkg/admission/plugin/policy/validating/typechecking.go, pkg/cel/common/schemas.go.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from controlplane.api.cel import messages, policies
from controlplane.api.cel.environment import DYN, MAP, CompileError, Environment, message_type
from controlplane.api.meta import Obj
from controlplane.api.schema.builtin import Schema
from controlplane.api.schema.structural.rules import escaped

_PACKAGE = "kubernetes"
_SCALARS = {"string": "string", "integer": "int", "number": "double", "boolean": "bool"}
_SPELLED = {"STRING": "string", "INT": "int", "DOUBLE": "double", "BOOL": "bool"}


def warnings(spec: Obj, types: Sequence[tuple[str, Schema]], params: Schema | None) -> list[Obj]:
    """What is wrong with the validations: fieldRef and warning of each expression that does not fit one of `types`.

    `types` are pairs of a type as upstream shows it (`apps/v1, Kind=Deployment`) and its schema; `params` is the schema
    of the parameters, None where it is not known.
    """
    environments = [(shown, _environment(spec, schema, params)) for shown, schema in types]
    found: list[Obj] = []
    for place, expression in _expressions(spec):
        problems = [
            f"{shown}: compilation failed: {problem}\n"
            for shown, environment in environments
            if (problem := _problem(environment, expression))
        ]
        if problems:
            found.append({"fieldRef": place, "warning": "\n".join(problems)})
    return found


def _expressions(spec: Obj) -> Iterator[tuple[str, str]]:
    for index, row in enumerate(spec.get("validations") or ()):
        for key in ("expression", "messageExpression"):
            if row.get(key):
                yield f"spec.validations[{index}].{key}", str(row[key])


def _problem(environment: Environment, expression: str) -> str:
    try:
        environment.compile(expression)
    except CompileError as error:
        return str(error)
    return ""


def _environment(spec: Obj, schema: Schema, params: Schema | None) -> Environment:
    """The variables of a policy that is for objects of one type; its own ones have the types of their expressions."""
    variables: dict[str, str] = {}
    has_params = spec.get("paramKind") is not None
    for row in spec.get("variables") or ():
        environment = _with_variables(schema, params, has_params, variables)
        try:
            kind = environment.compile(str(row.get("expression"))).result_type.name()
        except CompileError:
            kind = ""
        variables[str(row.get("name"))] = _SPELLED.get(kind, messages.VALUE)
    return _with_variables(schema, params, has_params, variables)


def _with_variables(
    schema: Schema, params: Schema | None, has_params: bool, variables: Mapping[str, str]
) -> Environment:
    pool = messages.new_pool()
    messages.add(pool, "admission", _PACKAGE, policies.TYPES)
    known = _Messages()
    object_type = known.type_of(schema)
    params_type = known.type_of(params) if params is not None else messages.VALUE
    messages.add(pool, "objects", _PACKAGE, known.rows)
    messages.add(pool, "variables", _PACKAGE, {"variables": dict(variables)})
    types: dict[str, Any] = {
        "object": _variable(object_type),
        "oldObject": _variable(object_type),
        "request": message_type(f"{_PACKAGE}.AdmissionRequest"),
        "namespaceObject": message_type(f"{_PACKAGE}.Namespace"),
        "authorizer": MAP,
        "variables": message_type(f"{_PACKAGE}.variables"),
    }
    if has_params:
        types["params"] = _variable(params_type)
    return Environment(types, descriptor_pool=pool)


def _variable(name: str) -> Any:
    return DYN if name == messages.VALUE else message_type(name)


class _Messages:
    """Message types made of schemas; each named definition once, since some contain themselves."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, str]] = {}
        self._by_reference: dict[str, str] = {}

    def type_of(self, schema: Schema | None) -> str:
        """The type of a field; `*` marks lists."""
        if schema is None:
            return messages.VALUE
        if schema.type == "quantity":
            return "string"
        if schema.type == "string" and schema.format == "date-time":
            return messages.TIME
        if schema.type == "string" and schema.format in ("byte", "duration"):
            return messages.VALUE
        if schema.type in _SCALARS:
            return _SCALARS[schema.type]
        if schema.type == "array":
            item = self.type_of(schema.items)
            return messages.VALUE if item.startswith("*") else f"*{item}"
        if schema.type != "object" or not schema.properties or schema.preserves_unknown:
            return messages.VALUE
        return self._message(schema)

    def _message(self, schema: Schema) -> str:
        known = self._by_reference.get(schema.reference) if schema.reference else None
        if known is not None:
            return known
        name = f"Type{len(self.rows)}"
        fields = self.rows[name] = {}
        whole = f"{_PACKAGE}.{name}"
        if schema.reference:
            self._by_reference[schema.reference] = whole
        for key, inner in schema.properties.items():
            spelled = escaped(key)
            if spelled:
                fields[spelled] = self.type_of(inner)
        return whole
