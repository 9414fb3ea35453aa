"""What the kubelet asks of a container runtime, in the shape and words of CRI. Start here.

A sandbox is what the containers of a pod share (network, directory); a container is one run of one container of the
spec, numbered by `attempt`. Volumes are the kubelet's: a runtime only shows a host path inside of a container. All
values are immutable; `on_change` tells that another look is worth it.

A runtime is one module or folder beside this file and a line in `registry.py`. What each must do stands in
tests/contract/test_container_runtimes.py, and in `Feature` what one may lack.
"""

import enum
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol


class Feature(enum.Enum):
    """What only some runtimes can do; a pod that needs one its node lacks is told so by an event."""

    MOUNTS = "volumes at the paths the pod asks for"
    ROOTFS = "a root file system of the container's own"
    PROCESSES = "a process space of the container's own"
    NETWORK = "an address, a localhost and a port space of the pod's own"
    HOSTNAME = "a host name of the pod's own"
    USERS = "processes under other users than the node's"
    LIMITS = "limits of memory, processor time and processes"
    SURVIVES = "containers that outlive a restart of the kubelet"


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
    """The pod's address; the node's with `host_network`."""
    hostname: str = ""
    """Default the pod's name."""
    host_network: bool = False
    host_pid: bool = False
    host_ipc: bool = False
    share_processes: bool = False
    """One process space for all containers of the pod."""
    hosts: str = ""
    """Contents of /etc/hosts; "" leaves the image's."""
    resolv_conf: str = ""
    """Contents of /etc/resolv.conf; "" leaves the image's."""
    sysctls: Mapping[str, str] = field(default_factory=dict)


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
    """A path of the host at a path of the container."""

    volume: str
    host_path: str
    container_path: str
    read_only: bool = False
    sub_path: str = ""
    """What of `host_path` is shown, where only the runtime sees what is in there; made a folder if it is not there."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a container may use; 0 is no limit."""

    memory_bytes: int = 0
    cpu_millis: int = 0
    cpu_shares: int = 0
    """Weight among neighbours when the processors are all busy, as cgroup v1 counts (1024 is one processor)."""
    pids: int = 0


@dataclass(frozen=True, slots=True)
class Privileges:
    """Who a container's processes are and what they may; None leaves it to image and runtime."""

    user: int | None = None
    group: int | None = None
    groups: Sequence[int] = ()
    add_capabilities: Sequence[str] = ()
    drop_capabilities: Sequence[str] = ()
    privileged: bool = False
    no_new_privileges: bool = False
    read_only_root: bool = False


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
    """A folder of the host to run in, for images that are local folders; else the runtime makes one."""
    rootfs: str = ""
    """The unpacked image; "" stands for the host's own programs."""
    mounts: Sequence[Mount] = ()
    stdin: bool = False
    stdin_once: bool = False
    tty: bool = False
    limits: Limits = Limits()
    oom_score_adj: int = 0
    """How soon the kernel ends it when memory runs out, -1000 to 1000, as far as the node may say so."""
    privileges: Privileges = Privileges()
    target: str = ""
    """The id of a running container whose processes it is to see and be among; "" for a space of its own."""
    image_user: str = ""
    """The image's USER (`name`, `id`, `id:group`), where the pod names no user."""


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
class ContainerUsage:
    """What a running container has used since its start, and holds now."""

    cpu_seconds: float
    memory_bytes: int
    working_set_bytes: int
    """Of the memory, what cannot be had back at once."""


@dataclass(frozen=True, slots=True)
class ExecResult:
    """What a command run inside a container gave."""

    exit_code: int
    output: bytes


class Stream(enum.IntEnum):
    """Where output came from; the numbers are those of file descriptors."""

    STDOUT = 1
    STDERR = 2


