"""Counts of how long something took, by upper bounds: Prometheus' histogram, as plain numbers."""

from bisect import bisect_left
from collections.abc import Sequence

DISK_SECONDS = tuple(0.001 * 2**power for power in range(14))
"""etcd's bounds for disk writes: a millisecond, doubled up to eight seconds."""


class Histogram:
    """Observed values; not thread-safe."""

    def __init__(self, bounds: Sequence[float] = DISK_SECONDS) -> None:
        self.bounds = tuple(bounds)
        self._counts = [0] * (len(self.bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        self._counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    @property
    def count(self) -> int:
        """Of all values."""
        return sum(self._counts)

    def up_to(self) -> list[tuple[float, int]]:
        """(bound, how many values were not above it), in order."""
        found, total = [], 0
        for bound, count in zip(self.bounds, self._counts, strict=False):
            total += count
            found.append((bound, total))
        return found
