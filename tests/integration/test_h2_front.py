"""Our own front on real sockets: HTTP/1.1 beside gRPC, TLS that follows its files, slow and silent clients, the end."""

import asyncio
import contextlib
import datetime
import functools
import inspect
import shutil
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvloop
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from kvstore.local.certificates import CertificateAuthority, Identity
from kvstore.wire.engine import CallContext, Handlers, Listen, ListenError, Send, ServerTls
from kvstore.wire.h2 import bridge, frames
from kvstore.wire.h2.front import Http2Front
from kvstore.wire.h2.hpack import encode_plain
from kvstore.wire.h2.messages import PREFIX
from kvstore.wire.limits import Keepalive

HELLO = frames.PREFACE + frames.pack_settings({})


def on_both_loops(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a test on asyncio's loop and on uvloop's: they differ in writes after a close, in TLS and in their clocks."""

    @functools.wraps(test)
    def run(*args: Any, loop_factory: Any, **more: Any) -> None:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(test(*args, **more))

    own = inspect.signature(test)
    added = inspect.Parameter("loop_factory", inspect.Parameter.KEYWORD_ONLY)
    parameters = [*own.parameters.values(), added]
    run.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
    loops = [asyncio.new_event_loop, uvloop.new_event_loop]
    return pytest.mark.parametrize("loop_factory", loops, ids=["asyncio", "uvloop"])(run)


async def echo(request: bytes, _: CallContext) -> bytes:
    return request


async def large(request: bytes, _: CallContext) -> bytes:
    return bytes(int(request))


async def whoami(_: bytes, context: CallContext) -> bytes:
    return context.common_name.encode()


async def chat(requests: Any, send: Send, _: CallContext) -> None:
    async for request in requests:
        await send(request)


def call(stream_id: int, method: str, message: bytes, *, more: bool = False) -> bytes:
    block = encode_plain(
        [
            (b":method", b"POST"),
            (b":scheme", b"http"),
            (b":path", b"/t.S/" + method.encode()),
            (b"content-type", b"application/grpc"),
        ]
    )
    return frames.pack_frame(
        frames.HEADERS, frames.END_HEADERS, stream_id, block
    ) + frames.pack_frame(
        frames.DATA, 0 if more else 1, stream_id, PREFIX.pack(0, len(message)) + message
    )


class Client:
    """Frames over a socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def write(self, data: bytes) -> None:
        self.writer.write(data)

    async def frame(self) -> tuple[int, int, int, bytes]:
        """The next frame: type, flags, stream, payload."""
        async with asyncio.timeout(60):
            high, low, kind, flags, stream_id = frames.FRAME_HEADER.unpack(
                await self.reader.readexactly(9)
            )
            return kind, flags, stream_id, await self.reader.readexactly(high << 8 | low)

    async def until(self, kind: int) -> tuple[int, int, int, bytes]:
        """The next frame of a kind."""
        while (found := await self.frame())[0] != kind:
            pass
        return found

    async def message(self) -> bytes:
        """The next message."""
        return (await self.until(frames.DATA))[3][5:]

    async def ended(self) -> bytes:
        """All that comes until the server closes."""
        async with asyncio.timeout(60):
            try:
                return await self.reader.read()
            except ConnectionError:
                return b""


@asynccontextmanager
async def connected(
    port: int, tls: ssl.SSLContext | None = None, hello: bytes = HELLO
) -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
    client = Client(reader, writer)
    client.write(hello)
    try:
        yield client
    finally:
        writer.transport.abort()


async def page(request: web.BaseRequest) -> web.StreamResponse:
    if request.path == "/unread":
        return web.Response(status=404, text="no such page")
    body = await request.read()
    if request.path == "/stream":
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(30):
            await response.write(bytes(10_000))
        await response.write_eof()
        return response
    return web.Response(text=f"{request.method} {request.path_qs} {len(body)}")


@asynccontextmanager
async def served(
    *, tls: ServerTls | None = None, with_http: bool = True, keepalive: Keepalive | None = None
) -> AsyncIterator[tuple[Http2Front, int]]:
    pages = web.Server(page)
    front = Http2Front(
        Handlers(
            unary={"/t.S/Echo": echo, "/t.S/Large": large, "/t.S/Whoami": whoami},
            stream={"/t.S/Chat": chat},
        ),
        (Listen("127.0.0.1", 0, tls=tls),),
        max_request_bytes=1_572_864,
        max_concurrent_streams=100,
        on_handled=lambda *_: None,
        http1=pages if with_http else None,
        keepalive=keepalive or Keepalive(),
    )
    (bound,) = await front.start()
    try:
        yield front, bound.port
    finally:
        await front.stop(0)
        await pages.shutdown(0.1)


def tick(front: Http2Front, seconds: float) -> bool:
    """Let the front look at its connections as if so much time had passed."""
    for protocol in front._protocols():
        protocol.tick(asyncio.get_running_loop().time() + seconds)
    return False


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.005)