class Session(Protocol):
    """A command in a container, or the container itself, seen through its standard streams."""

    async def read(self) -> tuple[Stream, bytes] | None:
        """The next output; None once all of it was read. With a terminal all of it is STDOUT."""
        ...

    async def write(self, data: bytes) -> None:
        """Give input; returns when it was taken, and drops it when nobody reads any more."""
        ...

    def close_stdin(self) -> None:
        """No more input; idempotent."""
        ...

    def resize(self, columns: int, rows: int) -> None:
        """The user's terminal has this size now; without a terminal nothing happens."""
        ...

    async def wait(self) -> int:
        """The exit code, 128 plus the signal's number for what a signal ended."""
        ...

    async def close(self) -> None:
        """Let go: a command that still runs is killed, a container it was attached to runs on. Idempotent."""
        ...


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

    name: str
    """As it stands in the node's information."""
    features: frozenset[Feature]

    async def start(self) -> int:
        """Take over from an earlier life: keep or end what it left; returns how many processes were killed."""
        ...

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
        """Stop it and remove it with its containers and logs; idempotent."""
        ...

    def list_sandboxes(self) -> list[Sandbox]:
        """All sandboxes, oldest first."""
        ...

    async def create_container(self, sandbox_id: str, config: ContainerConfig) -> str:
        """Make a container ready to start; returns its id."""
        ...

    async def start_container(self, container_id: str) -> None:
        """Start it. A command that cannot be run makes it EXITED with reason StartError."""
        ...

    async def update_container(self, container_id: str, limits: Limits) -> None:
        """Give a running container other limits; see `Feature.LIMITS`. Raises ContainerRuntimeError."""
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

    async def exec(
        self, container_id: str, argv: Sequence[str], *, stdin: bool, tty: bool
    ) -> Session:
        """Run a command inside a running container. Raises ContainerRuntimeError if it cannot be run."""
        ...

    async def attach(self, container_id: str) -> Session:
        """The streams of a running container, from now on. Raises ContainerRuntimeError."""
        ...

    async def open_socket(self, sandbox_id: str) -> socket.socket:
        """A TCP socket, not yet connected and non-blocking, that sees the pod's network as the pod does.

        Port-forwarding connects it to the pod's localhost, probes to the pod's address.
        """
        ...

    async def listen(self, address: str, port: int) -> socket.socket:
        """A listening TCP socket, non-blocking, at an address of the node as its pods see it.

        Where pods have networks of their own the node gets the address there. Raises ContainerRuntimeError.
        """
        ...

    async def network_ended(self) -> None:
        """Wait until what was listened at has ended with the node's network, and must be listened at anew.

        Where pods share the machine's network that never happens.
        """
        ...

    async def take_range(self, cidr: str) -> None:
        """Let programs of the node listen at every address of a range, where pods have networks of their own.

        Elsewhere it does nothing. Idempotent. Raises ContainerRuntimeError.
        """
        ...

    async def remove_tree(self, path: str) -> None:
        """Delete a folder of the node that containers could write, whoever owns what is in it. Idempotent."""
        ...

    async def mount_memory(self, path: str, size_bytes: int) -> None:
        """Have a folder of the node held in memory, for its containers alone to see, until `remove_tree`.

        Without `Feature.MOUNTS` the folder stays what it is. 0 leaves the size to the machine. Idempotent.
        """
        ...

    async def own_tree(
        self, path: str, group: int, *, read_only: bool = False, only_on_mismatch: bool = False
    ) -> None:
        """Give a folder of the node and all in it to a group of the containers; see `Feature.USERS`.

        `only_on_mismatch` leaves alone what looks right at its top. Raises ContainerRuntimeError.
        """
        ...

    async def usage(self) -> Mapping[str, ContainerUsage]:
        """By id, what running containers use; without `Feature.LIMITS` nobody counts."""
        ...

    async def used_bytes(self, paths: Sequence[str]) -> list[int]:
        """What folders of the node take on disk or in memory, as their containers see them; 0 for what is not there."""
        ...

    def logs(self, container_id: str, options: LogOptions) -> AsyncIterator[bytes]:
        """The container's output."""
        ...

    async def close(self) -> None:
        """The kubelet ends: kill everything, or leave it running where the runtime `SURVIVES`."""
        ...
