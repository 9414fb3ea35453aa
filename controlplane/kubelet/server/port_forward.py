"""/portForward/NAMESPACE/POD[/UID]: connections to ports of a pod, over one connection.

It speaks SPDY, since kubectl 1.31 in the messages of a WebSocket; the caller opens a pair of streams a connection,
`data` and `error`. The older form gives each port of the query two channels, on which the first message is the port
itself.
"""

import asyncio
import contextlib
import socket
from dataclasses import dataclass
from typing import Protocol

from aiohttp import WSMsgType, web

from controlplane.api import spdy
from controlplane.api.streams import V4, V4_BASE64, Framing, FramingError
from controlplane.kubelet.runtimes.interface import ContainerRuntimeError
from controlplane.kubelet.server.channels import agreed, asks_for_spdy, spdy_headers
from controlplane.kubelet.server.containers import Containers, UnknownError
from controlplane.kubelet.server.remote_command import open_socket
from controlplane.program.takeover import TakenPipe, take_over
from kvstore.base.tasks import Supervisor

TUNNELED = "SPDY/3.1+portforward.k8s.io"
SPDY_PROTOCOL = "portforward.k8s.io"
_CHUNK = 32 * 1024


class PortForward:
    """The endpoint."""

    def __init__(self, containers: Containers) -> None:
        self._containers = containers

    def routes(self) -> list[web.RouteDef]:
        """What it answers to."""
        paths = ("/portForward/{namespace}/{pod}", "/portForward/{namespace}/{pod}/{uid}")
        return [add(path, self._forward) for path in paths for add in (web.get, web.post)]

    async def _forward(self, request: web.Request) -> web.StreamResponse:
        names = request.match_info
        try:
            box = self._containers.sandbox(names["namespace"], names["pod"], names.get("uid", ""))
        except UnknownError as problem:
            return web.Response(status=404, text=str(problem))
        target = _Pod(self._containers, box.id)
        supervisor = Supervisor("port-forward")
        if asks_for_spdy(request):
            protocol = agreed(request, (SPDY_PROTOCOL,))

            async def carry(pipe: TakenPipe) -> None:
                try:
                    await _Tunnel(pipe, target, supervisor).run()
                except (ConnectionError, spdy.SpdyError):
                    pass  # The caller is gone, or speaks nothing that is spoken here.
                finally:
                    await supervisor.stop()

            return await take_over(request, 101, spdy_headers(protocol), carry)
        connection = await open_socket(request, (TUNNELED, V4, V4_BASE64))
        try:
            if connection.ws_protocol == TUNNELED:
                await _Tunnel(_Messages(connection), target, supervisor).run()
            else:
                ports = ",".join(request.query.getall("port", [])).split(",")
                numbers = [int(port) for port in ports if port.isdigit()]
                await _Channels(connection, target, supervisor, numbers).run()
        except (ConnectionError, spdy.SpdyError):
            pass  # The caller is gone, or speaks nothing that is spoken here.
        finally:
            await supervisor.stop()
            await connection.close()
        return connection


@dataclass(frozen=True, slots=True)
class _Pod:
    containers: Containers
    sandbox_id: str

    async def connect(self, port: int) -> socket.socket:
        """A connection to a port of the pod's localhost. Raises OSError."""
        try:
            made = await self.containers.runtime.open_socket(self.sandbox_id)
        except (ContainerRuntimeError, KeyError) as problem:
            raise OSError(f"the pod is gone: {problem}") from problem
        try:
            await asyncio.get_running_loop().sock_connect(made, ("127.0.0.1", port))
        except OSError as problem:
            made.close()
            why = "connection refused" if isinstance(problem, ConnectionRefusedError) else problem
            raise OSError(
                f"failed to connect to localhost:{port} inside namespace of the pod, "
                f"IPv4: dial tcp4 127.0.0.1:{port}: connect: {why}"
            ) from problem
        return made


@dataclass(slots=True, eq=False)
class _Pair:
    """The two streams of one forwarded connection."""

    port: int
    data: int = 0
    error: int = 0
    writer: asyncio.StreamWriter | None = None
    early: bytes = b""
    """What came before the connection stood."""
    ended: bool = False


class _Pipe(Protocol):
    """What SPDY runs over."""

    async def read(self) -> bytes: ...

    async def write(self, data: bytes) -> None: ...


