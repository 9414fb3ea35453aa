"""Both fronts against grpc's own client: calls, streams, deadlines, cancels, metadata, sizes, TLS."""

import asyncio
import datetime
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from kvstore.local.certificates import CertificateAuthority
from kvstore.wire.engine import (
    CallContext,
    Front,
    Handlers,
    Listen,
    ListenError,
    Send,
    ServerTls,
    WireError,
)
from kvstore.wire.fronts import GrpcEngine, make_front

MAX = 1_572_864
UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


class Service:
    """Handlers that do what their names say, and a diary."""

    def __init__(self) -> None:
        self.diary: list[str] = []
        self.handled: list[tuple[str, bool, int]] = []
        self.gate = asyncio.Event()

    def handlers(self) -> Handlers:
        return Handlers(
            unary={
                "/t.S/Echo": self.echo,
                "/t.S/Slow": self.slow,
                "/t.S/Hang": self.hang,
                "/t.S/Refuse": self.refuse,
                "/t.S/Break": self.break_down,
                "/t.S/Context": self.context,
                "/t.S/Gate": self.wait_at_gate,
                "/t.S/Large": self.large,
            },
            stream={"/t.S/Chat": self.chat, "/t.S/Pour": self.pour, "/t.S/Late": self.late},
        )

    async def echo(self, request: bytes, _: CallContext) -> bytes:
        return request

    async def slow(self, request: bytes, _: CallContext) -> bytes:
        # What needs a current task must work where there is none of asyncio's.
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(0.01))
            await asyncio.sleep(0)
        return request

    async def hang(self, _: bytes, __: CallContext) -> bytes:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            self.diary.append("hang cancelled")
            raise
        return b""

    async def wait_at_gate(self, request: bytes, _: CallContext) -> bytes:
        self.diary.append("at the gate")
        await self.gate.wait()
        return request

    async def refuse(self, _: bytes, __: CallContext) -> bytes:
        raise WireError(9, "nicht möglich: 100%")

    async def break_down(self, _: bytes, __: CallContext) -> bytes:
        raise KeyError("a bug")

    async def context(self, request: bytes, context: CallContext) -> bytes:
        value = context.metadata(request.decode())
        return f"{value}|{context.peer}|{context.common_name}".encode()

    async def large(self, request: bytes, _: CallContext) -> bytes:
        return bytes(int(request))

    async def chat(self, requests: AsyncIterator[bytes], send: Send, _: CallContext) -> None:
        try:
            async for request in requests:
                await send(request)
            self.diary.append("chat ended")
        except asyncio.CancelledError:
            self.diary.append("chat cancelled")
            raise

    async def pour(self, requests: AsyncIterator[bytes], send: Send, _: CallContext) -> None:
        async for request in requests:
            for _number in range(int(request)):
                await send(bytes(100_000))
                self.diary.append("poured")

    async def late(self, requests: AsyncIterator[bytes], send: Send, _: CallContext) -> None:
        await self.gate.wait()
        async for request in requests:
            await send(b"%d" % len(request))


@pytest.fixture(params=["http2", "grpcio"])
def engine(request: pytest.FixtureRequest) -> GrpcEngine:
    return request.param  # type: ignore[no-any-return]


@asynccontextmanager
async def running(
    engine: GrpcEngine, service: Service, listen: Listen | None = None, **options: Any
) -> AsyncIterator[tuple[Front, Listen]]:
    front = make_front(
        engine,
        service.handlers(),
        (listen or Listen("127.0.0.1", 0),),
        max_request_bytes=MAX,
        on_handled=lambda *call: service.handled.append(call),
        **options,
    )
    (bound,) = await front.start()
    try:
        yield front, bound
    finally:
        await front.stop(0)


@asynccontextmanager
async def served(
    engine: GrpcEngine,
) -> AsyncIterator[tuple[Service, grpc.aio.Channel]]:
    service = Service()
    async with (
        running(engine, service) as (_, bound),
        grpc.aio.insecure_channel(f"127.0.0.1:{bound.port}", options=UNLIMITED) as channel,
    ):
        yield service, channel


def unary(channel: grpc.aio.Channel, name: str) -> Any:
    return channel.unary_unary(f"/t.S/{name}")


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.005)


