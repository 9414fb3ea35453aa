"""Watchers that go the same way: a group for each key range, a seat in it for each stream.

Most watchers are in step: they have seen all there is, want every event, and their clients have room. What such
watchers of one range get next is the same for all but the watch id. So an event marks their group once, whoever is in
it, and the hub reads it once and hands it to all seats together. A watcher that is anything else - behind, filtered,
from a later revision, on a stream that something waits for - is marked dirty and goes on by its own cursor
(`kvstore.service.watch`).
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from kvstore.base.log import get_logger
from kvstore.machine.outcome import Event
from kvstore.service.ports import MachineView

if TYPE_CHECKING:
    from kvstore.service.watch import Watcher, WatchStream

log = get_logger("kvstore.service.watch")

_SEATS_A_TURN = 8192
"""Seats served together; those beyond take their turns one by one."""

_MAX_NAMED_WATCHES = 65_536


class Variant(NamedTuple):
    """What the watchers of a seat need told apart: equal variants get equal messages."""

    watches: tuple[tuple[int, bool], ...]
    """(watch id, prev_kv) in the order of their creation."""
    may_fragment: bool


class Variants:
    """One object for all that are equal, so that a look at the identity tells them apart.

    Bounded by the watches named: what is forgotten is made again, and its seats are served apart meanwhile.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[Outlet, Variant], Variant] = {}
        self._watches = 0

    def one(self, outlet: "Outlet", variant: Variant) -> Variant:
        """The one that equals `variant`."""
        known = self._known.get((outlet, variant))
        if known is not None:
            return known
        if self._watches > _MAX_NAMED_WATCHES:
            self._known.clear()
            self._watches = 0
        self._watches += len(variant.watches) + 1
        self._known[outlet, variant] = variant
        return variant


class Outlet(Protocol):
    """How batches leave for many streams at once. Streams that can be served together have the same one."""

    def messages(
        self, variant: Variant, events: tuple[Event, ...], revision: int
    ) -> list[bytes] | None:
        """One message for each watch of the variant; None if they must go one by one."""
        ...

    def send(self, targets: list[Any], messages: list[bytes]) -> list[int]:
        """Send all messages to each target; the positions of targets without room, which got nothing."""
        ...


class StreamOwner(Protocol):
    """Who sends what a stream has."""

    @property
    def outlet(self) -> Outlet | None:
        """For batches of many streams; None if this one takes its notices alone."""
        ...

    @property
    def target(self) -> Any:
        """What the outlet knows the stream by."""
        ...

    def on_ready(self) -> None:
        """`take` may have something."""
        ...

    def on_error(self, error: Exception) -> None:
        """Something broke while a batch was sent: the stream must end."""
        ...


class Seat:
    """The watchers of one stream in one group that may go with the others."""

    __slots__ = (
        "_variants",
        "is_told",
        "next_revision",
        "outlet",
        "stream",
        "target",
        "variant",
        "watchers",
    )

    def __init__(
        self, stream: "WatchStream", outlet: Outlet, target: Any, variants: Variants
    ) -> None:
        self.stream = stream
        self.outlet = outlet
        self.target = target
        self.watchers: dict[int, Watcher] = {}
        self.next_revision = 0
        """No watcher of the seat has seen this revision; one at least may have seen all before it."""
        self.is_told = False
        """Whether events went out together since the last progress tick."""
        self._variants = variants
        self.variant: Variant | None = None
        """Its watchers as messages tell them apart; None until somebody asks `find_variant`."""

    def find_variant(self) -> Variant:
        """The variant, the same object for all seats that are alike."""
        watchers = self.watchers.values()
        variant = Variant(
            tuple([(one.watch_id, one.spec.prev_kv) for one in watchers]),
            any(one.spec.fragment for one in watchers),
        )
        self.variant = self._variants.one(self.outlet, variant)
        return self.variant

    def add(self, watcher: "Watcher") -> None:
        """Seat a watcher."""
        self.settle_told()
        self.watchers[watcher.watch_id] = watcher
        self.next_revision = max(self.next_revision, watcher.next_revision)
        self.variant = None

    def remove(self, watcher: "Watcher") -> None:
        """Unseat it."""
        self.watchers.pop(watcher.watch_id, None)
        self.variant = None

    def settle_told(self) -> None:
        """Say to each watcher what is known of all."""
        if self.is_told:
            self.is_told = False
            for watcher in self.watchers.values():
                watcher.was_sent = True


