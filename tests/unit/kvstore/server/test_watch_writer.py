"""Writing to watch streams from callbacks: order, room, errors, and what a half-closed client keeps."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable

import pytest

from kvstore.auth.store import AuthStore
from kvstore.lease.lessor import Lessor
from kvstore.machine.commands import Put, encode
from kvstore.machine.machine import StateMachine
from kvstore.machine.outcome import Event, KeyValue
from kvstore.pb import rpc_pb2 as pb
from kvstore.server.encode import Encoder
from kvstore.server.header import Header
from kvstore.server.watch import WatchServicer
from kvstore.service.guard import Guard
from kvstore.service.watch.cursor import Watcher
from kvstore.service.watch.groups import BatchShape
from kvstore.service.watch.hub import WatchHub
from kvstore.service.watch.notices import WatchBatch
from kvstore.service.watch.spec import WatchSpec
from kvstore.wire.engine import DirectSend


class Sink:
    """A client with room for so many messages at once, served alone."""

    fan = target = None

    def __init__(self, room: int = 1 << 30) -> None:
        self.messages: list[pb.WatchResponse] = []
        self.room = room
        self.fails = False
        self._callback: Callable[[], None] = lambda: None

    async def __call__(self, message: bytes) -> None:
        raise AssertionError("nobody waits to send")

    def now(self, message: bytes) -> bool:
        if self.fails:
            raise ZeroDivisionError
        self.messages.append(pb.WatchResponse.FromString(message))
        self.room -= 1
        return self.room > 0

    def on_room(self, callback: Callable[[], None]) -> None:
        self._callback = callback

    def read(self, room: int) -> None:
        """The client takes what waits."""
        self.room = room
        self._callback()

    @property
    def revisions(self) -> list[int]:
        return [event.kv.mod_revision for one in self.messages for event in one.events]


class World:
    def __init__(self) -> None:
        self.machine = StateMachine()
        self.hub = WatchHub(self.machine)
        header = Header(1, 2, term=lambda: 3, revision=lambda: self.machine.revision)
        guard = Guard(AuthStore(), Lessor(), None, trusts_certificates=False)  # type: ignore[arg-type]
        self.servicer = WatchServicer(
            self.hub, header, Encoder(), guard, max_response_bytes=1 << 20
        )
        self._index = itertools.count(1)

    def put(self, key: bytes) -> None:
        self.hub.on_applied(self.machine.apply(next(self._index), [encode(Put(key, b"v"))]))

    def open(self, sink: Sink, *keys: bytes, is_open: bool = True) -> asyncio.Task[None]:
        async def requests() -> AsyncIterator[bytes]:
            for key in keys:
                create = pb.WatchCreateRequest(key=key)
                yield pb.WatchRequest(create_request=create).SerializeToString()
            if is_open:
                await asyncio.get_running_loop().create_future()

        return asyncio.ensure_future(self.servicer.watch(requests(), sink, None))  # type: ignore[arg-type]


async def settle() -> None:
    """Let everything run that can."""
    for _ in range(20):
        await asyncio.sleep(0)


async def end(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def test_the_sink_is_what_fronts_offer() -> None:
    assert isinstance(Sink(), DirectSend)


async def test_created_comes_first_then_every_event_once_on_every_stream() -> None:
    world, sinks = World(), [Sink() for _ in range(3)]
    tasks = [world.open(sink, b"a", b"b") for sink in sinks]
    await settle()
    for key in (b"a", b"b", b"c", b"a"):
        world.put(key)
        await settle()
    for sink in sinks:
        assert [one.created for one in sink.messages[:2]] == [True, True]
        assert sink.revisions == [2, 3, 5]
        assert [one.watch_id for one in sink.messages[2:]] == [0, 1, 0]
    await end(*tasks)
    assert world.hub.stream_count == world.hub.watcher_count == 0


async def test_a_client_without_room_gets_the_rest_when_it_has_read_and_in_order() -> None:
    world, slow, quick = World(), Sink(room=2), Sink()
    tasks = [world.open(slow, b"a"), world.open(quick, b"a")]
    await settle()
    for _ in range(5):
        world.put(b"a")
        await settle()
    assert quick.revisions == [2, 3, 4, 5, 6]
    assert slow.revisions == [2]
    slow.read(room=1)
    # All that came meanwhile is one answer: nothing was queued but the cursor.
    assert slow.revisions == [2, 3, 4, 5, 6]
    world.put(b"a")
    await settle()
    assert slow.revisions[-1] == 6
    slow.read(room=9)
    assert slow.revisions[-1] == 7
    await end(*tasks)


async def test_room_made_while_sending_does_not_change_the_order() -> None:
    world, sink = World(), Sink(room=1)
    task = world.open(sink, b"a", b"b")
    await settle()
    taken = sink.now

    def now(message: bytes) -> bool:
        taken(message)
        sink._callback()
        return True

    sink.now = now  # type: ignore[method-assign]
    sink.read(room=9)
    for key in (b"b", b"a", b"b"):
        world.put(key)
    await settle()
    assert [one.created for one in sink.messages] == [True, True, False, False]
    assert sorted(sink.revisions) == [2, 3, 4]
    await end(task)


async def test_a_client_that_half_closes_keeps_its_watches() -> None:
    world, sink = World(), Sink()
    task = world.open(sink, b"a", is_open=False)
    await settle()
    world.put(b"a")
    await settle()
    assert sink.revisions == [2]
    await end(task)


async def test_an_error_while_sending_ends_that_stream_with_it_and_no_other() -> None:
    world, broken, sound = World(), Sink(), Sink()
    tasks = [world.open(broken, b"a"), world.open(sound, b"a")]
    await settle()
    broken.fails = True
    world.put(b"a")
    await settle()
    with pytest.raises(ZeroDivisionError):
        await tasks[0]
    assert sound.revisions == [2]
    assert world.hub.stream_count == 1
    await end(tasks[1])


def events(*revisions: int) -> tuple[Event, ...]:
    """One put of a hundred bytes or so for each; equal numbers are one transaction."""
    return tuple(
        Event(KeyValue(b"k%d" % at, bytes(100), revision, revision, 1))
        for at, revision in enumerate(revisions)
    )


@pytest.mark.parametrize(
    ("revisions", "fragment", "expected"),
    [
        pytest.param((2, 3), False, [[2, 3]], id="small_enough"),
        pytest.param((2, 3, 4, 5, 6), False, [[2, 3], [4, 5], [6]], id="cut_at_revisions"),
        pytest.param((2, 2, 2, 2), False, [[2, 2, 2, 2]], id="one_revision_is_never_cut"),
        pytest.param((2, 3, 3, 3, 4), False, [[2], [3, 3, 3], [4]], id="a_large_one_between"),
        pytest.param((2, 2, 2), True, [[2, 2], [2]], id="fragments"),
    ],
)
def test_a_batch_that_is_too_large_is_cut(
    revisions: tuple[int, ...], fragment: bool, expected: list[list[int]]
) -> None:
    world = World()
    servicer = WatchServicer(
        world.hub,
        Header(1, 2, term=lambda: 3, revision=lambda: 9),
        Encoder(),
        Guard(AuthStore(), Lessor(), None, trusts_certificates=False),  # type: ignore[arg-type]
        max_response_bytes=300,
    )
    watcher = Watcher(7, WatchSpec(b"a", b"z", fragment=fragment), 2, lambda _: None)
    found = [
        pb.WatchResponse.FromString(one)
        for one in servicer.batch_messages(WatchBatch(watcher, events(*revisions), 9))
    ]
    assert [[one.kv.mod_revision for one in message.events] for message in found] == expected
    assert [one.fragment for one in found] == [
        fragment and at < len(found) - 1 for at in range(len(found))
    ]
    # Sent to many at once only if it need not be cut.
    shape = BatchShape(((7, False),), may_fragment=fragment)
    shared = servicer.shared_messages(shape, events(*revisions), 9)
    assert (shared is None) == (len(found) > 1)
