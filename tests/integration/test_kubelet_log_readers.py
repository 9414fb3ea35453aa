"""Readers of logs who leave: the kubelet stops following, and nothing is reported as a failure."""

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest

from controlplane.kubelet.server.server import KubeletServer
from kvstore.base.clock import SystemClock

POD = {"metadata": {"name": "p", "namespace": "n", "uid": "u"}}


class OneRun:
    """A runtime with one container; it writes a line, then as many more as it is told to."""

    def __init__(self, *, is_quiet: bool) -> None:
        self.is_quiet = is_quiet
        self.ended = asyncio.Event()

    def list_containers(self, uid: str) -> list[Any]:
        return [SimpleNamespace(id="1", name="c")]

    async def logs(self, run: str, options: object) -> AsyncIterator[bytes]:
        try:
            yield b"hello\n"
            while True:
                await asyncio.sleep(3600 if self.is_quiet else 0.01)
                yield b"more\n"
        finally:
            self.ended.set()


@pytest.mark.parametrize("is_quiet", [True, False])
async def test_a_reader_who_leaves_ends_the_following(
    is_quiet: bool, caplog: pytest.LogCaptureFixture
) -> None:
    runtime = OneRun(is_quiet=is_quiet)
    pods = SimpleNamespace(get=lambda name, namespace: POD)
    server = KubeletServer(runtime, pods, SystemClock())  # type: ignore[arg-type]
    ports: list[int] = []
    runner = await server.serve("127.0.0.1", 0, None, ports.append)
    try:
        url = f"http://127.0.0.1:{ports[0]}/containerLogs/n/p/c?follow=true"
        async with aiohttp.ClientSession() as session:
            answer = await session.get(url)
            assert await answer.content.readline() == b"hello\n"
            answer.close()
        async with asyncio.timeout(60):
            await runtime.ended.wait()
    finally:
        await runner.cleanup()
    assert "Error handling request" not in caplog.text