# HTTP/1.1 on the same port


@on_both_loops
async def test_http_1_is_served_beside_grpc() -> None:
    async with served() as (_, port):
        async with connected(port, hello=b"GET /health?x=1 HTTP/1.1\r\nHost: a\r\n\r\n") as client:
            async with asyncio.timeout(60):
                assert b"200 OK" in await client.reader.readuntil(b"\r\n\r\n")
                assert await client.reader.readexactly(17) == b"GET /health?x=1 0"
        async with connected(port, hello=HELLO + call(1, "Echo", b"both")) as client:
            assert await client.message() == b"both"


@on_both_loops
async def test_the_first_bytes_may_come_one_by_one() -> None:
    async with served() as (_, port):
        for words, wanted in (
            (b"PROPFIND / HTTP/1.1\r\nHost: a\r\n\r\n", b"PROPFIND / 0"),
            (HELLO + call(1, "Echo", b"slowly"), b"slowly"),
        ):
            async with connected(port, hello=b"") as client:
                for position in range(len(words)):
                    client.write(words[position : position + 1])
                    await client.writer.drain()
                    await asyncio.sleep(0)
                async with asyncio.timeout(60):
                    await client.reader.readuntil(wanted)


@on_both_loops
async def test_without_http_other_protocols_are_cut_off() -> None:
    async with (
        served(with_http=False) as (_, port),
        connected(port, hello=b"GET / HTTP/1.1\r\n\r\n") as client,
    ):
        assert await client.ended() == b""


