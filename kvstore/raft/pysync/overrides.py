"""SyncObj with the private methods replaced that the guards cannot hold from outside.

The library still runs elections, log matching, commit counting and stepping down; `doTick` and its message handler are
its own. What is replaced: sending entries, applying, compaction, snapshots, the poller and the journal. What is
wrapped: the tick (PreVote, and counting only what is durable here) and the message handler (`guards`).
All of it fits one version of the library, which `library.check_library` compares by hash.
"""

import random
from collections.abc import Mapping

from kvstore.base.clock import Clock
from kvstore.raft.journal import Entry, Journal
from kvstore.raft.pysync import guards
from kvstore.raft.pysync.drivers import Owner
from kvstore.raft.pysync.guards import Message
from kvstore.raft.pysync.imported import Node, SyncObjConf, library
from kvstore.raft.pysync.library import LibraryGlobals, LibraryJournal, LibraryTransport
from kvstore.raft.pysync.progress import Progress
from kvstore.raft.replicator import RaftSettings

FOLLOWER, CANDIDATE, LEADER = 0, 1, 2
# Where a log ends: (term, index). Logs compare as their ends do.
LogEnd = tuple[int, int]
# One message of entries; more than one is sent when more waits.
APPEND_BYTES = 1 << 20
# Applying pauses after this long, so that heartbeats go on while a long log is replayed.
APPLY_SLICE_SECONDS = 0.02


def node_name(member_id: int) -> str:
    """A member's id as the library's node id and as the vote in the journal."""
    return f"{member_id:x}"


class _Member(Node):  # type: ignore[misc]
    """The library walks sets of nodes: hashed by their number, in an order that is the same in every process."""

    def __init__(self, id: str) -> None:
        super().__init__(id)
        self._number = int(id, 16)

    def __hash__(self) -> int:
        return self._number


