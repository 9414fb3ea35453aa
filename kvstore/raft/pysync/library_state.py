"""SyncObj with names for its private state, and for the private methods that are replaced: the one place that has them.

The library keeps its state in attributes with mangled names, which fit one version of it (`library.check_library`).
"""

from operator import attrgetter
from typing import Any

from kvstore.raft.pysync.imported import Node, library

FOLLOWER, CANDIDATE, LEADER = 0, 1, 2


def _private(name: str) -> Any:
    """The library's private attribute `name`, to read and to write."""
    attribute = f"_SyncObj__{name}"

    def put(state: object, value: object) -> None:
        state.__dict__[attribute] = value

    return property(attrgetter(attribute), put)


class LibraryState(library.SyncObj):  # type: ignore[misc]
    """What the rest of this folder reads and replaces of the library.

    A follower's match index is never above its next index minus one in what it holds: match is what it acknowledged,
    next what is sent to it next. Both are kept for followers only, and mean nothing while another member leads.
    """

    raft_role: int = _private("raftState")
    raft_term: int = _private("raftCurrentTerm")
    raft_leader: Node | None = _private("raftLeader")
    raft_commit: int = _private("raftCommitIndex")
    raft_applied: int = _private("raftLastApplied")
    told_commit: int = _private("leaderCommitIndex")
    """What the leader last said is committed."""
    noop_index: int | None = _private("noopIDx")
    """The entry that began this member's last term as leader."""
    election_deadline: float = _private("raftElectionDeadline")
    heartbeat_deadline: float = _private("newAppendEntriesTime")
    is_transfer_target: bool = _private("transferInProgress")
    """Asked by its leader to stand, and it has not stood yet."""
    others: "dict[Any, None]" = _private("otherNodes")
    match_indexes: dict[Node, int] = _private("raftMatchIndex")
    next_indexes: dict[Node, int] = _private("raftNextIndex")
    response_times: dict[Node, float] = _private("lastResponseTime")
    connected_nodes: set[Node] = _private("connectedNodes")

    # What the library does, called by name

    def set_term(self, term: int, vote: str | None) -> None:
        """Take `term`, with the vote given in it."""
        self._SyncObj__setCurrentTerm(term, vote)

    def set_commit(self, index: int) -> None:
        """All up to `index` is committed. The journal is told, which does not keep it (row 8)."""
        self.raft_commit = index
        self._SyncObj__raftLog.setRaftCommitIndex(index)

    def step_down(self) -> None:
        """Be a follower."""
        self._SyncObj__setState(FOLLOWER)

    def receive(self, node: Node, message: dict[str, Any]) -> None:
        """Handle a message, as far as the library does."""
        self._SyncObj__onMessageReceived(node, message)

    def become_leader(self) -> None:
        """The library's own part of it: match and next anew, and the first entry of the term."""
        super()._SyncObj__onBecomeLeader()

    # What the library calls of itself, and is replaced

    def apply_entries(self) -> None:
        """Apply what is committed."""
        raise NotImplementedError

    def send_heartbeats(self) -> None:
        """Send entries or signs of life to all."""
        raise NotImplementedError

    def draw_timeout(self) -> float:
        """Seconds until an election."""
        raise NotImplementedError

    def log_end_index(self) -> int:
        """Where the log ends, for what the library does next."""
        raise NotImplementedError

    def leadership_won(self) -> None:
        """A majority voted for this member."""
        raise NotImplementedError

    def _SyncObj__applyLogEntries(self) -> bool:
        self.apply_entries()
        return False

    def _SyncObj__sendAppendEntries(self) -> None:
        self.send_heartbeats()

    def _SyncObj__generateRaftTimeout(self) -> float:
        return self.draw_timeout()

    def _SyncObj__getCurrentLogIndex(self) -> int:
        return self.log_end_index()

    def _SyncObj__onBecomeLeader(self) -> None:
        self.leadership_won()

    def _checkCommandsToApply(self) -> None:
        """Commands reach the log by `append` only."""

    def _SyncObj__tryLogCompaction(self) -> None:
        """Snapshots are ours."""

    def _SyncObj__doApplyCommand(self, command: bytes) -> None:
        raise RuntimeError("entries are applied by their owner")

    def _SyncObj__loadDumpFile(self, clearJournal: bool) -> None:
        raise RuntimeError("snapshots are loaded by their owner")
