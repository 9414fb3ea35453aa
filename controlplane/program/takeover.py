"""A connection of the HTTP server taken over: after the head of an answer, bytes both ways.

For protocols that begin as HTTP and are none: SPDY, upgrades that are passed on, tunnels to ports of pods.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web

_CHUNK = 64 * 1024
# What is read ahead while the handler is busy; above twice this the client is made to wait.
_AHEAD = 256 * 1024


class TakenPipe:
    """The client's end: `read` gives what comes next and nothing at the end, `write` waits for a slow client."""

    def __init__(self, response: web.StreamResponse, reader: asyncio.StreamReader) -> None:
        self._response = response
        self._reader = reader

    async def read(self) -> bytes:
        """What came next; empty at the end."""
        return await self._reader.read(_CHUNK)

    async def write(self, data: bytes) -> None:
        """Send. ConnectionError when the client is gone."""
        if data:
            await self._response.write(data)


class _Feed:
    """What the HTTP library calls with the bytes that follow."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        self._reader.feed_data(data)
        return False, b""

    def feed_eof(self) -> None:
        self._reader.feed_eof()


class _Head(web.StreamResponse):
    """An answer that has no body of its own: no length, no chunks."""

    _length_check = False


async def take_over(
    request: web.BaseRequest,
    status: int,
    headers: Mapping[str, str],
    handler: Callable[[TakenPipe], Awaitable[None]],
) -> web.StreamResponse:
    """Answer with the head and run the handler; the connection is closed when it returns or fails."""
    transport = request.transport
    if transport is None:
        raise ConnectionResetError("the client is gone")
    reader = asyncio.StreamReader(limit=_AHEAD)
    reader.set_transport(transport)
    response = _Head(status=status, headers=headers)
    # Before the head goes out: whoever has it may speak.
    feed: Any = _Feed(reader)
    request.protocol.set_parser(feed)
    await response.prepare(request)
    try:
        await handler(TakenPipe(response, reader))
    finally:
        request.protocol.keep_alive(False)
        transport.close()
    return response
