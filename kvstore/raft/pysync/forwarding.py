"""Proposals on their way into the log: this member's own, and those that others forwarded to it while it leads.

When a connection to the leader breaks, what was forwarded on it may have been taken or not. So on the next one, in the
same term, the leader is asked: it looks through its log from where the one that asks has applied, and says what is not
there; that is forwarded again. What arrives late of an earlier connection it does not take after it has said so, for
hand-overs carry the number of the attempt.
"""

from collections.abc import Mapping

from kvstore.raft.journal import Journal
from kvstore.raft.proposals import Pack, Proposals, decode_entry, encode_entry
from kvstore.raft.pysync.forwarded import Forwarded, is_pack_of
from kvstore.raft.pysync.leader_contact import LeaderContact
from kvstore.raft.pysync.messages import Forward, ForwardLost, ForwardRefused
from kvstore.raft.pysync.overrides import GuardedSyncObj
from kvstore.raft.pysync.ports import Shell
from kvstore.raft.pysync.transfer import Transfer
from kvstore.raft.replicator import MemberId


class Forwarding:
    """A leader packs what waits into entries; another member forwards it to the leader, for its term only (row 15)."""

    def __init__(
        self,
        proposals: Proposals,
        sync: GuardedSyncObj,
        journal: Journal,
        contact: LeaderContact,
        transfer: Transfer,
        shell: Shell,
        names: Mapping[MemberId, str],
        max_pack_bytes: int,
    ) -> None:
        self._proposals, self._sync, self._journal = proposals, sync, journal
        self._contact, self._transfer, self._shell = contact, transfer, shell
        self._names, self._max_pack_bytes = names, max_pack_bytes
        self._forwarded = Forwarded()
        self._attempt = 0
        self._handed: tuple[MemberId, int] | None = None
        self._in_doubt = self._is_answer_due = False
        self._asked: dict[MemberId, tuple[int, int]] = {}
        # Members of earlier versions do not understand ForwardLost.
        self._answering: set[MemberId] = set()

    @property
    def must_ask(self) -> bool:
        """Whether the leader is to be asked what it has taken."""
        return self._in_doubt

    @property
    def has_waiting(self) -> bool:
        """Whether something is to be packed or forwarded."""
        return self._proposals.has_waiting or bool(self._forwarded)

    def hand_over(self) -> None:
        """Into the log, or to the leader; nothing while leadership is handed on."""
        if self._transfer.target is not None:
            return
        if self._sync.is_leader():
            # While one fsync runs, the next batch gathers.
            if not self._journal.is_flushing:
                self._append()
            return
        if self._in_doubt:
            self._ask_what_is_lost()
        if self._proposals.has_waiting:
            self._forward()

    def _append(self) -> None:
        limit, sync = self._max_pack_bytes, self._sync
        while self._forwarded or self._proposals.has_waiting:
            own = self._proposals.take(limit, sync.term())
            packs: list[Pack] = [own] if own is not None else []
            size = sum(len(command) for command in own[3]) if own is not None else 0
            packs.extend(self._forwarded.take(limit - size, at_least_one=own is None))
            if packs:
                sync.append(encode_entry(packs))
                for pack in packs:
                    if pack is not own:
                        # Its callers wait for it to be applied over there.
                        sync.tell_commit(self._names[MemberId(pack[0])], self._journal.last_index)

    def _forward(self) -> None:
        leader = self._contact.find()
        if leader is None:
            return
        term = self._sync.term()
        while (pack := self._proposals.take(self._max_pack_bytes, term)) is not None:
            if not self._contact.send(leader, Forward(term, pack, self._attempt)):
                self._proposals.take_back(pack[2], term)
                return
            self._handed = (leader, term)

    def connected(self, member: MemberId, answers: object) -> None:
        """`member` says what it answers beside what members of all versions do."""
        if isinstance(answers, list) and "forward_lost" in answers:
            self._answering.add(member)
        else:
            self._answering.discard(member)

    def disconnected(self, member: MemberId) -> None:
        """What was forwarded to `member` and is not answered may be lost, or refused without word of it."""
        if self._handed == (member, self._sync.term()):
            self._attempt += 1
            self._in_doubt = True

    def _ask_what_is_lost(self) -> None:
        term = self._sync.term()
        if self._handed is None or self._handed[1] != term:
            # A later term settles it (`Proposals.settle`).
            self._in_doubt = False
            return
        leader = self._contact.find()
        if leader is None:
            return
        numbers = self._proposals.handed_for(term)
        if not numbers or leader not in self._answering:
            self._in_doubt = False
            return
        nonce, applied = self._proposals.nonce, self._sync.last_applied()
        question = ForwardLost(term, nonce, numbers, applied, self._attempt)
        if self._contact.send(leader, question):
            self._in_doubt, self._is_answer_due = False, True

    def refuse_all(self) -> None:
        """This member leads no more: what is not in the log goes back."""
        for member, forward in self._forwarded.clear():
            self._refuse(member, forward)

    def on_forward(self, member: MemberId, message: Forward) -> None:
        """Proposals of another member."""
        if not is_pack_of(message.pack, member):
            return
        nonce, attempt = self._asked.get(member, (0, 0))
        if nonce == message.pack[1] and message.attempt < attempt:
            # It was told that this was not taken, and offers it again.
            return
        accepted = (
            self._sync.is_leader()
            and message.term == self._sync.term()
            and self._transfer.target is None
            and self._forwarded.add(member, message)
        )
        if not accepted:
            self._refuse(member, message)

    def on_question(self, member: MemberId, message: ForwardLost) -> None:
        """Another member lost a connection, and asks what of that arrived."""
        nonce, attempt = self._asked.get(member, (0, 0))
        is_late = nonce == message.nonce and message.attempt <= attempt
        if is_late or not self._sync.is_leader() or message.term != self._sync.term():
            return
        self._asked[member] = (message.nonce, message.attempt)
        taken = self._taken_from(member, message.nonce, message.applied)
        if taken is None:
            return
        lost = [number for number in message.numbers if number not in taken]
        if lost:
            refusal = ForwardRefused(message.term, message.nonce, lost, message.attempt)
            self._shell.send(member, refusal)

    def _taken_from(self, member: MemberId, nonce: int, applied: int) -> set[int] | None:
        """Numbers of a member's boot that wait here or stand in the log after `applied`; None if that is compacted."""
        if applied < self._journal.base_index:
            return None
        packs = self._forwarded.packs()
        for data, _, _ in self._journal.entries[applied - self._journal.base_index + 1 :]:
            packs += decode_entry(data)
        mine = [pack for pack in packs if (pack[0], pack[1]) == (member, nonce)]
        return {number for pack in mine for number in pack[2]}

    def on_refused(self, member: MemberId, message: ForwardRefused) -> None:
        """Proposals of this member that the other has not taken."""
        is_old = message.attempt != self._attempt and member in self._answering
        if message.nonce != self._proposals.nonce or is_old:
            return
        self._proposals.take_back(message.numbers, message.term)
        if self._is_answer_due:
            self._is_answer_due = False
        else:
            self._contact.put_off()

    def _refuse(self, member: MemberId, forward: Forward) -> None:
        pack = forward.pack
        self._shell.send(
            member, ForwardRefused(forward.term, pack[1], list(pack[2]), forward.attempt)
        )
