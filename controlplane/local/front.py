"""One TCP address over all API servers: bytes in, bytes out, TLS untouched.

A connection goes to the next server, in turn, that answered its last `/readyz`; when all failed theirs, to any that
accepts, so that a client sees the server's own error rather than a closed door. When a server stops answering
(a paused one accepts and is silent) the connections to it are cut: clients then come back and get another. Near the
limit of open files new connections are refused: the program that has the front needs some for its children.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Sequence

from kvstore.base.accepting import Acceptor, bind
from kvstore.base.clock import Clock
from kvstore.base.log import get_logger
from kvstore.base.tasks import Supervisor
from kvstore.local.probe import is_healthy

log = get_logger("local.front")
# A TLS handshake each: often enough to notice a silent server, rare enough to cost nothing.
_CHECK_SECONDS = 2.0
_CONNECT_SECONDS = 1.0
_CHUNK_BYTES = 64 << 10


class Backend:
    """One API server, as the front sees it."""

    def __init__(self, name: str, host: str, port: int) -> None:
        self.name, self.host, self.port = name, host, port
        self.is_ready = True
        self.writers: set[asyncio.StreamWriter] = set()


class Front:
    """The listener and its health checks."""

    def __init__(
        self,
        host: str,
        port: int,
        backends: Sequence[tuple[str, str, int]],
        tls: ssl.SSLContext,
        clock: Clock,
    ) -> None:
        self._address = (host, port)
        self._tls = tls
        self._clock = clock
        self.backends = [Backend(*backend) for backend in backends]
        self._turn = 0
        self._acceptor: Acceptor | None = None
        self._tasks = Supervisor("front")

    async def start(self) -> None:
        """Listen and begin to check."""
        self._acceptor = Acceptor(self._protocol, bind(*self._address))
        for backend in self.backends:
            self._tasks.start(self._check(backend), f"check {backend.name}", eternal=True)

    async def stop(self) -> None:
        """Close the listener and all connections."""
        if self._acceptor is not None:
            self._acceptor.close()
        for backend in self.backends:
            self._cut(backend)
        await self._tasks.stop()

    def _protocol(self) -> asyncio.StreamReaderProtocol:
        loop = asyncio.get_running_loop()
        return asyncio.StreamReaderProtocol(asyncio.StreamReader(loop=loop), self._serve, loop=loop)

    async def _check(self, backend: Backend) -> None:
        while True:
            ready = await is_healthy(
                backend.host, backend.port, "/readyz", tls=self._tls, timeout_seconds=1.5
            )
            if not ready and backend.is_ready:
                log.info("API server not ready", server=backend.name)
                # With no other server ready, a cut would only break what may still work.
                if any(other.is_ready for other in self.backends if other is not backend):
                    self._cut(backend)
            backend.is_ready = ready
            await self._clock.sleep(_CHECK_SECONDS)

    @staticmethod
    def _cut(backend: Backend) -> None:
        for writer in list(backend.writers):
            writer.transport.abort()

    def _order(self) -> list[Backend]:
        self._turn += 1
        count = len(self.backends)
        turned = [self.backends[(self._turn + at) % count] for at in range(count)]
        return sorted(turned, key=lambda backend: not backend.is_ready)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            for backend in self._order():
                try:
                    async with asyncio.timeout(_CONNECT_SECONDS):
                        upstream = await asyncio.open_connection(backend.host, backend.port)
                except (OSError, TimeoutError):
                    backend.is_ready = False
                    continue
                await self._join(backend, (reader, writer), upstream)
                return
        finally:
            writer.transport.abort()

    async def _join(
        self,
        backend: Backend,
        client: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        upstream: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        backend.writers |= {client[1], upstream[1]}
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_copy(client[0], upstream[1]))
                group.create_task(_copy(upstream[0], client[1]))
        finally:
            backend.writers -= {client[1], upstream[1]}
            upstream[1].transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy until the end of the stream, then pass the end on. Broken pipes end it quietly."""
    with contextlib.suppress(OSError, RuntimeError):
        while data := await reader.read(_CHUNK_BYTES):
            writer.write(data)
            await writer.drain()
    with contextlib.suppress(OSError, RuntimeError):
        if writer.can_write_eof():
            writer.write_eof()