async def error_of(call: Awaitable[Any]) -> tuple[str, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code().name, caught.value.details() or ""


async def test_calls_and_their_ends(engine: GrpcEngine) -> None:
    async with served(engine) as (service, channel):
        assert await unary(channel, "Echo")(b"") == b""
        assert await unary(channel, "Echo")(b"hello") == b"hello"
        assert await unary(channel, "Slow")(b"later", timeout=5) == b"later"
        assert await error_of(unary(channel, "Refuse")(b"")) == (
            "FAILED_PRECONDITION",
            "nicht möglich: 100%",
        )
        assert await error_of(unary(channel, "Break")(b"")) == (
            "INTERNAL",
            "internal error, see the member's log",
        )
        assert (await error_of(unary(channel, "Nothing")(b"")))[0] == "UNIMPLEMENTED"
        await until(lambda: len(service.handled) >= 5)
        assert [code for *_, code in service.handled] == [0, 0, 0, 9, 13]


async def test_many_calls_at_once(engine: GrpcEngine) -> None:
    async with served(engine) as (_, channel):
        wanted = [b"%d" % number * (number % 7 * 100) for number in range(256)]
        call = unary(channel, "Slow")
        assert await asyncio.gather(*(call(one) for one in wanted)) == wanted


async def test_large_messages_both_ways(engine: GrpcEngine) -> None:
    async with served(engine) as (_, channel):
        message = bytes(range(256)) * 8000
        assert await unary(channel, "Echo")(message) == message
        assert len(await unary(channel, "Large")(b"40000000")) == 40_000_000
        code, text = await error_of(unary(channel, "Echo")(bytes(MAX + 512 * 1024 + 1)))
        assert code == "RESOURCE_EXHAUSTED"
        assert "eceived message larger than max (2097153 vs. 2097152)" in text


async def test_deadlines_end_the_handler(engine: GrpcEngine) -> None:
    async with served(engine) as (service, channel):
        assert (await error_of(unary(channel, "Hang")(b"", timeout=0.1)))[0] == "DEADLINE_EXCEEDED"
        await until(lambda: "hang cancelled" in service.diary)


async def test_cancels_end_the_handler(engine: GrpcEngine) -> None:
    async with served(engine) as (service, channel):
        call = unary(channel, "Gate")(b"")
        await until(lambda: "at the gate" in service.diary)
        call.cancel()
        hanging = unary(channel, "Hang")(b"")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(hanging.wait_for_connection()), 0.05)
        hanging.cancel()
        await until(lambda: "hang cancelled" in service.diary)
        assert await unary(channel, "Echo")(b"still here") == b"still here"


async def test_metadata_and_peer(engine: GrpcEngine) -> None:
    async with served(engine) as (_, channel):
        call = unary(channel, "Context")
        found = await call(b"hasleader", metadata=[("hasleader", "true")])
        value, peer, name = found.decode().split("|")
        assert (value, name) == ("true", "")
        assert peer.startswith("ipv4:127.0.0.1:")
        found = await call(b"x-bin", metadata=[("x-bin", b"a\xff")])
        assert found.decode().split("|")[0] == "a\xff"
        assert (await call(b"absent")).decode().split("|")[0] == "None"


async def test_gzip_requests(engine: GrpcEngine) -> None:
    async with served(engine) as (_, channel):
        message = b"again and again " * 1000
        assert await unary(channel, "Echo")(message, compression=grpc.Compression.Gzip) == message


async def test_streams_both_ways(engine: GrpcEngine) -> None:
    async with served(engine) as (service, channel):
        call = channel.stream_stream("/t.S/Chat")()
        for size in (0, 5, 100_000, 1_500_000, 5):
            await call.write(bytes(size))
            assert await call.read() == bytes(size)
        await call.done_writing()
        assert await call.read() is grpc.aio.EOF
        assert await call.code() == grpc.StatusCode.OK
        assert service.diary == ["chat ended"]
        await until(lambda: ("/t.S/Chat", True, 0) in service.handled)


async def test_a_cancelled_stream_ends_its_handler(engine: GrpcEngine) -> None:
    async with served(engine) as (service, channel):
        call = channel.stream_stream("/t.S/Chat")()
        await call.write(b"x")
        await call.read()
        call.cancel()
        # grpc.aio ends the requests, our own front cancels the handler.
        await until(lambda: service.diary in (["chat cancelled"], ["chat ended"]))


async def test_who_does_not_read_holds_the_sender_back(engine: GrpcEngine) -> None:
    async with served(engine) as (service, channel):
        call = channel.stream_stream("/t.S/Pour")()
        await call.write(b"1000")
        await until(lambda: len(service.diary) > 0)
        before = -1
        while before != len(service.diary):
            before = len(service.diary)
            await asyncio.sleep(0.2)
        assert before < 1000, "the sender was never held back"
        total = 0
        await call.done_writing()
        async with asyncio.timeout(30):
            while (message := await call.read()) is not grpc.aio.EOF:
                total += len(message)
        assert total == 100_000_000


async def test_a_handler_that_does_not_take_holds_the_client_back(engine: GrpcEngine) -> None:
    async with served(engine) as (service, channel):
        call = channel.stream_stream("/t.S/Late")()
        written = 0

        async def write() -> None:
            nonlocal written
            for _ in range(300):
                await call.write(bytes(100_000))
                written += 1
            await call.done_writing()

        writer = asyncio.ensure_future(write())
        before = -1
        while before != written:
            before = written
            await asyncio.sleep(0.2)
        assert before < 300, "the client was never held back"
        service.gate.set()
        async with asyncio.timeout(60):
            answers = [await call.read() for _ in range(300)]
        await writer
        assert answers == [b"100000"] * 300


