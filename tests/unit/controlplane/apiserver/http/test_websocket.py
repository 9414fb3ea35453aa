"""An upgraded connection over a real socket: an echo handler, spoken to by the HTTP library's own client."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
import pytest

from controlplane.apiserver.http.duplex import Duplex
from controlplane.apiserver.http.messages import Answer, Incoming, Response, Socket, Upgrade
from controlplane.apiserver.http.server import HttpServer


async def echo(socket: Socket) -> None:
    """Send back on the next channel, and close what is closed."""
    duplex = Duplex(socket)
    while (frame := await duplex.receive()) is not None:
        if frame.is_end:
            await duplex.end(frame.channel)
        else:
            await duplex.send(frame.channel + 1, frame.data)


async def failing(socket: Socket) -> None:
    raise RuntimeError("boom")


async def ending(socket: Socket) -> None:
    await socket.send(b"bye")


_PATHS: dict[str, Callable[[Socket], Awaitable[None]]] = {
    "/echo": echo,
    "/failing": failing,
    "/ending": ending,
}


async def _answer(incoming: Incoming) -> Answer:
    handler = _PATHS.get(incoming.path)
    if handler is None:
        return Response(404, b"")
    protocols = ("v5.channel.k8s.io", "v4.channel.k8s.io", "base64.channel.k8s.io", "")
    return Upgrade(handler, protocols, headers={"Audit-Id": "a"})


@pytest.fixture
async def address() -> AsyncIterator[str]:
    server = HttpServer(_answer, max_body_bytes=1000, stop_seconds=0.2)
    await server.start("127.0.0.1", 0, None)
    yield f"http://127.0.0.1:{server.port}"
    await server.stop()


@pytest.mark.parametrize(
    ("offered", "agreed"),
    [
        (["v5.channel.k8s.io", "v4.channel.k8s.io"], "v5.channel.k8s.io"),
        (["v4.channel.k8s.io", "v5.channel.k8s.io"], "v5.channel.k8s.io"),
        (["other", "v4.channel.k8s.io"], "v4.channel.k8s.io"),
        ([], None),
    ],
    ids=["best first", "best last", "with a foreign one", "none named"],
)
async def test_frames_go_both_ways(address: str, offered: list[str], agreed: str | None) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(address + "/echo", protocols=offered) as socket,
        asyncio.timeout(10),
    ):
        assert socket.protocol == agreed
        await socket.send_bytes(b"\x00hello")
        assert await socket.receive_bytes() == b"\x01hello"
        if agreed == "v5.channel.k8s.io":
            await socket.send_bytes(b"\xff\x00")
            assert await socket.receive_bytes() == b"\xff\x00"
        await socket.close()
        assert socket.close_code == 1000


async def test_text_protocols_carry_text(address: str) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(address + "/echo", protocols=["base64.channel.k8s.io"]) as socket,
        asyncio.timeout(10),
    ):
        await socket.send_str("0aGk=")
        assert await socket.receive_str() == "1aGk="


async def test_no_protocol_in_common_is_refused(address: str) -> None:
    async with aiohttp.ClientSession() as session, asyncio.timeout(10):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await session.ws_connect(address + "/echo", protocols=["other"])
    assert refused.value.status == 400


async def test_a_plain_get_is_told_to_upgrade(address: str) -> None:
    async with (
        aiohttp.ClientSession() as session,
        asyncio.timeout(10),
        session.get(address + "/echo") as answer,
    ):
        assert answer.status == 400
        assert (await answer.json())["message"] == "Upgrade request required"


@pytest.mark.parametrize(("path", "code"), [("/failing", 1011), ("/ending", 1000)])
async def test_the_end_of_the_handler_ends_the_connection(
    address: str, path: str, code: int
) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(address + path) as socket,
        asyncio.timeout(10),
    ):
        while (await socket.receive()).type is aiohttp.WSMsgType.BINARY:
            pass
        assert socket.close_code == code


async def test_a_message_above_the_limit_ends_the_connection(address: str) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(address + "/echo") as socket,
        asyncio.timeout(20),
    ):
        # The server may have hung up before all of it has left.
        with contextlib.suppress(ConnectionError):
            await socket.send_bytes(b"\x00" * (4 * 1024 * 1024 + 1))
        message = await socket.receive()
        assert message.type is not aiohttp.WSMsgType.BINARY


async def test_a_client_that_leaves_ends_the_handler(address: str) -> None:
    ended = asyncio.Event()

    async def noting(socket: Socket) -> None:
        try:
            while await socket.receive() is not None:
                pass
        finally:
            ended.set()

    _PATHS["/noting"] = noting
    async with aiohttp.ClientSession() as session:
        socket = await session.ws_connect(address + "/noting")
        assert socket._response.connection is not None
        socket._response.connection.transport.abort()  # type: ignore[union-attr]
        async with asyncio.timeout(10):
            await ended.wait()