@on_both_loops
async def test_http_over_http_2_needs_tls() -> None:
    async with served() as (_, port):
        block = encode_plain([(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/health")])
        hello = HELLO + frames.pack_frame(frames.HEADERS, 5, 1, block)
        async with connected(port, hello=hello) as client:
            assert b"405" in (await client.until(frames.HEADERS))[3]


# Calls as grpc clients never send them


@on_both_loops
async def test_of_several_messages_the_first_is_the_request() -> None:
    async with served() as (front, port):
        first, second = PREFIX.pack(0, 3) + b"one", PREFIX.pack(0, 3) + b"two"
        hello = HELLO + call(1, "Echo", b"", more=True)[: -len(PREFIX.pack(0, 0)) - 9]
        for pieces in ([first + second], [first[:4], first[4:] + second[:2], second[2:]]):
            async with connected(port, hello=hello) as client:
                for position, piece in enumerate(pieces):
                    is_last = position == len(pieces) - 1
                    client.write(frames.pack_frame(frames.DATA, int(is_last), 1, piece))
                assert await client.message() == b"one"
        assert all(
            one._connection is None or not one._connection.budget.held for one in front._protocols()
        )


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        (None, b"received no request message"),
        (b"", b"received no request message"),
        (b"\0\0", b"unexpected EOF"),
        (b"\0\0\0\0\5abc", b"unexpected EOF"),
        (b"\2\0\0\0\0", b"grpc: received unexpected payload format 2"),
        (b"\1\0\0\0\0", b"grpc: compressed flag set with identity or empty encoding"),
        (b"\0\x7f\0\0\0", b"grpc: received message larger than max (2130706432 vs. 2097152)"),
    ],
    ids=["only headers", "no message", "half a prefix", "half a message", "flag", "gzip", "length"],
)
@on_both_loops
async def test_broken_requests_are_refused_in_grpcs_words(
    body: bytes | None, wanted: bytes
) -> None:
    for method in ("Echo", "Chat"):
        headers = call(1, method, b"", more=True)[: -len(PREFIX.pack(0, 0)) - 9]
        if body is None:
            headers = headers[:4] + b"\5" + headers[5:]
            if method == "Chat":
                continue  # a stream may say nothing
        elif method == "Chat" and not body:
            continue
        async with served() as (_, port), connected(port, hello=HELLO + headers) as client:
            if body is not None:
                client.write(frames.pack_frame(frames.DATA, 1, 1, body))
            assert wanted in (await client.until(frames.HEADERS))[3]


# TLS


@pytest.fixture
def authority(tmp_path: Path) -> CertificateAuthority:
    return CertificateAuthority(tmp_path / "pki", datetime.datetime.now(datetime.UTC))


@pytest.fixture
def identity(authority: CertificateAuthority) -> Identity:
    return authority.identity("server", "server", hosts=["127.0.0.1"], server=True)


def trust(identity: Identity, client: Identity | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(identity.ca_file))
    context.set_alpn_protocols(["h2"])
    if client is not None:
        context.load_cert_chain(client.cert_file, client.key_file)
    return context


@on_both_loops
async def test_alpn_chooses_http_2(identity: Identity) -> None:
    tls = ServerTls(identity.cert_file, identity.key_file)
    async with (
        served(tls=tls) as (_, port),
        connected(port, trust(identity), HELLO + call(1, "Echo", b"x")) as client,
    ):
        assert client.writer.get_extra_info("ssl_object").selected_alpn_protocol() == "h2"
        assert await client.message() == b"x"


@pytest.mark.parametrize("http", ["--http2", "--http1.1"])
@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["/health?a=b"], b"GET /health?a=b 0"),
        (["/v3/kv/put", "-d", "x" * 100_000], b"POST /v3/kv/put 100000"),
        (["/t", "-T-", "-H", "Expect:"], b"PUT /t 5"),
        (["/stream"], bytes(300_000)),
        (["/unread", "-d", "{}"], b"no such page"),
        (["/unread", "-d", "x" * 100_000], b"no such page"),
    ],
    ids=["get", "post", "upload without length", "long answer", "unread", "long unread"],
)
@on_both_loops
async def test_curl_gets_pages_over_tls(
    program: Callable[[str], str],
    identity: Identity,
    http: str,
    arguments: list[str],
    wanted: bytes,
) -> None:
    curl = program("curl")
    async with served(tls=ServerTls(identity.cert_file, identity.key_file)) as (_, port):
        path, *more = arguments
        process = await asyncio.create_subprocess_exec(
            curl, "-sS", "--max-time", "5", http, "--cacert", str(identity.ca_file),
            f"https://127.0.0.1:{port}{path}", *more,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        found, _err = await process.communicate(b"hello")
        assert found == wanted


@pytest.mark.parametrize("is_over", [True, False], ids=["body_follows", "body_never_ends"])
@on_both_loops
async def test_an_answer_before_the_body_was_read_ends_with_the_body(
    identity: Identity, monkeypatch: pytest.MonkeyPatch, is_over: bool
) -> None:
    monkeypatch.setattr(bridge, "_UNREAD_SECONDS", 60.0 if is_over else 0.05)
    block = encode_plain(
        [
            (b":method", b"POST"),
            (b":scheme", b"https"),
            (b":path", b"/unread"),
            (b":authority", b"a"),
            (b"content-length", b"100000"),
        ]
    )
    head = frames.pack_frame(frames.HEADERS, frames.END_HEADERS, 1, block)
    async with (
        served(tls=ServerTls(identity.cert_file, identity.key_file)) as (_, port),
        connected(port, trust(identity), HELLO + head) as client,
    ):
        assert (await client.until(frames.HEADERS))[1] & frames.END_STREAM == 0
        _, flags, _, body = await client.until(frames.DATA)
        assert (flags & frames.END_STREAM, body) == (0, b"no such page")
        if is_over:
            for part in range(10):
                client.write(frames.pack_frame(frames.DATA, part == 9, 1, bytes(10_000)))
        _, flags, _, rest = await client.until(frames.DATA)
        assert (flags & frames.END_STREAM, rest) == (frames.END_STREAM, b"")
        # The same connection goes on; a body that never ended was asked to stop.
        client.write(call(3, "Echo", b"x"))
        if not is_over:
            assert (await client.until(frames.RST_STREAM))[3] == bytes(4)
        assert await client.message() == b"x"


@on_both_loops
async def test_changed_certificates_are_used_for_new_connections(
    authority: CertificateAuthority, identity: Identity, tmp_path: Path
) -> None:
    files = ServerTls(tmp_path / "tls.crt", tmp_path / "tls.key")
    shutil.copy(identity.cert_file, files.cert_file)
    shutil.copy(identity.key_file, files.key_file)
    other = authority.identity("other", "other", hosts=["127.0.0.1"], server=True)
    async with served(tls=files) as (_, port):

        async def name() -> str:
            async with connected(port, trust(identity), HELLO + call(1, "Echo", b"x")) as client:
                assert await client.message() == b"x"
                certificate = client.writer.get_extra_info("peercert")
                return dict(pair[0] for pair in certificate["subject"])["commonName"]

        assert await name() == "server"
        # Half replaced, the pair does not fit: the old one stays in use.
        shutil.copy(other.cert_file, files.cert_file)
        assert await name() == "server"
        shutil.copy(other.key_file, files.key_file)
        assert await name() == "other"


@on_both_loops
async def test_revoked_clients_are_refused(
    authority: CertificateAuthority, identity: Identity, tmp_path: Path
) -> None:
    good = authority.identity("good", "good", hosts=[])
    bad = authority.identity("bad", "bad", hosts=[])
    serial = x509.load_pem_x509_certificate(bad.cert_file.read_bytes()).serial_number
    now = datetime.datetime.now(datetime.UTC)
    key = serialization.load_pem_private_key((authority.folder / "ca.key").read_bytes(), None)
    crl = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(x509.load_pem_x509_certificate(identity.ca_file.read_bytes()).subject)
        .last_update(now)
        .next_update(now + datetime.timedelta(days=1))
        .add_revoked_certificate(
            x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now).build()
        )
        .sign(key, hashes.SHA256())  # type: ignore[arg-type]
    )
    crl_file = tmp_path / "crl.pem"
    crl_file.write_bytes(crl.public_bytes(serialization.Encoding.PEM))
    tls = ServerTls(
        identity.cert_file, identity.key_file, identity.ca_file, True, crl_file=crl_file
    )
    async with served(tls=tls) as (_, port):
        async with connected(port, trust(identity, good), HELLO + call(1, "Whoami", b"")) as client:
            assert await client.message() == b"good"
        async with connected(port, trust(identity, bad), HELLO + call(1, "Whoami", b"")) as client:
            assert await client.ended() == b""


