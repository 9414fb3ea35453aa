"""Connections to servers behind this one: straight, or to a pod's port through the kubelet of its node.

Nodes of this project's kubelet keep their pods in networks of their own, which this server's machine has no route into;
their kubelet opens ports of its pods, and of nothing else. Pods of other nodes are connected to at their address.
"""

import asyncio
import functools
import ssl
from dataclasses import dataclass

from controlplane.api import meta
from controlplane.api.meta import Obj
from controlplane.apiserver.backends.exchange import HEAD_BYTES, Streams
from controlplane.apiserver.backends.names import host_and_port
from controlplane.apiserver.nodes.kubelet import KubeletClient, UnreachableError

_CONNECT_SECONDS = 30.0
# Runtimes of this project's kubelet, as nodes name them.
_TUNNELLED = ("process", "namespaces")


@dataclass(frozen=True, slots=True)
class Target:
    """Where to: an address and port, and how TLS is spoken if it is. `pod` and `node` tell of a pod's."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None
    server_name: str = ""
    pod: Obj | None = None
    node: Obj | None = None

    @property
    def authority(self) -> str:
        """`host:port`."""
        return host_and_port(self.host, self.port)


@functools.cache
def unverified() -> ssl.SSLContext:
    """TLS that believes any certificate: pods have none that could be verified."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def has_tunnel(node: Obj) -> bool:
    """Whether a node's kubelet opens ports of its pods."""
    version = str(meta.get_path(meta.status(node), "nodeInfo.containerRuntimeVersion", ""))
    return version.partition("://")[0] in _TUNNELLED


async def dial(kubelet: KubeletClient, target: Target) -> Streams:
    """Connect. Raises UnreachableError, in the words of Go's net package."""
    if target.pod is not None and target.node is not None and has_tunnel(target.node):
        streams = await kubelet.open_pod_port(target.node, target.pod, target.port)
        return await _secured(streams, target)
    name = (target.server_name or target.host) if target.tls is not None else None
    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            return await asyncio.open_connection(
                target.host, target.port, ssl=target.tls, server_hostname=name, limit=HEAD_BYTES
            )
    except TimeoutError:
        raise UnreachableError(f"dial tcp {target.authority}: i/o timeout") from None
    except OSError as error:
        raise UnreachableError(_words(target, error)) from error


async def _secured(streams: Streams, target: Target) -> Streams:
    if target.tls is None:
        return streams
    reader, writer = streams
    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            await writer.start_tls(target.tls, server_hostname=target.server_name or target.host)
    except TimeoutError:
        writer.close()
        raise UnreachableError("net/http: TLS handshake timeout") from None
    except (OSError, ssl.SSLError) as error:
        writer.close()
        raise UnreachableError(_words(target, error)) from error
    return reader, writer


def _words(target: Target, error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"tls: failed to verify certificate: x509: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"tls: {error.reason or error}"
    if isinstance(error, ConnectionRefusedError):
        return f"dial tcp {target.authority}: connect: connection refused"
    return f"dial tcp {target.authority}: {error}"
