"""A version of a CustomResourceDefinition as a `Kind`. Pure.

Objects are read by the structural schema: unknown fields are dropped, nulls that may not be are, defaults fill in. They
are kept under the storage version and answered in the version that is asked for; without a conversion webhook
(`conversion.py`) the versions differ by their name only.

Source: apiextensions-apiserver/pkg/registry/customresource and pkg/apiserver/customresource_handler.go.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from controlplane.api import meta, names
from controlplane.api.errors import Cause
from controlplane.api.kind import Conversion, Converter, Kind, ScalePaths
from controlplane.api.meta import Obj
from controlplane.api.resource import ALL_VERBS, SCALE, STATUS, Resource, Subresource
from controlplane.api.schema import builtin
from controlplane.api.schema.structural import (
    defaulting,
    embedded,
    lists,
    node,
    pruning,
    rules,
    validation,
)
from controlplane.api.schema.structural.node import MISSING
from controlplane.api.strategy import Strategy
from controlplane.apiserver.crd import printer
from controlplane.kinds.apiextensions.custom_resource_definition import storage_version

_BLOCKING = (
    "FieldValueNotSupported",
    "FieldValueRequired",
    "FieldValueTooLong",
    "FieldValueTooMany",
    "FieldValueTypeInvalid",
)
_NOT_CHECKED = Cause(
    "<nil>",
    "Invalid value: null: some validation rules were not checked because the object was invalid; correct "
    "the existing errors to complete validation",
    "FieldValueInvalid",
)
_OBJECT_META = {"$ref": "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"}


def kinds_of(crd: Obj, converter: Converter | None = None) -> list[Kind]:
    """The kinds of all served versions; names are those that the definition's status has accepted."""
    spec = meta.spec(crd)
    return [
        _kind(crd, version, converter)
        for version in spec.get("versions") or ()
        if version.get("served") and version.get("name")
    ]


def row_of(crd: Obj, version: Mapping[str, Any]) -> Resource:
    """How the kind is named and addressed in one version."""
    spec, accepted = meta.spec(crd), meta.status(crd).get("acceptedNames") or {}
    group, plural = str(spec.get("group")), str(accepted.get("plural"))
    subresources: list[Subresource] = []
    wanted = version.get("subresources") or {}
    if wanted.get("scale") is not None:
        subresources.append(SCALE)
    if wanted.get("status") is not None:
        subresources.append(STATUS)
    return Resource(
        group,
        str(version["name"]),
        str(accepted.get("kind")),
        plural,
        namespaced=spec.get("scope") == "Namespaced",
        singular=str(accepted.get("singular") or ""),
        short_names=tuple(accepted.get("shortNames") or ()),
        categories=tuple(accepted.get("categories") or ()),
        subresources=tuple(subresources),
        verbs=ALL_VERBS,
        storage=f"{group}/{plural}",
        field_labels=tuple(
            str(one.get("jsonPath") or "").lstrip(".")
            for one in version.get("selectableFields") or ()
        ),
        list_kind=str(accepted.get("listKind") or ""),
    )


def _kind(crd: Obj, version: Mapping[str, Any], converter: Converter | None) -> Kind:
    row = row_of(crd, version)
    raw = (version.get("schema") or {}).get("openAPIV3Schema") or {}
    checks = _Checks(node.parse(raw))
    stored = storage_version(crd)
    same: Callable[[Obj], Obj] = dict
    scale = (version.get("subresources") or {}).get("scale")
    return Kind(
        row,
        strategy=CustomStrategy,
        default=checks.default,
        read=checks.read,
        from_storage=checks.from_storage,
        validate=checks.validate,
        validate_update=checks.validate_update,
        validates_update_alone=True,
        validate_status=checks.validate_update,
        validate_name=names.dns_subdomain,
        columns=printer.columns(version.get("additionalPrinterColumns")),
        deprecation=_deprecation(row, version),
        own_schema=builtin.Schema(builtin.registry(), schema_with_metadata(raw)),
        conversion=(
            None
            if row.version == stored
            else Conversion((row.group, stored, row.plural), same, same)
        ),
        scale=_scale_paths(scale) if scale else ScalePaths(),
        converter=converter,
    )


