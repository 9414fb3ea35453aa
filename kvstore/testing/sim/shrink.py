"""Makes a failing schedule of faults short: delta debugging over the list.

Parts of the list are left out, halves first and then smaller and smaller ones, as long as what remains still fails
(Zeller and Hildebrandt's ddmin). The result is 1-minimal if the budget of runs lasts: without any one of its faults
there is no failure.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


def shortest_failing(
    faults: Sequence[T], fails: Callable[[list[T]], bool], *, most_runs: int = 200
) -> list[T]:
    """A short sublist of `faults` that still fails; `faults` itself must fail."""
    current = list(faults)
    runs = 0
    parts = 2
    if current:
        runs += 1
        if fails([]):
            return []
    while len(current) >= 2 and runs < most_runs:
        size = max(1, len(current) // parts)
        for start in range(0, len(current), size):
            rest = current[:start] + current[start + size :]
            runs += 1
            if rest and fails(rest):
                current, parts = rest, max(parts - 1, 2)
                break
            if runs >= most_runs:
                return current
        else:
            if size == 1:
                break
            parts = min(parts * 2, len(current))
    return current
