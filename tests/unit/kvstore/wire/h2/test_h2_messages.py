"""gRPC on HTTP/2: framing, compression, statuses, timeouts, routes. Texts are grpc-go's."""

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.wire.engine import CallContext, Handlers, Send, WireError
from kvstore.wire.h2 import status
from kvstore.wire.h2.calls import decode_binary
from kvstore.wire.h2.hpack import Decoder, Header
from kvstore.wire.h2.messages import PREFIX, Assembler
from kvstore.wire.h2.routing import CallHead, Router


def framed(message: bytes, flag: int = 0) -> bytes:
    return PREFIX.pack(flag, len(message)) + message


@given(st.lists(st.binary(max_size=50), max_size=6), st.integers(1, 20))
def test_messages_come_whole_however_they_are_cut(messages: list[bytes], size: int) -> None:
    data = b"".join(map(framed, messages))
    assembler, found = Assembler(100), []
    for position in range(0, len(data), size):
        piece = b"junk" + data[position : position + size] + b"junk"
        found += assembler.feed(piece, 4, len(piece) - 4)
        assert assembler.held_bytes <= 55
    assert found == messages
    assembler.finish()


@pytest.mark.parametrize(
    ("data", "is_gzip", "code", "text"),
    [
        (PREFIX.pack(0, 101), False, 8, "grpc: received message larger than max (101 vs. 100)"),
        (PREFIX.pack(2, 5), False, 13, "grpc: received unexpected payload format 2"),
        (
            framed(gzip.compress(b"x"), 1),
            False,
            13,
            "grpc: compressed flag set with identity or empty encoding",
        ),
        (
            framed(gzip.compress(bytes(100_000)), 1),
            True,
            8,
            "grpc: received message after decompression larger than max (101 vs. 100)",
        ),
        (framed(b"no gzip at all", 1), True, 13, "grpc: failed to decompress the received message"),
        (framed(gzip.compress(b"abcdef")[:-9], 1), True, 13, "grpc: failed to decompress"),
    ],
    ids=["too large", "unknown flag", "not announced", "bomb", "no gzip", "cut gzip"],
)
def test_wrong_messages(data: bytes, is_gzip: bool, code: int, text: str) -> None:
    limit = 100 if len(data) < 110 else 1000
    with pytest.raises(WireError) as caught:
        Assembler(100 if limit == 100 else limit, is_gzip=is_gzip).feed(data, 0, len(data))
    assert caught.value.code == code
    assert caught.value.message.startswith(
        text.replace("(101 vs. 100)", f"({limit + 1} vs. {limit})")
    )


def test_compressed_messages_are_inflated() -> None:
    data = framed(gzip.compress(b"hello" * 10), 1) + framed(b"plain")
    assert Assembler(100, is_gzip=True).feed(data, 0, len(data)) == [b"hello" * 10, b"plain"]


def test_an_end_inside_a_message_is_an_error() -> None:
    assembler = Assembler(100)
    assembler.feed(framed(b"abc"), 0, 7)
    with pytest.raises(WireError, match="unexpected EOF"):
        assembler.finish()


@pytest.mark.parametrize(
    ("text", "packed"),
    [
        ("plain text", b"plain text"),
        ("100%", b"100%25"),
        ("schön\n", b"sch%C3%B6n%0A"),
        ("x" * 5000, b"x" * 4096),
        ("ö" * 2049, b"%C3%B6" * 2048),
        ("a" + "ö" * 2048, b"a" + b"%C3%B6" * 2047),
    ],
    ids=["plain", "percent", "utf-8", "cut", "cut utf-8", "cut between"],
)
def test_status_texts_are_percent_encoded(text: str, packed: bytes) -> None:
    assert status.percent_encode(text) == packed


def test_the_longest_status_fits_one_frame() -> None:
    assert len(status.refusal(16, "\n" * 10_000).payload) <= 16_384


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (b"1H", 3600.0),
        (b"2M", 120.0),
        (b"3S", 3.0),
        (b"500m", 0.5),
        (b"99999999u", 99.999999),
        (b"0n", 0.0),
        (b"123456789S", None),
        (b"S", None),
        (b"1s", None),
        (b"-1S", None),
        (b"", None),
    ],
)
def test_timeouts(value: bytes, seconds: float | None) -> None:
    assert status.parse_timeout(value) == (pytest.approx(seconds) if seconds is not None else None)


