"""The TCP front: turns, fail-over, cuts of silent servers. Rows 4 and 192 of the requirements."""

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest

from controlplane.local.front import Front
from kvstore.base.clock import ManualClock
from kvstore.local.certificates import CertificateAuthority, Identity


class Server:
    """A TLS server that says its name and can be made unhealthy or silent."""

    def __init__(self, name: str, identity: Identity) -> None:
        self.name, self.status = name, 200
        self.connections: list[asyncio.StreamWriter] = []
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.load_cert_chain(identity.cert_file, identity.key_file)
        self._server: asyncio.Server | None = None
        self.port = 0

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._context)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            line = await reader.readline()
            if b"hold" in line:
                self.connections.append(writer)
                await reader.read()
                return
            body = self.name.encode()
            writer.write(
                b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n" % (self.status, len(body)) + body
            )
            await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self.connections:
            writer.transport.abort()


@pytest.fixture
def identity(tmp_path: Path) -> Identity:
    import datetime

    authority = CertificateAuthority(tmp_path / "pki", datetime.datetime.now(datetime.UTC))
    return authority.identity("s", "s", hosts=["127.0.0.1"], server=True)


async def test_requests_go_in_turn_and_only_to_ready_servers(
    identity: Identity, port: Callable[[], int]
) -> None:
    from kvstore.local.probe import http_get

    tls = ssl.create_default_context(cafile=str(identity.ca_file))
    servers = [Server("a", identity), Server("b", identity)]
    for server in servers:
        await server.start()
    clock, at = ManualClock(), port()
    front = Front("127.0.0.1", at, [(s.name, "127.0.0.1", s.port) for s in servers], tls, clock)
    await front.start()

    async def ask() -> str:
        return (await http_get("127.0.0.1", at, "/", tls=tls, timeout_seconds=30.0))[1].decode()

    try:
        assert {await ask() for _ in range(4)} == {"a", "b"}
        _, held = await asyncio.open_connection("127.0.0.1", at, ssl=tls)
        reader = _
        held.write(b"hold\r\n")
        await held.drain()
        async with asyncio.timeout(60):
            while not any(server.connections for server in servers):
                await asyncio.sleep(0.01)
        holding = next(server for server in servers if server.connections)
        other = next(server for server in servers if server is not holding)
        holding.status = 500
        backend = next(b for b in front.backends if b.name == holding.name)
        async with asyncio.timeout(60):
            while backend.is_ready:
                await clock.advance(2.1)
                await asyncio.sleep(0.02)
        # The connection to the server that is not ready was cut, and new ones go to the other.
        with pytest.raises((OSError, asyncio.IncompleteReadError)):
            await asyncio.wait_for(reader.readexactly(1), 60)
        assert {await ask() for _ in range(4)} == {other.name}
        held.transport.abort()
    finally:
        await front.stop()
        for server in servers:
            await server.stop()
