"""Whom a changed object concerns: the controllers that own it or owned it, else all that select it."""

from collections.abc import Callable, Iterable

from controlplane.api import meta
from controlplane.api.meta import Key, Obj
from controlplane.api.resource import Resource
from controlplane.api.selectors import LabelSelector
from controlplane.client.indexer import Indexer
from controlplane.controllers.framework.sources import Change


def selector_of(obj: Obj) -> LabelSelector:
    """The selector in `spec.selector`."""
    return LabelSelector.from_object(meta.spec(obj).get("selector"))


def owners_of(change: Change, owner: Resource) -> list[Key]:
    """The controllers of kind `owner` that own the object now or owned it before the change.

    A reference counts by group and kind, whatever its version, as in upstream's resolveControllerRef.
    """
    keys: dict[Key, None] = {}
    for obj in (change.old, change.new):
        reference = None if obj is None else meta.controller_of(obj)
        if obj is not None and reference is not None and is_of_kind(reference, owner):
            keys[Key(meta.namespace(obj), reference["name"])] = None
    return list(keys)


def is_of_kind(reference: Obj, resource: Resource) -> bool:
    """Whether an owner reference names an object of the resource's group and kind."""
    group = str(reference.get("apiVersion") or "").rpartition("/")[0]
    return reference.get("kind") == resource.kind and group == resource.group


def concerned(
    change: Change,
    owner: Resource,
    owners: Indexer,
    selector: Callable[[Obj], LabelSelector] = selector_of,
) -> Iterable[Key]:
    """`owners_of`; and for an object nobody controls, every owner in its namespace that selects it.

    An orphan that changed concerns others only when its labels or its owner changed, but whoever might adopt it is
    looked at anyway: a look costs little, and a missed orphan would stay one.
    """
    keys = dict.fromkeys(owners_of(change, owner))
    if change.new is not None and meta.controller_of(change.new) is None:
        labels = meta.labels(change.new)
        for candidate in owners.list(meta.namespace(change.new)):
            if selector(candidate).matches(labels):
                keys[meta.key_of(candidate)] = None
    return keys
