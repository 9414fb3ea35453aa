"""An event with an alarm clock: wait until someone calls, or until a time."""

import asyncio

from kvstore.base.clock import Clock


class Wake:
    """Calls made while nobody waits are not lost, and several count as one."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._event = asyncio.Event()

    def call(self) -> None:
        """End the wait, or the next one."""
        self._event.set()

    async def wait(self, seconds: float | None = None) -> None:
        """Until a call, or for at most `seconds`."""
        if seconds is not None and not self._event.is_set():
            async with asyncio.TaskGroup() as group:
                called = group.create_task(self._event.wait())
                timer = group.create_task(self._clock.sleep(max(0.0, seconds)))
                await asyncio.wait((called, timer), return_when=asyncio.FIRST_COMPLETED)
                called.cancel()
                timer.cancel()
        elif seconds is None:
            await self._event.wait()
        self._event.clear()
