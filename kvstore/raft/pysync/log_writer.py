"""When the log is written: one fsync at a time, again when there was no space, and word of the disk's space.

The work itself is the journal's, in the thread that the shell has for it. While one write is under way the next batch
gathers in the journal. What could not be written for want of space stays queued: nothing of it was acknowledged.
"""

from collections.abc import Callable

import structlog

from kvstore.base.clock import Clock
from kvstore.base.files import is_full
from kvstore.raft.journal import Flush, Journal
from kvstore.raft.pysync.ports import Shell
from kvstore.raft.replicator import RaftSettings

log = structlog.get_logger(__name__)

# How often a disk in use is asked for space, and a write for which there was none is tried again.
SPACE_SECONDS = 1.0


class LogWriter:
    """Writes `journal`. `on_durable` is called when more of it is; `wake` when a turn may have something to do."""

    def __init__(
        self,
        settings: RaftSettings,
        journal: Journal,
        clock: Clock,
        shell: Shell,
        on_durable: Callable[[], None],
        wake: Callable[[], None],
    ) -> None:
        self._settings, self._journal, self._clock, self._shell = settings, journal, clock, shell
        self._on_durable, self._wake = on_durable, wake
        self.is_disk_full = False
        self._stuck: Flush | None = None
        self._stuck_until = 0.0
        self._check_at = 0.0
        self._checked_index = -1
        self._is_checking = False

    @property
    def is_stuck(self) -> bool:
        """Whether something cannot be written for want of space."""
        return self._stuck is not None

    def write(self) -> None:
        """Begin to write what is queued, unless a write is under way."""
        journal = self._journal
        if self._stuck is not None:
            if self._clock.monotonic() >= self._stuck_until:
                flush, self._stuck = self._stuck, None
                self._begin(flush)
        elif not journal.is_flushing and journal.is_dirty:
            self._begin(journal.begin_flush())

    def _begin(self, flush: Flush) -> None:
        def done(seconds: float) -> None:
            if seconds >= 0:
                self._settings.on_log_write(seconds)
                self._journal.end_flush(flush)
                self._on_durable()
                if not self.is_disk_full and self._journal.needs_spare():
                    self._check_at = 0.0
            else:
                # Nothing is lost: it stays queued, nothing is acknowledged, and heartbeats go on.
                self._stuck = flush
                self._stuck_until = self._clock.monotonic() + SPACE_SECONDS
                self._set_full(True)
            self._wake()

        self._shell.offload("log", lambda: self._written(flush), done)

    def _written(self, flush: Flush) -> float:
        """In the thread: seconds it took; negative if there was no space."""
        began = self._clock.monotonic()
        try:
            self._journal.write(flush)
        except OSError as error:
            if not is_full(error):
                raise
            return -1.0
        return self._clock.monotonic() - began

    def check_space(self, now: float) -> None:
        """Ask for space once in a while if the log has grown since, and again until there is some."""
        if now < self._check_at or self._is_checking:
            return
        if not self.is_disk_full and self._journal.last_index == self._checked_index:
            return
        self._is_checking = True
        self._checked_index = self._journal.last_index
        self._check_at = now + SPACE_SECONDS

        def done(has_space: bool) -> None:
            self._is_checking = False
            self._set_full(not has_space or self._stuck is not None)
            self._shell.wake()

        self._shell.offload("snapshots", self._journal.check_space, done)

    def next_deadline(self) -> float:
        """When `write` or `check_space` must be called at the latest."""
        deadline = self._stuck_until if self._stuck is not None else float("inf")
        if self.is_disk_full and not self._is_checking:
            deadline = min(deadline, self._check_at)
        return deadline

    def close(self) -> None:
        """Write what is queued, blocking, if there is space."""
        journal = self._journal
        try:
            if self._stuck is not None:
                journal.write(self._stuck)
                journal.end_flush(self._stuck)
            if journal.is_dirty:
                journal.flush()
        except OSError as error:
            # What could not be written was never acknowledged.
            if not is_full(error):
                raise

    def _set_full(self, is_full_now: bool) -> None:
        if is_full_now != self.is_disk_full:
            self.is_disk_full = is_full_now
            folder = str(self._settings.data_dir)
            if is_full_now:
                log.error("the disk is full: this member refuses to grow", dir=folder)
            else:
                log.info("the disk has space again", dir=folder)
