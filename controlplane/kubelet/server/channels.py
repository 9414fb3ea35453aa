"""The channels of a remote command on one connection: WebSocket messages, or the streams of SPDY/3.1.

Both sides of SPDY could open streams; here the caller alone does, one a channel, and names them by a header. Its
versions differ in what the error stream carries at the end: a Status from version 4 on, plain text before.

Source: k8s.io/cri-streaming remotecommand (versions, names), k8s.io/streaming httpstream (how they are agreed on).
"""

import asyncio
from collections.abc import Collection, Sequence
from typing import Protocol

from aiohttp import WSMsgType, web

from controlplane.api import spdy
from controlplane.api.streams import (
    ERROR,
    RESIZE,
    STDERR,
    STDIN,
    STDOUT,
    Frame,
    Framing,
    FramingError,
)
from controlplane.program.takeover import TakenPipe

SPDY = "SPDY/3.1"
VERSION_HEADER = "X-Stream-Protocol-Version"
_ACCEPTED_HEADER = "X-Accepted-Stream-Protocol-Versions"
_V4 = "v4.channel.k8s.io"
_WITH_RESIZE = ("v3.channel.k8s.io", _V4)
SPDY_PROTOCOLS = (_V4, "v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io")
"""What remote commands are spoken in over SPDY."""
_CHANNELS = {
    "error": ERROR,
    "stdin": STDIN,
    "stdout": STDOUT,
    "stderr": STDERR,
    "resize": RESIZE,
}
_REFUSED_STREAM = 3


class Channels(Protocol):
    """Frames both ways. `has_status` says whether the last word on the error channel is a Status."""

    has_status: bool

    async def receive(self) -> Frame | None:
        """The next frame of the caller; None when it is gone."""
        ...

    async def send(self, channel: int, data: bytes) -> None:
        """Send data. ConnectionError when the caller is gone."""
        ...

    async def close(self) -> None:
        """Hang up; nothing more comes."""
        ...


class WebSocketChannels:
    """Channels in the messages of a WebSocket."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self._socket = socket
        self._framing = Framing(socket.ws_protocol or "")
        self.has_status = self._framing.has_status

    async def receive(self) -> Frame | None:
        """See `Channels.receive`."""
        while True:
            message = await self._socket.receive()
            if message.type not in (WSMsgType.BINARY, WSMsgType.TEXT):
                return None
            try:
                return self._framing.decode(message.data)
            except FramingError:
                continue

    async def send(self, channel: int, data: bytes) -> None:
        """See `Channels.send`."""
        message = self._framing.encode(channel, data)
        if isinstance(message, str):
            await self._socket.send_str(message)
        else:
            await self._socket.send_bytes(message)

    async def close(self) -> None:
        """See `Channels.close`."""
        await self._socket.close()


class SpdyChannels:
    """Channels in streams of SPDY, once the caller has opened those that are `wanted`."""

    def __init__(self, pipe: TakenPipe, protocol: str, wanted: Collection[int]) -> None:
        self._pipe = pipe
        self._wanted = set(wanted) | {ERROR}
        self.has_status = protocol == _V4
        self._spdy = spdy.Connection()
        self._streams: dict[int, int] = {}
        # Frames that came with others, and have not been taken yet.
        self._pending: list[Frame] = []
        self._sending = asyncio.Lock()

    async def opened(self) -> None:
        """Wait for all wanted streams. ConnectionError when the caller leaves first."""
        while self._wanted - set(self._streams):
            if not await self._read():
                raise ConnectionResetError("the caller has left")

    async def receive(self) -> Frame | None:
        """See `Channels.receive`."""
        while not self._pending:
            if not await self._read():
                return None
        return self._pending.pop(0)

    async def _read(self) -> bool:
        data = await self._pipe.read()
        if not data:
            return False
        try:
            for event in self._spdy.receive(data):
                self._take(event)
        except spdy.SpdyError as problem:
            raise ConnectionResetError(str(problem)) from problem
        await self._flush()
        return True

    def _take(self, event: spdy.Event) -> None:
        if isinstance(event, spdy.Opened):
            channel = _CHANNELS.get(event.headers.get("streamtype", "").lower())
            if channel is None or channel not in self._wanted or channel in self._streams:
                self._spdy.reset(event.stream, _REFUSED_STREAM)
                return
            self._streams[channel] = event.stream
            self._spdy.reply(event.stream)
            if event.is_end:
                self._pending.append(Frame(channel, is_end=True))
            return
        channel = next((key for key, one in self._streams.items() if one == event.stream), None)
        if channel is None:
            return
        if isinstance(event, spdy.Data) and event.data:
            self._pending.append(Frame(channel, event.data))
        if isinstance(event, spdy.Reset) or event.is_end:
            self._pending.append(Frame(channel, is_end=True))

    async def send(self, channel: int, data: bytes) -> None:
        """See `Channels.send`. What has no stream is not sent."""
        stream = self._streams.get(channel)
        if stream is not None and data:
            self._spdy.send(stream, data)
            await self._flush()

    async def close(self) -> None:
        """See `Channels.close`. Each stream is ended, the error stream last."""
        for channel in (STDOUT, STDERR, RESIZE, STDIN, ERROR):
            stream = self._streams.pop(channel, None)
            if stream is not None:
                self._spdy.send(stream, b"", end=True)
        await self._flush()

    async def _flush(self) -> None:
        async with self._sending:
            if data := self._spdy.take_outgoing():
                await self._pipe.write(data)


def has_resize(protocol: str) -> bool:
    """Whether a version of SPDY's streams has one for the terminal's size."""
    return protocol in _WITH_RESIZE


def asks_for_spdy(request: web.BaseRequest) -> bool:
    """Whether a request wants to go on as SPDY."""
    connection = ",".join(request.headers.getall("Connection", ())).lower()
    return "upgrade" in connection and SPDY.lower() in request.headers.get("Upgrade", "").lower()


def agreed(request: web.BaseRequest, spoken: Sequence[str]) -> str:
    """The caller's first version of its streams that is spoken here. Raises HTTPBadRequest, HTTPForbidden."""
    values = request.headers.getall(VERSION_HEADER, ())
    offered = [word.strip() for value in values for word in value.split(",") if word.strip()]
    if not offered:
        text = f"unable to upgrade: header {VERSION_HEADER} does not exist in request"
        raise web.HTTPBadRequest(text=f"{text}\n")
    found = next((one for one in offered if one in spoken), None)
    if found is None:
        shown = (" ".join(offered), " ".join(spoken))
        text = "unable to upgrade: unable to negotiate protocol: "
        text += f"client supports [{shown[0]}], server accepts [{shown[1]}]"
        refusal = web.HTTPForbidden(text=f"{text}\n")
        for one in spoken:
            refusal.headers.add(_ACCEPTED_HEADER, one)
        raise refusal
    return found


def spdy_headers(protocol: str) -> dict[str, str]:
    """The head of the answer to a request for SPDY."""
    return {"Connection": "Upgrade", "Upgrade": SPDY, VERSION_HEADER: protocol}
