"""A `Session` spoken over a connection: WebSocket or SPDY, whichever the caller asks for."""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from controlplane.api.streams import (
    ERROR,
    REMOTE_COMMAND_PROTOCOLS,
    RESIZE,
    STDERR,
    STDIN,
    STDOUT,
)
from controlplane.kubelet.runtimes.interface import Session
from controlplane.kubelet.runtimes.session import output_of
from controlplane.kubelet.server.channels import (
    SPDY_PROTOCOLS,
    Channels,
    SpdyChannels,
    WebSocketChannels,
    agreed,
    asks_for_spdy,
    has_resize,
    spdy_headers,
)
from controlplane.program.takeover import TakenPipe, take_over

PING_SECONDS = 30.0
# How long a caller has to open its streams.
_OPENING_SECONDS = 30.0
_LONGEST_SIZE = 1024


@dataclass(frozen=True, slots=True)
class Streams:
    """Which streams the caller wants."""

    stdin: bool
    stdout: bool
    stderr: bool
    tty: bool

    @classmethod
    def asked(cls, query: Mapping[str, str]) -> "Streams":
        """What the query says, in a kubelet's words."""
        names = ("input", "output", "error", "tty")
        stdin, stdout, stderr, tty = (query.get(n) in ("1", "true") for n in names)
        # A terminal has one output.
        return cls(stdin, stdout, stderr and not tty, tty)

    def channels(self, has_resize: bool) -> set[int]:
        """The channels that a caller opens for them, but for the error channel."""
        wanted = {STDIN: self.stdin, STDOUT: self.stdout, STDERR: self.stderr}
        wanted[RESIZE] = self.tty and has_resize
        return {channel for channel, is_wanted in wanted.items() if is_wanted}

    @property
    def any(self) -> bool:
        """Whether there is one at all."""
        return self.stdin or self.stdout or self.stderr


def success() -> dict[str, Any]:
    """The last word of a command that went well."""
    return {"metadata": {}, "status": "Success"}


def exited(code: int, argv: Sequence[str]) -> dict[str, Any]:
    """The last word of a command that ended with `code`.

    Source of the words: k8s.io/cri-streaming remotecommand/exec.go.
    """
    if code == 0:
        return success()
    command = f"error executing command [{' '.join(argv)}], exit code {code}"
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"command terminated with non-zero exit code: {command}",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }


def failure(message: str) -> dict[str, Any]:
    """The last word when the command could not be run."""
    return {
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": "InternalError",
        "details": {"causes": [{"message": message}]},
        "code": 500,
    }


async def open_socket(request: web.Request, protocols: Sequence[str]) -> web.WebSocketResponse:
    """Shake hands in the best of `protocols` that the caller offers. Raises HTTPBadRequest."""
    header = request.headers.get("Sec-WebSocket-Protocol", "")
    offered = [word.strip() for word in header.split(",") if word.strip()]
    chosen = next((one for one in protocols if one and one in offered), None)
    if chosen is None and (offered or "" not in protocols):
        raise web.HTTPBadRequest(text="no sub-protocol that is spoken here was offered\n")
    socket = web.WebSocketResponse(
        protocols=(chosen,) if chosen else (),
        compress=False,
        max_msg_size=0,
        heartbeat=PING_SECONDS,
    )
    if not socket.can_prepare(request).ok:
        raise web.HTTPBadRequest(text="Upgrade request required\n")
    await socket.prepare(request)
    return socket


class CannotBegin(Exception):
    """The command could not be run; the message says why."""


Begin = Callable[[], Awaitable[Session]]


async def respond(
    request: web.Request, streams: Streams, begin: Begin, argv: Sequence[str]
) -> web.StreamResponse:
    """Shake hands in the caller's protocol, begin, and carry streams to the end. `begin` may raise CannotBegin."""
    if asks_for_spdy(request):
        protocol = agreed(request, SPDY_PROTOCOLS)

        async def carry(pipe: TakenPipe) -> None:
            channels = SpdyChannels(pipe, protocol, streams.channels(has_resize(protocol)))
            try:
                async with asyncio.timeout(_OPENING_SECONDS):
                    await channels.opened()
                await _run(channels, streams, begin, argv)
            except (TimeoutError, ConnectionError):
                pass  # The caller is gone, or does not go on.

        return await take_over(request, 101, spdy_headers(protocol), carry)
    socket = await open_socket(request, REMOTE_COMMAND_PROTOCOLS)
    await _run(WebSocketChannels(socket), streams, begin, argv)
    return socket


async def _run(channels: Channels, streams: Streams, begin: Begin, argv: Sequence[str]) -> None:
    command = RemoteCommand(channels, streams)
    try:
        session = await begin()
    except CannotBegin as problem:
        await command.end(failure(f"Internal error occurred: {problem}"))
    else:
        await command.serve(session, argv)


class RemoteCommand:
    """One connection that carries the streams of a command."""

    def __init__(self, channels: Channels, streams: Streams) -> None:
        self._channels = channels
        self._streams = streams

    async def serve(self, session: Session, argv: Sequence[str]) -> None:
        """Carry streams both ways until the command has ended or the caller is gone; closes the session."""
        # An empty message on the first stream tells that all is set up.
        first = STDOUT if self._streams.stdout else STDERR if self._streams.stderr else ERROR
        await self._channels.send(first, b"")
        try:
            async with asyncio.TaskGroup() as group:
                incoming = group.create_task(self._listen(session))
                status = await self._speak(session, argv)
                incoming.cancel()
            await self.end(status)
        except* (ConnectionError, _Left):
            pass  # The caller is gone; there is nobody to tell.
        finally:
            await session.close()

    async def end(self, status: dict[str, Any]) -> None:
        """Tell how it went and hang up."""
        if self._channels.has_status:
            await self._channels.send(ERROR, json.dumps(status).encode())
        elif status["status"] != "Success":
            await self._channels.send(ERROR, status["message"].encode())
        await self._channels.close()

    async def _speak(self, session: Session, argv: Sequence[str]) -> dict[str, Any]:
        async for stream, data in output_of(session):
            if self._streams.stdout if stream == STDOUT else self._streams.stderr:
                await self._channels.send(int(stream), data)
        return exited(await session.wait(), argv)

    async def _listen(self, session: Session) -> None:
        sizes = ""
        while True:
            frame = await self._channels.receive()
            if frame is None:
                raise _Left
            if frame.channel == STDIN and self._streams.stdin:
                if frame.is_end:
                    session.close_stdin()
                else:
                    await session.write(frame.data)
            elif frame.channel == RESIZE:
                sizes = _resize(session, sizes + frame.data.decode("utf-8", "replace"))


def _resize(session: Session, text: str) -> str:
    """Carry out the sizes in a text, one JSON object after the other; what is left of it that is not whole yet."""
    while text := text.lstrip():
        try:
            size, end = json.JSONDecoder().raw_decode(text)
        except ValueError:
            return text if len(text) < _LONGEST_SIZE else ""
        text = text[end:]
        with contextlib.suppress(ValueError, KeyError, TypeError, OverflowError):
            session.resize(int(size["Width"]), int(size["Height"]))
    return ""


class _Left(Exception):
    """The caller has hung up."""
