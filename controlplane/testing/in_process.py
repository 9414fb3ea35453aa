"""The real API server without a socket: a client's `Transport` that calls the server's filters.

Everything a request passes on its way is there - authentication, authorization, admission, validation, storage, the
watch cache - except TLS and HTTP. The caller's user comes as the certificate that would carry it.

    async with InProcessServer() as server:
        client = server.client()                        # a RestClient of a system:masters user
        await client.create(PODS, pod, "default")
        agent = server.client(User("system:node:n1", ("system:nodes",)))

Faults on demand: `down`, `intercept`, `break_watches`, `forget_history`; `requests` has what was asked. `put` and
`remove` change the store behind the server's back, as a test may want it.
"""

import asyncio
import contextlib
import json
import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

import msgspec

from controlplane.api import meta, names, times
from controlplane.api.errors import APIError
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.apiserver.admission.interface import Plugin
from controlplane.apiserver.app import ApiServer
from controlplane.apiserver.config import ApiServerConfig
from controlplane.apiserver.http.messages import (
    Answer,
    Certificate,
    StreamResponse,
    Takeover,
    Upgrade,
    User,
)
from controlplane.apiserver.http.messages import Response as ServerResponse
from controlplane.client.rest import RestClient
from controlplane.client.transport import LineStream, Request, Response, TransportError
from controlplane.storage.memory import MemoryStorage
from kvstore.base.clock import Clock, SystemClock
from kvstore.base.tasks import Supervisor

ADMIN = User("admin", ("system:masters",))
_READY_SECONDS = 10.0


def certificate_of(user: User) -> Certificate | None:
    """The certificate that shows `user`; None for the anonymous one."""
    if user.is_anonymous:
        return None
    subject = [("commonName", user.name)]
    subject += [("organizationName", group) for group in user.groups]
    return Certificate(tuple(subject))


class InProcessRequest:
    """A client's request as the server's edge would hand it over."""

    def __init__(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, list[str]] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        user: User = ADMIN,
    ) -> None:
        self.method = method
        self.path = unquote(path)
        self.query: Mapping[str, list[str]] = query or {}
        self.raw_query = urlencode(self.query, doseq=True)
        self.peer = "127.0.0.1"
        self.headers: Mapping[str, str] = headers or {}
        # Headers that come more than once are given here; `headers` has one of each.
        self.all_headers: Sequence[tuple[str, str]] = list(self.headers.items())
        self.certificate = certificate_of(user)
        self._body = body

    @classmethod
    def of(
        cls,
        method: str,
        url: str,
        content: object = None,
        *,
        user: User = ADMIN,
        headers: Mapping[str, str] | None = None,
    ) -> "InProcessRequest":
        """A request by its URL; `content` is bytes, or becomes JSON."""
        parts = urlsplit(url)
        raw = content if isinstance(content, bytes) else json.dumps(content).encode()
        return cls(
            method,
            parts.path,
            query=parse_qs(parts.query, keep_blank_values=True),
            headers={"content-type": "application/json", **(headers or {})},
            body=b"" if content is None else raw,
            user=user,
        )

    async def body(self) -> bytes:
        """See `Incoming.body`."""
        return self._body

    async def chunks(self) -> AsyncIterator[bytes]:
        """See `Incoming.chunks`."""
        if self._body:
            yield self._body


