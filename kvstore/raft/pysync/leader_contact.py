"""Whom a member asks that does not lead: the leader it knows, and not again too soon after a refusal."""

from collections.abc import Mapping

from kvstore.base.clock import Clock
from kvstore.raft.pysync.messages import Message
from kvstore.raft.pysync.overrides import GuardedSyncObj
from kvstore.raft.pysync.ports import Shell
from kvstore.raft.replicator import MemberId


class LeaderContact:
    """For forwarded proposals and reads alike: what refused one of them refuses the other.

    Args:
        members: ids by name.
        pause_seconds: how long nothing is asked after a refusal.
    """

    def __init__(
        self,
        sync: GuardedSyncObj,
        shell: Shell,
        clock: Clock,
        members: Mapping[str, MemberId],
        pause_seconds: float,
    ) -> None:
        self._sync, self._shell, self._clock = sync, shell, clock
        self._members, self._pause_seconds = members, pause_seconds
        self.again_at = 0.0
        """Until then nothing is asked; by the clock's `monotonic`."""

    def find(self) -> MemberId | None:
        """The leader to ask; None if none is known, or it is this member, or it is too soon."""
        leader = self._sync.leading_peer()
        if leader is None:
            return None
        return self._members[leader] if self._clock.monotonic() >= self.again_at else None

    def send(self, leader: MemberId, message: Message) -> bool:
        """Ask; False, and not again for a while, if it was not taken."""
        if self._shell.send(leader, message):
            return True
        self.put_off()
        return False

    def put_off(self) -> None:
        """It was refused: not again for a while."""
        self.again_at = self._clock.monotonic() + self._pause_seconds
