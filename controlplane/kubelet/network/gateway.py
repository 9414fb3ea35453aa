"""Lets pods reach the API servers, which listen on the machine's own network.

Sockets belong to the network in which they were made, so one process holds both ends: a listener in the pods' network,
and connections to the API servers in its own.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from urllib.parse import urlsplit

from controlplane.kubelet.runtimes.interface import ContainerRuntime
from kvstore.base.log import get_logger
from kvstore.base.tasks import Supervisor

_log = get_logger("gateway")

_CHUNK = 64 * 1024


class ApiGateway:
    """Carries connections to one address of the pods' network to the first API server that answers."""

    def __init__(
        self, runtime: ContainerRuntime, address: tuple[str, int], servers: Sequence[str]
    ) -> None:
        self._runtime = runtime
        self._address = address
        self._servers = [_place(url) for url in servers]
        self._supervisor = Supervisor("gateway")

    async def run(self) -> None:
        """Serve until cancelled. Raises ContainerRuntimeError when the address cannot be had."""
        listener = await self._runtime.listen(*self._address)
        server = await asyncio.start_server(self._carry, sock=listener)
        try:
            async with server:
                await server.serve_forever()
        finally:
            await self._supervisor.stop()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            inward, outward = await self._connect()
        except OSError as problem:
            _log.debug("no API server reached", error=str(problem))
            writer.close()
            return
        there = self._supervisor.start(_copy(reader, outward), "out")
        back = self._supervisor.start(_copy(inward, writer), "in")
        await asyncio.wait((there, back))

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        problem = OSError("no API server is known")
        for place in list(self._servers):
            try:
                return await asyncio.open_connection(*place)
            except OSError as found:
                problem = found
                # Asked last from now on, until the others fail.
                self._servers.remove(place)
                self._servers.append(place)
        raise problem


def _place(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "127.0.0.1", parts.port or 443


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
    with contextlib.suppress(OSError):
        writer.close()