class InProcessServer:
    """An API server over a store in memory; an async context manager, ready when entered."""

    def __init__(
        self,
        *,
        storage: MemoryStorage | None = None,
        clock: Clock | None = None,
        config: ApiServerConfig | None = None,
        more_plugins: Sequence[Plugin] = (),
        seed: int = 1,
    ) -> None:
        self.clock = clock or SystemClock()
        self.storage = storage or MemoryStorage(self.clock)
        self._rng = random.Random(seed)
        self.app = ApiServer(
            config or ApiServerConfig(), self.storage, self.clock, self._rng, more_plugins
        )
        # No request gets through, as when no server can be reached.
        self.down = False
        # Called with each request; may raise APIError or TransportError in the server's place.
        self.intercept: Callable[[Request], None] | None = None
        # (method, path) of every request; WATCH for those that are answered line by line.
        self.requests: list[tuple[str, str]] = []
        self._streams: set[_Stream] = set()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def start(self, *, listens: bool = False) -> None:
        """Start, and wait until it is ready; with `listens` it is also served where its settings say."""
        await self.app.start(listens=listens)
        async with asyncio.timeout(_READY_SECONDS):
            await self.app.server.bootstrapped.wait()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()

    async def stop(self) -> None:
        """End all parts."""
        await self.app.stop()

    def transport(self, user: User = ADMIN) -> "InProcessTransport":
        """A transport of `user`'s."""
        return InProcessTransport(self, user)

    def client(self, user: User = ADMIN, *, timeout_seconds: float = 10.0) -> RestClient:
        """A client of `user`'s."""
        return RestClient(self.transport(user), timeout_seconds=timeout_seconds)

    async def ask(self, request: InProcessRequest) -> Answer:
        """The server's answer, as its edge would get it."""
        return await self.app.chain.handle(request)

    @asynccontextmanager
    async def upgraded(
        self, request: InProcessRequest, protocols: list[str]
    ) -> AsyncIterator["ClientSocket"]:
        """The client's end of an upgraded connection; APIError when the server does not upgrade."""
        answer = await self.ask(request)
        if not isinstance(answer, Upgrade):
            raise TransportError(f"answered {answer.status}, not upgraded", outcome_known=True)
        protocol = answer.choose(protocols)
        if protocol is None:
            raise TransportError("no sub-protocol in common", outcome_known=True)
        ours, theirs = socket_pair(protocol)
        supervisor = Supervisor("upgraded")

        async def serve(upgrade: Upgrade = answer) -> None:
            try:
                await upgrade.handler(theirs)
            finally:
                theirs.close()

        supervisor.start(serve(), "handler")
        try:
            yield ours
        finally:
            ours.close()
            await supervisor.stop(1.0)

    # ---- faults ----

    def break_watches(self) -> None:
        """End every open watch as a lost connection would."""
        for stream in list(self._streams):
            stream.break_off()

    def forget_history(self) -> None:
        """Resuming a watch from any earlier revision is answered with 410."""
        self.app.server.caches.forget()

    # ---- the store, beside every rule ----

    def objects(self, resource: Resource, namespace: str = "") -> list[Obj]:
        """Copies of the stored objects of a kind, in order of namespace and name."""
        prefix = resource.key_prefix + "/" + (f"{namespace}/" if namespace else "")
        return list(self.storage.objects(prefix))

    def object(self, resource: Resource, name: str, namespace: str = "") -> Obj | None:
        """A copy of one object, or None."""
        key = resource.key(namespace, name)
        found = self.storage.objects(key)
        return next((one for one in found if meta.name(one) == name), None)

    def put(self, resource: Resource, obj: Obj) -> Obj:
        """Create or replace an object whole, status included, with no rule asked."""
        fields = {
            "uid": names.generate_uid(self._rng),
            "creationTimestamp": times.to_rfc3339(self.clock.time()),
            "generation": 1,
            **meta.metadata(obj),
        }
        head = {"apiVersion": resource.group_version, "kind": resource.kind}
        key = resource.key(meta.namespace(obj), meta.name(obj))
        return self.storage.put(key, {**obj, **head, "metadata": fields})

    def remove(self, resource: Resource, name: str, namespace: str = "") -> None:
        """Take an object away at once."""
        self.storage.remove(resource.key(namespace, name))


