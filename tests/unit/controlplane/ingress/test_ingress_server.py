"""Requests through the server on loopback: what backends see, what clients get back, and what a rewrite costs."""

import asyncio
import base64
import contextlib
import datetime
import gzip
import io
import random
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from cryptography import x509
from yarl import URL

from controlplane.ingress.certificates import Certificates
from controlplane.ingress.routes import Route, Routes, Target
from controlplane.ingress.server import IngressServer
from controlplane.proxy.frontends import Backend
from kvstore.base.ports import free_port
from kvstore.local.certificates import CertificateAuthority

SECONDS = 60.0
TARGET = Target("x", "web", 80)
EVERYTHING = Routes({"": [Route("/", False, TARGET)]})
NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
Start = Callable[[Callable[[web.Request], Awaitable[web.StreamResponse]]], Awaitable[Backend]]


@pytest.fixture
async def ingress() -> AsyncIterator[IngressServer]:
    made = IngressServer(random.Random(1))
    yield made
    await made.stop()


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    async with contextlib.AsyncExitStack() as stack:

        async def run(handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> Backend:
            application = web.Application(client_max_size=64 << 20)
            application.router.add_route("*", "/{rest:.*}", handler)
            runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            return Backend("127.0.0.1", runner.addresses[0][1])

        yield run


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        yield session


async def echo(request: web.Request) -> web.StreamResponse:
    body = await request.read()
    return web.json_response(
        {
            "method": request.method,
            "path": request.raw_path,
            "headers": {name.lower(): value for name, value in request.headers.items()},
            "size": len(body),
        },
        headers={"Connection": "keep-alive", "X-Own": "1"},
    )


def named(name: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(text=name)

    return answer


async def test_what_a_backend_sees(
    ingress: IngressServer, start: Start, client: aiohttp.ClientSession
) -> None:
    ingress.update(EVERYTHING, {TARGET: (await start(echo),)})
    port = await ingress.listen("127.0.0.1", 0)
    sent = {
        "Host": "shop.example.com",
        "Connection": "close, X-Hop",
        "X-Hop": "1",
        "X-Forwarded-For": "192.0.2.1",
        "X-Mine": "2",
    }
    async with asyncio.timeout(SECONDS):
        url = f"http://127.0.0.1:{port}/a%2Fb/c?q=%20x&y"
        async with client.put(
            URL(url, encoded=True), headers=sent, data=io.BytesIO(b"z" * 3_000_000)
        ) as got:
            assert got.status == 200
            assert got.headers["X-Own"] == "1"
            seen = await got.json()
    assert (seen["method"], seen["path"], seen["size"]) == ("PUT", "/a%2Fb/c?q=%20x&y", 3_000_000)
    headers = seen["headers"]
    assert headers["host"] == "shop.example.com"
    assert headers["x-mine"] == "2"
    assert headers["x-forwarded-for"] == "192.0.2.1, 127.0.0.1"
    assert headers["x-real-ip"] == "127.0.0.1"
    assert headers["x-forwarded-host"] == "shop.example.com"
    assert headers["x-forwarded-proto"] == "http"
    assert headers["x-forwarded-port"] == str(port)
    assert "x-hop" not in headers


async def test_answers_come_as_they_are(
    ingress: IngressServer, start: Start, client: aiohttp.ClientSession
) -> None:
    packed = gzip.compress(b"hello" * 1000)

    async def answer(request: web.Request) -> web.StreamResponse:
        match request.path:
            case "/gzip":
                return web.Response(body=packed, headers={"Content-Encoding": "gzip"})
            case "/cookies":
                made = web.Response(status=302, headers={"Location": "/else"})
                made.set_cookie("a", "1")
                made.set_cookie("b", "2")
                return made
            case "/chunks":
                stream = web.StreamResponse()
                stream.enable_chunked_encoding()
                await stream.prepare(request)
                for _ in range(5):
                    await stream.write(b"x" * 1000)
                return stream
            case "/nothing":
                return web.Response(status=204)
        return web.Response(status=418, reason="Short", text="t")

    ingress.update(EVERYTHING, {TARGET: (await start(answer),)})
    url = f"http://127.0.0.1:{await ingress.listen('127.0.0.1', 0)}"
    async with asyncio.timeout(SECONDS):
        async with client.get(f"{url}/gzip") as got:
            assert (await got.read(), got.headers["Content-Encoding"]) == (packed, "gzip")
        async with client.get(f"{url}/cookies", allow_redirects=False) as got:
            assert (got.status, got.headers["Location"]) == (302, "/else")
            assert len(got.headers.getall("Set-Cookie")) == 2
        async with client.get(f"{url}/chunks") as got:
            assert await got.read() == b"x" * 5000
        async with client.get(f"{url}/nothing") as got:
            assert (got.status, await got.read()) == (204, b"")
        async with client.get(f"{url}/other") as got:
            assert (got.status, got.reason, await got.text()) == (418, "Short", "t")
        async with client.head(f"{url}/gzip") as got:
            assert (got.headers["Content-Length"], await got.read()) == (str(len(packed)), b"")


@pytest.mark.parametrize(
    ("routes", "pools", "status"),
    [
        pytest.param(Routes(), {}, 404, id="nobody waits"),
        pytest.param(EVERYTHING, {}, 503, id="no endpoint is ready"),
        pytest.param(EVERYTHING, {TARGET: (Backend("127.0.0.1", 1),)}, 502, id="none answers"),
    ],
)
async def test_answers_of_its_own(
    ingress: IngressServer, client: aiohttp.ClientSession, routes: Routes, pools: Any, status: int
) -> None:
    ingress.update(routes, pools)
    url = f"http://127.0.0.1:{await ingress.listen('127.0.0.1', 0)}/"
    async with asyncio.timeout(SECONDS), client.get(url) as got:
        assert got.status == status


async def test_requests_are_spread_and_one_that_refuses_is_passed_over(
    ingress: IngressServer, start: Start, client: aiohttp.ClientSession
) -> None:
    dead = Backend("127.0.0.1", free_port("127.0.0.1"))
    ingress.update(EVERYTHING, {TARGET: (dead, await start(named("a")), await start(named("b")))})
    url = f"http://127.0.0.1:{await ingress.listen('127.0.0.1', 0)}/"
    seen = []
    async with asyncio.timeout(SECONDS):
        for _ in range(32):
            async with client.post(url, data=b"x") as got:
                seen.append(await got.text())
    assert set(seen) == {"a", "b"}


async def test_a_rewrite_loses_no_request(
    ingress: IngressServer, start: Start, client: aiohttp.ClientSession
) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow(request: web.Request) -> web.StreamResponse:
        begun.set()
        await go_on.wait()
        return web.Response(text="old")

    ingress.update(EVERYTHING, {TARGET: (await start(slow),)})
    url = f"http://127.0.0.1:{await ingress.listen('127.0.0.1', 0)}/"

    async def ask() -> str:
        async with client.get(url) as got:
            assert got.status == 200
            return await got.text()

    async with asyncio.timeout(SECONDS), asyncio.TaskGroup() as group:
        first = group.create_task(ask())
        await begun.wait()
        ingress.update(EVERYTHING, {TARGET: (await start(named("new")),)})
        assert await ask() == "new"
        go_on.set()
    assert first.result() == "old"


async def test_half_an_answer_does_not_look_whole(
    ingress: IngressServer, start: Start, client: aiohttp.ClientSession
) -> None:
    async def half(request: web.Request) -> web.StreamResponse:
        stream = web.StreamResponse()
        stream.enable_chunked_encoding()
        await stream.prepare(request)
        await stream.write(b"x" * 1000)
        assert request.transport is not None
        request.transport.abort()
        return stream

    ingress.update(EVERYTHING, {TARGET: (await start(half),)})
    url = f"http://127.0.0.1:{await ingress.listen('127.0.0.1', 0)}/"
    async with asyncio.timeout(SECONDS):
        with pytest.raises(aiohttp.ClientError):
            async with client.get(url) as got:
                await got.read()


async def test_websockets(
    ingress: IngressServer, start: Start, client: aiohttp.ClientSession
) -> None:
    async def talk(request: web.Request) -> web.StreamResponse:
        made = web.WebSocketResponse(protocols=("second",))
        await made.prepare(request)
        await made.send_str(request.headers["X-Forwarded-Host"])
        async for message in made:
            if message.data == "end":
                await made.close(code=4001)
            elif message.type is aiohttp.WSMsgType.TEXT:
                await made.send_str(message.data.upper())
            else:
                await made.send_bytes(message.data * 2)
        return made

    ingress.update(EVERYTHING, {TARGET: (await start(talk),)})
    url = f"http://127.0.0.1:{await ingress.listen('127.0.0.1', 0)}/ws"
    async with asyncio.timeout(SECONDS):
        headers = {"Host": "chat.example.com"}
        async with client.ws_connect(url, protocols=("first", "second"), headers=headers) as there:
            assert there.protocol == "second"
            assert await there.receive_str() == "chat.example.com"
            await there.send_str("hi")
            assert await there.receive_str() == "HI"
            await there.send_bytes(b"ab")
            assert await there.receive_bytes() == b"abab"
            await there.send_str("end")
            last = await there.receive()
            assert (last.type, there.close_code) == (aiohttp.WSMsgType.CLOSE, 4001)


def test_tls_by_name(tmp_path: Path) -> None:
    authority = CertificateAuthority(tmp_path, NOW)
    secrets = {}
    for host in ("a.example.com", "*.b.example.com"):
        identity = authority.identity(host.replace("*", "wild"), host, hosts=[host], server=True)
        data = {
            "tls.crt": base64.b64encode(identity.cert_file.read_bytes()).decode(),
            "tls.key": base64.b64encode(identity.key_file.read_bytes()).decode(),
        }
        secrets["x", host] = {"data": data}
    secrets["x", "bad"] = {"data": {"tls.crt": "!", "tls.key": ""}}
    lead = {
        "a.example.com": ("x", "a.example.com"),
        "q.b.example.com": ("x", "*.b.example.com"),
        "bad.example.com": ("x", "bad"),
    }.get
    made = Certificates(NOW)
    assert list(made.update(secrets, lead)) == [("x", "bad")]

    def subject(name: str) -> str:
        """The certificate that a client gets who asks for `name`, by a handshake in memory."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        there, here = (ssl.MemoryBIO(), ssl.MemoryBIO()), (ssl.MemoryBIO(), ssl.MemoryBIO())
        asking = context.wrap_bio(*there, server_hostname=name)
        serving = made.context.wrap_bio(*here, server_side=True)
        for _ in range(10):
            for side, out, into in ((asking, there[1], here[0]), (serving, here[1], there[0])):
                with contextlib.suppress(ssl.SSLWantReadError):
                    side.do_handshake()
                into.write(out.read())
        raw = asking.getpeercert(True)
        assert raw is not None
        return x509.load_der_x509_certificate(raw).subject.rfc4514_string()

    assert "a.example.com" in subject("a.example.com")
    assert "*.b.example.com" in subject("q.b.example.com")
    for name in ("other.example.com", "bad.example.com"):
        assert "Placeholder" in subject(name)


async def test_https_end_to_end(ingress: IngressServer, start: Start) -> None:
    ingress.update(EVERYTHING, {TARGET: (await start(echo),)})
    port = await ingress.listen("127.0.0.1", 0, Certificates(NOW).context)
    async with (
        asyncio.timeout(SECONDS),
        aiohttp.ClientSession() as session,
        session.get(f"https://127.0.0.1:{port}/", ssl=False) as got,
    ):
        assert (await got.json())["headers"]["x-forwarded-proto"] == "https"


async def test_sockets_are_made_where_backends_are_reached(
    start: Start, client: aiohttp.ClientSession
) -> None:
    asked: list[Backend] = []

    def make(backend: Backend) -> socket.socket:
        asked.append(backend)
        return socket.socket(socket.AF_INET, socket.SOCK_STREAM)

    ingress = IngressServer(random.Random(1), make)
    try:
        there = await start(named("a"))
        backend = Backend(there.address, there.port, "node-1")
        ingress.update(EVERYTHING, {TARGET: (backend,)})
        url = f"http://127.0.0.1:{await ingress.listen('127.0.0.1', 0)}/"
        async with asyncio.timeout(SECONDS), client.get(url) as got:
            assert await got.text() == "a"
        assert asked == [backend]
    finally:
        await ingress.stop()
