"""Flow control and flood control: what a peer may still send, and how much of a nuisance it may be.

Windows are plain numbers of the connection and its streams, widened through `widen`. Incoming ones are given back in
halves, so that credit costs a frame each half window and not each frame.
"""

from collections.abc import Callable

from kvstore.wire.h2.frames import ENHANCE_YOUR_CALM, MAX_WINDOW, ConnectionFailed


class WindowOverflow(Exception):
    """A window would pass 2**31-1."""


def widen(window: int, increment: int) -> int:
    """The window after a WINDOW_UPDATE or a change of SETTINGS. Raises WindowOverflow."""
    window += increment
    if window > MAX_WINDOW:
        raise WindowOverflow
    return window


class Bucket:
    """How often something harmless that costs work may happen: `burst` at once, `per_second` for ever."""

    __slots__ = ("_at", "_burst", "_clock", "_left", "_per_second", "_what")

    def __init__(
        self, what: str, burst: float, per_second: float, clock: Callable[[], float]
    ) -> None:
        self._what = what
        self._burst = burst
        self._per_second = per_second
        self._clock = clock
        self._left = burst
        self._at = 0.0

    def take(self, cost: float = 1.0) -> None:
        """Count one. Raises ConnectionFailed(ENHANCE_YOUR_CALM) when the bucket is empty."""
        now = self._clock()
        refilled = self._left + (now - self._at) * self._per_second
        self._left = min(self._burst, refilled) - cost
        self._at = now
        if self._left < 0:
            raise ConnectionFailed(ENHANCE_YOUR_CALM, f"too many {self._what}")


class Budget:
    """Bytes held for the peers of a front: a bound for each connection within one for all."""

    __slots__ = ("held", "limit", "parent")

    def __init__(self, limit: int, parent: "Budget | None" = None) -> None:
        self.limit = limit
        self.parent = parent
        self.held = 0

    def take(self, size: int) -> bool:
        """Hold `size` more bytes; false, and nothing held, if that is beyond the limit."""
        if self.held + size > self.limit:
            return False
        if self.parent is not None and not self.parent.take(size):
            return False
        self.held += size
        return True

    def give(self, size: int) -> None:
        """Hold `size` fewer."""
        self.held -= size
        if self.parent is not None:
            self.parent.give(size)
