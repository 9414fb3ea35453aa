"""Connections to endpoints, which may be in pods: those are reached through their node's kubelet.

Where pods have networks of their own the API server's machine need not be part of them. The kubelet's port-forward is,
so a connection into a pod is one of those: the bytes go over a pair of local sockets, and as messages to the kubelet.
Pods whose address is one of this machine's loopback are processes beside us: they are called by that address.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
from dataclasses import dataclass, field

from controlplane.api import errors
from controlplane.api.meta import Obj
from controlplane.api.streams import V4, Framing, FramingError
from controlplane.apiserver.callouts.endpoints import Endpoint
from controlplane.apiserver.lookup import Lookup
from controlplane.apiserver.nodes.kubelet import KubeletClient
from controlplane.kinds.core.node import NODES
from kvstore.base.tasks import Supervisor

_CHUNK = 32 * 1024
_DATA, _ERROR = 0, 1
# The first message on each channel is the port itself, in two bytes.
_PORT_BYTES = 2


@dataclass(slots=True)
class Link:
    """An open connection; `problem` may come to say why it was cut."""

    socket: socket.socket
    problem: list[str] = field(default_factory=list)


async def dial_address(endpoint: Endpoint) -> Link:
    """A connection to an address of this machine's network. Raises OSError, in Go's words."""
    loop = asyncio.get_running_loop()
    shown = f"{endpoint.address}:{endpoint.port}"
    try:
        rows = await loop.getaddrinfo(endpoint.address, endpoint.port, type=socket.SOCK_STREAM)
    except OSError as error:
        text = f"dial tcp: lookup {endpoint.address}: no such host"
        raise OSError(text) from error
    family, kind, protocol, _, place = rows[0]
    made = socket.socket(family, kind, protocol)
    made.setblocking(False)
    try:
        await loop.sock_connect(made, place)
    except OSError as error:
        made.close()
        why = "connection refused" if isinstance(error, ConnectionRefusedError) else error
        raise OSError(f"dial tcp {shown}: connect: {why}") from error
    except BaseException:
        made.close()
        raise
    return Link(made)


class Reach:
    """Opens connections; `close` cuts those that are open."""

    def __init__(self, kubelet: KubeletClient, lookup: Lookup) -> None:
        self._kubelet = kubelet
        self._lookup = lookup
        self._supervisor = Supervisor("callouts")

    async def dial(self, endpoint: Endpoint) -> Link:
        """An open connection. Raises OSError, whose text says why, in Go's words."""
        node = None
        if endpoint.pod is not None and endpoint.node and not _is_here(endpoint.address):
            node = await self._lookup.find(NODES, "", endpoint.node)
        if node is None or endpoint.pod is None:
            return await dial_address(endpoint)
        return await self._tunnel(node, endpoint.pod, endpoint)

    async def _tunnel(self, node: Obj, pod: tuple[str, str], endpoint: Endpoint) -> Link:
        near, far = socket.socketpair()
        near.setblocking(False)
        reader, writer = await asyncio.open_unix_connection(sock=far)
        link = Link(near)
        tunnel = _Tunnel(reader, writer, link)
        path = f"/portForward/{pod[0]}/{pod[1]}"
        query = [("port", str(endpoint.port))]
        shown = f"dial tcp {endpoint.address}:{endpoint.port}: "
        self._supervisor.start(self._carry(node, path, query, tunnel, shown), f"to {pod[1]}")
        return link

    async def _carry(
        self, node: Obj, path: str, query: list[tuple[str, str]], tunnel: _Tunnel, shown: str
    ) -> None:
        try:
            await self._kubelet.carry(node, path, query, tunnel)
        except errors.APIError as error:
            tunnel.fail(shown + error.message)
        except OSError as error:
            tunnel.fail(shown + str(error))
        finally:
            tunnel.close()

    async def close(self) -> None:
        """Cut what is open."""
        await self._supervisor.stop()


def _is_here(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


class _Tunnel:
    """The near end of a port-forward, as the client's side of a `Socket`: one port, two channels."""

    protocol = V4

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, link: Link
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._link = link
        self._framing = Framing(V4)
        self._announced: set[int] = set()

    def fail(self, why: str) -> None:
        """Note why there is no connection."""
        self._link.problem.append(why)

    def close(self) -> None:
        """Cut the local connection."""
        self._writer.close()

    async def receive(self) -> bytes | str | None:
        """See `Socket.receive`."""
        data = await self._reader.read(_CHUNK)
        return self._framing.encode(_DATA, data) if data else None

    async def send(self, message: bytes | str) -> None:
        """See `Socket.send`."""
        try:
            frame = self._framing.decode(message)
        except FramingError as error:
            raise ConnectionError(str(error)) from error
        if frame.channel not in self._announced and len(frame.data) == _PORT_BYTES:
            self._announced.add(frame.channel)
        elif frame.channel == _ERROR:
            raise ConnectionError(frame.data.decode(errors="replace").rpartition(": ")[2])
        else:
            with contextlib.suppress(RuntimeError):
                self._writer.write(frame.data)
                await self._writer.drain()
