"""The supervisor of a local cluster: what `quorate up` runs.

Start order: lock the state folder; ports; certificates, kubeconfigs; stores; API servers; controllers, schedulers and
agents; the front; then wait until every node is Ready. Stop is the reverse. Afterwards it serves the control socket
(`controlplane.local.control`) until a signal or a `down`.
"""

import asyncio
import contextlib
import datetime
import fcntl
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from controlplane.local.control import ControlError, ControlServer
from controlplane.local.faults import OPERATIONS as FAULT_OPERATIONS
from controlplane.local.faults import FaultOperations
from controlplane.local.front import Front
from controlplane.local.links.desk import LinkDesk
from controlplane.local.nodes import end_fabric, end_nodes
from controlplane.local.settings import ClusterSettings
from controlplane.local.topology import (
    ClusterPlan,
    Layout,
    check_ports,
    plan_cluster,
    resolve_ports,
    write_operator_files,
)
from kvstore.base.clock import Clock
from kvstore.base.log import get_logger
from kvstore.base.tasks import Supervisor as Tasks
from kvstore.local.certificates import CertificateAuthority
from kvstore.local.faults import FaultDesk
from kvstore.local.probe import http_get
from kvstore.local.process import Process
from kvstore.local.spawn import CommandSpawner, WarmSpawner, make_spawner
from kvstore.local.supervisor import NotReady, ProcessSupervisor
from kvstore.local.topology import STORE_MODULES, fault_socket

log = get_logger("local.cluster")

_LOOK_SECONDS = 1.0
"""How often a running cluster looks whether its folder is still there."""

_LEASES = {"scheduler-leader": "kube-scheduler", "controllers-leader": "kube-controller-manager"}
_PRELOAD = {
    "store": STORE_MODULES,
    "apiserver": ("controlplane.apiserver.app", "controlplane.storage.kv"),
    "scheduler": ("controlplane.scheduler.app",),
    "controllers": ("controlplane.controllers.app",),
    "nodes": ("controlplane.kubelet.app", "controlplane.local.balancer.app"),
}
"""What the programs of a kind import when they run; named here as text, for nothing here uses it."""

_IS_LEADER = re.compile(rb"^etcd_server_is_leader (\d)", re.MULTILINE)


def _preload(kinds: Sequence[str]) -> list[str]:
    return [module for kind in _PRELOAD for module in _PRELOAD[kind] if kind in kinds]


def make_state_folder(layout: Layout) -> None:
    """Make it for its owner alone, or make it so: it holds keys and sockets. Raises OSError."""
    folder = layout.state_dir
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    is_ours = (folder / "ports.json").exists() or not any(folder.iterdir())
    if is_ours and folder.stat().st_mode & 0o077:
        folder.chmod(0o700)


class AlreadyRunning(Exception):
    """Another supervisor holds the state folder."""

    def __init__(self, layout: Layout) -> None:
        pid = ""
        with contextlib.suppress(OSError, ValueError, KeyError):
            pid = f" (pid {json.loads(layout.cluster_file.read_text())['pid']})"
        super().__init__(
            f"a cluster already runs in {layout.state_dir}{pid}: see `quorate status`, stop it with "
            "`quorate down`, or give another folder with --state"
        )


