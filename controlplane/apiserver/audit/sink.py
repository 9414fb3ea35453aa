"""What takes events, and the bound on their size that may stand before it."""

from collections.abc import Sequence
from typing import Protocol

from controlplane.apiserver.audit.event import Event
from controlplane.apiserver.audit.policy import Level


class Sink(Protocol):
    """Takes events."""

    async def emit(self, events: Sequence[Event]) -> bool:
        """Take events; False when some are lost. Never raises for that."""
        ...

    async def close(self) -> None:
        """Take no more; what was taken is brought on its way first."""
        ...


class Truncating:
    """Keeps events within a size: without their objects when they are too large, not at all when that is too large."""

    def __init__(self, sink: Sink, *, most_event_bytes: int, most_batch_bytes: int) -> None:
        self._sink = sink
        self._most_event = most_event_bytes
        self._most_batch = most_batch_bytes

    async def emit(self, events: Sequence[Event]) -> bool:
        """See `Sink.emit`."""
        is_whole, batch, size = True, list[Event](), 0
        for given in events:
            event = given
            if len(event.item) > self._most_event and event.level >= Level.REQUEST:
                event = event.truncated()
            if len(event.item) > self._most_event:
                is_whole = False
                continue
            if batch and size + len(event.item) > self._most_batch:
                is_whole = await self._sink.emit(batch) and is_whole
                batch, size = [], 0
            batch.append(event)
            size += len(event.item)
        if batch:
            is_whole = await self._sink.emit(batch) and is_whole
        return is_whole

    async def close(self) -> None:
        """See `Sink.close`."""
        await self._sink.close()
