"""How many seats a priority level could have used: the measure by which levels borrow from each other."""

import math
from dataclasses import dataclass

# Half of an old peak is forgotten after about five minutes of ten-second periods.
_SMOOTHING = 0.977


@dataclass(frozen=True, slots=True)
class Observed:
    """A quantity over a period: mean and deviation weighted by time, the highest value; None of it after no time."""

    seconds: float
    average: float
    deviation: float
    highest: float


class Integrator:
    """Follows a quantity that changes in steps."""

    def __init__(self, now: float) -> None:
        self._since = now
        self._value = 0.0
        self._seconds = 0.0
        self._sum = 0.0
        self._squares = 0.0
        self._highest = 0.0

    def set(self, now: float, value: float) -> None:
        """The quantity is `value` from `now` on."""
        seconds = now - self._since
        if seconds > 0:
            self._seconds += seconds
            weighted = seconds * self._value
            self._sum += weighted
            self._squares += weighted * self._value
            self._since = now
        self._value = value
        if value > self._highest:
            self._highest = value

    def reset(self, now: float) -> Observed:
        """What was seen since the last reset; the next period begins with the present value."""
        self.set(now, self._value)
        seconds = self._seconds
        average = self._sum / seconds if seconds > 0 else 0.0
        variance = self._squares / seconds - average * average if seconds > 0 else 0.0
        seen = Observed(seconds, average, math.sqrt(max(0.0, variance)), self._highest)
        self._seconds = self._sum = self._squares = 0.0
        self._highest = self._value
        return seen


@dataclass(slots=True)
class Demand:
    """A level's demand for seats as the division looks at it."""

    average: float = 0.0
    deviation: float = 0.0
    highest: int = 0
    smoothed: float = 0.0

    def update(self, seen: Observed) -> None:
        """Take in a period: rises at once, falls slowly."""
        self.highest = round(seen.highest)
        if seen.seconds <= 0:
            return
        self.average, self.deviation = seen.average, seen.deviation
        envelope = seen.average + seen.deviation
        faded = _SMOOTHING * self.smoothed + (1 - _SMOOTHING) * envelope
        self.smoothed = max(envelope, faded)
