"""POSTs of reviews to webhooks, over TLS, with bounds on time and size. Errors are told in the words of Go's client.

Connections are kept per target, as long as it is called. Redirects are not followed. A Service's name is what the
certificate must be for, wherever the endpoint is.
"""

from __future__ import annotations

import asyncio
import json
import random
import socket
import ssl
from collections import OrderedDict
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler

from controlplane.apiserver.callouts.endpoints import Endpoint, UnresolvedError, resolve
from controlplane.apiserver.callouts.reach import Link, Reach, dial_address
from controlplane.apiserver.callouts.target import Target
from controlplane.apiserver.lookup import Lookup

# Upstream keeps as many clients.
_MAX_TARGETS = 200
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


class CallError(Exception):
    """The call gave no usable answer; `code` is the HTTP status that the webhook answered, 0 when it did not."""

    def __init__(self, text: str, code: int = 0) -> None:
        super().__init__(text)
        self.code = code


class WebhookClient:
    """Calls webhooks; `close` it."""

    def __init__(self, reach: Reach, lookup: Lookup, rng: random.Random) -> None:
        self._reach = reach
        self._lookup = lookup
        self._rng = rng
        self._sessions: OrderedDict[Target, aiohttp.ClientSession] = OrderedDict()
        self._closing: set[asyncio.Task[Any]] = set()

    async def post(self, target: Target, body: bytes, timeout_seconds: float) -> Any:
        """The JSON that the webhook answers with 200. CallError for everything else."""
        shown = f"{target.url}?timeout={timeout_seconds:g}s"
        try:
            async with asyncio.timeout(timeout_seconds):
                async with self._session(target).post(
                    shown,
                    data=body,
                    headers={"Content-Type": "application/json", "Accept": "application/json, */*"},
                    allow_redirects=False,
                ) as response:
                    data = await _bounded(response)
        except TimeoutError:
            raise CallError(f'Post "{shown}": context deadline exceeded') from None
        except (aiohttp.ClientError, OSError, UnresolvedError) as error:
            raise CallError(f'Post "{shown}": {_told(error)}') from error
        if response.status != 200:
            raise CallError(refusal(response.status, data), response.status)
        try:
            return json.loads(data)
        except (ValueError, RecursionError) as error:
            raise CallError(
                f"couldn't get version/kind; json parse error: {error}", response.status
            ) from error

    def _session(self, target: Target) -> aiohttp.ClientSession:
        session = self._sessions.get(target)
        if session is None:
            connector = _Connector(target, self, tls_context(target.ca_bundle))
            session = aiohttp.ClientSession(
                connector=connector, timeout=aiohttp.ClientTimeout(total=None), trust_env=False
            )
            self._sessions[target] = session
            if len(self._sessions) > _MAX_TARGETS:
                _, oldest = self._sessions.popitem(last=False)
                task = asyncio.ensure_future(oldest.close())
                self._closing.add(task)
                task.add_done_callback(self._closing.discard)
        self._sessions.move_to_end(target)
        return session

    async def dial(self, target: Target) -> Link:
        """An open connection to the target. UnresolvedError, OSError."""
        if target.service is None:
            return await dial_address(Endpoint(target.host, target.port))
        namespace, name = target.service
        endpoint = await resolve(self._lookup, namespace, name, target.port, self._rng)
        return await self._reach.dial(endpoint)

    async def close(self) -> None:
        """Close all connections."""
        while self._sessions:
            _, session = self._sessions.popitem()
            await session.close()
        await asyncio.gather(*self._closing, return_exceptions=True)
        await self._reach.close()


class _Connector(aiohttp.BaseConnector):
    """Connections of the HTTP library that are opened by the client's own dialing."""

    allowed_protocol_schema_set = frozenset({"https"})

    def __init__(self, target: Target, client: WebhookClient, tls: ssl.SSLContext) -> None:
        super().__init__(limit=0)
        self._target = target
        self._client = client
        self._tls = tls

    async def _create_connection(self, req: Any, traces: Any, timeout: Any) -> ResponseHandler:
        link = await self._client.dial(self._target)
        loop, host = asyncio.get_running_loop(), self._target.host
        is_local = link.socket.family == socket.AF_UNIX
        connect: Any = loop.create_unix_connection if is_local else loop.create_connection
        try:
            _, protocol = await connect(
                self._factory, sock=link.socket, ssl=self._tls, server_hostname=host
            )
        except (OSError, EOFError) as error:
            link.socket.close()
            if link.problem:
                raise OSError(link.problem[0]) from error
            raise
        except BaseException:
            link.socket.close()
            raise
        made: ResponseHandler = protocol
        return made


def tls_context(ca_bundle: bytes) -> ssl.SSLContext:
    """What is believed: the bundle alone, as Go reads it; without one what the machine trusts."""
    context = ssl.create_default_context(cadata=ca_bundle.decode(errors="replace") or None)
    # Go takes roots as they are given: without the extensions that strict checks ask for, and intermediate ones.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.set_alpn_protocols(["http/1.1"])
    return context


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    chunks, total = [], 0
    async for chunk in response.content.iter_any():
        total += len(chunk)
        if total > MAX_RESPONSE_BYTES:
            response.close()
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
        cause = cause.__cause__ or getattr(cause, "os_error", None)
    if isinstance(error, aiohttp.ServerDisconnectedError | ConnectionResetError):
        return "EOF"
    return str(error)


def _certificate(error: ssl.SSLCertVerificationError) -> str:
    if error.verify_code in _UNTRUSTED:
        return "certificate signed by unknown authority"
    if error.verify_code in (_EXPIRED, _NOT_YET):
        return "certificate has expired or is not yet valid"
    if error.verify_code in (_WRONG_NAME, _WRONG_ADDRESS):
        return f"certificate is not valid for any names, {error.verify_message}"
    return str(error.verify_message)
