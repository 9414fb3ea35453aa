"""Delays between tries: exponential, capped, jittered from an injected `Random`."""

import random


class Backoff:
    """Yields growing delays in seconds until `reset`."""

    def __init__(
        self,
        first_seconds: float = 0.05,
        cap_seconds: float = 5.0,
        factor: float = 2.0,
        jitter: float = 0.2,
        rng: random.Random | None = None,
    ) -> None:
        self._first = first_seconds
        self._cap = cap_seconds
        self._factor = factor
        self._jitter = jitter
        self._rng = rng or random.Random()
        self._next = first_seconds

    def next(self) -> float:
        """The next delay; within `jitter` (a fraction) around the nominal one."""
        nominal = self._next
        self._next = min(self._cap, self._next * self._factor)
        return nominal * self._rng.uniform(1 - self._jitter, 1 + self._jitter)

    def reset(self) -> None:
        """Start again from the first delay."""
        self._next = self._first
