"""Containers as staged states, for tests and for nodes with many pods: nothing runs.

A container runs from `start` until `exit` is called or it is stopped; output is what `say` was told. Commands beside it
answer with `exec_result`, and what is written to an attached session comes back as its output.
"""

import asyncio
import shutil
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace

from controlplane.kubelet.runtimes import node_network
from controlplane.kubelet.runtimes.interface import (
    ContainerConfig,
    ContainerRuntimeError,
    ContainerState,
    ContainerStatus,
    ContainerUsage,
    ExecResult,
    Feature,
    Limits,
    LogOptions,
    Sandbox,
    SandboxConfig,
    Session,
    Stream,
)
from kvstore.base.clock import Clock


class FakeRuntime:
    """See `ContainerRuntime`."""

    name = "fake"
    features = frozenset(Feature)

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._count = 0
        self._grown = asyncio.Event()
        self._sessions: dict[str, list[FakeSession]] = {}
        self._listeners: list[Callable[[str], None]] = []
        self._output: dict[str, list[bytes]] = {}
        self.sandboxes: dict[str, Sandbox] = {}
        self.containers: dict[str, ContainerStatus] = {}
        self.configs: dict[str, ContainerConfig] = {}
        self.exec_result = ExecResult(0, b"")
        self.memory: dict[str, int] = {}
        """Sizes of folders that are to be in memory."""
        self.owned: dict[str, int] = {}
        """Groups that folders were given to."""
        self.usages: dict[str, ContainerUsage] = {}
        """Staged: what containers use."""
        self.used: dict[str, int] = {}
        """Staged: what folders take."""
        self.stops: list[tuple[str, float]] = []

    def exit(self, container_id: str, code: int = 0) -> None:
        """Stage the end of a container."""
        status = self.containers[container_id]
        self.containers[container_id] = replace(
            status,
            state=ContainerState.EXITED,
            exit_code=code,
            finished_at=self._clock.time(),
            reason="Completed" if code == 0 else "Error",
        )
        for session in self._sessions.pop(container_id, ()):
            session.end(code)
        self._grown.set()
        for listener in self._listeners:
            listener(status.pod_uid)

    def say(self, container_id: str, line: bytes) -> None:
        """Stage output."""
        self._output.setdefault(container_id, []).append(line)
        self._grown.set()

    def running(self, pod_uid: str, name: str) -> ContainerStatus | None:
        """The running container of that name."""
        for status in self.list_containers(pod_uid):
            if status.name == name and status.state is ContainerState.RUNNING:
                return status
        return None

    async def start(self) -> int:
        """See `ContainerRuntime`."""
        return 0

    def on_change(self, listener: Callable[[str], None]) -> None:
        """See `ContainerRuntime`."""
        self._listeners.append(listener)

    async def run_sandbox(self, config: SandboxConfig) -> Sandbox:
        """See `ContainerRuntime`."""
        sandbox = Sandbox(self._id("s"), config.pod_uid, config.ip, True, self._clock.time())
        self.sandboxes[sandbox.id] = sandbox
        return sandbox

    async def stop_sandbox(self, sandbox_id: str) -> None:
        """See `ContainerRuntime`."""
        sandbox = self.sandboxes.get(sandbox_id)
        if sandbox is None:
            return
        self.sandboxes[sandbox_id] = replace(sandbox, ready=False)
        for status in self.list_containers(sandbox.pod_uid):
            await self.stop_container(status.id, 0)

    async def remove_sandbox(self, sandbox_id: str) -> None:
        """See `ContainerRuntime`."""
        sandbox = self.sandboxes.get(sandbox_id)
        if sandbox is None:
            return
        await self.stop_sandbox(sandbox_id)
        for status in self.list_containers(sandbox.pod_uid):
            del self.containers[status.id]
        self.sandboxes.pop(sandbox_id, None)

    def list_sandboxes(self) -> list[Sandbox]:
        """See `ContainerRuntime`."""
        return list(self.sandboxes.values())

    async def create_container(self, sandbox_id: str, config: ContainerConfig) -> str:
        """See `ContainerRuntime`."""
        status = ContainerStatus(
            id=self._id("c"),
            pod_uid=self.sandboxes[sandbox_id].pod_uid,
            name=config.name,
            attempt=config.attempt,
            state=ContainerState.CREATED,
            image=config.image,
            image_id=config.image_id,
            created_at=self._clock.time(),
        )
        self.containers[status.id] = status
        self.configs[status.id] = config
        return status.id

    async def start_container(self, container_id: str) -> None:
        """See `ContainerRuntime`."""
        status, now = self.containers[container_id], self._clock.time()
        if not self.configs[container_id].argv:
            self.exit(container_id, 128)
            self.containers[container_id] = replace(
                self.containers[container_id],
                reason="StartError",
                message="failed to start container: no command specified",
            )
            return
        self.containers[container_id] = replace(
            status, state=ContainerState.RUNNING, started_at=now
        )

    async def update_container(self, container_id: str, limits: Limits) -> None:
        """See `ContainerRuntime`."""
        self._running(container_id)
        self.configs[container_id] = replace(self.configs[container_id], limits=limits)

    async def stop_container(self, container_id: str, grace_seconds: float) -> None:
        """See `ContainerRuntime`."""
        if self.containers[container_id].state is ContainerState.RUNNING:
            self.stops.append((container_id, grace_seconds))
            self.exit(container_id, 143 if grace_seconds > 0 else 137)

    async def remove_container(self, container_id: str) -> None:
        """See `ContainerRuntime`."""
        del self.containers[container_id]

    def list_containers(self, pod_uid: str) -> list[ContainerStatus]:
        """See `ContainerRuntime`."""
        return [status for status in self.containers.values() if status.pod_uid == pod_uid]

    async def exec_sync(
        self, container_id: str, argv: Sequence[str], timeout_seconds: float
    ) -> ExecResult:
        """See `ContainerRuntime`."""
        self._running(container_id)
        return self.exec_result

    async def exec(
        self, container_id: str, argv: Sequence[str], *, stdin: bool, tty: bool
    ) -> Session:
        """See `ContainerRuntime`."""
        self._running(container_id)
        session = FakeSession()
        session.feed(Stream.STDOUT, self.exec_result.output)
        session.end(self.exec_result.exit_code)
        return session

    async def attach(self, container_id: str) -> Session:
        """See `ContainerRuntime`."""
        self._running(container_id)
        session = FakeSession()
        self._sessions.setdefault(container_id, []).append(session)
        return session

    async def open_socket(self, sandbox_id: str) -> socket.socket:
        """See `ContainerRuntime`. Pods share the network of the test."""
        if sandbox_id not in self.sandboxes:
            raise KeyError(sandbox_id)
        return node_network.open_socket()

    async def listen(self, address: str, port: int) -> socket.socket:
        """See `ContainerRuntime`. Pods share the node's network."""
        return node_network.listen(address, port)

    async def network_ended(self) -> None:
        """See `ContainerRuntime`. The machine's network does not end."""
        await asyncio.Event().wait()

    async def take_range(self, cidr: str) -> None:
        """See `ContainerRuntime`. The network is the machine's, and left as it is."""

    async def remove_tree(self, path: str) -> None:
        """See `ContainerRuntime`."""
        await asyncio.to_thread(shutil.rmtree, path, ignore_errors=True)

    async def mount_memory(self, path: str, size_bytes: int) -> None:
        """See `ContainerRuntime`."""
        self.memory[path] = size_bytes

    async def own_tree(
        self, path: str, group: int, *, read_only: bool = False, only_on_mismatch: bool = False
    ) -> None:
        """See `ContainerRuntime`."""
        self.owned[path] = group

    async def usage(self) -> Mapping[str, ContainerUsage]:
        """See `ContainerRuntime`."""
        return self.usages

    async def used_bytes(self, paths: Sequence[str]) -> list[int]:
        """See `ContainerRuntime`."""
        return [self.used.get(path, 0) for path in paths]

    async def logs(self, container_id: str, options: LogOptions) -> AsyncIterator[bytes]:
        """See `ContainerRuntime`."""
        shown = 0
        while True:
            for line in self._output.get(container_id, [])[shown:]:
                shown += 1
                yield line
            status = self.containers[container_id]
            if not options.follow or status.state is ContainerState.EXITED:
                return
            await self._grown.wait()
            self._grown.clear()

    async def close(self) -> None:
        """See `ContainerRuntime`."""
        for sandbox_id in list(self.sandboxes):
            await self.stop_sandbox(sandbox_id)

    def _running(self, container_id: str) -> None:
        if self.containers[container_id].state is not ContainerState.RUNNING:
            raise ContainerRuntimeError(f"container {container_id} is not running")

    def _id(self, kind: str) -> str:
        self._count += 1
        return f"{kind}{self._count:063d}"


