"""One member of the cluster without sockets, threads or timers: messages and turns in, messages and disk work out.

A turn goes in this order: pack what is proposed into one entry, begin reads, tick the library (commit, apply,
elections, heartbeats), send entries, begin one fsync for all that is new. Acknowledgements and votes are held until the
fsync that covers them has ended; while one fsync runs the next batch gathers. The shell (`engine`, or a simulation)
delivers messages, calls `turn` when woken or when the deadline it returned has come, and runs disk work.
"""

import random
from collections.abc import Callable, Sequence
from typing import Any

from kvstore.base.clock import Clock
from kvstore.base.files import Files
from kvstore.raft.configuration import CONFIG_PREFIX, Configuration, decode_entered
from kvstore.raft.configuration import decode as decode_configuration
from kvstore.raft.configuration import encode as encode_configuration
from kvstore.raft.journal import Entry, Journal
from kvstore.raft.proposals import Proposals, decode_entry
from kvstore.raft.pysync import guards
from kvstore.raft.pysync import origin as origins
from kvstore.raft.pysync.configurations import Configurations
from kvstore.raft.pysync.durable_sends import DurableSends, Promise
from kvstore.raft.pysync.forwarding import Forwarding
from kvstore.raft.pysync.leader_contact import LeaderContact
from kvstore.raft.pysync.leadership import Leadership
from kvstore.raft.pysync.log_writer import LogWriter
from kvstore.raft.pysync.membership import Membership, first_configuration, forced
from kvstore.raft.pysync.messages import (
    AppendReply,
    CaughtUp,
    ChangeReply,
    ChangeRequest,
    Forward,
    ForwardLost,
    ForwardRefused,
    Message,
    ReadReply,
    ReadRequest,
    Removed,
    SnapshotPiece,
    SnapshotReply,
    UnknownStore,
)
from kvstore.raft.pysync.origin import Origin
from kvstore.raft.pysync.overrides import GuardedSyncObj
from kvstore.raft.pysync.ports import Shell
from kvstore.raft.pysync.progress import Progress
from kvstore.raft.pysync.reads_remote import RemoteReads
from kvstore.raft.pysync.recovery import Recovery
from kvstore.raft.pysync.rejoin import Rejoin
from kvstore.raft.pysync.snapshotting import Snapshotting
from kvstore.raft.pysync.state import MembersByName, NamesByMember, node_name
from kvstore.raft.pysync.transfer import Transfer
from kvstore.raft.read_index import ReadIndex
from kvstore.raft.replicator import (
    Applier,
    DamagedData,
    MemberId,
    RaftSettings,
    RaftStatus,
    Stopped,
)
from kvstore.raft.replicator import Removed as MemberRemoved
from kvstore.raft.snapshots import Snapshot, SnapshotStore, read_chunks

# After this process was held up, callers whose time ran out meanwhile are given so much more.
AWAY_SECONDS = 0.5
# Deadlines of callers need no more precision than this.
EXPIRY_SECONDS = 0.02


