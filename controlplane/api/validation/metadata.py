"""Rules every object's metadata obeys, on create and on update, with upstream's messages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from controlplane.api import meta, names
from controlplane.api.errors import Cause
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.api.validation import causes as fields

TOTAL_ANNOTATIONS_BYTES = 256 * 1024
_STANDARD_FINALIZERS = ("orphan", "foregroundDeletion", "kubernetes")


def validate_names(obj: Obj, validate_name: Callable[[str], list[str]]) -> list[Cause]:
    """Causes in the name and generateName of an object; the name must have been generated before.

    `validate_name` gives the problems of a name.
    """
    md = meta.metadata(obj)
    causes: list[Cause] = []
    prefix, name = md.get("generateName"), md.get("name")
    if prefix:
        problems = validate_name(names.as_prefix(str(prefix)))
        causes += fields.each("metadata.generateName", prefix, problems)
    if not name:
        causes.append(fields.required("metadata.name", "name or generateName is required"))
    else:
        causes += fields.each("metadata.name", name, validate_name(str(name)))
    return causes


def validate_but_names(resource: Resource, obj: Obj) -> list[Cause]:
    """Causes in the rest of metadata, for which all kinds have the same rules."""
    md = meta.metadata(obj)
    causes: list[Cause] = []
    namespace = md.get("namespace")
    if resource.namespaced:
        if not namespace:
            causes.append(fields.required("metadata.namespace"))
        else:
            causes += fields.each("metadata.namespace", namespace, names.dns_label(str(namespace)))
    elif namespace:
        causes.append(fields.forbidden("metadata.namespace", "not allowed on this type"))
    causes += fields.non_negative("metadata.generation", md.get("generation"))
    causes += validate_labels("metadata.labels", md.get("labels"))
    causes += validate_annotations("metadata.annotations", md.get("annotations"))
    causes += validate_owners(md.get("ownerReferences"))
    return causes + _finalizers(md.get("finalizers") or [])


def _finalizers(finalizers: list[str]) -> list[Cause]:
    path = "metadata.finalizers"
    causes: list[Cause] = []
    for finalizer in finalizers:
        causes += fields.each(path, finalizer, names.qualified_name(finalizer))
    if "orphan" in finalizers and "foregroundDeletion" in finalizers:
        detail = "finalizer orphan and foregroundDeletion cannot be both set"
        causes.append(fields.invalid(path, finalizers, detail))
    return causes


def unqualified_finalizers(obj: Obj) -> list[Cause]:
    """Causes in finalizers that have no prefix and are none of the standard ones."""
    causes: list[Cause] = []
    for index, finalizer in enumerate(meta.finalizers(obj)):
        if "/" not in finalizer and finalizer not in _STANDARD_FINALIZERS:
            detail = "name is neither a standard finalizer name nor is it fully qualified"
            causes.append(fields.invalid(f"metadata.finalizers[{index}]", finalizer, detail))
    return causes


def validate_labels(path: str, labels: Any) -> list[Cause]:
    """Causes in a map of labels."""
    causes: list[Cause] = []
    for key, value in (labels or {}).items():
        causes += fields.each(path, key, names.qualified_name(key))
        causes += fields.each(path, value, names.label_value(str(value)))
    return causes


def validate_annotations(path: str, annotations: Any) -> list[Cause]:
    """Causes in a map of annotations."""
    causes: list[Cause] = []
    size = 0
    for key, value in (annotations or {}).items():
        size += len(key.encode()) + len(str(value).encode())
        # Upper case is allowed in the prefix of annotations.
        problems = names.qualified_name(key.lower())
        causes += fields.each(path, key, problems)
    if size > TOTAL_ANNOTATIONS_BYTES:
        causes.append(fields.too_long(path, TOTAL_ANNOTATIONS_BYTES))
    return causes


_OWNER_FIELDS = ("apiVersion", "kind", "name", "uid", "controller", "blockOwnerDeletion")


def validate_owners(references: Any) -> list[Cause]:
    """Causes in ownerReferences."""
    path = "metadata.ownerReferences"
    causes: list[Cause] = []
    first = ""
    for reference in references or ():
        version, kind = reference.get("apiVersion") or "", reference.get("kind") or ""
        if not version or version.endswith("/") or version.count("/") > 1:
            detail = "version must not be empty"
            causes.append(fields.invalid(f"{path}.apiVersion", version, detail))
        for key in ("kind", "name", "uid"):
            if not reference.get(key):
                causes.append(fields.invalid(f"{path}.{key}", "", "must not be empty"))
        if (version, kind) == ("v1", "Event"):
            detail = "/v1, Kind=Event is disallowed from being an owner"
            causes.append(fields.invalid(path, _shown_owner(reference), detail))
        if not reference.get("controller"):
            continue
        name = f"{kind}/{reference.get('name') or ''}"
        if first:
            detail = (
                'Only one reference can have Controller set to true. Found "true" in references '
                f"for {first} and {name}"
            )
            shown = [_shown_owner(one) for one in references]
            causes.append(fields.invalid(path, shown, detail))
        first = first or name
    return causes


def _shown_owner(reference: Obj) -> Obj:
    """A reference as messages show it: its fields in the order of the type."""
    return {key: reference[key] for key in _OWNER_FIELDS if key in reference}


def validate_metadata_update(new: Obj, old: Obj) -> list[Cause]:
    """Causes in what metadata may not change."""
    causes: list[Cause] = []
    fresh, before = meta.metadata(new), meta.metadata(old)
    for key in (
        "name",
        "namespace",
        "uid",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
    ):
        if fresh.get(key) != before.get(key):
            causes.append(fields.immutable(f"metadata.{key}", fresh.get(key)))
    if (fresh.get("generation") or 0) < (before.get("generation") or 0):
        causes.append(
            fields.invalid(
                "metadata.generation", fresh.get("generation"), "must not be decremented"
            )
        )
    causes += no_new_finalizers(new, old)
    causes += validate_labels("metadata.labels", fresh.get("labels"))
    causes += validate_annotations("metadata.annotations", fresh.get("annotations"))
    return causes + validate_owners(fresh.get("ownerReferences"))


def no_new_finalizers(new: Obj, old: Obj) -> list[Cause]:
    """The cause in finalizers that an object gets which is being deleted."""
    causes: list[Cause] = []
    if meta.is_deleting(old):
        added = [f for f in meta.finalizers(new) if f not in meta.finalizers(old)]
        if added:
            causes.append(
                fields.forbidden(
                    "metadata.finalizers",
                    "no new finalizers can be added if the object is being deleted, "
                    "found new finalizers []string{"
                    + ", ".join(f'"{name}"' for name in sorted(added))
                    + "}",
                )
            )
    return causes
