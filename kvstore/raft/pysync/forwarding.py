"""Proposals on their way into the log: this member's own, and those that others forwarded to it while it leads."""

from collections.abc import Mapping

from kvstore.raft.journal import Journal
from kvstore.raft.proposals import Pack, Proposals, encode_entry
from kvstore.raft.pysync.forwarded import Forwarded, is_pack_of
from kvstore.raft.pysync.leader_contact import LeaderContact
from kvstore.raft.pysync.messages import Forward, ForwardRefused
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
        elif self._proposals.has_waiting:
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
            if not self._contact.send(leader, Forward(term, pack)):
                self._proposals.take_back(pack[2], term)
                return

    def refuse_all(self) -> None:
        """This member leads no more: what is not in the log goes back."""
        for member, pack, term in self._forwarded.clear():
            self._refuse(member, pack, term)

    def on_forward(self, member: MemberId, message: Forward) -> None:
        """Proposals of another member."""
        if not is_pack_of(message.pack, member):
            return
        accepted = (
            self._sync.is_leader()
            and message.term == self._sync.term()
            and self._transfer.target is None
            and self._forwarded.add(member, message.pack, message.term)
        )
        if not accepted:
            self._refuse(member, message.pack, message.term)

    def on_refused(self, member: MemberId, message: ForwardRefused) -> None:
        """Proposals of this member that the other has not taken."""
        if message.nonce == self._proposals.nonce:
            self._proposals.take_back(message.numbers, message.term)
            self._contact.put_off()

    def _refuse(self, member: MemberId, pack: Pack, term: int) -> None:
        self._shell.send(member, ForwardRefused(term, pack[1], list(pack[2])))
