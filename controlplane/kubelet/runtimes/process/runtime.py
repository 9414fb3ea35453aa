"""Containers as child processes of the agent, each leading a session and process group of its own.

There is no isolation: no namespace, no resource limit, the user of the agent. What a pod gets is a private directory,
an environment, its own loopback address to bind (POD_IP) and captured output. So mount paths cannot be real paths: a
volume mounted at /data is found at ./data below the working directory, and at $QUORATE_VOLUME_<NAME>.

    <root>/node-id                          prefix of all container ids of this node
    <root>/running/<pgid>                   what the watchdog has to kill
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
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from controlplane.kubelet.runtimes import node_network
from controlplane.kubelet.runtimes.cri_log import CriLogWriter, remove_log
from controlplane.kubelet.runtimes.folders import used_bytes
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
)
from controlplane.kubelet.runtimes.log_reader import read_log
from controlplane.kubelet.runtimes.process.leftovers import (
    MARK,
    Watchdog,
    die_with_parent,
    kill_group,
    kill_leftovers,
)
from controlplane.kubelet.runtimes.process.streams import Attached, Streams, open_streams
from controlplane.kubelet.runtimes.process.terminal import TerminalProcess
from controlplane.kubelet.runtimes.session import DescriptorSession, output_of
from kvstore.base.clock import Clock
from kvstore.base.tasks import Supervisor

_DRAIN_SECONDS = 0.2
"""How long output is still read after the first process ended, if others keep the pipe open."""


Process = asyncio.subprocess.Process | TerminalProcess


@dataclass(slots=True, eq=False)
class _Container:
    status: ContainerStatus
    config: ContainerConfig
    directory: Path
    log: CriLogWriter
    process: Process | None = None
    session: DescriptorSession | None = None
    attached: set[Attached] = field(default_factory=set)
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class ProcessRuntime:
    """See `ContainerRuntime`. Call `start` before anything else."""

    name = "process"
    features: frozenset[Feature] = frozenset()

    def __init__(self, root: Path, clock: Clock, base_env: Mapping[str, str]) -> None:
        self._root = root
        self._clock = clock
        self._base_env = dict(base_env)
        self._prefix = ""
        self._watchdog = Watchdog(root / "running")
        self._sandboxes: dict[str, Sandbox] = {}
        self._containers: dict[str, _Container] = {}
        self._listeners: list[Callable[[str], None]] = []
        self._supervisor = Supervisor("process runtime")

    async def start(self) -> int:
        """See `ContainerRuntime`."""
        self._root.mkdir(parents=True, exist_ok=True)
        identity = self._root / "node-id"
        if not identity.exists():
            identity.write_text(secrets.token_hex(8))
        self._prefix = identity.read_text().strip()
        killed = kill_leftovers(self._root / "running", self._prefix)
        for pod in (self._root / "pods").glob("*"):
            for part in ("containers", "logs"):
                shutil.rmtree(pod / part, ignore_errors=True)
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
        for part in ("containers", "logs"):
            folder = self._pod_dir(sandbox.pod_uid) / part
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            self._pod_dir(
                sandbox.pod_uid
            ).rmdir()  # Unless it has volumes, which are the kubelet's.

    def list_sandboxes(self) -> list[Sandbox]:
        """See `ContainerRuntime`."""
        return list(self._sandboxes.values())

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
            log = CriLogWriter(logs / f"{config.attempt}.log", self._clock.time)
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
        config = container.config
        now = self._clock.time()
        if not config.argv:
            self._start_failed(container, "no command specified")
            return
        streams = open_streams(stdin=config.stdin, tty=config.tty)
        try:
            process = await self._spawn(container, config.argv, streams)
        except OSError as problem:
            streams.close_all()
            self._start_failed(
                container, f'exec: "{config.argv[0]}": {problem.strerror or problem}'
            )
            return
        container.process = process
        self._watchdog.add(process.pid, container_id)
        container.status = replace(container.status, state=ContainerState.RUNNING, started_at=now)
        # The first process is known by its group: the end of it is reported below, and kills the others.
        container.session = streams.session(process.wait, lambda: None)
        self._supervisor.start(self._follow_output(container, container.session), "output")
        self._supervisor.start(self._follow_end(container, process), "end")

    async def _spawn(self, container: _Container, argv: Sequence[str], streams: Streams) -> Process:
        """Start a process of the container; the child's side of `streams` is closed. Raises OSError."""
        env = self._environment(container)
        if streams.master is not None:
            terminal = TerminalProcess(
                argv, streams.child[0], container.directory, env, die_with_parent
            )
            streams.close_child()
            return terminal
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=streams.child[0],
            stdout=streams.child[1],
            stderr=streams.child[2],
            cwd=container.directory,
            env=env,
            start_new_session=True,
            preexec_fn=die_with_parent,
        )
        streams.close_child()
        return process

    async def update_container(self, container_id: str, limits: Limits) -> None:
        """See `ContainerRuntime`. There are no limits."""
        self._containers[container_id]

    async def stop_container(self, container_id: str, grace_seconds: float) -> None:
        """See `ContainerRuntime`."""
        container = self._containers[container_id]
        if container.process is None or container.ended.is_set():
            return
        group = container.process.pid
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
        process = self._containers[container_id].process
        return process.pid if process is not None else 0

    async def exec_sync(
        self, container_id: str, argv: Sequence[str], timeout_seconds: float
    ) -> ExecResult:
        """See `ContainerRuntime`."""
        try:
            session = await self.exec(container_id, argv, stdin=False, tty=False)
        except ContainerRuntimeError as problem:
            return ExecResult(126, str(problem).encode())
        try:
            async with asyncio.timeout(timeout_seconds):
                output = [data async for _, data in output_of(session)]
                return ExecResult(await session.wait(), b"".join(output))
        finally:
            await session.close()

    async def exec(
        self, container_id: str, argv: Sequence[str], *, stdin: bool, tty: bool
    ) -> Session:
        """See `ContainerRuntime`."""
        container = self._containers[container_id]
        if container.status.state is not ContainerState.RUNNING:
            raise ContainerRuntimeError(f"container {container_id} is not running")
        streams = open_streams(stdin=stdin, tty=tty)
        try:
            process = await self._spawn(container, argv, streams)
        except OSError as problem:
            streams.close_all()
            raise ContainerRuntimeError(
                f'exec: "{argv[0]}": {problem.strerror or problem}'
            ) from problem
        return streams.session(
            lambda: _exit_code(process), lambda: kill_group(process.pid, signal.SIGKILL)
        )

    async def attach(self, container_id: str) -> Session:
        """See `ContainerRuntime`."""
        container = self._containers[container_id]
        if container.session is None or container.ended.is_set():
            raise ContainerRuntimeError(f"container {container_id} is not running")

        async def ended() -> int:
            await container.ended.wait()
            return container.status.exit_code

        attached = Attached(
            container.session, ended, container.attached.discard, once=container.config.stdin_once
        )
        container.attached.add(attached)
        return attached

    async def open_socket(self, sandbox_id: str) -> socket.socket:
        """See `ContainerRuntime`. A pod shares the node's network."""
        if sandbox_id not in self._sandboxes:
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
        """See `ContainerRuntime`. There are no mounts."""

    async def own_tree(
        self, path: str, group: int, *, read_only: bool = False, only_on_mismatch: bool = False
    ) -> None:
        """See `ContainerRuntime`. All containers are one user."""

    async def usage(self) -> Mapping[str, ContainerUsage]:
        """See `ContainerRuntime`. Nobody counts."""
        return {}

    async def used_bytes(self, paths: Sequence[str]) -> list[int]:
        """See `ContainerRuntime`."""
        return await asyncio.to_thread(lambda: [used_bytes(path) for path in paths])

    def logs(self, container_id: str, options: LogOptions) -> AsyncIterator[bytes]:
        """See `ContainerRuntime`."""
        container = self._containers[container_id]
        writer = None if container.log.closed else container.log
        return read_log(container.log.path, options, writer)

    async def close(self) -> None:
        """See `ContainerRuntime`."""
        for container in list(self._containers.values()):
            await self.stop_container(container.status.id, 0)
        await self._supervisor.stop()
        for container in self._containers.values():
            container.log.close()
        self._watchdog.stop()

    async def _follow_output(self, container: _Container, session: DescriptorSession) -> None:
        try:
            async for stream, data in output_of(session):
                container.log.feed(stream.name.lower().encode(), data)
                for attached in tuple(container.attached):
                    await attached.feed(stream, data)
        finally:
            container.log.close()
            for attached in tuple(container.attached):
                attached.end()
            await session.close()

    async def _follow_end(self, container: _Container, process: Process) -> None:
        code = await _exit_code(process)
        # As with a pid namespace, the end of the first process is the end of all.
        kill_group(process.pid, signal.SIGKILL)
        self._watchdog.remove(process.pid)
        container.status = replace(
            container.status,
            state=ContainerState.EXITED,
            finished_at=self._clock.time(),
            exit_code=code,
            reason="Completed" if code == 0 else "Error",
        )
        container.ended.set()
        self._tell(container.status.pod_uid)
        # What left the group may hold the pipes open for ever.
        await asyncio.sleep(_DRAIN_SECONDS)
        container.log.close()

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


async def _exit_code(process: Process) -> int:
    code = await process.wait()
    return 128 - code if code < 0 else code


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
