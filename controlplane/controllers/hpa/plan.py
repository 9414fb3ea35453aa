"""From the count that metrics ask for to the count that is set: bounds, rates, windows. Pure.

Without `behavior` a workload at most doubles (4 are always allowed), and shrinks to the highest count asked for in the
last five minutes. With it, each direction has policies (so many pods or percent in so many seconds) and a window of its
own. Source: pkg/controller/podautoscaler/horizontal.go.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from controlplane.api.meta import View

_FACTOR, _LEAST = 2.0, 4.0
IN_RANGE = ("DesiredWithinRange", "the desired count is within the acceptable range")
READY = ("ReadyForNewScale", "recommended size matches current size")
DOWN_STABILIZED = (
    "ScaleDownStabilized",
    "recent recommendations were higher than current one, applying the highest recent recommendation",
)
UP_STABILIZED = (
    "ScaleUpStabilized",
    "recent recommendations were lower than current one, applying the lowest recent recommendation",
)
UP_LIMIT = (
    "ScaleUpLimit",
    "the desired replica count is increasing faster than the maximum scale rate",
)
DOWN_LIMIT = (
    "ScaleDownLimit",
    "the desired replica count is decreasing faster than the maximum scale rate",
)
TOO_MANY = ("TooManyReplicas", "the desired replica count is more than the maximum replica count")
TOO_FEW = ("TooFewReplicas", "the desired replica count is less than the minimum replica count")

Words = tuple[str, str]
"""Reason and message of a condition."""


@dataclass(slots=True)
class History:
    """What was asked for and done lately; the times are seconds of one clock."""

    asked: list[tuple[float, int]] = field(default_factory=list)
    added: list[tuple[float, int]] = field(default_factory=list)
    removed: list[tuple[float, int]] = field(default_factory=list)

    def changed(self, before: int, after: int, now: float, keep_seconds: float) -> None:
        """A count was set; what is older than `keep_seconds` is forgotten."""
        rows = self.added if after > before else self.removed
        rows[:] = [row for row in rows if row[0] >= now - keep_seconds]
        rows.append((now, abs(after - before)))

    def ask(self, count: int, now: float, keep_seconds: float) -> None:
        """A count was asked for."""
        self.asked[:] = [row for row in self.asked if row[0] >= now - keep_seconds]
        self.asked.append((now, count))


@dataclass(frozen=True, slots=True)
class Bounds:
    """The count that is set, and the words of the conditions AbleToScale and ScalingLimited."""

    replicas: int
    able: Words
    limit: Words
    is_limited: bool


def bounded(
    spec: View, current: int, asked: int, history: History, now: float, window_seconds: float
) -> Bounds:
    """The count to set; `window_seconds` is for shrinking where the spec says none. Notes what was asked."""
    least, most = int(spec.get("minReplicas") or 1), int(spec["maxReplicas"])
    behavior = spec.get("behavior")
    if behavior is None:
        recent = [count for at, count in history.asked if at >= now - window_seconds]
        stable = max([asked, *recent])
        history.ask(asked, now, window_seconds)
        able = READY if stable == asked else DOWN_STABILIZED
        count, limit = _by_factor(current, stable, least, most)
        return Bounds(count, able, limit, count != stable)
    up, down = behavior["scaleUp"], behavior["scaleDown"]
    stable = _stabilized(up, down, current, asked, history, now, window_seconds)
    able = READY
    if stable != asked:
        able = UP_STABILIZED if asked >= current else DOWN_STABILIZED
    count, limit = _by_rates(up, down, current, stable, (least, most), history, now)
    return Bounds(count, able, limit, count != stable)


def _by_factor(current: int, asked: int, least: int, most: int) -> tuple[int, Words]:
    limit = int(max(_FACTOR * current, _LEAST))
    allowed, words = (limit, UP_LIMIT) if most > limit else (most, TOO_MANY)
    if asked < least:
        return least, TOO_FEW
    return (allowed, words) if asked > allowed else (asked, IN_RANGE)


def window_of(rules: View, default: float) -> float:
    """The stabilization window of a direction, in seconds."""
    found = rules.get("stabilizationWindowSeconds")
    return default if found is None else float(found)


def _stabilized(
    up: View,
    down: View,
    current: int,
    asked: int,
    history: History,
    now: float,
    window_seconds: float,
) -> int:
    """The current count, moved into what was asked for in the windows of both directions."""
    up_seconds, down_seconds = window_of(up, 0.0), window_of(down, window_seconds)
    lowest = min([asked, *(count for at, count in history.asked if at > now - up_seconds)])
    highest = max([asked, *(count for at, count in history.asked if at > now - down_seconds)])
    history.ask(asked, now, max(up_seconds, down_seconds))
    return min(max(current, lowest), highest)


def _by_rates(
    up: View,
    down: View,
    current: int,
    asked: int,
    bounds: tuple[int, int],
    history: History,
    now: float,
) -> tuple[int, Words]:
    least, most = bounds
    if asked > current:
        limit = max(current, _limit(up, current, history, now, grows=True))
        allowed, words = (limit, UP_LIMIT) if most > limit else (most, TOO_MANY)
        return (allowed, words) if asked > allowed else (asked, IN_RANGE)
    if asked < current:
        limit = min(current, _limit(down, current, history, now, grows=False))
        allowed, words = (limit, DOWN_LIMIT) if least < limit else (least, TOO_FEW)
        return (allowed, words) if asked < allowed else (asked, IN_RANGE)
    return asked, IN_RANGE


def _limit(rules: View, current: int, history: History, now: float, *, grows: bool) -> int:
    """How far the policies of a direction let the count go now."""
    chosen = rules.get("selectPolicy") or "Max"
    if chosen == "Disabled":
        return current
    proposals = []
    for policy in rules.get("policies") or ():
        period = float(policy["periodSeconds"])
        start = current - _sum(history.added, now - period) + _sum(history.removed, now - period)
        value = int(policy["value"])
        if policy.get("type") == "Pods":
            proposals.append(start + value if grows else start - value)
        elif grows:
            # Rounded up: a small percentage must still let it grow.
            proposals.append(math.ceil(start * (1 + value / 100)))
        else:
            proposals.append(int(start * (1 - value / 100)))
    if not proposals:
        return current
    # The largest change is the highest count for growing, and the lowest for shrinking.
    is_highest = (chosen == "Max") == grows
    return max(proposals) if is_highest else min(proposals)


def _sum(rows: Sequence[tuple[float, int]], since: float) -> int:
    return sum(count for at, count in rows if at > since)


def longest_period(rules: View) -> float:
    """How long changes of a direction matter, in seconds."""
    return max((float(p["periodSeconds"]) for p in rules.get("policies") or ()), default=0.0)
