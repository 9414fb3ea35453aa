"""A store cluster on this machine and nothing else: members, their faults, who leads.

What `quorate chaos` and tests run on. Ports are free ones, chosen at `start`; everything is in one state folder. Kill,
pause and the like name members; "leader" is whoever leads at that moment.
"""

import asyncio
import contextlib
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from kvstore.base.clock import Clock
from kvstore.base.ports import free_port
from kvstore.local.certificates import CertificateAuthority
from kvstore.local.faults import FaultDesk, FaultError
from kvstore.local.probe import http_get
from kvstore.local.process import Process
from kvstore.local.spawn import CommandSpawner, Spawner, WarmSpawner, make_spawner
from kvstore.local.supervisor import NotReady, ProcessSupervisor
from kvstore.local.topology import (
    STORE_MODULES,
    MemberAddress,
    SecuritySettings,
    StoreSettings,
    endpoint,
    fault_socket,
    store_specs,
)

LEADER = "leader"
_IS_LEADER = re.compile(rb"^etcd_server_is_leader (\d)", re.MULTILINE)


class StoreCluster:
    """A cluster of `members` (names) in `state_dir`; plain, or TLS with `authorities` (clients', peers').

    `start_cluster` may be given a spawner that is shared with others; without, the cluster has one of its own.
    """

    def __init__(
        self,
        state_dir: Path,
        members: Sequence[str],
        clock: Clock,
        settings: StoreSettings | None = None,
        *,
        authorities: tuple[CertificateAuthority, CertificateAuthority] | None = None,
    ) -> None:
        self.state_dir = state_dir
        self._authorities = authorities
        self._security = SecuritySettings(store_tls=authorities is not None)
        self._clock = clock
        self._settings = settings or StoreSettings()
        self._spawner: CommandSpawner | WarmSpawner | None = None
        self._supervisor: ProcessSupervisor | None = None
        self._faults: FaultDesk | None = None
        self._addresses: dict[str, MemberAddress] = {}
        self.members = tuple(members)

    @property
    def endpoints(self) -> dict[str, str]:
        """Each member's client URL."""
        return {name: endpoint(one, self._security) for name, one in self._addresses.items()}

    @property
    def faults(self) -> FaultDesk:
        """The members' faults. RuntimeError before `start`."""
        if self._faults is None:
            raise RuntimeError("the cluster has not been started")
        return self._faults

    def process(self, member: str) -> Process:
        """A member's process. Raises FaultError for an unknown name."""
        if self._supervisor is None:
            raise RuntimeError("the cluster has not been started")
        found = self._supervisor.processes.get(f"{member}/store")
        if found is None:
            raise FaultError(f"{member!r} is no member; there are {', '.join(self.members)}")
        return found

    async def start_cluster(
        self, timeout_seconds: float = 60.0, spawner: Spawner | None = None
    ) -> None:
        """Start all members and wait until they serve. Raises NotReady; call `stop_cluster` in any case."""
        used: set[int] = set()
        for name in self.members:
            ports: list[int] = []
            while len(ports) < 3:
                if (port := free_port()) not in used:
                    used.add(port)
                    ports.append(port)
            self._addresses[name] = MemberAddress(name, "127.0.0.1", *ports)
        clients, peers = self._authorities or (None, None)
        specs = store_specs(
            list(self._addresses.values()),
            self._settings,
            self._security,
            token="chaos",
            state_dir=self.state_dir,
            authority=clients,
            peer_authority=peers,
        )
        if spawner is None:
            spawner = self._spawner = make_spawner(STORE_MODULES)
            await self._spawner.start()
        self._supervisor = ProcessSupervisor([specs], self._clock, spawner)
        sockets = {name: fault_socket(self.state_dir, name) for name in self.members}
        processes = {name: self.process(name) for name in self.members}
        self._faults = FaultDesk(
            sockets if self._settings.fault_injection else {}, processes, self._clock
        )
        try:
            await self._supervisor.start_all(lambda process, seconds: None, timeout_seconds)
        except BaseExceptionGroup as group:
            first = group.exceptions[0]
            if isinstance(first, NotReady):
                raise first from None
            raise

    async def stop_cluster(self) -> None:
        """End all members. Idempotent."""
        if self._supervisor is not None:
            await self._supervisor.stop_all()
            self._supervisor = None
        if self._spawner is not None:
            await self._spawner.close()
            self._spawner = None

    async def leads(self, member: str) -> bool:
        """Whether this member says that it leads."""
        url = urlsplit(self.process(member).spec.addresses["health"])
        with contextlib.suppress(OSError, TimeoutError, ValueError):
            _, body = await http_get(
                url.hostname or "", url.port or 0, "/metrics", timeout_seconds=0.5
            )
            match = _IS_LEADER.search(body)
            return bool(match and match[1] == b"1")
        return False

    async def leader(self, timeout_seconds: float = 10.0) -> str:
        """Who leads. Raises FaultError if nobody does for so long."""
        deadline = self._clock.monotonic() + timeout_seconds
        while True:
            running = [name for name in self.members if self.process(name).state == "ready"]
            answers = await asyncio.gather(*(self.leads(name) for name in running))
            for name, is_leader in zip(running, answers, strict=True):
                if is_leader:
                    return name
            if self._clock.monotonic() > deadline:
                raise FaultError("no member leads at the moment")
            await self._clock.sleep(0.05)

    async def resolve(self, name: str) -> str:
        """`name`, or today's leader for "leader"."""
        return await self.leader() if name == LEADER else name

    async def kill(self, members: Sequence[str]) -> None:
        """kill -9 all at once."""
        await self._running.kill([self.process(name) for name in members])

    async def stop(self, members: Sequence[str]) -> None:
        """Stop in order."""
        await self._running.stop([self.process(name) for name in members])

    async def start(self, members: Sequence[str], timeout_seconds: float = 30.0) -> list[str]:
        """Start those that are down; the names of those that were not ready in time."""
        late = await self._running.start([self.process(name) for name in members], timeout_seconds)
        await self.faults.went_on(members)
        return [name.removesuffix("/store") for name in late]

    def pause(self, members: Sequence[str]) -> None:
        """Freeze."""
        self._each(members, Process.pause)

    async def resume(self, members: Sequence[str]) -> None:
        """Go on after `pause`."""
        self._each(members, Process.resume)
        await self.faults.went_on(members)

    async def heal(self) -> None:
        """No faults, nobody frozen, everybody up."""
        self._each(self.members, Process.resume)
        await self.faults.clear()
        await self.start(self.members)

    def _each(self, members: Sequence[str], do: Callable[[Process], None]) -> None:
        for name in members:
            do(self.process(name))

    @property
    def _running(self) -> ProcessSupervisor:
        if self._supervisor is None:
            raise RuntimeError("the cluster has not been started")
        return self._supervisor
