"""The frames that carry no request: settings, pings, windows, resets, goodbyes."""

from collections.abc import Callable
from typing import Any

from kvstore.wire.h2 import frames
from kvstore.wire.h2.flow import Bucket, WindowOverflow, widen
from kvstore.wire.h2.frames import ConnectionFailed, StreamFailed
from kvstore.wire.h2.limits import Limits
from kvstore.wire.h2.sending import Sender

_MAX_PING_STRIKES = 2
_IDLE_PING_SECONDS = 7200.0
"""Without a call, grpc-go lets a client ping once in two hours."""


class Control(Sender):
    """Answers and judges control frames."""

    def __init__(self, limits: Limits, clock: Callable[[], float]) -> None:
        super().__init__(limits, clock)
        self._clock = clock
        self._last_ping = -_IDLE_PING_SECONDS
        self._ping_strikes = 0
        self._resets = Bucket("resets", 1000, 200, clock)
        self._settings = Bucket("SETTINGS frames", 100, 10, clock)
        self._empty = Bucket("empty frames", 200, 20, clock)
        self._ignored = Bucket("frames without use", 2000, 200, clock)
        self.on_ping_ack: Callable[[bytes], None] = lambda _: None

    def _on_continuation(self, flags: int, stream_id: int, payload: bytes) -> None:
        raise NotImplementedError

    def _on_priority(self, _: int, stream_id: int, payload: bytes) -> None:
        if stream_id == 0:
            raise ConnectionFailed(frames.PROTOCOL_ERROR, "PRIORITY on stream 0")
        if len(payload) != 5:
            raise StreamFailed(stream_id, frames.FRAME_SIZE_ERROR, "PRIORITY of a wrong length")
        self._ignored.take()
        if int.from_bytes(payload[:4], "big") & 0x7FFFFFFF == stream_id:
            raise StreamFailed(stream_id, frames.PROTOCOL_ERROR, "a stream depends on itself")

    def _on_reset(self, _: int, stream_id: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise ConnectionFailed(frames.FRAME_SIZE_ERROR, "RST_STREAM of a wrong length")
        self._check_not_idle("RST_STREAM", stream_id)
        stream = self.streams.get(stream_id)
        if stream is None:
            self._ignored.take()
            return
        # The end of a stream that was served is its normal end; what counts is work thrown away.
        self._resets.take(0.05 if stream.is_answered else 1.0)
        self.forget(stream)
        stream.on_reset(int.from_bytes(payload, "big"))
        if self.is_leaving and not self.streams:
            self.close()

    def _on_settings(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id != 0:
            raise ConnectionFailed(frames.PROTOCOL_ERROR, "SETTINGS on a stream")
        if flags & frames.ACK:
            if payload:
                raise ConnectionFailed(frames.FRAME_SIZE_ERROR, "SETTINGS ack with a payload")
            self._ignored.take()
            return
        if len(payload) % 6:
            raise ConnectionFailed(frames.FRAME_SIZE_ERROR, "SETTINGS of a wrong length")
        self._settings.take()
        for name, value in frames.unpack_settings(payload):
            self._set(name, value)
        self._emit(frames.pack_frame(frames.SETTINGS, frames.ACK, 0))
        self.pump_all()

    def _set(self, name: int, value: int) -> None:
        if name == frames.INITIAL_WINDOW_SIZE:
            if value > frames.MAX_WINDOW:
                raise ConnectionFailed(frames.FLOW_CONTROL_ERROR, "an initial window over 2**31-1")
            change = value - self.peer_initial_window
            self.peer_initial_window = value
            try:
                for stream in self.streams.values():
                    stream.out_window = widen(stream.out_window, change)
            except WindowOverflow:
                raise ConnectionFailed(frames.FLOW_CONTROL_ERROR, "a window overflows") from None
        elif name == frames.MAX_FRAME_SIZE:
            if not frames.MIN_MAX_FRAME <= value <= frames.MAX_MAX_FRAME:
                raise ConnectionFailed(frames.PROTOCOL_ERROR, "a maximal frame out of bounds")
            # Larger frames would hold up the other streams of the connection.
            self.peer_max_frame = min(value, 64 * 1024)
        elif name == frames.ENABLE_PUSH and value > 1:
            raise ConnectionFailed(frames.PROTOCOL_ERROR, "ENABLE_PUSH is neither 0 nor 1")

    def _on_push(self, _: int, __: int, ___: bytes) -> None:
        raise ConnectionFailed(frames.PROTOCOL_ERROR, "a client must not push")

    def _on_ping(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id != 0:
            raise ConnectionFailed(frames.PROTOCOL_ERROR, "PING on a stream")
        if len(payload) != 8:
            raise ConnectionFailed(frames.FRAME_SIZE_ERROR, "PING of a wrong length")
        if flags & frames.ACK:
            self._ignored.take()
            self.on_ping_ack(payload)
            return
        self._judge_ping()
        self._emit(frames.pack_frame(frames.PING, frames.ACK, 0, payload))

    def _judge_ping(self) -> None:
        now, last = self._clock(), self._last_ping
        self._last_ping = now
        if self.has_sent:
            # Measuring the way of an answer is no nuisance: grpc-go's and grpc's C core do it with each burst.
            self.has_sent = False
            self._ping_strikes = 0
            return
        pause = self.limits.min_ping_seconds if self.streams else _IDLE_PING_SECONDS
        if now - last < pause:
            self._ping_strikes += 1
            if self._ping_strikes > _MAX_PING_STRIKES:
                raise ConnectionFailed(frames.ENHANCE_YOUR_CALM, "too_many_pings")

    def _on_goaway(self, _: int, stream_id: int, payload: bytes) -> None:
        if stream_id != 0:
            raise ConnectionFailed(frames.PROTOCOL_ERROR, "GOAWAY on a stream")
        if len(payload) < 8:
            raise ConnectionFailed(frames.FRAME_SIZE_ERROR, "GOAWAY is cut off")
        self._ignored.take()
        self.is_leaving = True
        if not self.streams:
            self.close()

    def _on_window_update(self, _: int, stream_id: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise ConnectionFailed(frames.FRAME_SIZE_ERROR, "WINDOW_UPDATE of a wrong length")
        increment = int.from_bytes(payload, "big") & 0x7FFFFFFF
        if stream_id == 0:
            if not increment:
                raise ConnectionFailed(frames.PROTOCOL_ERROR, "WINDOW_UPDATE of nothing")
            try:
                self.out_window = widen(self.out_window, increment)
            except WindowOverflow:
                raise ConnectionFailed(
                    frames.FLOW_CONTROL_ERROR, "the connection's window overflows"
                ) from None
            self.pump()
            return
        self._check_not_idle("WINDOW_UPDATE", stream_id)
        if not increment:
            raise StreamFailed(stream_id, frames.PROTOCOL_ERROR, "WINDOW_UPDATE of nothing")
        stream = self.streams.get(stream_id)
        if stream is None:
            return
        try:
            stream.out_window = widen(stream.out_window, increment)
        except WindowOverflow:
            raise StreamFailed(
                stream_id, frames.FLOW_CONTROL_ERROR, "the stream's window overflows"
            ) from None
        if stream.outbox:
            self.pump_stream(stream)

    def _check_not_idle(self, what: str, stream_id: int) -> None:
        if stream_id == 0 or stream_id > self.last_stream_id or not stream_id & 1:
            raise ConnectionFailed(frames.PROTOCOL_ERROR, f"{what} on idle stream {stream_id}")


HANDLERS: dict[int, Callable[[Any, int, int, bytes], None]] = {
    frames.PRIORITY: Control._on_priority,
    frames.RST_STREAM: Control._on_reset,
    frames.SETTINGS: Control._on_settings,
    frames.PUSH_PROMISE: Control._on_push,
    frames.PING: Control._on_ping,
    frames.GOAWAY: Control._on_goaway,
    frames.WINDOW_UPDATE: Control._on_window_update,
    frames.CONTINUATION: lambda own, *frame: own._on_continuation(*frame),
}
