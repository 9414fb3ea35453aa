"""What a client asks a watch for."""

from dataclasses import dataclass


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


class DuplicateWatchId(Exception):
    """The stream has a watcher of this id."""
