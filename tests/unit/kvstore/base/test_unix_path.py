"""Sockets that only their owner may open."""

import asyncio
import os
import socket
import stat
from pathlib import Path

import pytest

from kvstore.base.unix_path import private_socket, short_path


def mask() -> int:
    now = os.umask(0o022)
    os.umask(now)
    return now


async def test_sockets_are_private_and_the_mask_is_as_before(tmp_path: Path) -> None:
    # Found by the suite: two that were made at once, waiting with the mask set, left it set for good.
    before = mask()
    folder = tmp_path / ("long" * 30)
    folder.mkdir()

    async def serve(name: str) -> asyncio.AbstractServer:
        def answered(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"hello\n")
            writer.close()

        server = await asyncio.start_unix_server(answered, sock=private_socket(folder / name))
        assert mask() == before
        return server

    servers = await asyncio.gather(*(serve(f"{number}.sock") for number in range(8)))
    assert mask() == before
    for number, server in enumerate(servers):
        path = folder / f"{number}.sock"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        with short_path(path) as name:
            reader, writer = await asyncio.open_unix_connection(name)
        assert await reader.readline() == b"hello\n"
        writer.close()
        server.close()
        await server.wait_closed()


def test_a_path_that_is_taken_is_told_and_leaves_the_mask(tmp_path: Path) -> None:
    before = mask()
    path = tmp_path / "s"
    with private_socket(path) as first:
        assert first.family == socket.AF_UNIX
        with pytest.raises(OSError, match="in use"):
            private_socket(path)
    assert mask() == before
