"""Watches: cursors over the history, woken when a command touches them.

A watcher holds no queue. It is *clean* (has seen all there is for it) or *dirty* (there may be more); a dirty one reads
whole revisions from `machine.history` when its stream has room to send them. So a slow client costs nothing but its
cursor, and compaction past a dirty cursor is one well-defined cancel. A clean cursor has seen everything up to the
hub's revision, which is why it survives compaction and what a progress notification may report.

Watchers in step with each other share even that: an event marks their group, and the hub sends it to all of them in one
go (`kvstore.service.watch_groups`). Whoever cannot be served so becomes dirty, and nothing is different for him.

A state restored from a snapshot arrives without `on_applied`; the jump in revisions shows it, and wakes everybody.
Compat: a watch from a compacted revision is answered `created`, then `canceled` with the compacted revision (etcd 3.4).
"""

import asyncio
from collections.abc import Sequence

from kvstore.machine.outcome import Event, Outcome
from kvstore.service.ports import MachineView
from kvstore.service.watch_groups import Group, Seat, Seating, StreamOwner, Variants
from kvstore.service.watch_index import WatchIndex
from kvstore.service.watch_notices import DuplicateWatchId as DuplicateWatchId
from kvstore.service.watch_notices import Notice as Notice
from kvstore.service.watch_notices import WatchBatch as WatchBatch
from kvstore.service.watch_notices import WatchCompacted as WatchCompacted
from kvstore.service.watch_notices import WatchProgress as WatchProgress
from kvstore.service.watch_notices import WatchSpec as WatchSpec

_STREAMS_A_TURN = 500
_SHARED_READS = 1024
BATCH_EVENTS = 1000
"""Events a batch holds before it is cut at a revision; etcd uses the same for watchers that lag."""


class Watcher:
    """One cursor. `next_revision` is the oldest revision it has not seen; while it is clean, one that it had not."""

    __slots__ = ("is_dirty", "next_revision", "seat", "spec", "stream", "was_sent", "watch_id")

    def __init__(
        self, watch_id: int, spec: WatchSpec, next_revision: int, stream: "WatchStream"
    ) -> None:
        self.watch_id = watch_id
        self.spec = spec
        self.next_revision = next_revision
        self.stream = stream
        self.is_dirty = False
        self.seat: Seat | None = None
        """Its place among those who are served together; None if it is none of them."""
        self.was_sent = False
        """Whether events went out since the last progress tick, which then need not say anything."""

    def wants(self, event: Event) -> bool:
        """Whether the filters let `event` through."""
        return not (self.spec.no_delete if event.is_delete else self.spec.no_put)


class WatchHub:
    """All watchers of a member."""

    def __init__(self, machine: MachineView) -> None:
        self._machine = machine
        variants = Variants()
        self._index = WatchIndex(lambda key, range_end: Group(key, range_end, variants))
        self._streams: dict[WatchStream, None] = {}
        self._held: dict[WatchStream, None] = {}
        self._seen_revision = machine.revision
        self._ready: list[WatchStream] = []
        self.seating = Seating(machine, self.read, BATCH_EVENTS, _unseat)
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
        self.seating.clear()
        return sum(stream.behind_count for stream in self._streams)

    def open(self) -> "WatchStream":
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

    def _touch(self, group: Group, revision: int) -> None:
        for watcher in group.others:
            _mark(watcher, revision)
        if group.seats and not group.since:
            self.seating.touch(group, revision)
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

    def attach(self, watcher: Watcher) -> None:
        """Index a new watcher; it is dirty if there is a past to read."""
        revision, spec = self._machine.revision, watcher.spec
        group = self._index.entry(spec.key, spec.range_end)
        # One from the future would keep those who sit with it from being served together until then.
        group.add(watcher, is_in_step=watcher.next_revision <= revision + 1)
        self.watcher_count += 1
        if watcher.next_revision <= revision:
            watcher.is_dirty = True
            watcher.stream.wake(watcher)

    def detach(self, watcher: Watcher) -> None:
        """Forget a watcher."""
        spec = watcher.spec
        group = self._index.entry(spec.key, spec.range_end)
        group.remove(watcher)
        if group.is_empty:
            self._index.remove(spec.key, spec.range_end)
        self.watcher_count -= 1

    def call_soon(self, stream: "WatchStream") -> None:
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
        # First: a stream that is called reads what its seats have not been told, and then cannot be served with others.
        if self.seating.touched:
            self.seating.serve()
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

    def forget(self, stream: "WatchStream") -> None:
        """Forget a stream."""
        self._streams.pop(stream, None)
        self._held.pop(stream, None)

    def hold(self, stream: "WatchStream") -> None:
        """Wake `stream` when there is another revision, whoever it is for."""
        self._held[stream] = None

    def _wake_all(self) -> None:
        self.seating.clear()
        for stream in self._streams:
            for watcher in stream.watchers.values():
                _mark(watcher, self._seen_revision + 1)


