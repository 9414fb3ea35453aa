"""What owner references demand of one object: pure.

The graph is not a structure of its own: an object's owners are in its references, its dependents in the caches' owner
index. An owner is SOLID (it exists), GONE, or WAITING (being deleted in foreground, until its dependents are gone).
"""

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from controlplane.api import meta

Object = dict[str, Any]

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"


class OwnerState(enum.Enum):
    """What is known of an owner."""

    SOLID = "solid"
    GONE = "gone"
    WAITING = "waiting"


class Verb(enum.Enum):
    """What to do with the object."""

    NOTHING = "nothing"
    DELETE = "delete"  # with `policy`
    DROP_OWNERS = "drop owners"  # take the references to `uids` away
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
    uids: tuple[str, ...] = ()


def is_waiting(obj: Object) -> bool:
    """Whether the object is being deleted in foreground."""
    return meta.is_deleting(obj) and FOREGROUND in meta.finalizers(obj)


def concerns(obj: Object) -> bool:
    """Whether owner references can demand anything of the object by itself."""
    if meta.owner_references(obj):
        return True
    finalizers = meta.finalizers(obj)
    return meta.is_deleting(obj) and (FOREGROUND in finalizers or ORPHAN in finalizers)


def decide(obj: Object, owners: Mapping[str, OwnerState], dependents: Sequence[Object]) -> Decision:
    """What to do with `obj`, given the state of each owner by uid and the objects it owns."""
    finalizers = meta.finalizers(obj)
    if meta.is_deleting(obj):
        if ORPHAN in finalizers:
            return Decision(Verb.ORPHAN_DEPENDENTS)
        if FOREGROUND in finalizers:
            blocking = [d for d in dependents if _blocks(d, meta.uid(obj))]
            return Decision(Verb.DELETE_DEPENDENTS if blocking else Verb.FINISH_FOREGROUND)
        return Decision(Verb.NOTHING)
    references = meta.owner_references(obj)
    if not references:
        return Decision(Verb.NOTHING)
    states = {ref["uid"]: owners.get(ref["uid"], OwnerState.SOLID) for ref in references}
    unneeded = tuple(uid for uid, state in states.items() if state is not OwnerState.SOLID)
    if not unneeded:
        return Decision(Verb.NOTHING)
    if len(unneeded) < len(states):
        return Decision(Verb.DROP_OWNERS, uids=unneeded)
    if OwnerState.WAITING in states.values() and dependents:
        # The owner waits for all below it, so this one must wait for its own as well.
        return Decision(Verb.DELETE, policy="Foreground")
    if ORPHAN in finalizers:
        return Decision(Verb.DELETE, policy="Orphan")
    if FOREGROUND in finalizers:
        return Decision(Verb.DELETE, policy="Foreground")
    return Decision(Verb.DELETE, policy="Background")


def _blocks(dependent: Object, uid: str) -> bool:
    return any(
        ref["uid"] == uid and ref.get("blockOwnerDeletion")
        for ref in meta.owner_references(dependent)
    )
