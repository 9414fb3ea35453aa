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