async def test_a_thousand_streams_of_one_connection(engine: GrpcEngine) -> None:
    async with served(engine) as (service, channel):
        calls = [channel.stream_stream("/t.S/Chat")() for _ in range(1000)]
        for call in calls:
            await call.write(b"x")
        assert [await call.read() for call in calls] == [b"x"] * 1000
        for call in calls:
            call.cancel()
        await until(lambda: len(service.diary) == 1000)


async def test_stopping_lets_running_calls_end(engine: GrpcEngine) -> None:
    service = Service()
    async with (
        running(engine, service) as (front, bound),
        grpc.aio.insecure_channel(f"127.0.0.1:{bound.port}") as channel,
    ):
        call = asyncio.ensure_future(unary(channel, "Gate")(b"served"))
        await until(lambda: service.diary == ["at the gate"])
        stopping = asyncio.ensure_future(front.stop(60))
        await asyncio.sleep(0.3)
        service.gate.set()
        assert await call == b"served"
        await asyncio.wait_for(stopping, 60)
        assert (await error_of(unary(channel, "Echo")(b"", timeout=2)))[0] == "UNAVAILABLE"


async def test_stopping_cuts_what_takes_too_long(engine: GrpcEngine) -> None:
    service = Service()
    async with (
        running(engine, service) as (front, bound),
        grpc.aio.insecure_channel(f"127.0.0.1:{bound.port}") as channel,
    ):
        call = asyncio.ensure_future(unary(channel, "Hang")(b""))
        chat = channel.stream_stream("/t.S/Chat")()
        await chat.write(b"x")
        await chat.read()
        await asyncio.wait_for(front.stop(0.2), 60)
        assert (await error_of(call))[0] in ("UNAVAILABLE", "CANCELLED")
        await until(lambda: len(service.diary) == 2)


async def test_unix_sockets(engine: GrpcEngine, tmp_path: Path) -> None:
    path, service = tmp_path / "s", Service()
    async with running(engine, service, Listen(unix_path=str(path))) as (_, bound):
        assert bound.unix_path == str(path)
        async with grpc.aio.insecure_channel(f"unix:{path}") as channel:
            assert await unary(channel, "Echo")(b"hello") == b"hello"
    assert not path.exists()


async def test_ipv6(engine: GrpcEngine) -> None:
    service = Service()
    try:
        async with (
            running(engine, service, Listen("::1", 0)) as (_, bound),
            grpc.aio.insecure_channel(f"[::1]:{bound.port}") as channel,
        ):
            found = await unary(channel, "Context")(b"x")
            assert "|ipv6:" in found.decode()
    except ListenError:
        pytest.skip("no IPv6 on this machine")


async def test_a_taken_port_is_named(engine: GrpcEngine) -> None:
    service = Service()
    async with running(engine, service) as (_, bound):
        with pytest.raises(ListenError, match=f"cannot listen on 127.0.0.1:{bound.port}"):
            async with running(engine, service, Listen("127.0.0.1", bound.port)):
                pass


async def test_tls_with_client_certificates(engine: GrpcEngine, tmp_path: Path) -> None:
    authority = CertificateAuthority(tmp_path / "pki", datetime.datetime.now(datetime.UTC))
    own = authority.identity("server", "server", hosts=["127.0.0.1"], server=True)
    client = authority.identity("alice", "alice", hosts=[])
    tls = ServerTls(own.cert_file, own.key_file, own.ca_file, is_client_required=True)
    root = own.ca_file.read_bytes()
    known = grpc.ssl_channel_credentials(
        root, client.key_file.read_bytes(), client.cert_file.read_bytes()
    )
    service = Service()
    async with running(engine, service, Listen("127.0.0.1", 0, tls=tls)) as (_, bound):
        address = f"127.0.0.1:{bound.port}"
        async with grpc.aio.secure_channel(address, known, options=UNLIMITED) as channel:
            found = await unary(channel, "Context")(b"x")
            assert found.decode().endswith("|alice")
            assert len(await unary(channel, "Large")(b"3000000")) == 3_000_000
        async with grpc.aio.secure_channel(address, grpc.ssl_channel_credentials(root)) as channel:
            code, _text = await error_of(unary(channel, "Echo")(b"", timeout=5))
            assert code in ("UNAVAILABLE", "DEADLINE_EXCEEDED")


@pytest.mark.parametrize(
    "option",
    [
        {"crl_file": Path("revoked.pem")},
        {"cipher_suites": ("ECDHE-ECDSA-AES128-GCM-SHA256",)},
        {"min_version": "TLS1.3"},
        {"allowed_hostname": "client.example"},
    ],
    ids=lambda option: next(iter(option)),
)
async def test_grpcio_refuses_what_it_would_pass_over(
    tmp_path: Path, option: dict[str, Any]
) -> None:
    authority = CertificateAuthority(tmp_path / "pki", datetime.datetime.now(datetime.UTC))
    own = authority.identity("server", "server", hosts=["127.0.0.1"], server=True)
    tls = ServerTls(own.cert_file, own.key_file, own.ca_file, is_client_required=True, **option)
    with pytest.raises(ListenError, match="not with --experimental-grpc-engine=grpcio"):
        async with running("grpcio", Service(), Listen("127.0.0.1", 0, tls=tls)):
            pass
