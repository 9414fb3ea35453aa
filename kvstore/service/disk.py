"""What a member does when its disk is full, and when there is space again.

It raises the NOSPACE alarm through the log, so that all members refuse to grow while deletes, compaction and reads go
on; the log keeps room for that (`kvstore.raft.space`). If even that room is used up and this member leads, it hands
leadership to one that may still write. Once there is space again it takes back the alarm that it raised; an alarm that
the quota raised, or that was there after a restart, is for the operator to disarm, as in etcd.
"""

from kvstore.base.clock import Clock
from kvstore.base.log import get_logger
from kvstore.machine.commands import Alarm
from kvstore.mvcc.errors import StoreError
from kvstore.raft.replicator import RaftStatus, ReplicationError, Replicator
from kvstore.service.guard import SYSTEM
from kvstore.service.ports import MachineView
from kvstore.service.proposer import Proposer

log = get_logger("kvstore.service.disk")

_LOOK_SECONDS = 0.5
_PROPOSE_SECONDS = 2.0
_HAND_OVER_SECONDS = 5.0
_TRANSFER_SECONDS = 1.0
_NOSPACE, _ACTIVATE, _DEACTIVATE = 1, 1, 2


class DiskWatch:
    """Looks twice a second while the member runs."""

    def __init__(
        self,
        machine: MachineView,
        replicator: Replicator,
        proposer: Proposer,
        clock: Clock,
        member_id: int,
    ) -> None:
        self._machine = machine
        self._replicator = replicator
        self._proposer = proposer
        self._clock = clock
        self._own = (member_id, _NOSPACE)
        self._has_raised = False
        self._hand_over_at = 0.0
        self.is_full = False
        """Whether this member's disk has no space, as last seen."""

    def alarms(self) -> set[tuple[int, int]]:
        """All alarms, with this member's own also when it cannot get through the log."""
        return self._machine.alarms | {self._own} if self.is_full else self._machine.alarms

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self.step()
            await self._clock.sleep(_LOOK_SECONDS)

    async def step(self) -> None:
        """Look once, and do what is due."""
        status = self._replicator.status()
        self.is_full = status.is_disk_full
        is_up = self._own in self._machine.alarms
        if self.is_full and not is_up:
            self._has_raised = await self._set(_ACTIVATE) or self._has_raised
        elif not self.is_full and self._has_raised:
            self._has_raised = is_up and not await self._set(_DEACTIVATE)
        if status.is_disk_stuck and status.leader_id == status.member_id:
            await self._hand_over(status)

    async def _set(self, action: int) -> bool:
        try:
            await self._proposer.submit(
                Alarm(action, *self._own), SYSTEM, timeout_seconds=_PROPOSE_SECONDS
            )
        except (ReplicationError, StoreError) as error:
            log.warning("the NOSPACE alarm could not be changed yet", error=repr(error))
            return False
        log.warning("NOSPACE alarm raised" if action == _ACTIVATE else "NOSPACE alarm cleared")
        return True

    async def _hand_over(self, status: RaftStatus) -> None:
        now = self._clock.monotonic()
        if now < self._hand_over_at or not status.match_index:
            return
        self._hand_over_at = now + _HAND_OVER_SECONDS
        target = max(status.match_index, key=lambda one: (status.match_index[one], one))
        try:
            await self._replicator.transfer_leadership(target, _TRANSFER_SECONDS)
        except ReplicationError as error:
            log.warning("leadership was not handed over", error=repr(error))
