"""The kubelet's exec, attach and port-forward endpoints, over a fake runtime and a real server."""

import asyncio
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


async def test_ports_through_a_tunnel(node: Node) -> None:
    server, port = await echo()
    deflate = zlib.compressobj(zdict=DICTIONARY)

    def opened(stream: int, kind: str, request: str, port: int) -> bytes:
        headers = {"streamtype": kind, "port": str(port), "requestid": request}
        raw = struct.pack(">I", len(headers))
        for pair in headers.items():
            for word in pair:
                raw += struct.pack(">I", len(word)) + word.encode()
        block = deflate.compress(raw) + deflate.flush(zlib.Z_SYNC_FLUSH)
        return struct.pack(">HHIIIH", 0x8003, 1, len(block) + 10, stream, 0, 0) + block

    async with server:
        socket = await node.connect("portForward/n/p", "SPDY/3.1+portforward.k8s.io")
        await socket.send_bytes(opened(1, "error", "0", port) + opened(3, "data", "0", port))
        await socket.send_bytes(struct.pack(">II", 3, 1 << 24 | 2) + b"hi")
        await socket.send_bytes(opened(5, "error", "1", 1) + opened(7, "data", "1", 1))
        got = b""
        while b"<hi>" not in got or b"refused" not in got:
            got += (await socket.receive()).data
        assert struct.pack(">II", 3, 4) + b"<hi>" in got
        assert b"error forwarding port 1 to pod" in got
        assert b"connection refused" in got
        await socket.close()


async def test_ports_by_channels(node: Node) -> None:
    server, port = await echo()
    async with server:
        socket = await node.connect(f"portForward/n/p?port={port}", V4)
        first = [(await socket.receive()).data for _ in range(2)]
        assert first == [bytes((n,)) + port.to_bytes(2, "little") for n in (0, 1)]
        await socket.close()
