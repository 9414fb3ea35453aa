"""Dividing seats among levels: in proportion to what each could use, within each one's bounds.

Source: apiserver/pkg/util/flowcontrol/conc_alloc.go has the statement of the problem. It is solved here by bisection of
the points where a bound begins or ceases to hold.
"""

from collections.abc import Sequence
from dataclasses import dataclass

_LEAST_TARGET = 0.001
_EPSILON = 1e-7


@dataclass(frozen=True, slots=True)
class Claim:
    """What one level could use; `lowest <= target`, `lowest <= highest`."""

    lowest: float
    highest: float
    target: float


def allocate(total: int, claims: Sequence[Claim]) -> tuple[list[float], float]:
    """The seats of each claim, which sum to `total`, and the fraction of its target that an unbounded claim gets.

    Each share is `fraction * target`, or the bound that stands against it. ValueError when the bounds leave no way.
    """
    lowest, highest = sum(c.lowest for c in claims), sum(c.highest for c in claims)
    if total < 0 or lowest - total > _EPSILON or total - highest > _EPSILON:
        raise ValueError(f"{total} seats cannot be shared between {lowest} and {highest}")
    if any(c.target < c.lowest or c.highest < c.lowest or c.lowest < 0 for c in claims):
        raise ValueError("a claim's bounds contradict each other")
    if total == 0:
        return [0.0] * len(claims), 0.0
    targets = [max(c.target, _LEAST_TARGET) for c in claims]
    bounds = sorted(
        {c.lowest / t for c, t in zip(claims, targets, strict=True)}
        | {c.highest / t for c, t in zip(claims, targets, strict=True)}
    )

    def shares(fraction: float) -> list[float]:
        return [
            max(c.lowest, min(c.highest, fraction * t))
            for c, t in zip(claims, targets, strict=True)
        ]

    # The sum grows with the fraction, in straight pieces between neighbouring bounds.
    first, last = 0, len(bounds) - 1
    if sum(shares(bounds[first])) >= total - _EPSILON:
        return shares(bounds[first]), bounds[first]
    if sum(shares(bounds[last])) <= total + _EPSILON:
        return shares(bounds[last]), bounds[last]
    while last - first > 1:
        middle = (first + last) // 2
        if sum(shares(bounds[middle])) <= total:
            first = middle
        else:
            last = middle
    below, above = sum(shares(bounds[first])), sum(shares(bounds[last]))
    part = (total - below) / (above - below) if above > below else 0.0
    fraction = bounds[first] + part * (bounds[last] - bounds[first])
    return shares(fraction), fraction
