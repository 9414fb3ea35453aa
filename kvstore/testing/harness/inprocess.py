"""A cluster in the caller's own process: every member on an event loop in a thread of its own.

The verbs are those of `kvstore.local.store.StoreCluster`. It starts several times faster, and a debugger sees both
sides. Network, disk and clock faults are the same as those of processes. `pause` blocks the member's thread, so nothing
of it runs. `kill` is the one that differs: the member is cut off first and ends without handing anything over, but
what it had written stays written; for a real kill -9 use processes. A member one of whose parts failed ends, as its
process would, and keeps the reason.
"""

import asyncio
import random
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from kvstore.base.clock import Clock, SystemClock
from kvstore.base.files import Files
from kvstore.base.log import get_logger
from kvstore.base.ports import free_port
from kvstore.base.tasks import Supervisor
from kvstore.bootstrap import settle
from kvstore.client.portal import Portal
from kvstore.config.reader import MemberConfig, load
from kvstore.faults.control import FaultControl
from kvstore.faults.kinds import Faults, LinkFault
from kvstore.faults.member import MemberFaults
from kvstore.local.certificates import CertificateAuthority
from kvstore.local.faults import FaultDesk, FaultError
from kvstore.local.process import ProcessSpec
from kvstore.local.topology import (
    MemberAddress,
    SecuritySettings,
    StoreSettings,
    endpoint,
    fault_socket,
    store_specs,
)
from kvstore.node import Node
from kvstore.raft.pysync.engine import PySyncReplicator
from kvstore.testing.harness import member_logs

log = get_logger("kvstore.testing.harness")

_BEFORE_PAUSE_SECONDS = 0.002
_PROGRAM_WORDS = 3
"""`python -m kvstore` before the flags."""


class InProcessMember:
    """One member on its own thread. State: stopped, ready, paused, killed; exited if it failed."""

    def __init__(self, name: str, spec: ProcessSpec, socket: Path) -> None:
        self.name = name
        self.spec = spec
        self.state = "stopped"
        self.node: Node | None = None
        self.failure: BaseException | None = None
        """Why it ended by itself; None while it did not."""
        self._waiting: asyncio.Task[None] | None = None
        self._socket = socket
        self._portal: Portal | None = None
        self._thread_name = ""
        self._control: FaultControl | None = None
        self._faults: MemberFaults | None = None
        self._go = threading.Event()
        self._tasks = Supervisor(f"inprocess-{name}")

    @property
    def is_running(self) -> bool:
        """Whether it lives (paused ones too)."""
        return self._portal is not None and self.failure is None

    def start(self) -> None:
        """Start; returns when it listens. Blocking. No effect if it runs."""
        if self.is_running:
            return
        self.stop()
        config = settle(load(self.spec.argv[_PROGRAM_WORDS:], {}))
        # Named by its folder too: several clusters may run in this process.
        self._thread_name = f"member-{self.name}@{config.data_dir}"
        member_logs.begin(self._thread_name, self.spec.log_file)
        self._portal = Portal(self._thread_name)
        try:
            self._portal.run(lambda: self._start(config))
        except BaseException:
            self._portal.close()
            self._portal = None
            member_logs.end(self._thread_name)
            raise
        self.state = "ready"

    async def _start(self, config: MemberConfig) -> None:
        faults = MemberFaults(
            config.member_id, config.peer_names, SystemClock(), Files(), random.Random(), time.sleep
        )
        node = Node(
            config,
            faults.clock,
            random.Random(),
            lambda settings, machine: PySyncReplicator(
                settings,
                machine,
                faults.clock,
                random.Random(),
                link_filter=faults.network,
                files=faults.files,
            ),
        )
        control = FaultControl(self._socket, faults)
        self.node, self._control, self._faults = node, control, faults
        self._tasks = Supervisor(f"inprocess-{self.name}")
        try:
            await control.start()
            await node.start()
        except BaseException:
            await node.stop()
            await control.stop()
            raise
        self._waiting = self._tasks.start(self._end_if_it_fails(node, control), "failure")

    async def _end_if_it_fails(self, node: Node, control: FaultControl) -> None:
        try:
            await node.wait()
        except Exception as error:
            log.error("the member must stop", error=str(error), exc_info=error)
            self.failure, self.state = error, "exited"
            await node.stop()
            await control.stop()

    def wait_ready(self, timeout_seconds: float) -> bool:
        """Whether it serves within the time. Blocking."""
        node, portal = self.node, self._portal
        if node is None or portal is None:
            return False

        async def ready() -> bool:
            try:
                async with asyncio.timeout(timeout_seconds):
                    await node.ready.wait()
            except TimeoutError:
                return False
            return True

        return portal.run(ready)

    def pause(self) -> None:
        """Block its thread."""
        if self._portal is None or self.state != "ready":
            return
        self._go.clear()
        blocked = self._go.wait

        async def block_soon() -> None:
            # A little later: this call must have returned to its caller by then.
            asyncio.get_running_loop().call_later(_BEFORE_PAUSE_SECONDS, blocked)

        self._portal.run(block_soon)
        self.state = "paused"

    def resume(self) -> None:
        """Go on after `pause`."""
        self._go.set()
        if self.state == "paused":
            self.state = "ready"

    def stop(self, *, is_killed: bool = False) -> None:
        """End it, in order or cut off from everybody. Blocking, idempotent."""
        self.resume()
        portal, node, control = self._portal, self.node, self._control
        if portal is None or node is None:
            return

        async def end() -> None:
            if is_killed and self._faults is not None:
                self._faults.apply(Faults(network=(LinkFault(cut=True),)))
            if self.failure is not None and self._waiting is not None:
                # It is ending by itself.
                await self._waiting
                return
            await self._tasks.stop()
            await node.stop()
            if control is not None:
                await control.stop()

        try:
            portal.run(end)
        finally:
            portal.close()
            member_logs.end(self._thread_name)
            self._portal = self.node = self._control = self.failure = None
            self.state = "killed" if is_killed else "stopped"

    def is_leader(self) -> tuple[int, bool]:
        """(term, whether it believes to lead)."""
        if self.node is None or self.state != "ready":
            return 0, False
        status = self.node.replicator.status()
        return status.term, status.leader_id == status.member_id