class FakeSession:
    """See `Session`: what is written to it comes back."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[tuple[Stream, bytes] | None] = asyncio.Queue()
        self._code: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.size: tuple[int, int] | None = None
        """Columns and rows, once the user's terminal told them."""

    def feed(self, stream: Stream, data: bytes) -> None:
        """Stage output."""
        if data:
            self._queue.put_nowait((stream, data))

    def end(self, code: int) -> None:
        """Stage the end; idempotent."""
        if not self._code.done():
            self._code.set_result(code)
            self._queue.put_nowait(None)

    async def read(self) -> tuple[Stream, bytes] | None:
        """See `Session`."""
        item = await self._queue.get()
        if item is None:
            self._queue.put_nowait(None)
        return item

    async def write(self, data: bytes) -> None:
        """See `Session`."""
        if not self._code.done():
            self.feed(Stream.STDOUT, data)

    def close_stdin(self) -> None:
        """See `Session`."""

    def resize(self, columns: int, rows: int) -> None:
        """See `Session`."""
        self.size = (columns, rows)

    async def wait(self) -> int:
        """See `Session`."""
        return await asyncio.shield(self._code)

    async def close(self) -> None:
        """See `Session`."""
        if not self._code.done():
            self._code.set_result(137)
        self._queue.put_nowait(None)
