"""Watchers of one range, and which of their streams can be told together.

Most watchers are synced: they have seen all there is, want every event, and their clients have room. What such watchers
of one range get next is the same for all but the watch id. So an event marks their group once, whoever is in it, and
`BatchSender` reads it once and hands it to all their streams. A watcher that is anything else - behind, filtered, from
a later revision, on a stream that something waits for - falls behind and goes on by its own cursor.
"""

from collections.abc import Callable, Sized
from typing import Any, NamedTuple, Protocol

from kvstore.base.log import get_logger
from kvstore.machine.outcome import Event
from kvstore.service.ports import MachineView
from kvstore.service.watch.cursor import Watcher

log = get_logger("kvstore.service.watch")

_STREAMS_A_BATCH = 8192
"""Streams told together; those beyond take their turns one by one."""

_MAX_NAMED_WATCHES = 65_536


class BatchShape(NamedTuple):
    """What messages of one batch differ by: streams of equal shapes get equal messages."""

    watches: tuple[tuple[int, bool], ...]
    """(watch id, prev_kv) in the order of their creation."""
    may_fragment: bool


class BatchWriter(Protocol):
    """How batches leave for many streams at once. Streams that can be told together have the same one."""

    def messages(
        self, shape: BatchShape, events: tuple[Event, ...], revision: int
    ) -> list[bytes] | None:
        """One message for each watch of the shape; None if they must go one by one."""
        ...

    def send(self, targets: list[Any], messages: list[bytes]) -> list[int]:
        """Send all messages to each target; the positions of targets without room, which got nothing."""
        ...


class BatchShapes:
    """One object for all shapes that are equal, so that a look at the identity tells them apart.

    Bounded by the watches named: what is forgotten is made again, and its streams are told apart meanwhile.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[BatchWriter, BatchShape], BatchShape] = {}
        self._watches = 0

    def one(self, writer: BatchWriter, shape: BatchShape) -> BatchShape:
        """The one that equals `shape`."""
        known = self._known.get((writer, shape))
        if known is not None:
            return known
        if self._watches > _MAX_NAMED_WATCHES:
            self._known.clear()
            self._watches = 0
        self._watches += len(shape.watches) + 1
        self._known[writer, shape] = shape
        return shape


class StreamOwner(Protocol):
    """Who sends what a stream has."""

    @property
    def batch_writer(self) -> BatchWriter | None:
        """For batches of many streams; None if this one takes its notices alone."""
        ...

    @property
    def target(self) -> Any:
        """What the writer knows the stream by."""
        ...

    def on_ready(self) -> None:
        """`take` may have something."""
        ...

    def on_error(self, error: Exception) -> None:
        """Something broke while a batch was sent: the stream must end."""
        ...


class GroupedStream(Protocol):
    """What is asked of a stream whose watchers are told with others."""

    @property
    def is_called(self) -> bool:
        """Whether its owner will be called, for whatever it has to say."""
        ...

    @property
    def behind(self) -> Sized:
        """Its watchers that read for themselves."""
        ...

    @property
    def owner(self) -> StreamOwner | None:
        """Who sends what it has."""
        ...

    def fail(self, error: Exception) -> None:
        """Something broke while it was served."""
        ...


class SyncedStream:
    """The synced watchers of one stream in one group."""

    __slots__ = (
        "_shapes",
        "next_revision",
        "shape",
        "stream",
        "target",
        "was_sent",
        "watchers",
        "writer",
    )

    def __init__(
        self, stream: GroupedStream, writer: BatchWriter, target: Any, shapes: BatchShapes
    ) -> None:
        self.stream = stream
        self.writer = writer
        self.target = target
        self.watchers: dict[int, Watcher] = {}
        self.next_revision = 0
        """None of the watchers has seen this revision; one at least may have seen all before it."""
        self.was_sent = False
        """Whether events went out together since the last progress tick."""
        self._shapes = shapes
        self.shape: BatchShape | None = None
        """Its watchers as messages tell them apart; None until somebody asks `find_shape`."""

    def find_shape(self) -> BatchShape:
        """The shape, the same object for all streams that are alike."""
        watchers = self.watchers.values()
        shape = BatchShape(
            tuple([(one.watch_id, one.spec.prev_kv) for one in watchers]),
            any(one.spec.fragment for one in watchers),
        )
        self.shape = self._shapes.one(self.writer, shape)
        return self.shape

    def add(self, watcher: Watcher) -> None:
        """Take in a synced watcher."""
        self.spread_sent()
        self.watchers[watcher.watch_id] = watcher
        self.next_revision = max(self.next_revision, watcher.next_revision)
        self.shape = None

    def remove(self, watcher: Watcher) -> None:
        """Forget it."""
        self.watchers.pop(watcher.watch_id, None)
        self.shape = None

    def fall_behind(self, since: int) -> None:
        """Let each of the watchers read for itself from `since` on. They stay here for what comes after."""
        for watcher in self.watchers.values():
            watcher.fall_behind(since)

    def spread_sent(self) -> None:
        """Say to each watcher that events went out, if they went to all."""
        if self.was_sent:
            self.was_sent = False
            for watcher in self.watchers.values():
                watcher.was_sent = True


class SyncedGroup:
    """All who watch one range: those told together, by their streams, and those told alone."""

    __slots__ = ("_shapes", "alone", "key", "range_end", "since", "synced")

    def __init__(self, key: bytes, range_end: bytes, shapes: BatchShapes) -> None:
        self._shapes = shapes
        self.key = key
        self.range_end = range_end
        self.synced: dict[GroupedStream, SyncedStream] = {}
        self.alone: dict[Watcher, None] = {}
        self.since = 0
        """The first revision that the synced streams have not been told; 0 = none."""

    @property
    def is_empty(self) -> bool:
        """Whether nobody is left."""
        return not self.synced and not self.alone

    def add(self, watcher: Watcher, stream: GroupedStream, *, is_synced: bool) -> None:
        """Take a watcher in; it is told with others if it is synced and its stream's owner can send to many."""
        spec, owner = watcher.spec, stream.owner
        writer = None if owner is None else owner.batch_writer
        if not is_synced or owner is None or writer is None or spec.no_put or spec.no_delete:
            self.alone[watcher] = None
            return
        shared = self.synced.get(stream)
        if shared is None:
            shared = SyncedStream(stream, writer, owner.target, self._shapes)
            self.synced[stream] = shared
        shared.add(watcher)
        watcher.shared = shared

    def remove(self, watcher: Watcher, stream: GroupedStream) -> None:
        """Undo `add`."""
        if watcher.shared is None:
            self.alone.pop(watcher, None)
            return
        watcher.shared = None
        shared = self.synced[stream]
        shared.remove(watcher)
        if not shared.watchers:
            del self.synced[stream]


