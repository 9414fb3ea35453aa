"""Noise and half-sensible frames against the connection core: no exception but those of a bug, memory bounded."""

from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from kvstore.wire.h2 import frames
from kvstore.wire.h2.fan import FAN
from kvstore.wire.h2.hpack import encode_plain
from kvstore.wire.h2.limits import Limits
from kvstore.wire.h2.sending import Block

OPENING, CLOSING = Block(encode_plain([(b":status", b"200")])), Block(encode_plain([(b"x", b"0")]))
GOOD = encode_plain([(b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/a")])
SMALL = Limits(
    max_concurrent_streams=5,
    stream_window=2000,
    connection_window=65_535,
    max_header_list_bytes=2000,
    max_unsent_bytes=50_000,
)

numbers = st.one_of(st.integers(0, 9), st.sampled_from([100, 65_535, (1 << 31) - 1, (1 << 32) - 1]))
payloads = st.one_of(
    st.binary(max_size=40),
    numbers.map(lambda value: value.to_bytes(4, "big")),
    st.tuples(st.integers(0, 8), numbers).map(
        lambda pair: pair[0].to_bytes(2, "big") + pair[1].to_bytes(4, "big")
    ),
    st.just(GOOD),
    st.just(bytes(8)),
    st.integers(0, 3000).map(bytes),
)
frame = st.tuples(
    st.integers(0, 11),
    st.one_of(st.integers(0, 255), st.sampled_from([0, 1, 4, 5, 8, 0x2C])),
    st.integers(0, 12),
    payloads,
)
actions = st.one_of(
    frame,
    st.tuples(st.just("answer"), st.integers(0, 30_000)),
    st.tuples(st.just("send"), st.integers(0, 3000)),
    st.tuples(st.just("fan"), st.integers(0, 30_000)),
    st.tuples(st.just("credit"), st.integers(0, 3000)),
    st.tuples(st.just("reset"), st.integers(0, 13)),
    st.tuples(st.just("socket"), st.booleans()),
    st.tuples(st.just("noise"), st.binary(max_size=30)),
)


def act(peer: Any, action: tuple[Any, ...]) -> None:
    connection = peer.connection
    streams = list(connection.streams.values())
    match action:
        case ("answer", size) if streams:
            connection.answer(streams[0], OPENING, b"12345", bytes(size), CLOSING)
        case ("send", size) if streams:
            connection.send_headers(streams[-1], OPENING)
            connection.send_data(streams[-1], b"12345", bytes(size))
        case ("fan", size):
            fan(peer, streams, [bytes(size // 2), bytes(size - size // 2)])
        case ("credit", size) if streams:
            connection.credit(streams[0], size)
        case ("reset", code) if streams:
            connection.reset(streams[0], code)
        case ("socket", can_write):
            connection.can_write = can_write
            if can_write:
                connection.pump_all()
        case ("noise", data):
            connection.receive(data)
        case (int(), int(), int(), bytes()):
            peer.send(*action)


def fan(peer: Any, streams: list[Any], messages: list[bytes]) -> None:
    """The same to all: whole to who has room, nothing to the others."""
    connection = peer.connection
    before = [one.out_window for one in streams]
    room = connection.out_window
    refused = FAN.send(streams, messages)
    size = sum(map(len, messages)) + 5 * len(messages)
    for position, one in enumerate(streams):
        spent = 0 if position in refused else size
        assert one.out_window == before[position] - spent
        assert not spent or (one.out_window >= 0 and one.is_answered and not one.outbox)
    assert connection.out_window == room - size * (len(streams) - len(refused))
    assert connection.out_window >= min(room, 0)
    assert not connection.shared_by


def check(peer: Any) -> None:
    """What always holds."""
    connection = peer.connection
    assert connection.unsent_bytes == sum(one.outbox_bytes for one in connection.streams.values())
    assert connection.unsent_bytes >= 0
    assert len(connection.streams) <= SMALL.max_concurrent_streams
    assert len(connection.lingering) <= 1024
    assert len(connection._rest) <= 9 + frames.MIN_MAX_FRAME
    assert connection._block is None or len(connection._block[2]) <= 20_000
    assert connection.out_window <= frames.MAX_WINDOW
    for one in connection.streams.values():
        assert not one.is_closed
        assert one.out_window <= frames.MAX_WINDOW
        assert one.outbox is None or all(
            offset < len(data) or offset < 0 for data, offset in one.outbox
        )
        if one.outbox and one.out_window > 0 and connection.can_write:
            assert connection.out_window <= 0 or one.stream_id in connection.blocked
    for stream_id, one in peer.opened.items():
        # A stream is told of its end at most once (the recorder asserts it) and is then off the books.
        assert one.reset_code is None or stream_id not in connection.streams
    if connection.is_closed:
        assert not connection.streams
        assert connection.unsent_bytes == 0


@given(steps=st.lists(actions, max_size=60))
@settings(max_examples=150, deadline=None)
def test_half_sensible_frames(make_peer_class: Callable[..., Any], steps: list[Any]) -> None:
    peer = make_peer_class(limits=SMALL).start()
    for step in steps:
        act(peer, step)
        check(peer)
        peer.taken()


@given(st.lists(st.binary(max_size=200), max_size=5), st.booleans())
@settings(max_examples=200, deadline=None)
def test_noise(make_peer_class: Callable[..., Any], pieces: list[bytes], has_started: bool) -> None:
    peer = make_peer_class(limits=SMALL)
    if has_started:
        peer.start()
    for piece in pieces:
        peer.connection.receive(piece)
        check(peer)


@given(st.lists(frame, max_size=20), st.integers(1, 50))
@settings(max_examples=100, deadline=None)
def test_how_bytes_are_cut_into_reads_changes_nothing(
    make_peer_class: Callable[..., Any], sent: list[Any], size: int
) -> None:
    data = b"".join(frames.pack_frame(*one) for one in sent)
    whole, cut = make_peer_class(limits=SMALL).start(), make_peer_class(limits=SMALL).start()
    whole.connection.receive(data)
    for position in range(0, len(data), size):
        cut.connection.receive(data[position : position + size])
    assert whole.connection.take_output() == cut.connection.take_output()
    assert whole.connection.is_closed == cut.connection.is_closed
    assert [one.body for one in whole.opened.values()] == [one.body for one in cut.opened.values()]
