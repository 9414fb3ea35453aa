"""A request passed on to a server behind this one, and its answer passed back.

Bodies pass as they come, whatever their size; only HTML is held back, up to a bound, to rewrite its links. A request
for another protocol becomes one connection through this server once the other one has agreed.

Source: apimachinery/pkg/util/proxy/upgradeaware.go and transport.go.
"""

import asyncio
import contextlib
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from controlplane.apiserver.backends import headers as rules
from controlplane.apiserver.backends.exchange import BadAnswerError, Exchange, Head, Streams
from controlplane.apiserver.backends.links import PATH_SAFE, Links
from controlplane.apiserver.http.messages import (
    Answer,
    Pipe,
    Request,
    Response,
    StreamResponse,
    Takeover,
)
from controlplane.apiserver.nodes.kubelet import UnreachableError

_CHUNK = 64 * 1024
# Longer pages come through as they are: holding them back costs this server's memory.
_LONGEST_PAGE = 8 * 1024 * 1024
_REFUSAL_SECONDS = 10.0
_USUAL = rules.Secrets()


class BackendError(Exception):
    """The server behind this one gave no answer that could be passed back; the message says why.

    `is_dial` tells that no connection for another protocol came about, which is told in other words.
    """

    def __init__(self, message: str, *, is_dial: bool = False) -> None:
        super().__init__(message)
        self.is_dial = is_dial


@dataclass(frozen=True, slots=True)
class Backend:
    """Where a request goes.

    `path` is what is asked for there, decoded; `authority` names the server in links; `prefix` is the path of this
    server in front of it. `extra` are headers in place of the client's, `secrets` headers that are not passed on;
    `host` is what the server is called, if not what the client calls this one, `query` what stands in place of the
    client's.
    """

    connect: Callable[[], Awaitable[Streams]]
    authority: str
    path: str
    prefix: str
    extra: Sequence[tuple[str, str]] = ()
    secrets: rules.Secrets = _USUAL
    host: str = ""
    query: str | None = None


def redirect(request: Request) -> Response:
    """To the same path with a slash at the end, from which relative links lead on."""
    query = f"?{request.incoming.raw_query}" if request.incoming.raw_query else ""
    return Response(301, b"", "", {"Location": f"{request.path}/{query}"})


async def forward(request: Request, backend: Backend) -> Answer:
    """Pass a request on. Raises BackendError; what kept the client's body from coming is raised as it is."""
    incoming = request.incoming
    given = rules.without_credentials(incoming.all_headers, backend.secrets)
    given = rules.forwarded_for(given, incoming.peer)
    if backend.host:
        given = rules.replaced(given, "host", backend.host)
    ours = {name.lower() for name, _ in backend.extra}
    given = [pair for pair in given if pair[0] not in ours]
    target = quote(backend.path or "/", safe=PATH_SAFE)
    query = incoming.raw_query if backend.query is None else backend.query
    if query:
        target += f"?{query}"
    if rules.is_upgrade(incoming.all_headers):
        return await _upgraded(request, backend, target, [*given, *backend.extra])
    sent = rules.of_the_request(given)
    uri = quote(backend.prefix + (backend.path or "/"), safe=PATH_SAFE)
    sent = [*rules.replaced(sent, "x-forwarded-uri", uri), *backend.extra]
    # Chunks are of this connection: the next one has its own.
    is_chunked = "chunked" in request.headers.get("transfer-encoding", "").lower()
    has_body = is_chunked or request.headers.get("content-length", "0") != "0"
    if is_chunked:
        sent = rules.replaced(sent, "transfer-encoding", "chunked")
        sent = [pair for pair in sent if pair[0] != "content-length"]
    exchange = Exchange(await _connected(backend, is_dial=False))
    try:
        exchange.send(
            request.method,
            target,
            _canonical(sent),
            incoming.chunks() if has_body else None,
            is_chunked=is_chunked,
        )
        head = await exchange.head()
        links = Links(backend.prefix, backend.authority, request.headers.get("host", ""))
        return await _answer(exchange, head, links)
    except (BadAnswerError, OSError, ValueError) as error:
        await exchange.close()
        raise BackendError(str(error)) from error
    except BaseException:
        await exchange.close()
        raise


async def _connected(backend: Backend, *, is_dial: bool) -> Streams:
    try:
        return await backend.connect()
    except UnreachableError as error:
        text = f"error dialing backend: {error}" if is_dial else str(error)
        raise BackendError(text, is_dial=is_dial) from error


