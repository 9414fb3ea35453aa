"""What the agent asks of a container runtime, in the words of CRI.

A sandbox is what the containers of a pod share (address, directory); a container is one run of one container of the
spec, numbered by `attempt`. All values are immutable views; `on_change` tells that another look is worth it.
"""

import enum
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol


class ContainerState(enum.Enum):
    """The life of a container goes down this list."""

    CREATED = "created"
    RUNNING = "running"
    EXITED = "exited"


@dataclass(frozen=True, slots=True)
class SandboxConfig:
    """The pod a sandbox is for."""

    pod_uid: str
    name: str
    namespace: str
    ip: str


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A sandbox as it is now."""

    id: str
    pod_uid: str
    ip: str
    ready: bool
    created_at: float


@dataclass(frozen=True, slots=True)
class Mount:
    """A volume of the pod at a path of the container."""

    volume: str
    host_path: str
    container_path: str


@dataclass(frozen=True, slots=True)
class ContainerConfig:
    """All that is needed to start a container."""

    name: str
    attempt: int
    image: str
    image_id: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    working_dir: str = ""
    root: str = ""
    """A directory to run in, for images that are local folders; else the runtime makes one."""
    mounts: Sequence[Mount] = ()


@dataclass(frozen=True, slots=True)
class ContainerStatus:
    """A container as it is now. Times are Unix seconds, 0 for not yet."""

    id: str
    pod_uid: str
    name: str
    attempt: int
    state: ContainerState
    image: str = ""
    image_id: str = ""
    created_at: float = 0.0
    started_at: float = 0.0
    finished_at: float = 0.0
    exit_code: int = 0
    reason: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class ExecResult:
    """What a command run inside a container gave."""

    exit_code: int
    output: bytes


@dataclass(frozen=True, slots=True)
class LogOptions:
    """Which part of a log; None means no such bound."""

    follow: bool = False
    tail_lines: int | None = None
    since: float | None = None
    limit_bytes: int | None = None
    timestamps: bool = False


class ContainerRuntimeError(Exception):
    """The runtime could not do it; the message is shown to users in events."""


class ContainerRuntime(Protocol):
    """The runtime of a node. Unknown ids raise KeyError."""

    def on_change(self, listener: Callable[[str], None]) -> None:
        """Call `listener(pod_uid)` whenever a container of the pod changed its state by itself."""
        ...

    async def run_sandbox(self, config: SandboxConfig) -> Sandbox:
        """Make what the containers of a pod share."""
        ...

    async def stop_sandbox(self, sandbox_id: str) -> None:
        """Kill what still runs in it; idempotent."""
        ...

    async def remove_sandbox(self, sandbox_id: str) -> None:
        """Stop it and remove it with its containers, logs and volumes; idempotent."""
        ...

    def volume_dir(self, sandbox_id: str, volume: str) -> str:
        """The directory for the contents of a volume; made if it is not there."""
        ...

    async def create_container(self, sandbox_id: str, config: ContainerConfig) -> str:
        """Make a container ready to start; returns its id."""
        ...

    async def start_container(self, container_id: str) -> None:
        """Start it. A command that cannot be run makes it EXITED with reason StartError."""
        ...

    async def stop_container(self, container_id: str, grace_seconds: float) -> None:
        """SIGTERM, then SIGKILL after the grace; returns when it has ended. Safe to call twice."""
        ...

    async def remove_container(self, container_id: str) -> None:
        """Forget an ended container and remove its log."""
        ...

    def list_containers(self, pod_uid: str) -> list[ContainerStatus]:
        """All containers of a pod, oldest first."""
        ...

    async def exec_sync(
        self, container_id: str, argv: Sequence[str], timeout_seconds: float
    ) -> ExecResult:
        """Run a command beside the container's process; TimeoutError when it takes too long."""
        ...

    def logs(self, container_id: str, options: LogOptions) -> AsyncIterator[bytes]:
        """The container's output."""
        ...

    async def close(self) -> None:
        """Kill everything; the node goes down."""
        ...
