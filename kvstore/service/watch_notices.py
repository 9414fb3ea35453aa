"""What a watch stream is asked for and what it has to say."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from kvstore.machine.outcome import Event

if TYPE_CHECKING:
    from kvstore.service.watch import Watcher


@dataclass(frozen=True, slots=True)
class WatchSpec:
    """What to watch. `start_revision` 0 = from now on. `watch_id` 0 = choose one."""

    key: bytes
    range_end: bytes = b""
    start_revision: int = 0
    watch_id: int = 0
    prev_kv: bool = False
    progress_notify: bool = False
    fragment: bool = False
    no_put: bool = False
    no_delete: bool = False


class WatchBatch(NamedTuple):
    """Events of one watcher, in order, whole revisions. `revision` is the store's, for the header."""

    watcher: "Watcher"
    events: tuple[Event, ...]
    revision: int


@dataclass(frozen=True, slots=True)
class WatchCompacted:
    """The watcher is cancelled: what it had to see next is gone."""

    watcher: "Watcher"
    compact_revision: int
    revision: int


@dataclass(frozen=True, slots=True)
class WatchProgress:
    """Everything up to `revision` was delivered; `watcher` None = on all watchers of the stream."""

    watcher: "Watcher | None"
    revision: int


Notice = WatchBatch | WatchCompacted | WatchProgress


class DuplicateWatchId(Exception):
    """The stream has a watcher of this id."""
