"""Listeners leave the process descriptors to work with, whoever connects, with TLS and without."""

import asyncio
import contextlib
import datetime
import functools
import inspect
import resource
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import uvloop

from kvstore.base import accepting, descriptors
from kvstore.base.accepting import Acceptor, bind
from kvstore.local.certificates import CertificateAuthority


def on_both_loops(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a test on asyncio's loop and on uvloop's."""

    @functools.wraps(test)
    def run(*args: Any, loop_factory: Any, **more: Any) -> None:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(test(*args, **more))

    own = inspect.signature(test)
    added = inspect.Parameter("loop_factory", inspect.Parameter.KEYWORD_ONLY)
    run.__signature__ = own.replace(parameters=[*own.parameters.values(), added])  # type: ignore[attr-defined]
    loops = [asyncio.new_event_loop, uvloop.new_event_loop]
    return pytest.mark.parametrize("loop_factory", loops, ids=["asyncio", "uvloop"])(run)


@pytest.fixture(autouse=True)
def soon_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accepting, "SILENT_SECONDS", 0.0)


@pytest.fixture
def tls(tmp_path: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Contexts of a server and of its clients."""
    authority = CertificateAuthority(tmp_path / "pki", datetime.datetime.now(datetime.UTC))
    identity = authority.identity("s", "s", hosts=["127.0.0.1"], server=True)
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(identity.cert_file, identity.key_file)
    return server, ssl.create_default_context(cafile=str(identity.ca_file))


class Echo(asyncio.Protocol):
    """Says what it hears."""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


def next_descriptor() -> int:
    with socket.socket() as one:
        return one.fileno()


class Idle:
    """Connections that say nothing."""

    def __init__(self) -> None:
        self.writers: list[asyncio.StreamWriter] = []

    async def open(self, port: int) -> asyncio.StreamReader:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        self.writers.append(writer)
        return reader


@contextlib.asynccontextmanager
async def serving(*arguments: Any, **options: Any) -> AsyncIterator[tuple[Acceptor, Idle]]:
    """An acceptor on a free port, and clients; uvloop minds what is left open."""
    acceptor, idle = Acceptor(Echo, bind("127.0.0.1", 0), *arguments, **options), Idle()
    try:
        yield acceptor, idle
    finally:
        acceptor.close()
        for writer in idle.writers:
            writer.transport.abort()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
        await until(lambda: not acceptor._tasks, "handshakes end")


async def until(condition: Callable[[], object], what: str) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.001)
    assert condition(), what


async def echoed(port: int, context: ssl.SSLContext | None = None) -> bytes:
    """What a talking client hears; empty if it was refused."""
    try:
        async with asyncio.timeout(10):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
            writer.write(b"hello")
            answer = await reader.read(5)
            writer.transport.abort()
            return answer
    except OSError:
        return b""


def port_of(acceptor: Acceptor) -> int:
    return int(acceptor.sockets[0].getsockname()[1])


@on_both_loops
async def test_connections_past_the_ceiling_are_closed_at_once() -> None:
    ceiling = 1 << 20
    async with serving(ceiling=lambda: ceiling) as (acceptor, _):
        assert await echoed(port_of(acceptor)) == b"hello"
        ceiling = 0
        assert await echoed(port_of(acceptor)) == b""
        ceiling = 1 << 20
        assert await echoed(port_of(acceptor)) == b"hello"


@on_both_loops
async def test_a_newcomer_gets_the_place_of_a_silent_handshake(
    tls: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    server, client = tls
    full = False
    async with serving(tls=server, ceiling=lambda: 0 if full else 1 << 20) as (acceptor, idle):
        silent = [await idle.open(port_of(acceptor)) for _ in range(3)]
        await until(lambda: len(acceptor._greeting) == 3, "all under a handshake")
        full = True
        assert await echoed(port_of(acceptor), client) == b"hello"
        async with asyncio.timeout(10):
            assert await silent[0].read() == b""
        assert len(acceptor._greeting) == 2


@on_both_loops
async def test_handshakes_have_a_limit_of_their_own(
    tls: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    server, client = tls
    async with serving(tls=server, max_handshakes=2) as (acceptor, idle):
        first, *_ = [await idle.open(port_of(acceptor)) for _ in range(3)]
        async with asyncio.timeout(10):
            assert await first.read() == b""
        assert await echoed(port_of(acceptor), client) == b"hello"


@on_both_loops
async def test_the_owner_is_asked_to_make_room() -> None:
    asked: list[int] = []

    def make_room() -> bool:
        asked.append(1)
        return len(asked) == 1

    async with serving(make_room=make_room, ceiling=lambda: 0) as (acceptor, _):
        assert await echoed(port_of(acceptor)) == b"hello"
        assert await echoed(port_of(acceptor)) == b""
        assert len(asked) == 2


@on_both_loops
async def test_a_process_without_any_descriptor_takes_connections_again_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(accepting, "_PAUSE_SECONDS", 0.01)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with serving(ceiling=lambda: 1 << 20) as (acceptor, idle):
        try:
            await idle.open(port_of(acceptor))
            resource.setrlimit(resource.RLIMIT_NOFILE, (next_descriptor(), hard))
            acceptor._accept(acceptor.sockets[0])
            assert acceptor._paused
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert await echoed(port_of(acceptor)) == b"hello"


@pytest.mark.parametrize(
    ("limit", "ceiling"),
    [
        pytest.param(1024, 874, id="usual"),
        pytest.param(256, 128, id="low"),
        pytest.param(10, 5, id="absurd"),
        pytest.param(resource.RLIM_INFINITY, (1 << 20) - 150, id="none"),
    ],
)
def test_the_reserve(limit: int, ceiling: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (limit, resource.RLIM_INFINITY))
    assert descriptors.ceiling() == ceiling


@pytest.mark.parametrize(
    ("soft", "hard", "then"),
    [
        pytest.param(1024, 4096, (4096, 4096), id="raised"),
        pytest.param(4096, 4096, None, id="equal"),
        pytest.param(1024, resource.RLIM_INFINITY, (1 << 20, resource.RLIM_INFINITY), id="no_hard"),
        pytest.param(resource.RLIM_INFINITY, resource.RLIM_INFINITY, None, id="no_limit"),
    ],
)
def test_the_soft_limit_is_raised(
    soft: int, hard: int, then: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[object] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda _, value: done.append(value))
    descriptors.raise_limit()
    assert done == ([] if then is None else [then])


@on_both_loops
async def test_closing_leaves_connections() -> None:
    async with serving() as (acceptor, idle):
        port = port_of(acceptor)
        reader = await idle.open(port)
        idle.writers[0].write(b"a")
        assert await reader.read(1) == b"a"
        acceptor.close()
        idle.writers[0].write(b"b")
        assert await reader.read(1) == b"b"
        with pytest.raises(OSError, match=r"."):
            await idle.open(port)
