"""Frees what compaction made unreachable, in small steps beside live traffic, then gives the memory back.

Entries that are applied free a little each; an idle member would keep it all. `drain` does it at once for a client that
asks (Defragment).
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from kvstore.base import memory
from kvstore.base.clock import Clock
from kvstore.machine.outcome import CompactedTo

_STEP_EVENTS = 512
_PAUSE_SECONDS = 0.002
_TRIM_AFTER_SECONDS = 1.0


class Reclaimer:
    """`reclaim(limit)` frees about so many events' worth and says whether more is left."""

    def __init__(self, reclaim: Callable[[int], bool], clock: Clock) -> None:
        self._reclaim = reclaim
        self._clock = clock
        self._due = asyncio.Event()

    def on_applied(self, outcomes: Iterable[Any]) -> None:
        """Begin after a compaction."""
        for outcome in outcomes:
            if outcome.effects and any(isinstance(one, CompactedTo) for one in outcome.effects):
                self._due.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._due.wait()
            self._due.clear()
            while self._reclaim(_STEP_EVENTS):
                await self._clock.sleep(_PAUSE_SECONDS)
            await self._clock.sleep(_TRIM_AFTER_SECONDS)
            await asyncio.to_thread(memory.give_back)

    async def drain(self) -> None:
        """Free all there is, letting others run in between, and give it back."""
        more = True
        while more:
            more = self._reclaim(4 * _STEP_EVENTS)
            await asyncio.sleep(0)
        await asyncio.to_thread(memory.give_back)
