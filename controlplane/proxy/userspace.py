"""Carries connections and datagrams from frontends to their backends, as bytes.

A connection goes to a backend by chance, or to the one its client had where clients stick; one that refuses is passed
over for the next. What a change of the backends takes away gets no new connections; those under way go on to their
end. A client by UDP keeps its backend for as long as it says something every `UDP_IDLE_SECONDS`.

Bounds: connections by the descriptors of the process (`kvstore.base.accepting`), `MAX_UDP_CLIENTS` a frontend,
`MAX_STICKY` clients remembered.
"""

import asyncio
import contextlib
import ipaddress
import random
import socket
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from controlplane.proxy.frontends import Backend, Frontend, Pool
from kvstore.base.accepting import Acceptor
from kvstore.base.clock import Clock
from kvstore.base.log import get_logger
from kvstore.base.tasks import Supervisor

log = get_logger(__name__)

UDP_IDLE_SECONDS = 60.0
MAX_UDP_CLIENTS = 4096
MAX_STICKY = 65536
_CONNECT_SECONDS = 5.0
_CHUNK_BYTES = 64 << 10
_BACKLOG = 1024

OpenSocket = Callable[[Frontend, Backend, socket.SocketKind], Awaitable[socket.socket]]
"""A non-blocking socket, connected to nothing, in the network where the backend is reached. Raises OSError."""


async def own_network(
    frontend: Frontend, backend: Backend, kind: socket.SocketKind
) -> socket.socket:
    """Backends are reached from where this process is."""
    del frontend, backend
    made = socket.socket(socket.AF_INET, kind)
    made.setblocking(False)
    return made


class UserspaceProxy:
    """Listens at frontends; `open_socket` makes the sockets towards backends."""

    def __init__(
        self, clock: Clock, rng: random.Random, open_socket: OpenSocket = own_network
    ) -> None:
        self._clock = clock
        self._open_socket = open_socket
        self._supervisor = Supervisor("userspace-proxy")
        self._doors: dict[Frontend, _Tcp | _Udp] = {}
        self._choice = _Choice(clock, rng)

    @property
    def frontends(self) -> list[Frontend]:
        """Where it listens."""
        return list(self._doors)

    async def update(self, wanted: Mapping[Frontend, Pool]) -> dict[Frontend, str]:
        """Listen at all of `wanted` and nowhere else; why it cannot, by frontend. Another call tries again."""
        for frontend in [one for one in self._doors if one not in wanted]:
            self._doors.pop(frontend).close()
        problems: dict[Frontend, str] = {}
        for frontend, pool in wanted.items():
            door = self._doors.get(frontend)
            if door is not None:
                door.pool = pool
                continue
            try:
                self._doors[frontend] = await self._open(frontend, pool)
            except OSError as problem:
                problems[frontend] = problem.strerror or str(problem)
        return problems

    async def stop(self) -> None:
        """Stop listening; connections under way are cut."""
        for door in self._doors.values():
            door.close()
        self._doors.clear()
        await self._supervisor.stop(1.0)

    async def _open(self, frontend: Frontend, pool: Pool) -> "_Tcp | _Udp":
        kind = _Udp if frontend.protocol == "UDP" else _Tcp
        door = kind(frontend, pool, self._choice, self._open_socket, self._supervisor, self._clock)
        await door.open()
        return door


class _Choice:
    """Which backend a client gets."""

    def __init__(self, clock: Clock, rng: random.Random) -> None:
        self._clock = clock
        self._rng = rng
        self._sticky: OrderedDict[tuple[str, str], tuple[Backend, float]] = OrderedDict()

    def order(self, pool: Pool, client: str) -> list[Backend]:
        """The backends in the order in which they are to be tried; none for a client that may not come."""
        if not _may_come(pool, client):
            return []
        order = list(pool.backends)
        self._rng.shuffle(order)
        kept = self._sticky.get((pool.service, client))
        if kept is not None and pool.affinity_seconds and kept[1] > self._clock.monotonic():
            order.sort(key=lambda one: one != kept[0])
        return order

    def remember(self, pool: Pool, client: str, backend: Backend) -> None:
        """The client has got this one."""
        if not pool.affinity_seconds:
            return
        key = (pool.service, client)
        self._sticky[key] = (backend, self._clock.monotonic() + pool.affinity_seconds)
        self._sticky.move_to_end(key)
        while len(self._sticky) > MAX_STICKY:
            self._sticky.popitem(last=False)


def _may_come(pool: Pool, client: str) -> bool:
    if not pool.sources:
        return True
    address = ipaddress.ip_address(client)
    return any(address in ipaddress.ip_network(one, strict=False) for one in pool.sources)


