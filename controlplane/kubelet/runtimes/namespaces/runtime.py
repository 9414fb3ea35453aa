"""The kubelet's side of the spawner: see `ContainerRuntime`.

<root>/spawner.sock, spawner.log
<root>/node-id                                  prefix of all ids of this node
<root>/pods/<uid>/containers/<name>/<attempt>/  what a container wrote, and where its root is put together
<root>/pods/<uid>/etc/                          hosts, resolv.conf, hostname
<root>/pods/<uid>/logs/<name>/<attempt>.log
"""

import asyncio
import contextlib
import os
import secrets
import signal
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from controlplane.kubelet.runtimes.cri_log import remove_log
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
from controlplane.kubelet.runtimes.namespaces.connection import (
    Connection,
    Message,
    hold_fabric,
    start_spawner,
)
from controlplane.kubelet.runtimes.namespaces.shown_files import pod_files, program_folders
from controlplane.kubelet.runtimes.session import DescriptorSession, output_of
from kvstore.base.clock import Clock
from kvstore.base.tasks import Supervisor

_STATES = {state.value: state for state in ContainerState}
_FOLLOW_SECONDS = 0.05
"""How often a log that is followed is looked at: its writer is another process."""


@dataclass(slots=True, eq=False)
class _Container:
    status: ContainerStatus
    sandbox_id: str
    config: ContainerConfig | None
    """None for a container of an earlier life of the kubelet."""
    directory: Path
    log: Path
    ended: asyncio.Event


