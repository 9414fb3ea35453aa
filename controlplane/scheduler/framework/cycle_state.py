"""Scratch space of one scheduling cycle: what a plugin computes once and reads for every node."""

from typing import Generic, TypeVar, cast

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

    def put(self, key: StateKey[T], value: T) -> None:
        """Keep a value for the rest of the cycle."""
        self._values[key.name] = value

    def get(self, key: StateKey[T]) -> T:
        """The value put before; KeyError means the plugin's PreFilter did not run."""
        return cast("T", self._values[key.name])
