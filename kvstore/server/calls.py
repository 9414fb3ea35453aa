"""What every RPC adds to the member's counters, as plain numbers: how many began, ended and how, messages and bytes.

A handler is bound with the `MethodCounts` of its path and adds to them as it goes; the sums are made at scrape time.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

from kvstore.base.metrics import Samples
from kvstore.wire.engine import CODE_NAMES, DirectSend, Fan, Send

_SERVER_STREAMS = frozenset(
    {
        "/etcdserverpb.Maintenance/Snapshot",
        "/v3electionpb.Election/Observe",
        "/grpc.health.v1.Health/Watch",
    }
)


class MethodCounts:
    """The numbers of one method."""

    __slots__ = (
        "_fans",
        "is_stream",
        "path",
        "received",
        "received_bytes",
        "sent",
        "sent_bytes",
        "started",
    )

    def __init__(self, path: str, is_stream: bool) -> None:
        self.path = path
        self.is_stream = is_stream
        self.started = 0
        self.received = 0
        self.received_bytes = 0
        self.sent = 0
        self.sent_bytes = 0
        self._fans: dict[Fan, _CountedFan] = {}

    def fan(self, fan: Fan | None) -> Fan | None:
        """A fan, counted: the same one for all streams of the method."""
        if fan is None:
            return None
        counted = self._fans.get(fan)
        if counted is None:
            counted = self._fans[fan] = _CountedFan(self, fan)
        return counted

    async def requests(self, requests: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The requests of a stream, counted."""
        async for data in requests:
            self.received += 1
            self.received_bytes += len(data)
            yield data

    def send(self, send: Send) -> Send:
        """The `send` of a stream, counted."""

        if isinstance(send, DirectSend):
            return _CountedSend(self, send)

        def counted(data: bytes) -> Awaitable[None]:
            self.sent += 1
            self.sent_bytes += len(data)
            return send(data)

        return counted


class _CountedFan:
    """A `Fan`, counted."""

    __slots__ = ("_counts", "_fan")

    def __init__(self, counts: MethodCounts, fan: Fan) -> None:
        self._counts = counts
        self._fan = fan

    def send(self, targets: Sequence[Any], messages: Sequence[bytes]) -> list[int]:
        """Send, and count what was sent."""
        refused = self._fan.send(targets, messages)
        streams = len(targets) - len(refused)
        self._counts.sent += streams * len(messages)
        self._counts.sent_bytes += streams * sum(map(len, messages))
        return refused


class _CountedSend:
    """A `DirectSend`, counted."""

    __slots__ = ("_counts", "_send", "fan", "target")

    def __init__(self, counts: MethodCounts, send: DirectSend) -> None:
        self._counts = counts
        self._send = send
        self.fan = counts.fan(send.fan)
        self.target = send.target

    def __call__(self, data: bytes) -> Awaitable[None]:
        """Count and send."""
        self._counts.sent += 1
        self._counts.sent_bytes += len(data)
        return self._send(data)

    def now(self, data: bytes) -> bool:
        """Count and send."""
        self._counts.sent += 1
        self._counts.sent_bytes += len(data)
        return self._send.now(data)

    def on_room(self, callback: Callable[[], None]) -> None:
        """As the other's."""
        self._send.on_room(callback)


class CallCounts:
    """The numbers of all methods."""

    def __init__(self) -> None:
        self._methods: list[MethodCounts] = []
        self._handled: dict[tuple[str, bool, int], int] = {}

    @property
    def received_bytes(self) -> int:
        """Of all requests."""
        return sum(one.received_bytes for one in self._methods)

    @property
    def sent_bytes(self) -> int:
        """Of all responses."""
        return sum(one.sent_bytes for one in self._methods)

    def method(self, path: str, *, is_stream: bool) -> MethodCounts:
        """New numbers for a method."""
        method = MethodCounts(path, is_stream)
        self._methods.append(method)
        return method

    def handled(self, path: str, is_stream: bool, code: int) -> None:
        """A call has ended (an `OnHandled` of a front)."""
        key = (path, is_stream, code)
        self._handled[key] = self._handled.get(key, 0) + 1

    def started_samples(self) -> Samples:
        """Calls begun, by method."""
        return [(labels_of(one.path, one.is_stream), one.started) for one in self._methods]

    def handled_samples(self) -> Samples:
        """Calls ended, by method and code."""
        return [
            ({**labels_of(path, is_stream), "grpc_code": CODE_NAMES.get(code, str(code))}, count)
            for (path, is_stream, code), count in sorted(self._handled.items())
        ]

    def received_samples(self) -> Samples:
        """Messages received, by method; a unary call has one."""
        return [(labels_of(one.path, one.is_stream), one.received) for one in self._methods]

    def sent_samples(self) -> Samples:
        """Messages sent, by method."""
        return [(labels_of(one.path, one.is_stream), one.sent) for one in self._methods]


def labels_of(path: str, is_stream: bool) -> dict[str, str]:
    """A method's labels, as grpc-go's Prometheus interceptor names them."""
    service, _, method = path.removeprefix("/").partition("/")
    if path in _SERVER_STREAMS:
        kind = "server_stream"
    else:
        kind = "bidi_stream" if is_stream else "unary"
    return {"grpc_method": method, "grpc_service": service, "grpc_type": kind}
