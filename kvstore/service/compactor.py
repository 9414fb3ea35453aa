"""Automatic compaction, on the leader only: by age (`periodic`) or by count (`revision`), as etcd's flags name them.

Periodic: the revision is noted in ten steps a period (an hour at most), and once a note is a whole period old,
everything before it is compacted. Revision: every five minutes all but the newest N revisions. A new leader starts
noting afresh, so after a fail-over the first compaction can be late by one period, never early.
"""

from collections import deque
from dataclasses import dataclass
from typing import Literal

from kvstore.base.clock import Clock
from kvstore.base.log import get_logger
from kvstore.machine.commands import Compact
from kvstore.mvcc.errors import StoreError
from kvstore.raft.replicator import ReplicationError
from kvstore.service.guard import SYSTEM
from kvstore.service.ports import MachineView
from kvstore.service.proposer import Proposer

log = get_logger("kvstore.service.compactor")

_REVISION_CHECK_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class CompactionSettings:
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
        self._notes: deque[tuple[float, int]] = deque()
        self._is_leader = False

    def on_leadership(self, is_leader: bool) -> None:
        """Begin or stop."""
        self._is_leader = is_leader
        self._notes.clear()

    async def run(self) -> None:
        """Until cancelled; sleeps for ever if compaction is off."""
        settings = self._settings
        if settings.mode == "periodic" and settings.retention > 0:
            interval = min(settings.retention, 3600.0) / 10
        else:
            interval = _REVISION_CHECK_SECONDS
        while True:
            await self._clock.sleep(interval)
            if self._is_leader and settings.retention > 0:
                await self.step()

    async def step(self) -> None:
        """Look once, and compact if it is time."""
        target = self._by_age() if self._settings.mode == "periodic" else self._by_count()
        if target <= self._machine.compact_revision or target <= 1:
            return
        try:
            await self._proposer.submit(Compact(target), SYSTEM)
            log.info("history compacted", revision=target, mode=self._settings.mode)
        except (ReplicationError, StoreError) as error:
            log.warning("automatic compaction failed", revision=target, error=repr(error))

    def _by_age(self) -> int:
        now = self._clock.monotonic()
        self._notes.append((now, self._machine.revision))
        target = 0
        while self._notes and self._notes[0][0] <= now - self._settings.retention:
            target = self._notes.popleft()[1]
        return target

    def _by_count(self) -> int:
        return self._machine.revision - int(self._settings.retention)
