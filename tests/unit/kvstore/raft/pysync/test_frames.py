"""Peer frames: whole, in pieces, several at once, and what is none."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.raft.pysync.frames import BadFrame, FrameReader, encode
from kvstore.raft.pysync.messages import AppendEntries, Forward, Message, Ping

MESSAGES: list[Message] = [
    Ping(),
    AppendEntries(3, 9, 7, 6, 3, [(b"x" * 300, 7, 3)]),
    Forward(3, (1, 2, [3], [b""])),
]


@given(st.lists(st.sampled_from(MESSAGES), max_size=8), st.data())
def test_any_cut_of_the_stream_gives_the_same_messages(
    messages: list[Message], data: st.DataObject
) -> None:
    stream = b"".join(encode(message) for message in messages)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    reader = FrameReader(1 << 20)
    found: list[Message] = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += reader.feed(stream[start:end])
    assert found == messages


def test_a_message_is_given_as_soon_as_it_is_whole() -> None:
    reader = FrameReader(1 << 20)
    one, two = encode(MESSAGES[1]), encode(MESSAGES[0])
    assert reader.feed(one + two[:5]) == [MESSAGES[1]]
    assert reader.feed(two[5:] + one[:2]) == [MESSAGES[0]]
    assert reader.feed(one[2:]) == [MESSAGES[1]]


def test_a_length_above_the_limit_is_refused_before_its_bytes_come() -> None:
    with pytest.raises(BadFrame, match="above 100"):
        FrameReader(100).feed(struct.pack(">I", 101))


@pytest.mark.parametrize("body", [b"", b"\xc1", b"\x81\xa1x"])
def test_what_is_no_message_is_refused(body: bytes) -> None:
    with pytest.raises(BadFrame, match="no message"):
        FrameReader(100).feed(struct.pack(">I", len(body)) + body)
