"""gRPC's framing of messages in a stream of bytes: a flag, a length, the message, perhaps gzip.

Bounded: a length beyond the maximum is refused as soon as it is seen, and inflating stops there. Texts are grpc-go's.
"""

import struct
import zlib
from typing import Final

from kvstore.wire.engine import INTERNAL, RESOURCE_EXHAUSTED, WireError

PREFIX: Final = struct.Struct(">BL")
PREFIX_BYTES = 5
_GZIP = 31
"""zlib's code for a gzip header and the largest window."""


class Assembler:
    """Puts the messages of one stream together."""

    __slots__ = ("_is_gzip", "_max_bytes", "_pending")

    def __init__(self, max_bytes: int, *, is_gzip: bool = False) -> None:
        self._max_bytes = max_bytes
        self._is_gzip = is_gzip
        self._pending = bytearray()

    @property
    def held_bytes(self) -> int:
        """Bytes of a message that is not whole yet."""
        return len(self._pending)

    def feed(self, data: bytes, start: int, stop: int) -> list[bytes]:
        """The messages that are whole with this piece. Raises WireError."""
        pending = self._pending
        if not pending:
            found, position = self._split(data, start, stop)
            if position < stop:
                pending += data[position:stop]
            return found
        pending += memoryview(data)[start:stop]
        found = []
        while len(pending) >= PREFIX_BYTES:
            flag, length = self._length(pending, 0)
            end = PREFIX_BYTES + length
            if end > len(pending):
                break
            with memoryview(pending) as view:
                message = bytes(view[PREFIX_BYTES:end])
            del pending[:end]
            found.append(self._inflate(message) if flag else message)
        return found

    def finish(self) -> None:
        """The stream has ended. Raises WireError if it ended inside a message."""
        if self._pending:
            raise WireError(INTERNAL, "unexpected EOF")

    def _split(self, data: bytes, position: int, stop: int) -> tuple[list[bytes], int]:
        found: list[bytes] = []
        while stop - position >= PREFIX_BYTES:
            flag, length = self._length(data, position)
            end = position + PREFIX_BYTES + length
            if end > stop:
                break
            message = data[position + PREFIX_BYTES : end]
            found.append(self._inflate(message) if flag else message)
            position = end
        return found, position

    def _length(self, data: bytes | bytearray, position: int) -> tuple[int, int]:
        flag, length = PREFIX.unpack_from(data, position)
        if flag > 1:
            raise WireError(INTERNAL, f"grpc: received unexpected payload format {flag}")
        if length > self._max_bytes:
            raise too_large(length, self._max_bytes)
        if flag and not self._is_gzip:
            raise WireError(INTERNAL, "grpc: compressed flag set with identity or empty encoding")
        return flag, length

    def _inflate(self, data: bytes) -> bytes:
        inflater = zlib.decompressobj(_GZIP)
        try:
            message = inflater.decompress(data, self._max_bytes + 1)
        except zlib.error as error:
            raise WireError(
                INTERNAL, f"grpc: failed to decompress the received message: {error}"
            ) from None
        if len(message) > self._max_bytes:
            raise WireError(
                RESOURCE_EXHAUSTED,
                "grpc: received message after decompression larger than max "
                f"({len(message)} vs. {self._max_bytes})",
            )
        if not inflater.eof:
            raise WireError(
                INTERNAL, "grpc: failed to decompress the received message: unexpected EOF"
            )
        return message


def too_large(size: int, limit: int) -> WireError:
    """The refusal of a message that is too large."""
    return WireError(
        RESOURCE_EXHAUSTED, f"grpc: received message larger than max ({size} vs. {limit})"
    )
