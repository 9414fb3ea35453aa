"""The front on grpc.aio.

Every method is served by one generic handler, without (de)serializers, so that handlers see raw bytes. Unary-stream
methods are served as stream-stream: the wire does not tell them apart. `so_reuseport` is off, for otherwise a second
member would silently share a taken port.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import lru_cache
from typing import Any

import grpc
from cryptography import x509
from cryptography.x509.oid import NameOID

from kvstore.base.log import get_logger
from kvstore.wire.engine import (
    INTERNAL,
    UNIMPLEMENTED,
    CallContext,
    Handlers,
    Listen,
    ListenError,
    OnHandled,
    ServerTls,
    StreamHandler,
    UnaryHandler,
    WireError,
)
from kvstore.wire.limits import (
    DEFAULT_MAX_CONCURRENT_STREAMS,
    GRPC_OVERHEAD_BYTES,
    Keepalive,
)

log = get_logger("kvstore.wire.grpcio_front")

_CODES: dict[int, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}


class _Context:
    """A call as handlers see it."""

    __slots__ = ("_context",)

    def __init__(self, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        self._context = context

    def metadata(self, name: str) -> str | None:
        """A header by lower-case name."""
        for key, value in self._context.invocation_metadata() or ():
            if key == name:
                return value if isinstance(value, str) else value.decode("latin-1")
        return None

    @property
    def peer(self) -> str:
        """Where the call comes from."""
        return str(self._context.peer())

    @property
    def common_name(self) -> str:
        """The common name of the client's verified certificate; empty without one."""
        shown = self._context.auth_context()
        if "x509_common_name" not in shown:
            return ""
        return next((_last_common_name(bytes(one)) for one in shown.get("x509_pem_cert", ())), "")


@lru_cache(maxsize=256)
def _last_common_name(pem: bytes) -> str:
    """Of several names the last, as Go reads a certificate; the library says only the first."""
    subject = x509.load_pem_x509_certificate(pem).subject
    names = subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[-1].value) if names else ""


class _Router(grpc.GenericRpcHandler):  # type: ignore[type-arg]
    """Method path to grpc's own handler objects, made once."""

    def __init__(self, handlers: Handlers, on_handled: OnHandled) -> None:
        self._on_handled = on_handled
        self._table: dict[str, Any] = {}
        for path, unary in handlers.unary.items():
            self._table[path] = grpc.unary_unary_rpc_method_handler(self._unary(path, unary))
        for path, stream in handlers.stream.items():
            self._table[path] = grpc.stream_stream_rpc_method_handler(self._stream(path, stream))

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """The handler of a method; unknown ones are answered Unimplemented, in words."""
        path = str(handler_call_details.method)
        known = self._table.get(path)
        if known is None:

            async def refuse(_: bytes, context: grpc.aio.ServicerContext[Any, Any]) -> bytes:
                message = f"unknown method {path}: this store does not serve it"
                await context.abort(_CODES[UNIMPLEMENTED], message)
                return b""

            return grpc.unary_unary_rpc_method_handler(refuse)
        return known

    def _unary(
        self, path: str, handler: UnaryHandler
    ) -> Callable[[bytes, grpc.aio.ServicerContext[Any, Any]], Awaitable[bytes]]:
        on_handled = self._on_handled

        async def call(request: bytes, context: grpc.aio.ServicerContext[Any, Any]) -> bytes:
            try:
                response = await handler(request, _Context(context))
            except WireError as error:
                code, message = error.code, error.message
            except Exception:
                log.exception("call failed by a bug", method=path)
                code, message = INTERNAL, "internal error, see the member's log"
            else:
                on_handled(path, False, 0)
                return response
            on_handled(path, False, code)
            await context.abort(_CODES[code], message)
            return b""

        return call

    def _stream(
        self, path: str, handler: StreamHandler
    ) -> Callable[[AsyncIterator[bytes], grpc.aio.ServicerContext[Any, Any]], Awaitable[None]]:
        on_handled = self._on_handled

        async def call(
            requests: AsyncIterator[bytes], context: grpc.aio.ServicerContext[Any, Any]
        ) -> None:
            context_view: CallContext = _Context(context)
            try:
                await handler(requests, context.write, context_view)
            except WireError as error:
                code, message = error.code, error.message
            except (asyncio.CancelledError, grpc.aio.UsageError, asyncio.InvalidStateError):
                on_handled(path, True, 1)
                raise
            except Exception:
                if context.cancelled() or context.done():
                    # The client went away in the middle of a write.
                    on_handled(path, True, 1)
                    return
                log.exception("stream failed by a bug", method=path)
                code, message = INTERNAL, "internal error, see the member's log"
            else:
                on_handled(path, True, 0)
                return
            on_handled(path, True, code)
            await context.abort(_CODES[code], message)

        return call