class InProcessCluster:
    """Members in this process."""

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
        self.members = tuple(members)
        self._clock = clock
        self._security = SecuritySettings(store_tls=authorities is not None)
        used: set[int] = set()
        addresses = []
        for name in members:
            ports: list[int] = []
            while len(ports) < 3:
                if (port := free_port()) not in used:
                    used.add(port)
                    ports.append(port)
            addresses.append(MemberAddress(name, "127.0.0.1", *ports))
        self._addresses = addresses
        clients, peers = authorities or (None, None)
        specs = store_specs(
            addresses,
            settings or StoreSettings(),
            self._security,
            token="inprocess",
            state_dir=state_dir,
            authority=clients,
            peer_authority=peers,
        )
        self._members = {
            name: InProcessMember(name, spec, fault_socket(state_dir, name))
            for name, spec in zip(members, specs, strict=True)
        }
        self.faults = FaultDesk(
            {name: fault_socket(state_dir, name) for name in members},
            self._members,  # type: ignore[arg-type]
            clock,
        )

    @property
    def endpoints(self) -> dict[str, str]:
        """Each member's client URL."""
        return {one.name: endpoint(one, self._security) for one in self._addresses}

    def process(self, member: str) -> InProcessMember:
        """A member. Raises FaultError for an unknown name."""
        found = self._members.get(member)
        if found is None:
            raise FaultError(f"{member!r} is no member; there are {', '.join(self.members)}")
        return found

    async def start_cluster(self, timeout_seconds: float = 60.0) -> None:
        """Start all members and wait until they serve. Raises FaultError."""
        late = await self.start(self.members, timeout_seconds)
        if late:
            raise FaultError(f"{', '.join(late)} did not become ready in {timeout_seconds:g} s")

    async def stop_cluster(self) -> None:
        """End all members. Idempotent."""
        await self._each(self.members, lambda one: one.stop())

    async def leader(self, timeout_seconds: float = 10.0) -> str:
        """Who leads, in the newest term. Raises FaultError if nobody does for so long."""
        deadline = self._clock.monotonic() + timeout_seconds
        while True:
            claims = [(one.is_leader(), one.name) for one in self._members.values()]
            leaders = [(term, name) for (term, leads), name in claims if leads]
            if leaders:
                return max(leaders)[1]
            if self._clock.monotonic() > deadline:
                raise FaultError("no member leads at the moment")
            await self._clock.sleep(0.02)

    async def kill(self, members: Sequence[str]) -> None:
        """End without handing anything over."""
        await self._each(members, lambda one: one.stop(is_killed=True))

    async def stop(self, members: Sequence[str]) -> None:
        """Stop in order."""
        await self._each(members, lambda one: one.stop())

    async def start(self, members: Sequence[str], timeout_seconds: float = 30.0) -> list[str]:
        """Start those that are down; the names of those that were not ready in time."""
        await self._each(members, lambda one: one.start())
        ready: dict[str, bool] = {}

        def wait(one: InProcessMember) -> None:
            ready[one.name] = one.wait_ready(timeout_seconds)

        await self._each(members, wait)
        await self.faults.went_on(members)
        return [name for name in members if not ready.get(name)]

    async def pause(self, members: Sequence[str]) -> None:
        """Freeze."""
        await self._each(members, lambda one: one.pause())

    async def resume(self, members: Sequence[str]) -> None:
        """Go on after `pause`."""
        await self._each(members, lambda one: one.resume())
        await self.faults.went_on(members)

    async def heal(self) -> None:
        """No faults, nobody frozen, everybody up."""
        await self._each(self.members, lambda one: one.resume())
        await self.faults.clear()
        await self.start(self.members)

    async def _each(self, members: Sequence[str], do: Callable[[InProcessMember], None]) -> None:
        """Side by side, each on a thread that may block."""
        async with asyncio.TaskGroup() as group:
            for name in members:
                group.create_task(asyncio.to_thread(do, self.process(name)))