@on_both_loops
async def test_a_certificate_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("no certificate")
    with pytest.raises(ListenError, match="cannot use"):
        async with served(tls=ServerTls(tmp_path / "x", tmp_path / "x")):
            pass


# Slow, silent and greedy clients


@on_both_loops
async def test_who_says_nothing_is_cut_off() -> None:
    async with served() as (front, port):
        for hello in (b"", b"PRI * HT", frames.PREFACE):
            async with connected(port, hello=hello) as client:
                await until(lambda: len(front._protocols()) == 1)
                if hello == frames.PREFACE:
                    assert (await client.frame())[0] == frames.SETTINGS
                tick(front, 10)
                await asyncio.sleep(0)
                assert front._protocols()
                tick(front, 21)
                await client.ended()
            await until(lambda: not front._protocols())


@on_both_loops
async def test_half_a_header_block_is_waited_for_no_longer() -> None:
    async with served() as (front, port):
        hello = HELLO + frames.pack_frame(frames.HEADERS, 0, 1, b"")
        async with connected(port, hello=hello) as client:
            await client.until(frames.SETTINGS)
            await until(lambda: not front._protocols()[0]._connection.is_ready)  # type: ignore[union-attr]
            tick(front, 21)
            assert (await client.until(frames.GOAWAY))[3][4:8] == b"\0\0\0\4"