class InProcessTransport:
    """A client `Transport` that calls the server; see the module."""

    def __init__(self, server: InProcessServer, user: User) -> None:
        self._server = server
        self._user = user

    def _check(self, request: Request, method: str) -> None:
        self._server.requests.append((method, request.path))
        if self._server.down:
            raise TransportError("down", outcome_known=True)

    async def _answer(self, request: Request) -> Answer:
        query: dict[str, list[str]] = {}
        for name, value in request.query:
            query.setdefault(name, []).append(value)
        headers = {"accept": request.accept, "user-agent": "quorate"}
        if request.body is not None:
            headers["content-type"] = request.content_type
        if request.token:
            headers["authorization"] = f"Bearer {request.token}"
        incoming = InProcessRequest(
            request.method,
            request.path,
            query=query,
            headers=headers,
            body=request.body or b"",
            user=self._user,
        )
        try:
            if self._server.intercept is not None:
                self._server.intercept(request)
            return await self._server.ask(incoming)
        except APIError as error:
            return ServerResponse(error.status_code, msgspec.json.encode(error.status()))

    async def send(self, request: Request) -> Response:
        """See `Transport.send`."""
        self._check(request, request.method)
        try:
            async with asyncio.timeout(request.timeout_seconds):
                answer = await self._answer(request)
                if isinstance(answer, ServerResponse):
                    return Response(answer.status, answer.body, dict(answer.headers))
                if isinstance(answer, Upgrade | Takeover):
                    raise TransportError("upgraded, not answered", outcome_known=True)
                body = b"".join([chunk async for chunk in answer.chunks])
                return Response(answer.status, body, dict(answer.headers))
        except TimeoutError as error:
            raise TransportError("no answer in time", outcome_known=False) from error

    @asynccontextmanager
    async def stream(self, request: Request) -> AsyncIterator[LineStream]:
        """See `Transport.stream`."""
        self._check(request, "WATCH")
        answer = await self._answer(request)
        if isinstance(answer, Upgrade | Takeover):
            raise TransportError("upgraded, not answered", outcome_known=True)
        stream = _Stream(answer)
        self._server._streams.add(stream)
        try:
            yield stream
        finally:
            self._server._streams.discard(stream)
            await stream.close()

    async def close(self) -> None:
        """Nothing to give back."""


class _Stream:
    """The open answer to a watch."""

    def __init__(self, answer: ServerResponse | StreamResponse) -> None:
        self.status = answer.status
        self._answer = answer
        self._broken = asyncio.get_running_loop().create_future()
        self._reading: asyncio.Future[bytes] | None = None

    def break_off(self) -> None:
        """Let the reader see a lost connection."""
        if not self._broken.done():
            self._broken.set_result(None)

    async def lines(self) -> AsyncIterator[bytes]:
        """See `LineStream.lines`."""
        if isinstance(self._answer, ServerResponse):
            for line in self._answer.body.splitlines():
                yield line
            return
        rest = b""
        while not self._broken.done():
            self._reading = asyncio.ensure_future(anext(self._answer.chunks))
            await asyncio.wait((self._reading, self._broken), return_when=asyncio.FIRST_COMPLETED)
            if not self._reading.done():
                break
            try:
                *complete, rest = (rest + self._reading.result()).split(b"\n")
            except StopAsyncIteration:
                return
            for line in complete:
                if line:
                    yield line
        raise TransportError("watch broken", outcome_known=True)

    async def read(self) -> bytes:
        """See `LineStream.read`."""
        if isinstance(self._answer, ServerResponse):
            return self._answer.body
        return b"".join([chunk async for chunk in self._answer.chunks])

    async def close(self) -> None:
        """Stop reading, and let the server's side end."""
        if self._reading is not None and not self._reading.done():
            self._reading.cancel()
            with contextlib.suppress(asyncio.CancelledError, StopAsyncIteration):
                await self._reading
        aclose = getattr(getattr(self._answer, "chunks", None), "aclose", None)
        if aclose is not None:
            await aclose()


class ClientSocket:
    """One end of a connection in memory that carries whole messages; a `Socket`."""

    def __init__(
        self,
        protocol: str,
        inbox: "asyncio.Queue[bytes | str | None]",
        outbox: "asyncio.Queue[bytes | str | None]",
    ) -> None:
        self.protocol = protocol
        self._inbox = inbox
        self._outbox = outbox
        self._is_closed = False

    async def receive(self) -> bytes | str | None:
        """See `Socket.receive`."""
        message = await self._inbox.get()
        if message is None:
            # Whoever asks again hears the end again.
            self._inbox.put_nowait(None)
        return message

    async def send(self, message: bytes | str) -> None:
        """See `Socket.send`."""
        if self._is_closed:
            raise ConnectionError("closed")
        await self._outbox.put(message)

    def close(self) -> None:
        """Tell the other side that there will be no more; idempotent."""
        if not self._is_closed:
            self._is_closed = True
            self._outbox.put_nowait(None)


def socket_pair(protocol: str) -> tuple[ClientSocket, ClientSocket]:
    """Two ends of one connection; a queue in each direction, without bound since both ends are ours."""
    one: asyncio.Queue[bytes | str | None] = asyncio.Queue()
    other: asyncio.Queue[bytes | str | None] = asyncio.Queue()
    return ClientSocket(protocol, one, other), ClientSocket(protocol, other, one)
