"""Requests to the spawner and its answers, on the kubelet's event loop."""

import asyncio
import contextlib
import fcntl
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import controlplane
from controlplane.kubelet.runtimes.interface import ContainerRuntimeError
from controlplane.kubelet.runtimes.namespaces import wire

Message = dict[str, Any]

_START_SECONDS = 30.0
_BOOT = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); "
    "from controlplane.kubelet.runtimes.namespaces.spawner import main; main()"
)


class Connection:
    """One kubelet's line to the spawner of its node."""

    def __init__(
        self,
        connected: socket.socket,
        on_event: Callable[[Message], None],
        on_lost: Callable[[], None],
    ) -> None:
        self._socket = connected
        self._socket.setblocking(False)
        self._on_event = on_event
        self._on_lost = on_lost
        self._next = 0
        self._waiting: dict[int, asyncio.Future[tuple[Message, list[int]]]] = {}
        self._sending = asyncio.Lock()
        self.ended = asyncio.Event()

    async def run(self) -> None:
        """Read answers and events until the spawner is gone."""
        loop = asyncio.get_running_loop()
        arrived = asyncio.Event()
        loop.add_reader(self._socket.fileno(), arrived.set)
        try:
            while True:
                try:
                    message, descriptors = wire.receive(self._socket)
                except BlockingIOError:
                    arrived.clear()
                    await arrived.wait()
                    continue
                self._take(message, descriptors)
        except OSError:
            pass
        finally:
            loop.remove_reader(self._socket.fileno())
            self._socket.close()
            lost = ContainerRuntimeError("the node's spawner is gone")
            for future in self._waiting.values():
                if not future.done():
                    future.set_exception(lost)
            self.ended.set()
            self._on_lost()

    async def ask(self, message: Message) -> tuple[Message, list[int]]:
        """Send a request; its answer. Raises ContainerRuntimeError when the spawner is gone."""
        self._next += 1
        number = self._next
        future: asyncio.Future[tuple[Message, list[int]]]
        future = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            async with self._sending:
                await self._send({"id": number, **message})
            return await future
        finally:
            self._waiting.pop(number, None)

    def close(self) -> None:
        """Hang up; the spawner runs on."""
        if not self.ended.is_set():
            self._socket.shutdown(socket.SHUT_RDWR)

    async def _send(self, message: Message) -> None:
        while True:
            try:
                wire.send(self._socket, message)
            except BlockingIOError:
                await asyncio.sleep(0.005)  # The spawner is busy; it reads on in a moment.
            except OSError as problem:
                raise ContainerRuntimeError("the node's spawner is gone") from problem
            else:
                return

    def _take(self, message: Message, descriptors: list[int]) -> None:
        if "event" in message:
            self._on_event(message)
            return
        future = self._waiting.get(message["id"])
        if future is None or future.done():
            for descriptor in descriptors:
                os.close(descriptor)
        else:
            future.set_result((message, descriptors))


async def start_spawner(
    root: Path,
    settings: Mapping[str, Any],
    on_event: Callable[[Message], None],
    on_lost: Callable[[], None],
) -> Connection:
    """Connect to the spawner of `root`, which is started if there is none. Raises ContainerRuntimeError."""
    with contextlib.suppress(OSError):
        return Connection(wire.connect(root), on_event, on_lost)
    await _launch(root, settings)
    return Connection(wire.connect(root), on_event, on_lost)


async def hold_fabric(folder: Path, orphan_seconds: float) -> None:
    """Make sure that the fabric of `folder` is there: a spawner that runs nothing. Raises ContainerRuntimeError."""
    folder.mkdir(parents=True, exist_ok=True)
    # Nodes that start together must not start it twice.
    with open(folder / "lock", "w") as lock:
        await asyncio.to_thread(fcntl.flock, lock, fcntl.LOCK_EX)
        with contextlib.suppress(OSError):
            wire.connect(folder).close()
            return
        root = str(folder.resolve())
        await _launch(
            folder, {"root": root, "name": "fabric", "cidr": "", "orphan_seconds": orphan_seconds}
        )


async def _launch(root: Path, settings: Mapping[str, Any]) -> None:
    source = str(Path(controlplane.__file__).resolve().parents[1])
    with open(root / "spawner.log", "ab") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-S", "-c", _BOOT, source, json.dumps(settings),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, start_new_session=True,
            cwd="/",
        )  # fmt: skip
    try:
        async with asyncio.timeout(_START_SECONDS):
            said, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise ContainerRuntimeError("the node's spawner did not start in time") from None
    try:
        answer = json.loads(said)
    except ValueError:
        answer = {"error": f"it died; see {root}/spawner.log"}
    if not answer.get("ready"):
        step = f"{answer['step']}: " if "step" in answer else ""
        raise ContainerRuntimeError(f"the node's spawner cannot start: {step}{answer['error']}")


def namespaces_of(root: Path) -> dict[str, int]:
    """Descriptors of a node's own namespaces, by kind: what a program enters to run in it. Raises OSError."""
    with wire.connect(root) as connected:
        wire.send(connected, {"id": 0, "do": "namespaces"})
        message, descriptors = wire.receive(connected)
    if "error" in message:
        raise OSError(message["error"])
    return dict(zip(message["kinds"], descriptors, strict=True))


def node_socket(root: Path, kind: socket.SocketKind = socket.SOCK_STREAM) -> socket.socket:
    """A socket, non-blocking, of a node's own network, from which all pods are reached. Raises OSError."""
    with wire.connect(root) as connected:
        wire.send(connected, {"id": 0, "do": "node_socket", "udp": kind == socket.SOCK_DGRAM})
        message, descriptors = wire.receive(connected)
    if "error" in message:
        raise OSError(message["error"])
    made = socket.socket(fileno=descriptors[0])
    made.setblocking(False)
    return made


def end_node(root: Path, timeout_seconds: float = 10.0) -> bool:
    """End the spawner of `root` with all it runs, and wait for that; false if there is none."""
    try:
        connected = wire.connect(root)
    except OSError:
        return False
    with connected:
        connected.settimeout(timeout_seconds)
        with contextlib.suppress(OSError):
            wire.send(connected, {"id": 0, "do": "end"})
            while True:
                wire.receive(connected)
    return True
