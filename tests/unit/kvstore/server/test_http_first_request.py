"""A connection that never finishes its first request is closed; one that does is left alone."""

import asyncio
from typing import cast

from kvstore.base.metrics import Metrics
from kvstore.server.http import HttpServer
from kvstore.server.probes import Probes
from kvstore.service.cluster import ClusterService


async def serve(seconds: float) -> tuple[HttpServer, asyncio.Server]:
    probes = Probes(cast("ClusterService", None))
    http = HttpServer(probes, Metrics(), (), first_request_seconds=seconds)
    server = await asyncio.get_running_loop().create_server(http.client_protocol, "127.0.0.1", 0)
    return http, server


def test_half_a_request_is_not_waited_for_for_ever() -> None:
    async def run() -> bytes:
        http, server = await serve(0.1)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"GET /version HTTP/1.1\r\nHost: a\r\n")
        await asyncio.sleep(0.02)
        assert not reader.at_eof()
        found = await asyncio.wait_for(reader.read(), 5)
        writer.close()
        server.close()
        await http.stop()
        return found

    assert asyncio.run(run()) == b""


def test_who_spoke_may_keep_the_connection() -> None:
    async def run() -> list[bytes]:
        http, server = await serve(0.1)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        found = []
        for _ in range(2):
            writer.write(b"GET /version HTTP/1.1\r\nHost: a\r\n\r\n")
            found.append(await asyncio.wait_for(reader.readuntil(b"}"), 5))
            # Past the moment at which a silent connection would be closed.
            await asyncio.sleep(0.2)
        writer.close()
        server.close()
        await http.stop()
        return found

    for answer in asyncio.run(run()):
        assert answer.startswith(b"HTTP/1.1 200 OK")
