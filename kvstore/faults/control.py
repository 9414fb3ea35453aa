"""The local control socket of one member: which faults are on.

Off unless asked for (`--experimental-fault-socket PATH`). A Unix socket of mode 0600, which is all the authentication
there is: who can open it can kill the member anyway. One JSON line in, one out; at most 64 KiB a line and 16
connections; what is not a request gets an answer that says so.

    {"op": "get"}                                   -> {"ok": {"faults": {...}, "active": ["disk: fsync fails"]}}
    {"op": "set", "faults": {"disk": {"full": true}}}   the whole set anew, what is not named is off
    {"op": "merge", "faults": {"clock": {...}}}         only the parts named: network, disk, clock
    {"op": "clear"}  {"op": "clear", "kind": "disk"}    all off, or one part
    {"op": "list"}                                   -> {"ok": {"kinds": {"disk": ["slow_fsync_seconds", ...], ...}}}

Every change answers like `get`. A file beside the socket, PATH + ".json", holds the set that a member starts with, so
that a fault outlives the restart of its member; whoever supervises the member writes it.
"""

import asyncio
import contextlib
from pathlib import Path
from typing import Any, Literal

import msgspec

from kvstore.base.unix_path import private_socket, short_path
from kvstore.faults.kinds import ClockFault, DiskFault, Faults, LinkFault
from kvstore.faults.member import MemberFaults

MAX_LINE_BYTES = 64 << 10
MAX_CONNECTIONS = 16
IDLE_SECONDS = 60.0
_KINDS = {"network": LinkFault, "disk": DiskFault, "clock": ClockFault}


class FaultControlError(Exception):
    """A request to a control socket failed, in words for the operator."""


class _Request(msgspec.Struct, forbid_unknown_fields=True):
    op: Literal["get", "set", "merge", "clear", "list"]
    faults: dict[str, Any] = {}
    kind: Literal["", "network", "disk", "clock"] = ""


def initial_file(socket_path: Path) -> Path:
    """The file that holds what a member starts with."""
    return socket_path.with_name(socket_path.name + ".json")


def read_initial(socket_path: Path) -> Faults:
    """What the member starts with; none if there is no file. Raises FaultControlError for a file that is none."""
    path = initial_file(socket_path)
    try:
        return msgspec.json.decode(path.read_bytes(), type=Faults)
    except FileNotFoundError:
        return Faults()
    except (OSError, msgspec.MsgspecError) as error:
        raise FaultControlError(f"{path}: {error}") from error


class FaultControl:
    """Serves the socket of one member."""

    def __init__(self, path: Path, faults: MemberFaults) -> None:
        self._path, self._faults = path, faults
        self._server: asyncio.AbstractServer | None = None
        self._connections = 0

    async def start(self) -> None:
        """Take up the initial set and listen; a socket of an earlier life is replaced. OSError, FaultControlError."""
        try:
            self._faults.apply(read_initial(self._path))
        except ValueError as error:
            raise FaultControlError(f"{initial_file(self._path)}: {error}") from error
        self._path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(
            self._serve, sock=private_socket(self._path), limit=MAX_LINE_BYTES
        )

    async def stop(self) -> None:
        """Close and remove the socket. Idempotent."""
        if self._server is not None:
            self._server.close()
            self._server = None
            self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections += 1
        try:
            if self._connections > MAX_CONNECTIONS:
                writer.write(_encode({"error": f"more than {MAX_CONNECTIONS} connections"}))
                return
            await self._answer_lines(reader, writer)
        except (OSError, TimeoutError):
            return
        except ValueError:
            writer.write(_encode({"error": f"a line is longer than {MAX_LINE_BYTES} bytes"}))
        finally:
            self._connections -= 1
            with contextlib.suppress(OSError):
                writer.close()

    async def _answer_lines(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while True:
            async with asyncio.timeout(IDLE_SECONDS):
                line = await reader.readline()
            if not line:
                return
            writer.write(_encode(self.handle(line)))
            await writer.drain()

    def handle(self, line: bytes) -> dict[str, Any]:
        """One request line to its answer. Never raises."""
        try:
            request = msgspec.json.decode(line, type=_Request)
            if request.op == "list":
                kinds = {part: list(kind.__struct_fields__) for part, kind in _KINDS.items()}
                return {"ok": {"kinds": kinds}}
            if request.op != "get":
                self._faults.apply(self._changed(request))
        except (msgspec.MsgspecError, ValueError) as error:
            return {"error": str(error)}
        current = self._faults.current
        return {"ok": {"faults": msgspec.to_builtins(current), "active": current.describe()}}

    def _changed(self, request: _Request) -> Faults:
        current = self._faults.current
        if request.op == "clear":
            if not request.kind:
                return Faults()
            return msgspec.structs.replace(
                current, **{request.kind: getattr(Faults(), request.kind)}
            )
        asked = msgspec.convert(request.faults, type=Faults)
        if request.op == "set":
            return asked
        return msgspec.structs.replace(
            current, **{part: getattr(asked, part) for part in request.faults}
        )


def _encode(answer: dict[str, Any]) -> bytes:
    return msgspec.json.encode(answer) + b"\n"


async def ask(path: Path, timeout_seconds: float = 5.0, **request: Any) -> dict[str, Any]:
    """Send one request to the socket at `path`. Raises FaultControlError."""
    try:
        async with asyncio.timeout(timeout_seconds):
            with short_path(path) as name:
                reader, writer = await asyncio.open_unix_connection(name, limit=1 << 20)
            try:
                writer.write(msgspec.json.encode(request) + b"\n")
                line = await reader.readline()
            finally:
                writer.close()
        answer = msgspec.json.decode(line, type=dict[str, Any])
    except (OSError, TimeoutError, msgspec.MsgspecError) as error:
        raise FaultControlError(f"{path} does not answer: {error!r}") from error
    if "error" in answer:
        raise FaultControlError(str(answer["error"]))
    return dict(answer["ok"])


def set_request(faults: Faults) -> dict[str, Any]:
    """The fields of a request that sets `faults`."""
    return {"op": "set", "faults": msgspec.to_builtins(faults)}
