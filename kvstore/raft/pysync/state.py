"""SyncObj as one member's state: how it is built with stand-ins, and what of its private state is read by name.

The library keeps its state in attributes with mangled names. They are named here and in `leading` and `overrides`
only; everybody else asks by method.
"""

import random
from collections.abc import Callable

from kvstore.base.clock import Clock
from kvstore.raft.journal import Journal
from kvstore.raft.pysync import guards
from kvstore.raft.pysync.commit_notices import CommitNotices
from kvstore.raft.pysync.guards import Message
from kvstore.raft.pysync.imported import Node, SyncObjConf, library
from kvstore.raft.pysync.library import LibraryGlobals, LibraryJournal, LibraryTransport
from kvstore.raft.pysync.ports import Owner
from kvstore.raft.pysync.progress import Progress
from kvstore.raft.replicator import RaftSettings

FOLLOWER, CANDIDATE, LEADER = 0, 1, 2
# Where a log ends: (term, index). Logs compare as their ends do.
LogEnd = tuple[int, int]
# Messages of the protocol proper, each with its handler.
_KINDS = (
    "append_entries",
    "next_node_idx",
    "request_vote",
    "response_vote",
    "pre_vote",
    "pre_vote_reply",
    "stale_term",
    "timeout_now",
)


def node_name(member_id: int) -> str:
    """A member's id as the library's node id and as the vote in the journal."""
    return f"{member_id:x}"


class _Member(Node):  # type: ignore[misc]
    """A node is itself and no other: the library's own comparison and hash cost a call each, many times a turn."""

    __hash__ = object.__hash__
    __eq__ = object.__eq__
    __ne__ = object.__ne__


class _Members(dict[_Member, None]):
    """The other members, where the library has a set: in the order of their ids, the same in every process."""

    def __or__(self, others: object) -> "_Members":  # type: ignore[override]
        """With the library's read-only nodes, of which there are none."""
        return self


class MemberState(library.SyncObj):  # type: ignore[misc]
    """One member's SyncObj, not yet guarded."""

    def __init__(
        self,
        settings: RaftSettings,
        journal: Journal,
        clock: Clock,
        rng: random.Random,
        owner: Owner,
    ) -> None:
        self._clock, self._rng, self._owner = clock, rng, owner
        self._settings = settings
        self._journal = journal
        self._heartbeat = settings.heartbeat_interval_seconds
        self._election = settings.election_timeout_seconds
        self._SyncObj__newAppendEntriesTime: float = 0.0
        self.number = 0
        self.progress: dict[str, Progress] = {}
        self.more_to_apply = False
        self.may_vote = True
        self.leader_commit = 0
        self._counting = False
        self._campaign_allowed = False
        self._transfer_election = False
        self._pre_votes: set[str] | None = None
        self._votes: set[str] = set()
        self._heard_leader_at = float("-inf")
        self._said_alive_at = float("-inf")
        self._reply: tuple[int, int] | None = None
        self._timeout = self._election
        self._commit_notices = CommitNotices()
        # Logs of the members met before anybody led; None once that is over.
        self._rivals: dict[str, LogEnd] | None = {}
        names = sorted(node_name(member) for member in settings.peers)
        own = node_name(settings.member_id)
        nodes = {name: _Member(name) for name in names}
        self._nodes = {name: node for name, node in nodes.items() if name != own}
        self._own_node = nodes[own]
        self.progress = {name: Progress() for name in self._nodes}
        transport = LibraryTransport()
        conf = SyncObjConf(
            autoTick=False,
            appendEntriesUseBatch=False,
            appendEntriesPeriod=self._heartbeat,
            raftMinTimeout=self._election,
            raftMaxTimeout=2 * self._election,
            leaderFallbackTimeout=2 * self._election,
            connectionTimeout=max(3.5, 2 * self._election),
            dynamicMembershipChange=False,
        )
        with LibraryGlobals(LibraryJournal(journal), clock):
            super().__init__(nodes[own], list(self._nodes.values()), conf, transport=transport)
        transport.outlet = self._outgoing
        self._SyncObj__otherNodes = _Members.fromkeys(self._nodes.values())
        self._handlers: dict[str, Callable[[Node, Message], None]] = {
            kind: getattr(self, f"_on_{kind}") for kind in _KINDS
        }
        # A first election need not wait long: PreVote keeps a restarted member from disturbing a leader.
        first = 0.0 if not self._nodes else self._election * rng.uniform(0.3, 1.0)
        self._SyncObj__raftElectionDeadline = clock.monotonic() + first

    def role(self) -> int:
        """FOLLOWER, CANDIDATE or LEADER."""
        return int(self._SyncObj__raftState)

    def is_leader(self) -> bool:
        """Whether this member leads, as far as it knows."""
        return bool(self._SyncObj__raftState == LEADER)

    def leader_name(self) -> str | None:
        """The node id of the leader known here."""
        leader = self._SyncObj__raftLeader
        return None if leader is None else str(leader.id)

    def leader_and_term(self) -> tuple[object, int]:
        """Whom this member takes for the leader, as the library's own object, and the term."""
        return self._SyncObj__raftLeader, self._SyncObj__raftCurrentTerm

    def term(self) -> int:
        """The current term."""
        return int(self._SyncObj__raftCurrentTerm)

    def commit_index(self) -> int:
        """How far the log is known to be committed."""
        return int(self._SyncObj__raftCommitIndex)

    def last_applied(self) -> int:
        """How far the log is applied."""
        return int(self._SyncObj__raftLastApplied)

    def match_index(self, name: str) -> int:
        """Leader: how far a member's log is known to be equal."""
        return int(self._SyncObj__raftMatchIndex.get(self._nodes[name], 0))

    def has_committed_own_term(self) -> bool:
        """Leader: whether the entry that began its term is committed, so that its commit index is current."""
        noop = self._SyncObj__noopIDx
        return self.is_leader() and noop is not None and self.commit_index() >= noop

    def majority(self) -> int:
        """Members needed for a decision."""
        return (len(self._nodes) + 1) // 2 + 1

    def state_replaced(self, index: int, term: int) -> None:
        """The state is now that of a snapshot after `index`; the journal fits it or is made to."""
        if guards.keeps_suffix(index, term, self._journal.term_at):
            self._journal.compact(index)
        else:
            self._journal.reset(index, term)
        self._SyncObj__raftLastApplied = index
        self._SyncObj__raftCommitIndex = max(self.commit_index(), index)

    def _SyncObj__generateRaftTimeout(self) -> float:
        self._timeout = self._election * self._rng.uniform(1.0, 2.0)
        return self._timeout

    def _outgoing(self, node: Node, message: Message) -> None:
        """What the library sends."""
        raise NotImplementedError
