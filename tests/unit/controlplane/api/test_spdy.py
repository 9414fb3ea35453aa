"""SPDY frames, against a client's side made of the same parts."""

import hashlib
import struct
import zlib

import pytest

from controlplane.api.spdy import DICTIONARY, Connection, Data, Opened, Reset, SpdyError


class Client:
    """Writes what kubectl writes."""

    def __init__(self) -> None:
        self.deflate = zlib.compressobj(zdict=DICTIONARY)
        self.inflate = zlib.decompressobj(zdict=DICTIONARY)

    def open(self, stream: int, headers: dict[str, str], flags: int = 0) -> bytes:
        raw = struct.pack(">I", len(headers))
        for pair in headers.items():
            for word in pair:
                raw += struct.pack(">I", len(word)) + word.encode()
        block = self.deflate.compress(raw) + self.deflate.flush(zlib.Z_SYNC_FLUSH)
        payload = struct.pack(">IIH", stream, 0, 0) + block
        return struct.pack(">HHI", 0x8003, 1, flags << 24 | len(payload)) + payload


def test_the_dictionary_is_the_protocols() -> None:
    assert len(DICTIONARY) == 1423
    assert hashlib.sha256(DICTIONARY).hexdigest() == (
        "51d27341373f923f3cd88e1eb7162aeaa3723d7585ff2399201dc06498407f02"
    )


@pytest.mark.parametrize("step", [1, 7, 1000])
def test_events_however_the_bytes_arrive(step: int) -> None:
    client, server = Client(), Connection()
    data = client.open(1, {"streamtype": "error", "Port": "80"})
    data += client.open(3, {"streamtype": "data", "Port": "80"}, flags=1)
    data += struct.pack(">II", 1, 3) + b"abc" + struct.pack(">II", 3, 1 << 24)
    data += struct.pack(">HHIII", 0x8003, 3, 8, 1, 5)
    events = [e for i in range(0, len(data), step) for e in server.receive(data[i : i + step])]
    assert events == [
        Opened(1, {"streamtype": "error", "port": "80"}),
        Opened(3, {"streamtype": "data", "port": "80"}, is_end=True),
        Data(1, b"abc"),
        Data(3, b"", is_end=True),
        Reset(1),
    ]


def test_replies_pings_and_data_out() -> None:
    server = Connection()
    server.receive(struct.pack(">HHII", 0x8003, 6, 4, 7))
    assert server.take_outgoing() == struct.pack(">HHII", 0x8003, 6, 4, 7)
    server.reply(1)
    reply = server.take_outgoing()
    assert struct.unpack_from(">HHI", reply)[:2] == (0x8003, 2)
    assert Client().inflate.decompress(reply[12:]) == struct.pack(">I", 0)
    server.send(3, b"x" * 70_000, end=True)
    sent = server.take_outgoing()
    assert struct.unpack_from(">II", sent) == (3, 0xFFFF)
    assert struct.unpack_from(">II", sent, 8 + 0xFFFF) == (3, 1 << 24 | 70_000 - 0xFFFF)
    assert server.take_outgoing() == b""


@pytest.mark.parametrize(
    "garbage",
    [
        struct.pack(">HHI", 0x8002, 1, 0),
        struct.pack(">HHI", 0x8003, 1, 14) + b"\0" * 10 + b"junk",
        struct.pack(">HHI", 0x8003, 3, 0),
    ],
    ids=["version", "headers", "short"],
)
def test_what_is_no_spdy(garbage: bytes) -> None:
    with pytest.raises(SpdyError):
        Connection().receive(garbage)
