"""Lets pods reach the API servers, which listen on the machine's own network.

Sockets belong to the network in which they were made, so one process holds both ends: a listener in the pods' network,
and connections to the API servers in its own.
"""

import asyncio
import contextlib
import socket
from collections.abc import Sequence
from urllib.parse import urlsplit

from controlplane.kubelet.runtimes.interface import ContainerRuntime, ContainerRuntimeError
from kvstore.base.clock import Clock
from kvstore.base.log import get_logger
from kvstore.base.tasks import Supervisor

_log = get_logger("gateway")

_CHUNK = 64 * 1024
_AGAIN_SECONDS = 1.0


class ApiGateway:
    """Carries connections to one address of the pods' network to the first API server that answers."""

    def __init__(
        self,
        runtime: ContainerRuntime,
        address: tuple[str, int],
        servers: Sequence[str],
        clock: Clock,
    ) -> None:
        self._runtime = runtime
        self._clock = clock
        self._address = address
        self._servers = [_place(url) for url in servers]

    async def run(self) -> None:
        """Serve until cancelled, also in a network made anew.

        Raises ContainerRuntimeError when the address cannot be had at first.
        """
        listener = await self._runtime.listen(*self._address)
        while True:
            supervisor = Supervisor("gateway")

            def take(
                reader: asyncio.StreamReader,
                writer: asyncio.StreamWriter,
                supervisor: Supervisor = supervisor,
            ) -> None:
                supervisor.start(self._carry(reader, writer), "connection")

            server = await asyncio.start_server(take, sock=listener)
            try:
                await self._runtime.network_ended()
            finally:
                server.close()
                # What was carried into a network that is gone would wait for ever.
                await supervisor.stop()
            _log.info("the node's network has ended", address=self._address)
            listener = await self._listen_again()

    async def _listen_again(self) -> socket.socket:
        while True:
            try:
                return await self._runtime.listen(*self._address)
            except ContainerRuntimeError as problem:
                _log.debug("no network yet", error=str(problem))
            await self._clock.sleep(_AGAIN_SECONDS)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            inward, outward = await self._connect()
        except OSError as problem:
            _log.debug("no API server reached", error=str(problem))
            writer.close()
            return
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_copy(reader, outward))
                group.create_task(_copy(inward, writer))
        finally:
            outward.close()
            writer.close()

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
