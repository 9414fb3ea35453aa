"""One member of the cluster without sockets, threads or timers: messages and turns in, messages and disk work out.

A turn goes in this order: pack what is proposed into one entry, begin reads, tick the library (commit, apply,
elections, heartbeats), send entries, begin one fsync for all that is new. Acknowledgements and votes are held until the
fsync that covers them has ended; while one fsync runs the next batch gathers. The shell (`engine`, or a simulation)
delivers messages, calls `turn` when woken or when the deadline it returned has come, and runs disk work.
"""

import random
from collections.abc import Callable, Sequence
from typing import Any

import structlog

from kvstore.base.clock import Clock
from kvstore.base.files import Files
from kvstore.raft.journal import Entry, Journal
from kvstore.raft.proposals import Pack, Proposals, decode_entry, encode_entry
from kvstore.raft.pysync import guards
from kvstore.raft.pysync.durable_sends import DurableSends
from kvstore.raft.pysync.forwarded import Forwarded, is_pack_of
from kvstore.raft.pysync.guards import Message
from kvstore.raft.pysync.log_writer import LogWriter
from kvstore.raft.pysync.overrides import GuardedSyncObj
from kvstore.raft.pysync.ports import Shell
from kvstore.raft.pysync.progress import Progress
from kvstore.raft.pysync.rejoin import Rejoin
from kvstore.raft.pysync.snapshotting import Snapshotting
from kvstore.raft.pysync.state import node_name
from kvstore.raft.read_index import ReadIndex
from kvstore.raft.replicator import (
    Applier,
    DamagedData,
    MemberId,
    NotLeader,
    RaftSettings,
    RaftStatus,
    Stopped,
)
from kvstore.raft.snapshots import Snapshot, SnapshotStore, read_chunks

log = structlog.get_logger(__name__)

# Messages that are the core's own, each with its handler.
_KINDS = (
    "unknown_store",
    "caught_up",
    "forward",
    "forward_refused",
    "read_request",
    "read_reply",
)
# How much longer callers wait who would have been given up while this member was held up.
AWAY_SECONDS = 0.5
# Deadlines of callers need no more precision than this.
EXPIRY_SECONDS = 0.02


