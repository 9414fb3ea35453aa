"""Faults of the clock: a `Clock` that is wrong, leaps, or runs fast or slow.

Monotonic time never goes back, so a leap backwards moves the wall clock only, and healing lets monotonic time go on
from where it is. Sleepers wake by the faulty clock: a leap over their deadline wakes them at once. Meant for a clock
whose `sleep` waits on the event loop.
"""

import asyncio

from kvstore.base.clock import Clock
from kvstore.faults.kinds import ClockFault


class FaultClock:
    """A clock in front of `clock`; with no fault set it tells the same."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._fault = ClockFault()
        self._rate = 1.0
        self._base_at = self._told_at = clock.monotonic()
        self._wall_offset = 0.0
        self._sleepers: set[asyncio.Future[None]] = set()

    @property
    def fault(self) -> ClockFault:
        """What is set."""
        return self._fault

    def set(self, fault: ClockFault) -> None:
        """Replace the fault; a growth of `jump_seconds` is the leap that happens now."""
        now, base = self.monotonic(), self._clock.monotonic()
        wall = self.time()
        leap = fault.jump_seconds - self._fault.jump_seconds
        self._told_at, self._base_at = now + max(0.0, leap), base
        self._rate = 1.0 + fault.drift
        if fault.is_active:
            moved = leap + fault.skew_seconds - self._fault.skew_seconds
            self._wall_offset = wall + moved - self._told_at
        else:
            self._wall_offset = 0.0
        self._fault = fault
        for sleeper in list(self._sleepers):
            if not sleeper.done():
                sleeper.set_result(None)

    def monotonic(self) -> float:
        """Seconds since an arbitrary start, by this clock."""
        return self._told_at + (self._clock.monotonic() - self._base_at) * self._rate

    def time(self) -> float:
        """Unix time, as this clock believes."""
        if not self._fault.is_active:
            return self._clock.time()
        return self.monotonic() + self._wall_offset

    async def sleep(self, seconds: float) -> None:
        """Wait until this clock says that `seconds` have passed."""
        if seconds <= 0:
            await self._clock.sleep(0)
            return
        deadline = self.monotonic() + seconds
        loop = asyncio.get_running_loop()
        while (left := deadline - self.monotonic()) > 0:
            sleeper: asyncio.Future[None] = loop.create_future()
            timer = loop.call_later(left / self._rate, _wake, sleeper)
            self._sleepers.add(sleeper)
            try:
                await sleeper
            finally:
                timer.cancel()
                self._sleepers.discard(sleeper)


def _wake(sleeper: "asyncio.Future[None]") -> None:
    if not sleeper.done():
        sleeper.set_result(None)
