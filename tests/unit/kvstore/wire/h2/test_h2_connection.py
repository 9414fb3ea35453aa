"""The connection core: what a peer may do, what ends a stream, what ends the connection."""

from collections.abc import Callable
from typing import Any

import pytest

from kvstore.wire.h2 import frames
from kvstore.wire.h2.flow import Budget
from kvstore.wire.h2.frames import (
    ACK,
    COMPRESSION_ERROR,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    ENHANCE_YOUR_CALM,
    FLOW_CONTROL_ERROR,
    FRAME_SIZE_ERROR,
    GOAWAY,
    HEADERS,
    NO_ERROR,
    PADDED,
    PING,
    PRIORITY,
    PROTOCOL_ERROR,
    PUSH_PROMISE,
    REFUSED_STREAM,
    RST_STREAM,
    SETTINGS,
    STREAM_CLOSED,
    WINDOW_UPDATE,
    WITH_PRIORITY,
)
from kvstore.wire.h2.hpack import Header, encode_plain
from kvstore.wire.h2.limits import Limits
from kvstore.wire.h2.sending import Block

OPENING, CLOSING = Block(encode_plain([(b":status", b"200")])), Block(encode_plain([(b"x", b"0")]))
GOOD: list[Header] = [
    (b":method", b"POST"),
    (b":scheme", b"http"),
    (b":path", b"/a.B/C"),
    (b":authority", b"here"),
]
BLOCK = encode_plain(GOOD)


def setting(name: int, value: int) -> bytes:
    return name.to_bytes(2, "big") + value.to_bytes(4, "big")


def number(value: int) -> bytes:
    return value.to_bytes(4, "big")


# Hello


def test_the_server_says_its_limits_first(make_peer: Callable[..., Any]) -> None:
    peer = make_peer(limits=Limits(max_concurrent_streams=7))
    name, flags, stream_id, payload = peer.taken()[0]
    assert (name, flags, stream_id) == ("SETTINGS", 0, 0)
    assert (frames.MAX_CONCURRENT_STREAMS, 7) in frames.unpack_settings(payload)


def test_hello_may_come_byte_by_byte(make_peer: Callable[..., Any]) -> None:
    peer = make_peer()
    peer.taken()
    hello = frames.PREFACE + frames.pack_settings({4: 10})
    whole = hello + frames.pack_frame(HEADERS, END_HEADERS, 1, BLOCK)
    whole += frames.pack_frame(DATA, END_STREAM, 1, b"abc")
    for position in range(len(whole)):
        peer.connection.receive(whole[position : position + 1])
    assert peer.opened[1].body == b"abc"
    assert peer.opened[1].is_ended
    assert peer.taken() == [("SETTINGS", ACK, 0, b"")]


def test_a_wrong_preface_ends_the_connection(make_peer: Callable[..., Any]) -> None:
    peer = make_peer()
    peer.connection.receive(b"PRI * HTTP/1.1\r\n\r\nSM\r\n\r\n")
    assert peer.errors() == [("GOAWAY", 0, PROTOCOL_ERROR)]
    assert peer.connection.is_closed


@pytest.mark.parametrize("kind", [DATA, HEADERS, PING, WINDOW_UPDATE, 77])
def test_the_first_frame_must_be_settings(make_peer: Callable[..., Any], kind: int) -> None:
    peer = make_peer()
    peer.connection.receive(frames.PREFACE + frames.pack_frame(kind, 0, 0, bytes(8)))
    assert peer.errors() == [("GOAWAY", 0, PROTOCOL_ERROR)]


# What ends the connection: frames, code

