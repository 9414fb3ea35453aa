"""The Retry-After of a level's refusals: doubled while many are refused, shortened by a second when few are.

Source: apiserver/pkg/util/flowcontrol/dropped_requests_tracker.go.
"""

from collections import deque

MOST_SECONDS = 32


class RetryAfter:
    """One level's. Time is in whole seconds of any clock that does not go back."""

    def __init__(self) -> None:
        self.seconds = 1
        self._changed = -MOST_SECONDS
        self._second = -1
        self._count = 0
        # (second, refusals in it), the newest last.
        self._history: deque[tuple[int, int]] = deque()

    def refused(self, now: float) -> int:
        """Take note of a refusal; the seconds to tell the client."""
        second = int(now)
        if second == self._second:
            self._count += 1
            return self.seconds
        if self._count:
            self._history.append((self._second, self._count))
        while self._history and self._second - self._history[0][0] > min(
            2 * self.seconds, MOST_SECONDS
        ):
            self._history.popleft()
        self._second, self._count = second, 1
        self._adjust(second)
        return self.seconds

    def _adjust(self, second: int) -> None:
        refusals = sum(count for when, count in self._history if second - when <= self.seconds)
        if second - self._changed >= self.seconds and refusals >= 3 * self.seconds:
            self.seconds = min(2 * self.seconds, MOST_SECONDS)
            self._changed = second
        elif refusals < self.seconds and self.seconds > 1:
            self.seconds -= 1
