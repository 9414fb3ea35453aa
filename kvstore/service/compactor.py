"""Automatic compaction, on the leader only: by age (`periodic`) or by count (`revision`), as etcd's flags name them.

Periodic, with etcd's cadence: the revision is noted ten times a period (an hour at most). The first compaction comes
when a whole period has passed, the next ones a period (an hour at most) after the last, each to the oldest note, which
is a period old and up to a tenth more. Every member notes, so that a new leader goes on where the old one was.
Revision: every five minutes all but the newest N revisions.
"""

from collections import deque
from typing import Literal

import msgspec

from kvstore.base.clock import Clock
from kvstore.base.log import get_logger
from kvstore.machine.commands import Compact
from kvstore.mvcc.errors import Compacted, StoreError
from kvstore.raft.replicator import ReplicationError
from kvstore.service.guard import SYSTEM
from kvstore.service.ports import MachineView
from kvstore.service.proposer import Proposer

log = get_logger("kvstore.service.compactor")

_REVISION_CHECK_SECONDS = 300.0
_LONGEST_SECONDS = 3600.0


class CompactionSettings(msgspec.Struct, frozen=True):
    """`retention`: seconds for `periodic`, number of revisions for `revision`; 0 = off."""

    mode: Literal["periodic", "revision"] = "periodic"
    retention: float = 0.0


class Compactor:
    """Proposes compactions while this member leads."""

    def __init__(
        self,
        machine: MachineView,
        proposer: Proposer,
        clock: Clock,
        settings: CompactionSettings,
    ) -> None:
        self._machine = machine
        self._proposer = proposer
        self._clock = clock
        self._settings = settings
        self._longest = min(settings.retention, _LONGEST_SECONDS) or _LONGEST_SECONDS
        count = int(settings.retention / (self._longest / 10)) + 1
        self._notes: deque[int] = deque(maxlen=max(1, count))
        self._last_target = 0
        self._next_at = clock.monotonic() + settings.retention
        self._is_leader = False

    def on_leadership(self, is_leader: bool) -> None:
        """Begin or stop compacting; noting goes on."""
        self._is_leader = is_leader

    async def run(self) -> None:
        """Until cancelled; sleeps for ever if compaction is off."""
        settings = self._settings
        if settings.mode == "periodic" and settings.retention > 0:
            interval = self._longest / 10
            self._note()
        else:
            interval = _REVISION_CHECK_SECONDS
        while True:
            await self._clock.sleep(interval)
            if settings.retention > 0:
                await self.step()

    async def step(self) -> None:
        """Look once, and compact if it is time."""
        target = self._by_age() if self._settings.mode == "periodic" else self._by_count()
        if not self._is_leader or target == self._last_target:
            return
        if target <= self._machine.compact_revision or target <= 1:
            return
        try:
            await self._proposer.submit(Compact(target), SYSTEM)
        except Compacted:
            pass
        except (ReplicationError, StoreError) as error:
            log.warning("automatic compaction failed", revision=target, error=repr(error))
            return
        log.info("history compacted", revision=target, mode=self._settings.mode)
        self._last_target = target
        self._next_at = self._clock.monotonic() + self._longest

    def _note(self) -> None:
        self._notes.append(self._machine.revision)

    def _by_age(self) -> int:
        target = self._notes[0] if self._notes else 0
        self._note()
        # A hair's tolerance: ten sleeps of a tenth may add up to a little less than the whole.
        is_time = self._clock.monotonic() >= self._next_at - self._longest / 100
        return target if is_time else 0

    def _by_count(self) -> int:
        return self._machine.revision - int(self._settings.retention)
