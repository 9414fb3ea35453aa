"""Peer frames: a length and a msgpack map. Sans-IO; limits are enforced before anything is decoded."""

import struct
from typing import Any

import msgspec

_LENGTH = struct.Struct(">I")


class BadFrame(ValueError):
    """The peer sent what no member sends."""


def encode(message: dict[str, Any]) -> bytes:
    """`message` as one frame."""
    body = msgspec.msgpack.encode(message)
    return _LENGTH.pack(len(body)) + body


class FrameReader:
    """Cuts a byte stream into messages. `limit_bytes` may be raised once the peer is known."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Any]:
        """The messages that are complete now. Raises BadFrame."""
        buffer = self._buffer
        buffer += data
        messages: list[Any] = []
        start = 0
        while len(buffer) - start >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(buffer, start)
            if length > self.limit_bytes:
                raise BadFrame(f"a frame of {length} bytes is above {self.limit_bytes}")
            end = start + _LENGTH.size + length
            if len(buffer) < end:
                break
            try:
                messages.append(msgspec.msgpack.decode(bytes(buffer[start + _LENGTH.size : end])))
            except (msgspec.DecodeError, RecursionError, ValueError) as error:
                raise BadFrame(f"a frame is no message ({error})") from error
            start = end
        if start:
            del buffer[:start]
        return messages
