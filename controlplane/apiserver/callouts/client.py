"""POSTs of reviews to webhooks, over TLS, with bounds on time and size. Errors are told in the words of Go's client.

A connection serves one call. Redirects are not followed. A Service's name is what the certificate must be for, wherever
the endpoint is.
"""

from __future__ import annotations

import asyncio
import functools
import json
import random
import ssl
from collections.abc import AsyncIterator

from controlplane.api.meta import Obj
from controlplane.api.schema.strict import json_type
from controlplane.apiserver.backends import dial
from controlplane.apiserver.backends.exchange import BadAnswerError, Exchange
from controlplane.apiserver.backends.names import host_and_port
from controlplane.apiserver.callouts.endpoints import UnresolvedError, resolve
from controlplane.apiserver.callouts.target import Target
from controlplane.apiserver.lookup import Lookup
from controlplane.apiserver.nodes.kubelet import KubeletClient, UnreachableError
from controlplane.kinds.core.node import NODES
from controlplane.kinds.core.pod.resource import PODS

# Upstream keeps as many clients.
_MAX_CONTEXTS = 200
# A review answers with a patch at most; requests are bounded by 3 MiB, and base64 takes a third more.
MAX_RESPONSE_BYTES = 8 * 1024 * 1024
_UNTRUSTED = (18, 19, 20, 21)
_WRONG_NAME, _WRONG_ADDRESS, _EXPIRED, _NOT_YET = 62, 64, 10, 9
_MESSAGES = {
    400: "the server rejected our request for an unknown reason",
    401: "the server has asked for the client to provide credentials",
    404: "the server could not find the requested resource",
    405: "the server does not allow this method on the requested resource",
    409: "the server reported a conflict",
    422: "the server rejected our request due to an error in our request",
    429: "the server has received too many requests and has asked us to try again later",
    503: "the server is currently unable to handle the request",
    504: "the server was unable to return a response in the time allotted, but may still be "
    "processing the request",
}
_SHOWN_BYTES = 2048
_NOT_AN_OBJECT = (
    "couldn't get version/kind; json parse error: json: cannot unmarshal {} into Go value of type "
    'struct {{ APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string '
    '"json:\\"kind,omitempty\\"" }}'
)


class CallError(Exception):
    """The call gave no usable answer; `code` is the HTTP status that the webhook answered, 0 when it did not."""

    def __init__(self, text: str, code: int = 0) -> None:
        super().__init__(text)
        self.code = code


class WebhookClient:
    """Calls webhooks."""

    def __init__(self, kubelet: KubeletClient, lookup: Lookup, rng: random.Random) -> None:
        self._kubelet = kubelet
        self._lookup = lookup
        self._rng = rng

    async def post(self, target: Target, body: bytes, timeout_seconds: float) -> Obj:
        """The JSON object that the webhook answers with 200. CallError for everything else."""
        query = f"?timeout={timeout_seconds:g}s"
        shown = target.url + query
        try:
            async with asyncio.timeout(timeout_seconds):
                status, data = await self._exchange(target, query, body)
        except TimeoutError:
            raise CallError(f'Post "{shown}": context deadline exceeded') from None
        except (OSError, BadAnswerError, UnreachableError, UnresolvedError) as error:
            raise CallError(f'Post "{shown}": {_told(error)}') from error
        if status != 200:
            raise CallError(refusal(status, data), status)
        try:
            answer = json.loads(data)
        except (ValueError, RecursionError):
            answer = ""
        if not isinstance(answer, dict):
            # Compat: what is no JSON is read as YAML, where any text is one.
            raise CallError(_NOT_AN_OBJECT.format(json_type(answer)), status)
        return answer

    async def _exchange(self, target: Target, query: str, body: bytes) -> tuple[int, bytes]:
        headers = (
            ("Host", host_and_port(target.host, target.port)),
            ("User-Agent", "kube-apiserver-admission"),
            ("Accept", "application/json, */*"),
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(body))),
            ("Connection", "close"),
        )
        exchange = Exchange(await dial.dial(self._kubelet, await self._place(target)))
        try:
            exchange.send("POST", target.path + query, headers, _once(body))
            head = await exchange.head()
            return head.status, await _bounded(exchange.body(head))
        finally:
            await exchange.close()

    async def _place(self, target: Target) -> dial.Target:
        """Where to connect to. UnresolvedError."""
        tls = tls_context(target.ca_bundle)
        if target.service is None:
            return dial.Target(target.host, target.port, tls, target.host)
        namespace, name = target.service
        found = await resolve(self._lookup, namespace, name, target.port, self._rng)
        pod = node = None
        if found.pod is not None and found.node:
            pod = await self._lookup.find(PODS, *found.pod)
            node = await self._lookup.find(NODES, "", found.node)
        return dial.Target(found.address, found.port, tls, target.host, pod, node)


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body


@functools.lru_cache(maxsize=_MAX_CONTEXTS)
def tls_context(ca_bundle: bytes) -> ssl.SSLContext:
    """What is believed: the bundle alone, as Go reads it; without one what the machine trusts."""
    context = ssl.create_default_context(cadata=ca_bundle.decode(errors="replace") or None)
    # Go takes roots as they are given: without the extensions that strict checks ask for, and intermediate ones.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.set_alpn_protocols(["http/1.1"])
    return context


async def _bounded(body: AsyncIterator[bytes]) -> bytes:
    chunks, total = [], 0
    async for chunk in body:
        total += len(chunk)
        if total > MAX_RESPONSE_BYTES:
            raise CallError(f"the response is larger than {MAX_RESPONSE_BYTES} bytes")
        chunks.append(chunk)
    return b"".join(chunks)


def refusal(code: int, body: bytes) -> str:
    """What an answer other than 200 says: its Status, else what the code stands for."""
    try:
        status = json.loads(body)
    except (ValueError, RecursionError):
        status = None
    if isinstance(status, dict) and status.get("kind") == "Status" and status.get("message"):
        return str(status["message"])
    text = body[:_SHOWN_BYTES].decode(errors="replace").strip()
    if code == 403:
        return text
    if code in _MESSAGES:
        return _MESSAGES[code]
    if code >= 500:
        return (
            f"an error on the server ({json.dumps(text)}) has prevented the request from succeeding"
        )
    return f"the server responded with the status code {code} but did not return more information"


def _told(error: Exception) -> str:
    """A failure to connect in the words of Go's client, which people look for."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"tls: failed to verify certificate: x509: {_certificate(cause)}"
        cause = cause.__cause__
    return "EOF" if isinstance(error, ConnectionResetError) else str(error)


def _certificate(error: ssl.SSLCertVerificationError) -> str:
    if error.verify_code in _UNTRUSTED:
        return "certificate signed by unknown authority"
    if error.verify_code in (_EXPIRED, _NOT_YET):
        return "certificate has expired or is not yet valid"
    if error.verify_code in (_WRONG_NAME, _WRONG_ADDRESS):
        return f"certificate is not valid for any names, {error.verify_message}"
    return str(error.verify_message)
