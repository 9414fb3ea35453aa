"""One watch as a cursor over the history.

It holds no queue: it knows the next revision it has to see, and whether anything from there on may be for it. So a slow
client costs nothing but its cursor, and compaction past a cursor that is behind is one well-defined cancel.
"""

from collections.abc import Callable
from typing import Protocol

from kvstore.machine.outcome import Event
from kvstore.service.watch.spec import WatchSpec


class SharedCursor(Protocol):
    """What the watchers of one stream in a synced group have in common (`groups.SyncedStream`)."""

    next_revision: int

    def spread_sent(self) -> None:
        """Say to each watcher that events went out to all of them, if they did."""
        ...


class Watcher:
    """One cursor.

    `next_revision` is the oldest revision it has not seen; while it is not behind, one that it had not. `wake` is told
    when it falls behind.
    """

    __slots__ = ("is_behind", "next_revision", "shared", "spec", "wake", "was_sent", "watch_id")

    def __init__(
        self,
        watch_id: int,
        spec: WatchSpec,
        next_revision: int,
        wake: "Callable[[Watcher], None]",
    ) -> None:
        self.watch_id = watch_id
        self.spec = spec
        self.next_revision = next_revision
        self.wake = wake
        self.is_behind = False
        """Whether there may be events for it from `next_revision` on."""
        self.shared: SharedCursor | None = None
        """Its place among those who are told together; None if it is told alone."""
        self.was_sent = False
        """Whether events went out since the last progress tick, which then need not say anything."""

    def wants(self, event: Event) -> bool:
        """Whether the filters let `event` through."""
        return not (self.spec.no_delete if event.is_delete else self.spec.no_put)

    def fall_behind(self, revision: int) -> None:
        """There may be something from `revision` on; if it is behind already, it reads from where it is."""
        if self.is_behind:
            return
        # It has seen all before `revision`, and may wait for a later one.
        self.next_revision = max(self.next_revision, revision)
        self.is_behind = True
        self.wake(self)
