"""SyncObj with the private methods replaced that the guards cannot hold from outside.

The library still runs elections, log matching where logs differ, and stepping down; `doTick` and its message handler
are its own. What is replaced: sending entries, commit counting, applying, compaction, snapshots, the poller and the
journal. What is wrapped: the tick (PreVote, and counting only what is durable here) and the message handler
(`guards`). What comes with nearly every message - entries that follow the log's end, from the leader that is followed
already; a turn while no deadline has come - needs nothing of the library, and does not go through it.
All of it fits one version of the library, which `library.check_library` compares by hash.
"""

from collections.abc import Mapping

from kvstore.raft.pysync import guards
from kvstore.raft.pysync.guards import Message
from kvstore.raft.pysync.imported import Node, library
from kvstore.raft.pysync.leading import Leading
from kvstore.raft.pysync.state import CANDIDATE, FOLLOWER, LEADER, LogEnd

# Applying pauses after this long, so that heartbeats go on while a long log is replayed.
APPLY_SLICE_SECONDS = 0.02


class GuardedSyncObj(Leading):
    """One member's SyncObj; every entry from outside is `tick`, `deliver` or one of the small methods below."""

    # Time

    def tick(self) -> None:
        """Everything that time alone brings: elections, commit counting, applying, heartbeats.

        While no deadline has come there are only two things to do, and they need none of the library's tick.
        """
        self.more_to_apply = False
        now = self._clock.monotonic()
        if self._SyncObj__raftState == LEADER:
            if now <= self._SyncObj__newAppendEntriesTime:
                self._count_commits()
                self._SyncObj__applyLogEntries()
                return
        elif now <= self._SyncObj__raftElectionDeadline:
            self._SyncObj__applyLogEntries()
            return
        self.doTick(0.0)

    def was_away(self, now: float) -> None:
        """This member was held up until now: whoever it would take for gone had no chance to be heard."""
        if self._SyncObj__raftState == LEADER:
            for node in self._nodes.values():
                self._SyncObj__lastResponseTime[node] = now
        elif 0.0 < self._SyncObj__raftElectionDeadline < now:
            self._set_election_deadline(now)

    def next_deadline(self) -> float:
        """When `tick` must be called at the latest."""
        if self._SyncObj__raftState == LEADER:
            return min(self._SyncObj__newAppendEntriesTime, self._commit_notices.due_at)
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
        self._handlers[message["type"]](self._nodes[name], message)

    def _pass_on(self, node: Node, message: Message) -> None:
        library.monotonicTime = self._clock.monotonic
        self._SyncObj__onMessageReceived(node, message)

    def _follows(self, node: Node, term: int) -> bool:
        """Whether `node` is the leader this member follows in `term`, so that hearing it changes nothing."""
        return bool(
            self._SyncObj__raftState == FOLLOWER
            and self._SyncObj__raftLeader is node
            and self._SyncObj__raftCurrentTerm == term
            and not self._SyncObj__transferInProgress
        )

    def _on_append_entries(self, node: Node, message: Message) -> None:
        term = message["term"]
        if term < self._SyncObj__raftCurrentTerm:
            self.refuse_term(node.id)
            return
        self.heard_leader(node.id, term)
        number = message["seq"]
        if "prevLogIdx" not in message:
            self._alive(node, number)
            return
        self.leader_commit = message["commit_index"]
        journal = self._journal
        last_index = journal.last_index
        plan = guards.plan_append(
            message["prevLogIdx"],
            message["prevLogTerm"],
            [(entry[0], entry[1], entry[2]) for entry in message["entries"]],
            journal.term_at,
            journal.base_index,
            last_index,
            self._SyncObj__raftCommitIndex,
        )
        if plan.rewind_to is not None:
            self._acknowledge(node, number, plan.rewind_to, reset=True)
            return
        is_quiet = message.get("quiet") is True
        if plan.previous_index == last_index and self._follows(node, term):
            self._append_behind(node, message, plan, is_quiet)
        else:
            self._reply = None if is_quiet else (number, plan.covered)
            self._pass_on(
                node,
                {
                    "type": "append_entries",
                    "term": term,
                    "commit_index": min(message["commit_index"], plan.covered),
                    "entries": plan.entries,
                    "prevLogIdx": plan.previous_index,
                    "prevLogTerm": plan.previous_term,
                },
            )
            self._reply = None
        if plan.covered > journal.durable_index and not is_quiet:
            # The acknowledgement waits for the disk; that this member is there need not.
            now = self._clock.monotonic()
            if not message["entries"] or now - self._said_alive_at > self._heartbeat / 2:
                self._said_alive_at = now
                self._alive(node, number)

    def _append_behind(
        self, node: Node, message: Message, plan: guards.AppendPlan, is_quiet: bool
    ) -> None:
        """What the library makes of entries that follow the log's end, from the leader it follows already."""
        for data, index, term in plan.entries:
            self._journal.append(data, index, term)
        commit = min(message["commit_index"], plan.covered)
        if commit > self._SyncObj__raftCommitIndex:
            self._set_commit(commit)
        if not is_quiet:
            self._owner.hold(
                node.id,
                {
                    "type": "next_node_idx",
                    "term": message["term"],
                    "seq": message["seq"],
                    "next_node_idx": plan.covered + 1,
                    "reset": False,
                    "success": True,
                },
                plan.covered,
            )

    def heard_leader(self, name: str, term: int) -> None:
        """Row 1: tell the library that a leader lives, with nothing to commit and no log position."""
        now = self._clock.monotonic()
        self._heard_leader_at = now
        self._rivals = None
        self._pre_votes = None
        if not self._transfer_election or term > self.term():
            self._campaign_allowed = self._transfer_election = False
        node = self._nodes[name]
        if self._follows(node, term):
            # Only an election draws a new time; until then the last one does.
            self._SyncObj__raftElectionDeadline = now + self._timeout
            return
        self._pass_on(node, {"type": "append_entries", "term": term, "commit_index": 0})

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

    def forgo_votes(self, until_term: int) -> None:
        """Never vote in `until_term` or an earlier term: a vote there may have been given, and forgotten."""
        if until_term < self.term():
            return
        if until_term > self.term():
            self._learn_term(until_term)
        if self._journal.vote is None:
            self._SyncObj__setCurrentTerm(self.term(), self._own_node.id)

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

    # Log

    def _SyncObj__applyLogEntries(self) -> bool:
        index: int = self._SyncObj__raftLastApplied
        commit: int = self._SyncObj__raftCommitIndex
        if index >= commit:
            return False
        until = self._clock.monotonic() + APPLY_SLICE_SECONDS
        base = self._journal.base_index
        while index < commit:
            index += 1
            self._owner.apply_entry(self._journal.entries[index - base])
            self._SyncObj__raftLastApplied = index
            if self._clock.monotonic() > until:
                self.more_to_apply = index < commit
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
