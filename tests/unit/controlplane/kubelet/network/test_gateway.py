"""The way of pods to the API servers: past those that are down, and on in a network made anew."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from controlplane.kubelet.network.gateway import ApiGateway
from controlplane.kubelet.runtimes.interface import ContainerRuntimeError
from kvstore.base.clock import SystemClock
from kvstore.base.ports import free_port
from kvstore.base.tasks import Supervisor

SECONDS = 60.0


class Runtime:
    """As much of a runtime as a gateway asks for."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()
        self.refusals = 0
        self.listened = 0

    async def listen(self, address: str, port: int) -> socket.socket:
        if self.refusals:
            self.refusals -= 1
            raise ContainerRuntimeError("not yet")
        self.listened += 1
        made = socket.create_server((address, port))
        made.setblocking(False)
        return made

    async def network_ended(self) -> None:
        await self.ended.wait()
        self.ended.clear()


@pytest.fixture
async def server() -> AsyncIterator[str]:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data.upper())
                await writer.drain()
        writer.close()

    made = await asyncio.start_server(echo, "127.0.0.1", 0)
    yield f"https://127.0.0.1:{made.sockets[0].getsockname()[1]}"
    made.close()


async def ask(port: int, text: bytes) -> bytes:
    """One question; until somebody listens it is asked again."""
    while True:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(text)
            answer = await reader.readexactly(len(text))
            writer.close()
            return answer
        except (OSError, asyncio.IncompleteReadError):
            await asyncio.sleep(0.01)


async def test_a_server_that_is_down_is_passed_over(server: str) -> None:
    runtime: Any = Runtime()
    port, dead = free_port("127.0.0.1"), f"https://127.0.0.1:{free_port('127.0.0.1')}"
    supervisor = Supervisor("test")
    try:
        gateway = ApiGateway(runtime, ("127.0.0.1", port), [dead, server], SystemClock())
        supervisor.start(gateway.run(), "gateway")
        async with asyncio.timeout(SECONDS):
            assert [await ask(port, b"hi") for _ in range(3)] == [b"HI"] * 3
    finally:
        await supervisor.stop()


async def test_in_a_network_made_anew_it_listens_again_and_cuts_what_was_carried(
    server: str,
) -> None:
    runtime: Any = Runtime()
    port = free_port("127.0.0.1")
    supervisor = Supervisor("test")
    try:
        gateway = ApiGateway(runtime, ("127.0.0.1", port), [server], SystemClock())
        supervisor.start(gateway.run(), "gateway")
        async with asyncio.timeout(SECONDS):
            assert await ask(port, b"a") == b"A"
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"open")
            assert await reader.readexactly(4) == b"OPEN"
            runtime.refusals = 1
            runtime.ended.set()
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b""
            writer.close()
            assert await ask(port, b"b") == b"B"
        assert runtime.listened == 2
    finally:
        await supervisor.stop()


async def test_an_address_that_cannot_be_had_at_first_is_told() -> None:
    runtime: Any = Runtime()
    runtime.refusals = 1
    gateway = ApiGateway(runtime, ("127.0.0.1", free_port("127.0.0.1")), [], SystemClock())
    with pytest.raises(ContainerRuntimeError):
        await gateway.run()
