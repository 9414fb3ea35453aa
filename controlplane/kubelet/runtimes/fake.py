"""Containers as staged states, for tests and for nodes with many pods: nothing runs.

A container runs from `start` until `exit` is called or it is stopped; output is what `say` was told.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace

from controlplane.kubelet.runtimes.interface import (
    ContainerConfig,
    ContainerState,
    ContainerStatus,
    ExecResult,
    LogOptions,
    Sandbox,
    SandboxConfig,
)
from kvstore.base.clock import Clock


class FakeRuntime:
    """See `ContainerRuntime`."""

    def __init__(self, clock: Clock, directory: str = "") -> None:
        self._clock = clock
        self._directory = directory
        self._count = 0
        self._listeners: list[Callable[[str], None]] = []
        self._output: dict[str, list[bytes]] = {}
        self.sandboxes: dict[str, Sandbox] = {}
        self.containers: dict[str, ContainerStatus] = {}
        self.configs: dict[str, ContainerConfig] = {}
        self.exec_result = ExecResult(0, b"")
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
        for listener in self._listeners:
            listener(status.pod_uid)

    def say(self, container_id: str, line: bytes) -> None:
        """Stage output."""
        self._output.setdefault(container_id, []).append(line)

    def running(self, pod_uid: str, name: str) -> ContainerStatus | None:
        """The running container of that name."""
        for status in self.list_containers(pod_uid):
            if status.name == name and status.state is ContainerState.RUNNING:
                return status
        return None

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

    def volume_dir(self, sandbox_id: str, volume: str) -> str:
        """See `ContainerRuntime`."""
        return f"{self._directory}/{self.sandboxes[sandbox_id].pod_uid}/{volume}"

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
        self.containers[container_id] = replace(
            self.containers[container_id],
            state=ContainerState.RUNNING,
            started_at=self._clock.time(),
        )

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
        return self.exec_result

    async def logs(self, container_id: str, options: LogOptions) -> AsyncIterator[bytes]:
        """See `ContainerRuntime`."""
        for line in self._output.get(container_id, ()):
            yield line

    async def close(self) -> None:
        """See `ContainerRuntime`."""
        for sandbox_id in list(self.sandboxes):
            await self.stop_sandbox(sandbox_id)

    def _id(self, kind: str) -> str:
        self._count += 1
        return f"{kind}{self._count:063d}"
