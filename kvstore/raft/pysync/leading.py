"""What a leader does beyond the library: entries ahead of acknowledgements, counting these, telling of commits."""

from kvstore.raft.journal import Entry
from kvstore.raft.pysync import guards
from kvstore.raft.pysync.commit_notices import CommitNotices
from kvstore.raft.pysync.guards import Message
from kvstore.raft.pysync.imported import Node
from kvstore.raft.pysync.state import LEADER, MemberState

# One message of entries; more than one is sent when more waits.
APPEND_BYTES = 1 << 20


class Leading(MemberState):
    """The leader's side of a member."""

    def _count_commits(self) -> None:
        journal = self._journal
        commit = self._SyncObj__raftCommitIndex
        own = guards.countable_index(journal.last_index, journal.durable_index)
        if own <= commit:
            return
        index = guards.committed(
            self._SyncObj__raftMatchIndex.values(), own, commit, self.term(), journal.term_at
        )
        if index > commit:
            self._SyncObj__leaderCommitIndex = index
            self._set_commit(index)

    def may_commit(self) -> bool:
        """Leader: whether what was written now may be committed by what others have acknowledged."""
        if self._SyncObj__raftState != LEADER:
            return False
        matched = self._SyncObj__raftMatchIndex.values()
        return not matched or max(matched) > self._SyncObj__raftCommitIndex

    def _set_commit(self, index: int) -> None:
        self._SyncObj__raftCommitIndex = index
        self._SyncObj__raftLog.setRaftCommitIndex(index)

    def _on_next_node_idx(self, node: Node, message: Message) -> None:
        if not self.is_leader() or not guards.ack_counts(message, self.term()):
            return
        name = node.id
        progress = self.progress[name]
        next_index = message["next_node_idx"]
        matched: int = self._SyncObj__raftMatchIndex[node]
        if message["reset"]:
            if not guards.reset_counts(message["seq"], progress.rewound_at):
                message = {**message, "reset": False}
            else:
                message = {**message, "next_node_idx": max(next_index, matched + 1)}
                progress.forget_ahead(self.number + 1)
        if message["success"] and next_index - 1 > self._journal.last_index:
            raise guards.SafetyViolated(f"{name} acknowledged entry {next_index - 1}, unknown here")
        next_indexes = self._SyncObj__raftNextIndex
        if message["reset"]:
            next_indexes[node] = message["next_node_idx"]
        if not progress.is_emptied:
            self._SyncObj__lastResponseTime[node] = self._clock.monotonic()
        if message["success"]:
            if next_index - 1 > matched and not progress.is_emptied:
                self._SyncObj__raftMatchIndex[node] = next_index - 1
            # The library would send again what is on its way; what is ahead stays ahead.
            if next_index > next_indexes[node]:
                next_indexes[node] = next_index
            progress.note_matched(next_index - 1)
            transfer = progress.transfer
            # Delivered, even if the log was compacted past it meanwhile: then the next one follows.
            if transfer is not None and next_index > min(
                transfer.snapshot.index, self._journal.base_index
            ):
                progress.end_transfer()
        if not progress.is_emptied:
            self._owner.answered(name, message["seq"])

    def is_news(self, name: str) -> bool:
        """Leader: whether there is something to do after an acknowledgement of that member."""
        node = self._nodes[name]
        commit = self._SyncObj__raftCommitIndex
        return bool(
            self._SyncObj__raftMatchIndex.get(node, 0) > commit < self._journal.durable_index
            or self._SyncObj__raftNextIndex.get(node, 0) <= self._journal.last_index
        )

    def replicate(self) -> None:
        """Leader: send what is new to each member that is ready for it."""
        commit = self._SyncObj__raftCommitIndex
        last_index = self._journal.last_index
        next_indexes = self._SyncObj__raftNextIndex
        for name, node in self._nodes.items():
            progress = self.progress[name]
            if next_indexes[node] <= last_index or commit > progress.sent_commit:
                self._send_entries(name, force=False)
        if self._commit_notices.due_at < float("inf"):
            # Those who would have to be told may be gone.
            self._commit_notices.expire(self._clock.monotonic())

    def tell_commit(self, name: str, index: int) -> None:
        """Leader: have a member know soon that `index` is committed, for somebody there waits for it."""
        progress = self.progress[name]
        progress.awaits_commit = max(progress.awaits_commit, index)

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
        journal = self._journal
        next_indexes: dict[Node, int] = self._SyncObj__raftNextIndex
        if next_indexes[node] <= journal.base_index:
            if force:
                self._send_append(name, {})
            self._owner.send_snapshot(name, progress)
            return
        commit = self._SyncObj__raftCommitIndex
        sent = False
        while next_indexes[node] <= journal.last_index and progress.may_send:
            entries = journal.slice(next_indexes[node], APPEND_BYTES)
            if not self._send_append(name, self._position(next_indexes[node], entries)):
                break
            last = entries[-1][1]
            next_indexes[node] = last + 1
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

    def send_numbered(self, name: str, message: Message) -> bool:
        """Leader: send with term and the next number, so that the answer proves leadership too."""
        self.number += 1
        return self._owner.send(name, {**message, "term": self.term(), "seq": self.number})

    def append(self, data: bytes) -> None:
        """Leader: add an entry of this term."""
        self._commit_notices.followed(self._clock.monotonic())
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
        self._commit_notices = CommitNotices()
        super()._SyncObj__onBecomeLeader()
        self._counting = counting
