"""One request to one of several API servers: the Transport protocol, and HTTP(S) over TCP.

Fail-over: requests go to the current server until it fails. Requests that change nothing are tried on the next server
at once; a change is tried again only if it surely never left this machine (no connection was made), because an answer
that was lost says nothing about the outcome. While watches are open, the server they hang on is asked for `/livez`
every few seconds: a server that was stopped (SIGSTOP) or cut off keeps its connections open and silent, and only this
question tells that from a quiet one. Requests under way to such a server end with it.
"""

import asyncio
import contextlib
import os
import ssl
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol

import aiohttp

from kvstore.base.clock import Clock
from kvstore.base.tasks import Supervisor

_SAFE_METHODS = frozenset({"GET", "HEAD"})
_MAX_LINE_BYTES = (
    64 * 1024 * 1024
)  # one watch event is one object; a Table of all pods may be large


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked: `path` starts with a slash, `query` is not yet encoded."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    content_type: str = "application/json"
    accept: str = "application/json"
    timeout_seconds: float = 10.0
    token: str = ""
    """A bearer token of this request's own; only for transports without a client certificate, which would win."""


@dataclass(frozen=True, slots=True)
class Response:
    """A complete answer."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


class TransportError(ConnectionError):
    """No answer came. `outcome_known` is true when the request surely never reached a server."""

    def __init__(self, message: str, *, outcome_known: bool) -> None:
        super().__init__(message)
        self.outcome_known = outcome_known
        self.retryable = True


class LineStream(Protocol):
    """The body of a watch: `status`, and lines until the server ends it."""

    status: int

    def lines(self) -> AsyncIterator[bytes]:
        """Lines without their newline; raises TransportError when the connection breaks."""
        ...

    async def read(self) -> bytes:
        """The whole body, for answers that are not 200."""
        ...


class Transport(Protocol):
    """Carries requests to some API server."""

    async def send(self, request: Request) -> Response:
        """One request, one whole answer. Raises TransportError."""
        ...

    def stream(self, request: Request) -> AbstractAsyncContextManager[LineStream]:
        """One request whose answer comes line by line. Raises TransportError."""
        ...

    async def close(self) -> None:
        """Give back connections; idempotent."""
        ...


@dataclass(frozen=True, slots=True)
class TlsIdentity:
    """PEM blocks: the authority that signed the servers, and our own certificate and key."""

    ca_pem: bytes = b""
    cert_pem: bytes = b""
    key_pem: bytes = b""
    insecure: bool = False

    def context(self) -> ssl.SSLContext:
        """An SSLContext that trusts only `ca_pem` (or the system's when there is none)."""
        context = ssl.create_default_context(cadata=self.ca_pem.decode() if self.ca_pem else None)
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.cert_pem:
            # ssl reads only files: one of mode 0600 that lives for this call.
            handle, path = tempfile.mkstemp(prefix="client-", suffix=".pem")
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(self.cert_pem + b"\n" + self.key_pem)
                context.load_cert_chain(path)
            finally:
                os.unlink(path)
        return context


class HttpTransport:
    """HTTP/1.1 over TCP with kept-alive connections to several servers."""

    def __init__(
        self,
        servers: Sequence[str],
        clock: Clock,
        *,
        tls: TlsIdentity | None = None,
        token: str | Callable[[], str] = "",
        user_agent: str = "quorate",
        connect_timeout_seconds: float = 2.0,
        probe_interval_seconds: float = 2.0,
        probe_timeout_seconds: float = 2.0,
    ) -> None:
        if not servers:
            raise ValueError("no server address given")
        self.servers = tuple(server.rstrip("/") for server in servers)
        self._clock = clock
        self._tls = tls
        self._headers = {"User-Agent": user_agent}
        # A function gives the token of now: a pod's is replaced while the pod runs.
        self._token = token if callable(token) else lambda: token
        self._connect_timeout_seconds = connect_timeout_seconds
        self._probe_interval_seconds = probe_interval_seconds
        self._probe_timeout_seconds = probe_timeout_seconds
        self._current = 0
        self._session: aiohttp.ClientSession | None = None
        self._supervisor = Supervisor("transport")
        self._streams: dict[int, set[_HttpStream]] = {}
        self._in_flight: dict[int, set[asyncio.Timeout]] = {}

    def _own_headers(self) -> dict[str, str]:
        token = self._token()
        return self._headers | {"Authorization": f"Bearer {token}"} if token else self._headers

    async def send(self, request: Request) -> Response:
        """See `Transport.send`."""
        last: TransportError | None = None
        for _ in range(len(self.servers)):
            index = self._current
            try:
                return await self._send_to(index, request)
            except TransportError as error:
                self._leave(index)
                last = error
                if request.method not in _SAFE_METHODS and not error.outcome_known:
                    raise
        raise last or TransportError("no servers", outcome_known=True)

    async def _send_to(self, index: int, request: Request) -> Response:
        timeout = aiohttp.ClientTimeout(total=None, connect=self._connect_timeout_seconds)
        deadlines = self._in_flight.setdefault(index, set())
        try:
            async with asyncio.timeout(request.timeout_seconds) as deadline:
                deadlines.add(deadline)
                try:
                    return await self._exchange(self.servers[index], request, timeout)
                finally:
                    deadlines.discard(deadline)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _translate(error, self.servers[index]) from error

    async def _exchange(
        self, server: str, request: Request, timeout: aiohttp.ClientTimeout
    ) -> Response:
        async with self._open_session().request(
            request.method,
            server + request.path,
            params=list(request.query),
            data=request.body,
            headers=self._request_headers(request),
            timeout=timeout,
        ) as answer:
            body = await answer.read()
            return Response(answer.status, body, dict(answer.headers))

    @asynccontextmanager
    async def stream(self, request: Request) -> AsyncIterator[LineStream]:
        """See `Transport.stream`; opening is tried on each server once."""
        async with contextlib.AsyncExitStack() as stack:
            stream: _HttpStream | None = None
            last: TransportError | None = None
            for _ in range(len(self.servers)):
                index = self._current
                try:
                    stream = await self._open_stream(stack, index, request)
                    break
                except TransportError as error:
                    self._leave(index)
                    last = error
            if stream is None:
                raise last or TransportError("no servers", outcome_known=True)
            siblings = self._streams.setdefault(index, set())
            siblings.add(stream)
            if len(siblings) == 1:
                self._supervisor.start(self._probe(index), f"probe-{index}")
            try:
                yield stream
            finally:
                siblings.discard(stream)

    async def _open_stream(
        self, stack: contextlib.AsyncExitStack, index: int, request: Request
    ) -> "_HttpStream":
        timeout = aiohttp.ClientTimeout(total=None, connect=self._connect_timeout_seconds)
        try:
            async with asyncio.timeout(request.timeout_seconds):
                answer = await stack.enter_async_context(
                    self._open_session().request(
                        request.method,
                        self.servers[index] + request.path,
                        params=list(request.query),
                        headers=self._request_headers(request),
                        timeout=timeout,
                    )
                )
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _translate(error, self.servers[index]) from error
        return _HttpStream(answer, self.servers[index])

    async def _probe(self, index: int) -> None:
        """Ask the server that holds our streams whether it lives; break the streams if not."""
        request = Request("GET", "/livez", timeout_seconds=self._probe_timeout_seconds)
        while True:
            await self._clock.sleep(self._probe_interval_seconds)
            streams = self._streams.get(index)
            if not streams:
                # The task that ends here is started anew with the next first stream.
                self._streams.pop(index, None)
                return
            try:
                await self._send_to(index, request)
            except TransportError:
                self._leave(index)
                for stream in list(streams):
                    stream.abort()
                now = asyncio.get_running_loop().time()
                for deadline in self._in_flight.get(index, ()):
                    if not deadline.expired():
                        deadline.reschedule(now)
                self._streams.pop(index, None)
                return

    def _leave(self, index: int) -> None:
        """Go to the next server, unless someone did so before."""
        if index == self._current:
            self._current = (index + 1) % len(self.servers)

    def _request_headers(self, request: Request) -> dict[str, str]:
        headers = {**self._own_headers(), "Accept": request.accept}
        if request.body is not None:
            headers["Content-Type"] = request.content_type
        if request.token:
            headers["Authorization"] = f"Bearer {request.token}"
        return headers

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(
                ssl=self._tls.context() if self._tls else True, limit=0, keepalive_timeout=30
            )
            self._session = aiohttp.ClientSession(
                connector=connector, read_bufsize=2**18, max_line_size=2**16
            )
        return self._session

    async def close(self) -> None:
        """See `Transport.close`."""
        await self._supervisor.stop()
        if self._session is not None:
            await self._session.close()
            self._session = None


class _HttpStream:
    """The open answer to a watch; `abort` makes its reader see a broken connection."""

    def __init__(self, answer: aiohttp.ClientResponse, server: str) -> None:
        self.status = answer.status
        self._answer = answer
        self._server = server
        self._aborted = False

    def abort(self) -> None:
        """Close the connection under the reader."""
        self._aborted = True
        self._answer.content.set_exception(aiohttp.ClientConnectionError("server does not answer"))
        self._answer.close()

    async def lines(self) -> AsyncIterator[bytes]:
        """See `LineStream.lines`."""
        buffer = bytearray()
        try:
            async for chunk in self._answer.content.iter_any():
                buffer += chunk
                if b"\n" not in chunk:
                    if len(buffer) > _MAX_LINE_BYTES:
                        raise TransportError("watch event too large", outcome_known=True)
                    continue
                *complete, rest = bytes(buffer).split(b"\n")
                buffer = bytearray(rest)
                for line in complete:
                    if line.strip():
                        yield line
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _translate(error, self._server) from error
        if self._aborted:
            raise TransportError(f"{self._server}: does not answer", outcome_known=True)

    async def read(self) -> bytes:
        """See `LineStream.read`."""
        try:
            async with asyncio.timeout(10):
                return await self._answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _translate(error, self._server) from error


def _translate(error: Exception, server: str) -> TransportError:
    if isinstance(error, TransportError):
        return error
    never_sent = isinstance(
        error,
        aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError | aiohttp.InvalidURL,
    )
    text = str(error) or type(error).__name__
    return TransportError(f"{server}: {text}", outcome_known=never_sent)