class GuardedSyncObj(library.SyncObj):  # type: ignore[misc]
    """One member's SyncObj; every entry from outside is `tick`, `deliver` or one of the small methods below."""

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
        # A first election need not wait long: PreVote keeps a restarted member from disturbing a leader.
        first = 0.0 if not self._nodes else self._election * rng.uniform(0.3, 1.0)
        self._SyncObj__raftElectionDeadline = clock.monotonic() + first

    # State

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

    # Time

    def tick(self) -> None:
        """Everything that time alone brings: elections, commit counting, applying, heartbeats."""
        self.more_to_apply = False
        self.doTick(0.0)

    def next_deadline(self) -> float:
        """When `tick` must be called at the latest."""
        if self.is_leader():
            return float(self._SyncObj__newAppendEntriesTime)
        return float(self._SyncObj__raftElectionDeadline)

    def _onTick(self, timeToWait: float = 0.0) -> None:
        library.monotonicTime = self._clock.monotonic
        now = self._clock.monotonic()
        if not self.is_leader() and self._SyncObj__raftElectionDeadline < now:
            self._hold_campaign(now)
        self._counting = True
        try:
            super()._onTick(0.0)
        finally:
            self._counting = False
            if self.role() == CANDIDATE:
                self._transfer_election = False

    def _hold_campaign(self, now: float) -> None:
        """Row 14: campaign only after a majority said it would vote for this member."""
        if not self.may_vote:
            self._set_election_deadline(now)
        elif self._campaign_allowed or not self._nodes:
            self._campaign_allowed = False
            self._pre_votes = None
            self._votes = set()
        else:
            self._set_election_deadline(now)
            self._SyncObj__raftLeader = None
            self._pre_votes = set()
            message = {
                "type": "pre_vote",
                "term": self.term() + 1,
                "last_log_index": self._journal.last_index,
                "last_log_term": self._journal.last_term,
            }
            for name in self._nodes:
                self._owner.send(name, message)

    def _set_election_deadline(self, now: float) -> None:
        self._SyncObj__raftElectionDeadline = now + self._SyncObj__generateRaftTimeout()

    def _SyncObj__generateRaftTimeout(self) -> float:
        return self._election * self._rng.uniform(1.0, 2.0)

    # Connections

    def connected(self, name: str, log_end: LogEnd | None = None) -> None:
        """A new connection to a member: nothing is known of what reached it, or of what it still holds.

        `log_end` is where its log ended when it connected, as it said itself.
        """
        progress = self.progress[name]
        progress.connected = True
        progress.end_transfer()
        progress.forget_ahead(self.number + 1)
        progress.sent_commit = 0
        node = self._nodes[name]
        self._SyncObj__connectedNodes.add(node)
        self._SyncObj__raftMatchIndex[node] = 0
        self._SyncObj__raftNextIndex[node] = self._journal.last_index + 1
        if self.is_leader():
            self._send_entries(name, force=True)
        elif self._rivals is not None and log_end is not None:
            self._rivals[name] = log_end
            self._stand_first(self._rivals)

    def _stand_first(self, rivals: Mapping[str, LogEnd]) -> None:
        """Members that just started need not wait for a leader nobody has heard of: the best placed stands at once.

        It is a campaign like any other, PreVote included. A wrong guess costs a message, and it is the only one.
        """
        if len(rivals) + 1 < self.majority() or not self.may_vote:
            return
        own = self._own_node.id
        ends = {**rivals, own: (self._journal.last_term, self._journal.last_index)}
        longest = max(ends.values())
        if own == min((one for one in ends if ends[one] == longest), key=lambda one: int(one, 16)):
            self._rivals = None
            self._SyncObj__raftElectionDeadline = 0.0

    def disconnected(self, name: str) -> None:
        """The connection to a member ended. A leader that is gone is not waited for as long as a silent one."""
        self.progress[name].connected = False
        self.progress[name].end_transfer()
        if self._rivals is not None:
            self._rivals.pop(name, None)
        self._SyncObj__connectedNodes.discard(self._nodes[name])
        if name == self.leader_name():
            soon = self._clock.monotonic() + self._election * self._rng.uniform(0.1, 0.4)
            self._SyncObj__raftElectionDeadline = min(self._SyncObj__raftElectionDeadline, soon)

    def _leader_is_alive(self) -> bool:
        if self.is_leader():
            return True
        name = self.leader_name()
        if name is None or not self.progress[name].connected:
            return False
        return self._clock.monotonic() - self._heard_leader_at < self._election

    # Messages in

    def deliver(self, name: str, message: Message) -> None:
        """Show the library a message of a connected member, as far as the guards let it."""
        library.monotonicTime = self._clock.monotonic
        handler = getattr(self, f"_on_{message['type']}")
        handler(self._nodes[name], message)

    def _pass_on(self, node: Node, message: Message) -> None:
        self._SyncObj__onMessageReceived(node, message)

    def _on_append_entries(self, node: Node, message: Message) -> None:
        if message["term"] < self.term():
            self.refuse_term(node.id)
            return
        self.heard_leader(node.id, message["term"])
        number = message["seq"]
        if "prevLogIdx" not in message:
            self._alive(node, number)
            return
        self.leader_commit = message["commit_index"]
        plan = guards.plan_append(
            message["prevLogIdx"],
            message["prevLogTerm"],
            [(entry[0], entry[1], entry[2]) for entry in message["entries"]],
            self._journal.term_at,
            self._journal.base_index,
            self._journal.last_index,
            self.commit_index(),
        )
        if plan.rewind_to is not None:
            self._acknowledge(node, number, plan.rewind_to, reset=True)
            return
        is_quiet = message.get("quiet") is True
        self._reply = None if is_quiet else (number, plan.covered)
        self._pass_on(
            node,
            {
                "type": "append_entries",
                "term": message["term"],
                "commit_index": min(message["commit_index"], plan.covered),
                "entries": plan.entries,
                "prevLogIdx": plan.previous_index,
                "prevLogTerm": plan.previous_term,
            },
        )
        self._reply = None
        if plan.covered > self._journal.durable_index and not is_quiet:
            # The acknowledgement waits for the disk; that this member is there need not.
            now = self._clock.monotonic()
            if not message["entries"] or now - self._said_alive_at > self._heartbeat / 2:
                self._said_alive_at = now
                self._alive(node, number)

    def heard_leader(self, name: str, term: int) -> None:
        """Row 1: tell the library that a leader lives, with nothing to commit and no log position."""
        self._heard_leader_at = self._clock.monotonic()
        self._rivals = None
        self._pre_votes = None
        if not self._transfer_election or term > self.term():
            self._campaign_allowed = self._transfer_election = False
        self._pass_on(
            self._nodes[name], {"type": "append_entries", "term": term, "commit_index": 0}
        )

    def _alive(self, node: Node, number: int) -> None:
        self._acknowledge(node, number, self._journal.last_index + 1, success=False)

    def _acknowledge(
        self,
        node: Node,
        number: int,
        next_index: int,
        *,
        reset: bool = False,
        success: bool = False,
    ) -> None:
        self._owner.send(
            node.id,
            {
                "type": "next_node_idx",
                "term": self.term(),
                "seq": number,
                "next_node_idx": next_index,
                "reset": reset,
                "success": success,
            },
        )

    def acknowledge_snapshot(self, name: str, index: int) -> None:
        """Row 4: what a snapshot covers is acknowledged, and nothing behind it."""
        self._reply = (0, index)
        self._outgoing(
            self._nodes[name], {"type": "next_node_idx", "reset": False, "success": True}
        )
        self._reply = None

    def refuse_term(self, name: str) -> None:
        """Tell a sender of an old term the current one."""
        self._owner.send(name, {"type": "stale_term", "term": self.term()})

    def answer(self, name: str, message: Message) -> None:
        """Send now."""
        self._owner.send(name, message)

    def send_numbered(self, name: str, message: Message) -> bool:
        """Leader: send with term and the next number, so that the answer proves leadership too."""
        self.number += 1
        return self._owner.send(name, {**message, "term": self.term(), "seq": self.number})

    def _on_stale_term(self, node: Node, message: Message) -> None:
        self._learn_term(message["term"])

    def _learn_term(self, term: int) -> None:
        if term > self.term():
            if self.is_leader():
                # A leader's deadline is long past: it would stand at once against whom it hands over to.
                self._set_election_deadline(self._clock.monotonic())
            self._SyncObj__setCurrentTerm(term, None)
            self._SyncObj__setState(FOLLOWER)
            self._SyncObj__raftLeader = None
            self._pre_votes = None

    def _on_next_node_idx(self, node: Node, message: Message) -> None:
        if not self.is_leader() or not guards.ack_counts(message, self.term()):
            return
        progress = self.progress[node.id]
        next_index = message["next_node_idx"]
        matched = self.match_index(node.id)
        if message["reset"]:
            if not guards.reset_counts(message["seq"], progress.rewound_at):
                message = {**message, "reset": False}
            else:
                message = {**message, "next_node_idx": max(next_index, matched + 1)}
                progress.forget_ahead(self.number + 1)
        if message["success"] and next_index - 1 > self._journal.last_index:
            raise guards.SafetyViolated(
                f"{node.id} acknowledged entry {next_index - 1}, unknown here"
            )
        before = self._SyncObj__raftNextIndex[node]
        if not progress.is_emptied:
            self._pass_on(node, message)
        elif message["reset"]:
            self._SyncObj__raftNextIndex[node] = message["next_node_idx"]
        if message["success"]:
            # The library would send again what is on its way; what is ahead stays ahead.
            self._SyncObj__raftNextIndex[node] = max(before, next_index)
            progress.note_matched(next_index - 1)
            transfer = progress.transfer
            # Delivered, even if the log was compacted past it meanwhile: then the next one follows.
            if transfer is not None and next_index > min(
                transfer.snapshot.index, self._journal.base_index
            ):
                progress.end_transfer()
        if not progress.is_emptied:
            self._owner.answered(node.id, message["seq"])

    def _on_request_vote(self, node: Node, message: Message) -> None:
        if message["term"] < self.term():
            self.refuse_term(node.id)
            return
        if self.may_vote and guards.may_vote_now(message["transfer"], self._leader_is_alive()):
            self._pass_on(node, message)

    def _on_response_vote(self, node: Node, message: Message) -> None:
        members = {name for name, progress in self.progress.items() if not progress.is_emptied}
        if guards.vote_counts(node.id, self._votes, message["term"], self.term(), members):
            self._votes.add(node.id)
            self._pass_on(node, message)

    def _on_pre_vote(self, node: Node, message: Message) -> None:
        if message["term"] <= self.term():
            self.refuse_term(node.id)
            return
        own_last = (self._journal.last_index, self._journal.last_term)
        alive = self._leader_is_alive()
        if self.may_vote and guards.grants_pre_vote(message, self.term(), own_last, alive):
            self._owner.send(node.id, {"type": "pre_vote_reply", "term": message["term"]})

    def _on_pre_vote_reply(self, node: Node, message: Message) -> None:
        if self._pre_votes is None or message["term"] != self.term() + 1 or self.is_leader():
            return
        if self.progress[node.id].is_emptied:
            return
        self._pre_votes.add(node.id)
        if len(self._pre_votes) + 1 >= self.majority():
            self._pre_votes = None
            self._campaign_allowed = True
            self._SyncObj__raftElectionDeadline = 0.0

    def _on_timeout_now(self, node: Node, message: Message) -> None:
        if message["term"] == self.term() and self.leader_name() == node.id and self.may_vote:
            self._campaign_allowed = True
            self._transfer_election = True
            self._pass_on(node, message)

    # Messages out

    def _outgoing(self, node: Node, message: Message) -> None:
        """What the library sends, with what the other side's guards need."""
        kind = message["type"]
        if kind == "request_vote":
            full = {**message, "transfer": self._transfer_election}
            # The library asks in a tick, where its log seems to end at what is durable.
            full["last_log_index"] = self._journal.last_index
            self._owner.hold(node.id, full, 0)
        elif kind == "response_vote":
            self._owner.hold(node.id, message, 0)
        elif kind == "next_node_idx" and self._reply is not None:
            number, covered = self._reply
            full = {**message, "term": self.term(), "seq": number, "next_node_idx": covered + 1}
            self._owner.hold(node.id, full, covered)

    def replicate(self) -> None:
        """Leader: send what is new to each member that is ready for it."""
        for name in self._nodes:
            self._send_entries(name, force=False)

    def confirm_leadership(self) -> int:
        """Leader: ask all members for an answer now; the number of the first message that asks."""
        first = self.number + 1
        for name in self._nodes:
            self._send_entries(name, force=True)
        return first

    def _SyncObj__sendAppendEntries(self) -> None:
        now = self._clock.monotonic()
        due = now >= self._SyncObj__newAppendEntriesTime
        if due:
            self._SyncObj__newAppendEntriesTime = now + self._heartbeat
        for name in self._nodes:
            self._send_entries(name, force=due)

    def _send_entries(self, name: str, *, force: bool) -> None:
        progress = self.progress[name]
        if not progress.connected:
            return
        node = self._nodes[name]
        next_indexes: dict[Node, int] = self._SyncObj__raftNextIndex
        if next_indexes[node] <= self._journal.base_index:
            if force:
                self._send_append(name, {})
            self._owner.send_snapshot(name, progress)
            return
        commit = self.commit_index()
        sent = False
        while next_indexes[node] <= self._journal.last_index and progress.may_send:
            entries = self._journal.slice(next_indexes[node], APPEND_BYTES)
            if not self._send_append(name, self._position(next_indexes[node], entries)):
                break
            last = entries[-1][1]
            next_indexes[node] = last + 1
            progress.note_sent(last, sum(len(entry[0]) for entry in entries))
            sent = True
        if not sent and (force or commit > progress.sent_commit):
            position = self._position(next_indexes[node], [])
            if not force:
                # Only the commit index is news: nobody waits for an answer to it.
                position["quiet"] = True
            sent = self._send_append(name, position)
        if sent:
            progress.sent_commit = commit

    def _position(self, next_index: int, entries: list[Entry]) -> Message:
        previous = next_index - 1
        term = self._journal.term_at(previous)
        return {"prevLogIdx": previous, "prevLogTerm": term, "entries": entries}

    def _send_append(self, name: str, position: Message) -> bool:
        commit = self.commit_index() if position else 0
        return self.send_numbered(
            name, {"type": "append_entries", "commit_index": commit, **position}
        )

    # Log

    def append(self, data: bytes) -> None:
        """Leader: add an entry of this term."""
        self._journal.append(data, self._journal.last_index + 1, self.term())

    def _SyncObj__getCurrentLogIndex(self) -> int:
        if self._counting and self.is_leader():
            return guards.countable_index(self._journal.last_index, self._journal.durable_index)
        return self._journal.last_index

    def _SyncObj__onBecomeLeader(self) -> None:
        counting, self._counting = self._counting, False
        for progress in self.progress.values():
            progress.end_transfer()
            progress.forget_ahead(self.number + 1)
            progress.sent_commit = 0
        self._SyncObj__newAppendEntriesTime = 0.0
        super()._SyncObj__onBecomeLeader()
        self._counting = counting

    def _SyncObj__applyLogEntries(self) -> bool:
        until = self._clock.monotonic() + APPLY_SLICE_SECONDS
        base = self._journal.base_index
        while self.last_applied() < self.commit_index():
            index = self.last_applied() + 1
            self._owner.apply_entry(self._journal.entries[index - base])
            self._SyncObj__raftLastApplied = index
            if self._clock.monotonic() > until:
                self.more_to_apply = self.last_applied() < self.commit_index()
                break
        return False

    def _checkCommandsToApply(self) -> None:
        """Commands reach the log by `append` only."""

    def _SyncObj__tryLogCompaction(self) -> None:
        """Snapshots are ours."""

    def _SyncObj__doApplyCommand(self, command: bytes) -> None:
        raise RuntimeError("entries are applied by their owner")

    def _SyncObj__loadDumpFile(self, clearJournal: bool) -> None:
        raise RuntimeError("snapshots are loaded by their owner")
