"""The probe by gRPC's health service (grpc.health.v1.Health/Check): SERVING is well.

The library cannot be handed a socket, so it connects to a loopback port of ours that leads into the pod's network for
the length of one probe.
"""

import asyncio
from contextlib import suppress

from controlplane.api.meta import View
from controlplane.kubelet.probes.interface import Target, refused
from kvstore.base.tasks import Supervisor

_CHECK = "/grpc.health.v1.Health/Check"
_STATES = {0: "UNKNOWN", 1: "SERVING", 2: "NOT_SERVING", 3: "SERVICE_UNKNOWN"}
_CHUNK = 16 * 1024


def encode_request(service: str) -> bytes:
    """HealthCheckRequest: field 1, the service's name."""
    name = service.encode()
    size = len(name)
    prefix = bytearray(b"\x0a")
    while size > 0x7F:
        prefix.append(size & 0x7F | 0x80)
        size >>= 7
    prefix.append(size)
    return bytes(prefix) + name if name else b""


def decode_status(answer: bytes) -> int:
    """HealthCheckResponse: field 1, an enum; what is not there is 0."""
    return answer[1] if len(answer) >= 2 and answer[0] == 0x08 else 0


async def probe(target: Target, wanted: View, timeout_seconds: float) -> str | None:
    """None when the service says SERVING."""
    import grpc  # Only nodes whose pods have such probes need it.

    port, service = target.port(wanted["port"]), str(wanted.get("service") or "")
    supervisor = Supervisor("grpc probe")
    inside = await _connect(target, port, timeout_seconds)
    if isinstance(inside, str):
        return inside
    reader, writer = inside

    async def accept(own_reader: asyncio.StreamReader, own_writer: asyncio.StreamWriter) -> None:
        supervisor.start(_copy(own_reader, writer), "in")
        await _copy(reader, own_writer)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        own = server.sockets[0].getsockname()[1]
        async with grpc.aio.insecure_channel(
            f"127.0.0.1:{own}", options=[("grpc.enable_http_proxy", 0)]
        ) as channel:
            check = channel.unary_unary(_CHECK, bytes, bytes)
            try:
                answer: bytes = await check(encode_request(service), timeout=timeout_seconds)
            except grpc.aio.AioRpcError as problem:
                if problem.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                    raise TimeoutError("timeout: health rpc did not complete in time") from None
                return f"service unhealthy ({problem.code().name}: {problem.details()})"
    finally:
        server.close()
        writer.close()
        await supervisor.stop()
    state = decode_status(answer)
    if state == 1:
        return None
    return f"service unhealthy (responded with {_STATES.get(state, str(state))!r})"


async def _connect(
    target: Target, port: int, timeout_seconds: float
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | str:
    try:
        async with asyncio.timeout(timeout_seconds):
            connection = await target.connect(target.pod_ip, port)
    except TimeoutError:
        raise
    except OSError as problem:
        return refused(target.pod_ip, port, problem)
    return await asyncio.open_connection(sock=connection)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