class Core:
    """`load` first; then `connected`, `receive` and `turn` as things happen, all from one thread."""

    def __init__(
        self,
        settings: RaftSettings,
        applier: Applier,
        clock: Clock,
        rng: random.Random,
        shell: Shell,
        files: Files | None = None,
    ) -> None:
        self._settings, self._applier, self._clock = settings, applier, clock
        self._rng, self._shell = rng, shell
        self.journal = Journal(settings.data_dir / "log", files)
        self._store = SnapshotStore(settings.data_dir / "snapshots", files)
        self._members, self._names = MembersByName(), NamesByMember()
        self._first = first_configuration(settings)
        self.membership: Membership
        """Changes of the members, once loaded."""
        self.configuration: Callable[[], Configuration] = lambda: self._first
        """The members as committed; before `load` has read more, those of the first start."""
        self._durable_sends = DurableSends(self.journal, lambda: self.sync.term(), self.send)
        self._settled_term = 0
        self._rejoin = Rejoin()
        self._origin = Origin(self.journal, clock)
        self._expire_at = 0.0
        self._due_at = float("inf")
        self._log_writer = LogWriter(
            settings, self.journal, clock, shell, self._made_durable, self._written
        )
        self.leadership_callbacks: list[Callable[[bool], None]] = []
        self.applied_callbacks: list[Callable[[Sequence[Any]], None]] = []

    # Life

    def load(self) -> None:
        """Read snapshot and journal back. Blocks. Raises DamagedData."""
        self.journal.open()
        self._store.open()
        snapshot = self._store.latest
        if snapshot is None and self.journal.base_index > 1:
            raise DamagedData(self._settings.data_dir / "snapshots", 0, "the snapshot is missing")
        if snapshot is not None and snapshot.index < self.journal.base_index:
            raise DamagedData(snapshot.path, 0, "the log begins behind the snapshot, which ends")
        if snapshot is not None:
            self._restore(snapshot)
        self._configurations = self._read_configurations()
        # Counted, not only drawn: a boot must never take an earlier boot's proposals for its own.
        boot = int(self.journal.facts.get("boot", "0")) + 1
        self.journal.set_fact("boot", str(boot))
        self.nonce = boot << 40 | self._rng.getrandbits(40)
        self.proposals = Proposals(
            self._settings.member_id,
            self.nonce,
            self._settings.max_in_flight,
            self._clock.monotonic,
        )
        # Questions count from the boot's nonce, so that no later boot takes an earlier one's answer.
        self.reads = ReadIndex(self._clock.monotonic, self.nonce)
        if "store" not in self.journal.facts:
            self.journal.set_fact("store", f"{self._rng.getrandbits(64):016x}")
        self.sync = GuardedSyncObj(
            self._settings,
            self.journal,
            self._clock,
            self._rng,
            self,
            self._configurations.latest,
        )
        self._build_parts()
        self._recovery.begin(is_emptied=self._settings.is_emptied)
        self.journal.configuration_watch = self._configurations
        if snapshot is not None:
            self.sync.state_replaced(snapshot.index, snapshot.term)
            self._snapshotting.note_snapshot(snapshot)
        self.journal.flush()

    def _build_parts(self) -> None:
        """What stands on the library's object."""
        settings, shell, clock, sync = self._settings, self._shell, self._clock, self.sync
        self._snapshotting = Snapshotting(
            settings,
            self._applier,
            clock,
            self._store,
            self.journal,
            sync,
            shell,
            self.send,
            self._origin,
        )
        self._snapshotting.on_installed = self._installed
        self._contact = LeaderContact(
            sync, shell, clock, self._members, settings.heartbeat_interval_seconds / 2
        )
        self.transfer = Transfer(
            sync, self.journal, shell, clock, self._members, settings.heartbeat_interval_seconds
        )
        self._forwarding = Forwarding(
            self.proposals,
            sync,
            self.journal,
            self._contact,
            self.transfer,
            shell,
            self._names,
            settings.max_pack_bytes,
        )
        self._remote_reads = RemoteReads(
            self.reads, sync, self.journal, self._rejoin, self._contact, shell, self._names
        )
        self._recovery = Recovery(
            sync,
            self.journal,
            self._rejoin,
            self._origin,
            shell,
            self.send,
            self._configurations,
            settings.member_id,
            is_joined=settings.voters == (),
        )
        self._leadership = Leadership(
            sync,
            self._members,
            node_name(settings.member_id),
            self.leadership_callbacks,
            self._leader_changed,
            self._may_begin,
        )
        self.leadership = self._leadership.current
        self.membership = membership = Membership(
            settings,
            self._configurations,
            sync,
            shell,
            clock,
            self._contact,
            self.transfer,
            self.nonce,
        )
        self.configuration = lambda: membership.applied
        shell.members_changed(self._configurations.latest)
        self._handlers: dict[type[Message], Callable[[MemberId, Any], None]] = {
            UnknownStore: self._recovery.on_unknown_store,
            CaughtUp: self._recovery.on_caught_up,
            Forward: self._forwarding.on_forward,
            ForwardRefused: self._forwarding.on_refused,
            ForwardLost: self._forwarding.on_question,
            ReadRequest: self._remote_reads.on_request,
            ReadReply: self._remote_reads.on_reply,
            ChangeRequest: self.membership.on_request,
            ChangeReply: self.membership.on_reply,
            Removed: self.membership.on_removed,
            SnapshotPiece: self._on_snapshot_piece,
            SnapshotReply: self._on_snapshot_reply,
        }

    def _read_configurations(self) -> Configurations:
        """Those of snapshot and log. The state's own is that of all up to the index that is applied."""
        base = self._stored_configuration()
        found = Configurations(self._applier.applied_index, base)
        found.read(self.journal)
        if self._settings.is_forced:
            alone = forced(found.latest, self._settings.member_id)
            return Configurations(self.journal.last_index, alone)
        return found

    def _stored_configuration(self) -> Configuration:
        """That of the state; that of the first start as long as it has none, or where the applier keeps none."""
        stored = decode_configuration(getattr(self._applier, "configuration", b""))
        return self._first if stored is None else stored

    def _restore(self, snapshot: Snapshot) -> None:
        try:
            self._applier.restore(read_chunks(snapshot))
        except ValueError as error:
            raise DamagedData(snapshot.path, 0, f"the state refuses it ({error})") from error

    def hello(self) -> dict[str, Any]:
        """What other members are told of this one when a connection begins."""
        return {
            "store": self.journal.facts["store"],
            "caught_up": self._recovery.may_be_counted,
            "log": [self.journal.last_term, self.journal.last_index],
            "term": self.sync.term(),
            "origin": self._origin.known,
            "answers": ["forward_lost"],
        }

    def close(self) -> None:
        """Answer all that wait and close files; no flush may be running."""
        self.proposals.fail_all(Stopped("this member is stopping"))
        self.reads.fail_all(Stopped("this member is stopping"))
        self.membership.fail_all(Stopped("this member is stopping"))
        self._snapshotting.close()
        self._log_writer.close()
        self.journal.close()

    # Connections and messages

    def connected(self, member: MemberId, hello: dict[str, Any]) -> None:
        """A connection to `member` is up; `hello` is what its core says of itself."""
        if not self._origin.meet(member, hello.get("origin")):
            self._shell.drop(member)
            return
        name, term = node_name(member), hello.get("term")
        if isinstance(term, int):
            self._rejoin.heard(name, term)
        self._recovery.meet(
            member, str(hello.get("store")), is_caught_up=bool(hello.get("caught_up"))
        )
        self.sync.connected(name, guards.log_end(hello.get("log")))
        self.membership.meet(member)
        self._forwarding.connected(member, hello.get("answers"))
        self._shell.wake()

    def disconnected(self, member: MemberId) -> None:
        """The connection to `member` ended."""
        name = node_name(member)
        self.sync.disconnected(name)
        self._snapshotting.forget_sender(name)
        self._durable_sends.forget(name)
        self._forwarding.disconnected(member)
        if name == self.sync.leader_name():
            # Questions and refusals on that connection are lost.
            self._remote_reads.start_over()
        self._shell.wake()

    def receive(self, member: MemberId, message: Message) -> None:
        """A message from a connected member, decoded and so well formed."""
        kind = type(message)
        if self.sync.peers[self._names[member]].is_emptied and not guards.may_be_heard(kind):
            return
        own = self._handlers.get(kind)
        if own is not None:
            own(member, message)
        else:
            name = self._names[member]
            self.sync.deliver(name, message)
            if kind is AppendReply and not self._is_news(name):
                return
        self._shell.wake()

    def _is_news(self, name: str) -> bool:
        """Whether an acknowledgement gives a turn something to do; of two the second seldom does."""
        return (
            self.sync.is_news(name)
            or self.reads.has_rounds
            or self.transfer.target is not None
            or self.membership.is_waiting
            or not self.sync.is_leader()
        )

    def _on_snapshot_piece(self, member: MemberId, message: SnapshotPiece) -> None:
        self._snapshotting.on_piece(self._names[member], message)

    def _on_snapshot_reply(self, member: MemberId, message: SnapshotReply) -> None:
        self._snapshotting.on_reply(self._names[member], message)

    # A turn

    def turn(self) -> float:
        """Do what there is to do; when to call again at the latest, by the clock's `monotonic`."""
        sync = self.sync
        began = self._clock.monotonic()
        if began - self._due_at > self._settings.election_timeout_seconds / 2:
            self._was_away(began)
        for stranger in self._origin.strangers():
            self._shell.drop(stranger)
        self._forwarding.hand_over()
        if self.membership.is_waiting:
            self.membership.turn()
        if self._remote_reads.is_waiting:
            self._remote_reads.begin()
        sync.tick()
        if sync.is_leader():
            sync.replicate()
            self.transfer.drive()
            if self.journal.is_dirty:
                # Entries leave before the own write begins, so that followers write at the same time.
                self._shell.push()
        self._log_writer.write()
        now = self._clock.monotonic()
        self._log_writer.check_space(now)
        self._remote_reads.finish()
        self._leadership.notice()
        if not self._recovery.is_caught_up:
            self._recovery.notice()
        self._snapshotting.maybe_start()
        if sync.more_to_apply:
            self._shell.wake()
        if self.membership.is_removed:
            raise MemberRemoved
        self._due_at = self._next_deadline(now)
        return self._due_at

    def _was_away(self, now: float) -> None:
        """This process was held up: it was stopped, or the whole machine was.

        Messages that came meanwhile are still in the sockets and are read after this turn. So in this turn neither the
        leader nor a follower nor a caller is given up.
        """
        self.sync.was_away(now)
        self._expire_at = max(self._expire_at, now + AWAY_SECONDS)

    def _next_deadline(self, now: float) -> float:
        if now >= self._expire_at:
            soonest = self.proposals.expire()
            read = self.reads.expire(self.sync.leader_name() is not None)
            soonest = min((at for at in (soonest, read) if at is not None), default=now + 3600.0)
            self._expire_at = max(soonest, now + EXPIRY_SECONDS)
        deadline = min(self.sync.next_deadline(), self._expire_at, self._log_writer.next_deadline())
        if self.membership.is_waiting:
            self.membership.expire()
            deadline = min(deadline, self.membership.next_deadline())
        again_at = self._contact.again_at
        if again_at > now and (
            self.proposals.has_waiting
            or self._forwarding.must_ask
            or self._remote_reads.is_waiting
            or self.membership.is_waiting
        ):
            deadline = min(deadline, again_at)
        return deadline

    def expires_at(self, deadline: float) -> None:
        """A caller waits no longer than `deadline`."""
        self._expire_at = min(self._expire_at, deadline)

    def _made_durable(self) -> None:
        self._durable_sends.release()
        self._recovery.tell()

    def _written(self) -> None:
        """A write ended: a turn, if it has anything to do."""
        if (
            self._log_writer.is_stuck
            or self.journal.is_dirty
            or self._forwarding.has_waiting
            or not self._recovery.is_caught_up
            or self.sync.may_commit()
        ):
            self._shell.wake()

    def _leader_changed(self) -> None:
        """Another member leads, or nobody, or this one does."""
        self._remote_reads.start_over()
        if not self.sync.is_leader():
            self._forwarding.refuse_all()
            self.transfer.forget()
        self.membership.leader_changed()
        self._shell.wake()

    def _may_begin(self) -> None:
        """This member leads, and all that was committed is applied: if no origin was among it, there is none yet."""
        if not self._origin.known:
            self.sync.append(origins.entry_of(self._rng.getrandbits(origins.BITS)))
            self._shell.wake()

    # What the guarded library asks of its owner

    def send(self, node_id: str, message: Message) -> bool:
        """Send now."""
        return self._shell.send(self._members[node_id], message)

    def hold(self, node_id: str, message: Promise, covered: int) -> None:
        """Send once what it promises is durable."""
        self._durable_sends.hold(node_id, message, covered)

    def apply_entry(self, entry: Entry) -> None:
        """A committed entry, in order, once."""
        data, index, term = entry
        if data[:1] == CONFIG_PREFIX:
            entered = decode_entered(data)
            self._applier.configure(index, encode_configuration(entered.configuration))
            self.membership.entry_applied(index, entered)
            return
        packs = decode_entry(data)
        for pack in packs:
            if not pack[0]:
                self._origin.learn(origins.number_in(pack))
        commands = [command for pack in packs for command in pack[3]]
        results = self._applier.apply(index, commands)
        if term != self._settled_term:
            self._settled_term = term
            self.proposals.settle(term)
        if commands and not results:
            self.proposals.lose_track()
            return
        start = 0
        for pack in packs:
            end = start + len(pack[3])
            self.proposals.resolve(pack, results[start:end])
            start = end
        if results:
            for callback in self.applied_callbacks:
                callback(results)

    def send_snapshot(self, node_id: str, progress: Progress) -> None:
        """A member needs what is compacted."""
        self._snapshotting.send(node_id, progress)

    def answered(self, node_id: str, number: int) -> None:
        """A member answered a numbered message in this term."""
        self.reads.answer(self._members[node_id], number)

    def _installed(self) -> None:
        """A leader's snapshot replaced the state."""
        self.proposals.lose_track()
        stored = self._stored_configuration()
        self.membership.state_replaced(self._applier.applied_index, stored)
        self._shell.wake()

    # For callers

    def voters(self) -> set[MemberId]:
        """Who counts by any configuration that may be in force, once loaded."""
        return self._configurations.voters()

    def status(self) -> RaftStatus:
        """This member's view."""
        match: dict[MemberId, int] = {}
        if self.sync.is_leader():
            match = {
                self._members[name]: self.sync.match_index(name) for name in self.sync.progress
            }
        return RaftStatus(
            member_id=self._settings.member_id,
            leader_id=self._leadership.current()[0],
            term=self.sync.term(),
            commit_index=self.sync.commit_index(),
            applied_index=self.sync.last_applied(),
            last_index=self.journal.last_index,
            match_index=match,
            is_disk_full=self._log_writer.is_disk_full,
            is_disk_stuck=self._log_writer.is_stuck,
            is_learner=self._settings.member_id in self.membership.latest.learners,
        )