def schema_with_metadata(raw: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of whole objects: what every object has stands beside what the definition says."""
    properties = dict(raw.get("properties") or {})
    properties.setdefault("apiVersion", {"type": "string"})
    properties.setdefault("kind", {"type": "string"})
    properties["metadata"] = _OBJECT_META
    return {**raw, "type": "object", "properties": properties}


def _scale_paths(scale: Mapping[str, Any]) -> ScalePaths:
    return ScalePaths(
        spec_replicas=str(scale.get("specReplicasPath") or "").lstrip("."),
        status_replicas=str(scale.get("statusReplicasPath") or "").lstrip("."),
        selector=str(scale.get("labelSelectorPath") or "").lstrip("."),
    )


def _deprecation(row: Resource, version: Mapping[str, Any]) -> str:
    if not version.get("deprecated"):
        return ""
    return str(version.get("deprecationWarning") or f"{row.group_version} {row.kind} is deprecated")


class CustomStrategy(Strategy):
    """Every change but one of metadata counts; one of the status does not where status is a path of its own."""

    has_generation = True
    allows_unconditional_update = False

    def bump_generation(self, obj: Obj, live: Obj) -> None:
        """Count a change."""
        ignored = ["metadata", "apiVersion", "kind"]
        if self.resource.has_status():
            ignored.append("status")
        generation = int(meta.metadata(live).get("generation") or 1)
        changed = {k: v for k, v in obj.items() if k not in ignored} != {
            k: v for k, v in live.items() if k not in ignored
        }
        meta.ensure_metadata(obj)["generation"] = generation + changed


class _Checks:
    """What the schema of one version does to objects."""

    def __init__(self, root: node.Node) -> None:
        self._root = root
        self._rules = rules.Rules.of(root)

    def read(self, obj: Obj) -> list[str]:
        """Drop what the schema does not know, in place; the dropped paths."""
        unknown = pruning.prune(obj, self._root)
        pruning.drop_nulls(obj, self._root)
        return unknown

    def from_storage(self, obj: Obj) -> Obj:
        """A stored object as the schema of now has it: pruned, and with defaults that came later."""
        made = meta.copy_of(obj)
        pruning.prune(made, self._root)
        pruning.drop_nulls(made, self._root)
        defaulting.default(made, self._root)
        return made

    def default(self, obj: Obj) -> None:
        """Fill in defaults."""
        defaulting.default(obj, self._root)

    def validate(self, obj: Obj) -> list[Cause]:
        """What is wrong with a new object."""
        found = validation.validate(_content(obj), self._root) + self._shape(obj)
        return found + self._by_rules(found, obj, MISSING)

    def validate_update(self, new: Obj, old: Obj) -> list[Cause]:
        """What is wrong with a changed object and was not so before."""
        found = validation.validate_update(_content(new), _content(old), self._root)
        before = {(cause.field, cause.message) for cause in self._shape(old)}
        found += [one for one in self._shape(new) if (one.field, one.message) not in before]
        return found + self._by_rules(found, new, old)

    def _by_rules(self, found: list[Cause], new: Obj, old: Any) -> list[Cause]:
        """What the rules say, or that they were not asked: they may count on values that have their types."""
        if self._rules is None:
            return []
        if any(cause.reason in _BLOCKING for cause in found):
            return [_NOT_CHECKED]
        return self._rules.validate(new, old)

    def _shape(self, obj: Obj) -> list[Cause]:
        return lists.validate(obj, self._root) + embedded.validate(obj, self._root)


def _content(obj: Obj) -> Obj:
    """`obj` without its metadata, which have rules of their own."""
    return {key: value for key, value in obj.items() if key != "metadata"}
