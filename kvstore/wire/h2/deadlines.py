"""Deadlines of calls, in slots of ten milliseconds: a timer a slot instead of one a call.

A call is late by at most a slot, never early. A call that ends takes itself out, so what is held is bounded by the
calls that run.
"""

import asyncio
from typing import Protocol

_SLOTS_A_SECOND = 100


class Expiring(Protocol):
    """Something with a deadline."""

    def on_deadline(self) -> None:
        """The deadline has passed."""
        ...


class Deadlines:
    """All deadlines of a front."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._slots: dict[int, dict[Expiring, None]] = {}

    def add(self, call: Expiring, seconds: float) -> int:
        """Call `on_deadline` when `seconds` have passed; the number to `remove` it by."""
        slot = int((self._loop.time() + seconds) * _SLOTS_A_SECOND) + 1
        calls = self._slots.get(slot)
        if calls is None:
            calls = self._slots[slot] = {}
            self._loop.call_at(slot / _SLOTS_A_SECOND, self._expire, slot)
        calls[call] = None
        return slot

    def remove(self, call: Expiring, slot: int) -> None:
        """The call has ended. Idempotent."""
        calls = self._slots.get(slot)
        if calls is not None:
            calls.pop(call, None)

    def _expire(self, slot: int) -> None:
        for call in list(self._slots.pop(slot)):
            call.on_deadline()
