"""Field schemas of the served kinds: types, merge keys, list and map types.

Source: the JSON schemas of Kubernetes 1.36 in the PyPI package kubernetes-validate, so that no
copy of the OpenAPI lives here. The file is read at the first question; a definition is parsed when
it is first asked for, and kept without descriptions. openapi.py, which serves the descriptions,
reads the file again and keeps bytes only.

That package edits the OpenAPI into JSON Schema; `clean` undoes it: nullable types, the enum on
apiVersion and kind, `oneOf` for IntOrString and Quantity, and the `$ref` prefix.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache, cached_property
from importlib.resources import files
from typing import Any

import msgspec

KUBERNETES_VERSION = "1.36.0"
REF_PREFIX = "#/$defs/"
_META = "io.k8s.apimachinery.pkg.apis.meta.v1."
INT_OR_STRING = "io.k8s.apimachinery.pkg.util.intstr.IntOrString"
QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"

# Bodies that are no kind of the scheme: subresources, options and replies.
EXTRA_ROOTS = (
    "io.k8s.api.autoscaling.v1.Scale",
    "io.k8s.api.policy.v1.Eviction",
    "io.k8s.api.core.v1.Binding",
    _META + "DeleteOptions",
    _META + "Status",
    _META + "WatchEvent",
    _META + "Patch",
)

# Keys of list-maps that may be left out of an item, and what they then are. The defaults are in
# the published OpenAPI, but not in the package.
KEY_DEFAULTS: dict[str, Any] = {"protocol": "TCP"}


def _read() -> dict[str, msgspec.Raw]:
    path = files("kubernetes_validate").joinpath(
        "kubernetes-json-schema", f"v{KUBERNETES_VERSION}-local", "_definitions.json"
    )
    return msgspec.json.decode(path.read_bytes(), type=_File).definitions


class _Gvk(msgspec.Struct):
    group: str
    version: str
    kind: str


class _Header(msgspec.Struct):
    gvks: list[_Gvk] = msgspec.field(name="x-kubernetes-group-version-kind", default_factory=list)


class _File(msgspec.Struct):
    definitions: dict[str, msgspec.Raw] = msgspec.field(name="$defs")


def read_definitions(kinds: Iterable[tuple[str, str, str]]) -> dict[str, Any]:
    """The definitions that (group, version, kind) rows and the bodies of all APIs reach, cleaned."""
    raw = _read()
    by_gvk = _index(raw)
    wanted = [*EXTRA_ROOTS, *(by_gvk[gvk] for gvk in kinds if gvk in by_gvk)]
    kept: dict[str, Any] = {}
    while wanted:
        name = wanted.pop()
        if name in kept or name not in raw:
            continue
        definition = msgspec.json.decode(raw[name])
        kept[name] = clean(name, definition)
        wanted += _references(definition)
    return dict(sorted(kept.items()))


def _index(raw: Mapping[str, msgspec.Raw]) -> dict[tuple[str, str, str], str]:
    index = {}
    for name, definition in raw.items():
        for gvk in msgspec.json.decode(definition, type=_Header).gvks:
            index[(gvk.group, gvk.version, gvk.kind)] = name
    return index


def _references(value: Any) -> list[str]:
    if isinstance(value, list):
        return [name for item in value for name in _references(item)]
    if not isinstance(value, dict):
        return []
    found = [name for item in value.values() for name in _references(item)]
    reference = value.get("$ref")
    if isinstance(reference, str):
        found.append(reference.removeprefix(REF_PREFIX))
    return found


def clean(name: str, definition: Any) -> Any:
    """One definition as the OpenAPI has it; `$ref`s hold bare definition names."""
    if name == INT_OR_STRING:
        return {"type": "string", "format": "int-or-string"}
    if name == QUANTITY:
        return {"type": "string", "description": definition.get("description", "")}
    cleaned = _clean_schema(definition)
    for field in ("apiVersion", "kind"):
        cleaned.get("properties", {}).get(field, {}).pop("enum", None)
    return cleaned


def _clean_schema(value: Any) -> Any:
    if isinstance(value, list):
        return [_clean_schema(item) for item in value]
    if not isinstance(value, dict):
        return value
    result: dict[str, Any] = {}
    for key, item in value.items():
        if key == "$ref":
            result[key] = str(item).removeprefix(REF_PREFIX)
        elif key == "type" and isinstance(item, list):
            result[key] = next(kind for kind in item if kind != "null")
        elif key == "properties":
            result[key] = {name: _clean_schema(schema) for name, schema in item.items()}
        else:
            result[key] = _clean_schema(item)
    return result


def _without_descriptions(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_descriptions(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        # A property may be called `description`: only text is dropped.
        key: _without_descriptions(item)
        for key, item in value.items()
        if not (key == "description" and isinstance(item, str))
    }


class Schema:
    """One field's schema, with references already followed.

    `type` is object, array, string, integer, number or boolean, or one of the special
    `int-or-string`, `quantity`, and `any` (no structure known: RawExtension, FieldsV1).
    """

    def __init__(self, registry: Registry, raw: dict[str, Any]) -> None:
        self._registry = registry
        reference = raw.get("$ref", "")
        base = registry.definitions.find(reference) if reference else {}
        # What stands beside a reference (patch strategies) overrides the referenced type's own.
        self._raw: dict[str, Any] = {**base, **raw}
        self.reference: str = reference
        self.type = self._type_of()

    @property
    def raw(self) -> dict[str, Any]:
        """The schema as it was given; not to be changed."""
        return self._raw

    def _type_of(self) -> str:
        if self.reference == INT_OR_STRING:
            return "int-or-string"
        if self.reference == QUANTITY:
            return "quantity"
        kind = str(self._raw.get("type", "any"))
        if (
            kind == "object"
            and "properties" not in self._raw
            and "additionalProperties" not in self._raw
        ):
            return "any"
        return kind

    @cached_property
    def properties(self) -> dict[str, Schema]:
        """The declared fields of a struct; empty for everything else."""
        return {
            name: Schema(self._registry, raw)
            for name, raw in self._raw.get("properties", {}).items()
        }

    @cached_property
    def items(self) -> Schema | None:
        """The schema of a list's elements."""
        raw = self._raw.get("items")
        return Schema(self._registry, raw) if isinstance(raw, dict) else None

    @cached_property
    def values(self) -> Schema | None:
        """The schema of a map's values (additionalProperties)."""
        raw = self._raw.get("additionalProperties")
        return Schema(self._registry, raw) if isinstance(raw, dict) else None

    @property
    def preserves_unknown(self) -> bool:
        """Whether a struct may have fields beside the declared ones, as a custom resource's schema can say."""
        return bool(self._raw.get("x-kubernetes-preserve-unknown-fields"))

    @property
    def format(self) -> str:
        """`int32`, `int64`, `byte`, `date-time`, ... or empty."""
        return str(self._raw.get("format", ""))

    @property
    def required(self) -> tuple[str, ...]:
        """The fields a struct must have."""
        return tuple(self._raw.get("required", ()))

    @property
    def list_type(self) -> str:
        """`atomic`, `set` or `map`: how server-side apply merges a list."""
        return str(self._raw.get("x-kubernetes-list-type", "atomic"))

    @property
    def list_map_keys(self) -> tuple[str, ...]:
        """The fields that together name an element of a map-like list."""
        return tuple(self._raw.get("x-kubernetes-list-map-keys", ()))

    @property
    def is_atomic_map(self) -> bool:
        """Whether a map or struct is replaced as a whole by server-side apply."""
        return self._raw.get("x-kubernetes-map-type") == "atomic"

    @property
    def patch_merge_key(self) -> str:
        """The field by which a strategic merge tells elements apart; empty for none."""
        return str(self._raw.get("x-kubernetes-patch-merge-key", ""))

    @property
    def patch_strategies(self) -> tuple[str, ...]:
        """`merge`, `retainKeys`, `replace`, in any combination."""
        text = self._raw.get("x-kubernetes-patch-strategy", "")
        return tuple(text.split(",")) if text else ()

    def child(self, field: str) -> Schema | None:
        """The schema of a field or map value; None when unknown."""
        if field in self.properties:
            return self.properties[field]
        return self.values

    def at(self, path: str) -> Schema | None:
        """The schema at a dotted path; lists are passed through."""
        node: Schema | None = self
        for step in path.split("."):
            if node is not None and node.items is not None:
                node = node.items
            if node is None:
                return None
            node = node.child(step)
        return node


