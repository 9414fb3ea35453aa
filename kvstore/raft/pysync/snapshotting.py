"""Snapshots of the running state: written in slices beside live traffic, sent to members that lag, taken from a leader.

One is written every `snapshot_count` entries, or sooner when the log in memory has grown large. The applier's
iterator is pinned to the moment it was made; one chunk a slice is taken from it on the loop and written in a thread,
so traffic goes on in between. Afterwards the log keeps a tail for members that are only a little behind.
"""

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import structlog

from kvstore.base.clock import Clock
from kvstore.base.files import is_full
from kvstore.raft.journal import Journal
from kvstore.raft.pysync import guards
from kvstore.raft.pysync.messages import Message, SnapshotPiece, SnapshotReply
from kvstore.raft.pysync.origin import Origin
from kvstore.raft.pysync.overrides import GuardedSyncObj
from kvstore.raft.pysync.progress import (
    SNAPSHOT_PIECE_BYTES,
    SNAPSHOT_PIECES_AHEAD,
    Progress,
    SnapshotTransfer,
)
from kvstore.raft.replicator import Applier, DamagedData, RaftSettings
from kvstore.raft.snapshots import (
    Snapshot,
    SnapshotReceiver,
    SnapshotStore,
    SnapshotWriter,
    read_chunks,
)

log = structlog.get_logger(__name__)

# Entries kept behind a snapshot for members that are a little behind: as etcd's catch-up entries.
TAIL_ENTRIES = 5_000
# Packed entries can be large, so the tail and the distance between snapshots are bounded in bytes too.
_NO_SPACE_SECONDS = 5.0
TAIL_BYTES = 8 << 20
MIN_LOG_BYTES, MAX_LOG_BYTES = 16 << 20, 1 << 30


class _Shell(Protocol):
    def offload(
        self, thread: str, work: Callable[[], Any], done: Callable[[Any], None] | None = None
    ) -> None: ...

    def wake(self) -> None: ...


