"""The kubelet's exec, attach and port-forward endpoints, over a fake runtime and a real server."""

import asyncio
import contextlib
import json
import struct
import zlib
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest

from controlplane.api.spdy import DICTIONARY
from controlplane.api.streams import ERROR, RESIZE, STDIN, STDOUT, V4, V5, Framing
from controlplane.kubelet.runtimes.fake import FakeRuntime
from controlplane.kubelet.runtimes.interface import ContainerConfig, ExecResult, SandboxConfig
from controlplane.kubelet.server.server import KubeletServer
from kvstore.base.clock import SystemClock

POD = {"metadata": {"name": "p", "namespace": "n", "uid": "u"}}


class Node:
    """A server with one running container."""

    def __init__(self) -> None:
        self.runtime = FakeRuntime(SystemClock())
        self.url = ""
        self.container = ""
        self.session = aiohttp.ClientSession()

    async def connect(self, path: str, *protocols: str) -> aiohttp.ClientWebSocketResponse:
        return await self.session.ws_connect(f"{self.url}/{path}", protocols=protocols)


@pytest.fixture
async def node() -> AsyncIterator[Node]:
    made = Node()
    box = await made.runtime.run_sandbox(SandboxConfig("u", "p", "n", "127.0.0.1"))
    made.container = await made.runtime.create_container(
        box.id, ContainerConfig("c", 0, "i", "i", ("run",))
    )
    await made.runtime.start_container(made.container)
    pods = SimpleNamespace(get=lambda name, namespace: POD if name == "p" else None)
    server = KubeletServer(made.runtime, pods, SystemClock())  # type: ignore[arg-type]
    ports: list[int] = []
    runner = await server.serve("127.0.0.1", 0, None, ports.append)
    made.url = f"http://127.0.0.1:{ports[0]}"
    try:
        async with asyncio.timeout(30):
            yield made
    finally:
        await made.session.close()
        await runner.cleanup()


async def frames(socket: aiohttp.ClientWebSocketResponse) -> list[tuple[int, bytes]]:
    framing = Framing(socket.protocol or "")
    found = [framing.decode(message.data) async for message in socket]
    return [(frame.channel, frame.data) for frame in found]


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (0, {"metadata": {}, "status": "Success"}),
        (
            3,
            {
                "metadata": {},
                "status": "Failure",
                "reason": "NonZeroExitCode",
                "message": "command terminated with non-zero exit code: "
                "error executing command [ls -l], exit code 3",
                "details": {"causes": [{"reason": "ExitCode", "message": "3"}]},
            },
        ),
    ],
)
@pytest.mark.parametrize("protocol", [V4, V5])
async def test_a_command_and_its_last_word(
    node: Node, protocol: str, code: int, status: dict[str, Any]
) -> None:
    node.runtime.exec_result = ExecResult(code, b"hello")
    socket = await node.connect("exec/n/p/c?command=ls&command=-l&output=1&error=1", protocol)
    assert socket.protocol == protocol
    *said, (channel, last) = await frames(socket)
    assert said == [(STDOUT, b""), (STDOUT, b"hello")]
    assert (channel, json.loads(last)) == (ERROR, status)


async def test_attached_streams_and_sizes(node: Node) -> None:
    socket = await node.connect("attach/n/p/c?input=1&output=1&tty=1", V5)
    framing = Framing(V5)
    assert framing.decode((await socket.receive()).data).data == b""
    size = json.dumps({"Width": 120, "Height": 40}).encode()
    await socket.send_bytes(framing.encode(RESIZE, size))
    await socket.send_bytes(framing.encode(STDIN, b"hi"))
    assert framing.decode((await socket.receive()).data).data == b"hi"
    assert node.runtime._sessions[node.container][0].size == (120, 40)
    node.runtime.exit(node.container, 0)
    assert [json.loads(data)["status"] for _, data in await frames(socket)] == ["Success"]


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("exec/n/other/c?command=ls&output=1", 404),
        ("exec/n/p/other?command=ls&output=1", 404),
        ("exec/n/p/c?output=1", 400),
        ("exec/n/p/c?command=ls", 400),
        ("attach/n/p/c", 400),
        ("portForward/n/other", 404),
    ],
)
async def test_refusals_come_before_the_upgrade(node: Node, path: str, code: int) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await node.connect(path, V5)
    assert refused.value.status == code


async def echo() -> tuple[asyncio.Server, int]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"<" + await reader.read() + b">")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    return server, int(server.sockets[0].getsockname()[1])


class SpdyCaller:
    """The calling side of SPDY: what it opens and sends, and what came for each stream."""

    def __init__(self) -> None:
        self._deflate = zlib.compressobj(zdict=DICTIONARY)
        self._raw = b""
        self.got: dict[int, bytes] = {}
        self.ended: set[int] = set()

    def opened(self, stream: int, **headers: str) -> bytes:
        raw = struct.pack(">I", len(headers))
        for pair in headers.items():
            for word in pair:
                raw += struct.pack(">I", len(word)) + word.encode()
        block = self._deflate.compress(raw) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
        return struct.pack(">HHIIIH", 0x8003, 1, len(block) + 10, stream, 0, 0) + block

    @staticmethod
    def data(stream: int, data: bytes, *, end: bool = False) -> bytes:
        return struct.pack(">II", stream, int(end) << 24 | len(data)) + data

    def take(self, data: bytes) -> None:
        self._raw += data
        while len(self._raw) >= 8:
            first, second = struct.unpack_from(">II", self._raw)
            size = second & 0xFFFFFF
            if len(self._raw) < 8 + size:
                return
            payload, self._raw = self._raw[8 : 8 + size], self._raw[8 + size :]
            if not first >> 31:
                self.got[first] = self.got.get(first, b"") + payload
                if second >> 24 & 1:
                    self.ended.add(first)