class NamespaceRuntime:
    """See `ContainerRuntime`."""

    name = "namespaces"

    def __init__(
        self,
        root: Path,
        clock: Clock,
        base_env: Mapping[str, str],
        cidr: str,
        orphan_seconds: float,
        fabric: Path | None = None,
    ) -> None:
        self._root = root
        self._clock = clock
        self._base_env = dict(base_env)
        self._cidr = cidr
        self._orphan_seconds = orphan_seconds
        self._fabric = fabric
        self._prefix = ""
        self._closing = False
        self._supervisor = Supervisor("namespaces runtime")
        self._connection: Connection | None = None
        self._connecting = asyncio.Lock()
        self._sandboxes: dict[str, Sandbox] = {}
        self._containers: dict[str, _Container] = {}
        self._exits: dict[str, asyncio.Future[int]] = {}
        self._listeners: list[Callable[[str], None]] = []
        self.features = frozenset(Feature) - {Feature.LIMITS, Feature.USERS}

    async def start(self) -> int:
        """See `ContainerRuntime`. Takes over a spawner that still runs, else starts one."""
        self._root.mkdir(parents=True, exist_ok=True)
        identity = self._root / "node-id"
        if not identity.exists():
            identity.write_text(secrets.token_hex(8))
        self._prefix = identity.read_text().strip()
        await self._connect()
        hello = await self._ask("hello")
        if hello["limits"]:
            self.features |= {Feature.LIMITS}
        if hello["users"]:
            self.features |= {Feature.USERS}
        for shown in hello["sandboxes"]:
            self._sandboxes[shown["sandbox"]] = Sandbox(**shown["info"], ready=shown["ready"])
        for shown in hello["containers"]:
            self._take_over(shown)
        if not hello["sandboxes"]:
            for part in self._root.glob("pods/*/*"):
                if part.name in ("containers", "etc", "logs"):
                    await self._ask("remove_tree", path=str(part))
        return 0

    async def _connect(self) -> None:
        settings = {
            "root": str(self._root.resolve()),
            "name": self._prefix,
            "cidr": self._cidr,
            "orphan_seconds": self._orphan_seconds,
        }
        if self._fabric is not None:
            await hold_fabric(self._fabric, self._orphan_seconds)
            settings["fabric"] = str(self._fabric.resolve())
        self._connection = await start_spawner(self._root, settings, self._event, self._lost)
        self._supervisor.start(self._connection.run(), "spawner")

    def on_change(self, listener: Callable[[str], None]) -> None:
        """See `ContainerRuntime`."""
        self._listeners.append(listener)

    async def run_sandbox(self, config: SandboxConfig) -> Sandbox:
        """See `ContainerRuntime`."""
        sandbox = Sandbox(self._new_id(), config.pod_uid, config.ip, True, self._clock.time())
        etc = self._pod_dir(config.pod_uid) / "etc"
        etc.mkdir(parents=True, exist_ok=True)
        hostname = config.hostname or config.name
        for name, text in (
            ("hosts", config.hosts),
            ("resolv.conf", config.resolv_conf),
            ("hostname", f"{hostname}\n"),
        ):
            if text:
                (etc / name).write_text(text)
        fields = {name: getattr(config, name) for name in config.__slots__}
        fields |= {"hostname": hostname, "sysctls": dict(config.sysctls)}
        info = {name: getattr(sandbox, name) for name in ("id", "pod_uid", "ip", "created_at")}
        await self._ask("run_sandbox", sandbox=sandbox.id, config=fields, info=info)
        self._sandboxes[sandbox.id] = sandbox
        return sandbox

    async def stop_sandbox(self, sandbox_id: str) -> None:
        """See `ContainerRuntime`."""
        sandbox = self._sandboxes.get(sandbox_id)
        if sandbox is None:
            return
        self._sandboxes[sandbox_id] = replace(sandbox, ready=False)
        await self._ask_if_there("stop_sandbox", sandbox=sandbox_id)
        for container in self._of_pod(sandbox.pod_uid):
            if container.status.state is ContainerState.RUNNING:
                await container.ended.wait()

    async def remove_sandbox(self, sandbox_id: str) -> None:
        """See `ContainerRuntime`."""
        sandbox = self._sandboxes.get(sandbox_id)
        if sandbox is None:
            return
        await self.stop_sandbox(sandbox_id)
        await self._ask_if_there("remove_sandbox", sandbox=sandbox_id)
        for container in self._of_pod(sandbox.pod_uid):
            del self._containers[container.status.id]
        self._sandboxes.pop(sandbox_id, None)
        folder = self._pod_dir(sandbox.pod_uid)
        for part in ("containers", "etc", "logs"):
            await self._remove_tree(folder / part)
        with contextlib.suppress(OSError):
            folder.rmdir()  # Unless it has volumes, which are the kubelet's.

    def list_sandboxes(self) -> list[Sandbox]:
        """See `ContainerRuntime`."""
        return list(self._sandboxes.values())

    async def create_container(self, sandbox_id: str, config: ContainerConfig) -> str:
        """See `ContainerRuntime`."""
        sandbox = self._sandboxes[sandbox_id]
        pod = self._pod_dir(sandbox.pod_uid)
        directory = pod / "containers" / config.name / str(config.attempt)
        log = pod / "logs" / config.name / f"{config.attempt}.log"
        status = ContainerStatus(
            id=self._new_id(),
            pod_uid=sandbox.pod_uid,
            name=config.name,
            attempt=config.attempt,
            state=ContainerState.CREATED,
            image=config.image,
            image_id=config.image_id,
            created_at=self._clock.time(),
        )
        for mount in config.mounts:
            if ".." in mount.container_path.split("/"):
                raise ContainerRuntimeError(
                    f"mount path {mount.container_path!r} leads out of the container"
                )
        try:
            directory.mkdir(parents=True, exist_ok=True)
            log.parent.mkdir(parents=True, exist_ok=True)
        except OSError as problem:
            raise ContainerRuntimeError(
                f"cannot make the container's directories: {problem}"
            ) from problem
        info = {
            "name": config.name,
            "attempt": config.attempt,
            "image": config.image,
            "image_id": config.image_id,
            "pod_uid": sandbox.pod_uid,
        }
        await self._ask("create", container=status.id, sandbox=sandbox_id, info=info)
        self._containers[status.id] = _Container(
            status, sandbox_id, config, directory, log, asyncio.Event()
        )
        return status.id

    async def start_container(self, container_id: str) -> None:
        """See `ContainerRuntime`."""
        container = self._containers[container_id]
        if container.config is None:
            raise ContainerRuntimeError("it was made by an earlier life of the kubelet")
        try:
            shown = await self._ask("start", container=container_id, spec=self._spec(container))
        except ContainerRuntimeError as problem:
            shown = {"problem": str(problem)}
        now = self._clock.time()
        if shown["problem"]:
            container.status = replace(
                container.status,
                state=ContainerState.EXITED,
                finished_at=now,
                exit_code=128,
                reason="StartError",
                message=f"failed to start container: {shown['problem']}",
            )
            container.ended.set()
            self._tell(container.status.pod_uid)
        elif not container.ended.is_set():
            container.status = replace(
                container.status, state=ContainerState.RUNNING, started_at=now
            )

    async def update_container(self, container_id: str, limits: Limits) -> None:
        """See `ContainerRuntime`."""
        if self._containers[container_id].status.state is not ContainerState.RUNNING:
            raise ContainerRuntimeError(f"container {container_id} is not running")
        await self._ask("update", container=container_id, limits=asdict(limits))

    async def stop_container(self, container_id: str, grace_seconds: float) -> None:
        """See `ContainerRuntime`."""
        container = self._containers[container_id]
        if container.status.state is not ContainerState.RUNNING:
            return
        if grace_seconds > 0:
            await self._ask("signal", container=container_id, signal=int(signal.SIGTERM))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(container.ended.wait(), grace_seconds)
        if not container.ended.is_set():
            await self._ask("signal", container=container_id, signal=int(signal.SIGKILL))
            await container.ended.wait()

    async def remove_container(self, container_id: str) -> None:
        """See `ContainerRuntime`."""
        container = self._containers.pop(container_id)
        await self._ask_if_there("remove", container=container_id)
        await self._remove_tree(container.directory)
        remove_log(container.log)

    def list_containers(self, pod_uid: str) -> list[ContainerStatus]:
        """See `ContainerRuntime`."""
        return [container.status for container in self._of_pod(pod_uid)]

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
        self._containers[container_id]
        exec_id = self._new_id()
        code: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._exits[exec_id] = code
        spec = {"argv": list(argv), "stdin": stdin, "tty": tty}
        try:
            _, descriptors = await self._ask_for_descriptors(
                "exec", exec=exec_id, container=container_id, spec=spec
            )
        except BaseException:
            self._exits.pop(exec_id, None)
            raise

        def kill() -> None:
            if not code.done():
                self._supervisor.start(self._kill_exec(exec_id), "kill exec")

        async def wait() -> int:
            return await asyncio.shield(code)

        if tty:
            return DescriptorSession(master=descriptors[0], wait=wait, kill=kill)
        return DescriptorSession(
            stdout=descriptors[0],
            stderr=descriptors[1],
            stdin=descriptors[2] if stdin else None,
            wait=wait,
            kill=kill,
        )

    async def attach(self, container_id: str) -> Session:
        """See `ContainerRuntime`."""
        container = self._containers[container_id]
        shown, descriptors = await self._ask_for_descriptors("attach", container=container_id)

        async def wait() -> int:
            await container.ended.wait()
            return container.status.exit_code

        if shown["tty"]:
            return DescriptorSession(
                stdout=descriptors[0], control=descriptors[1], wait=wait, kill=lambda: None
            )
        stdin = descriptors[2] if len(descriptors) > 2 else None
        return DescriptorSession(
            stdout=descriptors[0], stderr=descriptors[1], stdin=stdin, wait=wait, kill=lambda: None
        )

    async def open_socket(self, sandbox_id: str) -> socket.socket:
        """See `ContainerRuntime`."""
        self._sandboxes[sandbox_id]
        _, [descriptor] = await self._ask_for_descriptors("socket", sandbox=sandbox_id)
        made = socket.socket(fileno=descriptor)
        made.setblocking(False)
        return made

    async def listen(self, address: str, port: int) -> socket.socket:
        """See `ContainerRuntime`."""
        _, [descriptor] = await self._ask_for_descriptors("listen", address=address, port=port)
        made = socket.socket(fileno=descriptor)
        made.setblocking(False)
        return made

    async def network_ended(self) -> None:
        """See `ContainerRuntime`. The network ends with the spawner; the next request makes another one."""
        if self._connection is not None:
            await self._connection.ended.wait()

    async def take_range(self, cidr: str) -> None:
        """See `ContainerRuntime`."""
        await self._ask("take_range", range=cidr)

    async def remove_tree(self, path: str) -> None:
        """See `ContainerRuntime`."""
        await self._remove_tree(Path(path))

    async def mount_memory(self, path: str, size_bytes: int) -> None:
        """See `ContainerRuntime`."""
        await self._ask("mount_memory", path=path, size_bytes=size_bytes)

    async def own_tree(
        self, path: str, group: int, *, read_only: bool = False, only_on_mismatch: bool = False
    ) -> None:
        """See `ContainerRuntime`."""
        flags = {"read_only": read_only, "only_on_mismatch": only_on_mismatch}
        await self._ask("own_tree", path=path, group=group, **flags)

    async def usage(self) -> Mapping[str, ContainerUsage]:
        """See `ContainerRuntime`."""
        told = (await self._ask("usage"))["usage"]
        return {container_id: ContainerUsage(*amounts) for container_id, amounts in told.items()}

    async def used_bytes(self, paths: Sequence[str]) -> list[int]:
        """See `ContainerRuntime`."""
        return list((await self._ask("used_bytes", paths=list(paths)))["bytes"])

    def logs(self, container_id: str, options: LogOptions) -> AsyncIterator[bytes]:
        """See `ContainerRuntime`."""
        container = self._containers[container_id]
        return read_log(container.log, options, _Followed(container))

    async def close(self) -> None:
        """See `ContainerRuntime`. Containers run on; the spawner waits some time for the next kubelet."""
        self._closing = True
        if self._connection is not None:
            self._connection.close()
        await self._supervisor.stop()

    async def end(self) -> None:
        """End the node itself: the spawner and all that runs in it."""
        self._closing = True
        if self._connection is not None:
            await self._ask("end")
            await self._connection.ended.wait()

    # -- what the spawner says

    def _event(self, message: Message) -> None:
        if message["event"] == "exec_exited":
            code = self._exits.pop(message["exec"], None)
            if code is not None and not code.done():
                code.set_result(message["code"])
        elif message["event"] == "exited":
            container = self._containers.get(message["container"])
            if container is not None and not container.ended.is_set():
                self._ended(container, message)

    def _ended(self, container: _Container, shown: Message) -> None:
        if shown["problem"]:
            container.ended.set()
            return  # Never started: `start_container` says so.
        code = shown["exit_code"]
        reason = "OOMKilled" if shown["oom_killed"] else "Completed" if code == 0 else "Error"
        container.status = replace(
            container.status,
            state=ContainerState.EXITED,
            started_at=container.status.started_at or container.status.created_at,
            finished_at=max(shown["finished_at"], container.status.started_at),
            exit_code=code,
            reason=reason,
        )
        container.ended.set()
        self._tell(container.status.pod_uid)

    def _lost(self) -> None:
        """The spawner has died, and with it all that ran."""
        for code in self._exits.values():
            if not code.done():
                code.set_result(137)
        for container in self._containers.values():
            if not container.ended.is_set() and container.status.state is ContainerState.RUNNING:
                shown = {"problem": "", "exit_code": 137, "oom_killed": False}
                self._ended(container, {**shown, "finished_at": self._clock.time()})
        for sandbox_id, sandbox in self._sandboxes.items():
            self._sandboxes[sandbox_id] = replace(sandbox, ready=False)

    def _take_over(self, shown: Message) -> None:
        info = shown["info"]
        state = _STATES[shown["state"]]
        status = ContainerStatus(
            id=shown["container"],
            state=state,
            created_at=shown["created_at"],
            started_at=shown["started_at"],
            **info,
        )
        pod = self._pod_dir(info["pod_uid"])
        container = _Container(
            status,
            shown["sandbox"],
            None,
            pod / "containers" / info["name"] / str(info["attempt"]),
            pod / "logs" / info["name"] / f"{info['attempt']}.log",
            asyncio.Event(),
        )
        self._containers[status.id] = container
        if state is ContainerState.EXITED:
            self._ended(container, shown)

    # -- requests

    async def _ask(self, do: str, **fields: Any) -> Message:
        return (await self._ask_for_descriptors(do, **fields))[0]

    async def _ask_for_descriptors(self, do: str, **fields: Any) -> tuple[Message, list[int]]:
        if self._connection is None:
            raise ContainerRuntimeError("the runtime is not started")
        if self._connection.ended.is_set() and not self._closing:
            async with self._connecting:
                # Another request may have seen to it meanwhile.
                if self._connection.ended.is_set() and not self._closing:
                    await self._connect()
        answer, descriptors = await self._connection.ask({"do": do, **fields})
        if answer.get("unknown"):
            raise KeyError(answer["error"])
        if "error" in answer:
            raise ContainerRuntimeError(answer["error"])
        return answer, descriptors

    async def _ask_if_there(self, do: str, **fields: Any) -> None:
        """For what a spawner that died has taken along: then there is nothing left to do."""
        with contextlib.suppress(KeyError):
            await self._ask(do, **fields)

    async def _kill_exec(self, exec_id: str) -> None:
        with contextlib.suppress(ContainerRuntimeError, KeyError):
            await self._ask("kill_exec", exec=exec_id)

    async def _remove_tree(self, path: Path) -> None:
        if path.exists():
            await self._ask("remove_tree", path=str(path))

    def _spec(self, container: _Container) -> Message:
        config = container.config
        assert config is not None
        etc = self._pod_dir(container.status.pod_uid) / "etc"
        mounts = [asdict(mount) for mount in config.mounts]
        files = pod_files(etc, mounts)
        env = dict(config.env)
        working_dir = config.working_dir or "/"
        programs: list[str] = []
        if not config.rootfs:
            env = {**self._base_env, **env}
            programs = program_folders()
            if config.root:
                mounts.append({"host_path": config.root, "container_path": config.root})
                working_dir = os.path.join(config.root, config.working_dir.lstrip("/"))
        return {
            "argv": list(config.argv),
            "env": env,
            "stdin": config.stdin,
            "stdin_once": config.stdin_once,
            "tty": config.tty,
            "log": str(container.log),
            "limits": asdict(config.limits),
            "oom_score_adj": config.oom_score_adj,
            "privileges": asdict(config.privileges),
            "image_user": config.image_user,
            "target": config.target,
            "root": {
                "directory": str(container.directory.resolve()),
                "rootfs": config.rootfs,
                "programs": programs,
                "mounts": mounts,
                "files": files,
                "working_dir": working_dir,
                "read_only": config.privileges.read_only_root,
                "privileged": config.privileges.privileged,
            },
        }

    def _tell(self, pod_uid: str) -> None:
        for listener in self._listeners:
            listener(pod_uid)

    def _of_pod(self, uid: str) -> list[_Container]:
        return [c for c in self._containers.values() if c.status.pod_uid == uid]

    def _pod_dir(self, uid: str) -> Path:
        return self._root / "pods" / uid

    def _new_id(self) -> str:
        return self._prefix + secrets.token_hex(24)


class _Followed:
    """A log that another process writes: looked at now and then."""

    def __init__(self, container: _Container) -> None:
        self._container = container
        self._timer: asyncio.TimerHandle | None = None

    @property
    def closed(self) -> bool:
        """See `Followed`."""
        return self._container.status.state is ContainerState.EXITED

    def watch(self, listener: Callable[[], None]) -> None:
        """See `Followed`."""
        loop = asyncio.get_running_loop()

        def look() -> None:
            listener()
            self._timer = loop.call_later(_FOLLOW_SECONDS, look)

        self._timer = loop.call_later(_FOLLOW_SECONDS, look)

    def unwatch(self, listener: Callable[[], None]) -> None:
        """See `Followed`."""
        if self._timer is not None:
            self._timer.cancel()