class _Door:
    """What both protocols have."""

    def __init__(
        self,
        frontend: Frontend,
        pool: Pool,
        choice: _Choice,
        open_socket: OpenSocket,
        supervisor: Supervisor,
        clock: Clock,
    ) -> None:
        self.frontend = frontend
        self.pool = pool
        self._choice = choice
        self._open_socket = open_socket
        self._supervisor = supervisor
        self._clock = clock

    async def _connect(self, client: str, kind: socket.SocketKind) -> socket.socket | None:
        """A connection to a backend; None when the client may not come or nobody answers."""
        loop = asyncio.get_running_loop()
        pool = self.pool
        for backend in self._choice.order(pool, client):
            made = None
            try:
                made = await self._open_socket(self.frontend, backend, kind)
                async with asyncio.timeout(_CONNECT_SECONDS):
                    await loop.sock_connect(made, (backend.address, backend.port))
            except (OSError, TimeoutError) as problem:
                log.debug("no answer", service=pool.service, at=backend, error=str(problem))
                if made is not None:
                    made.close()
                continue
            except BaseException:
                if made is not None:
                    made.close()
                raise
            self._choice.remember(pool, client, backend)
            return made
        return None


class _Tcp(_Door):
    _acceptor: Acceptor | None = None

    async def open(self) -> None:
        """Listen. Raises OSError."""
        made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind((self.frontend.address, self.frontend.port))
            made.listen(_BACKLOG)
        except BaseException:
            made.close()
            raise
        self._acceptor = Acceptor(self._protocol, [made])

    def close(self) -> None:
        """Take no more connections."""
        if self._acceptor is not None:
            self._acceptor.close()

    def _protocol(self) -> asyncio.StreamReaderProtocol:
        loop = asyncio.get_running_loop()
        return asyncio.StreamReaderProtocol(asyncio.StreamReader(loop=loop), self._take, loop=loop)

    def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._supervisor.start(self._carry(reader, writer), "connection")

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            peer = writer.get_extra_info("peername")
            made = await self._connect(peer[0], socket.SOCK_STREAM) if peer else None
            if made is None:
                writer.transport.abort()
                return
            inward, outward = await asyncio.open_connection(sock=made)
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(copy(reader, outward))
                    group.create_task(copy(inward, writer))
            except BaseException:
                outward.transport.abort()
                raise
            # Sends first what is still to be sent.
            outward.close()
            writer.close()
        except BaseException:
            writer.transport.abort()
            raise


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy until the end of the stream, then pass the end on. Broken connections end it quietly."""
    with contextlib.suppress(OSError, RuntimeError):
        while data := await reader.read(_CHUNK_BYTES):
            writer.write(data)
            await writer.drain()
    with contextlib.suppress(OSError, RuntimeError):
        if writer.can_write_eof():
            writer.write_eof()
        await writer.drain()


class _Udp(_Door):
    _transport: asyncio.DatagramTransport | None = None

    async def open(self) -> None:
        """Listen. Raises OSError."""
        self._clients: dict[Any, _UdpClient] = {}
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(
            lambda: _Receiver(self._arrived),
            local_addr=(self.frontend.address, self.frontend.port),
        )

    def close(self) -> None:
        """Stop; what clients had is forgotten."""
        if self._transport is not None:
            self._transport.close()
        for client in list(self._clients.values()):
            client.close()

    def _arrived(self, data: bytes, peer: Any) -> None:
        client = self._clients.get(peer)
        if client is not None and client.is_stale(self.pool):
            client.close()
            client = None
        if client is None:
            if len(self._clients) >= MAX_UDP_CLIENTS:
                return
            client = self._clients[peer] = _UdpClient()
            self._supervisor.start(self._serve(peer, client), "datagrams")
        client.put(data)

    async def _serve(self, peer: Any, client: "_UdpClient") -> None:
        try:
            made = await self._connect(peer[0], socket.SOCK_DGRAM)
            if made is None:
                return
            client.backend = made.getpeername()[:2]
            loop = asyncio.get_running_loop()
            outward, _ = await loop.create_datagram_endpoint(
                lambda: _Receiver(lambda data, _: self._answer(data, peer)), sock=made
            )
            try:
                while True:
                    async with asyncio.timeout(UDP_IDLE_SECONDS):
                        data = await client.queue.get()
                    if data is None:
                        return
                    outward.sendto(data)
            except TimeoutError:
                return
            finally:
                outward.close()
        finally:
            if self._clients.get(peer) is client:
                del self._clients[peer]

    def _answer(self, data: bytes, peer: Any) -> None:
        if self._transport is not None:
            self._transport.sendto(data, peer)


class _UdpClient:
    """What came from one client and is not sent on yet."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[bytes | None] = asyncio.Queue(maxsize=256)
        self.backend: tuple[str, int] | None = None

    def put(self, data: bytes | None) -> None:
        """Keep it; too much is dropped, as networks do."""
        with contextlib.suppress(asyncio.QueueFull):
            self.queue.put_nowait(data)

    def is_stale(self, pool: Pool) -> bool:
        """Whether its backend is none any more."""
        places = {(one.address, one.port) for one in pool.backends}
        return self.backend is not None and self.backend not in places

    def close(self) -> None:
        """End it."""
        if self.queue.full():
            self.queue.get_nowait()
        self.put(None)


class _Receiver(asyncio.DatagramProtocol):
    def __init__(self, arrived: Callable[[bytes, Any], None]) -> None:
        self._arrived = arrived

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """See `asyncio.DatagramProtocol`."""
        self._arrived(data, addr)

    def error_received(self, exc: Exception) -> None:
        """A backend that is not there: the client asks again, and gets another once this one is known to be gone."""
        log.debug("datagram not delivered", error=str(exc))
