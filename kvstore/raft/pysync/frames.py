"""Peer frames: a length and a message. Sans-IO; limits are enforced before anything is decoded."""

import struct

from kvstore.raft.pysync import messages
from kvstore.raft.pysync.messages import BadMessage, Message

_LENGTH = struct.Struct(">I")
_encode = messages.encode


class BadFrame(ValueError):
    """The peer sent what no member sends."""


def encode(message: Message) -> bytes:
    """`message` as one frame."""
    body = _encode(message)
    return _LENGTH.pack(len(body)) + body


class FrameReader:
    """Cuts a byte stream into messages. `limit_bytes` may be raised once the peer is known."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self._buffer = bytearray()
        self._needed = 0

    def feed(self, data: bytes) -> list[Message]:
        """The messages that are complete now. Raises BadFrame."""
        buffer = self._buffer
        # Nearly always what arrives is whole frames, which need not be copied to be read.
        if buffer:
            buffer += data
            if len(buffer) < self._needed:
                return []
            data = bytes(buffer)
        found: list[Message] = []
        start, available = 0, len(data)
        with memoryview(data) as view:
            while available - start >= _LENGTH.size:
                (length,) = _LENGTH.unpack_from(data, start)
                if length > self.limit_bytes:
                    raise BadFrame(f"a frame of {length} bytes is above {self.limit_bytes}")
                end = start + _LENGTH.size + length
                if available < end:
                    self._needed = end - start
                    break
                try:
                    found.append(messages.decode(view[start + _LENGTH.size : end]))
                except BadMessage as error:
                    raise BadFrame(f"a frame is no message ({error})") from error
                start = end
        if available - start < _LENGTH.size:
            self._needed = 0
        buffer[:] = data[start:]
        return found
