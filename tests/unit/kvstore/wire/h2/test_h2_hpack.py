"""Header compression: the examples of RFC 7541, appendix C, round trips, and what must be refused."""

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvstore.wire.h2 import huffman
from kvstore.wire.h2.hpack import (
    STATIC_TABLE,
    Decoder,
    Encoder,
    Header,
    HeadersTooLarge,
    HpackError,
    encode_plain,
    pack_integer,
)

headers_lists = st.lists(
    st.tuples(
        st.one_of(
            st.sampled_from([name for name, _ in STATIC_TABLE]), st.binary(min_size=1, max_size=20)
        ),
        st.binary(max_size=60),
    ),
    max_size=12,
)


def decoder(
    max_list_bytes: int = 65_536, max_table_bytes: int = 4096
) -> Decoder[tuple[Header, ...]]:
    return Decoder(lambda headers: headers, max_list_bytes, max_table_bytes)


def lines(text: str) -> list[Header]:
    found = []
    for line in text.strip().splitlines():
        name, _, value = line.strip().partition(": ")
        found.append((name.encode(), value.encode()))
    return found


C_2 = [
    ("400a637573746f6d2d6b65790d637573746f6d2d686561646572", "custom-key: custom-header", 55),
    ("040c2f73616d706c652f70617468", ":path: /sample/path", 0),
    ("100870617373776f726406736563726574", "password: secret", 0),
    ("82", ":method: GET", 0),
]


@pytest.mark.parametrize(
    ("block", "text", "table_bytes"), C_2, ids=["C.2.1", "C.2.2", "C.2.3", "C.2.4"]
)
def test_single_fields_of_the_rfc(block: str, text: str, table_bytes: int) -> None:
    read = decoder()
    assert list(read.decode(bytes.fromhex(block))) == lines(text)
    assert read.table_bytes == table_bytes


REQUESTS = [
    (":method: GET\n:scheme: http\n:path: /\n:authority: www.example.com", 57),
    (
        ":method: GET\n:scheme: http\n:path: /\n:authority: www.example.com\ncache-control: no-cache",
        110,
    ),
    (
        ":method: GET\n:scheme: https\n:path: /index.html\n:authority: www.example.com\n"
        "custom-key: custom-value",
        164,
    ),
]
RESPONSES = [
    (
        ":status: 302\ncache-control: private\ndate: Mon, 21 Oct 2013 20:13:21 GMT\n"
        "location: https://www.example.com",
        222,
    ),
    (
        ":status: 307\ncache-control: private\ndate: Mon, 21 Oct 2013 20:13:21 GMT\n"
        "location: https://www.example.com",
        222,
    ),
    (
        ":status: 200\ncache-control: private\ndate: Mon, 21 Oct 2013 20:13:22 GMT\n"
        "location: https://www.example.com\ncontent-encoding: gzip\n"
        "set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
        215,
    ),
]
SEQUENCES = {
    "C.3": (
        4096,
        REQUESTS,
        [
            "828684410f7777772e6578616d706c652e636f6d",
            "828684be58086e6f2d6361636865",
            "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565",
        ],
    ),
    "C.4": (
        4096,
        REQUESTS,
        [
            "828684418cf1e3c2e5f23a6ba0ab90f4ff",
            "828684be5886a8eb10649cbf",
            "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf",
        ],
    ),
    "C.5": (
        256,
        RESPONSES,
        [
            "4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a323120474d54"
            "6e1768747470733a2f2f7777772e6578616d706c652e636f6d",
            "4803333037c1c0bf",
            "88c1611d4d6f6e2c203231204f637420323031332032303a31333a323220474d54c05a04677a69707738666f6f"
            "3d4153444a4b48514b425a584f5157454f50495541585157454f49553b206d61782d6167653d333630303b2076"
            "657273696f6e3d31",
        ],
    ),
    "C.6": (
        256,
        RESPONSES,
        [
            "488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad1718"
            "63c78f0b97c8e9ae82ae43d3",
            "4883640effc1c0bf",
            "88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b3"
            "35dfdfcd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007",
        ],
    ),
}


@pytest.mark.parametrize("name", SEQUENCES)
def test_sequences_of_the_rfc(name: str) -> None:
    table_bytes, expected, blocks = SEQUENCES[name]
    read = decoder(max_table_bytes=table_bytes)
    for (text, size), block in zip(expected, blocks, strict=True):
        assert list(read.decode(bytes.fromhex(block))) == lines(text)
        assert read.table_bytes == size


