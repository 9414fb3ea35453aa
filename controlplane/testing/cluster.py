"""A whole cluster in one process: API server, controllers, scheduler and hollow nodes over a store in memory.

All of it is the real code, put together as the programs put it together; what is missing is processes, sockets between
the parts, a replicated store and real containers. It lasts as long as the loop that started it.

    async with InProcessCluster(nodes=2) as cluster:
        await cluster.client().create(PODS, pod, "default")
        await cluster.until(is_running)

On a `ManualClock` time stands still but for `run`, `advance` and `until`: everything follows that clock.
"""

import asyncio
import dataclasses
import datetime
import random
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from controlplane.api.meta import Obj
from controlplane.apiserver.config import ApiServerConfig
from controlplane.apiserver.http.messages import ANONYMOUS, User
from controlplane.client.rest import RestClient
from controlplane.controllers.app import build_manager
from controlplane.controllers.config import parse_arguments
from controlplane.kinds.core.node import NODES
from controlplane.kinds.core.service_account import SERVICE_ACCOUNTS
from controlplane.kubelet.app import App as Kubelet
from controlplane.kubelet.config import KubeletConfig
from controlplane.local.kubeconfig import Server, write_kubeconfig
from controlplane.program.leading import LeadingConfig
from controlplane.scheduler.app import App as Scheduler
from controlplane.scheduler.config import SchedulerConfig
from controlplane.storage.memory import MemoryState
from controlplane.testing.hollow import HollowCatalog, HollowRuntime, Life
from controlplane.testing.in_process import ADMIN, InProcessServer
from kvstore.base.clock import Clock, ManualClock, SystemClock
from kvstore.base.tasks import Supervisor
from kvstore.local.certificates import CertificateAuthority, Identity

NAME = "quorate"
_READY_SECONDS = 30.0
_POLL_SECONDS = 0.002
# Turns of the loop in which what was set off comes to rest, when no thread has work.
_TURNS = 60
# Written by programs that live on: to take them back would only make nodes look silent.
_KEPT = ("/registry/leases/",)


class _Threads(ThreadPoolExecutor):
    """A pool that knows whether it has work."""

    def __init__(self) -> None:
        super().__init__(4, thread_name_prefix="quorate-work")
        self.open = 0

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        """See `Executor`; called on the loop that the cluster runs on."""
        self.open += 1
        future = super().submit(fn, *args, **kwargs)
        loop = asyncio.get_running_loop()

        def ended() -> None:
            self.open -= 1

        def tell(_: "Future[Any]") -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(ended)

        future.add_done_callback(tell)
        return future


