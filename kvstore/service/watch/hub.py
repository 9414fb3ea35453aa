"""All watches of a member: woken when a command touches them.

    entry applied --> index: which ranges does the key touch?
                        |
                        v
                   SyncedGroup (one a range)
                     |- alone: behind, filtered, from a later revision     --> fall_behind: each reads the history
                     |                                                         from its own cursor, when its client
                     |                                                         has room
                     '- synced: a SyncedStream for each client stream      --> BatchSender: the events are read and
                                whose watchers have all been told all          encoded once, and sent to all of them

A watcher that is not behind has seen everything up to the hub's revision, which is why it survives compaction and what
a progress notification may report. etcd calls these watchers synced and the rest unsynced, and goes through either
group watcher by watcher; here those of one range share one read, one encoding and one write.

A state restored from a snapshot arrives without `on_applied`; the jump in revisions shows it, and wakes everybody.
Compat: a watch from a compacted revision is answered `created`, then `canceled` with the compacted revision (etcd 3.4).
"""

import asyncio
from collections.abc import Sequence

from kvstore.machine.outcome import Event, Outcome
from kvstore.service.ports import MachineView
from kvstore.service.watch.cursor import Watcher
from kvstore.service.watch.groups import BatchSender, BatchShapes, SyncedGroup
from kvstore.service.watch.index import WatchIndex
from kvstore.service.watch.stream import BATCH_EVENTS, WatchStream

_STREAMS_A_TURN = 500
_SHARED_READS = 1024


class WatchHub:
    """All watchers of a member."""

    def __init__(self, machine: MachineView) -> None:
        self._machine = machine
        shapes = BatchShapes()
        self._index = WatchIndex(lambda key, range_end: SyncedGroup(key, range_end, shapes))
        self._streams: dict[WatchStream, None] = {}
        self._held: dict[WatchStream, None] = {}
        self._seen_revision = machine.revision
        self._ready: list[WatchStream] = []
        self._sender = BatchSender(machine, self.read, BATCH_EVENTS)
        self._is_call_due = False
        self._read_at = (0, 0)
        self._reads: dict[tuple[bytes, bytes, int], tuple[int, int, tuple[Event, ...]]] = {}
        self.watcher_count = 0

    @property
    def stream_count(self) -> int:
        """Open streams."""
        return len(self._streams)

    @property
    def behind_count(self) -> int:
        """Watchers that have not been told all there is."""
        self._sender.release_all()
        return sum(stream.behind_count for stream in self._streams)

    def open(self) -> WatchStream:
        """A new stream; close it when its client is gone."""
        stream = WatchStream(self, self._machine)
        self._streams[stream] = None
        return stream

    def on_applied(self, outcomes: Sequence[Outcome]) -> None:
        """Wake the watchers that the outcomes touch. Never raises, never blocks."""
        for outcome in outcomes:
            if outcome.events:
                revision = outcome.revision
                if revision > self._seen_revision + 1:
                    self._wake_all()
                self._seen_revision = max(revision, self._seen_revision)
                if self.watcher_count:
                    for event in outcome.events:
                        for group in self._index.touched(event.kv.key):
                            self._touch(group, revision)
        if self._machine.revision != self._seen_revision:
            self.check_jump()
        if self._held:
            for stream in self._held:
                stream.nudge()
            self._held.clear()

    def _touch(self, group: SyncedGroup, revision: int) -> None:
        for watcher in group.alone:
            watcher.fall_behind(revision)
        if group.synced and not group.since:
            self._sender.touch(group, revision)
            self._call_later()

    def check_jump(self) -> None:
        """Notice a state that was replaced (snapshot) and let every watcher look. Called now and then."""
        revision = self._machine.revision
        if revision != self._seen_revision:
            self._wake_all()
            self._seen_revision = revision

    def progress_tick(self) -> None:
        """Let watchers that asked for it, and had no events since the last tick, report how far they are."""
        self.check_jump()
        for stream in self._streams:
            stream.want_periodic_progress()

    def attach(self, watcher: Watcher, stream: WatchStream) -> None:
        """Index a new watcher; it is behind if there is a past to read."""
        revision, spec = self._machine.revision, watcher.spec
        group = self._index.entry(spec.key, spec.range_end)
        # One from the future would keep the others of its stream from being told together until then.
        group.add(watcher, stream, is_synced=watcher.next_revision <= revision + 1)
        self.watcher_count += 1
        if watcher.next_revision <= revision:
            watcher.is_behind = True
            watcher.wake(watcher)

    def detach(self, watcher: Watcher, stream: WatchStream) -> None:
        """Forget a watcher."""
        spec = watcher.spec
        group = self._index.entry(spec.key, spec.range_end)
        group.remove(watcher, stream)
        if group.is_empty:
            self._index.remove(spec.key, spec.range_end)
        self.watcher_count -= 1

    def call_soon(self, stream: WatchStream) -> None:
        """Have the stream's owner called with the others that became ready in this turn of the loop."""
        self._ready.append(stream)
        self._call_later()

    def _call_later(self) -> None:
        if not self._is_call_due:
            self._is_call_due = True
            asyncio.get_running_loop().call_soon(self._call_ready)

    def _call_ready(self) -> None:
        self._is_call_due = False
        self.check_jump()
        # First: a stream that is called reads what it was to be told with others, and then cannot be told with them.
        if self._sender.touched:
            self._sender.send()
        ready = self._ready
        # Others get their turn in between when there are thousands.
        self._ready = ready[_STREAMS_A_TURN:]
        if self._ready:
            self._call_later()
        for stream in ready[:_STREAMS_A_TURN]:
            stream.call()

    def read(
        self, key: bytes, range_end: bytes, revision: int
    ) -> tuple[int, int, tuple[Event, ...]]:
        """What `key` to `range_end` had from `revision` on: (how many events, where the last one is, themselves).

        Watchers of one range that were woken together share the answer, so that it is read, and encoded, once.
        """
        # Compaction takes the versions before from events.
        state = (self._machine.revision, self._machine.compact_revision)
        if self._read_at != state or len(self._reads) > _SHARED_READS:
            self._reads.clear()
            self._read_at = state
        at = (key, range_end, revision)
        known = self._reads.get(at)
        if known is None:
            found = self._machine.history.since(key, range_end, revision, BATCH_EVENTS)
            events = tuple([event for _, group in found for event in group])
            known = self._reads[at] = (len(events), found[-1][0] if found else 0, events)
        return known

    def release(self, stream: WatchStream) -> None:
        """Let its watchers read for themselves what they were to be told with others."""
        if self._sender.touched:
            self._sender.release(stream)

    def forget(self, stream: WatchStream) -> None:
        """Forget a stream."""
        self._streams.pop(stream, None)
        self._held.pop(stream, None)

    def hold(self, stream: WatchStream) -> None:
        """Wake `stream` when there is another revision, whoever it is for."""
        self._held[stream] = None

    def _wake_all(self) -> None:
        self._sender.release_all()
        for stream in self._streams:
            for watcher in stream.watchers.values():
                watcher.fall_behind(self._seen_revision + 1)
