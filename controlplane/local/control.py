"""The supervisor's control socket: one JSON line in, one out, over a Unix socket in the state folder.

The socket is 0600 in a folder of the operator's, which is all the authentication there is. Requests are
`{"op": ..., "names": [...], "options": {...}}`, answers `{"ok": {...}}` or `{"error": "..."}`.
"""

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from kvstore.base.unix_path import private_socket, short_path

_MAX_LINE_BYTES = 64 << 10


class ControlError(Exception):
    """A request that cannot be carried out, in words for the operator."""


class NotRunning(ControlError):
    """No supervisor answers in this state folder."""

    def __init__(self, state_dir: Path) -> None:
        super().__init__(
            f"no cluster runs in {state_dir}: start one with `quorate up`, or give its folder with --state"
        )


class Unreachable(ControlError):
    """A cluster runs there that cannot be asked: another user's, or one that is frozen."""


class NotYours(Unreachable):
    """The state folder is another user's."""

    def __init__(self, state_dir: Path) -> None:
        super().__init__(
            f"{state_dir} belongs to another user: only that user may command its cluster"
        )


class HasControlSocket(Protocol):
    """What this module needs of a layout."""

    @property
    def state_dir(self) -> Path:
        """The state folder."""
        ...

    @property
    def control_socket(self) -> Path:
        """The socket's path."""
        ...


class ControlServer:
    """Serves requests with `handle(operation, names, options)`."""

    def __init__(
        self,
        layout: HasControlSocket,
        handle: Callable[[str, Sequence[str], Mapping[str, Any]], Awaitable[dict[str, Any]]],
    ) -> None:
        self._layout = layout
        self._handle = handle
        self._server: asyncio.AbstractServer | None = None

    async def start(self) -> None:
        """Listen; a socket file of an earlier life is replaced (the state folder is locked)."""
        self._layout.control_socket.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(
            self._serve, sock=private_socket(self._layout.control_socket), limit=_MAX_LINE_BYTES
        )

    async def stop(self) -> None:
        """Close and remove the socket."""
        if self._server is not None:
            self._server.close()
        self._layout.control_socket.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answer: dict[str, Any]
        try:
            request = json.loads(await reader.readline())
            names, options = list(request.get("names", ())), dict(request.get("options", {}))
            answer = {"ok": await self._handle(str(request["op"]), names, options)}
        except ControlError as error:
            answer = {"error": str(error)}
        except (ValueError, KeyError, TypeError) as error:
            answer = {"error": f"not a control request: {error}"}
        with contextlib.suppress(OSError):
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
            writer.close()


def frozen_supervisor(layout: HasControlSocket) -> int | None:
    """The pid of the supervisor that cluster.json names, if it is stopped by a signal; Linux only."""
    try:
        pid = int(json.loads((layout.state_dir / "cluster.json").read_text())["pid"])
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return None
    return pid if state in ("T", "t") else None


def thaw(layout: HasControlSocket) -> None:
    """Let a stopped supervisor go on: it could not end its children otherwise."""
    pid = frozen_supervisor(layout)
    if pid is not None:
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGCONT)


async def ask(
    layout: HasControlSocket,
    operation: str,
    names: Sequence[str] = (),
    timeout_seconds: float = 60.0,
    options: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Send one request to the supervisor of this state folder. Raises ControlError, NotRunning or Unreachable."""
    pid = frozen_supervisor(layout)
    if pid is not None:
        raise Unreachable(
            f"the supervisor of {layout.state_dir} (pid {pid}) is stopped, as by Ctrl-Z: `fg` in its terminal or "
            f"`kill -CONT {pid}` lets it go on"
        )
    try:
        with short_path(layout.control_socket) as path:
            reader, writer = await asyncio.open_unix_connection(path, limit=16 << 20)
    except PermissionError:
        raise NotYours(layout.state_dir) from None
    except OSError:
        raise NotRunning(layout.state_dir) from None
    try:
        request = {"op": operation, "names": list(names), "options": dict(options or {})}
        writer.write(json.dumps(request).encode() + b"\n")
        line = await asyncio.wait_for(reader.readline(), timeout_seconds)
    except (OSError, TimeoutError) as error:
        raise ControlError(f"the supervisor did not answer: {error}") from error
    finally:
        writer.close()
    if not line:
        raise ControlError("the supervisor closed the connection without an answer")
    answer = json.loads(line)
    if "error" in answer:
        raise ControlError(answer["error"])
    return dict(answer["ok"])