@pytest.mark.parametrize(
    ("value", "decoded"),
    [(b"AAEC", b"\0\1\2"), (b"AAE", b"\0\1"), (b"AAE=", b"\0\1"), (b"*", b"*")],
)
def test_binary_metadata(value: bytes, decoded: bytes) -> None:
    assert decode_binary(value) == decoded


async def unary(request: bytes, _: CallContext) -> bytes:
    return request


async def stream(_: object, __: Send, ___: CallContext) -> None:
    return None


ROUTER = Router(Handlers(unary={"/a.B/C": unary}, stream={"/a.B/D": stream}))


def head_of(**changes: bytes | None) -> CallHead:
    fields: dict[bytes, bytes | None] = {
        b":method": b"POST",
        b":scheme": b"http",
        b":path": b"/a.B/C",
        b"content-type": b"application/grpc",
    }
    fields.update({name.replace("_", "-").encode(): value for name, value in changes.items()})
    fields[b":path"] = fields.pop(b"path", None) or fields[b":path"]
    fields[b":method"] = fields.pop(b"method", None) or fields[b":method"]
    return ROUTER.convert(tuple((k, v) for k, v in fields.items() if v is not None))


def refusal_of(head: CallHead) -> dict[str, str]:
    assert head.refused is not None
    decoder: Decoder[tuple[Header, ...]] = Decoder(lambda headers: headers)
    return {name.decode(): value.decode() for name, value in decoder.decode(head.refused.payload)}


@pytest.mark.parametrize(
    "kind", [b"application/grpc", b"application/grpc+proto", b"application/grpc;x=y"]
)
def test_calls_find_their_handlers(kind: bytes) -> None:
    assert head_of(content_type=kind).unary is unary
    assert head_of(path=b"/a.B/D").stream is stream


def test_deadlines_of_calls_that_are_alike_differ() -> None:
    heads = [head_of(grpc_timeout=b"%dS" % seconds) for seconds in (1, 2, 1)]
    assert [head.timeout for head in heads] == [1.0, 2.0, 1.0]
    assert all(head.unary is unary and head.value(b"grpc-timeout") for head in heads)
    assert head_of().timeout is None
    assert refusal_of(head_of(path=b"/x.Y/Z", grpc_timeout=b"1S"))["grpc-status"] == "12"


def test_what_is_remembered_is_bounded() -> None:
    for number in range(2000):
        head_of(x=b"%d" % number)
    assert len(ROUTER._memo) <= 512


REFUSALS: dict[str, tuple[dict[str, bytes | None], str, str, str]] = {
    "method": (
        {"method": b"GET"},
        "405",
        "13",
        "http2Server.operateHeaders parsed a :method field: GET which should be POST",
    ),
    "content-type": (
        {"content_type": b"application/json"},
        "415",
        "3",
        'invalid gRPC request content-type "application/json"',
    ),
    "no content-type": ({"content_type": None}, "415", "3", 'invalid gRPC request content-type ""'),
    "content-type that only begins so": (
        {"content_type": b"application/grpcx"},
        "415",
        "3",
        'invalid gRPC request content-type "application/grpcx"',
    ),
    "timeout": ({"grpc_timeout": b"soon"}, "200", "13", "malformed grpc-timeout: soon"),
    "encoding": (
        {"grpc_encoding": b"snappy"},
        "200",
        "12",
        'grpc: Decompressor is not installed for grpc-encoding "snappy"',
    ),
    "service": ({"path": b"/x.Y/C"}, "200", "12", "unknown service x.Y"),
    "method of a service": ({"path": b"/a.B/X"}, "200", "12", "unknown method X for service a.B"),
    "path without method": ({"path": b"/a"}, "200", "12", 'malformed method name: "/a"'),
    "path of three": ({"path": b"/a/b/c"}, "200", "12", "unknown service a/b"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_what_headers_alone_refuse(name: str) -> None:
    changes, http_status, code, message = REFUSALS[name]
    found = refusal_of(head_of(**changes))
    assert (found[":status"], found["grpc-status"], found["grpc-message"]) == (
        http_status,
        code,
        status.percent_encode(message).decode(),
    )
    assert found["content-type"] == "application/grpc"
    assert found.get("grpc-accept-encoding") == ("identity,gzip" if name == "encoding" else None)
