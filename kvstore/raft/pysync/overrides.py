"""SyncObj with the private methods replaced that the guards cannot hold from outside.

The library still runs elections, log matching where logs differ, and stepping down; `doTick` and its message handler
are its own. What is replaced: sending entries, commit counting, applying, compaction, snapshots, the poller and the
journal. What is wrapped: the tick (PreVote, and counting only what is durable here) and the message handler
(`guards`). What comes with nearly every message - entries that follow the log's end, from the leader that is followed
already; a turn while no deadline has come - needs nothing of the library, and does not go through it.
All of it fits one version of the library, which `library.check_library` compares by hash.
"""

from collections.abc import Callable, Mapping
from typing import Any

from kvstore.raft.pysync import guards
from kvstore.raft.pysync.imported import Node
from kvstore.raft.pysync.leading import Leading
from kvstore.raft.pysync.library import ENTERED
from kvstore.raft.pysync.library_state import CANDIDATE, FOLLOWER, LEADER
from kvstore.raft.pysync.messages import (
    AppendEntries,
    AppendReply,
    Message,
    PreVote,
    PreVoteReply,
    RequestVote,
    StaleTerm,
    TimeoutNow,
    Vote,
    append_for_library,
    sign_of_life_for_library,
    vote_for_library,
)
from kvstore.raft.pysync.progress import Progress
from kvstore.raft.pysync.state import LogEnd

# Applying pauses after this long, so that heartbeats go on while a long log is replayed.
APPLY_SLICE_SECONDS = 0.02