@pytest.mark.parametrize("name", ["C.4", "C.6"])
def test_encoder_writes_what_the_rfc_writes(name: str) -> None:
    table_bytes, expected, blocks = SEQUENCES[name]
    write = Encoder(table_bytes)
    for (text, _), block in zip(expected, blocks, strict=True):
        assert write.encode(lines(text)).hex() == block


@pytest.mark.parametrize(
    ("value", "mask", "packed"), [(10, 31, "0a"), (1337, 31, "1f9a0a"), (42, 255, "2a")]
)
def test_integers_of_the_rfc(value: int, mask: int, packed: str) -> None:
    assert pack_integer(value, mask).hex() == packed


@given(st.lists(headers_lists, max_size=6), st.integers(0, 512))
def test_what_an_encoder_writes_a_decoder_reads(lists: list[list[Header]], size: int) -> None:
    write, read = Encoder(), decoder()
    write.resize(size)
    for headers in lists:
        block = write.encode(headers)
        assert list(read.decode(block)) == headers
        assert read.table_bytes <= size
        again = write.encode(headers)
        # Twice from the same table, by memory or not, is the same.
        assert list(read.decode(again)) == headers


@given(headers_lists)
def test_plain_blocks_need_no_table(headers: list[Header]) -> None:
    read = decoder()
    block = encode_plain(headers)
    assert list(read.decode(block)) == headers == list(read.decode(block))
    assert read.table_bytes == 0


def test_secrets_never_enter_the_table() -> None:
    write, read = Encoder(), decoder()
    block = write.encode([(b"authorization", b"secret")], never=frozenset([b"authorization"]))
    assert read.decode(block) == ((b"authorization", b"secret"),)
    assert read.table() == ()


def test_remembered_blocks_are_forgotten_when_the_table_changes() -> None:
    read = decoder()
    read.decode(bytes.fromhex("4001610162"))
    assert read.table() == ((b"a", b"b"),)
    newest = bytes.fromhex("be")
    assert read.decode(newest) == ((b"a", b"b"),)
    assert read.memo_count == 1
    read.decode(bytes.fromhex("4001630164"))
    assert read.memo_count == 0
    assert read.decode(newest) == ((b"c", b"d"),)


def test_memory_of_blocks_is_bounded() -> None:
    read = decoder()
    for number in range(1000):
        read.decode(encode_plain([(b"x", b"%d" % number)]))
    assert read.memo_count <= 64


REFUSED = {
    "index zero": "80",
    "index beyond the tables": "ff00",
    "name index beyond": "7f00016100",
    "cut integer": "ff",
    "cut literal": "4001",
    "string longer than the block": "400561",
    "huge length": "007fffffffff7f",
    "endless integer": "ff" + "80" * 20,
    "resize beyond what is allowed": "3fe21f",
    "resize after a field": "8220",
    "padding of eight bits": "000161" + "82" + "1fff",
    "padding with zeros": "00016181" + "18",
    "end of string inside": "00016184ffffffff",
}


@pytest.mark.parametrize("block", REFUSED.values(), ids=REFUSED.keys())
def test_broken_blocks_are_refused(block: str) -> None:
    with pytest.raises(HpackError):
        decoder().decode(bytes.fromhex(block))


def test_a_bomb_costs_no_more_than_the_limit_and_keeps_the_table_in_step() -> None:
    write = Encoder()
    big = (b"x", b"v" * 3000)
    read = decoder(max_list_bytes=10_000)
    read.decode(write.encode([big]))
    with pytest.raises(HeadersTooLarge):
        read.decode(write.encode([big] * 1000 + [(b"new", b"one")]))
    # The same table on both sides still.
    assert read.decode(write.encode([(b"new", b"one")])) == ((b"new", b"one"),)


@given(st.binary(max_size=300))
@settings(max_examples=300)
def test_noise_never_breaks_the_decoder(block: bytes) -> None:
    read = decoder(max_list_bytes=1000)
    for _ in range(2):
        with contextlib.suppress(HpackError, HeadersTooLarge):
            read.decode(block)
        assert read.table_bytes <= 4096


@given(st.binary(max_size=200))
def test_huffman_round_trip(data: bytes) -> None:
    assert huffman.decode(huffman.encode(data)) == data


@given(st.binary(max_size=50))
def test_huffman_accepts_only_what_it_would_write(data: bytes) -> None:
    try:
        text = huffman.decode(data)
    except huffman.HuffmanError:
        return
    assert huffman.encode(text) == data
