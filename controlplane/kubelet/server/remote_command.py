"""A `Session` spoken over a WebSocket, in the protocols of controlplane/api/streams.py."""

import asyncio
import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiohttp import WSMsgType, web

from controlplane.api.streams import (
    ERROR,
    REMOTE_COMMAND_PROTOCOLS,
    RESIZE,
    STDERR,
    STDIN,
    STDOUT,
    Framing,
    FramingError,
)
from controlplane.kubelet.runtimes.interface import Session
from controlplane.kubelet.runtimes.session import output_of

PING_SECONDS = 30.0


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


class RemoteCommand:
    """One connection that carries the streams of a command."""

    def __init__(self, socket: web.WebSocketResponse, streams: Streams) -> None:
        self._socket = socket
        self._streams = streams
        self._framing = Framing(socket.ws_protocol or "")

    @classmethod
    async def accept(cls, request: web.Request, streams: Streams) -> "RemoteCommand":
        """Shake hands. Raises HTTPBadRequest."""
        return cls(await open_socket(request, REMOTE_COMMAND_PROTOCOLS), streams)

    async def serve(self, session: Session, argv: Sequence[str]) -> web.WebSocketResponse:
        """Carry streams both ways until the command has ended or the caller is gone; closes the session."""
        # An empty message on the first stream tells that all is set up.
        first = STDOUT if self._streams.stdout else STDERR if self._streams.stderr else ERROR
        await self._send(first, b"")
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
        return self._socket

    async def end(self, status: dict[str, Any]) -> web.WebSocketResponse:
        """Tell how it went and hang up."""
        if self._framing.has_status:
            await self._send(ERROR, json.dumps(status).encode())
        elif status["status"] != "Success":
            await self._send(ERROR, status["message"].encode())
        await self._socket.close()
        return self._socket

    async def _speak(self, session: Session, argv: Sequence[str]) -> dict[str, Any]:
        async for stream, data in output_of(session):
            if self._streams.stdout if stream == STDOUT else self._streams.stderr:
                await self._send(int(stream), data)
        return exited(await session.wait(), argv)

    async def _listen(self, session: Session) -> None:
        while True:
            message = await self._socket.receive()
            if message.type not in (WSMsgType.BINARY, WSMsgType.TEXT):
                raise _Left
            try:
                frame = self._framing.decode(message.data)
            except FramingError:
                continue
            if frame.channel == STDIN and self._streams.stdin:
                if frame.is_end:
                    session.close_stdin()
                else:
                    await session.write(frame.data)
            elif frame.channel == RESIZE:
                with contextlib.suppress(ValueError, KeyError, TypeError, OverflowError):
                    size = json.loads(frame.data)
                    session.resize(int(size["Width"]), int(size["Height"]))

    async def _send(self, channel: int, data: bytes) -> None:
        message = self._framing.encode(channel, data)
        if isinstance(message, str):
            await self._socket.send_str(message)
        else:
            await self._socket.send_bytes(message)


class _Left(Exception):
    """The caller has hung up."""