class GrpcioFront:
    """A grpc.aio server over all listen addresses."""

    def __init__(
        self,
        handlers: Handlers,
        listens: tuple[Listen, ...],
        *,
        max_request_bytes: int,
        max_concurrent_streams: int = DEFAULT_MAX_CONCURRENT_STREAMS,
        on_handled: OnHandled,
        keepalive: Keepalive | None = None,
    ) -> None:
        keepalive = keepalive or Keepalive()
        self._listens = listens
        self._server: grpc.aio.Server | None = None
        self._router = _Router(handlers, on_handled)
        self._options: list[tuple[str, Any]] = [
            ("grpc.so_reuseport", 0),
            ("grpc.max_receive_message_length", max_request_bytes + GRPC_OVERHEAD_BYTES),
            ("grpc.max_send_message_length", -1),
            ("grpc.max_concurrent_streams", max_concurrent_streams),
            (
                "grpc.http2.min_ping_interval_without_data_ms",
                int(1000 * keepalive.min_time_seconds),
            ),
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.keepalive_time_ms", int(1000 * keepalive.interval_seconds) or (1 << 31) - 1),
            ("grpc.keepalive_timeout_ms", int(1000 * keepalive.timeout_seconds)),
        ]

    async def start(self) -> tuple[Listen, ...]:
        """Bind all addresses and serve; the addresses with their real ports. Raises ListenError."""
        server = grpc.aio.server(options=self._options)
        server.add_generic_rpc_handlers((self._router,))
        bound = tuple(_bind(server, listen) for listen in self._listens)
        await server.start()
        self._server = server
        return bound

    async def stop(self, grace_seconds: float) -> None:
        """Take no new calls, let running ones end for `grace_seconds`, then cut them."""
        if self._server is not None:
            await self._server.stop(grace_seconds)
            self._server = None


def _bind(server: grpc.aio.Server, listen: Listen) -> Listen:
    address = f"unix:{listen.unix_path}" if listen.unix_path else _join(listen.host, listen.port)
    try:
        if listen.tls is None:
            port = server.add_insecure_port(address)
        else:
            port = server.add_secure_port(address, _credentials(listen.tls))
    except RuntimeError as error:
        raise ListenError(f"cannot listen on {address}: {error}") from error
    if port == 0:
        raise ListenError(f"cannot listen on {address}")
    return Listen(listen.host, 0 if listen.unix_path else port, listen.unix_path, listen.tls)


def _join(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _credentials(tls: ServerTls) -> grpc.ServerCredentials:
    # The library knows none of these; what was meant to keep somebody out must not be passed over.
    missing = {
        "--client-crl-file": tls.crl_file,
        "--cipher-suites": tls.cipher_suites,
        "--tls-min-version": tls.min_version not in ("", "TLS1.2"),
        "--tls-max-version": tls.max_version,
        "--client-cert-allowed-hostname": tls.allowed_hostname,
    }
    asked = [flag for flag, value in missing.items() if value]
    if asked:
        raise ListenError(f"{', '.join(asked)}: not with --experimental-grpc-engine=grpcio")
    root = tls.ca_file.read_bytes() if tls.ca_file else None
    return grpc.ssl_server_credentials(
        [(tls.key_file.read_bytes(), tls.cert_file.read_bytes())],
        root_certificates=root,
        require_client_auth=tls.is_client_required,
    )