class LocalCluster:
    """One cluster in one state folder."""

    def __init__(
        self, settings: ClusterSettings, state_dir: Path, kinds: Sequence[str], clock: Clock
    ) -> None:
        self._asked = settings
        self.layout = Layout(state_dir)
        self.kinds = tuple(kinds)
        self._clock = clock
        self._lock: TextIO | None = None
        self.plan: ClusterPlan | None = None
        self.supervisor: ProcessSupervisor | None = None
        self._faults: FaultOperations | None = None
        self._front: Front | None = None
        self._control: ControlServer | None = None
        self._stop_asked = asyncio.Event()
        self.is_up = False
        self._tasks = Tasks("cluster")
        self._spawner: CommandSpawner | WarmSpawner | None = None

    async def start(self, on_progress: Callable[[str, str, float], None]) -> None:
        """Bring everything up; `on_progress(name, address, seconds)` as each part is ready.

        Raises AlreadyRunning, PortInUse, NotReady; nothing is left running then.
        """
        begun = self._clock.monotonic()
        self._take_lock()
        try:
            settings = resolve_ports(self._asked, self.layout)
            check_ports(settings, self.kinds)
            self._spawner = make_spawner(_preload(self.kinds))
            await self._spawner.start()
            now = datetime.datetime.fromtimestamp(self._clock.time(), datetime.UTC)
            authority = CertificateAuthority(self.layout.certificates, now)
            store = CertificateAuthority(self.layout.store_certificates, now)
            peers = CertificateAuthority(self.layout.peer_certificates, now)
            proxies = CertificateAuthority(self.layout.front_proxy_certificates, now)
            self.plan = plan_cluster(
                settings,
                self.layout,
                authority,
                store,
                peers,
                proxies,
                self.kinds,
                self._clock,
            )
            write_operator_files(self.plan, self.layout, authority)
            self.supervisor = ProcessSupervisor(self.plan.stages, self._clock, self._spawner)
            networks = {node.name: node.pod_cidr for node in self.plan.settings.nodes}
            self._faults = FaultOperations(
                self._make_desk(self.supervisor),
                LinkDesk(self.layout.state_dir, networks if "nodes" in self.kinds else {}),
                self.supervisor,
            )
            self._control = ControlServer(self.layout, self._handle)
            await self._control.start()
            self._write_cluster_file(ready=False)

            def report(process: Process, seconds: float) -> None:
                on_progress(
                    process.spec.name, next(iter(process.spec.addresses.values()), ""), seconds
                )
                self._write_cluster_file(ready=False)

            await self.supervisor.start_all(report)
            if self.plan.front is not None and self.plan.admin_tls is not None:
                host, port = self.plan.front
                self._front = Front(
                    host, port, self.plan.apiservers, self.plan.admin_tls, self._clock
                )
                await self._front.start()
            await self._wait_nodes(60.0)
            if self.plan.front is not None:
                host, port = self.plan.front
                on_progress("kubernetes", f"https://{host}:{port}", self._clock.monotonic() - begun)
            self._write_cluster_file(ready=True)
            self.is_up = True
        except BaseException as error:
            await self.stop()
            if isinstance(error, BaseExceptionGroup):
                first = error.exceptions[0]
                if isinstance(first, NotReady):
                    raise first from None
            raise

    def _make_desk(self, supervisor: ProcessSupervisor) -> FaultDesk:
        assert self.plan is not None
        settings = self.plan.settings
        names = (
            [master.name for master in settings.masters] if settings.store.fault_injection else []
        )
        return FaultDesk(
            {name: fault_socket(self.layout.state_dir, name) for name in names},
            {name: supervisor.processes[f"{name}/store"] for name in names},
            self._clock,
        )

    def _take_lock(self) -> None:
        make_state_folder(self.layout)
        lock = self.layout.lock.open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            raise AlreadyRunning(self.layout) from None
        self._lock = lock

    async def _wait_nodes(self, timeout_seconds: float) -> None:
        """Until every configured node is Ready in the API's eyes."""
        assert self.plan is not None
        if "nodes" not in self.kinds or self.plan.front is None:
            return
        wanted = {node.name for node in self.plan.settings.nodes}
        deadline = self._clock.monotonic() + timeout_seconds
        while self._clock.monotonic() < deadline:
            listed = await self.api_get("/api/v1/nodes")
            ready = {
                node["metadata"]["name"]
                for node in (listed or {}).get("items", ())
                for condition in node.get("status", {}).get("conditions", ())
                if condition["type"] == "Ready" and condition["status"] == "True"
            }
            if wanted <= ready:
                return
            await self._clock.sleep(0.1)
        missing = ", ".join(sorted(wanted - ready))
        raise TimeoutError(f"nodes not Ready after {timeout_seconds:.0f} s: {missing}")

    async def api_get(self, path: str) -> dict[str, Any] | None:
        """An object from any API server, as the administrator; None if there is no answer."""
        assert self.plan is not None
        if self.plan.front is None:
            return None
        host, port = self.plan.front
        try:
            status, body = await http_get(
                host, port, path, tls=self.plan.admin_tls, timeout_seconds=2.0
            )
            return json.loads(body) if status == 200 else None
        except (OSError, TimeoutError, ValueError):
            return None

    async def serve(self) -> None:
        """Until `ask_stop`, or until the state folder is gone: no command would reach this cluster any more."""
        while not self._stop_asked.is_set():
            try:
                async with asyncio.timeout(_LOOK_SECONDS):
                    await self._stop_asked.wait()
            except TimeoutError:
                if not self._holds_folder():
                    log.warning("the state folder is gone", folder=str(self.layout.state_dir))
                    return

    def _holds_folder(self) -> bool:
        """Whether the lock file that is there is the one this process holds."""
        try:
            there = self.layout.lock.stat()
        except OSError:
            return False
        return self._lock is not None and os.path.samestat(there, os.fstat(self._lock.fileno()))

    def ask_stop(self) -> None:
        """Let `serve` return."""
        self._stop_asked.set()

    async def stop(self) -> None:
        """End all children, close all sockets, release the folder. Idempotent."""
        if self._front is not None:
            await self._front.stop()
            self._front = None
        if self._faults is not None:
            await self._faults.links.stop()
        if self.supervisor is not None:
            await self.supervisor.stop_all()
            self.supervisor = None
            if self.plan is not None:
                names = [node.name for node in self.plan.settings.nodes]
                await asyncio.to_thread(end_nodes, self.layout.state_dir, names)
                await asyncio.to_thread(end_fabric, self.layout.state_dir)
        if self._spawner is not None:
            await self._spawner.close()
            self._spawner = None
        if self._control is not None:
            await self._control.stop()
            self._control = None
        await self._tasks.stop()
        if self._lock is not None:
            for path in (self.layout.cluster_file, self.layout.lock):
                path.unlink(missing_ok=True)
            self._lock.close()
            self._lock = None

    def _write_cluster_file(self, *, ready: bool) -> None:
        document = {**self.describe(), "ready": ready}
        aside = self.layout.cluster_file.with_suffix(".new")
        aside.write_text(json.dumps(document, indent=1))
        aside.replace(self.layout.cluster_file)

    def describe(self) -> dict[str, Any]:
        """What runs, for cluster.json and `quorate status`."""
        assert self.plan is not None
        assert self.supervisor is not None
        operator = self.plan.operator
        return {
            "name": self.plan.settings.cluster.name,
            "pid": os.getpid(),
            "state_dir": str(self.layout.state_dir),
            "store_endpoints": self.plan.store_endpoints,
            "store_tls": None
            if operator is None
            else {
                "ca_file": str(operator.ca_file),
                "cert_file": str(operator.cert_file),
                "key_file": str(operator.key_file),
            },
            "kubernetes": f"https://{self.plan.front[0]}:{self.plan.front[1]}"
            if self.plan.front
            else None,
            "kubeconfig": str(self.layout.kubeconfig) if self.plan.front else None,
            "env": str(self.layout.env),
            "processes": [
                {
                    "name": process.spec.name,
                    "group": process.spec.group,
                    "kind": process.spec.kind,
                    "state": process.state,
                    "pid": process.pid,
                    "exit_code": process.exit_code,
                    "restarts": process.restarts,
                    "addresses": process.spec.addresses,
                    "log": str(process.spec.log_file),
                }
                for process in self.supervisor.processes.values()
            ],
            "faults": self._faults.describe() if self._faults is not None else {},
        }

    async def _handle(
        self, operation: str, names: Sequence[str], options: Mapping[str, Any]
    ) -> dict[str, Any]:
        """One request of the control socket."""
        if operation == "down":
            self.ask_stop()
            return {}
        if operation == "status":
            return self.describe()
        if self.supervisor is None:
            raise ControlError("the cluster is not running yet")
        if operation in FAULT_OPERATIONS and self._faults is not None:
            groups = [
                [await self._member_of(one) for one in name.split(",") if one] for name in names
            ]
            answer = await self._faults.run(operation, groups, options)
            self._write_cluster_file(ready=True)
            return answer
        processes = [process for name in names for process in await self._resolve(name)]
        late = await self._operate(self.supervisor, operation, processes)
        if operation in ("resume", "start", "restart") and self._faults is not None:
            await self._faults.went_on(processes)
        self._write_cluster_file(ready=True)
        touched = [
            {"name": process.spec.name, "pid": process.pid, "state": process.state}
            for process in processes
        ]
        return {"processes": touched, "not_ready": late}

    async def _operate(
        self, supervisor: ProcessSupervisor, operation: str, processes: Sequence[Process]
    ) -> list[str]:
        """Do it to all; the names of those that did not become ready."""
        nodes = [process.spec.name for process in processes if process.spec.kind == "node"]
        match operation:
            case "kill":
                await supervisor.kill(processes)
                # Containers that outlive a kubelet do not outlive their node.
                await asyncio.to_thread(end_nodes, self.layout.state_dir, nodes)
            case "pause":
                for process in processes:
                    process.pause()
            case "resume":
                for process in processes:
                    process.resume()
            case "start":
                return await supervisor.start(processes)
            case "stop":
                await supervisor.stop(processes)
                await asyncio.to_thread(end_nodes, self.layout.state_dir, nodes)
            case "restart":
                await supervisor.stop(processes)
                return await supervisor.start(processes)
            case _:
                raise ControlError(f"unknown operation {operation!r}")
        return []

    async def _resolve(self, name: str) -> list[Process]:
        assert self.supervisor is not None
        if name in ("leader", *_LEASES):
            name = await (self._store_leader() if name == "leader" else self._lease_holder(name))
        found = self.supervisor.match(name)
        if not found:
            known = sorted({p.spec.group for p in self.supervisor.processes.values()})
            raise ControlError(
                f"there is no {name!r}; there are {', '.join(known)}, their parts such as "
                f"{next(iter(self.supervisor.processes))}, leader, scheduler-leader, controllers-leader"
            )
        return found

    async def _member_of(self, name: str) -> str:
        """The store member that `name` stands for; what is none is left for the desk to refuse."""
        if name in ("leader", *_LEASES):
            return (await self._resolve(name))[0].spec.group
        return name.removesuffix("/store")

    async def _store_leader(self) -> str:
        """The master whose store member leads."""
        assert self.plan is not None
        for master in self.plan.settings.masters:
            with contextlib.suppress(OSError, TimeoutError, ValueError):
                _, body = await http_get(
                    self.plan.settings.cluster.host, master.store_health_port, "/metrics"
                )
                match = _IS_LEADER.search(body)
                if match and match[1] == b"1":
                    return master.name
        raise ControlError("no store member leads at the moment")

    async def _lease_holder(self, name: str) -> str:
        """The master whose scheduler or controller manager leads."""
        assert self.plan is not None
        lease = await self.api_get(
            f"/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/{_LEASES[name]}"
        )
        holder = str((lease or {}).get("spec", {}).get("holderIdentity") or "")
        for master in self.plan.settings.masters:
            if holder == master.name or holder.startswith(f"{master.name}_"):
                return master.name
        raise ControlError(f"there is no {name} at the moment")