Frame = tuple[int, int, int, bytes]
OPEN: Frame = (HEADERS, END_HEADERS, 1, BLOCK)
ENDED: Frame = (HEADERS, END_HEADERS | END_STREAM, 1, BLOCK)
CONNECTION_ERRORS: dict[str, tuple[list[Frame], int]] = {
    "data on stream 0": ([(DATA, 0, 0, b"x")], PROTOCOL_ERROR),
    "empty data on stream 0": ([(DATA, 0, 0, b"")], PROTOCOL_ERROR),
    "data on an idle stream": ([(DATA, 0, 5, b"x")], PROTOCOL_ERROR),
    "data on a stream of the server's": ([OPEN, (DATA, 0, 2, b"x")], PROTOCOL_ERROR),
    "data padded beyond its end": ([OPEN, (DATA, PADDED, 1, b"\x05abc")], PROTOCOL_ERROR),
    "data padded without length": ([OPEN, (DATA, PADDED, 1, b"")], FRAME_SIZE_ERROR),
    "headers on stream 0": ([(HEADERS, END_HEADERS, 0, BLOCK)], PROTOCOL_ERROR),
    "cut headers on stream 0": ([(HEADERS, 0, 0, BLOCK)], PROTOCOL_ERROR),
    "headers on an even stream": ([(HEADERS, END_HEADERS, 2, BLOCK)], PROTOCOL_ERROR),
    "headers on an older stream": (
        [(HEADERS, END_HEADERS, 5, BLOCK), (HEADERS, END_HEADERS, 3, BLOCK)],
        STREAM_CLOSED,
    ),
    "headers after a reset": ([OPEN, (RST_STREAM, 0, 1, number(8)), OPEN], STREAM_CLOSED),
    "headers padded beyond their end": (
        [(HEADERS, END_HEADERS | PADDED, 1, b"\xff" + BLOCK)],
        PROTOCOL_ERROR,
    ),
    "headers with a cut priority": (
        [(HEADERS, END_HEADERS | WITH_PRIORITY, 1, b"abc")],
        FRAME_SIZE_ERROR,
    ),
    "headers that depend on themselves": (
        [(HEADERS, END_HEADERS | WITH_PRIORITY, 1, number(1) + b"\0" + BLOCK)],
        PROTOCOL_ERROR,
    ),
    "headers that cannot be decoded": ([(HEADERS, END_HEADERS, 1, b"\x80")], COMPRESSION_ERROR),
    "trailers that cannot be decoded": (
        [OPEN, (HEADERS, END_HEADERS | END_STREAM, 1, b"\x80")],
        COMPRESSION_ERROR,
    ),
    "a block interrupted by another stream": (
        [(HEADERS, 0, 1, BLOCK), (HEADERS, END_HEADERS, 3, BLOCK)],
        PROTOCOL_ERROR,
    ),
    "a block interrupted by a ping": (
        [(HEADERS, 0, 1, BLOCK), (PING, 0, 0, bytes(8))],
        PROTOCOL_ERROR,
    ),
    "a block interrupted by an unknown frame": (
        [(HEADERS, 0, 1, BLOCK), (99, 0, 1, b"")],
        PROTOCOL_ERROR,
    ),
    "a continuation of another stream": (
        [(HEADERS, 0, 1, BLOCK), (CONTINUATION, END_HEADERS, 3, b"")],
        PROTOCOL_ERROR,
    ),
    "a continuation of nothing": ([(CONTINUATION, END_HEADERS, 1, BLOCK)], PROTOCOL_ERROR),
    "priority on stream 0": ([(PRIORITY, 0, 0, bytes(5))], PROTOCOL_ERROR),
    "reset of stream 0": ([(RST_STREAM, 0, 0, number(0))], PROTOCOL_ERROR),
    "reset of an idle stream": ([(RST_STREAM, 0, 1, number(0))], PROTOCOL_ERROR),
    "reset of a wrong length": ([OPEN, (RST_STREAM, 0, 1, b"abc")], FRAME_SIZE_ERROR),
    "settings on a stream": ([(SETTINGS, 0, 1, b"")], PROTOCOL_ERROR),
    "settings of a wrong length": ([(SETTINGS, 0, 0, b"abc")], FRAME_SIZE_ERROR),
    "settings ack with a payload": ([(SETTINGS, ACK, 0, setting(4, 1))], FRAME_SIZE_ERROR),
    "settings: push 2": ([(SETTINGS, 0, 0, setting(2, 2))], PROTOCOL_ERROR),
    "settings: window over 2**31-1": ([(SETTINGS, 0, 0, setting(4, 1 << 31))], FLOW_CONTROL_ERROR),
    "settings: frame too small": ([(SETTINGS, 0, 0, setting(5, 16383))], PROTOCOL_ERROR),
    "settings: frame too large": ([(SETTINGS, 0, 0, setting(5, 1 << 24))], PROTOCOL_ERROR),
    "settings that overflow a stream's window": (
        [OPEN, (WINDOW_UPDATE, 0, 1, number(100)), (SETTINGS, 0, 0, setting(4, (1 << 31) - 1))],
        FLOW_CONTROL_ERROR,
    ),
    "push": ([OPEN, (PUSH_PROMISE, END_HEADERS, 1, number(2) + BLOCK)], PROTOCOL_ERROR),
    "ping on a stream": ([(PING, 0, 1, bytes(8))], PROTOCOL_ERROR),
    "ping of a wrong length": ([(PING, 0, 0, bytes(7))], FRAME_SIZE_ERROR),
    "goaway on a stream": ([(GOAWAY, 0, 1, bytes(8))], PROTOCOL_ERROR),
    "goaway cut off": ([(GOAWAY, 0, 0, bytes(7))], FRAME_SIZE_ERROR),
    "window update of a wrong length": ([(WINDOW_UPDATE, 0, 0, b"abc")], FRAME_SIZE_ERROR),
    "window update of nothing": ([(WINDOW_UPDATE, 0, 0, number(0))], PROTOCOL_ERROR),
    "window update that overflows": (
        [(WINDOW_UPDATE, 0, 0, number((1 << 31) - 1))],
        FLOW_CONTROL_ERROR,
    ),
    "window update of an idle stream": ([(WINDOW_UPDATE, 0, 1, number(1))], PROTOCOL_ERROR),
}


