"""One member's SyncObj: how it is built with stand-ins, and what of its state others may ask."""

import random
from typing import Any

from kvstore.base.clock import Clock
from kvstore.raft.configuration import Configuration
from kvstore.raft.journal import Journal
from kvstore.raft.pysync import guards
from kvstore.raft.pysync.commit_notices import CommitNotices
from kvstore.raft.pysync.imported import Node, SyncObjConf
from kvstore.raft.pysync.library import LibraryGlobals, LibraryJournal, LibraryTransport
from kvstore.raft.pysync.library_state import LEADER, LibraryState
from kvstore.raft.pysync.ports import Owner
from kvstore.raft.pysync.progress import Progress
from kvstore.raft.replicator import MemberId, RaftSettings

# Where a log ends: (term, index). Logs compare as their ends do.
LogEnd = tuple[int, int]


def node_name(member_id: int) -> str:
    """A member's id as the library's node id and as the vote in the journal."""
    return f"{member_id:x}"


class MembersByName(dict[str, MemberId]):
    """Ids by `node_name`, of whoever is asked for; looked up with every message, so made once."""

    def __missing__(self, name: str) -> MemberId:
        self[name] = MemberId(int(name, 16))
        return self[name]


class NamesByMember(dict[MemberId, str]):
    """The other way round."""

    def __missing__(self, member: MemberId) -> str:
        self[member] = node_name(member)
        return self[member]


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


class _Peers(dict[str, Progress]):
    """What is known of each other member by its name, which need not be in the configuration here.

    A member whose log is behind meets others that it has not read of, even as leaders, and must heed them.
    """

    def __init__(self, state: "MemberState") -> None:
        super().__init__()
        self._state = state

    def __missing__(self, name: str) -> Progress:
        state = self._state
        self[name] = found = Progress(
            name, _Member(name), {}, state.next_indexes, state.response_times
        )
        return found


class MemberState(LibraryState):
    """One member's SyncObj, not yet guarded."""

    def __init__(
        self,
        settings: RaftSettings,
        journal: Journal,
        clock: Clock,
        rng: random.Random,
        owner: Owner,
        configuration: Configuration,
    ) -> None:
        self._clock, self._rng, self._owner = clock, rng, owner
        self._settings = settings
        self._journal = journal
        self._heartbeat = settings.heartbeat_interval_seconds
        self._election = settings.election_timeout_seconds
        self.heartbeat_deadline = 0.0
        self.number = 0
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
        self._own_node = _Member(node_name(settings.member_id))
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
            super().__init__(self._own_node, [], conf, transport=transport)
        transport.outlet = self._outgoing
        self.peers = _Peers(self)
        self.progress: dict[str, Progress] = {}
        """The other members of the configuration in force here, voters and learners, in the order of their names."""
        self.voters: list[Progress] = []
        self.is_voter = False
        self.configure(configuration)
        # A first election need not wait long: PreVote keeps a restarted member from disturbing a leader.
        is_alone = self.is_voter and not self.voters
        first = 0.0 if is_alone else self._election * rng.uniform(0.3, 1.0)
        self.election_deadline = clock.monotonic() + first

    def connected_peers(self) -> list[Progress]:
        """All others with a connection."""
        return [one for one in self.peers.values() if one.connected]

    def configure(self, configuration: Configuration) -> None:
        """Count by `configuration` from now on."""
        voters = {node_name(member) for member in configuration.voters}
        own, before = str(self._own_node.id), self.progress
        names = sorted(node_name(seat.id) for seat in configuration)
        self.is_voter = own in voters
        # One that joins and has read of no configuration yet may have voted before its disk was emptied.
        self.knows_members = bool(configuration.seats)
        self.progress = {name: self.peers[name] for name in names if name != own}
        for name, progress in self.peers.items():
            progress.count(self.match_indexes if name in voters else None)
            if name not in self.progress:
                progress.end_transfer()
        self.voters = [one for one in self.progress.values() if one.is_voter]
        self.others = _Members.fromkeys(one.node for one in self.voters)
        if self.raft_role == LEADER:
            now = self._clock.monotonic()
            for name, progress in self.progress.items():
                if name not in before:
                    progress.match_index = 0
                    progress.next_index = self._journal.last_index + 1
                    progress.forget_ahead(self.number + 1)
                # It has as long as any other until it counts as silent.
                progress.answered(now)

    def role(self) -> int:
        """FOLLOWER, CANDIDATE or LEADER."""
        return self.raft_role

    def is_leader(self) -> bool:
        """Whether this member leads, as far as it knows."""
        return self.raft_role == LEADER

    def leader_name(self) -> str | None:
        """The node id of the leader known here."""
        leader = self.raft_leader
        return None if leader is None else str(leader.id)

    def leading_peer(self) -> str | None:
        """The leader known here, if it is another member."""
        leader = self.raft_leader
        return None if leader is None or leader is self._own_node else str(leader.id)

    def leader_and_term(self) -> tuple[object, int]:
        """Whom this member takes for the leader, as the library's own object, and the term."""
        return self.raft_leader, self.raft_term

    def term(self) -> int:
        """The current term."""
        return self.raft_term

    def commit_index(self) -> int:
        """How far the log is known to be committed."""
        return self.raft_commit

    def last_applied(self) -> int:
        """How far the log is applied."""
        return self.raft_applied

    def match_index(self, name: str) -> int:
        """Leader: how far a member's log is known to be equal."""
        return self.peers[name].match_index

    def has_committed_own_term(self) -> bool:
        """Leader: whether the entry that began its term is committed, so that its commit index is current."""
        noop = self.noop_index
        return self.is_leader() and noop is not None and self.commit_index() >= noop

    def majority(self) -> int:
        """Members needed for a decision."""
        return (len(self.voters) + self.is_voter) // 2 + 1

    def state_replaced(self, index: int, term: int) -> None:
        """The state is now that of a snapshot after `index`; the journal fits it or is made to."""
        if guards.keeps_suffix(index, term, self._journal.term_at):
            self._journal.compact(index)
        else:
            self._journal.reset(index, term)
        self.raft_applied = index
        self.raft_commit = max(self.commit_index(), index)

    def draw_timeout(self) -> float:
        """Between one and two election timeouts, by this member's own dice."""
        self._timeout = self._election * self._rng.uniform(1.0, 2.0)
        return self._timeout

    def _outgoing(self, node: Node, message: dict[str, Any]) -> None:
        """What the library sends."""
        raise NotImplementedError
