"""Messages that a slow link holds back: in order, bounded, let go one by one when their time has come."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class DelayLine(Generic[T]):
    """One direction of one connection. False while empty.

    Args:
        deliver: gets each message when it is due.
        limit_bytes: what would go beyond is refused.
    """

    def __init__(self, deliver: Callable[[T], object], limit_bytes: int) -> None:
        self._deliver, self._limit_bytes = deliver, limit_bytes
        self._queue: deque[tuple[float, T, int]] = deque()
        self._size_bytes = 0
        self._timer: asyncio.TimerHandle | None = None

    def __bool__(self) -> bool:
        return bool(self._queue)

    def put(self, message: T, size_bytes: int, seconds: float) -> bool:
        """Hold `message` for so long, and never less than those before it; False if there is no room."""
        if self._size_bytes + size_bytes > self._limit_bytes:
            return False
        at = asyncio.get_running_loop().time() + seconds
        if self._queue:
            at = max(at, self._queue[-1][0])
        self._queue.append((at, message, size_bytes))
        self._size_bytes += size_bytes
        if self._timer is None:
            self._arm()
        return True

    def let_go(self) -> None:
        """Deliver everything now."""
        self._release(float("inf"))

    def drop(self) -> None:
        """Forget everything: the connection is gone."""
        self._queue.clear()
        self._size_bytes = 0
        self._stop_timer()

    def _arm(self) -> None:
        if self._queue:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(self._queue[0][0], self._due)

    def _due(self) -> None:
        self._timer = None
        # uvloop counts whole milliseconds: what is due within the next is due.
        self._release(asyncio.get_running_loop().time() + 0.001)

    def _release(self, until: float) -> None:
        self._stop_timer()
        while self._queue and self._queue[0][0] <= until:
            _, message, size_bytes = self._queue.popleft()
            self._size_bytes -= size_bytes
            self._deliver(message)
        self._arm()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
