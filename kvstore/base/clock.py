"""The only source of time: everything that waits or measures takes a `Clock`.

Seconds are floats. `monotonic()` never goes back and has no meaning outside the process; `time()` is Unix time and
may jump. `ManualClock` moves only when told to, so that tests of timeouts take no time.
"""

import asyncio
import heapq
import itertools
import time
from typing import Protocol


class Clock(Protocol):
    """What a component may know of time."""

    def monotonic(self) -> float:
        """Seconds since an arbitrary start; never goes back."""
        ...

    def time(self) -> float:
        """Seconds since 1970-01-01 UTC; may jump."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait; zero or less yields once to the loop."""
        ...


class SystemClock:
    """The machine's clock."""

    # Asked fifty times for each write: without a call in between.
    monotonic = staticmethod(time.monotonic)  # noqa: TID251

    def time(self) -> float:
        """Unix time in seconds."""
        return time.time()  # noqa: TID251

    async def sleep(self, seconds: float) -> None:
        """Wait on the event loop."""
        await asyncio.sleep(max(0.0, seconds))


class ManualClock:
    """A clock that stands still until `advance`."""

    def __init__(self, start: float = 1000.0, *, unix: float = 1_700_000_000.0) -> None:
        self._now = start
        self._offset = unix - start
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    def monotonic(self) -> float:
        """The instant `advance` has led to."""
        return self._now

    def time(self) -> float:
        """Unix time that belongs to `monotonic`."""
        return self._now + self._offset

    async def sleep(self, seconds: float) -> None:
        """Wait until `advance` has passed the given length."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now + seconds, next(self._order), future))
        await future

    def next_deadline(self) -> float | None:
        """The instant at which the next sleeper wakes; None when nobody sleeps."""
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)
        return self._sleepers[0][0] if self._sleepers else None

    async def advance(self, seconds: float) -> None:
        """Move on, waking sleepers in the order of their deadlines, and let them run."""
        end = self._now + seconds
        while self._sleepers and self._sleepers[0][0] <= end:
            deadline, _, future = heapq.heappop(self._sleepers)
            self._now = max(self._now, deadline)
            if not future.done():
                future.set_result(None)
            for _ in range(5):
                await asyncio.sleep(0)
        self._now = end
        for _ in range(5):
            await asyncio.sleep(0)