class _Definitions(dict[str, Any]):
    """Definitions by name, each parsed and cleaned when it is first asked for."""

    def __init__(self, raw: Mapping[str, msgspec.Raw]) -> None:
        super().__init__()
        self._raw = raw

    def __missing__(self, name: str) -> Any:
        definition = _without_descriptions(clean(name, msgspec.json.decode(self._raw[name])))
        self[name] = definition
        return definition

    def find(self, name: str) -> Any:
        """The definition, an empty one when there is none."""
        return self[name] if name in self._raw else {}


class Registry:
    """The schemas by definition name and by group, version and kind."""

    def __init__(self) -> None:
        self._raw = _read()
        self.definitions = _Definitions(self._raw)
        self._by_gvk = _index(self._raw)
        self._cache: dict[str, Schema] = {}

    def raw(self, definition: str) -> msgspec.Raw | None:
        """A definition as the package has it, descriptions and all; None when there is none."""
        return self._raw.get(definition)

    def by_name(self, definition: str) -> Schema | None:
        """The schema of a definition such as `io.k8s.api.core.v1.Pod`."""
        if definition not in self._raw:
            return None
        if definition not in self._cache:
            self._cache[definition] = Schema(self, {"$ref": definition})
        return self._cache[definition]

    def name_of(self, api_version: str, kind: str) -> str | None:
        """The definition name of an object's type."""
        group, _, version = api_version.rpartition("/")
        return self._by_gvk.get((group, version, kind))

    def of(self, api_version: str, kind: str) -> Schema | None:
        """The schema of an object's type; None when it is not one of ours."""
        name = self.name_of(api_version, kind)
        return None if name is None else self.by_name(name)


@cache
def registry() -> Registry:
    """The process's schemas, read at the first call."""
    return Registry()


@cache
def description(definition: str, field: str) -> str:
    """What the API's documents say of a field of a definition; empty when nothing."""
    raw = registry().raw(definition)
    properties = msgspec.json.decode(raw).get("properties", {}) if raw is not None else {}
    return str(properties.get(field, {}).get("description", ""))


def schema_for(api_version: str, kind: str) -> Schema | None:
    """The schema of a served type; None when it has none."""
    return registry().of(api_version, kind)
