"""Connections to other API servers, with this server's certificate as a front proxy, in the name of a user.

Sources: kube-aggregator/pkg/controllers/status/remote (transport), client-go/transport/round_trippers.go (headers).
"""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import Sequence
from dataclasses import dataclass

from controlplane.api import meta
from controlplane.apiserver.aggregation.directory import Remote
from controlplane.apiserver.backends.dial import Target, dial
from controlplane.apiserver.backends.exchange import BadAnswerError, Exchange, Head, Streams
from controlplane.apiserver.callouts.client import tls_context
from controlplane.apiserver.callouts.endpoints import UnresolvedError, resolve
from controlplane.apiserver.http.messages import User
from controlplane.apiserver.lookup import Lookup
from controlplane.apiserver.nodes.kubelet import KubeletClient, UnreachableError
from controlplane.kinds.core.node import NODES
from controlplane.kinds.core.pod.resource import PODS
from controlplane.kinds.core.service import SERVICES

# An OpenAPI document is the largest of what is asked for.
_MOST_BYTES = 32 * 1024 * 1024
_MOST_CONTEXTS = 200
_TOKEN_LETTERS = frozenset(
    "!#$&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
)

AGGREGATOR = User("system:kube-aggregator", ("system:masters",))
"""Who asks for documents."""


class CallError(Exception):
    """No answer came; the message says why."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer."""

    head: Head
    body: bytes


def identity(user: User) -> list[tuple[str, str]]:
    """The headers that tell another server who asks."""
    headers = [("X-Remote-User", user.name)]
    if user.uid:
        headers.append(("X-Remote-Uid", user.uid))
    headers += [("X-Remote-Group", group) for group in user.groups]
    for key, values in user.extra.items():
        headers += [(f"X-Remote-Extra-{_escaped(key)}", value) for value in values]
    return headers


def _escaped(key: str) -> str:
    """A key as part of a header's name; `%` stands before what no name may have."""
    return "".join(
        chr(byte) if chr(byte) in _TOKEN_LETTERS else f"%{byte:02X}" for byte in key.encode()
    )


class RemoteServers:
    """Opens connections to other API servers."""

    def __init__(
        self,
        kubelet: KubeletClient,
        lookup: Lookup,
        rng: random.Random,
        cert_file: str = "",
        key_file: str = "",
    ) -> None:
        self._kubelet = kubelet
        self._lookup = lookup
        self._rng = rng
        self._files = (cert_file, key_file)
        self._contexts: dict[tuple[bytes, bool], ssl.SSLContext] = {}

    async def resolve(self, remote: Remote) -> Target:
        """One place where the server is. Raises UnresolvedError; ValueError for a bundle that holds no certificate."""
        tls = self._tls(remote)
        service = await self._lookup.find(SERVICES, remote.namespace, remote.service)
        if service is not None and meta.spec(service).get("type") == "ExternalName":
            host = str(meta.spec(service).get("externalName") or "")
            return Target(host, remote.port, tls, remote.host)
        endpoint = await resolve(
            self._lookup, remote.namespace, remote.service, remote.port, self._rng
        )
        pod = node = None
        if endpoint.pod is not None:
            pod = await self._lookup.find(PODS, *endpoint.pod)
            node = await self._lookup.find(NODES, "", endpoint.node)
        return Target(endpoint.address, endpoint.port, tls, remote.host, pod, node)

    async def connect(self, target: Target) -> Streams:
        """A connection. Raises UnreachableError."""
        return await dial(self._kubelet, target)

    async def get(
        self, remote: Remote, path: str, headers: Sequence[tuple[str, str]], seconds: float
    ) -> Reply:
        """The answer to a GET as the aggregator itself. Raises CallError."""
        url = f"https://{remote.host}:{remote.port}{path}"
        try:
            target = await self.resolve(remote)
            url = f"https://{target.authority}{path}"
            async with asyncio.timeout(seconds):
                exchange = Exchange(await self.connect(target))
                try:
                    sent = [("Host", f"{remote.host}:{remote.port}"), ("User-Agent", "quorate")]
                    exchange.send("GET", path, [*sent, *headers, *identity(AGGREGATOR)])
                    head = await exchange.head()
                    return Reply(head, await _bounded(exchange, head))
                finally:
                    await exchange.close()
        except UnresolvedError as error:
            raise CallError(str(error)) from error
        except TimeoutError:
            text = f'Get "{url}": context deadline exceeded'
            raise CallError(f"failing or missing response from {url}: {text}") from None
        except (UnreachableError, BadAnswerError, OSError, ValueError) as error:
            text = f'Get "{url}": {error}'
            raise CallError(f"failing or missing response from {url}: {text}") from error

    def _tls(self, remote: Remote) -> ssl.SSLContext:
        key = (remote.ca_bundle, remote.is_insecure)
        found = self._contexts.get(key)
        if found is None:
            if len(self._contexts) >= _MOST_CONTEXTS:
                self._contexts.clear()
            try:
                found = tls_context(remote.ca_bundle)
            except ssl.SSLError as error:
                raise ValueError("unable to load root certificates") from error
            if remote.is_insecure:
                found.check_hostname = False
                found.verify_mode = ssl.CERT_NONE
            cert_file, key_file = self._files
            if cert_file:
                found.load_cert_chain(cert_file, key_file or None)
            self._contexts[key] = found
        return found


async def _bounded(exchange: Exchange, head: Head) -> bytes:
    pieces, size = [], 0
    async for piece in exchange.body(head):
        size += len(piece)
        if size > _MOST_BYTES:
            raise BadAnswerError(f"the answer is longer than {_MOST_BYTES} bytes")
        pieces.append(piece)
    return b"".join(pieces)