def _unseat(seat: Seat, since: int) -> None:
    """Let each watcher of a seat read for itself from `since` on. It stays seated for what comes after."""
    for watcher in seat.watchers.values():
        _mark(watcher, since)


def _mark(watcher: Watcher, revision: int) -> None:
    """Make `watcher` read from `revision` on; if it is behind already, from where it is."""
    if watcher.is_dirty:
        return
    # A clean cursor has seen all before `revision`, and may wait for a later one.
    watcher.next_revision = max(watcher.next_revision, revision)
    watcher.is_dirty = True
    watcher.stream.wake(watcher)


class WatchStream:
    """The watchers of one client stream. One reader creates and cancels, one writer waits and takes."""

    def __init__(self, hub: WatchHub, machine: MachineView) -> None:
        self._hub = hub
        self._machine = machine
        self.watchers: dict[int, Watcher] = {}
        self.dirty: dict[Watcher, None] = {}
        """Its watchers that have not been told all there is, the next one first."""
        self._periodic: dict[Watcher, None] = {}
        self._is_progress_wanted = False
        self._next_id = 0
        # Compat: an id whose watch compaction ended stays taken until the client cancels it.
        self._ended: set[int] = set()
        self._event = asyncio.Event()
        self.owner: StreamOwner | None = None
        self.is_called = False
        """Whether its owner will be called, for whatever it has to say."""

    @property
    def behind_count(self) -> int:
        """Its watchers that have not been told all there is."""
        return len(self.dirty)

    def create(self, spec: WatchSpec) -> Watcher:
        """Begin a watch. Raises DuplicateWatchId. Nothing is lost from this instant on."""
        watch_id = spec.watch_id
        if watch_id:
            if watch_id in self.watchers or watch_id in self._ended:
                raise DuplicateWatchId
        else:
            while self._next_id in self.watchers or self._next_id in self._ended:
                self._next_id += 1
            watch_id = self._next_id
            self._next_id += 1
        next_revision = spec.start_revision or self._machine.revision + 1
        watcher = Watcher(watch_id, spec, next_revision, self)
        self.watchers[watch_id] = watcher
        self._hub.attach(watcher)
        return watcher

    def cancel(self, watch_id: int) -> bool:
        """End a watch; False if there is none of this id."""
        watcher = self.watchers.pop(watch_id, None)
        if watcher is None:
            was_ended = watch_id in self._ended
            self._ended.discard(watch_id)
            return was_ended
        self.dirty.pop(watcher, None)
        self._periodic.pop(watcher, None)
        self._hub.detach(watcher)
        return True

    def request_progress(self) -> None:
        """Report progress once all that is there now was taken."""
        self._is_progress_wanted = True
        self._signal()

    def want_periodic_progress(self) -> None:
        """Called by the hub's tick."""
        for watcher in self.watchers.values():
            if watcher.seat is not None:
                watcher.seat.settle_told()
            if watcher.spec.progress_notify and not watcher.was_sent:
                self._periodic[watcher] = None
            watcher.was_sent = False
        if self._periodic:
            self._signal()

    def wake(self, watcher: Watcher) -> None:
        """The hub says: `watcher` is dirty."""
        self.dirty[watcher] = None
        self._signal()

    def nudge(self) -> None:
        """Make `wait` return, because the caller has something of its own to send."""
        self._signal()

    @property
    def has_news(self) -> bool:
        """Whether `take` has something to look at."""
        return bool(self.dirty or self._periodic or self._is_progress_wanted)

    def own(self, owner: StreamOwner | None) -> None:
        """Call `owner` when `take` may have something, instead of ending a `wait`; None = no more."""
        self.owner = owner

    def _signal(self) -> None:
        if self.owner is None:
            self._event.set()
        elif not self.is_called:
            self.is_called = True
            self._hub.call_soon(self)

    def call(self) -> None:
        """The hub says: it is time."""
        self.is_called = False
        if self.owner is not None:
            self.owner.on_ready()

    def fail(self, error: Exception) -> None:
        """The hub says: something broke while this stream was served."""
        if self.owner is not None:
            self.owner.on_error(error)

    async def wait(self) -> None:
        """Until `take` may have something."""
        await self._event.wait()

    def take(self) -> Notice | None:
        """The next thing to send, or None. The caller sends it before it takes another."""
        # A replaced state would otherwise let progress speak of revisions nobody was shown.
        self._hub.check_jump()
        if self._hub.seating.touched:
            self._hub.seating.settle(self)
        while self.dirty:
            watcher = next(iter(self.dirty))
            # Others get their turn before this one's next batch.
            del self.dirty[watcher]
            notice = self._read(watcher)
            if notice is not None:
                return notice
        revision = self._machine.revision
        while self._periodic:
            watcher = next(iter(self._periodic))
            del self._periodic[watcher]
            # One that begins later must not be told an older revision (etcd #20221).
            if watcher.next_revision <= revision + 1:
                return WatchProgress(watcher, revision)
        if self._is_progress_wanted:
            if not self._is_ahead(revision):
                self._is_progress_wanted = False
                return WatchProgress(None, revision)
            self._hub.hold(self)
        self._event.clear()
        return None

    def close(self) -> None:
        """End all watches of the stream."""
        for watch_id in list(self.watchers):
            self.cancel(watch_id)
        self._hub.forget(self)

    def _is_ahead(self, revision: int) -> bool:
        """Whether a watch begins later: its client was further elsewhere, and must not be told an older revision."""
        return any(one.next_revision > revision + 1 for one in self.watchers.values())

    def _read(self, watcher: Watcher) -> Notice | None:
        machine, spec = self._machine, watcher.spec
        revision, compact_revision = machine.revision, machine.compact_revision
        if watcher.next_revision < compact_revision:
            self.cancel(watcher.watch_id)
            self._ended.add(watcher.watch_id)
            return WatchCompacted(watcher, compact_revision, revision)
        events: tuple[Event, ...] = ()
        count = last = 0
        if watcher.next_revision <= revision:
            count, last, events = self._hub.read(spec.key, spec.range_end, watcher.next_revision)
        if count >= BATCH_EVENTS:
            watcher.next_revision = last + 1
            self.dirty[watcher] = None
        else:
            watcher.next_revision = max(watcher.next_revision, revision + 1)
            watcher.is_dirty = False
            if watcher.seat is not None:
                # Its group may have been touched before this read, and must not tell it again.
                watcher.seat.next_revision = watcher.next_revision
        if spec.no_put or spec.no_delete:
            events = tuple([event for event in events if watcher.wants(event)])
        if not events:
            return None
        watcher.was_sent = True
        return WatchBatch(watcher, events, revision)