class _Messages:
    """Binary messages as one run of bytes."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self._socket = socket

    async def read(self) -> bytes:
        """What came next; empty at the end."""
        while True:
            message = await self._socket.receive()
            if message.type is not WSMsgType.BINARY:
                return b""
            if message.data:
                return bytes(message.data)

    async def write(self, data: bytes) -> None:
        """Send."""
        await self._socket.send_bytes(data)


class _Tunnel:
    """SPDY, in binary messages or as it is."""

    def __init__(self, connection: _Pipe, pod: _Pod, supervisor: Supervisor) -> None:
        self._connection = connection
        self._pod = pod
        self._supervisor = supervisor
        self._spdy = spdy.Connection()
        self._pairs: dict[str, _Pair] = {}
        self._streams: dict[int, _Pair] = {}
        self._sending = asyncio.Lock()

    async def run(self) -> None:
        """Until the caller hangs up."""
        while data := await self._connection.read():
            for event in self._spdy.receive(data):
                if isinstance(event, spdy.Opened):
                    self._open(event)
                elif isinstance(event, spdy.Data):
                    await self._take(event)
                else:
                    pair = self._streams.pop(event.stream, None)
                    if pair is not None and pair.writer is not None and event.stream == pair.data:
                        pair.writer.close()
            await self._flush()

    def _open(self, event: spdy.Opened) -> None:
        port = event.headers.get("port", "")
        kind = event.headers.get("streamtype", "")
        if not port.isdigit() or not 0 < int(port) < 65536 or kind not in ("data", "error"):
            self._spdy.reset(event.stream, 3)  # REFUSED_STREAM
            return
        # Clients of old number no requests: their error stream comes right before its data stream.
        offset = 0 if kind == "error" else 2
        number = event.headers.get("requestid") or f"#{event.stream - offset}"
        pair = self._pairs.setdefault(number, _Pair(int(port)))
        if kind == "data":
            pair.data = event.stream
        else:
            pair.error = event.stream
        self._streams[event.stream] = pair
        self._spdy.reply(event.stream)
        if pair.data and pair.error:
            del self._pairs[number]
            self._supervisor.start(self._forward(pair), f"port {port}")

    async def _take(self, event: spdy.Data) -> None:
        pair = self._streams.get(event.stream)
        if pair is None or event.stream != pair.data:
            return
        pair.ended = pair.ended or event.is_end
        if pair.writer is None:
            pair.early += event.data
            return
        with contextlib.suppress(OSError, RuntimeError):
            if event.data:
                pair.writer.write(event.data)
                await pair.writer.drain()
            if event.is_end and pair.writer.can_write_eof():
                pair.writer.write_eof()

    async def _forward(self, pair: _Pair) -> None:
        try:
            reader, writer = await asyncio.open_connection(sock=await self._pod.connect(pair.port))
        except OSError as problem:
            text = f"error forwarding port {pair.port} to pod: {problem}"
            self._spdy.send(pair.error, text.encode())
        else:
            await self._copy(pair, reader, writer)
        for stream in (pair.data, pair.error):
            self._streams.pop(stream, None)
            self._spdy.send(stream, b"", end=True)
        with contextlib.suppress(ConnectionError):
            await self._flush()

    async def _copy(
        self, pair: _Pair, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(pair.early)
        pair.early, pair.writer = b"", writer
        if pair.ended and writer.can_write_eof():
            writer.write_eof()
        try:
            while data := await reader.read(_CHUNK):
                self._spdy.send(pair.data, data)
                await self._flush()
        except OSError:
            pass  # The pod's side was cut: for the client that is its end.
        finally:
            writer.close()

    async def _flush(self) -> None:
        async with self._sending:
            if data := self._spdy.take_outgoing():
                await self._connection.write(data)


class _Channels:
    """Two channels a port: data on the even one, errors on the odd one."""

    def __init__(
        self,
        connection: web.WebSocketResponse,
        pod: _Pod,
        supervisor: Supervisor,
        ports: list[int],
    ) -> None:
        self._connection = connection
        self._pod = pod
        self._supervisor = supervisor
        self._ports = ports
        self._framing = Framing(connection.ws_protocol or V4)
        self._writers: dict[int, asyncio.StreamWriter] = {}
        self._early: dict[int, bytes] = {}

    async def run(self) -> None:
        """Until the caller hangs up."""
        for index, port in enumerate(self._ports):
            for channel in (2 * index, 2 * index + 1):
                await self._send(channel, port.to_bytes(2, "little"))
            self._supervisor.start(self._forward(2 * index, port), f"port {port}")
        while True:
            message = await self._connection.receive()
            if message.type not in (WSMsgType.BINARY, WSMsgType.TEXT):
                return
            try:
                frame = self._framing.decode(message.data)
            except FramingError:
                continue
            writer = self._writers.get(frame.channel)
            if writer is None:
                self._early[frame.channel] = self._early.get(frame.channel, b"") + frame.data
            elif frame.data:
                with contextlib.suppress(OSError, RuntimeError):
                    writer.write(frame.data)
                    await writer.drain()

    async def _forward(self, channel: int, port: int) -> None:
        try:
            reader, writer = await asyncio.open_connection(sock=await self._pod.connect(port))
        except OSError as problem:
            await self._send(channel + 1, str(problem).encode())
            return
        writer.write(self._early.pop(channel, b""))
        self._writers[channel] = writer
        try:
            while data := await reader.read(_CHUNK):
                await self._send(channel, data)
        except OSError:
            pass  # One end was cut; the other sees its end.
        finally:
            del self._writers[channel]
            writer.close()

    async def _send(self, channel: int, data: bytes) -> None:
        message = self._framing.encode(channel, data)
        if isinstance(message, str):
            await self._connection.send_str(message)
        else:
            await self._connection.send_bytes(message)
