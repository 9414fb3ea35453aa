"""A proxy in user space on loopback: who gets a connection, and what becomes of it when endpoints change."""

import asyncio
import contextlib
import random
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from controlplane.proxy.frontends import Backend, Frontend, Pool
from controlplane.proxy.userspace import UserspaceProxy
from kvstore.base.clock import SystemClock
from kvstore.base.ports import free_port

SECONDS = 60.0
Serve = Callable[[str], Awaitable[Backend]]


@pytest.fixture
async def proxy() -> AsyncIterator[UserspaceProxy]:
    made = UserspaceProxy(SystemClock(), random.Random(1))
    yield made
    await made.stop()


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Servers that say their name, then repeat what they hear until its end."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(name: str) -> Backend:
            async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                writer.write(f"{name}\n".encode())
                while data := await reader.read(65536):
                    writer.write(data)
                    await writer.drain()
                writer.close()

            server = await asyncio.start_server(answer, "127.0.0.1", 0)
            stack.callback(server.close)
            return Backend("127.0.0.1", server.sockets[0].getsockname()[1])

        yield start


def frontend(protocol: str = "TCP") -> Frontend:
    return Frontend("127.0.0.1", free_port("127.0.0.1"), protocol)


async def talk(at: Frontend, data: bytes = b"") -> bytes:
    async with asyncio.timeout(SECONDS):
        reader, writer = await asyncio.open_connection(at.address, at.port)
        writer.write(data)
        writer.write_eof()
        said = await reader.read(-1)
        writer.close()
        return said


async def test_connections_are_spread_and_nothing_is_lost_of_them(
    proxy: UserspaceProxy, serve: Serve
) -> None:
    at = frontend()
    pool = Pool("default/web:", (await serve("a"), await serve("b")))
    assert await proxy.update({at: pool}) == {}
    assert {await talk(at) for _ in range(32)} == {b"a\n", b"b\n"}
    much = random.Random(2).randbytes(3_000_000)
    assert (await talk(at, much))[2:] == much


async def test_one_that_refuses_is_passed_over(proxy: UserspaceProxy, serve: Serve) -> None:
    at = frontend()
    dead = Backend("127.0.0.1", free_port("127.0.0.1"))
    await proxy.update({at: Pool("default/web:", (dead, await serve("a")))})
    assert [await talk(at) for _ in range(8)] == [b"a\n"] * 8


async def test_a_client_that_sticks_keeps_its_endpoint_until_that_is_gone(
    proxy: UserspaceProxy, serve: Serve
) -> None:
    at = frontend()
    named = {f"{name}\n".encode(): await serve(name) for name in "abcd"}
    await proxy.update({at: Pool("default/web:", tuple(named.values()), 100)})
    first = await talk(at)
    assert {await talk(at) for _ in range(16)} == {first}
    others = tuple(one for name, one in named.items() if name != first)
    await proxy.update({at: Pool("default/web:", others, 100)})
    second = await talk(at)
    assert second != first
    assert {await talk(at) for _ in range(16)} == {second}


async def test_a_change_takes_new_connections_elsewhere_and_leaves_those_under_way(
    proxy: UserspaceProxy, serve: Serve
) -> None:
    at = frontend()
    a, b = await serve("a"), await serve("b")
    await proxy.update({at: Pool("default/web:", (a,))})
    async with asyncio.timeout(SECONDS):
        reader, writer = await asyncio.open_connection(at.address, at.port)
        assert await reader.readline() == b"a\n"
        await proxy.update({at: Pool("default/web:", (b,))})
        assert await talk(at) == b"b\n"
        writer.write(b"still here")
        assert await reader.readexactly(10) == b"still here"
        writer.close()


@pytest.mark.parametrize(
    "pool",
    [
        pytest.param(Pool("default/web:"), id="no endpoint"),
        pytest.param(
            Pool("default/web:", (Backend("127.0.0.1", 1),), sources=("10.0.0.0/8",)),
            id="a source that may not come",
        ),
    ],
)
async def test_a_connection_that_leads_nowhere_is_ended(proxy: UserspaceProxy, pool: Pool) -> None:
    at = frontend()
    await proxy.update({at: pool})
    with contextlib.suppress(ConnectionError):
        assert await talk(at) == b""


async def test_a_frontend_that_goes_is_no_longer_listened_at(
    proxy: UserspaceProxy, serve: Serve
) -> None:
    at = frontend()
    await proxy.update({at: Pool("default/web:", (await serve("a"),))})
    await proxy.update({})
    with pytest.raises(ConnectionRefusedError):
        await talk(at)


async def test_a_port_that_others_have_is_told_and_taken_once_it_is_free(
    proxy: UserspaceProxy, serve: Serve
) -> None:
    at, pool = frontend(), Pool("default/web:", (await serve("a"),))
    with socket.create_server((at.address, at.port)):
        assert list(await proxy.update({at: pool})) == [at]
    assert await proxy.update({at: pool}) == {}
    assert await talk(at) == b"a\n"


async def test_datagrams_find_their_way_back_and_follow_the_endpoints(
    proxy: UserspaceProxy,
) -> None:
    loop = asyncio.get_running_loop()

    async def echo(name: bytes) -> tuple[asyncio.DatagramTransport, Backend]:
        class Echo(asyncio.DatagramProtocol):
            def connection_made(self, transport: Any) -> None:
                self.transport = transport

            def datagram_received(self, data: bytes, addr: Any) -> None:
                self.transport.sendto(name + data, addr)

        transport, _ = await loop.create_datagram_endpoint(Echo, local_addr=("127.0.0.1", 0))
        return transport, Backend("127.0.0.1", transport.get_extra_info("sockname")[1])

    (one, a), (two, b) = await echo(b"a"), await echo(b"b")
    at = frontend("UDP")
    await proxy.update({at: Pool("default/dns:", (a,))})
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.setblocking(False)
    client.connect((at.address, at.port))
    try:
        async with asyncio.timeout(SECONDS):
            client.send(b"1")
            assert await loop.sock_recv(client, 100) == b"a1"
            client.send(b"2")
            assert await loop.sock_recv(client, 100) == b"a2"
            await proxy.update({at: Pool("default/dns:", (b,))})
            client.send(b"3")
            assert await loop.sock_recv(client, 100) == b"b3"
    finally:
        client.close()
        one.close()
        two.close()
