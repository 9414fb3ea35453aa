"""Leadership handed over on purpose: proposals wait until the target has everything and is told to stand."""

from collections.abc import Mapping

from kvstore.base.clock import Clock
from kvstore.raft.journal import Journal
from kvstore.raft.pysync.messages import TimeoutNow
from kvstore.raft.pysync.overrides import GuardedSyncObj
from kvstore.raft.pysync.ports import Shell
from kvstore.raft.pysync.state import node_name
from kvstore.raft.replicator import MemberId, NotLeader


class Transfer:
    """The one that is under way; `members` are the ids by name."""

    def __init__(
        self,
        sync: GuardedSyncObj,
        journal: Journal,
        shell: Shell,
        clock: Clock,
        members: Mapping[str, MemberId],
        again_seconds: float,
    ) -> None:
        self._sync, self._journal, self._shell, self._clock = sync, journal, shell, clock
        self._members, self._again_seconds = members, again_seconds
        self._again_at = 0.0
        self.target: str | None = None
        """The name of the next leader; while there is one, nothing new is proposed."""

    def begin(self, target: MemberId) -> None:
        """Hold new proposals and hand over to `target` as soon as it has everything. Raises NotLeader."""
        if not self._sync.is_leader():
            raise NotLeader("this member does not lead")
        self.target = node_name(target)
        self._again_at = 0.0
        self._shell.wake()

    def end(self) -> None:
        """Lead on, if still leading."""
        self.target = None
        self._shell.wake()

    def forget(self) -> None:
        """Another member leads: there is nothing to hand over."""
        self.target = None

    def drive(self) -> None:
        """Leader: tell the target to stand once it has the whole log, and again while nothing comes of it."""
        target = self.target
        now = self._clock.monotonic()
        if target is None or now < self._again_at:
            return
        if self._sync.match_index(target) == self._journal.last_index:
            self._again_at = now + self._again_seconds
            self._shell.send(self._members[target], TimeoutNow(self._sync.term()))
