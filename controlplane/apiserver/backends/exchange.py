"""One request and its answer in HTTP/1.1 over a connection that stands already, whatever it runs through.

A connection serves one exchange. The answer's head is bounded, its body is not: it is handed on as it comes.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

Headers = Sequence[tuple[str, str]]
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]

HEAD_BYTES = 256 * 1024
"""The longest head of an answer, and so the reading limit of a connection's reader."""
_CHUNK = 64 * 1024
_LAST_LINE = 4096
_BODILESS = (204, 304)


class BadAnswerError(Exception):
    """What came is not the answer of an HTTP server; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Head:
    """The first part of an answer; header names as they came."""

    status: int
    headers: Headers

    def values(self, name: str) -> list[str]:
        """All values of a header, by its name in lower case."""
        return [value for key, value in self.headers if key.lower() == name]

    def value(self, name: str) -> str:
        """The first value of a header, else empty."""
        return next(iter(self.values(name)), "")


def head_bytes(method: str, target: str, headers: Headers) -> bytes:
    """The head of a request; ValueError for a header that would not be one line."""
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
    if any("\r" in line or "\n" in line for line in lines):
        raise ValueError("a header is not one line")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape")


class Exchange:
    """Send with `send`, then read `head` and, but for a switch of protocols, `body`."""

    def __init__(self, streams: Streams) -> None:
        self.reader, self.writer = streams
        self._sending: asyncio.Future[None] | None = None
        self._has_body = True

    def send(
        self,
        method: str,
        target: str,
        headers: Headers,
        body: AsyncIterator[bytes] | None = None,
        *,
        is_chunked: bool = False,
    ) -> None:
        """Send a request; its body goes out while the answer is waited for: a server may answer before it ends."""
        self.writer.write(head_bytes(method, target, headers))
        # Compat: an answer to HEAD tells the length of a body that does not come.
        self._has_body = method != "HEAD"
        if body is not None:
            self._sending = asyncio.ensure_future(self._send_body(body, is_chunked=is_chunked))

    async def _send_body(self, body: AsyncIterator[bytes], *, is_chunked: bool) -> None:
        async for chunk in body:
            if not chunk:
                continue
            if is_chunked:
                chunk = b"%x\r\n%b\r\n" % (len(chunk), chunk)
            self.writer.write(chunk)
            await self.writer.drain()
        if is_chunked:
            self.writer.write(b"0\r\n\r\n")
            await self.writer.drain()

    async def head(self) -> Head:
        """The answer's head. Raises BadAnswerError, OSError, and what kept the body from being sent."""
        reading = asyncio.ensure_future(self._read_head())
        try:
            if self._sending is not None:
                await asyncio.wait((reading, self._sending), return_when=asyncio.FIRST_COMPLETED)
                if not reading.done() and self._sending.done():
                    failure = self._sending.exception()
                    # A server that answers early and hangs up cuts the body: its answer counts.
                    if failure is not None and not isinstance(failure, OSError):
                        raise failure
            return await reading
        finally:
            reading.cancel()

    async def _read_head(self) -> Head:
        while True:
            try:
                raw = await self.reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError as error:
                what = "EOF" if not error.partial else "unexpected EOF"
                raise BadAnswerError(what) from error
            except asyncio.LimitOverrunError as error:
                raise BadAnswerError("the head of the answer is too long") from error
            head = parse_head(raw)
            if head.status >= 200 or head.status == 101:
                return head

    async def body(self, head: Head) -> AsyncIterator[bytes]:
        """The body in pieces. Raises BadAnswerError when it ends before its end."""
        if not self._has_body or head.status in _BODILESS:
            return
        if head.value("transfer-encoding").lower().endswith("chunked"):
            async for chunk in self._chunks():
                yield chunk
            return
        length = head.value("content-length")
        left = int(length) if length.isascii() and length.isdigit() else None
        while left is None or left > 0:
            data = await self.reader.read(_CHUNK if left is None else min(_CHUNK, left))
            if not data:
                if left is None:
                    return
                raise BadAnswerError("unexpected EOF")
            left = None if left is None else left - len(data)
            yield data

    async def _chunks(self) -> AsyncIterator[bytes]:
        while size := await self._chunk_size():
            while size:
                data = await self.reader.read(min(_CHUNK, size))
                if not data:
                    raise BadAnswerError("unexpected EOF")
                size -= len(data)
                yield data
            await self._line()
        while await self._line():
            pass  # Trailers: nobody was told that they would come.

    async def _chunk_size(self) -> int:
        text = (await self._line()).partition(b";")[0].strip()
        try:
            return int(text, 16)
        except ValueError:
            raise BadAnswerError("malformed chunked encoding") from None

    async def _line(self) -> bytes:
        line = await self.reader.readline()
        if not line.endswith(b"\n") or len(line) > _LAST_LINE:
            raise BadAnswerError("malformed chunked encoding")
        return line.rstrip(b"\r\n")

    async def close(self) -> None:
        """Hang up; idempotent."""
        if self._sending is not None and not self._sending.done():
            self._sending.cancel()
            await asyncio.wait((self._sending,))
        self.writer.close()


def parse_head(raw: bytes) -> Head:
    """The head of an answer, up to the empty line. Raises BadAnswerError."""
    first, *lines = raw.decode("utf-8", "surrogateescape").split("\r\n")
    words = first.split(" ", 2)
    is_one = len(words) >= 2 and words[0].startswith("HTTP/1.") and len(words[1]) == 3
    if not is_one or not (words[1].isascii() and words[1].isdigit()):
        raise BadAnswerError(f'malformed HTTP response "{first[:80]}"')
    headers = []
    for line in filter(None, lines):
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise BadAnswerError("malformed MIME header line")
        headers.append((name, value.strip()))
    return Head(int(words[1]), tuple(headers))
