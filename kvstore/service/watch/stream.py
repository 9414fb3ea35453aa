"""The watches of one client: who is behind, who wants progress, and what is to be sent next."""

import asyncio
from typing import Protocol

from kvstore.machine.outcome import Event
from kvstore.service.ports import MachineView
from kvstore.service.watch.cursor import Watcher
from kvstore.service.watch.groups import StreamOwner
from kvstore.service.watch.notices import Notice, WatchBatch, WatchCompacted, WatchProgress
from kvstore.service.watch.spec import DuplicateWatchId, WatchSpec

BATCH_EVENTS = 1000
"""Events a batch holds before it is cut at a revision; etcd uses the same for watchers that lag."""


class StreamHub(Protocol):
    """What a stream asks of the hub."""

    def attach(self, watcher: Watcher, stream: "WatchStream") -> None:
        """Wake a new watcher from now on."""
        ...

    def detach(self, watcher: Watcher, stream: "WatchStream") -> None:
        """Forget a watcher."""
        ...

    def forget(self, stream: "WatchStream") -> None:
        """Forget a stream without watchers."""
        ...

    def release(self, stream: "WatchStream") -> None:
        """Let its watchers read for themselves what they were to be told with others."""
        ...

    def read(
        self, key: bytes, range_end: bytes, revision: int
    ) -> tuple[int, int, tuple[Event, ...]]:
        """What a range had from `revision` on: (how many events, where the last one is, themselves)."""
        ...

    def check_jump(self) -> None:
        """Notice a state that was replaced."""
        ...

    def call_soon(self, stream: "WatchStream") -> None:
        """Have the stream's owner called in this turn of the loop or the next."""
        ...

    def hold(self, stream: "WatchStream") -> None:
        """Wake the stream when there is another revision."""
        ...


class WatchStream:
    """The watchers of one client stream. One reader creates and cancels, one writer waits and takes."""

    def __init__(self, hub: StreamHub, machine: MachineView) -> None:
        self._hub = hub
        self._machine = machine
        self.watchers: dict[int, Watcher] = {}
        self.behind: dict[Watcher, None] = {}
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
        return len(self.behind)

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
        watcher = Watcher(watch_id, spec, next_revision, self.wake)
        self.watchers[watch_id] = watcher
        self._hub.attach(watcher, self)
        return watcher

    def cancel(self, watch_id: int) -> bool:
        """End a watch; False if there is none of this id."""
        watcher = self.watchers.pop(watch_id, None)
        if watcher is None:
            was_ended = watch_id in self._ended
            self._ended.discard(watch_id)
            return was_ended
        self.behind.pop(watcher, None)
        self._periodic.pop(watcher, None)
        self._hub.detach(watcher, self)
        return True

    def request_progress(self) -> None:
        """Report progress once all that is there now was taken."""
        self._is_progress_wanted = True
        self._signal()

    def want_periodic_progress(self) -> None:
        """Called by the hub's tick."""
        for watcher in self.watchers.values():
            if watcher.shared is not None:
                watcher.shared.spread_sent()
            if watcher.spec.progress_notify and not watcher.was_sent:
                self._periodic[watcher] = None
            watcher.was_sent = False
        if self._periodic:
            self._signal()

    def wake(self, watcher: Watcher) -> None:
        """The hub says: `watcher` is behind."""
        self.behind[watcher] = None
        self._signal()

    def nudge(self) -> None:
        """Make `wait` return, because the caller has something of its own to send."""
        self._signal()

    @property
    def has_news(self) -> bool:
        """Whether `take` has something to look at."""
        return bool(self.behind or self._periodic or self._is_progress_wanted)

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
        self._hub.release(self)
        while self.behind:
            watcher = next(iter(self.behind))
            # Others get their turn before this one's next batch.
            del self.behind[watcher]
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
            self.behind[watcher] = None
        else:
            watcher.next_revision = max(watcher.next_revision, revision + 1)
            watcher.is_behind = False
            if watcher.shared is not None:
                # Its group may have been touched before this read, and must not tell it again.
                watcher.shared.next_revision = watcher.next_revision
        if spec.no_put or spec.no_delete:
            events = tuple([event for event in events if watcher.wants(event)])
        if not events:
            return None
        watcher.was_sent = True
        return WatchBatch(watcher, events, revision)