@on_both_loops
async def test_idle_connections_are_asked_and_silent_ones_cut_off() -> None:
    keepalive = Keepalive(interval_seconds=0.05, timeout_seconds=20)
    async with served(keepalive=keepalive) as (front, port), connected(port) as client:
        await client.until(frames.SETTINGS)
        await client.until(frames.SETTINGS)
        for number in range(3):
            await until(lambda: tick(front, 0) or front._protocols()[0]._pinged_at > 0)
            kind, _flags, _, payload = await client.until(frames.PING)
            client.write(frames.pack_frame(kind, frames.ACK, 0, payload))
            client.write(call(1 + 2 * number, "Echo", b"alive"))
            assert await client.message() == b"alive"
        await until(lambda: tick(front, 0) or front._protocols()[0]._pinged_at > 0)
        await client.until(frames.PING)
        tick(front, 15)
        assert front._protocols()
        tick(front, 21)
        await client.ended()
        await until(lambda: not front._protocols())


@on_both_loops
async def test_pings_without_pause_are_too_many() -> None:
    async with (
        served(keepalive=Keepalive(min_time_seconds=60)) as (_, port),
        connected(port, hello=HELLO + call(1, "Chat", b"", more=True)) as client,
    ):
        await client.message()
        for _number in range(5):
            client.write(frames.pack_frame(frames.PING, 0, 0, bytes(8)))
        assert (await client.until(frames.GOAWAY))[3][4:] == b"\0\0\0\x0btoo_many_pings"
        await client.ended()


@on_both_loops
async def test_answers_that_nobody_takes_are_dropped_with_their_connection() -> None:
    async with (
        served() as (front, port),
        connected(port, hello=HELLO + call(1, "Large", b"1000000")) as client,
    ):
        await client.message()
        tick(front, 30)
        tick(front, 59)
        assert front._protocols()
        tick(front, 95)
        await client.ended()
        await until(lambda: not front._protocols())


@on_both_loops
async def test_a_reader_that_stops_costs_bounded_memory() -> None:
    """Answers of any number to a client with endless windows that reads nothing."""
    async with served() as (front, port):
        loop = asyncio.get_running_loop()
        raw = socket.socket()
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.setblocking(False)
        await loop.sock_connect(raw, ("127.0.0.1", port))
        hello = frames.PREFACE + frames.pack_settings({4: frames.MAX_WINDOW})
        hello += frames.pack_window_update(0, frames.MAX_WINDOW - 65_535)
        await loop.sock_sendall(raw, hello)
        try:
            for index in range(400):
                await loop.sock_sendall(raw, call(1 + 2 * index, "Large", b"1000000"))
                protocols = front._protocols()
                if index > 2 and not protocols:
                    break
                for protocol in protocols:
                    if protocol._connection is not None and protocol._transport is not None:
                        held = protocol._connection.unsent_bytes
                        held += protocol._transport.get_write_buffer_size()
                        assert held < 80 << 20
                await asyncio.sleep(0)
        except ConnectionError:
            pass
        await until(
            lambda: not front._protocols() or all(p._closing_at for p in front._protocols())
        )
        tick(front, 6)
        await until(lambda: not front._protocols())
        raw.close()


