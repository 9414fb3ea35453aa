"""Containers as child processes of the agent, each leading a session and process group of its own.

There is no isolation: no namespace, no resource limit, the user of the agent. What a pod gets is a private directory,
an environment, its own loopback address to bind (POD_IP) and captured output. So mount paths cannot be real paths: a
volume mounted at /data is found at ./data below the working directory, and at $QUORATE_VOLUME_<NAME>.

    <root>/node-id                          prefix of all container ids of this node
    <root>/running/<pgid>                   what the watchdog has to kill
    <root>/pods/<uid>/volumes/<name>/
    <root>/pods/<uid>/containers/<name>/rootfs/     working directory, with links to volumes
    <root>/pods/<uid>/logs/<name>/<attempt>.log
"""

import asyncio
import contextlib
import os
import re
import secrets
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from controlplane.kubelet.runtimes.cri_log import CriLogWriter, read_log, remove_log
from controlplane.kubelet.runtimes.interface import (
    ContainerConfig,
    ContainerRuntimeError,
    ContainerState,
    ContainerStatus,
    ExecResult,
    LogOptions,
    Sandbox,
    SandboxConfig,
)
from controlplane.kubelet.runtimes.process.leftovers import (
    MARK,
    Watchdog,
    die_with_parent,
    kill_group,
    kill_leftovers,
)
from kvstore.base.clock import Clock
from kvstore.base.log import get_logger

_log = get_logger("runtime")

_DRAIN_SECONDS = 0.2
"""How long output is still read after the first process ended, if others keep the pipe open."""


@dataclass(slots=True, eq=False)
class _Container:
    status: ContainerStatus
    config: ContainerConfig
    directory: Path
    log: CriLogWriter
    transport: asyncio.SubprocessTransport | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class _Output(asyncio.SubprocessProtocol):
    """Feeds the pipes of a child to its log and reports its end."""

    def __init__(self, log: CriLogWriter, on_exit: Callable[[], None]) -> None:
        self._log = log
        self._on_exit = on_exit

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self._log.feed(b"stdout" if fd == 1 else b"stderr", data)

    def process_exited(self) -> None:
        self._on_exit()

    def connection_lost(self, error: Exception | None) -> None:
        # The pipes are at their end: nothing more can be written.
        self._log.close()


