"""Requests to the kubelets: logs and upgraded connections, by HTTPS with the server's own client certificate."""

import asyncio
import functools
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from urllib.parse import quote, urlencode

import aiohttp

from controlplane.api import errors, meta
from controlplane.api.errors import Cause
from controlplane.api.meta import Obj
from controlplane.api.streams import TUNNEL_PROTOCOL
from controlplane.apiserver.http.messages import Socket
from controlplane.kinds.core.node import MACHINE_ADDRESS

_CONNECT_SECONDS = 5.0
_PING_SECONDS = 30.0
# The kubelet connects to the pod in this time, too.
_TUNNEL_SECONDS = 30.0
# Enough for the head of an answer of a pod, since the same reader reads it.
_TUNNEL_LIMIT = 256 * 1024
_LONGEST_REFUSAL = 4096


class UnreachableError(Exception):
    """No connection came about; the message says why."""


class KubeletClient:
    """Speaks to the agents of all nodes."""

    def __init__(self, cert_file: str, key_file: str, ca_file: str) -> None:
        self._files = (cert_file, key_file, ca_file)
        self._session: aiohttp.ClientSession | None = None

    @functools.cached_property
    def tls(self) -> ssl.SSLContext:
        """How TLS is spoken with kubelets: with the server's own certificate."""
        cert_file, key_file, ca_file = self._files
        context = ssl.create_default_context(cafile=ca_file or None)
        if not ca_file:
            # Compat: kube-apiserver does not verify agents either when it is given no CA for them.
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if cert_file:
            context.load_cert_chain(cert_file, key_file or None)
        return context

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=self.tls, limit=0),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS),
                auto_decompress=False,
            )
        return self._session

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    async def container_logs(
        self, node: Obj, namespace: str, pod: str, container: str, query: Mapping[str, str]
    ) -> AsyncIterator[bytes]:
        """The chunks of a container's log; raises before the first chunk what the agent refuses."""
        path = "/".join(quote(part, safe="") for part in (namespace, pod, container))
        url = f"{node_url(node)}/containerLogs/{path}"
        if query:
            url += "?" + urlencode(query)
        try:
            response = await self._open().get(url)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise errors.Internal(f'Get "{url}": {error}') from error
        if response.status != 200:
            text = (await response.text()).strip()
            response.close()
            raise _refusal(response.status, text)
        return _chunks(response)

    async def carry(
        self, node: Obj, path: str, query: Sequence[tuple[str, str]], client: Socket
    ) -> None:
        """Open `path` of a kubelet in the client's sub-protocol and carry messages both ways until one side ends.

        Raises, before anything was carried, what the kubelet refuses.
        """
        url = f"{node_url(node)}{quote(path)}?{urlencode(query)}"
        protocols = (client.protocol,) if client.protocol else ()
        try:
            socket = await self._open().ws_connect(
                url, protocols=protocols, max_msg_size=0, compress=0, heartbeat=_PING_SECONDS
            )
        except aiohttp.WSServerHandshakeError as error:
            text = f"error dialing backend: the node answered {error.status}"
            raise _refusal(error.status, text) from error
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise errors.Internal(f"error dialing backend: {error}") from error
        async with socket:
            outward = asyncio.ensure_future(_to_kubelet(client, socket))
            inward = asyncio.ensure_future(_to_client(socket, client))
            try:
                await asyncio.wait((outward, inward), return_when=asyncio.FIRST_COMPLETED)
                for ended in (outward, inward):
                    if ended.done():
                        ended.result()
            finally:
                for task in (outward, inward):
                    task.cancel()
                await asyncio.wait((outward, inward))

    async def open_pod_port(
        self, node: Obj, pod: Obj, port: int
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to a port of a pod, through its node's kubelet. Raises UnreachableError."""
        host, kubelet_port = node_address(node)
        words = (meta.namespace(pod), meta.name(pod), meta.uid(pod), str(port))
        path = "/podPort/" + "/".join(quote(word, safe="") for word in words)
        head = (
            f"GET {path} HTTP/1.1\r\nHost: {host}:{kubelet_port}\r\n"
            f"Connection: Upgrade\r\nUpgrade: {TUNNEL_PROTOCOL}\r\n\r\n"
        )
        writer = None
        try:
            async with asyncio.timeout(_TUNNEL_SECONDS):
                reader, writer = await asyncio.open_connection(
                    host, kubelet_port, ssl=self.tls, limit=_TUNNEL_LIMIT
                )
                writer.write(head.encode())
                answer = await reader.readuntil(b"\r\n\r\n")
                status = int(answer.split(b" ", 2)[1])
                text = b"" if status == 101 else await reader.read(_LONGEST_REFUSAL)
        except TimeoutError:
            _hang_up(writer)
            raise UnreachableError(f"dial tcp {host}:{kubelet_port}: i/o timeout") from None
        except (OSError, EOFError, asyncio.LimitOverrunError, ValueError, IndexError) as error:
            _hang_up(writer)
            raise UnreachableError(f"error dialing backend: {error}") from error
        except asyncio.CancelledError:
            _hang_up(writer)
            raise
        if status != 101:
            writer.close()
            why = text.decode(errors="replace").strip()
            raise UnreachableError(why or f"the node answered {status}")
        return reader, writer


def _hang_up(writer: asyncio.StreamWriter | None) -> None:
    if writer is not None:
        writer.close()


async def _to_kubelet(client: Socket, socket: aiohttp.ClientWebSocketResponse) -> None:
    while (message := await client.receive()) is not None:
        if isinstance(message, str):
            await socket.send_str(message)
        else:
            await socket.send_bytes(message)


async def _to_client(socket: aiohttp.ClientWebSocketResponse, client: Socket) -> None:
    async for message in socket:
        if message.type not in (aiohttp.WSMsgType.BINARY, aiohttp.WSMsgType.TEXT):
            return
        await client.send(message.data)


async def _chunks(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    try:
        async for chunk in response.content.iter_any():
            yield chunk
    finally:
        response.close()


def _refusal(code: int, text: str) -> errors.APIError:
    if code == 404:
        return errors.NotFound(text or "the server could not find the requested resource")
    if code == 400:
        return errors.BadRequest(text)
    return errors.Internal(f"the node answered {code}: {text}")


def node_address(node: Obj) -> tuple[str, int]:
    """Where the node's agent listens: the address and the port it has reported. Raises APIError.

    An agent whose node has a network of its own listens on the machine's, where it says so.
    """
    status = meta.status(node)
    addresses = {one.get("type"): one.get("address") for one in status.get("addresses") or ()}
    outside = meta.annotations(node).get(MACHINE_ADDRESS)
    host = outside or addresses.get("InternalIP") or addresses.get("Hostname") or ""
    port = meta.get_path(status, "daemonEndpoints.kubeletEndpoint.Port", 10250)
    if not host:
        cause = Cause("status.addresses", "no preferred addresses found", "FieldValueRequired")
        raise errors.APIError(
            f"no preferred addresses found; known addresses: {list(addresses.values())}",
            causes=[cause],
        )
    return str(host), int(port)


def node_url(node: Obj) -> str:
    """The address of the node's agent as a URL. Raises APIError."""
    host, port = node_address(node)
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
