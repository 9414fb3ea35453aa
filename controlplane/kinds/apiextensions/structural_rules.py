"""Is a schema structural: has every value a type of its own, and do logical junctors only restrict?

Source: apiextensions-apiserver/pkg/apiserver/schema/{validation,complete}.go.
"""

from __future__ import annotations

import re
from typing import Any

from controlplane.api.errors import Cause
from controlplane.api.meta import Obj
from controlplane.api.validation import causes as fields

_ROOT, _ITEM, _FIELD = "at the root", "for specified array items", "for specified object fields"
_JUNCTORS = ("anyOf", "allOf", "oneOf")
_INT_OR_STRING = [{"type": "integer"}, {"type": "string"}]
_KEEPS, _EMBEDS = "x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource"
_EITHER = "x-kubernetes-int-or-string"
# What a schema below a junctor may not have, and in which words.
_FORBIDDEN = (
    ("type", "empty"),
    ("additionalProperties", "undefined"),
    ("default", "undefined"),
    ("title", "empty"),
    ("description", "empty"),
    ("nullable", "false"),
    (_KEEPS, "false"),
    (_EMBEDS, "false"),
    (_EITHER, "false"),
    ("x-kubernetes-list-map-keys", "empty"),
    ("x-kubernetes-list-type", "undefined"),
    ("x-kubernetes-map-type", "undefined"),
    ("x-kubernetes-validations", "empty"),
)


def validate(path: str, schema: Obj) -> list[Cause]:
    """Causes in a schema, sorted."""
    causes = _invariants(path, schema, _ROOT) + _complete(schema, schema, path, path)
    return sorted(causes, key=lambda cause: f"{cause.field}: {cause.message}")


def _child(schema: Obj, key: str) -> Obj | None:
    value = schema.get(key)
    return value if isinstance(value, dict) else None


def _properties(schema: Obj) -> dict[str, Obj]:
    return _child(schema, "properties") or {}


def _invariants(path: str, schema: Obj, level: str) -> list[Cause]:
    sort, items, extra = schema.get("type") or "", _child(schema, "items"), None
    causes: list[Cause] = []
    if sort == "array" and items is None and not isinstance(schema.get("items"), list):
        causes.append(fields.required(f"{path}.items", "must be specified"))
    if items is not None:
        causes += _invariants(f"{path}.items", items, _ITEM)
    for key, value in _properties(schema).items():
        causes += _invariants(f"{path}.properties[{key}]", value, _FIELD)
    extra = schema.get("additionalProperties")
    if extra is not None:
        where = f"{path}.additionalProperties"
        if level == _ROOT:
            causes.append(fields.forbidden(where, "must not be used at the root"))
        if isinstance(extra, dict):
            causes += _invariants(where, extra, _FIELD)
    return (
        causes + _extensions(path, schema) + _of_values(path, schema) + _type(path, schema, level)
    )


def _extensions(path: str, schema: Obj) -> list[Cause]:
    if not schema.get(_EITHER):
        return []
    return [
        fields.invalid(f"{path}.{key}", True, f"must be false if {_EITHER} is true")
        for key in (_KEEPS, _EMBEDS)
        if schema.get(key)
    ]


def _of_values(path: str, schema: Obj) -> list[Cause]:
    """What junctors say, but for the one way to spell an int-or-string."""
    causes: list[Cause] = []
    every = schema.get("allOf") or []
    is_spelt = bool(every) and every[0].get("anyOf") == _INT_OR_STRING
    if schema.get("anyOf") != _INT_OR_STRING:
        for index, one in enumerate(schema.get("anyOf") or ()):
            causes += _nested(f"{path}.anyOf[{index}]", one)
    for index, one in enumerate(every):
        is_first = is_spelt and index == 0
        causes += _nested(f"{path}.allOf[{index}]", one, skips_any_of=is_first)
    for index, one in enumerate(schema.get("oneOf") or ()):
        causes += _nested(f"{path}.oneOf[{index}]", one)
    negated = _child(schema, "not")
    if negated is not None:
        causes += _nested(f"{path}.not", negated)
    return causes + _pattern(path, schema)


def _pattern(path: str, schema: Obj) -> list[Cause]:
    pattern = schema.get("pattern") or ""
    try:
        re.compile(pattern)
    except re.error as error:
        detail = f"must be a valid regular expression, but isn't: {error}"
        return [fields.invalid(f"{path}.pattern", pattern, detail)]
    return []


