"""Sandboxes, containers and commands of a node: how each is started, as children of the spawner.

A child tells how far it got over a socket that closes when it becomes its program: a terminal's master, made inside of
the container, or the problem that kept it from starting.
"""

import contextlib
import fcntl
import os
import signal
import socket
import termios
from collections.abc import Callable, Iterator
from typing import Any

from controlplane.kubelet import syscalls
from controlplane.kubelet.network import namespaces as network
from controlplane.kubelet.runtimes.namespaces import process, rootfs, wire
from controlplane.kubelet.runtimes.namespaces.cgroups import Group
from controlplane.kubelet.runtimes.namespaces.streams import Output
from controlplane.kubelet.runtimes.namespaces.users import Maps

Json = dict[str, Any]

_SHARED = (
    ("net", syscalls.CLONE_NEWNET),
    ("ipc", syscalls.CLONE_NEWIPC),
    ("uts", syscalls.CLONE_NEWUTS),
)


class Sandbox:
    """What the containers of a pod share: namespaces, held open by their descriptors."""

    def __init__(self, sandbox_id: str, config: Json, info: Json) -> None:
        self.id = sandbox_id
        self.config = config
        self.ready = True
        self._info = info
        self._held: dict[str, int] = {}
        self._init = 0
        self._port = ""

    def shown(self) -> Json:
        """What the kubelet is told after its restart."""
        return {"sandbox": self.id, "ready": self.ready, "info": self._info}

    def start(self, cidr: str) -> None:
        """Make the namespaces and join the pod's network to the node's. Raises OSError."""
        config = self.config
        flags = syscalls.CLONE_NEWUTS
        flags |= 0 if config.get("host_network") else syscalls.CLONE_NEWNET
        flags |= 0 if config.get("host_ipc") else syscalls.CLONE_NEWIPC
        flags |= syscalls.CLONE_NEWPID if config.get("share_processes") else 0
        said, say = os.pipe()
        pid = syscalls.clone(flags, signal.SIGCHLD)
        if pid == 0:
            _hold(config, say)
        os.close(say)
        with open(said, "rb") as file:
            problem = file.readline().strip()
        try:
            if problem != b"ready":
                raise OSError(22, problem.decode() or "the sandbox died at its start")
            for name, _ in _SHARED:
                self._held[name] = os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY | os.O_CLOEXEC)
            if config.get("share_processes"):
                self._held["pid"] = os.open(f"/proc/{pid}/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
                self._init = pid
            if cidr and config.get("ip") and not config.get("host_network"):
                self._port = f"v{self.id[-10:]}"
                network.set_up_pod(self._held["net"], self._port, config["ip"], cidr)
        except BaseException:
            self._init = pid
            self.stop()
            raise
        if not self._init:
            os.kill(pid, signal.SIGKILL)

    def stop(self) -> None:
        """Let the namespaces go; they end with their last process. Idempotent."""
        self.ready = False
        if self._init:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._init, signal.SIGKILL)
            self._init = 0
        for descriptor in self._held.values():
            os.close(descriptor)
        self._held.clear()

    def enter(self) -> None:
        """For a child: step into what is shared, but for the process space."""
        for name, kind in _SHARED:
            syscalls.setns(self._held[name], kind)

    @contextlib.contextmanager
    def process_space(self, other: int | None = None) -> Any:
        """Children made in the block are part of the pod's (or another) process space, if there is one."""
        target = self._held.get("pid") if other is None else other
        if target is None:
            yield
            return
        own = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        try:
            syscalls.setns(target, syscalls.CLONE_NEWPID)
            yield
        finally:
            # A child leaves the block by exec or exit alone, so this is the parent.
            syscalls.setns(own, syscalls.CLONE_NEWPID)
            os.close(own)

    def open_socket(self) -> socket.socket:
        """A TCP socket of the pod's network."""
        if not self.ready:
            raise OSError(107, "the sandbox is not running")
        with network.inside(self._held["net"]):
            return socket.socket(socket.AF_INET, socket.SOCK_STREAM)

    @property
    def own_processes(self) -> bool:
        """Whether each container has a process space of its own."""
        return not (self.config.get("share_processes") or self.config.get("host_pid"))


def _hold(config: Json, say: int) -> None:
    """The process that namespaces are made with; with a shared process space it is that one's first."""
    try:
        try:
            socket.sethostname(config.get("hostname") or "localhost")
            if config.get("host_network") is not True:
                network.set_up_loopback()
            for name, value in (config.get("sysctls") or {}).items():
                with open("/proc/sys/" + name.replace(".", "/"), "w") as file:
                    file.write(value)
        except OSError as problem:
            os.write(say, f"{problem}\n".encode())
            return
        os.write(say, b"ready\n")
        os.close(say)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        while True:
            signal.pause()
            _reap()
    finally:
        os._exit(1)


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


