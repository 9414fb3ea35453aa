"""HTTP/2 frames (RFC 9113, 4 and 6): numbers, packing, and the two ways in which things go wrong."""

import struct
from typing import Final

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS = 0, 1, 2, 3, 4
PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 5, 6, 7, 8, 9

END_STREAM, ACK, END_HEADERS, PADDED, WITH_PRIORITY = 0x1, 0x1, 0x4, 0x8, 0x20

NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR = 0, 1, 2, 3
SETTINGS_TIMEOUT, STREAM_CLOSED, FRAME_SIZE_ERROR, REFUSED_STREAM = 4, 5, 6, 7
CANCEL, COMPRESSION_ERROR, CONNECT_ERROR, ENHANCE_YOUR_CALM = 8, 9, 10, 11

HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS = 1, 2, 3
INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE = 4, 5, 6

MIN_MAX_FRAME, MAX_MAX_FRAME = 1 << 14, (1 << 24) - 1
DEFAULT_WINDOW, MAX_WINDOW = 65_535, (1 << 31) - 1
MAX_STREAM_ID = (1 << 31) - 1

FRAME_HEADER: Final = struct.Struct(">HBBBL")
"""Length in two parts (16 and 8 bits), type, flags, stream."""

FRAME_HEADER_BYTES = 9
_PAIR: Final = struct.Struct(">LL")
_SETTING: Final = struct.Struct(">HL")


class ConnectionFailed(Exception):
    """The peer broke the protocol in a way that ends the connection; `code` and `text` go into GOAWAY."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(code, text)
        self.code = code
        self.text = text


class StreamFailed(Exception):
    """The peer broke the protocol on one stream, which is reset with `code`."""

    def __init__(self, stream_id: int, code: int, text: str) -> None:
        super().__init__(stream_id, code, text)
        self.stream_id = stream_id
        self.code = code
        self.text = text


def pack_frame(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    """A whole frame."""
    length = len(payload)
    return FRAME_HEADER.pack(length >> 8, length & 0xFF, kind, flags, stream_id) + payload


def pack_settings(settings: dict[int, int]) -> bytes:
    """A SETTINGS frame."""
    return pack_frame(SETTINGS, 0, 0, b"".join(_SETTING.pack(*one) for one in settings.items()))


def unpack_settings(payload: bytes) -> list[tuple[int, int]]:
    """The pairs of a SETTINGS payload whose length is a multiple of six."""
    return list(_SETTING.iter_unpack(payload))


def pack_reset(stream_id: int, code: int) -> bytes:
    """An RST_STREAM frame."""
    return pack_frame(RST_STREAM, 0, stream_id, code.to_bytes(4, "big"))


def pack_goaway(last_stream_id: int, code: int, text: str = "") -> bytes:
    """A GOAWAY frame."""
    return pack_frame(GOAWAY, 0, 0, _PAIR.pack(last_stream_id, code) + text.encode()[:256])


def pack_window_update(stream_id: int, increment: int) -> bytes:
    """A WINDOW_UPDATE frame."""
    return pack_frame(WINDOW_UPDATE, 0, stream_id, increment.to_bytes(4, "big"))


def pack_headers(stream_id: int, block: bytes, flags: int, max_frame: int) -> bytes:
    """A HEADERS frame, with CONTINUATION frames if the block is longer than a frame may be."""
    if len(block) <= max_frame:
        return pack_frame(HEADERS, flags | END_HEADERS, stream_id, block)
    pieces = [block[at : at + max_frame] for at in range(0, len(block), max_frame)]
    found = [pack_frame(HEADERS, flags, stream_id, pieces[0])]
    found += [pack_frame(CONTINUATION, 0, stream_id, piece) for piece in pieces[1:-1]]
    found.append(pack_frame(CONTINUATION, END_HEADERS, stream_id, pieces[-1]))
    return b"".join(found)
