"""Definitions of custom resources in OpenAPI documents.

The third version takes a schema as it is. The second lacks words, and kubectl of old cannot read some schemas in it:
what is nullable or keeps unknown fields loses its type and content, combinations of schemas go.

Source: apiextensions-apiserver/pkg/controller/openapi/{builder,v2}.
"""

from __future__ import annotations

from typing import Any

from controlplane.api.kind import Kind
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource

_META = "io.k8s.apimachinery.pkg.apis.meta.v1."
_API_VERSION = (
    "APIVersion defines the versioned schema of this representation of an object. More info: "
    "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#resources"
)
_KIND = (
    "Kind is the REST resource that this object stands for. More info: "
    "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#types-kinds"
)
_CONVENTIONS = "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md"
_OBJECT_META = {
    "description": f"Standard object's metadata. More info: {_CONVENTIONS}#metadata",
    "$ref": _META + "ObjectMeta",
}
_LIST_META = {
    "description": f"Standard list metadata. More info: {_CONVENTIONS}#types-kinds",
    "$ref": _META + "ListMeta",
}
_COMBINATIONS = ("allOf", "oneOf", "anyOf", "not")
_PRESERVES = "x-kubernetes-preserve-unknown-fields"


def name_of(row: Resource, kind: str) -> str:
    """`stable.example.com/v1 Tab` is `com.example.stable.v1.Tab`."""
    return ".".join([*reversed(row.group.split(".")), row.version, kind])


def definitions(kind: Kind, version: int) -> Obj:
    """Definition name -> body, of the kind and of its list; empty for built-in kinds."""
    row = kind.resource
    if kind.own_schema is None:
        return {}
    one, many = name_of(row, row.kind), name_of(row, row.list_kind)
    return {
        one: _one(row, kind.own_schema.raw, version),
        many: {
            "type": "object",
            "description": f"{row.list_kind} is a list of {row.kind}",
            "required": ["items"],
            "properties": {
                **_type_fields(),
                "items": {
                    "type": "array",
                    "description": f"List of {row.plural}. More info: {_CONVENTIONS}",
                    "items": {"$ref": one},
                },
                "metadata": _LIST_META,
            },
            "x-kubernetes-group-version-kind": [_identity(row, row.list_kind)],
        },
    }


def _identity(row: Resource, kind: str) -> Obj:
    return {"group": row.group, "kind": kind, "version": row.version}


def _type_fields() -> Obj:
    return {
        "apiVersion": {"type": "string", "description": _API_VERSION},
        "kind": {"type": "string", "description": _KIND},
    }


def _one(row: Resource, raw: Obj, version: int) -> Obj:
    gvk = {"x-kubernetes-group-version-kind": [_identity(row, row.kind)]}
    if version == 2 and raw.get(_PRESERVES):
        # Named fields beside unknown ones would make kubectl refuse the unknown ones.
        return {"type": "object", **gvk}
    body = _as_v2(raw) if version == 2 else raw
    properties = {**(body.get("properties") or {}), **_type_fields()}
    properties["metadata"] = _OBJECT_META
    return {**_embedded(body, version), "properties": _each(properties, version), **gvk}


def _each(properties: Obj, version: int) -> Obj:
    return {key: _embedded(one, version) for key, one in properties.items()}


def _embedded(schema: Any, version: int) -> Any:
    """Objects inside get the fields of every object, where that does not shut others out."""
    if not isinstance(schema, dict):
        return schema
    made = dict(schema)
    if isinstance(made.get("properties"), dict):
        made["properties"] = _each(made["properties"], version)
    for key in ("items", "additionalProperties"):
        if isinstance(made.get(key), dict):
            made[key] = _embedded(made[key], version)
    if made.get("x-kubernetes-embedded-resource") and not (version == 2 and made.get(_PRESERVES)):
        fields = {**_type_fields(), "metadata": _OBJECT_META}
        made["properties"] = {**(made.get("properties") or {}), **fields}
        made["required"] = sorted({*(made.get("required") or ()), "apiVersion", "kind"})
    return made


def _as_v2(schema: Any) -> Any:
    if not isinstance(schema, dict):
        return schema
    made = {key: value for key, value in schema.items() if key not in _COMBINATIONS}
    properties = made.get("properties") or {}
    nullable = {key for key, one in properties.items() if one.get("nullable")}
    if made.pop("nullable", False):
        for key in ("type", "items", "properties"):
            made.pop(key, None)
    if made.get(_PRESERVES):
        for key in ("items", "properties"):
            made.pop(key, None)
        if made.get("type") == "object":
            del made["type"]
    if made.get("type") == "array" and "items" not in made:
        del made["type"]
    if "required" in made:
        kept = [name for name in made["required"] if name not in nullable]
        made = {**made, "required": kept} if kept else {k: made[k] for k in made if k != "required"}
    if isinstance(made.get("properties"), dict):
        made["properties"] = {key: _as_v2(one) for key, one in made["properties"].items()}
    for key in ("items", "additionalProperties"):
        if isinstance(made.get(key), dict):
            made[key] = _as_v2(made[key])
    return made
