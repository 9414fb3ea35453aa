"""Counts of one flow schema in one priority level, kept as plain numbers: the exposition reads them when asked."""

from bisect import bisect_left
from collections import Counter

WAIT_BOUNDS = (0.0, 0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0)
"""Seconds; those of upstream's request durations."""
LENGTH_BOUNDS = (0.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0)
SEAT_BOUNDS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 100.0)
WATCH_BOUNDS = (0.0, 1.0, 10.0, 100.0, 1000.0, 10000.0)


class Distribution:
    """A histogram whose observation costs a fraction of a microsecond."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def buckets(self) -> list[tuple[str, float]]:
        """(upper bound, how many are not above it), for the exposition."""
        rows, sum_so_far = [], 0
        for bound, count in zip((*map(str, self.bounds), "+Inf"), self.counts, strict=True):
            sum_so_far += count
            rows.append((bound, float(sum_so_far)))
        return rows


class Tally:
    """Counts for the metrics; cheap to write, summed when read."""

    __slots__ = (
        "dispatched",
        "executing",
        "executing_seats",
        "execution",
        "lengths",
        "level",
        "no_accommodation",
        "refused",
        "schema",
        "seats",
        "waited",
        "waited_in_vain",
        "waiting",
        "waiting_seats",
        "watch_execution",
        "watches",
    )

    def __init__(self, level: str, schema: str) -> None:
        self.level = level
        self.schema = schema
        self.dispatched = self.no_accommodation = 0
        self.executing = self.executing_seats = 0
        self.waiting = self.waiting_seats = 0
        self.refused: Counter[str] = Counter()
        self.waited = Distribution(WAIT_BOUNDS)
        self.waited_in_vain = Distribution(WAIT_BOUNDS)
        self.execution = Distribution(WAIT_BOUNDS)
        self.watch_execution = Distribution(WAIT_BOUNDS)
        self.lengths = Distribution(LENGTH_BOUNDS)
        self.seats = Distribution(SEAT_BOUNDS)
        self.watches = Distribution(WATCH_BOUNDS)