@on_both_loops
async def test_a_client_that_asks_and_never_listens_is_cut_off() -> None:
    """Small calls without number, each with a ping that the call allows; no byte of the answers is read."""
    async with served() as (front, port):
        loop = asyncio.get_running_loop()
        raw = socket.socket()
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.setblocking(False)
        await loop.sock_connect(raw, ("127.0.0.1", port))
        await loop.sock_sendall(raw, HELLO)
        ping = frames.pack_frame(frames.PING, 0, 0, bytes(8))
        largest, step = 0, 0
        with contextlib.suppress(ConnectionError):
            while step < 2000 and (step < 3 or front._protocols()):
                batch = [call(1 + 2 * (step * 100 + at), "Echo", b"") + ping for at in range(100)]
                await asyncio.wait_for(loop.sock_sendall(raw, b"".join(batch)), 5)
                step += 1
                await asyncio.sleep(0)
                for protocol in front._protocols():
                    if protocol._transport is not None:
                        largest = max(largest, protocol._transport.get_write_buffer_size())
        assert step < 2000, "never cut off"
        assert largest < 9 << 20
        await until(lambda: all(one._closing_at for one in front._protocols()))
        raw.close()


# The end


@on_both_loops
async def test_draining_says_goodbye_twice() -> None:
    async with (
        served() as (front, port),
        connected(port, hello=HELLO + call(1, "Chat", b"a", more=True)) as client,
    ):
        assert await client.message() == b"a"
        stopping = asyncio.ensure_future(front.stop(60))
        goodbye = await client.until(frames.GOAWAY)
        assert goodbye[3][:4] == b"\x7f\xff\xff\xff"
        ping = await client.until(frames.PING)
        # Sent before the client could know: still served.
        client.write(call(3, "Echo", b"in time"))
        client.write(frames.pack_frame(frames.PING, frames.ACK, 0, ping[3]))
        assert await client.message() == b"in time"
        assert (await client.until(frames.GOAWAY))[3][:4] == b"\0\0\0\x03"
        client.write(call(5, "Echo", b"late"))
        assert await client.until(frames.RST_STREAM) == (3, 0, 5, b"\0\0\0\7")
        client.write(frames.pack_frame(frames.DATA, 1, 1, b""))
        await client.ended()
        await asyncio.wait_for(stopping, 60)


@on_both_loops
async def test_idle_connections_do_not_hold_up_the_end() -> None:
    async with served() as (front, port), connected(port) as one, connected(port, hello=b"") as two:
        await one.until(frames.SETTINGS)
        await until(lambda: len(front._protocols()) == 2)
        await asyncio.wait_for(front.stop(600), 60)
        await one.ended()
        await two.ended()
        with pytest.raises(OSError):
            await asyncio.open_connection("127.0.0.1", port)


@on_both_loops
async def test_a_unix_socket_left_behind_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "s"
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(path))
    stale.close()

    def make() -> Http2Front:
        return Http2Front(
            Handlers(),
            (Listen(unix_path=str(path)),),
            max_request_bytes=1,
            max_concurrent_streams=1,
            on_handled=lambda *_: None,
            http1=None,
            keepalive=Keepalive(),
        )

    one, two = make(), make()
    await one.start()
    with pytest.raises(ListenError, match="in use"):
        await two.start()
    assert path.exists()
    await two.stop(0)
    assert path.exists()
    await one.stop(0)
    assert not path.exists()