class Group:
    """All who watch one range."""

    __slots__ = ("_variants", "key", "others", "range_end", "seats", "since")

    def __init__(self, key: bytes, range_end: bytes, variants: Variants) -> None:
        self._variants = variants
        self.key = key
        self.range_end = range_end
        self.seats: dict[WatchStream, Seat] = {}
        self.others: dict[Watcher, None] = {}
        self.since = 0
        """The first revision that those in the seats have not been told; 0 = none."""

    @property
    def is_empty(self) -> bool:
        """Whether nobody is left."""
        return not self.seats and not self.others

    def add(self, watcher: "Watcher", *, is_in_step: bool) -> None:
        """Take a watcher in; seated if it is in step and its stream has an owner who can send to many."""
        stream, spec = watcher.stream, watcher.spec
        owner = stream.owner
        outlet = None if owner is None else owner.outlet
        if not is_in_step or owner is None or outlet is None or spec.no_put or spec.no_delete:
            self.others[watcher] = None
            return
        seat = self.seats.get(stream)
        if seat is None:
            seat = Seat(stream, outlet, owner.target, self._variants)
            self.seats[stream] = seat
        seat.add(watcher)
        watcher.seat = seat

    def remove(self, watcher: "Watcher") -> None:
        """Undo `add`."""
        seat = watcher.seat
        if seat is None:
            self.others.pop(watcher, None)
            return
        watcher.seat = None
        seat.remove(watcher)
        if not seat.watchers:
            self.seats.pop(seat.stream, None)


class Seating:
    """All groups with something that their seats have not been told.

    `read` finds the events of a range from a revision on, as `WatchHub.read`, at most about `batch_events` of them;
    `unseat` lets the watchers of a seat read for themselves. A seat stays seated for what comes after.
    """

    def __init__(
        self,
        machine: MachineView,
        read: Callable[[bytes, bytes, int], tuple[int, int, tuple[Event, ...]]],
        batch_events: int,
        unseat: Callable[[Seat, int], None],
    ) -> None:
        self._machine = machine
        self._read = read
        self._batch_events = batch_events
        self._unseat = unseat
        self.touched: list[Group] = []

    def touch(self, group: Group, revision: int) -> None:
        """There is something for the seats of a group, at `revision` first. Once until it is served."""
        group.since = revision
        self.touched.append(group)

    def settle(self, stream: "WatchStream") -> None:
        """Let the watchers of one stream read for themselves, for it will not wait for the others."""
        for group in self.touched:
            seat = group.seats.get(stream)
            if seat is not None:
                self._unseat(seat, group.since)

    def clear(self) -> None:
        """Let all read for themselves."""
        touched, self.touched = self.touched, []
        for group in touched:
            since, group.since = group.since, 0
            for seat in group.seats.values():
                self._unseat(seat, since)

    def serve(self) -> None:
        """Send to all seats that can be served together what their groups have; let the others read for themselves."""
        touched, self.touched = self.touched, []
        seats_left = _SEATS_A_TURN
        for group in touched:
            since, group.since = group.since, 0
            events = self._events(group, since)
            buckets: dict[int, list[Seat]] = {}
            bucket: list[Seat] = []
            last: Variant | None = None
            # A look at a thousand seats an event: no calls but the one that counts.
            for seat in group.seats.values():
                stream = seat.stream
                if (
                    not events
                    or seats_left <= 0
                    or seat.next_revision > since
                    or stream.is_called
                    or stream.dirty
                    or stream.owner is None
                ):
                    self._unseat(seat, since)
                    continue
                seats_left -= 1
                variant = seat.variant
                if variant is not last or last is None:
                    last = variant or seat.find_variant()
                    bucket = buckets.setdefault(id(last), [])
                bucket.append(seat)
            for bucket in buckets.values():
                self._serve(bucket, events, since)

    def _events(self, group: Group, since: int) -> tuple[Event, ...]:
        """What the seats of a group have not been told; nothing if it is gone, or more than goes at once."""
        if since < self._machine.compact_revision:
            return ()
        try:
            count, _, events = self._read(group.key, group.range_end, since)
        except Exception as error:
            # As below; and the groups after this one must still have their turn.
            log.warning("events could not be read", error=repr(error))
            return ()
        return events if count < self._batch_events else ()

    def _serve(self, seats: list[Seat], events: tuple[Event, ...], since: int) -> None:
        """Send one batch to seats of one variant."""
        outlet, variant = seats[0].outlet, seats[0].variant
        messages = None
        try:
            if variant is not None:
                messages = outlet.messages(variant, events, self._machine.revision)
        except Exception as error:
            # Each stream will meet the same error for itself, and end with it.
            log.warning("a batch of events could not be made", error=repr(error))
        if not messages:
            for seat in seats:
                self._unseat(seat, since)
            return
        try:
            refused = outlet.send([seat.target for seat in seats], messages)
        except Exception as error:
            # Nobody knows who has got what: these streams must begin anew.
            for seat in seats:
                seat.stream.fail(error)
            return
        left_out = [(seats[at], seats[at].is_told) for at in refused]
        for seat in seats:
            seat.is_told = True
        for seat, was_told in left_out:
            seat.is_told = was_told
            self._unseat(seat, since)
