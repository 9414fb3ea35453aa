"""What the schema of a custom resource may say: known parts of OpenAPI, extensions that fit, defaults that hold.

Source: apiextensions-apiserver/pkg/apis/apiextensions/validation/validation.go.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from controlplane.api.errors import Cause
from controlplane.api.meta import Obj
from controlplane.api.schema.structural import pruning, validation
from controlplane.api.schema.structural.node import parse
from controlplane.api.validation import causes as fields
from controlplane.kinds.apiextensions import cel_rules, structural_rules

_TYPES = ("array", "boolean", "integer", "number", "object", "string")
_UNKNOWN = ("id", "additionalItems", "patternProperties", "definitions", "dependencies", "$ref")
_META = ("metadata", "kind", "apiVersion")
_LIST_TYPES, _MAP_TYPES = ("atomic", "set", "map"), ("atomic", "granular")
_KEYS, _LIST, _MAP = (
    "x-kubernetes-list-map-keys",
    "x-kubernetes-list-type",
    "x-kubernetes-map-type",
)
# Fields that a root may not have when its status is a subresource.
_NOT_AT_ROOT = (
    "enum",
    "additionalProperties",
    "allOf",
    "anyOf",
    "oneOf",
    "not",
    "nullable",
    "default",
)


def validate(path: str, schema: Obj, *, has_status: bool) -> list[Cause]:
    """Causes in the schema of a version."""
    causes: list[Cause] = []
    if has_status:
        causes += _root_of_status(path, schema)
    if schema.get("nullable"):
        causes.append(fields.forbidden(f"{path}.nullable", "nullable cannot be true at the root"))
    found = structural_rules.validate(path, schema)
    found = found or _defaults(path, schema)
    causes += found + _openapi(path, schema, is_root=True)
    return causes or cel_rules.expressions(path, schema)


def _root_of_status(path: str, schema: Obj) -> list[Cause]:
    sort = schema.get("type") or ""
    if sort and sort != "object":
        detail = (
            'only "object" is allowed as the type at the root of the schema if the status '
            "subresource is enabled"
        )
        return [fields.invalid(f"{path}.type", sort, detail)]
    wrong = [key for key in _NOT_AT_ROOT if schema.get(key) not in (None, False, [], {})]
    if not wrong:
        return []
    detail = (
        f"{wrong[0]} is not allowed at the root of the schema if the status subresource is enabled"
    )
    return [fields.invalid(path, schema, detail)]


def _defaults(path: str, schema: Obj) -> list[Cause]:
    causes: list[Cause] = []
    for where, inner in _structure(path, schema):
        if "default" not in inner or inner["default"] is None:
            continue
        node, at = parse(inner), f"{where}.default"
        if isinstance(inner["default"], dict) and pruning.prune(_copy(inner["default"]), node):
            causes.append(fields.invalid(at, inner["default"], "must not have unknown fields"))
        causes += [
            Cause(
                f"{at}{cause.field}",
                cause.message.replace(": in body", ":  in body", 1),
                cause.reason,
            )
            for cause in validation.validate(inner["default"], node)
        ]
    return causes


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copy(one) for key, one in value.items()}
    return [_copy(one) for one in value] if isinstance(value, list) else value


def _structure(path: str, schema: Obj) -> Iterator[tuple[str, Obj]]:
    """All schemas outside junctors, with their paths."""
    yield path, schema
    items = schema.get("items")
    if isinstance(items, dict):
        yield from _structure(f"{path}.items", items)
    for key, inner in (schema.get("properties") or {}).items():
        yield from _structure(f"{path}.properties[{key}]", inner)


def _openapi(
    path: str, schema: Obj, *, is_root: bool = False, in_meta: bool = False, no_defaults: str = ""
) -> list[Cause]:
    causes = _standard(path, schema, in_meta, no_defaults)
    if schema.get("uniqueItems"):
        detail = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"
        causes.append(fields.forbidden(f"{path}.uniqueItems", detail))
    extra = schema.get("additionalProperties")
    if extra is not None:
        where = f"{path}.additionalProperties"
        if schema.get("properties") and extra is not True:
            detail = "additionalProperties and properties are mutual exclusive"
            causes.append(fields.forbidden(where, detail))
        if isinstance(extra, dict):
            why = (
                "inside additionalProperties applying to object metadata"
                if in_meta
                else no_defaults
            )
            causes += _openapi(where, extra, in_meta=in_meta, no_defaults=why)
    for key, inner in (schema.get("properties") or {}).items():
        is_meta = key in _META and (is_root or bool(schema.get("x-kubernetes-embedded-resource")))
        why = f"in top-level {key}" if is_meta and is_root else no_defaults
        where = f"{path}.properties[{key}]"
        causes += _openapi(where, inner, in_meta=in_meta or is_meta, no_defaults=why)
    for at, inner in _inside(path, schema):
        causes += _openapi(at, inner, in_meta=in_meta, no_defaults=no_defaults)
    return causes + _extensions(path, schema) + cel_rules.validate(path, schema)


def _inside(path: str, schema: Obj) -> Iterator[tuple[str, Obj]]:
    if isinstance(schema.get("not"), dict):
        yield f"{path}.not", schema["not"]
    for key in ("allOf", "oneOf", "anyOf"):
        for index, inner in enumerate(schema.get(key) or ()):
            yield f"{path}.{key}[{index}]", inner
    if isinstance(schema.get("items"), dict):
        yield f"{path}.items", schema["items"]


def _standard(path: str, schema: Obj, in_meta: bool, no_defaults: str) -> list[Cause]:
    causes: list[Cause] = []
    sort = schema.get("type") or ""
    if sort and sort not in _TYPES:
        causes.append(fields.not_supported(f"{path}.type", sort, _TYPES))
    if schema.get("default") is not None and no_defaults:
        detail = f"must not be set {no_defaults}"
        causes.append(fields.forbidden(f"{path}.default", detail))
    for key in _UNKNOWN:
        if schema.get(key) not in (None, "", {}):
            causes.append(fields.forbidden(f"{path}.{key}", f"{key} is not supported"))
    if sort == "null":
        detail = "type cannot be set to null, use nullable as an alternative"
        causes.append(fields.forbidden(f"{path}.type", detail))
    if isinstance(schema.get("items"), list):
        detail = "items must be a schema object and not an array"
        causes.append(fields.forbidden(f"{path}.items", detail))
    if in_meta and schema.get("x-kubernetes-embedded-resource"):
        where = f"{path}.x-kubernetes-embedded-resource"
        causes.append(fields.forbidden(where, "must not be used inside of resource meta"))
    return causes


def _extensions(path: str, schema: Obj) -> list[Cause]:
    causes: list[Cause] = []
    keeps = schema.get("x-kubernetes-preserve-unknown-fields")
    if keeps is False:
        where = f"{path}.x-kubernetes-preserve-unknown-fields"
        causes.append(fields.invalid(where, False, "must be true or undefined"))
    for key, wanted, known in ((_MAP, "object", _MAP_TYPES), (_LIST, "array", _LIST_TYPES)):
        value, sort = schema.get(key), schema.get("type") or ""
        if value is None:
            continue
        if sort != wanted:
            where, detail = f"{path}.type", f"must be {wanted} if {key} is specified"
            causes.append(
                fields.invalid(where, sort, detail) if sort else fields.required(where, detail)
            )
        elif value == "set" and key == _LIST:
            causes += _set_items(f"{path}.items", schema.get("items"))
        if value not in known:
            causes.append(fields.not_supported(f"{path}.{key}", value, known))
    return causes + _map_list(path, schema)


def _set_items(path: str, items: Any) -> list[Cause]:
    if not isinstance(items, dict):
        return []
    detail = f"must be atomic as item of a list with {_LIST}=set"
    if items.get("type") == "array" and items.get(_LIST) not in (None, "atomic"):
        return [fields.invalid(f"{path}.{_LIST}", items[_LIST], detail)]
    if items.get("type") == "object" and items.get(_MAP) != "atomic":
        return [fields.invalid(f"{path}.{_MAP}", items.get(_LIST), detail)]
    return []


def _map_list(path: str, schema: Obj) -> list[Cause]:
    sort, keys, items = schema.get(_LIST), schema.get(_KEYS) or [], schema.get("items")
    causes: list[Cause] = []
    if keys and sort != "map":
        where, detail = f"{path}.{_LIST}", f"must be map if {_KEYS} is non-empty"
        causes.append(
            fields.required(where, detail) if sort is None else fields.invalid(where, sort, detail)
        )
    if sort == "map":
        if not keys:
            detail = f"must not be empty if {_LIST} is map"
            causes.append(fields.required(f"{path}.{_KEYS}", detail))
        if items is None:
            detail = f"must have a schema if {_LIST} is map"
            causes.append(fields.required(f"{path}.items", detail))
        if isinstance(items, dict):
            causes += _map_keys(path, items, keys)
    if sort in ("set", "map") and isinstance(items, dict):
        causes += _no_nulls(f"{path}.items", items, keys, sort)
    return causes


def _map_keys(path: str, items: Obj, keys: list[str]) -> list[Cause]:
    sort = items.get("type") or ""
    if sort != "object":
        detail = f"must be object if parent array's {_LIST} is map"
        return [fields.invalid(f"{path}.items.type", sort, detail)]
    causes: list[Cause] = []
    known = items.get("properties") or {}
    for index, key in enumerate(keys):
        if key not in known:
            detail = "entries must all be names of item properties"
            causes.append(fields.invalid(f"{path}.{_KEYS}", keys, detail))
        elif known[key].get("type") in ("array", "object"):
            where = f"{path}.items.properties[{key}].type"
            detail = f"must be a scalar type if parent array's {_LIST} is map"
            causes.append(fields.invalid(where, sort, detail))
        if key in keys[:index]:
            detail = "must not contain duplicate entries"
            causes.append(fields.invalid(f"{path}.{_KEYS}", keys, detail))
    return causes


def _no_nulls(path: str, items: Obj, keys: list[str], sort: str) -> list[Cause]:
    causes: list[Cause] = []
    if items.get("nullable"):
        detail = f"cannot be nullable when {_LIST} is {sort}"
        causes.append(fields.forbidden(f"{path}.nullable", detail))
    known = items.get("properties") or {}
    for key in keys if sort == "map" else ():
        if key not in known:
            continue
        where, is_key = f"{path}.properties[{key}]", f"this property is in {_KEYS}, so it"
        if key not in (items.get("required") or ()) and known[key].get("default") is None:
            detail = f"{is_key} must have a default or be a required property"
            causes.append(fields.required(f"{where}.default", detail))
        if known[key].get("nullable"):
            detail = f"{is_key} cannot be nullable"
            causes.append(fields.forbidden(f"{where}.nullable", detail))
    return causes
