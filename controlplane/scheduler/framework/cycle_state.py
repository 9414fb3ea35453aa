"""Scratch space of one scheduling cycle: what a plugin computes once and reads for every node."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, TypeVar, cast

from controlplane.scheduler.framework.status import SUCCESS, Status

T = TypeVar("T")


class StateKey(Generic[T]):
    """A typed name; plugins hold theirs as a module constant."""

    def __init__(self, name: str) -> None:
        self.name = name


class CycleState:
    """Values by `StateKey`; lives for one pod's cycle."""

    def __init__(self) -> None:
        self._values: dict[str, object] = {}
        self.skip_filter: set[str] = set()
        """Plugins whose PreFilter said that their Filter has nothing to say on this pod."""
        self.skip_score: set[str] = set()

        self.nodes: Sequence[Any] = ()
        """All nodes of the cycle, feasible or not."""
        self.trial: Callable[[Any, Sequence[Any], Any], Status] | None = None
        """Whether a pod would pass all filters on a node of other nodes than the cycle's: (pod, nodes, node)."""
        self._only: frozenset[str] | None = None
        self._outside = SUCCESS

    def restrict_to(self, names: Iterable[str], refusal: Status) -> None:
        """Leave all other nodes out of this cycle, with `refusal`; several restrictions hold together."""
        wanted = frozenset(names)
        self._only = wanted if self._only is None else self._only & wanted
        self._outside = refusal

    def outside(self, name: str) -> Status | None:
        """The refusal of a node that is left out, None for the others."""
        return None if self._only is None or name in self._only else self._outside

    def put(self, key: StateKey[T], value: T) -> None:
        """Keep a value for the rest of the cycle."""
        self._values[key.name] = value

    def get(self, key: StateKey[T]) -> T:
        """The value put before; KeyError means the plugin's PreFilter did not run."""
        return cast("T", self._values[key.name])

    def has(self, key: StateKey[T]) -> bool:
        """Whether a value was put."""
        return key.name in self._values
