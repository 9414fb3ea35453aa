"""GET /podPort/NAMESPACE/POD/UID/PORT: an upgraded connection becomes one to a port of a pod.

It is made at the pod's own address, inside the pod's network, and to nothing else: so the API server reaches pods whose
network has no route to it, and whoever asks it to cannot be led elsewhere. What comes after the upgrade are the port's
bytes.
"""

import asyncio
import contextlib

from aiohttp import web

from controlplane.api.streams import TUNNEL_PROTOCOL
from controlplane.kubelet.runtimes.interface import ContainerRuntimeError, Sandbox
from controlplane.kubelet.server.containers import Containers, UnknownError
from controlplane.program.takeover import TakenPipe, take_over

_CHUNK = 64 * 1024
_CONNECT_SECONDS = 25.0


class PodPort:
    """The endpoint."""

    def __init__(self, containers: Containers) -> None:
        self._containers = containers

    def routes(self) -> list[web.RouteDef]:
        """What it answers to."""
        return [web.get("/podPort/{namespace}/{pod}/{uid}/{port}", self._open)]

    async def _open(self, request: web.Request) -> web.StreamResponse:
        names = request.match_info
        port = int(names["port"]) if names["port"].isascii() and names["port"].isdigit() else 0
        if request.headers.get("Upgrade", "").lower() != TUNNEL_PROTOCOL:
            return web.Response(status=400, text="Upgrade request required")
        if not 0 < port < 65536:
            return web.Response(status=400, text=f"address {names['port']}: invalid port")
        try:
            box = self._containers.sandbox(names["namespace"], names["pod"], names["uid"])
            reader, writer = await self._connect(box, port)
        except UnknownError as problem:
            return web.Response(status=404, text=str(problem))
        except OSError as problem:
            return web.Response(status=502, text=str(problem))

        async def carry(pipe: TakenPipe) -> None:
            await _carry(pipe, reader, writer)

        headers = {"Connection": "Upgrade", "Upgrade": TUNNEL_PROTOCOL}
        try:
            return await take_over(request, 101, headers, carry)
        finally:
            writer.close()

    async def _connect(
        self, box: Sandbox, port: int
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        place = f"{box.ip}:{port}"
        try:
            made = await self._containers.runtime.open_socket(box.id)
        except (ContainerRuntimeError, KeyError) as problem:
            raise OSError(f"dial tcp {place}: the pod is gone: {problem}") from problem
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                await asyncio.get_running_loop().sock_connect(made, (box.ip, port))
                return await asyncio.open_connection(sock=made)
        except TimeoutError:
            made.close()
            raise OSError(f"dial tcp {place}: i/o timeout") from None
        except ConnectionRefusedError as problem:
            made.close()
            raise OSError(f"dial tcp {place}: connect: connection refused") from problem
        except OSError as problem:
            made.close()
            why = (problem.strerror or str(problem)).lower()
            raise OSError(f"dial tcp {place}: connect: {why}") from problem


async def _carry(
    pipe: TakenPipe, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Both ways, until the pod has said all or the caller is gone."""

    async def outward() -> None:
        while data := await pipe.read():
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()

    async def inward() -> None:
        while data := await reader.read(_CHUNK):
            await pipe.write(data)

    there = asyncio.ensure_future(outward())
    back = asyncio.ensure_future(inward())
    try:
        # A caller that hangs up ends both; what it has sent is the pod's to answer until then.
        await asyncio.wait((there, back), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (there, back):
            task.cancel()
        await asyncio.wait((there, back))
        for task in (there, back):
            if not task.cancelled():
                with contextlib.suppress(OSError):
                    task.result()
