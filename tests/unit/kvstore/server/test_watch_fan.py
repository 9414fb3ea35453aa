"""Batches for many watch streams at once: who gets them together, and that whoever is not in step goes alone."""

from typing import Any

import pytest

from kvstore.machine.commands import Compact, DeleteRange, Put, Txn
from kvstore.pb import rpc_pb2 as pb
from kvstore.service.watch import groups, stream
from kvstore.wire.h2.fan import StreamFan

KEYS = (b"a", b"ab", b"b", b"c")


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """What the fan has done: (streams that got a batch, streams that had no room)."""
    found: list[tuple[int, int]] = []
    original = StreamFan.send

    def send(self: StreamFan, targets: Any, messages: Any) -> list[int]:
        refused = original(self, targets, messages)
        found.append((len(targets) - len(refused), len(refused)))
        return refused

    monkeypatch.setattr(StreamFan, "send", send)
    return found


async def test_streams_in_step_get_an_event_together_and_nobody_asks_them(
    clients: Any, sent: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = clients.World()
    both = [clients.Client(world) for _ in range(2)]
    for client in both:
        for stream_id in (1, 3, 5):
            client.watch(stream_id, clients.create(b"a"))
    await world.settle()
    taken: list[object] = []
    monkeypatch.setattr(stream.WatchStream, "take", taken.append)
    world.apply(Put(b"a", b"1"), Put(b"b"), Put(b"a", b"2"))
    await world.settle()
    assert (sent, taken) == ([(6, 0)], [])
    for client in both:
        for stream_id in (1, 3, 5):
            created, batch = client.read(stream_id)
            assert created.created
            assert [event.kv.value for event in batch.events] == [b"1", b"2"]
            assert batch.header.revision == 4
    assert world.counts.sent == 12
    await world.end()


async def test_watches_of_one_stream_get_a_message_each_in_frames_they_share(
    clients: Any,
    sent: list[tuple[int, int]],
) -> None:
    world = clients.World()
    client = clients.Client(world)
    client.watch(1, *(clients.create(b"a") for _ in range(100)))
    await world.settle()
    client.read(1)
    before = client.data_frames
    world.apply(Put(b"a", b"v" * 250))
    await world.settle()
    batches = client.read(1)[100:]
    assert [one.watch_id for one in batches] == list(range(100))
    assert {one.events[0].kv.value for one in batches} == {b"v" * 250}
    assert sent == [(1, 0)]
    # Some 30 KB, 16 KiB a frame.
    assert client.data_frames - before == 2
    await world.end()


async def test_a_stream_that_falls_behind_gets_all_in_order_and_joins_the_others_again(
    clients: Any,
    sent: list[tuple[int, int]],
) -> None:
    world = clients.World()
    slow, quick = clients.Client(world, window=100), clients.Client(world)
    for client in (slow, quick):
        client.watch(1, clients.create(b"a"))
    await world.settle()
    for _ in range(6):
        world.apply(Put(b"a", b"v" * 100))
        await world.settle()
    assert quick.revisions(1) == [2, 3, 4, 5, 6, 7]
    assert slow.revisions(1) == []
    # What is held for it is one message; the rest is its cursor.
    (call,) = slow.connection.streams.values()
    assert 0 < call.outbox_bytes < 200
    slow.credit(1, 10_000)
    await world.settle()
    assert slow.revisions(1) == [2, 3, 4, 5, 6, 7]
    assert sent[0] == (1, 1)
    world.apply(Put(b"a"))
    await world.settle()
    assert sent[-1] == (2, 0)
    assert slow.revisions(1)[-1] == quick.revisions(1)[-1] == 8
    await world.end()


async def test_a_full_socket_lets_every_stream_of_it_wait_and_lose_nothing(
    clients: Any,
    sent: list[tuple[int, int]],
) -> None:
    world = clients.World()
    client = clients.Client(world)
    for stream_id in (1, 3):
        client.watch(stream_id, clients.create(b"a"))
    await world.settle()
    client.block(True)
    world.apply(Put(b"a"))
    await world.settle()
    world.apply(Put(b"a"))
    await world.settle()
    assert sent[0] == (0, 2)
    assert client.revisions(1) == client.revisions(3) == []
    client.block(False)
    await world.settle()
    assert client.revisions(1) == client.revisions(3) == [2, 3]
    await world.end()


async def test_much_for_one_connection_asks_the_socket_in_between(clients: Any) -> None:
    """A client that opens its windows wide does not make the member hold a copy for each of its streams."""
    world = clients.World()
    client = clients.Client(world, window=1 << 30)
    client.credit(0, 1 << 30)
    streams = range(1, 41, 2)
    for stream_id in streams:
        client.watch(stream_id, clients.create(b"a"))
    await world.settle()
    written: list[int] = []

    def flush() -> None:
        written.append(sum(map(len, client.connection.out)))
        # The socket is full from here on.
        client.connection.can_write = False

    client.connection.flush_now = flush
    world.apply(Put(b"a", b"v" * 100_000))
    await world.settle()
    # A quarter of a mebibyte or one message more went out; for the others a message waits, as ever.
    assert written
    assert written[0] < 500_000
    client.connection.flush_now = lambda: None
    client.block(False)
    await world.settle()
    assert [client.revisions(stream_id) for stream_id in streams] == [[2]] * 20
    await world.end()


async def test_previous_values_and_plain_watches_share_a_stream_and_filters_go_alone(
    clients: Any,
    sent: list[tuple[int, int]],
) -> None:
    world = clients.World()
    client = clients.Client(world)
    world.apply(Put(b"a", b"0"))
    client.watch(
        1,
        clients.create(b"a", prev_kv=True),
        clients.create(b"a"),
    )
    client.watch(3, clients.create(b"a", filters=[pb.WatchCreateRequest.NOPUT], prev_kv=True))
    await world.settle()
    world.apply(Put(b"a", b"1"))
    await world.settle()
    with_prev, plain = client.read(1)[2:]
    assert (with_prev.watch_id, with_prev.events[0].prev_kv.value) == (0, b"0")
    assert (plain.watch_id, plain.events[0].HasField("prev_kv")) == (1, False)
    assert len(client.read(3)) == 1
    world.apply(DeleteRange(b"a"))
    await world.settle()
    (deleted,) = client.read(3)[1].events
    assert (deleted.type, deleted.prev_kv.value) == (1, b"1")
    assert client.revisions(1, 0) == client.revisions(1, 1) == [3, 4]
    assert sent == [(1, 0), (1, 0)]
    await world.end()


async def test_a_batch_that_a_watch_wants_in_fragments_is_cut_for_it(clients: Any) -> None:
    world = clients.World(max_response_bytes=300)
    client = clients.Client(world)
    client.watch(1, clients.create(b"a", b"z", fragment=True))
    client.watch(3, clients.create(b"a", b"z"))
    await world.settle()
    world.apply(Txn(success=tuple(Put(key, b"v" * 100) for key in KEYS)))
    await world.settle()
    cut, whole = client.read(1)[1:], client.read(3)[1:]
    assert [(one.fragment, len(one.events)) for one in cut] == [(True, 2), (False, 2)]
    assert [len(one.events) for one in whole] == [4]
    await world.end()


async def test_a_watch_that_is_behind_when_history_goes_is_cancelled_and_others_stay(
    clients: Any,
) -> None:
    world = clients.World()
    slow, quick = clients.Client(world, window=100), clients.Client(world)
    for client in (slow, quick):
        client.watch(1, clients.create(b"a"))
    await world.settle()
    for _ in range(4):
        world.apply(Put(b"a", b"v" * 80))
        await world.settle()
    world.apply(Compact(5))
    slow.credit(1, 1000)
    await world.settle()
    world.apply(Put(b"a"))
    await world.settle()
    assert quick.revisions(1) == [2, 3, 4, 5, 6]
    assert slow.revisions(1) == [2]
    last = slow.read(1)[-1]
    assert (last.canceled, last.compact_revision) == (True, 5)
    await world.end()


async def test_progress_speaks_of_events_only_after_they_were_sent(clients: Any) -> None:
    world = clients.World()
    client = clients.Client(world)
    client.watch(
        1, clients.create(b"a", progress_notify=True), clients.create(b"b", progress_notify=True)
    )
    await world.settle()
    world.apply(Put(b"a"))
    client.send(1, pb.WatchRequest(progress_request=pb.WatchProgressRequest()))
    world.hub.progress_tick()
    await world.settle()
    assert [(one.watch_id, len(one.events)) for one in client.read(1)[2:]] == [
        (0, 1),
        (0, 0),
        (1, 0),
        (-1, 0),
    ]
    assert {one.header.revision for one in client.read(1)[2:]} == {2}
    # One that had events with the others needs not be told; the other does.
    world.apply(Put(b"a"))
    await world.settle()
    world.hub.progress_tick()
    await world.settle()
    assert [(one.watch_id, len(one.events)) for one in client.read(1)[6:]] == [(0, 1), (1, 0)]
    world.hub.progress_tick()
    await world.settle()
    assert {one.watch_id for one in client.read(1)[8:]} == {0, 1}
    await world.end()


async def test_an_error_while_many_are_served_ends_them_and_no_others(
    clients: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = clients.World()
    client, other = clients.Client(world), clients.Client(world)
    for stream_id in (1, 3):
        client.watch(stream_id, clients.create(b"a"))
    other.watch(1, clients.create(b"b"))
    await world.settle()

    def broken(*_: Any) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(client.connection, "wrote", broken, raising=False)
        world.apply(Put(b"a"))
        await world.settle()
    assert (world.hub.stream_count, client.connection.shared_by) == (1, [])
    world.apply(Put(b"b"))
    await world.settle()
    assert other.revisions(1) == [3]
    await world.end()


async def test_room_that_comes_between_an_entry_and_its_batch_repeats_nothing(
    clients: Any,
) -> None:
    world = clients.World()
    client = clients.Client(world, window=100)
    client.watch(1, clients.create(b"a"))
    await world.settle()
    for _ in range(2):
        world.apply(Put(b"a", b"v" * 100))
        await world.settle()
    # Its watcher is behind, and reads this entry too as soon as there is room: before the batch is handed out.
    world.apply(Put(b"a"))
    client.credit(1, 1000)
    assert client.revisions(1) == [2, 3, 4]
    await world.settle()
    assert client.revisions(1) == [2, 3, 4]
    await world.end()


async def test_progress_that_waited_for_room_does_not_overtake_a_batch(clients: Any) -> None:
    world = clients.World()
    client = clients.Client(world, window=150)
    client.watch(1, clients.create(b"a"), clients.create(b"b"))
    await world.settle()
    world.apply(Put(b"a", b"v" * 200))
    await world.settle()
    client.send(1, pb.WatchRequest(progress_request=pb.WatchProgressRequest()))
    await world.settle()
    world.apply(Put(b"b"))
    client.credit(1, 1000)
    await world.settle()
    *_, event, progress = client.read(1)
    assert (event.watch_id, event.events[0].kv.mod_revision) == (1, 3)
    assert (progress.watch_id, progress.header.revision) == (-1, 3)
    await world.end()


async def test_streams_share_what_their_connection_has_room_for(
    clients: Any, sent: list[tuple[int, int]]
) -> None:
    world = clients.World()
    client = clients.Client(world)
    for stream_id in (1, 3, 5):
        client.watch(stream_id, clients.create(b"a"))
    await world.settle()
    world.apply(Put(b"a", b"v" * 25_000))
    await world.settle()
    assert sent == [(2, 1)]
    assert (client.revisions(1), client.revisions(3), client.revisions(5)) == ([2], [2], [])
    client.credit(0, 25_000)
    assert client.revisions(5) == [2]
    await world.end()


async def test_a_watch_on_the_future_goes_alone_and_the_others_together(
    clients: Any, sent: list[tuple[int, int]]
) -> None:
    world = clients.World()
    client = clients.Client(world)
    client.watch(1, clients.create(b"a"))
    client.watch(3, clients.create(b"a", start_revision=4))
    await world.settle()
    for _ in range(3):
        world.apply(Put(b"a"))
        await world.settle()
    assert client.revisions(1) == [2, 3, 4]
    assert client.revisions(3) == [4]
    assert sent == [(1, 0)] * 3
    await world.end()


async def test_a_watch_that_joins_told_ones_is_told_of_progress(clients: Any) -> None:
    world = clients.World()
    client = clients.Client(world)
    client.watch(1, clients.create(b"a", progress_notify=True))
    await world.settle()
    world.apply(Put(b"a"))
    await world.settle()
    client.send(1, pb.WatchRequest(create_request=clients.create(b"a", progress_notify=True)))
    await world.settle()
    world.hub.progress_tick()
    await world.settle()
    assert [one.watch_id for one in client.read(1)[3:]] == [1]
    await world.end()


async def test_a_snapshot_in_place_of_entries_is_noticed_with_a_batch_still_untold(
    clients: Any,
) -> None:
    world = clients.World()
    client = clients.Client(world)
    client.watch(1, clients.create(b"a"))
    await world.settle()
    world.apply(Put(b"a"))
    # Applied, but nobody was told: as after a snapshot.
    tell, world.hub.on_applied = world.hub.on_applied, lambda _: None
    world.apply(Put(b"a"), Put(b"a"))
    world.hub.on_applied = tell
    await world.settle()
    assert client.revisions(1) == [2, 3, 4]
    world.apply(Put(b"a"))
    assert world.hub.behind_count == 1
    await world.settle()
    assert (client.revisions(1)[-1], world.hub.behind_count) == (5, 0)
    await world.end()


async def test_an_error_while_one_range_is_read_ends_who_watches_it_and_no_others(
    clients: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = clients.World()
    client = clients.Client(world)
    client.watch(1, clients.create(b"a"))
    client.watch(3, clients.create(b"a", b"c"))
    await world.settle()
    history = world.machine.history
    original = type(history).since

    def since(self: Any, key: bytes, *rest: Any) -> Any:
        if not rest[0]:
            raise ZeroDivisionError
        return original(self, key, *rest)

    monkeypatch.setattr(type(history), "since", since)
    world.apply(Put(b"a"))
    await world.settle()
    world.apply(Put(b"b"))
    await world.settle()
    assert client.revisions(3) == [2, 3]
    assert (client.revisions(1), world.hub.stream_count) == ([], 1)
    await world.end()


async def test_more_than_is_worth_holding_goes_watch_by_watch(
    clients: Any, sent: list[tuple[int, int]]
) -> None:
    world = clients.World()
    client = clients.Client(world, window=1 << 20)
    client.watch(1, *(clients.create(b"a") for _ in range(200)))
    await world.settle()
    # Ten megabytes of messages, of which the client has room for a few.
    world.apply(Put(b"a", b"v" * 50_000))
    await world.settle()
    assert sent == []
    (call,) = client.connection.streams.values()
    assert call.outbox_bytes < 2 * 50_100
    client.credit(0, 1 << 24)
    client.credit(1, 1 << 24)
    await world.settle()
    assert client.revisions(1) == [2] * 200
    await world.end()


def test_shapes_that_come_and_go_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "_MAX_NAMED_WATCHES", 40)
    shapes = groups.BatchShapes()
    writer: Any = object()
    for number in range(100):
        shape = groups.BatchShape(((number, False), (number, True)), False)
        assert shapes.one(writer, shape) is shape
        assert shapes.one(writer, groups.BatchShape(*shape)) is shape
        assert len(shapes._known) <= 15
