"""Sockets that only their owner may open."""

import asyncio
import os
import socket
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
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


@pytest.mark.parametrize(
    "has_modes_of_its_own", [True, False], ids=["mode_of_the_socket", "mask_only"]
)
def test_threads_leave_the_mask_to_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_modes_of_its_own: bool
) -> None:
    # Found by the suite: members in threads of one process restored each other's mask, and 0177 stayed.
    if not has_modes_of_its_own:

        def refuse(*_: int) -> None:
            raise OSError(22, "Invalid argument")

        monkeypatch.setattr(os, "fchmod", refuse)
    before = mask()
    together = threading.Barrier(8)

    def make(number: int) -> None:
        together.wait()
        for turn in range(50):
            path = tmp_path / f"{number}-{turn}"
            private_socket(path).close()
            assert stat.S_IMODE(path.stat().st_mode) == 0o600

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(make, range(8)))
    assert mask() == before
