"""Linearizable reads over members: who does not lead asks who does, and that one asks a majority.

The leader's answer is an index; the read waits until it is applied where it was asked (Raft paper, section 8; row 13).
"""

from collections.abc import Mapping

from kvstore.raft.journal import Journal
from kvstore.raft.pysync.leader_contact import LeaderContact
from kvstore.raft.pysync.messages import ReadReply, ReadRequest
from kvstore.raft.pysync.overrides import GuardedSyncObj
from kvstore.raft.pysync.ports import Shell
from kvstore.raft.pysync.rejoin import Rejoin
from kvstore.raft.read_index import ReadIndex
from kvstore.raft.replicator import MemberId


class RemoteReads:
    """Both sides of it. `names` are those of the members by id."""

    def __init__(
        self,
        reads: ReadIndex,
        sync: GuardedSyncObj,
        journal: Journal,
        rejoin: Rejoin,
        contact: LeaderContact,
        shell: Shell,
        names: Mapping[MemberId, str],
    ) -> None:
        self._reads, self._sync, self._journal = reads, sync, journal
        self._rejoin, self._contact, self._shell, self._names = rejoin, contact, shell, names

    @property
    def is_waiting(self) -> bool:
        """Whether there is a question to ask."""
        return self._reads.has_new or self._rejoin.must_ask

    def begin(self) -> None:
        """Ask what there is to ask: a majority if this member leads, else the leader."""
        if self._sync.is_leader():
            if self._sync.has_committed_own_term():
                index = self._sync.commit_index()
                self._reads.open_round(index, self._sync.confirm_leadership())
            return
        leader = self._contact.find()
        if leader is None:
            return
        question = self._reads.ask()
        self._rejoin.asked(question)
        if not self._contact.send(leader, ReadRequest(question)):
            self._reads.ask_again(question)
            self._rejoin.told(question, None)

    def finish(self) -> None:
        """Answer what a majority has confirmed, and what is applied."""
        applied = self._sync.last_applied()
        if self._sync.is_leader():
            for member, question, index in self._reads.close_rounds(self._sync.majority(), applied):
                self._reply(member, question, index)
        self._reads.applied(applied)

    def start_over(self) -> None:
        """Questions under way are lost with the leader or the connection: ask again, and have others do so."""
        self._rejoin.start_over()
        for member, question in self._reads.start_over():
            self._reply(member, question, None)

    def on_request(self, member: MemberId, message: ReadRequest) -> None:
        """Another member asks."""
        if self._sync.is_leader():
            # The answer is an index that the asking member must apply first, so it is told of the commit at once.
            self._reads.submit_remote(member, message.question)
            self._sync.tell_commit(self._names[member], self._journal.last_index)
        else:
            self._reply(member, message.question, None)

    def on_reply(self, member: MemberId, message: ReadReply) -> None:
        """The leader's answer."""
        self._rejoin.told(message.question, message.index)
        if message.index is None:
            self._reads.ask_again(message.question)
            self._contact.put_off()
        else:
            self._reads.told(message.question, message.index, self._sync.last_applied())

    def _reply(self, member: MemberId, question: int, index: int | None) -> None:
        self._shell.send(member, ReadReply(question, index))
