"""Accessors on object dicts: the parts of ObjectMeta that logic reads and writes.

Objects are plain dicts as in JSON. Getters never change the object and never raise for a missing
field; setters say so by their name. Cached objects are shared: copy (`copy_of`) before a setter.

No `from __future__ import annotations` here: that name is an accessor.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

Obj = dict[str, Any]
"""An object as JSON has it: whoever holds one that is not shared may change it."""
View = Mapping[str, Any]
"""An object that is only read."""


class Key(NamedTuple):
    """Names an object of a kind; `namespace` is empty for cluster-wide ones."""

    namespace: str
    name: str


def copy_of(obj: Obj) -> Obj:
    """A deep copy, safe to change."""
    return {key: copy_of_value(value) for key, value in obj.items()}


def copy_of_value(value: Any) -> Any:
    """A deep copy of what JSON can say: four times as quick as a copy of anything."""
    if isinstance(value, dict):
        return {key: copy_of_value(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [copy_of_value(inner) for inner in value]
    return value


def metadata(obj: Obj) -> Obj:
    """The metadata dict, an unattached empty one when there is none."""
    value = obj.get("metadata")
    return value if isinstance(value, dict) else {}


def ensure_metadata(obj: Obj) -> Obj:
    """The metadata dict, made and attached when missing."""
    value = obj.get("metadata")
    if not isinstance(value, dict):
        value = {}
        obj["metadata"] = value
    return value


def spec(obj: Obj) -> Obj:
    """The spec dict, an unattached empty one when there is none."""
    value = obj.get("spec")
    return value if isinstance(value, dict) else {}


def status(obj: Obj) -> Obj:
    """The status dict, an unattached empty one when there is none."""
    value = obj.get("status")
    return value if isinstance(value, dict) else {}


def _text(obj: Obj, key: str) -> str:
    value = metadata(obj).get(key)
    return value if isinstance(value, str) else ""


def name(obj: Obj) -> str:
    """metadata.name or empty."""
    return _text(obj, "name")


def namespace(obj: Obj) -> str:
    """metadata.namespace, empty for cluster-scoped objects."""
    return _text(obj, "namespace")


def uid(obj: Obj) -> str:
    """metadata.uid or empty."""
    return _text(obj, "uid")


def resource_version(obj: Obj) -> str:
    """metadata.resourceVersion, opaque; empty when not set."""
    return _text(obj, "resourceVersion")


def generation(obj: Obj) -> int:
    """metadata.generation, 0 when not set."""
    return int(metadata(obj).get("generation") or 0)


def observed_generation(obj: Obj) -> int:
    """status.observedGeneration, 0 when not set."""
    return int(status(obj).get("observedGeneration") or 0)


def creation_timestamp(obj: Obj) -> str:
    """metadata.creationTimestamp as RFC 3339 text, empty when not set."""
    return _text(obj, "creationTimestamp")


def deletion_timestamp(obj: Obj) -> str:
    """metadata.deletionTimestamp as RFC 3339 text, empty while not being deleted."""
    return _text(obj, "deletionTimestamp")


def is_deleting(obj: Obj) -> bool:
    """Whether deletion has been asked for."""
    return bool(metadata(obj).get("deletionTimestamp"))


def labels(obj: Obj) -> dict[str, str]:
    """metadata.labels, an unattached empty dict when there are none."""
    return metadata(obj).get("labels") or {}


def annotations(obj: Obj) -> dict[str, str]:
    """metadata.annotations, an unattached empty dict when there are none."""
    return metadata(obj).get("annotations") or {}


def set_label(obj: Obj, key: str, value: str) -> None:
    """Write one label."""
    meta = ensure_metadata(obj)
    meta["labels"] = {**(meta.get("labels") or {}), key: value}


def set_annotation(obj: Obj, key: str, value: str) -> None:
    """Write one annotation."""
    meta = ensure_metadata(obj)
    meta["annotations"] = {**(meta.get("annotations") or {}), key: value}


def is_reset_of_owners(obj: Obj) -> bool:
    """Whether an object that was sent asks to forget who owns its fields, by an empty list of them."""
    return metadata(obj).get("managedFields") == []


def finalizers(obj: Obj) -> list[str]:
    """metadata.finalizers, an unattached empty list when there are none."""
    return metadata(obj).get("finalizers") or []


def owner_references(obj: Obj) -> list[Obj]:
    """metadata.ownerReferences, an unattached empty list when there are none."""
    return metadata(obj).get("ownerReferences") or []


def controller_of(obj: Obj) -> Obj | None:
    """The owner reference marked controller, None for orphans."""
    for reference in owner_references(obj):
        if reference.get("controller"):
            return reference
    return None


def is_controlled_by(obj: Obj, owner: Obj) -> bool:
    """Whether the controlling owner is this very object (by uid, never by name)."""
    reference = controller_of(obj)
    return reference is not None and bool(uid(owner)) and reference.get("uid") == uid(owner)


def controller_reference(owner: Obj) -> Obj:
    """An owner reference that makes `owner` the controller; the owner must carry kind and uid."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": name(owner),
        "uid": uid(owner),
        "controller": True,
        "blockOwnerDeletion": True,
    }


def key_of(obj: Obj) -> Key:
    """Where the object is."""
    return Key(namespace(obj), name(obj))


def get_path(obj: Any, path: str, default: Any = None) -> Any:
    """The value at a dotted path of plain field names, `default` when any step is missing."""
    for step in path.split("."):
        if not isinstance(obj, dict):
            return default
        obj = obj.get(step)
        if obj is None:
            return default
    return obj
