"""The same messages to many streams at once: framed once, one piece of output a connection.

Only streams with room take part: nothing of theirs waits, both windows are open for all of it, and the socket takes
more. So order, windows and the bound on what is held for a slow reader are those of `Sender.send_data`, which serves
everybody else. A frame differs from stream to stream by its number alone, which makes the output of a connection a join
of numbers.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kvstore.wire.h2 import frames
from kvstore.wire.h2.messages import PREFIX
from kvstore.wire.h2.sending import FLUSH_BYTES

if TYPE_CHECKING:
    from kvstore.wire.h2.streaming import StreamCall

_MAX_FRAME = frames.MIN_MAX_FRAME
"""Every peer takes frames of this size."""


class StreamFan:
    """Sends to many streams (`kvstore.wire.engine.Fan`)."""

    def send(self, targets: "Sequence[StreamCall]", messages: Sequence[bytes]) -> list[int]:
        """Send all messages to each stream that has room; the positions of the others."""
        parts: list[bytes] = []
        for message in messages:
            parts += (PREFIX.pack(0, len(message)), message)
        payload = b"".join(parts)
        size = len(payload)
        cuts = [_Cut(payload[start : start + _MAX_FRAME]) for start in range(0, size, _MAX_FRAME)]
        most = max(1, FLUSH_BYTES // size)
        is_much = len(targets) > most
        refused: list[int] = []
        # In order of their first stream, which is the order they are written in.
        connections: dict[Any, None] = {}
        try:
            for position, call in enumerate(targets):
                connection = call.connection
                if (
                    size > call.out_window
                    or size > connection.out_window
                    or call.outbox
                    or call.is_closed
                    or not call.is_answered
                    or not connection.can_write
                ):
                    refused.append(position)
                    continue
                call.out_window -= size
                connection.out_window -= size
                numbers = connection.shared_by
                if not numbers:
                    connections[connection] = None
                numbers.append(call.number)
                if is_much and len(numbers) == most:
                    # Now, and not with the rest: only the socket can say that it is full.
                    _write(connection, cuts, size)
            for connection in connections:
                if connection.shared_by:
                    _write(connection, cuts, size)
        finally:
            # If something broke, what these were meant to get must not be taken for the next.
            for connection in connections:
                connection.shared_by.clear()
        return refused


class _Cut:
    """A DATA frame but for its stream's number."""

    __slots__ = ("between", "payload", "start")

    def __init__(self, payload: bytes) -> None:
        size = len(payload)
        self.payload = payload
        self.start = frames.FRAME_HEADER.pack(size >> 8, size & 0xFF, frames.DATA, 0, 0)[:5]
        self.between = payload + self.start


def _write(connection: Any, cuts: list[_Cut], size: int) -> None:
    numbers: list[bytes] = connection.shared_by
    if len(cuts) == 1:
        cut = cuts[0]
        connection.out += (cut.start, cut.between.join(numbers), cut.payload)
    else:
        for number in numbers:
            for cut in cuts:
                connection.out += (cut.start, number, cut.payload)
    connection.has_sent = True
    count = len(numbers)
    numbers.clear()
    connection.wrote(size * count)


FAN = StreamFan()