class GuardedSyncObj(Leading):
    """One member's SyncObj; every entry from outside is `tick`, `deliver` or one of the small methods below."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._handlers: dict[type[Message], Callable[[Progress, Any], None]] = {
            AppendEntries: self.on_append_entries,
            AppendReply: self.on_append_reply,
            RequestVote: self.on_request_vote,
            Vote: self.on_vote,
            PreVote: self.on_pre_vote,
            PreVoteReply: self.on_pre_vote_reply,
            StaleTerm: self.on_stale_term,
            TimeoutNow: self.on_timeout_now,
        }

    # Time

    def tick(self) -> None:
        """Everything that time alone brings: elections, commit counting, applying, heartbeats.

        While no deadline has come there are only two things to do, and they need none of the library's tick.
        """
        self.more_to_apply = False
        now = self._clock.monotonic()
        if self.raft_role == LEADER:
            if now <= self.heartbeat_deadline:
                self._count_commits()
                self.apply_entries()
                return
        elif now <= self.election_deadline:
            self.apply_entries()
            return
        self.doTick(0.0)

    def was_away(self, now: float) -> None:
        """This process was held up until `now`: silence of the others before that says nothing."""
        if self.raft_role == LEADER:
            for progress in self.progress.values():
                progress.answered(now)
        elif 0.0 < self.election_deadline < now:
            self._set_election_deadline(now)

    def next_deadline(self) -> float:
        """When `tick` must be called at the latest."""
        if self.raft_role == LEADER:
            return min(self.heartbeat_deadline, self._commit_notices.due_at)
        return self.election_deadline

    def _onTick(self, timeToWait: float = 0.0) -> None:
        ENTERED.at = now = self._clock.monotonic()
        if not self.is_leader() and self.election_deadline < now:
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
        if not self.may_vote or not self.is_voter:
            self._set_election_deadline(now)
        elif self._campaign_allowed or not self.voters:
            self._campaign_allowed = False
            self._pre_votes = None
            self._votes = set()
        else:
            self._set_election_deadline(now)
            self.raft_leader = None
            self._pre_votes = set()
            message = PreVote(self.raft_term + 1, self._journal.last_index, self._journal.last_term)
            for voter in self.voters:
                self._owner.send(voter.name, message)

    def _set_election_deadline(self, now: float) -> None:
        self.election_deadline = now + self.draw_timeout()

    # Connections

    def connected(self, name: str, log_end: LogEnd | None = None) -> None:
        """A new connection to a member: nothing is known of what reached it, or of what it still holds.

        `log_end` is where its log ended when it connected, as it said itself.
        """
        progress = self.peers[name]
        progress.connected = True
        progress.end_transfer()
        progress.forget_ahead(self.number + 1)
        progress.sent_commit = 0
        self.connected_nodes.add(progress.node)
        progress.match_index, progress.next_index = 0, self._journal.last_index + 1
        if self.is_leader():
            self._send_entries(progress, force=True)
        elif self._rivals is not None and log_end is not None and progress.is_voter:
            self._rivals[name] = log_end
            self._stand_first(self._rivals)

    def _stand_first(self, rivals: Mapping[str, LogEnd]) -> None:
        """Members that just started need not wait for a leader nobody has heard of: the best placed stands at once.

        It is a campaign like any other, PreVote included. A wrong guess costs a message, and it is the only one.
        """
        if len(rivals) + 1 < self.majority() or not (self.may_vote and self.is_voter):
            return
        own = str(self._own_node.id)
        ends = {**rivals, own: (self._journal.last_term, self._journal.last_index)}
        longest = max(ends.values())
        if own == min((one for one in ends if ends[one] == longest), key=lambda one: int(one, 16)):
            self._rivals = None
            self.election_deadline = 0.0

    def disconnected(self, name: str) -> None:
        """The connection to a member ended. A leader that is gone is not waited for as long as a silent one."""
        progress = self.peers[name]
        progress.connected = False
        progress.end_transfer()
        if self._rivals is not None:
            self._rivals.pop(name, None)
        self.connected_nodes.discard(progress.node)
        if name == self.leader_name():
            soon = self._clock.monotonic() + self._election * self._rng.uniform(0.1, 0.4)
            self.election_deadline = min(self.election_deadline, soon)

    def _leader_is_alive(self) -> bool:
        if self.is_leader():
            return True
        name = self.leader_name()
        if name is None or not self.peers[name].connected:
            return False
        return self._clock.monotonic() - self._heard_leader_at < self._election

    # Messages in

    def deliver(self, name: str, message: Message) -> None:
        """Show the library a message of a connected member, as far as the guards let it."""
        self._handlers[type(message)](self.peers[name], message)

    def _pass_on(self, progress: Progress, message: dict[str, Any]) -> None:
        ENTERED.at = self._clock.monotonic()
        self.receive(progress.node, message)

    def _follows(self, progress: Progress, term: int) -> bool:
        """Whether that member is the leader followed in `term`, so that hearing it changes nothing."""
        return (
            self.raft_role == FOLLOWER
            and self.raft_leader is progress.node
            and self.raft_term == term
            and not self.is_transfer_target
        )

    def on_append_entries(self, progress: Progress, message: AppendEntries) -> None:
        """A leader lives, and may have entries."""
        term, name = message.term, progress.name
        if term < self.raft_term:
            self.refuse_term(name)
            return
        self.heard_leader(name, term)
        entries, previous_index = message.entries, message.previous_index
        if entries is None or previous_index is None or message.previous_term is None:
            self._alive(name, message.number)
            return
        self.leader_commit = message.commit_index
        journal = self._journal
        last_index = journal.last_index
        plan = guards.plan_append(
            previous_index,
            message.previous_term,
            entries,
            journal.term_at,
            journal.base_index,
            last_index,
            self.raft_commit,
        )
        if plan.rewind_to is not None:
            self._acknowledge(name, message.number, plan.rewind_to, reset=True)
            return
        if plan.previous_index == last_index and self._follows(progress, term):
            self._append_behind(name, message, plan)
        else:
            self._reply = None if message.quiet else (message.number, plan.covered)
            self._pass_on(
                progress,
                append_for_library(
                    term,
                    min(message.commit_index, plan.covered),
                    plan.previous_index,
                    plan.previous_term,
                    plan.entries,
                ),
            )
            self._reply = None
        if plan.covered > journal.durable_index and not message.quiet:
            # The acknowledgement waits for the disk. A sign of life need not: it proves that the leader is heard.
            now = self._clock.monotonic()
            if not entries or now - self._said_alive_at > self._heartbeat / 2:
                self._said_alive_at = now
                self._alive(name, message.number)

    def _append_behind(self, name: str, message: AppendEntries, plan: guards.AppendPlan) -> None:
        """What the library makes of entries that follow the log's end, from the leader it follows already."""
        for data, index, term in plan.entries:
            self._journal.append(data, index, term)
        commit = min(message.commit_index, plan.covered)
        if commit > self.raft_commit:
            self.set_commit(commit)
        if not message.quiet:
            reply = AppendReply(message.term, message.number, plan.covered + 1, False, True)
            self._owner.hold(name, reply, plan.covered)

    def heard_leader(self, name: str, term: int) -> None:
        """Row 1: tell the library that a leader lives, with nothing to commit and no log position."""
        now = self._clock.monotonic()
        self._heard_leader_at = now
        self._rivals = None
        self._pre_votes = None
        if not self._transfer_election or term > self.raft_term:
            self._campaign_allowed = self._transfer_election = False
        progress = self.peers[name]
        if self._follows(progress, term):
            # Only an election draws a new time; until then the last one does.
            self.election_deadline = now + self._timeout
            return
        self._pass_on(progress, sign_of_life_for_library(term))

    def _alive(self, name: str, number: int) -> None:
        self._acknowledge(name, number, self._journal.last_index + 1)

    def _acknowledge(self, name: str, number: int, next_index: int, *, reset: bool = False) -> None:
        self._owner.send(name, AppendReply(self.raft_term, number, next_index, reset, False))

    def acknowledge_snapshot(self, name: str, index: int) -> None:
        """Row 4: what a snapshot covers is acknowledged, and nothing behind it."""
        self._owner.hold(name, AppendReply(self.raft_term, 0, index + 1, False, True), index)

    def refuse_term(self, name: str) -> None:
        """Tell a sender of an old term the current one."""
        self._owner.send(name, StaleTerm(self.raft_term))

    def forgo_votes(self, until_term: int) -> None:
        """Never vote in `until_term` or an earlier term: a vote there may have been given, and forgotten."""
        if until_term < self.term():
            return
        if until_term > self.term():
            self._learn_term(until_term)
        if self._journal.vote is None:
            self.set_term(self.raft_term, self._own_node.id)

    def on_stale_term(self, progress: Progress, message: StaleTerm) -> None:
        """Somebody knows a later term."""
        self._learn_term(message.term)

    def _learn_term(self, term: int) -> None:
        if term > self.term():
            if self.is_leader():
                # A leader's deadline is long past: it would stand at once against whom it hands over to.
                self._set_election_deadline(self._clock.monotonic())
            self.set_term(term, None)
            self.step_down()
            self.raft_leader = None
            self._pre_votes = None

    def on_request_vote(self, progress: Progress, message: RequestVote) -> None:
        """A candidate asks for a vote."""
        if message.term < self.raft_term:
            self.refuse_term(progress.name)
            return
        may_vote = self.may_vote and self.knows_members
        if may_vote and guards.may_vote_now(message.transfer, self._leader_is_alive()):
            self._pass_on(progress, vote_for_library(message))

    def on_vote(self, progress: Progress, message: Vote) -> None:
        """A vote for this member, in the term it names."""
        members = {one.name for one in self.voters if not one.is_emptied}
        name = progress.name
        if guards.vote_counts(name, self._votes, message.term, self.raft_term, members):
            self._votes.add(name)
            self._pass_on(progress, vote_for_library(message))

    def on_pre_vote(self, progress: Progress, message: PreVote) -> None:
        """Somebody asks whether it would get a vote."""
        if message.term <= self.raft_term:
            self.refuse_term(progress.name)
            return
        own_last = (self._journal.last_index, self._journal.last_term)
        alive = self._leader_is_alive()
        may_vote = self.may_vote and self.knows_members
        if may_vote and guards.grants_pre_vote(message, self.raft_term, own_last, alive):
            self._owner.send(progress.name, PreVoteReply(message.term))

    def on_pre_vote_reply(self, progress: Progress, message: PreVoteReply) -> None:
        """Somebody would vote for this member."""
        if self._pre_votes is None or message.term != self.raft_term + 1 or self.is_leader():
            return
        if progress.is_emptied or not progress.is_voter:
            return
        self._pre_votes.add(progress.name)
        if len(self._pre_votes) + 1 >= self.majority():
            self._pre_votes = None
            self._campaign_allowed = True
            self.election_deadline = 0.0

    def on_timeout_now(self, progress: Progress, message: TimeoutNow) -> None:
        """The leader asks this member to take over."""
        is_asked = message.term == self.raft_term and self.raft_leader is progress.node
        if is_asked and self.may_vote and self.is_voter:
            self._campaign_allowed = True
            self._transfer_election = True
            self._pass_on(progress, vote_for_library(message))

    # Messages out

    def _outgoing(self, node: Node, message: dict[str, Any]) -> None:
        """What the library sends, with what the other side's guards need."""
        kind, name = message["type"], node.id
        if kind == "request_vote":
            # The library asks in a tick, where its log seems to end at what is durable.
            last_index = self._journal.last_index
            asked = RequestVote(
                message["term"], last_index, message["last_log_term"], self._transfer_election
            )
            self._owner.hold(name, asked, 0)
        elif kind == "response_vote":
            self._owner.hold(name, Vote(message["term"]), 0)
        elif kind == "next_node_idx" and self._reply is not None:
            number, covered = self._reply
            reply = AppendReply(
                self.raft_term, number, covered + 1, message["reset"], message["success"]
            )
            self._owner.hold(name, reply, covered)

    # Log

    def apply_entries(self) -> None:
        """Apply what is committed, for a while."""
        index, commit = self.raft_applied, self.raft_commit
        if index >= commit:
            return
        until = self._clock.monotonic() + APPLY_SLICE_SECONDS
        base = self._journal.base_index
        while index < commit:
            index += 1
            self._owner.apply_entry(self._journal.entries[index - base])
            self.raft_applied = index
            if self._clock.monotonic() > until:
                self.more_to_apply = index < commit
                break
