"""From a change of some object to the keys a controller must look at.

A mapper gets a `Change` and returns keys; the common ones are here, a controller may bring its own.
"""

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from controlplane.api import meta
from controlplane.api.meta import Key, Obj

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Change:
    """What happened: `old` is None for an add, `new` is None for a delete."""

    old: Obj | None
    new: Obj | None

    @property
    def object(self) -> Obj:
        """The newest state known."""
        obj = self.new if self.new is not None else self.old
        assert obj is not None
        return obj


Mapper = Callable[[Change], Iterable[K]]


key_of = meta.key_of


def to_itself(change: Change) -> Iterable[Key]:
    """The changed object's own key."""
    return (key_of(change.object),)


def to_owner(kind: str) -> Mapper[Key]:
    """The keys of the controllers of `kind` that own it or owned it before."""

    def mapper(change: Change) -> Iterable[Key]:
        keys: dict[Key, None] = {}
        for obj in (change.old, change.new):
            if obj is None:
                continue
            owner = meta.controller_of(obj)
            if owner is not None and owner["kind"] == kind:
                keys[Key(meta.namespace(obj), owner["name"])] = None
        return keys

    return mapper