@pytest.mark.parametrize("name", CONNECTION_ERRORS)
def test_what_ends_the_connection(peer: Any, name: str) -> None:
    sent, code = CONNECTION_ERRORS[name]
    for frame in sent:
        peer.send(*frame)
    assert peer.errors()[-1:] == [("GOAWAY", 0, code)]
    assert peer.connection.is_closed
    assert all(stream.reset_code is not None for stream in peer.opened.values())
    peer.send(PING, 0, 0, bytes(8))
    assert peer.taken() == []


STREAM_ERRORS: dict[str, tuple[list[Frame], int]] = {
    "data after the end": ([ENDED, (DATA, 0, 1, b"x")], STREAM_CLOSED),
    "headers after the end": ([ENDED, ENDED], STREAM_CLOSED),
    "data after a reset": (
        [OPEN, (RST_STREAM, 0, 1, number(8)), (DATA, 0, 1, b"x")],
        STREAM_CLOSED,
    ),
    "trailers that do not end": ([OPEN, (HEADERS, END_HEADERS, 1, b"")], PROTOCOL_ERROR),
    "trailers with a pseudo header": (
        [OPEN, (HEADERS, END_HEADERS | END_STREAM, 1, encode_plain([(b":path", b"/")]))],
        PROTOCOL_ERROR,
    ),
    "window update of nothing": ([OPEN, (WINDOW_UPDATE, 0, 1, number(0))], PROTOCOL_ERROR),
    "window update that overflows": (
        [OPEN, (WINDOW_UPDATE, 0, 1, number((1 << 31) - 1))],
        FLOW_CONTROL_ERROR,
    ),
    "priority of a wrong length": ([OPEN, (PRIORITY, 0, 1, b"abc")], FRAME_SIZE_ERROR),
    "priority on itself": ([OPEN, (PRIORITY, 0, 1, number(1) + b"\0")], PROTOCOL_ERROR),
}


