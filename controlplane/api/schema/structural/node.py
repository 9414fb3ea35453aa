"""A structural schema as a tree, made once of the JSONSchemaProps of a CustomResourceDefinition.

Structural means that the tree gives each field its place: types are known, and what stands inside `allOf`, `anyOf`,
`oneOf` and `not` only restricts. Whether a schema is structural is checked when the definition is accepted, not here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

TYPE_META = ("apiVersion", "kind", "metadata")
MISSING: Any = object()
"""The default of a field that has none; None is a default like others."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One entry of x-kubernetes-validations."""

    rule: str
    message: str = ""
    message_expression: str = ""
    reason: str = "FieldValueInvalid"
    field_path: str = ""
    optional_old_self: bool = False


@dataclass(frozen=True, slots=True)
class Node:
    """The schema of one value.

    `types` are the JSON types that it may have, empty for any. `limits` holds the constraints by their names in JSON
    Schema (`minimum`, `maxLength`, `pattern`, `enum`, ...). `values` is the schema of a map's values; None when the
    object is no map. `logical` holds (`allOf`|`anyOf`|`oneOf`|`not`, nodes).
    """

    types: tuple[str, ...] = ()
    format: str = ""
    is_nullable: bool = False
    properties: Mapping[str, Node] = field(default_factory=dict)
    values: Node | None = None
    takes_any_property: bool = False
    items: Node | None = None
    default: Any = MISSING
    required: tuple[str, ...] = ()
    limits: Mapping[str, Any] = field(default_factory=dict)
    logical: tuple[tuple[str, tuple[Node, ...]], ...] = ()
    preserves_unknown: bool = False
    is_embedded: bool = False
    is_int_or_string: bool = False
    list_type: str = ""
    list_map_keys: tuple[str, ...] = ()
    map_type: str = ""
    rules: tuple[Rule, ...] = ()

    @property
    def type(self) -> str:
        """The one type of the value; empty when there is none or more."""
        return self.types[0] if len(self.types) == 1 else ""

    def child(self, key: str) -> Node | None:
        """The schema of an object's field or of a map's value."""
        return self.properties.get(key, self.values)


_LIMITS = (
    "maximum",
    "exclusiveMaximum",
    "minimum",
    "exclusiveMinimum",
    "maxLength",
    "minLength",
    "pattern",
    "maxItems",
    "minItems",
    "uniqueItems",
    "multipleOf",
    "enum",
    "maxProperties",
    "minProperties",
)


def parse(raw: Any) -> Node:
    """The node of a JSONSchemaProps; whatever has the wrong shape counts as left out."""
    if not isinstance(raw, Mapping):
        return Node()
    is_int_or_string = bool(raw.get("x-kubernetes-int-or-string"))
    kind = str(raw.get("type") or "")
    types = ("integer", "string") if is_int_or_string else (kind,) if kind else ()
    others = raw.get("additionalProperties")
    items = raw.get("items")
    return Node(
        types=types,
        format=str(raw.get("format") or ""),
        is_nullable=bool(raw.get("nullable")),
        properties={str(name): parse(one) for name, one in (raw.get("properties") or {}).items()},
        values=parse(others) if isinstance(others, Mapping) else None,
        takes_any_property=others is True,
        items=parse(items) if isinstance(items, Mapping) else None,
        default=raw.get("default", MISSING),
        required=tuple(str(name) for name in raw.get("required") or ()),
        limits={name: raw[name] for name in _LIMITS if raw.get(name) is not None},
        logical=_logical(raw),
        preserves_unknown=bool(raw.get("x-kubernetes-preserve-unknown-fields")),
        is_embedded=bool(raw.get("x-kubernetes-embedded-resource")),
        is_int_or_string=is_int_or_string,
        list_type=str(raw.get("x-kubernetes-list-type") or ""),
        list_map_keys=tuple(raw.get("x-kubernetes-list-map-keys") or ()),
        map_type=str(raw.get("x-kubernetes-map-type") or ""),
        rules=tuple(_rule(one) for one in raw.get("x-kubernetes-validations") or ()),
    )


def _logical(raw: Mapping[str, Any]) -> tuple[tuple[str, tuple[Node, ...]], ...]:
    found = [
        (word, tuple(parse(one) for one in raw[word]))
        for word in ("anyOf", "oneOf", "allOf")
        if raw.get(word)
    ]
    if raw.get("not"):
        found.append(("not", (parse(raw["not"]),)))
    return tuple(found)


def _rule(raw: Mapping[str, Any]) -> Rule:
    return Rule(
        rule=str(raw.get("rule") or ""),
        message=str(raw.get("message") or ""),
        message_expression=str(raw.get("messageExpression") or ""),
        reason=str(raw.get("reason") or "FieldValueInvalid"),
        field_path=str(raw.get("fieldPath") or ""),
        optional_old_self=bool(raw.get("optionalOldSelf")),
    )