class InProcessCluster:
    """A cluster on the loop that starts it; ready when entered.

    `nodes` names the nodes, or is how many there are (`node-1` ...). `listens` serves HTTPS on a free loopback port,
    `kubeconfig` is then a file for any client. `lives` are the rules of the containers on all nodes.
    `settings` are fields of `ApiServerConfig`. Raises TimeoutError when it is not ready in time.
    """

    def __init__(
        self,
        *,
        nodes: int | Sequence[str] = 1,
        clock: Clock | None = None,
        listens: bool = False,
        lives: Sequence[Life] = (),
        seed: int = 1,
        **settings: Any,
    ) -> None:
        self.clock = clock or SystemClock()
        self.nodes = (
            [f"node-{n + 1}" for n in range(nodes)] if isinstance(nodes, int) else list(nodes)
        )
        self.runtimes = {name: HollowRuntime(self.clock, lives) for name in self.nodes}
        self._listens = listens
        self._rng = random.Random(seed)
        self._settings = settings
        self._folder = Path(tempfile.mkdtemp(prefix="quorate-"))
        self._supervisor = Supervisor("cluster")
        self._kubelets: dict[str, Supervisor] = {}
        self._threads = _Threads()
        self._admin: Identity | None = None
        self._failure: asyncio.Future[None] | None = None
        self.server = self._make_server()

    # ---- life ----

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start all parts and wait until a pod could be created and scheduled."""
        asyncio.get_running_loop().set_default_executor(self._threads)
        await self.server.start(listens=self._listens)
        if self._admin is not None:
            url = f"https://127.0.0.1:{self.server.app.port}"
            write_kubeconfig(self.kubeconfig, [Server(NAME, url)], "admin", self._admin)
        leading = LeadingConfig("", name=NAME, leader_elect=False)
        # Nobody else could lead: on a clock that jumps, renewals would be most of what happens.
        leads = dataclasses.replace(
            leading,
            leader_elect=True,
            lease_duration_seconds=7200.0,
            renew_deadline_seconds=7000.0,
            retry_period_seconds=3600.0,
        )
        options = parse_arguments([f"--kubeconfig={NAME}", f"--root-ca-file={self._ca}"]).replaced(
            leads
        )
        manager = build_manager(
            options,
            self._user("system:kube-controller-manager"),
            self.clock,
            self._rng,
            self.client(ANONYMOUS),
        )
        scheduler = Scheduler(
            SchedulerConfig(leading), self._user("system:kube-scheduler"), self.clock, self._rng
        )
        self._supervisor.start(manager.run(), "controllers", eternal=True)
        self._supervisor.start(scheduler.run(), "scheduler", eternal=True)
        for name in self.nodes:
            self.start_node(name)
        self._failure = asyncio.ensure_future(self._supervisor.wait())
        await self._ready()

    async def stop(self) -> None:
        """End all parts, and take away what they kept on disk. Idempotent."""
        for name in list(self._kubelets):
            await self.stop_node(name)
        if self._failure is not None:
            self._failure.cancel()
            await asyncio.wait((self._failure,))
        await self._supervisor.stop(5.0)
        await self.server.stop()
        self._threads.shutdown(wait=False)
        shutil.rmtree(self._folder, ignore_errors=True)

    async def _ready(self) -> None:
        client = self.client()

        async def is_ready() -> bool:
            self.check()
            ready = [one for one in self.server.objects(NODES) if _is_ready(one)]
            accounts = self.server.objects(SERVICE_ACCOUNTS, "default")
            return len(ready) == len(self.nodes) and bool(accounts)

        await self.until(is_ready, seconds=_READY_SECONDS)
        await client.close()

    def check(self) -> None:
        """Raise what has ended a part that should run."""
        if self._failure is not None and self._failure.done():
            self._failure.result()

    # ---- clients ----

    @property
    def kubeconfig(self) -> Path:
        """The file for clients of other kinds; there while the cluster runs and `listens`."""
        return self._folder / "kubeconfig"

    def client(self, user: User = ADMIN) -> RestClient:
        """A client in the process, without a socket."""
        return self.server.client(user)

    def _user(self, name: str, *groups: str) -> RestClient:
        return self.server.client(User(name, groups))

    # ---- nodes ----

    def start_node(self, name: str) -> None:
        """Start the kubelet of a node that has none; its containers are those of before."""
        self._check_node(name)
        if name in self._kubelets:
            return
        config = KubeletConfig(
            "", str(self._folder / name), name=name, pod_cidr=self._range_of(name)
        )
        kubelet = Kubelet(
            config,
            self._user(f"system:node:{name}", "system:nodes"),
            self.clock,
            self._rng,
            runtime=self.runtimes[name],
            catalog=HollowCatalog(),
        )
        supervisor = self._kubelets[name] = Supervisor(name)
        supervisor.start(kubelet.run(), "kubelet")

    async def stop_node(self, name: str) -> None:
        """End the kubelet of a node: it falls silent, as when the machine has lost its power."""
        self._check_node(name)
        supervisor = self._kubelets.pop(name, None)
        if supervisor is not None:
            await supervisor.stop(5.0)

    def _check_node(self, name: str) -> None:
        if name not in self.runtimes:
            raise KeyError(f"no node {name}: {', '.join(self.nodes)}")

    def _range_of(self, name: str) -> str:
        return f"127.{100 + self.nodes.index(name) // 256}.{self.nodes.index(name) % 256}.0/24"

    # ---- the state ----

    def checkpoint(self) -> MemoryState:
        """The objects of now, for `restore`."""
        return self.server.storage.checkpoint()

    async def restore(self, state: MemoryState) -> None:
        """Take every object back to what it was: those that came go, whatever finalizers they have.

        Watches see it as changes like others. Leases stay, as the programs that hold them live on.
        """
        self.server.storage.restore(state, keep=_KEPT)
        await self.settle()

    # ---- time ----

    async def settle(self) -> None:
        """Let everything that needs no time to pass run until it rests."""
        # Where the loop shows what waits for its turn, three turns with nothing are rest; else many turns are.
        waiting = getattr(asyncio.get_running_loop(), "_ready", None)
        wanted = _TURNS if waiting is None else 3
        quiet = 0
        while quiet < wanted:
            await asyncio.sleep(0)
            quiet = 0 if waiting else quiet + 1
            if self._threads.open:
                quiet = 0
                await asyncio.sleep(_POLL_SECONDS)

    async def advance(self, seconds: float) -> None:
        """Let time pass, on a `ManualClock` at once. Raises TypeError on another clock."""
        clock = self._manual()
        end = clock.monotonic() + seconds
        await self.settle()
        while (at := clock.next_deadline()) is not None and at <= end:
            await clock.advance(max(0.0, at - clock.monotonic()))
            await self.settle()
        await clock.advance(max(0.0, end - clock.monotonic()))
        await self.settle()

    def _manual(self) -> ManualClock:
        if not isinstance(self.clock, ManualClock):
            raise TypeError("only a cluster on a ManualClock can be moved in time")
        return self.clock

    async def until(
        self, holds: Callable[[], bool | Awaitable[bool]], *, seconds: float = 60.0
    ) -> float:
        """Wait until `holds` says True, at most `seconds` of the cluster's time; the time it took.

        On a `ManualClock` time jumps from one thing that waits to the next. Raises TimeoutError.
        """
        begin = self.clock.monotonic()
        manual = self.clock if isinstance(self.clock, ManualClock) else None
        while True:
            if manual is not None:
                # Only what needs no time has happened before it is asked.
                await self.settle()
            found = holds()
            if not isinstance(found, bool):
                found = await found
            passed = self.clock.monotonic() - begin
            if found:
                return passed
            if passed > seconds:
                raise TimeoutError(f"not so after {seconds:g} s of the cluster's time")
            if manual is None:
                await asyncio.sleep(_POLL_SECONDS)
                continue
            at = manual.next_deadline()
            step = seconds if at is None else max(0.0, at - manual.monotonic())
            await manual.advance(min(step, seconds - passed + 1.0))

    # ---- putting it together ----

    def _make_server(self) -> InProcessServer:
        now = datetime.datetime.fromtimestamp(SystemClock().time(), datetime.UTC)
        authority = CertificateAuthority(self._folder / "pki", now)
        self._ca = authority.ca_file
        fields: dict[str, Any] = {
            "authorization_modes": ("Node", "RBAC"),
            "enabled_admission_plugins": ("NodeRestriction",),
            "service_account_signing_key_file": str(authority.key("service-account")),
            "secure_port": 0,
        }
        if self._listens:
            hosts = ("127.0.0.1", "localhost", "kubernetes")
            serving = authority.identity(
                "apiserver", "apiserver", hosts=hosts, server=True, client=False
            )
            self._admin = authority.identity("admin", ADMIN.name, organizations=tuple(ADMIN.groups))
            fields |= {
                "tls_cert_file": str(serving.cert_file),
                "tls_key_file": str(serving.key_file),
                "client_ca_file": str(authority.ca_file),
            }
        config = ApiServerConfig(**{**fields, **self._settings})
        return InProcessServer(clock=self.clock, config=config)


def _is_ready(node: Obj) -> bool:
    rows = (node.get("status") or {}).get("conditions") or ()
    return any(row.get("type") == "Ready" and row.get("status") == "True" for row in rows)