class BatchSender:
    """All groups with something that their synced streams have not been told.

    `read` finds the events of a range from a revision on, as `WatchHub.read`, at most about `batch_events` of them.
    """

    def __init__(
        self,
        machine: MachineView,
        read: Callable[[bytes, bytes, int], tuple[int, int, tuple[Event, ...]]],
        batch_events: int,
    ) -> None:
        self._machine = machine
        self._read = read
        self._batch_events = batch_events
        self.touched: list[SyncedGroup] = []

    def touch(self, group: SyncedGroup, revision: int) -> None:
        """There is something for the synced streams of a group, at `revision` first. Once until it is sent."""
        group.since = revision
        self.touched.append(group)

    def release(self, stream: GroupedStream) -> None:
        """Let the watchers of one stream read for themselves, for it will not wait for the others."""
        for group in self.touched:
            shared = group.synced.get(stream)
            if shared is not None:
                shared.fall_behind(group.since)

    def release_all(self) -> None:
        """Let all read for themselves."""
        touched, self.touched = self.touched, []
        for group in touched:
            since, group.since = group.since, 0
            for shared in group.synced.values():
                shared.fall_behind(since)

    def send(self) -> None:
        """Send what the groups have to all streams that can be told together; the others read for themselves."""
        touched, self.touched = self.touched, []
        streams_left = _STREAMS_A_BATCH
        for group in touched:
            since, group.since = group.since, 0
            events = self._events(group, since)
            buckets: dict[int, list[SyncedStream]] = {}
            bucket: list[SyncedStream] = []
            last: BatchShape | None = None
            # A look at a thousand streams an event: no calls but the one that counts.
            for shared in group.synced.values():
                stream = shared.stream
                if (
                    not events
                    or streams_left <= 0
                    or shared.next_revision > since
                    or stream.is_called
                    or stream.behind
                    or stream.owner is None
                ):
                    shared.fall_behind(since)
                    continue
                streams_left -= 1
                shape = shared.shape
                if shape is not last or last is None:
                    last = shape or shared.find_shape()
                    bucket = buckets.setdefault(id(last), [])
                bucket.append(shared)
            for bucket in buckets.values():
                self._send_batch(bucket, events, since)

    def _events(self, group: SyncedGroup, since: int) -> tuple[Event, ...]:
        """What the synced streams have not been told; nothing if it is gone, or more than goes at once."""
        if since < self._machine.compact_revision:
            return ()
        try:
            count, _, events = self._read(group.key, group.range_end, since)
        except Exception as error:
            # As below; and the groups after this one must still have their turn.
            log.warning("events could not be read", error=repr(error))
            return ()
        return events if count < self._batch_events else ()

    def _send_batch(
        self, streams: list[SyncedStream], events: tuple[Event, ...], since: int
    ) -> None:
        """Send one batch to streams of one shape."""
        writer, shape = streams[0].writer, streams[0].shape
        messages = None
        try:
            if shape is not None:
                messages = writer.messages(shape, events, self._machine.revision)
        except Exception as error:
            # Each stream will meet the same error for itself, and end with it.
            log.warning("a batch of events could not be made", error=repr(error))
        if not messages:
            for shared in streams:
                shared.fall_behind(since)
            return
        try:
            refused = writer.send([shared.target for shared in streams], messages)
        except Exception as error:
            # Some streams may have got it and some not: all of them end, and their clients resume where they were.
            for shared in streams:
                shared.stream.fail(error)
            return
        left_out = [(streams[at], streams[at].was_sent) for at in refused]
        for shared in streams:
            shared.was_sent = True
        for shared, had_sent in left_out:
            shared.was_sent = had_sent
            shared.fall_behind(since)
