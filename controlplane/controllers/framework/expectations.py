"""Creations and deletions a controller has asked for and not yet seen in its cache.

Without this a controller that looks at a stale cache would create the same Pods twice. While an owner's expectations
are open it must not be scaled. They fall due after five minutes, in case an event was lost for ever.
"""

from dataclasses import dataclass, field

from controlplane.controllers.framework.reconciler import Key
from kvstore.base.clock import Clock

TIMEOUT_SECONDS = 300.0


@dataclass(slots=True)
class _Open:
    since: float
    creations: int = 0
    deletions: set[str] = field(default_factory=set)


class Expectations:
    """Per owner: how many creations, and which deletions by uid, are under way."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._open: dict[Key, _Open] = {}

    def satisfied(self, owner: Key) -> bool:
        """Whether the cache shows all that was asked for, or too long has passed."""
        waiting = self._open.get(owner)
        if waiting is None or (waiting.creations <= 0 and not waiting.deletions):
            return True
        return self._clock.monotonic() - waiting.since >= TIMEOUT_SECONDS

    def expect_creations(self, owner: Key, count: int) -> None:
        """`count` creations are about to be asked for."""
        self._renewed(owner).creations += count

    def expect_deletions(self, owner: Key, uids: list[str]) -> None:
        """These objects are about to be deleted."""
        self._renewed(owner).deletions.update(uids)

    def creation_seen(self, owner: Key) -> None:
        """A created object is in the cache, or its creation failed."""
        if (waiting := self._open.get(owner)) is not None:
            waiting.creations = max(0, waiting.creations - 1)

    def deletion_seen(self, owner: Key, uid: str) -> None:
        """A deleted object left the cache, is marked deleting there, or its deletion failed."""
        if (waiting := self._open.get(owner)) is not None:
            waiting.deletions.discard(uid)

    def forget(self, owner: Key) -> None:
        """The owner is gone."""
        self._open.pop(owner, None)

    def _renewed(self, owner: Key) -> _Open:
        waiting = self._open.get(owner)
        if waiting is None or self.satisfied(owner):
            waiting = self._open[owner] = _Open(self._clock.monotonic())
        return waiting