@pytest.mark.parametrize("name", STREAM_ERRORS)
def test_what_ends_a_stream(peer: Any, name: str) -> None:
    sent, code = STREAM_ERRORS[name]
    for frame in sent:
        peer.send(*frame)
    assert peer.errors() == [("RST_STREAM", 1, code)]
    assert not peer.connection.is_closed
    assert peer.open(9, end=True).is_ended


MALFORMED: dict[str, list[Header]] = {
    "no method": GOOD[1:],
    "no scheme": [GOOD[0], *GOOD[2:]],
    "no path": [*GOOD[:2], GOOD[3]],
    "empty path": [*GOOD[:2], (b":path", b"")],
    "relative path": [*GOOD[:2], (b":path", b"a/b")],
    "method twice": [*GOOD, GOOD[0]],
    "a pseudo header of answers": [*GOOD, (b":status", b"200")],
    "unknown pseudo header": [*GOOD, (b":x", b"y")],
    "pseudo header after a header": [*GOOD[:3], (b"a", b"b"), GOOD[3]],
    "upper case": [*GOOD, (b"Aa", b"b")],
    "space in a name": [*GOOD, (b"a b", b"c")],
    "empty name": [*GOOD, (b"", b"c")],
    "line break in a value": [*GOOD, (b"a", b"b\r\nc: d")],
    "zero in a value": [*GOOD, (b"a", b"b\0")],
    "space before a value": [*GOOD, (b"a", b" b")],
    "connection": [*GOOD, (b"connection", b"close")],
    "transfer-encoding": [*GOOD, (b"transfer-encoding", b"chunked")],
    "upgrade": [*GOOD, (b"upgrade", b"h2c")],
    "te other than trailers": [*GOOD, (b"te", b"gzip")],
    "content-length that is none": [*GOOD, (b"content-length", b"x")],
    "content-length that differs": [*GOOD, (b"content-length", b"1"), (b"content-length", b"2")],
    "CONNECT with a path": [(b":method", b"CONNECT"), *GOOD[1:]],
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_headers_end_the_stream(peer: Any, name: str) -> None:
    peer.send(HEADERS, END_HEADERS, 1, encode_plain(MALFORMED[name]))
    assert peer.errors() == [("RST_STREAM", 1, PROTOCOL_ERROR)]
    # What was under way already is not held against the client.
    peer.data(1, b"x")
    assert peer.errors() == []


@pytest.mark.parametrize(
    ("length", "pieces", "is_wrong"),
    [
        (3, [b"abc"], False),
        (3, [b"ab"], True),
        (3, [b"ab", b"cd"], True),
        (0, [b"a"], True),
        (3, [], True),
    ],
)
def test_content_length_must_be_true(
    peer: Any, length: int, pieces: list[bytes], is_wrong: bool
) -> None:
    block = encode_plain([*GOOD, (b"content-length", b"%d" % length)])
    peer.send(HEADERS, END_HEADERS | (0 if pieces else END_STREAM), 1, block)
    for position, piece in enumerate(pieces):
        peer.data(1, piece, end=position == len(pieces) - 1)
    assert peer.errors() == ([("RST_STREAM", 1, PROTOCOL_ERROR)] if is_wrong else [])


def test_a_frame_longer_than_allowed_is_refused_before_it_is_there(peer: Any) -> None:
    peer.connection.receive(frames.FRAME_HEADER.pack(16385 >> 8, 1, DATA, 0, 1))
    assert peer.errors() == [("GOAWAY", 0, FRAME_SIZE_ERROR)]


# What is fine


def test_padding_and_priority_are_taken_off(peer: Any) -> None:
    payload = b"\x03" + number(0) + b"\x10" + BLOCK + b"\0\0\0"
    peer.send(HEADERS, END_HEADERS | PADDED | WITH_PRIORITY, 1, payload)
    peer.send(DATA, PADDED, 1, b"\x02abc\0\0")
    peer.send(DATA, PADDED | END_STREAM, 1, b"\x02\0\0")
    assert peer.opened[1].body == b"abc"
    assert peer.opened[1].is_ended
    assert peer.errors() == []


def test_a_block_may_come_in_pieces(peer: Any) -> None:
    peer.send(HEADERS, END_STREAM, 1, BLOCK[:3])
    peer.send(CONTINUATION, 0, 1, BLOCK[3:9])
    peer.send(CONTINUATION, END_HEADERS, 1, BLOCK[9:])
    assert peer.opened[1].is_ended
    assert peer.opened[1].head.path == b"/a.B/C"


def test_trailers_end_a_request(peer: Any) -> None:
    stream = peer.open(1)
    peer.send(HEADERS, END_HEADERS | END_STREAM, 1, encode_plain([(b"x", b"y")]))
    assert stream.is_ended


def test_unknown_frames_and_settings_are_ignored(peer: Any) -> None:
    peer.send(77, 3, 0, b"abc")
    peer.send(77, 3, 9, b"abc")
    peer.send(SETTINGS, 0, 0, setting(99, 5))
    assert peer.taken() == [("SETTINGS", ACK, 0, b"")]


def test_pings_are_answered(peer: Any) -> None:
    peer.send(PING, 0, 0, b"12345678")
    peer.send(PING, ACK, 0, b"12345678")
    assert peer.taken() == [("PING", ACK, 0, b"12345678")]


def test_a_reset_reaches_the_stream_once(peer: Any) -> None:
    stream = peer.open(1)
    peer.send(RST_STREAM, 0, 1, number(frames.CANCEL))
    assert stream.reset_code == frames.CANCEL
    assert not peer.connection.streams
    peer.send(WINDOW_UPDATE, 0, 1, number(5))
    peer.send(RST_STREAM, 0, 1, number(frames.CANCEL))
    assert peer.errors() == []


# Answers and windows


def answer(peer: Any, stream: Any, body: bytes) -> None:
    peer.connection.answer(stream, OPENING, b"\0" + number(len(body)), body, CLOSING)


def test_an_answer_is_headers_data_trailers(peer: Any) -> None:
    stream = peer.open(1, end=True)
    answer(peer, stream, b"hello")
    assert [(name, flags) for name, flags, _, _ in peer.taken()] == [
        ("HEADERS", END_HEADERS),
        ("DATA", 0),
        ("HEADERS", END_HEADERS | END_STREAM),
    ]
    assert stream.is_closed


def test_an_answer_before_the_end_tells_the_client_to_stop(peer: Any) -> None:
    answer(peer, peer.open(1), b"no")
    assert peer.taken()[-1] == ("RST_STREAM", 0, 1, number(NO_ERROR))
    peer.data(1, b"under way", end=True)
    assert peer.errors() == []


def test_a_long_answer_waits_for_windows(make_peer: Callable[..., Any]) -> None:
    peer = make_peer().start({frames.INITIAL_WINDOW_SIZE: 100_000})
    stream, body = peer.open(1, end=True), bytes(range(256)) * 1000
    answer(peer, stream, body)
    sent = b""
    got = peer.taken()
    for step in range(10):
        assert all(len(payload) <= 16384 for _, _, _, payload in got)
        sent += b"".join(payload for name, _, _, payload in got if name == "DATA")
        if step % 2:
            peer.send(WINDOW_UPDATE, 0, 1, number(60_000))
        else:
            peer.send(WINDOW_UPDATE, 0, 0, number(60_000))
        got = peer.taken()
        if got and got[-1][0] == "HEADERS":
            sent += b"".join(payload for name, _, _, payload in got if name == "DATA")
            break
    assert sent == b"\0" + number(len(body)) + body
    assert stream.is_closed
    assert peer.connection.unsent_bytes == 0


def test_a_smaller_initial_window_may_leave_streams_in_debt(make_peer: Callable[..., Any]) -> None:
    peer = make_peer().start()
    stream = peer.open(1, end=True)
    peer.connection.send_headers(stream, OPENING)
    assert peer.connection.send_data(stream, b"", b"x" * 1000)
    peer.send(SETTINGS, 0, 0, setting(frames.INITIAL_WINDOW_SIZE, 0))
    assert stream.out_window == -1000
    peer.taken()
    assert not peer.connection.send_data(stream, b"", b"y" * 10)
    peer.send(WINDOW_UPDATE, 0, 1, number(1000))
    assert peer.taken() == []
    peer.send(WINDOW_UPDATE, 0, 1, number(10))
    assert peer.taken() == [("DATA", 0, 1, b"y" * 10)]
    assert stream.drained_count == 1


def test_streams_share_the_connections_window_by_turns(peer: Any) -> None:
    streams = [peer.open(1 + 2 * index, end=True) for index in range(3)]
    for stream in streams:
        answer(peer, stream, b"z" * 60_000)
    peer.taken()
    peer.send(WINDOW_UPDATE, 0, 0, number(50_000))
    counts: dict[int, int] = {}
    for name, _, stream_id, payload in peer.taken():
        if name == "DATA":
            counts[stream_id] = counts.get(stream_id, 0) + len(payload)
    assert sum(counts.values()) == 50_000
    assert len(counts) == 2  # the first was served whole from the initial window but for a rest


def test_a_full_socket_holds_data_back(peer: Any) -> None:
    stream = peer.open(1, end=True)
    peer.connection.can_write = False
    answer(peer, stream, b"later")
    assert [name for name, *_ in peer.taken()] == ["HEADERS"]
    peer.connection.can_write = True
    peer.connection.pump_all()
    assert [name for name, *_ in peer.taken()] == ["DATA", "HEADERS"]
    assert stream.is_closed


def test_a_message_for_many_streams_is_not_copied(peer: Any) -> None:
    message = b"m" * 1000
    for index in range(5):
        stream = peer.open(1 + 2 * index)
        peer.connection.send_headers(stream, OPENING)
        peer.connection.send_data(stream, b"\0" + number(1000), message)
    assert sum(part is message for part in peer.connection.out) == 5


def test_windows_are_given_back_in_halves(make_peer: Callable[..., Any]) -> None:
    limits = Limits(stream_window=1000, connection_window=65_535)
    peer = make_peer(limits=limits).start()
    stream = peer.open(1)
    peer.data(1, bytes(400))
    peer.connection.credit(stream, 400)
    assert peer.taken() == []
    peer.data(1, bytes(100))
    peer.connection.credit(stream, 100)
    assert peer.taken() == [("WINDOW_UPDATE", 0, 1, number(500))]
    for _ in range(80):
        peer.data(1, bytes(500))
        peer.connection.credit(stream, 500)
    updates = [payload for _, _, stream_id, payload in peer.taken() if stream_id == 0]
    assert 1 <= len(updates) <= 2


def test_who_sends_beyond_a_window_is_stopped(make_peer: Callable[..., Any]) -> None:
    peer = make_peer(limits=Limits(stream_window=1000)).start()
    stream = peer.open(1)
    peer.data(1, bytes(1000))
    peer.data(1, b"x")
    assert peer.errors() == [("RST_STREAM", 1, FLOW_CONTROL_ERROR)]
    assert stream.reset_code == FLOW_CONTROL_ERROR


# Bounds and floods


def test_more_streams_than_allowed_are_refused(make_peer: Callable[..., Any]) -> None:
    peer = make_peer(limits=Limits(max_concurrent_streams=2)).start()
    peer.open(1)
    peer.open(3)
    peer.send(HEADERS, END_HEADERS, 5, BLOCK)
    assert peer.errors() == [("RST_STREAM", 5, REFUSED_STREAM)]
    peer.send(RST_STREAM, 0, 1, number(8))
    peer.open(7)
    assert peer.errors() == []


def rapid_reset(peer: Any, step: int) -> None:
    stream_id = 1 + 2 * step
    peer.send(HEADERS, END_HEADERS | END_STREAM, stream_id, BLOCK)
    peer.send(RST_STREAM, 0, stream_id, number(8))


def refused_streams(peer: Any, step: int) -> None:
    peer.send(HEADERS, END_HEADERS, 1 + 2 * step, encode_plain(GOOD[1:]))


def empty_data(peer: Any, step: int) -> None:
    if step == 0:
        peer.open(1)
    peer.send(DATA, 0, 1, b"")


def padding_only(peer: Any, step: int) -> None:
    if step == 0:
        peer.open(1)
    peer.send(DATA, PADDED, 1, b"\x01\0")


def settings_flood(peer: Any, step: int) -> None:
    peer.send(SETTINGS, 0, 0, setting(4, 65_535))


def ping_flood(peer: Any, step: int) -> None:
    peer.send(PING, 0, 0, bytes(8))


def priority_flood(peer: Any, step: int) -> None:
    peer.send(PRIORITY, 0, 1 + 2 * step, number(0) + b"\0")


def unknown_flood(peer: Any, step: int) -> None:
    peer.send(200, 0, 0, b"")


def ack_flood(peer: Any, step: int) -> None:
    peer.send(SETTINGS, ACK, 0, b"")


def continuation_flood(peer: Any, step: int) -> None:
    if step == 0:
        peer.send(HEADERS, 0, 1, BLOCK)
    else:
        peer.send(CONTINUATION, 0, 1, b"\x00\x01a\x01b")


def empty_continuations(peer: Any, step: int) -> None:
    if step == 0:
        peer.send(HEADERS, 0, 1, BLOCK)
    else:
        peer.send(CONTINUATION, 0, 1, b"")


def long_headers(peer: Any, step: int) -> None:
    if step == 0:
        peer.send(HEADERS, 0, 1, BLOCK)
    else:
        peer.send(CONTINUATION, 0, 1, b"\x00\x01a\x7f\xf1\x7d" + bytes(16_000))


def window_crumbs(peer: Any, step: int) -> None:
    if step == 0:
        peer.send(SETTINGS, 0, 0, setting(4, 0))
        answer(peer, peer.open(1, end=True), bytes(100_000))
    peer.send(WINDOW_UPDATE, 0, 1, number(1))


FLOODS = {
    "rapid reset": (rapid_reset, 1100),
    "refused streams": (refused_streams, 1100),
    "empty data": (empty_data, 300),
    "padding only": (padding_only, 300),
    "settings": (settings_flood, 150),
    "pings": (ping_flood, 5),
    "priorities": (priority_flood, 2200),
    "unknown frames": (unknown_flood, 2200),
    "settings acks": (ack_flood, 2200),
    "continuations": (continuation_flood, 40),
    "empty continuations": (empty_continuations, 40),
    "long headers": (long_headers, 10),
    "window crumbs": (window_crumbs, 2200),
}


@pytest.mark.parametrize("name", FLOODS)
def test_floods_are_told_to_be_calm(peer: Any, name: str) -> None:
    flood, at_most = FLOODS[name]
    last: list[Any] = []
    for step in range(at_most):
        flood(peer, step)
        last = peer.errors() or last
        if peer.connection.is_closed:
            break
    assert peer.connection.is_closed
    assert last[-1] == ("GOAWAY", 0, ENHANCE_YOUR_CALM)
    assert not peer.connection.streams
    assert len(peer.connection.lingering) <= 1024


@pytest.mark.parametrize(
    "name", ["rapid reset", "empty data", "settings", "priorities", "window crumbs"]
)
def test_the_same_at_a_humane_pace_is_endured(peer: Any, name: str) -> None:
    flood, at_most = FLOODS[name]
    for step in range(at_most * 2):
        peer.now += 0.2
        flood(peer, step)
        peer.taken()
    assert not peer.connection.is_closed


def test_resets_of_streams_that_were_served_are_no_flood(peer: Any) -> None:
    for index in range(3000):
        stream = peer.open(1 + 2 * index)
        peer.connection.send_headers(stream, OPENING)
        peer.send(RST_STREAM, 0, 1 + 2 * index, number(8))
        peer.taken()
    assert not peer.connection.is_closed


def test_pings_with_traffic_in_between_are_no_flood(peer: Any) -> None:
    for index in range(50):
        answer(peer, peer.open(1 + 2 * index, end=True), b"x")
        ping_flood(peer, 0)
    assert not peer.connection.is_closed
    peer.taken()


def test_pings_of_an_open_stream_may_come_at_the_minimal_pace(peer: Any) -> None:
    peer.open(1)
    for _ in range(20):
        peer.now += 5.0
        ping_flood(peer, 0)
    assert not peer.connection.is_closed


def test_too_many_pings_is_said_in_grpcs_words(peer: Any) -> None:
    for _ in range(5):
        ping_flood(peer, 0)
    assert peer.taken()[-1][3][8:] == b"too_many_pings"


def test_a_header_list_over_the_limit_ends_its_stream_only(make_peer: Callable[..., Any]) -> None:
    peer = make_peer(limits=Limits(max_header_list_bytes=2000)).start()
    peer.send(HEADERS, END_HEADERS, 1, encode_plain([*GOOD, (b"x", bytes(48) * 50)]))
    assert peer.errors() == [("RST_STREAM", 1, ENHANCE_YOUR_CALM)]
    assert peer.open(3, end=True).is_ended


def test_answers_that_nobody_reads_end_the_connection(make_peer: Callable[..., Any]) -> None:
    peer = make_peer(limits=Limits(max_unsent_bytes=500_000)).start({4: 0})
    for index in range(20):
        if peer.connection.is_closed:
            break
        answer(peer, peer.open(1 + 2 * index, end=True), bytes(100_000))
    assert peer.errors()[-1] == ("GOAWAY", 0, ENHANCE_YOUR_CALM)
    assert peer.connection.unsent_bytes == 0


def test_one_large_answer_alone_may_pass_the_bound(make_peer: Callable[..., Any]) -> None:
    peer = make_peer(limits=Limits(max_unsent_bytes=500_000)).start({4: 0})
    answer(peer, peer.open(1, end=True), bytes(5_000_000))
    assert not peer.connection.is_closed


def test_a_budget_is_shared_and_given_back() -> None:
    total = Budget(100)
    one, two = Budget(80, total), Budget(80, total)
    assert one.take(60)
    assert not one.take(30)
    assert not two.take(50)
    assert two.take(40)
    one.give(60)
    assert two.take(40)
    assert (total.held, one.held, two.held) == (80, 0, 80)


# The end


def test_draining_serves_what_was_begun_and_refuses_the_rest(peer: Any) -> None:
    stream = peer.open(1, end=True)
    peer.connection.go_away(frames.MAX_STREAM_ID)
    other = peer.open(3, end=True)
    peer.connection.go_away(peer.connection.last_stream_id)
    peer.connection.is_leaving = True
    peer.send(HEADERS, END_HEADERS | END_STREAM, 5, BLOCK)
    assert peer.errors() == [
        ("GOAWAY", 0, NO_ERROR),
        ("GOAWAY", 0, NO_ERROR),
        ("RST_STREAM", 5, REFUSED_STREAM),
    ]
    answer(peer, stream, b"1")
    assert not peer.connection.is_closed
    answer(peer, other, b"2")
    assert peer.connection.is_closed


def test_a_client_that_says_goodbye_gets_its_answers(peer: Any) -> None:
    stream = peer.open(1, end=True)
    peer.send(GOAWAY, 0, 0, number(0) + number(0))
    assert not peer.connection.is_closed
    answer(peer, stream, b"1")
    assert peer.connection.is_closed