class Container:
    """One run of a container."""

    def __init__(self, container_id: str, sandbox: Sandbox, info: Json, now: float) -> None:
        self.id = container_id
        self.sandbox = sandbox
        self.state = "created"
        self.created_at = now
        self.started_at = self.finished_at = 0.0
        self.exit_code = 0
        self.problem = ""
        self.oom_killed = False
        self.told = False
        self.pid = 0
        self.spec: Json = {}
        self.group: Group | None = None
        self.output: Output | None = None
        self.master: int | None = None
        self._stdin: int | None = None
        self._own_processes = True
        self._info = info

    def shown(self) -> Json:
        """What the kubelet is told."""
        return {
            "container": self.id,
            "sandbox": self.sandbox.id,
            "state": self.state,
            "created_at": self.created_at,
            "started_at": self.started_at,
            "finished_at": self.finished_at,
            "exit_code": self.exit_code,
            "problem": self.problem,
            "oom_killed": self.oom_killed,
            "info": self._info,
        }

    def start(
        self,
        spec: Json,
        group: Group | None,
        output: Output,
        maps: Maps,
        target: "Container | None" = None,
    ) -> socket.socket:
        """Start the child; returns the socket over which it tells how it went. Raises OSError.

        With a `target` it is one of that container's processes.
        """
        self.spec, self.group, self.output = spec, group, output
        streams = _Streams(stdin=spec["stdin"], tty=spec["tty"])
        own, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._own_processes = self.sandbox.own_processes and target is None
        flags = syscalls.CLONE_NEWNS | (syscalls.CLONE_NEWPID if self._own_processes else 0)

        def work() -> None:
            if group is not None:
                group.join()
            self.sandbox.enter()
            shown = dict(group.shown) if group is not None else {}
            rootfs.enter(rootfs.RootConfig(**spec["root"], cgroups=shown))
            _set_oom_score(int(spec.get("oom_score_adj") or 0))
            _become_program(spec, streams, other, maps)

        with self._space_of(target) as space, self.sandbox.process_space(space):
            self.pid = _child(flags, work, other)
        other.close()
        for descriptor, stream in streams.keep_own():
            output.add(descriptor, stream)
        self._stdin = streams.stdin
        return own

    @contextlib.contextmanager
    def _space_of(self, target: "Container | None") -> Iterator[int | None]:
        if target is None:
            yield None
            return
        if target.state != "running":
            raise OSError(107, f"container {target.id} is not running")
        space = os.open(f"/proc/{target.pid}/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        try:
            yield space
        finally:
            os.close(space)

    def started(self, problem: str, descriptors: list[int]) -> None:
        """The child has become its program, or could not."""
        self.problem = problem
        if self.state != "created":
            return
        self.state = "running"
        self.started_at = self.created_at
        if descriptors and self.output is not None:
            self.master = descriptors[0]
            self.output.add(os.dup(self.master), b"stdout")

    def ended(self, code: int, now: float) -> None:
        """The first process has ended."""
        self.state = "exited"
        self.exit_code = code
        self.finished_at = now
        self.oom_killed = code == 137 and self.group is not None and self.group.oom_kills() > 0
        if not self._own_processes:
            self._kill_rest()

    def kill(self, number: int) -> None:
        """Signal the first process."""
        if self.state != "exited" and self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def attach(self) -> tuple[int, ...]:
        """Descriptors for one who attaches: output, error output and input, or output and a terminal's master."""
        if self.output is None or self.state != "running":
            raise OSError(107, f"container {self.id} is not running")
        if self.master is not None:
            return (*self.output.attach((b"stdout",)), os.dup(self.master))
        reading = self.output.attach((b"stdout", b"stderr"))
        if self._stdin is None:
            return reading
        stdin = os.dup(self._stdin)
        if self.spec.get("stdin_once"):
            os.close(self._stdin)
            self._stdin = None
        return (*reading, stdin)

    def close_streams(self) -> None:
        """Its output is over. Idempotent."""
        if self.output is not None:
            self.output.close()
        for descriptor in (self.master, self._stdin):
            if descriptor is not None:
                os.close(descriptor)
        self.master = self._stdin = None

    def _kill_rest(self) -> None:
        """End the processes that are left in a process space shared with others."""
        with contextlib.suppress(OSError):
            os.killpg(self.pid, signal.SIGKILL)
        for folder in self.group.folders[:1] if self.group is not None else ():
            with contextlib.suppress(OSError):
                for pid in (folder / "cgroup.procs").read_text().split():
                    os.kill(int(pid), signal.SIGKILL)


class Exec:
    """A command inside a running container."""

    def __init__(self, exec_id: str, container: Container) -> None:
        self.id = exec_id
        self.pid = 0
        self._container = container

    def start(self, spec: Json, maps: Maps) -> tuple[socket.socket, list[int]]:
        """Start the child; returns the socket it tells over, and this side of its streams."""
        container = self._container
        if container.state != "running":
            raise OSError(107, f"container {container.id} is not running")
        streams = _Streams(stdin=spec["stdin"], tty=spec["tty"])
        own, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        mounts = os.open(f"/proc/{container.pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        # The process space itself is entered by way of the first process's children.
        space = os.open(f"/proc/{container.pid}/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        whole = {**container.spec, **spec}

        def work() -> None:
            if container.group is not None:
                container.group.join()
            container.sandbox.enter()
            syscalls.setns(mounts, syscalls.CLONE_NEWNS)
            _become_program(whole, streams, other, maps)

        try:
            with container.sandbox.process_space(space):
                self.pid = _child(0, work, other)
        finally:
            os.close(mounts)
            os.close(space)
        other.close()
        descriptors = [descriptor for descriptor, _ in streams.keep_own()]
        if streams.stdin is not None:
            descriptors.append(streams.stdin)
        return own, descriptors

    def kill(self) -> None:
        """End it, with what it has started in its session."""
        for end in (os.killpg, os.kill):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                end(self.pid, signal.SIGKILL)


class _Streams:
    """Pipes of a child to be; a terminal is made by the child itself."""

    def __init__(self, *, stdin: bool, tty: bool) -> None:
        self.tty = tty
        self.stdin: int | None = None
        self._own: list[tuple[int, bytes]] = []
        self._child: list[int] = []
        if tty:
            return
        if stdin:
            child, self.stdin = os.pipe()
        else:
            child = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        self._child.append(child)
        for stream in (b"stdout", b"stderr"):
            end, child = os.pipe()
            self._own.append((end, stream))
            self._child.append(child)

    def keep_own(self) -> list[tuple[int, bytes]]:
        """For the parent: close the child's ends; the reading ends of this side."""
        for descriptor in self._child:
            os.close(descriptor)
        return self._own

    def take(self, status: socket.socket) -> None:
        """For the child: make them its standard streams; a terminal's master goes to the parent."""
        ends = self._child
        if self.tty:
            master, slave = os.openpty()
            wire.send(status, {}, (master,))
            ends = [slave, slave, slave]
            fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
        for number, descriptor in enumerate(ends):
            os.dup2(descriptor, number)


def _child(flags: int, work: Callable[[], None], status: socket.socket) -> int:
    """Run `work` in a new child, which tells what goes wrong and never returns; gives its pid."""
    pid = syscalls.clone(flags, signal.SIGCHLD)
    if pid:
        return pid
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.setsid()
        work()
    except BaseException as problem:
        number = getattr(problem, "errno", None)
        words = getattr(problem, "strerror", None) or str(problem)
        if isinstance(problem, OSError) and problem.filename:
            words = f"{problem.filename}: {words}"
        with contextlib.suppress(OSError):
            wire.send(status, {"error": words, "errno": number})
    finally:
        os._exit(128)


def _set_oom_score(score: int) -> None:
    # Less than its starter's own takes a capability that only the machine's root may have.
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write(str(score))


def _become_program(spec: Json, streams: _Streams, status: socket.socket, maps: Maps) -> None:
    privileges = spec.get("privileges") or {}
    user, group = privileges.get("user"), privileges.get("group")
    groups: list[int] = []
    if user is None:
        user, own_group, groups = process.find_user(spec.get("image_user") or "")
        group = own_group if group is None else group
    groups = [*groups, *(privileges.get("groups") or ())]
    env = dict(spec["env"])
    env.setdefault("HOME", process.home_of(user))
    if spec["tty"]:
        env.setdefault("TERM", "xterm")
    directory = spec["root"].get("working_dir") or "/"
    try:
        os.chdir(directory)
    except OSError as problem:
        raise OSError(problem.errno, f"chdir to cwd ({directory!r}): {problem.strerror}") from None
    streams.take(status)
    process.become(user, group or 0, groups, privileges, maps.holds(user, group or 0))
    if not spec["argv"]:
        raise OSError(22, "no command specified")
    process.run(spec["argv"], env)