class Snapshotting:
    """Owner of all snapshot work of one member."""

    def __init__(
        self,
        settings: RaftSettings,
        applier: Applier,
        clock: Clock,
        store: SnapshotStore,
        journal: Journal,
        sync: GuardedSyncObj,
        shell: _Shell,
        send_message: Callable[[str, Message], bool],
        origin: Origin,
    ) -> None:
        self._settings, self._applier, self._clock = settings, applier, clock
        self._store, self._journal, self._sync, self._shell = store, journal, sync, shell
        self._send_message = send_message
        self._origin = origin
        self._snapshot_index = 1
        self._not_before = 0.0
        self._writing: SnapshotWriter | None = None
        self._receiving: SnapshotReceiver | None = None
        self._receiving_from = ""
        self._installing = False
        self._closed = False
        self.on_installed: Callable[[], None] = lambda: None

    def note_snapshot(self, snapshot: Snapshot) -> None:
        """`snapshot` is the newest; the next is due `snapshot_count` entries later."""
        self._snapshot_index = snapshot.index

    def close(self) -> None:
        """Forget unfinished files."""
        self._closed = True
        if self._writing is not None:
            self._writing.abort()
        if self._receiving is not None:
            self._receiving.abort()
        for progress in self._sync.progress.values():
            progress.end_transfer()

    # Writing

    def maybe_start(self) -> None:
        """Begin a snapshot if one is due."""
        applied = self._sync.last_applied()
        behind = applied - self._snapshot_index
        if behind < self._settings.snapshot_count and (
            self._journal.bytes_in_memory < MIN_LOG_BYTES
            or behind < 1
            # While a start replays the log, the state's size says nothing yet.
            or applied < self._sync.commit_index()
            or self._journal.bytes_in_memory < self._byte_limit()
        ):
            return
        if self._writing is not None or self._installing:
            return
        if self._clock.monotonic() < self._not_before:
            return
        term = self._journal.term_at(applied)
        if term is None:
            return
        try:
            self._writing = self._store.writer(applied, term)
        except OSError as error:
            self._put_off(error)
            return
        self._snapshot_index = applied
        self._write_next(self._writing, self._applier.snapshot())

    def _put_off(self, error: OSError) -> None:
        """There is no space for a snapshot now: try again later, the log has all of it. Raises any other error."""
        if not is_full(error):
            raise error
        self._not_before = self._clock.monotonic() + _NO_SPACE_SECONDS
        log.warning("no space to write a snapshot; trying again", error=str(error))

    def _byte_limit(self) -> int:
        """Twice the state: rewriting a large one for little new log would cost more than the log does, and a log
        much larger than the state, as after a compaction, only fills memory and slows the next start."""
        latest = self._store.latest
        size = getattr(self._applier, "size_bytes", 0 if latest is None else latest.size)
        return max(MIN_LOG_BYTES, min(2 * size, MAX_LOG_BYTES))

    def _write_next(self, writer: SnapshotWriter, chunks: Iterator[bytes]) -> None:
        if self._closed or self._writing is not writer:
            return
        chunk = next(chunks, None)

        def work() -> Snapshot | OSError | None:
            try:
                if chunk is None:
                    return writer.finish()
                writer.add(chunk)
            except OSError as error:
                if not is_full(error):
                    raise
                writer.abort()
                return error
            return None

        def done(result: Snapshot | OSError | None) -> None:
            if isinstance(result, OSError):
                if self._writing is writer:
                    self._writing = None
                    latest = self._store.latest
                    self._snapshot_index = 1 if latest is None else latest.index
                self._put_off(result)
            elif result is not None:
                self._written(result)
            else:
                self._write_next(writer, chunks)

        self._shell.offload("snapshots", work, done)

    def _written(self, snapshot: Snapshot) -> None:
        self._writing = None
        self._store.publish(snapshot)
        self._journal.compact(self._tail_start(snapshot.index))
        log.info("snapshot written", index=snapshot.index, bytes=snapshot.size)
        self._shell.wake()

    def _tail_start(self, index: int) -> int:
        """The entry up to which the log may be forgotten once a snapshot holds `index`."""
        # A tail as long as the distance between snapshots would double the log for nothing when that is short.
        tail = min(TAIL_ENTRIES, self._settings.snapshot_count)
        start = index
        size = 0
        base = self._journal.base_index
        while start > base and index - start < tail and size < TAIL_BYTES:
            size += len(self._journal.entries[start - base][0])
            start -= 1
        return start

    # Sending

    def send(self, name: str, progress: Progress) -> None:
        """Go on sending the newest snapshot to a member."""
        now = self._clock.monotonic()
        transfer = progress.transfer
        stalled = 4 * self._settings.election_timeout_seconds
        if transfer is not None and now - transfer.progress_at > stalled:
            # A piece or an answer is lost. If only the last answer is missing, a new start brings it again.
            if transfer.acknowledged >= transfer.snapshot.size:
                progress.end_transfer()
                transfer = None
            else:
                transfer.sent = transfer.acknowledged
                transfer.progress_at = now
        if transfer is None:
            snapshot = self._store.latest
            if snapshot is None:
                return
            transfer = SnapshotTransfer(snapshot, snapshot.path.open("rb"), progress_at=now)
            progress.transfer = transfer
            log.info("sending snapshot", member=name, index=snapshot.index, bytes=snapshot.size)
        ahead = SNAPSHOT_PIECES_AHEAD * SNAPSHOT_PIECE_BYTES
        while (
            transfer.sent < transfer.snapshot.size
            and transfer.sent - transfer.acknowledged < ahead
            and self._send_piece(name, transfer)
        ):
            pass

    def _send_piece(self, name: str, transfer: SnapshotTransfer) -> bool:
        transfer.file.seek(transfer.sent)
        data = transfer.file.read(SNAPSHOT_PIECE_BYTES)
        piece = SnapshotPiece(
            self._sync.term(),
            self._sync.next_number(),
            transfer.snapshot.index,
            transfer.snapshot.term,
            transfer.snapshot.size,
            transfer.sent,
            data,
            self._origin.known,
        )
        if not self._send_message(name, piece):
            return False
        transfer.sent += len(data)
        return True

    def on_reply(self, name: str, message: SnapshotReply) -> None:
        """How far a member has what it was sent."""
        progress = self._sync.peers[name]
        transfer = progress.transfer
        if (
            not self._sync.is_leader()
            or not guards.ack_counts(message.term, self._sync.term())
            or transfer is None
            or transfer.snapshot.index != message.index
        ):
            return
        offset = message.offset
        if offset < transfer.acknowledged:
            transfer.sent = offset
        transfer.acknowledged = offset
        transfer.sent = max(transfer.sent, offset)
        transfer.progress_at = self._clock.monotonic()
        self.send(name, progress)

    # Receiving

    def on_piece(self, name: str, message: SnapshotPiece) -> None:
        """A piece from a leader."""
        if message.term < self._sync.term():
            self._sync.refuse_term(name)
        else:
            self._sync.heard_leader(name, message.term)
            self._take(name, message)

    def _take(self, name: str, message: SnapshotPiece) -> None:
        index, term = message.index, message.snapshot_term
        if not guards.snapshot_is_news(index, self._sync.last_applied()):
            self._sync.acknowledge_snapshot(name, index)
            return
        if self._installing:
            self._acknowledge(
                name, message, 0 if self._receiving is None else self._receiving.offset
            )
            return
        receiver = self._receiving
        same = receiver is not None and (receiver.index, receiver.term) == (index, term)
        if receiver is None or not same or self._receiving_from != name or message.offset == 0:
            if receiver is not None:
                receiver.abort()
            self._receiving = None
            try:
                receiver = self._store.receiver(index, term, message.size)
            except OSError as error:
                self._put_off(error)
                return
            self._receiving = receiver
            self._receiving_from = name
        try:
            receiver.add(message.offset, message.data)
        except OSError as error:
            # No answer: the leader begins again after a while.
            receiver.abort()
            self._receiving = None
            self._put_off(error)
            return
        self._acknowledge(name, message, receiver.offset)
        if receiver.is_complete:
            self._install(receiver, name, message.origin)

    def _acknowledge(self, name: str, message: SnapshotPiece, offset: int) -> None:
        reply = SnapshotReply(self._sync.term(), message.number, message.index, offset)
        self._send_message(name, reply)

    def forget_sender(self, name: str) -> None:
        """The connection to `name` ended: what it was sending starts again at 0 (row 5)."""
        if self._receiving is not None and self._receiving_from == name and not self._installing:
            self._receiving.abort()
            self._receiving = None

    def _install(self, receiver: SnapshotReceiver, name: str, origin: str) -> None:
        self._installing = True

        def verify() -> Snapshot | None:
            try:
                return receiver.finish()
            except DamagedData:
                return None

        self._shell.offload(
            "snapshots", verify, lambda snapshot: self._verified(snapshot, name, origin)
        )

    def _verified(self, snapshot: Snapshot | None, name: str, origin: str) -> None:
        self._installing = False
        self._receiving = None
        if self._closed:
            return
        if snapshot is None:
            log.warning("a snapshot arrived damaged and is asked for again", member=name)
            return
        if not guards.snapshot_is_news(snapshot.index, self._sync.last_applied()):
            snapshot.path.unlink()
            return
        if self._writing is not None:
            self._shell.offload("snapshots", self._writing.abort)
            self._writing = None
        self._applier.restore(read_chunks(snapshot))
        self._store.publish(snapshot)
        self._origin.learn(origin)
        self._snapshot_index = snapshot.index
        self._sync.state_replaced(snapshot.index, snapshot.term)
        log.info("snapshot installed", index=snapshot.index, bytes=snapshot.size)
        self.on_installed()
        self._sync.acknowledge_snapshot(name, snapshot.index)
