"""What a watch stream has to say."""

from dataclasses import dataclass
from typing import NamedTuple

from kvstore.machine.outcome import Event
from kvstore.service.watch.cursor import Watcher


class WatchBatch(NamedTuple):
    """Events of one watcher, in order, whole revisions. `revision` is the store's, for the header."""

    watcher: Watcher
    events: tuple[Event, ...]
    revision: int


@dataclass(frozen=True, slots=True)
class WatchCompacted:
    """The watcher is cancelled: what it had to see next is gone."""

    watcher: Watcher
    compact_revision: int
    revision: int


@dataclass(frozen=True, slots=True)
class WatchProgress:
    """Everything up to `revision` was delivered; `watcher` None = on all watchers of the stream."""

    watcher: Watcher | None
    revision: int


Notice = WatchBatch | WatchCompacted | WatchProgress
