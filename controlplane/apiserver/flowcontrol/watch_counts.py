"""How many watches will hear of a write: those of its object, its namespace, its kind.

Source: apiserver/pkg/util/flowcontrol/watch_tracker.go.
"""

from collections import Counter

# Watches of pods of one node hear of few pods: they are not counted.
_INDEXED = ("", "pods")

_Place = tuple[str, str, str, str]


class WatchCounts:
    """The watches of one server."""

    def __init__(self) -> None:
        self._counts: Counter[_Place] = Counter()

    def began(
        self, group: str, resource: str, namespace: str, name: str, node_name: str = ""
    ) -> _Place | None:
        """A watch has begun; what to tell `ended`, None for one that is not counted."""
        if node_name and (group, resource) == _INDEXED:
            return None
        place = (group, resource, namespace, name)
        self._counts[place] += 1
        return place

    def ended(self, place: _Place | None) -> None:
        """A watch is over."""
        if place is None:
            return
        self._counts[place] -= 1
        if not self._counts[place]:
            del self._counts[place]

    def interested(self, group: str, resource: str, namespace: str, name: str) -> int:
        """How many hear of a write of this object; the name may not be known yet."""
        counts = self._counts
        if not counts:
            return 0
        total = counts.get((group, resource, "", ""), 0)
        if namespace:
            total += counts.get((group, resource, namespace, ""), 0)
        if name:
            total += counts.get((group, resource, namespace, name), 0)
        return total