class ProcessRuntime:
    """See `ContainerRuntime`. Call `start` before anything else."""

    def __init__(self, root: Path, clock: Clock, base_env: Mapping[str, str]) -> None:
        self._root = root
        self._clock = clock
        self._base_env = dict(base_env)
        self._prefix = ""
        self._watchdog = Watchdog(root / "running")
        self._sandboxes: dict[str, Sandbox] = {}
        self._containers: dict[str, _Container] = {}
        self._listeners: list[Callable[[str], None]] = []

    def start(self) -> int:
        """Kill and remove what an earlier life left; returns how many processes that were."""
        self._root.mkdir(parents=True, exist_ok=True)
        identity = self._root / "node-id"
        if not identity.exists():
            identity.write_text(secrets.token_hex(8))
        self._prefix = identity.read_text().strip()
        killed = kill_leftovers(self._root / "running", self._prefix)
        shutil.rmtree(self._root / "pods", ignore_errors=True)
        self._watchdog.start()
        return killed

    def on_change(self, listener: Callable[[str], None]) -> None:
        """See `ContainerRuntime`."""
        self._listeners.append(listener)

    async def run_sandbox(self, config: SandboxConfig) -> Sandbox:
        """See `ContainerRuntime`."""
        self._pod_dir(config.pod_uid).mkdir(parents=True, exist_ok=True)
        sandbox = Sandbox(self._new_id(), config.pod_uid, config.ip, True, self._clock.time())
        self._sandboxes[sandbox.id] = sandbox
        return sandbox

    async def stop_sandbox(self, sandbox_id: str) -> None:
        """See `ContainerRuntime`."""
        sandbox = self._sandboxes.get(sandbox_id)
        if sandbox is None:
            return
        self._sandboxes[sandbox_id] = replace(sandbox, ready=False)
        for container in self._of_pod(sandbox.pod_uid):
            await self.stop_container(container.status.id, 0)

    async def remove_sandbox(self, sandbox_id: str) -> None:
        """See `ContainerRuntime`."""
        sandbox = self._sandboxes.get(sandbox_id)
        if sandbox is None:
            return
        await self.stop_sandbox(sandbox_id)
        for container in self._of_pod(sandbox.pod_uid):
            container.log.close()
            del self._containers[container.status.id]
        self._sandboxes.pop(sandbox_id, None)
        await asyncio.to_thread(shutil.rmtree, self._pod_dir(sandbox.pod_uid), ignore_errors=True)

    def volume_dir(self, sandbox_id: str, volume: str) -> str:
        """See `ContainerRuntime`."""
        directory = self._pod_dir(self._sandboxes[sandbox_id].pod_uid) / "volumes" / volume
        directory.mkdir(parents=True, exist_ok=True)
        return str(directory)

    async def create_container(self, sandbox_id: str, config: ContainerConfig) -> str:
        """See `ContainerRuntime`."""
        uid = self._sandboxes[sandbox_id].pod_uid
        root = self._pod_dir(uid) / "containers" / config.name / "rootfs"
        root.mkdir(parents=True, exist_ok=True)
        for mount in config.mounts:
            _link(root, mount.container_path, mount.host_path)
        directory = Path(config.root) if config.root else root
        directory = directory / config.working_dir.lstrip("/")
        logs = self._pod_dir(uid) / "logs" / config.name
        try:
            if not config.root:
                directory.mkdir(parents=True, exist_ok=True)
            logs.mkdir(parents=True, exist_ok=True)
            log = CriLogWriter(logs / f"{config.attempt}.log", self._clock)
        except OSError as problem:
            raise ContainerRuntimeError(
                f"cannot make the container's directories: {problem}"
            ) from problem
        status = ContainerStatus(
            id=self._new_id(),
            pod_uid=uid,
            name=config.name,
            attempt=config.attempt,
            state=ContainerState.CREATED,
            image=config.image,
            image_id=config.image_id,
            created_at=self._clock.time(),
        )
        self._containers[status.id] = _Container(status, config, directory, log)
        return status.id

    async def start_container(self, container_id: str) -> None:
        """See `ContainerRuntime`."""
        container = self._containers[container_id]
        now = self._clock.time()
        if not container.config.argv:
            self._start_failed(container, "no command specified")
            return
        try:
            transport, _ = await asyncio.get_running_loop().subprocess_exec(
                lambda: _Output(container.log, lambda: self._exited(container)),
                *container.config.argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=container.directory,
                env=self._environment(container),
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
        except OSError as problem:
            self._start_failed(
                container, f'exec: "{container.config.argv[0]}": {problem.strerror or problem}'
            )
            return
        container.transport = transport
        pid = transport.get_pid()
        if not container.ended.is_set():
            self._watchdog.add(pid, container_id)
            container.status = replace(
                container.status, state=ContainerState.RUNNING, started_at=now
            )

    async def stop_container(self, container_id: str, grace_seconds: float) -> None:
        """See `ContainerRuntime`."""
        container = self._containers[container_id]
        if container.transport is None or container.ended.is_set():
            return
        group = container.transport.get_pid()
        if grace_seconds > 0:
            kill_group(group, signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(container.ended.wait(), grace_seconds)
        if not container.ended.is_set():
            kill_group(group, signal.SIGKILL)
            await container.ended.wait()

    async def remove_container(self, container_id: str) -> None:
        """See `ContainerRuntime`."""
        container = self._containers.pop(container_id)
        container.log.close()
        remove_log(container.log.path)

    def list_containers(self, pod_uid: str) -> list[ContainerStatus]:
        """See `ContainerRuntime`."""
        return [container.status for container in self._of_pod(pod_uid)]

    def pid(self, container_id: str) -> int:
        """The first process of a running container."""
        transport = self._containers[container_id].transport
        return transport.get_pid() if transport is not None else 0

    async def exec_sync(
        self, container_id: str, argv: Sequence[str], timeout_seconds: float
    ) -> ExecResult:
        """See `ContainerRuntime`."""
        container = self._containers[container_id]
        try:
            process = await asyncio.create_subprocess_exec(
                *argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd=container.directory,
                env=self._environment(container),
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
        except OSError as problem:
            return ExecResult(126, f'exec: "{argv[0]}": {problem.strerror or problem}'.encode())
        try:
            output, _ = await asyncio.wait_for(process.communicate(), timeout_seconds)
        except BaseException:
            kill_group(process.pid, signal.SIGKILL)
            await process.wait()
            raise
        return ExecResult(process.returncode or 0, output)

    def logs(self, container_id: str, options: LogOptions) -> AsyncIterator[bytes]:
        """See `ContainerRuntime`."""
        container = self._containers[container_id]
        writer = None if container.log.closed else container.log
        return read_log(container.log.path, options, writer)

    async def close(self) -> None:
        """See `ContainerRuntime`."""
        for container in list(self._containers.values()):
            await self.stop_container(container.status.id, 0)
            if container.transport is not None:
                container.transport.close()
            container.log.close()
        self._watchdog.stop()

    def _exited(self, container: _Container) -> None:
        transport = container.transport
        if transport is None or container.ended.is_set():
            # Ended before subprocess_exec returned: look again once it has.
            asyncio.get_running_loop().call_soon(self._exited_late, container)
            return
        code = transport.get_returncode() or 0
        group = transport.get_pid()
        # As with a pid namespace, the end of the first process is the end of all.
        kill_group(group, signal.SIGKILL)
        self._watchdog.remove(group)
        number = -code if code < 0 else 0
        container.status = replace(
            container.status,
            state=ContainerState.EXITED,
            started_at=container.status.started_at or container.status.created_at,
            finished_at=self._clock.time(),
            exit_code=128 + number if number else code,
            reason="Completed" if code == 0 else "Error",
        )
        container.ended.set()
        asyncio.get_running_loop().call_later(_DRAIN_SECONDS, container.log.close)
        self._tell(container.status.pod_uid)

    def _exited_late(self, container: _Container) -> None:
        if not container.ended.is_set():
            self._exited(container)

    def _start_failed(self, container: _Container, message: str) -> None:
        now = self._clock.time()
        container.log.close()
        container.status = replace(
            container.status,
            state=ContainerState.EXITED,
            started_at=0.0,
            finished_at=now,
            exit_code=128,
            reason="StartError",
            message=f"failed to start container: {message}",
        )
        container.ended.set()
        self._tell(container.status.pod_uid)

    def _environment(self, container: _Container) -> dict[str, str]:
        env = {**self._base_env, "HOME": str(container.directory), "PWD": str(container.directory)}
        for mount in container.config.mounts:
            name = re.sub(r"[^A-Za-z0-9]", "_", mount.volume).upper()
            env[f"QUORATE_VOLUME_{name}"] = mount.host_path
        env.update(container.config.env)
        env[MARK] = container.status.id
        return env

    def _tell(self, pod_uid: str) -> None:
        for listener in self._listeners:
            listener(pod_uid)

    def _of_pod(self, uid: str) -> list[_Container]:
        return [c for c in self._containers.values() if c.status.pod_uid == uid]

    def _pod_dir(self, uid: str) -> Path:
        return self._root / "pods" / uid

    def _new_id(self) -> str:
        return self._prefix + secrets.token_hex(24)


def _link(root: Path, container_path: str, host_path: str) -> None:
    """Make `host_path` visible at `container_path` below `root`."""
    place = root / container_path.lstrip("/")
    if place.resolve() != place and not place.is_symlink() and root not in place.resolve().parents:
        raise ContainerRuntimeError(f"mount path {container_path!r} leads out of the container")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        if place.is_symlink():
            place.unlink()
        os.symlink(host_path, place)
    except OSError as problem:
        raise ContainerRuntimeError(f"cannot mount at {container_path}: {problem}") from problem
