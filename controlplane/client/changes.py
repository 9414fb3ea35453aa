"""Work that is done anew after each change of what informers hold: changes are gathered, and many are answered once."""

import asyncio
from collections.abc import Awaitable, Callable

from controlplane.api.meta import Obj
from controlplane.client.informer import Informer
from kvstore.base.clock import Clock


class Changes:
    """That something has changed since it was looked at."""

    def __init__(self, clock: Clock, gather_seconds: float = 0.05) -> None:
        """`gather_seconds` is how long changes are gathered before they are answered."""
        self._clock = clock
        self._gather_seconds = gather_seconds
        self._changed = asyncio.Event()

    def watch(self, informer: Informer) -> None:
        """Count every change of an informer from now on."""
        informer.add_listener(self._on_change, self._on_update, self._on_change)

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until `holds` says so, which is asked now and after each change."""
        while not holds():
            self._changed.clear()
            await self._changed.wait()

    async def follow(self, work: Callable[[], Awaitable[float | None]]) -> None:
        """Do `work` now and after each change, until cancelled.

        It says after how many seconds it is to be done again even without a change; None is never.
        """
        while True:
            self._changed.clear()
            pause = await work()
            try:
                async with asyncio.timeout(pause):
                    await self._changed.wait()
            except TimeoutError:
                continue
            await self._clock.sleep(self._gather_seconds)

    def _on_change(self, obj: Obj) -> None:
        del obj
        self._changed.set()

    def _on_update(self, old: Obj, new: Obj) -> None:
        del old, new
        self._changed.set()