def _nested(path: str, schema: Obj, *, skips_any_of: bool = False) -> list[Cause]:
    """A schema below a junctor: values only, no structure."""
    causes: list[Cause] = []
    for key in _JUNCTORS:
        if key == "anyOf" and skips_any_of:
            continue
        for index, one in enumerate(schema.get(key) or ()):
            causes += _nested(f"{path}.{key}[{index}]", one)
    for key in ("not", "items"):
        inner = _child(schema, key)
        if inner is not None:
            causes += _nested(f"{path}.{key}", inner)
    causes += _pattern(path, schema)
    for key, value in _properties(schema).items():
        causes += _nested(f"{path}.properties[{key}]", value)
    for key, word in _FORBIDDEN:
        if schema.get(key) not in (None, "", False, [], {}):
            causes.append(fields.forbidden(f"{path}.{key}", f"must be {word} to be structural"))
    if "metadata" in _properties(schema):
        detail = "must not be specified in a nested context"
        causes.append(fields.forbidden(f"{path}.properties[metadata]", detail))
    return causes


def _type(path: str, schema: Obj, level: str) -> list[Cause]:
    sort, where = schema.get("type") or "", f"{path}.type"
    embeds, keeps = bool(schema.get(_EMBEDS)), bool(schema.get(_KEEPS))
    causes: list[Cause] = []
    if embeds and sort != "object":
        detail = f"must be object if {_EMBEDS} is true"
        causes.append(
            fields.invalid(where, sort, detail) if sort else fields.required(where, detail)
        )
    elif not sort and not schema.get(_EITHER) and not keeps and not schema.get("$ref"):
        causes.append(fields.required(where, f"must not be empty {level}"))
    if embeds and schema.get("additionalProperties") is not None:
        detail = f"must not be used if {_EMBEDS} is set"
        causes.append(fields.forbidden(f"{path}.additionalProperties", detail))
    if level == _ROOT and sort and sort != "object":
        causes.append(fields.invalid(where, sort, "must be object at the root"))
    properties = _properties(schema)
    if level == _ROOT or embeds:
        for key, wanted in (("kind", "string"), ("apiVersion", "string"), ("metadata", "object")):
            found = (properties.get(key) or {}).get("type") or ""
            if key in properties and found != wanted:
                at = f"{path}.properties[{key}].type"
                causes.append(fields.invalid(at, found, f"must be {wanted}"))
    if level == _ROOT and "metadata" in properties and _restricts(properties["metadata"]):
        detail = (
            "must not specify anything other than name and generateName, but metadata is "
            "implicitly specified"
        )
        causes.append(fields.forbidden(f"{path}.properties[metadata]", detail))
    if embeds and not keeps and not properties:
        detail = f"must not be empty if {_EMBEDS} is true without {_KEEPS}"
        causes.append(fields.required(f"{path}.properties", detail))
    return causes


def _restricts(metadata: Obj) -> bool:
    """Whether the schema of metadata says more than what its name looks like."""
    rest: dict[str, Any] = {
        key: value
        for key, value in metadata.items()
        if key not in ("type", "default") and value not in (None, "", False, [], {})
    }
    if set(rest.get("properties") or ()) <= {"name", "generateName"}:
        rest.pop("properties", None)
    return bool(rest)


def _complete(values: Obj, schema: Obj | None, path: str, told: str) -> list[Cause]:
    """What junctors speak of must be in the structure, too."""
    causes: list[Cause] = []
    negated = _child(values, "not")
    rows = [(f"{told}.not", negated)] if negated is not None else []
    for key in ("allOf", "anyOf", "oneOf"):
        rows += [(f"{told}.{key}[{n}]", one) for n, one in enumerate(values.get(key) or ())]
    for at, one in rows:
        causes += _complete_nested(one, schema, path, at)
    return causes


def _complete_nested(values: Obj, schema: Obj | None, path: str, told: str) -> list[Cause]:
    if schema is None:
        return [fields.required(path, f"because it is defined in {told}")]
    causes = _complete(values, schema, path, told)
    items = _child(values, "items")
    if items is not None:
        causes += _complete_nested(items, _child(schema, "items"), f"{path}.items", f"{told}.items")
    known = _properties(schema)
    for key, value in _properties(values).items():
        below, at = f"{path}.properties[{key}]", f"{told}.properties[{key}]"
        if key in known:
            causes += _complete_nested(value, known[key], below, at)
        else:
            causes.append(fields.required(below, f"because it is defined in {at}"))
    return causes
