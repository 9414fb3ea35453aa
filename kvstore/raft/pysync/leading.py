"""What a leader does beyond the library: entries ahead of acknowledgements, counting these, telling of commits."""

from kvstore.raft.pysync import guards
from kvstore.raft.pysync.commit_notices import CommitNotices
from kvstore.raft.pysync.library import ENTERED
from kvstore.raft.pysync.library_state import LEADER
from kvstore.raft.pysync.messages import AppendEntries, AppendReply
from kvstore.raft.pysync.progress import Progress
from kvstore.raft.pysync.state import MemberState

# One message of entries; more than one is sent when more waits.
APPEND_BYTES = 1 << 20


class Leading(MemberState):
    """The leader's side of a member."""

    def _count_commits(self) -> None:
        journal = self._journal
        commit = self.raft_commit
        own = guards.countable_index(journal.last_index, journal.durable_index)
        if own <= commit:
            return
        index = guards.committed(
            self.match_indexes.values(), own, commit, self.raft_term, journal.term_at
        )
        if index > commit:
            self.told_commit = index
            self.set_commit(index)

    def may_commit(self) -> bool:
        """Leader: whether what was written now may be committed by what others have acknowledged."""
        if self.raft_role != LEADER:
            return False
        matched = self.match_indexes.values()
        return not matched or max(matched) > self.raft_commit

    def on_append_reply(self, progress: Progress, message: AppendReply) -> None:
        """A follower holds more, or has to be sent what it lacks."""
        if not self.is_leader() or not guards.ack_counts(message.term, self.raft_term):
            return
        next_index, is_reset = message.next_index, message.reset
        matched = progress.match_index
        if is_reset:
            if guards.reset_counts(message.number, progress.rewound_at):
                next_index = max(next_index, matched + 1)
                progress.forget_ahead(self.number + 1)
            else:
                is_reset = False
        if message.success and next_index - 1 > self._journal.last_index:
            raise guards.SafetyViolated(
                f"{progress.name} acknowledged entry {next_index - 1}, unknown here"
            )
        if is_reset:
            progress.next_index = next_index
        if not progress.is_emptied:
            progress.answered(self._clock.monotonic())
        if message.success:
            if next_index - 1 > matched and not progress.is_emptied:
                progress.match_index = next_index - 1
            # The library would send again what is on its way; what is ahead stays ahead.
            if next_index > progress.next_index:
                progress.next_index = next_index
            progress.note_matched(next_index - 1)
            transfer = progress.transfer
            # Delivered, even if the log was compacted past it meanwhile: then the next one follows.
            if transfer is not None and next_index > min(
                transfer.snapshot.index, self._journal.base_index
            ):
                progress.end_transfer()
        if progress.is_voter and not progress.is_emptied:
            self._owner.answered(progress.name, message.number)

    def is_news(self, name: str) -> bool:
        """Leader: whether there is something to do after an acknowledgement of that member."""
        progress = self.peers[name]
        return (
            progress.match_index > self.raft_commit < self._journal.durable_index
            or progress.next_index <= self._journal.last_index
        )

    def replicate(self) -> None:
        """Leader: send what is new to each member that is ready for it."""
        commit, last_index = self.raft_commit, self._journal.last_index
        for progress in self.progress.values():
            if progress.next_index <= last_index or commit > progress.sent_commit:
                self._send_entries(progress, force=False)
        if self._commit_notices.due_at < float("inf"):
            # Those who would have to be told may be gone.
            self._commit_notices.expire(self._clock.monotonic())

    def tell_commit(self, name: str, index: int) -> None:
        """Leader: have a member know soon that `index` is committed, for somebody there waits for it."""
        progress = self.peers[name]
        progress.awaits_commit = max(progress.awaits_commit, index)

    def confirm_leadership(self) -> int:
        """Leader: ask all members for an answer now; the number of the first message that asks."""
        first = self.number + 1
        for progress in self.progress.values():
            self._send_entries(progress, force=True)
        return first

    def send_heartbeats(self) -> None:
        """Leader: entries to all that are ready, and signs of life to all when these are due."""
        now = self._clock.monotonic()
        due = now >= self.heartbeat_deadline
        if due:
            self.heartbeat_deadline = now + self._heartbeat
        for progress in self.progress.values():
            self._send_entries(progress, force=due)

    def _send_entries(self, progress: Progress, *, force: bool) -> None:
        if not progress.connected:
            return
        journal = self._journal
        next_index = progress.next_index
        if next_index <= journal.base_index:
            if force:
                self._send_sign_of_life(progress)
            self._owner.send_snapshot(progress.name, progress)
            return
        commit = self.raft_commit
        sent = False
        while next_index <= journal.last_index and progress.may_send:
            entries = journal.slice(next_index, APPEND_BYTES)
            previous = next_index - 1
            message = AppendEntries(
                self.raft_term,
                self.next_number(),
                commit,
                previous,
                journal.term_at(previous),
                entries,
            )
            if not self._owner.send(progress.name, message):
                break
            last = entries[-1][1]
            next_index = progress.next_index = last + 1
            progress.note_sent(last, sum(len(entry[0]) for entry in entries))
            sent = True
        if not sent and (force or commit > progress.sent_commit):
            is_awaited = progress.sent_commit < progress.awaits_commit
            if (
                not force
                and not is_awaited
                and self._commit_notices.may_wait(self._clock.monotonic())
            ):
                return
            previous = next_index - 1
            message = AppendEntries(
                self.raft_term,
                self.next_number(),
                commit,
                previous,
                journal.term_at(previous),
                [],
                # Only the commit index is news: nobody waits for an answer to it.
                quiet=not force,
            )
            sent = self._owner.send(progress.name, message)
        if sent:
            progress.sent_commit = commit

    def _send_sign_of_life(self, progress: Progress) -> None:
        self._owner.send(progress.name, AppendEntries(self.raft_term, self.next_number(), 0))

    def next_number(self) -> int:
        """Leader: the number of the next message, so that its answer proves leadership, too."""
        self.number += 1
        return self.number

    def append(self, data: bytes) -> None:
        """Leader: add an entry of this term."""
        self._commit_notices.followed(self._clock.monotonic())
        self._journal.append(data, self._journal.last_index + 1, self.raft_term)

    def log_end_index(self) -> int:
        """Where the log ends; in a leader's tick, what its own disk holds."""
        if self._counting and self.is_leader():
            return guards.countable_index(self._journal.last_index, self._journal.durable_index)
        return self._journal.last_index

    def leadership_won(self) -> None:
        """A majority voted for this member: forget what a former leader, perhaps itself, sent."""
        counting, self._counting = self._counting, False
        for progress in self.progress.values():
            progress.end_transfer()
            progress.forget_ahead(self.number + 1)
            progress.sent_commit = 0
            # The library does it for voters.
            progress.match_index, progress.next_index = 0, self._journal.last_index + 1
        self.heartbeat_deadline = 0.0
        self._commit_notices = CommitNotices()
        ENTERED.at = self._clock.monotonic()
        self.become_leader()
        self._counting = counting
