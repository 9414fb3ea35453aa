"""What owner references demand of one object: pure.

The graph is not a structure of its own: an object's owners are in its references, its dependents in the caches' owner
index. An owner is SOLID (it exists), GONE, WAITING (being deleted in foreground, until its dependents are gone), or
UNKNOWN: nothing can be found out about it, so nothing may be done because of it (kubernetes#102641).
"""

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from controlplane.api import meta
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"


class OwnerState(enum.Enum):
    """What is known of an owner."""

    SOLID = "solid"
    GONE = "gone"
    WAITING = "waiting"
    UNKNOWN = "unknown"


class Coordinates(NamedTuple):
    """Everything a reference says of its owner, and where that owner is looked for.

    An owner that is absent under one kind, namespace or name says nothing of the others, though the uid be the same.
    """

    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str


class Verb(enum.Enum):
    """What to do with the object."""

    NOTHING = "nothing"
    DELETE = "delete"  # with `policy`
    DROP_OWNERS = "drop owners"  # take `references` away
    ORPHAN_DEPENDENTS = (
        "orphan dependents"  # take this owner off its dependents, then the finalizer
    )
    DELETE_DEPENDENTS = "delete dependents"  # look at each dependent; the finalizer waits
    FINISH_FOREGROUND = "finish foreground"  # nothing blocks any more: take the finalizer away


@dataclass(frozen=True, slots=True)
class Decision:
    """A verb and its details."""

    verb: Verb
    policy: str = ""
    references: tuple[Obj, ...] = ()
    unblocks: bool = False
    """Before it is deleted, the object gives up blocking its owners: they wait for each other in a circle."""


def coordinates_of(obj: Obj, resource: Resource) -> Coordinates:
    """Where an object is."""
    place = meta.namespace(obj) if resource.namespaced else ""
    return Coordinates(resource.group_version, resource.kind, place, meta.name(obj), meta.uid(obj))


def owner_coordinates(reference: Obj, resource: Resource, namespace: str) -> Coordinates | None:
    """Where the owner of an object in `namespace` (empty: cluster-wide) must be, its kind being `resource`.

    None when there is no such place: a cluster-wide object cannot have a namespaced owner.
    """
    if resource.namespaced and not namespace:
        return None
    place = namespace if resource.namespaced else ""
    return Coordinates(
        resource.group_version,
        resource.kind,
        place,
        str(reference.get("name") or ""),
        str(reference.get("uid") or ""),
    )


def refers_to(dependent: Obj, owner: Coordinates) -> bool:
    """Whether each reference of `dependent` to the owner's uid means the owner where it really is."""
    if owner.namespace and owner.namespace != meta.namespace(dependent):
        return False
    return all(
        (ref.get("apiVersion"), ref.get("kind"), ref.get("name"))
        == (owner.api_version, owner.kind, owner.name)
        for ref in meta.owner_references(dependent)
        if ref["uid"] == owner.uid
    )


def is_waiting(obj: Obj) -> bool:
    """Whether the object is being deleted in foreground."""
    return meta.is_deleting(obj) and FOREGROUND in meta.finalizers(obj)


def concerns(obj: Obj) -> bool:
    """Whether owner references can demand anything of the object by itself."""
    if meta.owner_references(obj):
        return True
    finalizers = meta.finalizers(obj)
    return meta.is_deleting(obj) and (FOREGROUND in finalizers or ORPHAN in finalizers)


def decide(obj: Obj, owners: Sequence[OwnerState], dependents: Sequence[Obj]) -> Decision:
    """What to do with `obj`, given the state behind each of its references, in their order, and what it owns.

    Of an object being deleted only its dependents matter; `owners` may be empty then.
    """
    finalizers = meta.finalizers(obj)
    if meta.is_deleting(obj):
        if ORPHAN in finalizers:
            return Decision(Verb.ORPHAN_DEPENDENTS)
        if FOREGROUND in finalizers:
            blocking = [d for d in dependents if _blocks(d, meta.uid(obj))]
            return Decision(Verb.DELETE_DEPENDENTS if blocking else Verb.FINISH_FOREGROUND)
        return Decision(Verb.NOTHING)
    if not owners or OwnerState.UNKNOWN in owners:
        return Decision(Verb.NOTHING)
    references = meta.owner_references(obj)
    unneeded = tuple(
        reference
        for reference, state in zip(references, owners, strict=True)
        if state is not OwnerState.SOLID
    )
    if not unneeded:
        return Decision(Verb.NOTHING)
    if len(unneeded) < len(references):
        return Decision(Verb.DROP_OWNERS, references=unneeded)
    if OwnerState.WAITING in owners and dependents:
        # The owner waits for all below it, so this one must wait for its own as well. One below that waits already
        # may be an owner further up: nobody would ever be the first to go.
        return Decision(Verb.DELETE, policy="Foreground", unblocks=any(map(is_waiting, dependents)))
    if ORPHAN in finalizers:
        return Decision(Verb.DELETE, policy="Orphan")
    if FOREGROUND in finalizers:
        return Decision(Verb.DELETE, policy="Foreground")
    return Decision(Verb.DELETE, policy="Background")


def _blocks(dependent: Obj, uid: str) -> bool:
    return any(
        ref["uid"] == uid and ref.get("blockOwnerDeletion")
        for ref in meta.owner_references(dependent)
    )
