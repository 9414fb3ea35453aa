"""Events that wait for a sink which takes time: sent by many, at a bounded rate, and lost when they pile up.

Source: apiserver/plugin/pkg/audit/buffered, and its numbers.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from controlplane.apiserver.audit.event import Event
from controlplane.apiserver.audit.sink import Sink
from kvstore.base.clock import Clock
from kvstore.base.tasks import Supervisor

# What is left at the end has this long to be brought on its way.
_LAST_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Batches:
    """Bounds of batches: events that may wait, events of a batch, the wait for more, batches a second and at once."""

    buffer_size: int = 10_000
    max_size: int = 400
    max_wait_seconds: float = 30.0
    per_second: float = 10.0
    burst: int = 15
    throttles: bool = True


class Batching:
    """The sink before a slow one. `emit` never waits."""

    def __init__(
        self, sink: Sink, bounds: Batches, clock: Clock, on_loss: Callable[[int], None]
    ) -> None:
        self._sink = sink
        self._bounds = bounds
        self._clock = clock
        self._on_loss = on_loss
        self._waiting: deque[Event] = deque()
        self._has_some = asyncio.Event()
        self._is_full = asyncio.Event()
        self._is_closed = False
        self._supervisor = Supervisor("audit")
        self._is_started = False
        self._tokens = float(bounds.burst)
        self._refilled = clock.monotonic()

    async def emit(self, events: Sequence[Event]) -> bool:
        """See `Sink.emit`."""
        if not self._is_started:
            self._is_started = True
            self._supervisor.start(self._run(), "batches", eternal=True)
        room = self._bounds.buffer_size - len(self._waiting)
        taken = [] if self._is_closed else events[: max(0, room)]
        self._waiting.extend(taken)
        if self._waiting:
            self._has_some.set()
        if len(self._waiting) >= self._bounds.max_size:
            self._is_full.set()
        lost = len(events) - len(taken)
        if lost:
            self._on_loss(lost)
        return not lost

    async def close(self) -> None:
        """See `Sink.close`."""
        self._is_closed = True
        await self._supervisor.stop(1.0)
        try:
            async with asyncio.timeout(_LAST_SECONDS):
                while self._waiting:
                    await self._sink.emit(self._take())
        except TimeoutError:
            self._on_loss(len(self._waiting))
        await self._sink.close()

    async def _run(self) -> None:
        while True:
            await self._has_some.wait()
            try:
                async with asyncio.timeout(self._bounds.max_wait_seconds):
                    await self._is_full.wait()
            except TimeoutError:
                pass
            await self._turn()
            await self._sink.emit(self._take())

    def _take(self) -> list[Event]:
        count = min(self._bounds.max_size, len(self._waiting))
        batch = [self._waiting.popleft() for _ in range(count)]
        if not self._waiting:
            self._has_some.clear()
        if len(self._waiting) < self._bounds.max_size:
            self._is_full.clear()
        return batch

    async def _turn(self) -> None:
        """Wait until the rate lets another batch go."""
        if not self._bounds.throttles:
            return
        while True:
            now = self._clock.monotonic()
            self._tokens += (now - self._refilled) * self._bounds.per_second
            self._tokens = min(self._tokens, float(self._bounds.burst))
            self._refilled = now
            if self._tokens >= 1:
                self._tokens -= 1
                return
            await self._clock.sleep((1 - self._tokens) / self._bounds.per_second)
