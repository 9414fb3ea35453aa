"""Endpoints: how a URL becomes a gRPC channel.

`http://host:port` is plain, `https://host:port` is TLS, `unix://path` and `unixs://path` are sockets in the file
system; `host:port` alone is TLS if TLS files are given, as with etcdctl. One channel per endpoint: the fail-over
of this client needs to know which member failed, so gRPC's own balancing and retries stay off.
"""

import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
from cryptography import x509
from cryptography.x509.oid import NameOID

from kvstore.client import forks
from kvstore.client.errors import NotConnected
from kvstore.client.types import ClientTls
from kvstore.pb import rpc_pb2

# Pings find a member that stopped without closing its sockets. etcd's servers drop connections that ping more often
# than every 5 s, hence a little above.
KEEPALIVE_SECONDS = 6.0
KEEPALIVE_TIMEOUT_SECONDS = 3.0

# How long a member may take to show its certificate.
_SHOW_SECONDS = 2.0

# What a stream's `read` returns at its end; the published type stubs leave it out.
EOF: Any = grpc.aio.EOF  # type: ignore[attr-defined]

_OPTIONS: tuple[tuple[str, Any], ...] = (
    ("grpc.enable_retries", 0),
    # Without this, clients of one process share connections, and their backoff after failures.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # Also the limit for one connection attempt; the library's 20 s would outlive every deadline here.
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.keepalive_permit_without_calls", 0),
    ("grpc.http2.max_pings_without_data", 0),
    # Ranges and snapshots have no limit of their own; the server bounds what it sends.
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.enable_http_proxy", 0),
)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A parsed endpoint: `target` is gRPC's form of the address."""

    text: str
    target: str
    is_tls: bool


def parse_endpoint(text: str, *, has_tls_files: bool = False) -> Endpoint:
    """The endpoint a user wrote; ValueError for a scheme or a form nobody knows."""
    scheme, separator, rest = text.strip().partition("://")
    if not separator:
        scheme, rest = ("https" if has_tls_files else "http"), scheme
    rest = rest.rstrip("/") if scheme in ("http", "https") else rest
    if not rest:
        raise ValueError(f"invalid endpoint {text!r}: no address")
    match scheme:
        case "http" | "https":
            _, colon, port = rest.rpartition(":")
            if not colon or not port.isdigit():
                raise ValueError(f"invalid endpoint {text!r}: expected host:port")
            return Endpoint(text.strip(), rest, scheme == "https")
        case "unix" | "unixs":
            return Endpoint(text.strip(), f"unix:{rest}", scheme == "unixs")
        case _:
            raise ValueError(
                f"invalid endpoint {text!r}: scheme must be http, https, unix or unixs"
            )


def credentials(tls: ClientTls) -> grpc.ChannelCredentials:
    """Credentials from files; OSError if one cannot be read."""

    def read(path: str) -> bytes | None:
        return Path(path).read_bytes() if path else None

    return grpc.ssl_channel_credentials(read(tls.ca_file), read(tls.key_file), read(tls.cert_file))


def shown_credentials(endpoint: Endpoint, tls: ClientTls) -> tuple[grpc.ChannelCredentials, str]:
    """Credentials that trust the certificate the member shows now, and the name it is made out to.

    gRPC cannot be told to verify nothing, so the certificate is fetched first, in a connection of its own.
    """
    pem = _shown_certificate(endpoint.target)
    key = Path(tls.key_file).read_bytes() if tls.key_file else None
    chain = Path(tls.cert_file).read_bytes() if tls.cert_file else None
    certificate = x509.load_pem_x509_certificate(pem)
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        shown = [str(one) for one in names.get_values_for_type(x509.DNSName)]
        shown += [str(one) for one in names.get_values_for_type(x509.IPAddress)]
    except x509.ExtensionNotFound:
        common = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        shown = [str(common[0].value)] if common else []
    name = (shown or [endpoint.target.rpartition(":")[0]])[0]
    return grpc.ssl_channel_credentials(pem, key, chain), name.replace("*", "any")


def _shown_certificate(target: str) -> bytes:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        if target.startswith("unix:"):
            plain = socket.socket(socket.AF_UNIX)
            plain.settimeout(_SHOW_SECONDS)
            plain.connect(target.removeprefix("unix:").removeprefix("//"))
        else:
            host, _, port = target.rpartition(":")
            plain = socket.create_connection((host.strip("[]"), int(port)), _SHOW_SECONDS)
        with plain, context.wrap_socket(plain) as secure:
            der = secure.getpeercert(binary_form=True)
    except OSError as cause:
        raise NotConnected(f"{target} shows no certificate: {cause}", endpoint=target) from cause
    if der is None:
        raise NotConnected(f"{target} shows no certificate", endpoint=target)
    return ssl.DER_cert_to_PEM_cert(der).encode()


class Connection:
    """The channel to one endpoint, opened by its first use on the running loop."""

    def __init__(
        self,
        endpoint: Endpoint,
        tls: ClientTls | None,
        *,
        keepalive_seconds: float = KEEPALIVE_SECONDS,
        keepalive_timeout_seconds: float = KEEPALIVE_TIMEOUT_SECONDS,
    ) -> None:
        self.endpoint = endpoint
        self._tls = tls
        self._options = (
            *_OPTIONS,
            ("grpc.keepalive_time_ms", round(keepalive_seconds * 1000)),
            ("grpc.keepalive_timeout_ms", round(keepalive_timeout_seconds * 1000)),
        )
        self._channel: grpc.aio.Channel | None = None
        self._calls: dict[str, Any] = {}

    @property
    def name(self) -> str:
        """The endpoint as the user wrote it."""
        return self.endpoint.text

    def channel(self) -> grpc.aio.Channel:
        """The open channel."""
        if self._channel is None:
            options = list(self._options)
            if self.endpoint.is_tls:
                tls = self._tls or ClientTls()
                if tls.skip_verify:
                    tls_credentials, name = shown_credentials(self.endpoint, tls)
                    options.append(("grpc.ssl_target_name_override", name))
                else:
                    tls_credentials = credentials(tls)
                if tls.server_name:
                    options.append(("grpc.ssl_target_name_override", tls.server_name))
                self._channel = grpc.aio.secure_channel(
                    self.endpoint.target, tls_credentials, options=options
                )
            else:
                self._channel = grpc.aio.insecure_channel(self.endpoint.target, options=options)
            forks.note_channel(self._channel)
        return self._channel

    def unary(self, method: str, response: Any) -> Any:
        """The callable of `method` ("KV/Range"), whose answer is of type `response`."""
        return self._callable(self.channel().unary_unary, method, response)

    def server_stream(self, method: str, response: Any) -> Any:
        """As `unary`, for many answers."""
        return self._callable(self.channel().unary_stream, method, response)

    def stream(self, method: str, response: Any) -> Any:
        """As `unary`, for many requests and answers."""
        return self._callable(self.channel().stream_stream, method, response)

    def _callable(self, make: Callable[..., Any], method: str, response: Any) -> Any:
        found = self._calls.get(method)
        if found is None:
            # A name with a dot carries its package: "v3lockpb.Lock/Lock".
            name = method if "." in method else f"{rpc_pb2.DESCRIPTOR.package}.{method}"
            found = self._calls[method] = make(
                f"/{name}",
                request_serializer=lambda message: message.SerializeToString(),
                response_deserializer=response.FromString,
            )
        return found

    async def close(self) -> None:
        """Close the channel; calls under way fail."""
        if self._channel is not None:
            channel, self._channel = self._channel, None
            self._calls.clear()
            await channel.close(None)