@contextlib.asynccontextmanager
async def spdy(
    node: Node, path: str, *versions: str
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter, bytes]]:
    """A connection after the answer's head."""
    port = int(node.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    lines = [f"POST /{path} HTTP/1.1", "Host: x", "Connection: Upgrade", "Upgrade: SPDY/3.1"]
    lines += [f"X-Stream-Protocol-Version: {one}" for one in versions]
    writer.write(("\r\n".join([*lines, "Content-Length: 0"]) + "\r\n\r\n").encode())
    try:
        yield reader, writer, await reader.readuntil(b"\r\n\r\n")
    finally:
        writer.close()


@pytest.mark.parametrize("version", ["v4", "v3", "v2", ""])
@pytest.mark.parametrize(("code", "word"), [(0, ""), (3, "exit code 3")])
async def test_a_command_over_spdy(node: Node, version: str, code: int, word: str) -> None:
    node.runtime.exec_result = ExecResult(code, b"hello")
    name = f"{version}.channel.k8s.io".lstrip(".")
    caller = SpdyCaller()
    path = "exec/n/p/c?command=ls&output=1&error=1"
    async with spdy(node, path, "v9.channel.k8s.io", name) as (reader, writer, head):
        assert head.startswith(b"HTTP/1.1 101 ")
        assert f"X-Stream-Protocol-Version: {name}".encode() in head
        writer.write(caller.opened(1, streamtype="error") + caller.opened(3, streamtype="stdout"))
        writer.write(caller.opened(5, streamtype="stderr"))
        while data := await reader.read(65536):
            caller.take(data)
    assert caller.got[3] == b"hello"
    assert caller.ended == {1, 3, 5}
    last = caller.got[1].decode()
    if version == "v4":
        status = json.loads(last)
        assert status["status"] == ("Failure" if code else "Success")
        assert word in status.get("message", "")
    else:
        assert (word in last, bool(last)) == (True, bool(code))


async def test_a_terminal_over_spdy(node: Node) -> None:
    caller = SpdyCaller()
    path = "attach/n/p/c?input=1&output=1&tty=1"
    async with spdy(node, path, "v4.channel.k8s.io") as (reader, writer, _):
        names = ("error", "stdin", "stdout", "resize")
        streams = [caller.opened(2 * n + 1, streamtype=name) for n, name in enumerate(names)]
        # What comes with the last stream is not lost, and sizes may come in pieces.
        size = json.dumps({"Width": 120, "Height": 40}).encode() + b"\n"
        sizes = caller.data(7, size + size[:9]) + caller.data(7, size[9:])
        writer.write(b"".join(streams) + sizes + caller.data(3, b"hi"))
        while caller.got.get(5) != b"hi":
            caller.take(await reader.read(65536))
        assert node.runtime._sessions[node.container][0].size == (120, 40)
        node.runtime.exit(node.container, 0)
        while data := await reader.read(65536):
            caller.take(data)
    assert json.loads(caller.got[1])["status"] == "Success"


@pytest.mark.parametrize(
    ("path", "versions", "code", "words"),
    [
        ("exec/n/p/c?command=ls&output=1", (), 400, "does not exist in request"),
        ("exec/n/p/c?command=ls&output=1", ("v9", "v8"), 403, "client supports [v9 v8]"),
        ("portForward/n/p", ("v4.channel.k8s.io",), 403, "server accepts [portforward.k8s.io]"),
        ("exec/n/other/c?command=ls&output=1", ("v4.channel.k8s.io",), 404, "not found"),
    ],
)
async def test_refusals_of_spdy(
    node: Node, path: str, versions: tuple[str, ...], code: int, words: str
) -> None:
    async with spdy(node, path, *versions) as (reader, _, head):
        assert head.startswith(f"HTTP/1.1 {code} ".encode())
        assert words in (await reader.read(1000)).decode()


@pytest.mark.parametrize("is_tunnelled", [True, False], ids=["in messages", "as it is"])
async def test_ports_through_spdy(node: Node, is_tunnelled: bool) -> None:
    server, port = await echo()
    caller = SpdyCaller()
    opened = [
        caller.opened(n, streamtype=kind, port=str(number), requestid=request)
        for n, kind, number, request in (
            (1, "error", port, "0"),
            (3, "data", port, "0"),
            (5, "error", 1, "1"),
            (7, "data", 1, "1"),
        )
    ]
    sent = b"".join(opened) + caller.data(3, b"hi", end=True)
    async with server:
        if is_tunnelled:
            socket = await node.connect("portForward/n/p", "SPDY/3.1+portforward.k8s.io")
            await socket.send_bytes(sent)
            while not {3, 5} <= caller.ended:
                caller.take((await socket.receive()).data)
            await socket.close()
        else:
            async with spdy(node, "portForward/n/p", "portforward.k8s.io") as (reader, writer, _):
                writer.write(sent)
                while not {3, 5} <= caller.ended:
                    caller.take(await reader.read(65536))
    assert caller.got[3] == b"<hi>"
    assert b"error forwarding port 1 to pod" in caller.got[5]
    assert b"connection refused" in caller.got[5]


async def test_ports_by_channels(node: Node) -> None:
    server, port = await echo()
    async with server:
        socket = await node.connect(f"portForward/n/p?port={port}", V4)
        first = [(await socket.receive()).data for _ in range(2)]
        assert first == [bytes((n,)) + port.to_bytes(2, "little") for n in (0, 1)]
        await socket.close()