class Core:
    """See the module. `load` first."""

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
        self._members = {node_name(member): member for member in settings.peers}
        self._names = {member: name for name, member in self._members.items()}
        self._handlers: dict[str, Callable[[MemberId, Message], None]] = {
            kind: getattr(self, f"_on_{kind}") for kind in _KINDS
        }
        self._durable_sends = DurableSends(self.journal, lambda: self.sync.term(), self.send)
        self._forwarded = Forwarded()
        self._forward_again_at = 0.0
        self._settled_term = 0
        self._seen_view: tuple[object, int] = (None, 0)
        self._known_leader: tuple[object, int] = (None, -1)
        self._leadership = (MemberId(0), 0)
        self._announced_leading = False
        self._rejoin = Rejoin()
        self._expire_at = 0.0
        self._due_at = float("inf")
        self._transfer_again_at = 0.0
        self.transfer_target: str | None = None
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
        self.sync = GuardedSyncObj(self._settings, self.journal, self._clock, self._rng, self)
        self._snapshotting = Snapshotting(
            self._settings,
            self._applier,
            self._clock,
            self._store,
            self.journal,
            self.sync,
            self._shell,
        )
        self._snapshotting.on_installed = self._installed
        if snapshot is not None:
            self.sync.state_replaced(snapshot.index, snapshot.term)
            self._snapshotting.note_snapshot(snapshot)
        self.journal.flush()

    def _restore(self, snapshot: Snapshot) -> None:
        try:
            self._applier.restore(read_chunks(snapshot))
        except ValueError as error:
            raise DamagedData(snapshot.path, 0, f"the state refuses it ({error})") from error

    def hello(self) -> dict[str, Any]:
        """What other members are told of this one when a connection begins."""
        facts = self.journal.facts
        is_caught_up = self._is_caught_up and not self._rejoin.must_tell
        return {
            "store": facts["store"],
            "caught_up": is_caught_up,
            "log": [self.journal.last_term, self.journal.last_index],
            "term": self.sync.term(),
        }

    def close(self) -> None:
        """Answer all that wait and close files; no flush may be running."""
        self.proposals.fail_all(Stopped("this member is stopping"))
        self.reads.fail_all(Stopped("this member is stopping"))
        self._snapshotting.close()
        self._log_writer.close()
        self.journal.close()

    # Connections and messages

    def connected(self, member: MemberId, hello: dict[str, Any]) -> None:
        """A connection to `member` is up; `hello` is what its core says of itself."""
        store, caught_up = str(hello.get("store")), bool(hello.get("caught_up"))
        name, fact = node_name(member), f"peer:{member:x}"
        term = hello.get("term")
        if isinstance(term, int):
            self._rejoin.heard(name, term)
        known = self.journal.facts.get(fact)
        is_emptied = known not in (None, store) and not caught_up
        self.sync.progress[name].is_emptied = is_emptied
        if is_emptied:
            # It lost what it had promised: it must not vote before it holds it again.
            log.warning("member came back with an empty store", member=name)
            self._shell.send(member, {"type": "unknown_store"})
        else:
            self.journal.set_fact(fact, store)
        self.sync.connected(name, guards.log_end(hello.get("log")))
        self._shell.wake()

    def disconnected(self, member: MemberId) -> None:
        """The connection to `member` ended."""
        name = node_name(member)
        self.sync.disconnected(name)
        self._snapshotting.forget_sender(name)
        self._durable_sends.forget(name)
        if name == self.sync.leader_name():
            # Questions and refusals on that connection are lost.
            self._start_reads_over()
        self._shell.wake()

    def receive(self, member: MemberId, message: Message) -> None:
        """A message that `guards.is_known_message` let pass, from a connected member."""
        kind = message["type"]
        own = self._handlers.get(kind)
        if own is not None:
            own(member, message)
        elif kind in ("snapshot", "snapshot_ack"):
            self._snapshotting.receive(self._names[member], message)
        else:
            name = self._names[member]
            self.sync.deliver(name, message)
            if kind == "next_node_idx" and not self._is_news(name):
                return
        self._shell.wake()

    def _is_news(self, name: str) -> bool:
        """Whether an acknowledgement gives a turn something to do; the second of two seldom does."""
        return (
            self.sync.is_news(name)
            or self.reads.has_rounds
            or self.transfer_target is not None
            or not self.sync.is_leader()
        )

    def _on_unknown_store(self, member: MemberId, message: Message) -> None:
        if self._is_caught_up:
            # Said of the hello before it caught up, and late: nothing would let it vote again.
            return
        if self.sync.may_vote:
            log.warning("this member lost its data; it votes again once it has caught up")
        self.sync.may_vote = False
        self._rejoin.is_emptied = True

    def _on_caught_up(self, member: MemberId, message: Message) -> None:
        self.journal.set_fact(f"peer:{member:x}", message["store"])
        self.sync.progress[node_name(member)].is_emptied = False

    def _on_forward(self, member: MemberId, message: Message) -> None:
        pack = message["pack"]
        if not is_pack_of(pack, member):
            return
        accepted = (
            self.sync.is_leader()
            and message["term"] == self.sync.term()
            and self.transfer_target is None
            and self._forwarded.add(member, tuple(pack), message["term"])
        )
        if not accepted:
            self._refuse(member, pack, message["term"])

    def _refuse(self, member: MemberId, pack: Sequence[Any], term: int) -> None:
        numbers = list(pack[2])
        message = {"type": "forward_refused", "term": term, "nonce": pack[1], "numbers": numbers}
        self._shell.send(member, message)

    def _on_forward_refused(self, member: MemberId, message: Message) -> None:
        if message["nonce"] == self.nonce:
            self.proposals.take_back(message["numbers"], message["term"])
            self._forward_again_at = (
                self._clock.monotonic() + self._settings.heartbeat_interval_seconds / 2
            )

    def _on_read_request(self, member: MemberId, message: Message) -> None:
        if self.sync.is_leader():
            # Its answer is worth nothing there before the entry is applied.
            self.reads.submit_remote(member, message["question"])
            self.sync.tell_commit(self._names[member], self.journal.last_index)
        else:
            self._reply_read(member, message["question"], None)

    def _reply_read(self, member: MemberId, question: int, index: int | None) -> None:
        self._shell.send(member, {"type": "read_reply", "question": question, "index": index})

    def _on_read_reply(self, member: MemberId, message: Message) -> None:
        self._rejoin.told(message["question"], message["index"])
        if message["index"] is None:
            self.reads.ask_again(message["question"])
            self._forward_again_at = (
                self._clock.monotonic() + self._settings.heartbeat_interval_seconds / 2
            )
        else:
            self.reads.told(message["question"], message["index"], self.sync.last_applied())

    # A turn

    def turn(self) -> float:
        """Do what there is to do; when to call again at the latest, by the clock's `monotonic`."""
        sync = self.sync
        began = self._clock.monotonic()
        if began - self._due_at > self._settings.election_timeout_seconds / 2:
            self._was_away(began)
        if self.transfer_target is None:
            self._hand_over()
        if self.reads.has_new or self._rejoin.must_ask:
            self._begin_reads()
        sync.tick()
        if sync.is_leader():
            sync.replicate()
            if self.transfer_target is not None:
                self._drive_transfer()
            if self.journal.is_dirty:
                # Others are to write while this member does.
                self._shell.push()
        self._log_writer.write()
        now = self._clock.monotonic()
        self._log_writer.check_space(now)
        self._finish_reads()
        self._notice_leadership()
        if not self._is_caught_up:
            self._notice_caught_up()
        self._snapshotting.maybe_start()
        if sync.more_to_apply:
            self._shell.wake()
        self._due_at = self._next_deadline(now)
        return self._due_at

    def _was_away(self, now: float) -> None:
        """This member was held up: frozen, or the whole machine was.

        What came meanwhile waits in its sockets, and is heard after this turn. So nobody is given up in this one.
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
        waits = self.proposals.has_waiting or self.reads.has_new or self._rejoin.must_ask
        if waits and self._forward_again_at > now:
            deadline = min(deadline, self._forward_again_at)
        return deadline

    def expires_at(self, deadline: float) -> None:
        """A caller waits no longer than `deadline`."""
        self._expire_at = min(self._expire_at, deadline)

    def _hand_over(self) -> None:
        if self.sync.is_leader():
            # While one fsync runs, the next batch gathers.
            if not self.journal.is_flushing:
                self._append_packs()
        elif self.proposals.has_waiting and self._clock.monotonic() >= self._forward_again_at:
            self._forward()

    def _append_packs(self) -> None:
        limit = self._settings.max_pack_bytes
        while self._forwarded or self.proposals.has_waiting:
            own = self.proposals.take(limit, self.sync.term())
            packs: list[Pack] = [own] if own is not None else []
            size = sum(len(command) for command in own[3]) if own is not None else 0
            packs.extend(self._forwarded.take(limit - size, at_least_one=own is None))
            if packs:
                self.sync.append(encode_entry(packs))
                for pack in packs:
                    if pack is not own:
                        # Its callers wait for it to be applied over there.
                        self.sync.tell_commit(node_name(pack[0]), self.journal.last_index)

    def _forward(self) -> None:
        leader = self.sync.leader_name()
        if leader is None or leader not in self.sync.progress:
            return
        while (
            pack := self.proposals.take(self._settings.max_pack_bytes, self.sync.term())
        ) is not None:
            message = {"type": "forward", "term": self.sync.term(), "pack": pack}
            if not self._shell.send(self._members[leader], message):
                self.proposals.take_back(pack[2], self.sync.term())
                self._forward_again_at = (
                    self._clock.monotonic() + self._settings.heartbeat_interval_seconds / 2
                )
                return

    def _begin_reads(self) -> None:
        if self.sync.is_leader():
            if self.sync.has_committed_own_term():
                index = self.sync.commit_index()
                self.reads.open_round(index, self.sync.confirm_leadership())
            return
        leader = self.sync.leader_name()
        now = self._clock.monotonic()
        if leader is None or leader not in self.sync.progress or now < self._forward_again_at:
            return
        question = self.reads.ask()
        self._rejoin.asked(question)
        message = {"type": "read_request", "question": question}
        if not self._shell.send(self._members[leader], message):
            self.reads.ask_again(question)
            self._rejoin.told(question, None)
            self._forward_again_at = now + self._settings.heartbeat_interval_seconds / 2

    def _finish_reads(self) -> None:
        applied = self.sync.last_applied()
        if self.sync.is_leader():
            for member, question, index in self.reads.close_rounds(self.sync.majority(), applied):
                self._reply_read(member, question, index)
        self.reads.applied(applied)

    def _start_reads_over(self) -> None:
        self._rejoin.start_over()
        for member, question in self.reads.start_over():
            self._reply_read(member, question, None)

    def _made_durable(self) -> None:
        self._durable_sends.release()
        self._tell_caught_up()

    def _written(self) -> None:
        """A write ended: a turn, if it has anything to do."""
        if (
            self._log_writer.is_stuck
            or self.journal.is_dirty
            or self.proposals.has_waiting
            or self._forwarded
            or not self._is_caught_up
            or self.sync.may_commit()
        ):
            self._shell.wake()

    def _notice_leadership(self) -> None:
        view = self.sync.leader_and_term()
        if view == self._seen_view and self._announced_leading == self.sync.is_leader():
            # Nobody else leads, and in one term leading is announced once.
            return
        if view != self._seen_view:
            self._seen_view = view
            self._start_reads_over()
            if not self.sync.is_leader():
                for member, pack, term in self._forwarded.clear():
                    self._refuse(member, pack, term)
                self.transfer_target = None
            own = node_name(self._settings.member_id)
            log.info(
                "leader seen", member=own, leader=self.sync.leader_name(), term=self.sync.term()
            )
            self._shell.wake()
        leading = self.sync.has_committed_own_term() and not self._is_behind()
        if leading != self._announced_leading:
            self._announced_leading = leading
            for callback in self.leadership_callbacks:
                callback(leading)

    def _is_behind(self) -> bool:
        """Leading is announced when all that was committed before is applied, not for each entry after."""
        if self._announced_leading:
            return False
        return self.sync.last_applied() < self.sync.commit_index()

    @property
    def _is_caught_up(self) -> bool:
        return self.journal.facts.get("caught_up") == "yes"

    def _notice_caught_up(self) -> None:
        sync = self.sync
        lost_until: int | None = 0
        if self._rejoin.is_emptied:
            target = self._rejoin.index
            holds = min(sync.last_applied(), self.journal.durable_index)
            lost_until = self._rejoin.lost_votes_until(sync.progress)
        else:
            target = sync.commit_index() if sync.is_leader() else sync.leader_commit
            holds = sync.last_applied()
        if 1 < target <= holds and lost_until is not None:
            sync.forgo_votes(lost_until)
            self.journal.set_fact("caught_up", "yes")
            self._rejoin.must_tell = self._rejoin.is_emptied
            self._rejoin.is_emptied = False
            sync.may_vote = True
            self._shell.wake()

    def _tell_caught_up(self) -> None:
        """Once this cannot be forgotten any more, the others may count this member again."""
        if self._rejoin.must_tell and self.journal.is_vote_durable:
            self._rejoin.must_tell = False
            message = {"type": "caught_up", "store": self.journal.facts["store"]}
            for name, progress in self.sync.progress.items():
                if progress.connected:
                    self.send(name, message)

    # Leadership transfer

    def begin_transfer(self, target: MemberId) -> None:
        """Hold new proposals and hand over to `target` as soon as it has everything. Raises NotLeader."""
        if not self.sync.is_leader():
            raise NotLeader("this member does not lead")
        self.transfer_target = node_name(target)
        self._transfer_again_at = 0.0
        self._shell.wake()

    def end_transfer(self) -> None:
        """Lead on, if still leading."""
        self.transfer_target = None
        self._shell.wake()

    def _drive_transfer(self) -> None:
        target = self.transfer_target
        now = self._clock.monotonic()
        if target is None or now < self._transfer_again_at:
            return
        if self.sync.match_index(target) == self.journal.last_index:
            self._transfer_again_at = now + self._settings.heartbeat_interval_seconds
            message = {"type": "timeout_now", "term": self.sync.term()}
            self._shell.send(self._members[target], message)

    # What the guarded library asks of its owner

    def send(self, node_id: str, message: Message) -> bool:
        """Send now."""
        return self._shell.send(self._members[node_id], message)

    def hold(self, node_id: str, message: Message, covered: int) -> None:
        """Send once what it promises is durable."""
        self._durable_sends.hold(node_id, message, covered)

    def apply_entry(self, entry: Entry) -> None:
        """A committed entry, in order, once."""
        data, index, term = entry
        packs = decode_entry(data)
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
        self._shell.wake()

    # For callers

    def leadership(self) -> tuple[MemberId, int]:
        """The leader this member knows, 0 for none, and the term."""
        seen = self.sync.leader_and_term()
        if seen != self._known_leader:
            leader = self.sync.leader_name()
            member = MemberId(0) if leader is None else self._members[leader]
            self._known_leader, self._leadership = seen, (member, self.sync.term())
        return self._leadership

    def status(self) -> RaftStatus:
        """This member's view."""
        match: dict[MemberId, int] = {}
        if self.sync.is_leader():
            match = {
                self._members[name]: self.sync.match_index(name) for name in self.sync.progress
            }
        return RaftStatus(
            member_id=self._settings.member_id,
            leader_id=self.leadership()[0],
            term=self.sync.term(),
            commit_index=self.sync.commit_index(),
            applied_index=self.sync.last_applied(),
            last_index=self.journal.last_index,
            match_index=match,
            is_disk_full=self._log_writer.is_disk_full,
            is_disk_stuck=self._log_writer.is_stuck,
        )