def _canonical(headers: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(rules.canonical(name), value) for name, value in headers]


async def _answer(exchange: Exchange, head: Head, links: Links) -> StreamResponse:
    passed = rules.of_the_answer(head.headers)
    location = head.value("location")
    body = exchange.body(head)
    if location:
        passed = rules.replaced(passed, "location", links.rewritten(location))
    elif head.value("content-type").partition(";")[0].strip() == "text/html":
        first, is_whole = await _read_page(body)
        page = _page(first, head.value("content-encoding"), links) if is_whole else None
        if page is None:
            body = _after(first, body)
        else:
            passed = [pair for pair in passed if pair[0].lower() != "content-length"]
            if page:
                passed.append(("content-length", str(len(page))))
            body = _after(page, body)
    return StreamResponse(_closing(exchange, body), "", head.status, passed_on=_canonical(passed))


async def _read_page(body: AsyncIterator[bytes]) -> tuple[bytes, bool]:
    """The body, or its beginning when it is too long, and whether it is all."""
    pieces, size = [], 0
    async for piece in body:
        pieces.append(piece)
        size += len(piece)
        if size > _LONGEST_PAGE:
            return b"".join(pieces), False
    return b"".join(pieces), True


def _page(raw: bytes, encoding: str, links: Links) -> bytes | None:
    """A page with its links rewritten; None when its encoding is not known, or it is longer than is held back."""
    bits = {"": 0, "gzip": 31, "deflate": -15}.get(encoding)
    if bits is None:
        return None
    if not bits:
        return _linked(raw, links)
    if not raw:
        return raw
    unpacker = zlib.decompressobj(bits)
    try:
        plain = unpacker.decompress(raw, _LONGEST_PAGE)
    except zlib.error as error:
        raise BadAnswerError(str(error)) from error
    if unpacker.unconsumed_tail:
        return None
    packer = zlib.compressobj(wbits=bits)
    return packer.compress(_linked(plain, links)) + packer.flush()


def _linked(page: bytes, links: Links) -> bytes:
    text = page.decode("utf-8", "surrogateescape")
    return links.in_html(text).encode("utf-8", "surrogateescape")


async def _after(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    if first:
        yield first
    async for piece in rest:
        yield piece


async def _closing(exchange: Exchange, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The body, and the end of the connection after it, however it ends."""
    try:
        async for piece in body:
            yield piece
    except BadAnswerError as error:
        # The head is out: that the body was cut can only be told by cutting it.
        raise ConnectionResetError(str(error)) from error
    finally:
        await exchange.close()


async def _upgraded(
    request: Request, backend: Backend, target: str, headers: Sequence[tuple[str, str]]
) -> Answer:
    exchange = Exchange(await _connected(backend, is_dial=True))
    try:
        exchange.send(request.method, target, _canonical(headers))
        head = await exchange.head()
        if head.status == 101:
            return Takeover(_carrying(exchange), 101, passed_on=head.headers)
        if head.status < 400:
            text = f"invalid upgrade response: status code {head.status}"
            raise BackendError(text, is_dial=True)
        passed = [*rules.of_the_request(head.headers), ("Connection", "close")]
        body = _closing(exchange, _within(exchange.body(head), _REFUSAL_SECONDS))
        return StreamResponse(body, "", head.status, passed_on=passed)
    except (BadAnswerError, OSError, ValueError) as error:
        await exchange.close()
        raise BackendError(str(error), is_dial=True) from error
    except BaseException:
        await exchange.close()
        raise


async def _within(body: AsyncIterator[bytes], seconds: float) -> AsyncIterator[bytes]:
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        try:
            async with asyncio.timeout_at(deadline):
                piece = await anext(body)
        except (StopAsyncIteration, TimeoutError):
            return
        yield piece


def _carrying(exchange: Exchange) -> Callable[[Pipe], Awaitable[None]]:
    """What carries bytes both ways until either side ends."""

    async def carry(client: Pipe) -> None:
        async def there() -> None:
            while data := await client.read():
                exchange.writer.write(data)
                await exchange.writer.drain()

        async def back() -> None:
            while data := await exchange.reader.read(_CHUNK):
                await client.write(data)

        tasks = [asyncio.ensure_future(there()), asyncio.ensure_future(back())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            for task in tasks:
                if not task.cancelled():
                    with contextlib.suppress(OSError):
                        task.result()
            await exchange.close()

    return carry
