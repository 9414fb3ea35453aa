"""A whole member in the simulation: the composition of `kvstore.node` without its sockets, files and threads.

Replication, transport, journal, snapshots, state machine, services and servicers are the real ones, as they are; only
the event loop, the network, the disk and the clock under them are simulated. What is left out: the gRPC front, HTTP,
the data directory's lock, and start and stop in order (members here die or fail, as processes do).
"""

import asyncio
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from kvstore.auth.passwords import Passwords
from kvstore.auth.tokens import NoTokens
from kvstore.base.clock import Clock
from kvstore.base.tasks import Supervisor
from kvstore.machine.commands import MemberAttributes
from kvstore.machine.machine import StateMachine
from kvstore.mvcc.errors import StoreError
from kvstore.raft.pysync.engine import PySyncReplicator
from kvstore.raft.pysync.worker_threads import ExecutorThread
from kvstore.raft.replicator import MemberId, RaftSettings, ReplicationError, Replicator
from kvstore.server.app import Streams, bind
from kvstore.server.auth import AuthServicer
from kvstore.server.cluster import ClusterServicer
from kvstore.server.encode import Encoder
from kvstore.server.forward import GrpcLeasePeer
from kvstore.server.header import Header
from kvstore.server.kv import KVServicer
from kvstore.server.lease import LeaseServicer
from kvstore.server.maintenance import MaintenanceServicer
from kvstore.server.watch import WatchServicer
from kvstore.service.auth import AuthService
from kvstore.service.cluster import ClusterService
from kvstore.service.compactor import CompactionSettings, Compactor
from kvstore.service.errors import ServiceError
from kvstore.service.expiry import LeaseClock
from kvstore.service.guard import Guard
from kvstore.service.kv import KVService, Quota
from kvstore.service.lease import LeaseService
from kvstore.service.proposer import ProposalLimits, Proposer
from kvstore.service.watch.hub import WatchHub
from kvstore.testing.sim.disk import SimFiles
from kvstore.testing.sim.loop import SimLoop
from kvstore.testing.sim.rpc import RpcWorld
from kvstore.wire.engine import Handlers

PEER_PORT = 2380
_MAX_REQUEST_BYTES = 1 << 20
_QUOTA_BYTES = 1 << 30
_PROGRESS_SECONDS = 2.0
_PUBLISH_RETRY_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class MemberSettings:
    """What all members of a run have in common; times in seconds."""

    size: int = 3
    heartbeat_seconds: float = 0.1
    election_seconds: float = 1.0
    snapshot_count: int = 10_000
    segment_bytes: int = 1 << 14
    retention_revisions: int = 0
    """Automatic compaction to so many revisions, 0 = none."""
    spares: int = 0
    """Machines that may become members."""


def member_name(number: int) -> str:
    """Members are m1, m2, …: host names in the simulated network."""
    return f"m{number}"


class SimClock:
    """A member's own clock: it may run fast or slow, and its time of day may jump."""

    def __init__(self, loop: SimLoop) -> None:
        self._loop = loop
        self._rate = 1.0
        self._since = 0.0
        self._base = 1000.0
        self.unix_offset = 1_700_000_000.0

    def set_rate(self, rate: float) -> None:
        """Run at `rate` from now on."""
        self._base = self.monotonic()
        self._since = self._loop.now
        self._rate = rate

    def monotonic(self) -> float:
        """This clock's seconds."""
        return self._base + (self._loop.now - self._since) * self._rate

    def time(self) -> float:
        """This clock's time of day."""
        return self.monotonic() + self.unix_offset

    async def sleep(self, seconds: float) -> None:
        """Wait by this clock."""
        await asyncio.sleep(max(0.0, seconds) / self._rate)


class _LeasePeer(GrpcLeasePeer):
    """Calls among members over simulated channels."""

    def __init__(
        self, urls_of: Callable[[MemberId], tuple[str, ...]], world: RpcWorld, source: str
    ) -> None:
        super().__init__(urls_of, None)
        self._world, self._source = world, source

    def _open(self, url: str) -> Any:
        host = url.removeprefix("http://").partition(":")[0]
        return self._world.channel(self._source, host)


class MemberEvents(Protocol):
    """Who is told what a member does."""

    def applied(self, member: str, machine: StateMachine, index: int, commands: Any) -> None:
        """An entry was applied."""
        ...

    def configured(self, member: str, index: int, configuration: bytes) -> None:
        """An entry with a configuration was applied."""
        ...


class WatchedMachine(StateMachine):
    """The state machine, telling the world each entry that it applies."""

    def __init__(self, member: str, events: MemberEvents) -> None:
        super().__init__()
        self._member, self._events = member, events

    def configure(self, index: int, configuration: bytes) -> None:
        """Keep and tell."""
        before = self.applied_index
        super().configure(index, configuration)
        if self.applied_index != before:
            self._events.configured(self._member, index, configuration)

    def apply(self, index: int, commands: Sequence[bytes]) -> Any:
        """Apply and tell."""
        before = self.applied_index
        outcomes = super().apply(index, commands)
        if self.applied_index != before:
            self._events.applied(self._member, self, index, commands)
        return outcomes


class SimThread(ExecutorThread):
    """A member's worker thread in virtual time."""

    def submit(self, work: Callable[[], Any], ended: Any) -> None:
        """Run `work` after all that was submitted before."""
        self._loop.run_job(self, work, ended)  # type: ignore[attr-defined]


ReplicatorFactory = Callable[[RaftSettings, StateMachine, Clock, random.Random, SimFiles], Any]


def pysync_replicator(
    settings: RaftSettings,
    machine: StateMachine,
    clock: Clock,
    rng: random.Random,
    files: SimFiles,
    segment_bytes: int,
) -> PySyncReplicator:
    """The product's engine with small segments, so that rolling and dropping them happens all the time."""
    replicator = PySyncReplicator(
        settings, machine, clock, rng, files=files, thread=SimThread, listen=_listen
    )
    journal = replicator._core.journal
    journal._segment_bytes = journal._space._segment_bytes = segment_bytes
    return replicator


async def _listen(factory: Any, host: str, port: int, _: Any) -> Any:
    return await asyncio.get_running_loop().create_server(factory, host, port)


class BootedMember:
    """One boot of one member: made and run within its process."""

    def __init__(
        self,
        number: int,
        settings: MemberSettings,
        replicator: Replicator,
        machine: StateMachine,
        clock: Clock,
        rng: random.Random,
        rpc: RpcWorld,
    ) -> None:
        name, count = member_name(number), settings.size + settings.spares
        self.machine, self.replicator, self.clock = machine, replicator, clock
        self.name = name
        self._id = MemberId(number)
        self._tasks = Supervisor(name)
        limits = ProposalLimits(_MAX_REQUEST_BYTES, 5.0 + 2 * settings.election_seconds)
        tokens = NoTokens()
        guard = Guard(machine.auth, machine.lessor, tokens, trusts_certificates=False)
        self._proposer = Proposer(replicator, limits, guard)
        self.hub = WatchHub(machine)
        self._lease_clock = LeaseClock(machine, self._proposer, clock)
        compaction = CompactionSettings("revision", settings.retention_revisions)
        self._compactor = Compactor(machine, self._proposer, clock, compaction)
        lease_peer = _LeasePeer(lambda member: (f"http://{member_name(member)}:2379",), rpc, name)
        urls = {MemberId(n): (f"http://{member_name(n)}:2380",) for n in range(1, count + 1)}
        cluster = ClusterService(machine, replicator, self._proposer, cluster_id=1, peer_urls=urls)
        self._streams = Streams(replicator, clock, settings.election_seconds)
        header = Header(
            1, number, lambda: replicator.leadership()[1], revision=lambda: machine.revision
        )
        encoder = Encoder()
        quota = Quota(machine, self._proposer, number, _QUOTA_BYTES)
        kv = KVServicer(
            KVService(machine, self._proposer, quota, guard), header, encoder, max_txn_ops=128
        )
        watch = WatchServicer(
            self.hub, header, encoder, guard, max_response_bytes=_MAX_REQUEST_BYTES
        )
        leases = LeaseService(
            machine,
            replicator,
            self._proposer,
            self._lease_clock,
            lease_peer,
            guard,
            clock=clock,
            rng=rng,
            min_ttl_seconds=math.ceil(1.5 * settings.election_seconds),
        )
        lease = LeaseServicer(leases, header)
        maintenance = MaintenanceServicer(cluster, header, machine.snapshot, guard)
        auth = AuthService(
            machine.auth, self._proposer, guard, tokens, Passwords(4), random_bytes=rng.randbytes
        )
        self.handlers: Handlers = bind(
            unary=(
                kv,
                lease,
                ClusterServicer(cluster, header, guard),
                maintenance,
                AuthServicer(auth, header),
            ),
            stream=(watch, lease, maintenance),
            streams=self._streams,
        )
        replicator.on_applied(self._on_applied)
        replicator.on_leadership(self._on_leadership)

    def _on_applied(self, outcomes: Sequence[Any]) -> None:
        self.hub.on_applied(outcomes)
        self._lease_clock.on_applied(outcomes)

    def _on_leadership(self, is_leader: bool) -> None:
        self._lease_clock.on_leadership(is_leader)
        self._compactor.on_leadership(is_leader)

    async def run(self, serve: Callable[[Handlers], None]) -> None:
        """Load, serve, until a part fails; raises its error."""
        await self.replicator.start()
        self._tasks.start(self.replicator.run(), "replicator", eternal=True)
        serve(self.handlers)
        self._tasks.start(self._lease_clock.run(), "lease-clock", eternal=True)
        self._tasks.start(self._compactor.run(), "compactor", eternal=True)
        self._tasks.start(self._streams.run(), "streams", eternal=True)
        self._tasks.start(self._progress(), "watch-progress", eternal=True)
        self._tasks.start(self._publish(), "publish")
        await self._tasks.wait()

    async def _progress(self) -> None:
        while True:
            await self.clock.sleep(_PROGRESS_SECONDS)
            self.hub.progress_tick()

    async def _publish(self) -> None:
        wanted = (self.name, (f"http://{self.name}:2379",))
        while True:
            try:
                await self._proposer.confirm_read()
                if self.machine.members.get(self._id) != wanted:
                    await self._proposer.submit(MemberAttributes(self._id, *wanted))
                return
            except (ReplicationError, StoreError, ServiceError):
                await self.clock.sleep(_PUBLISH_RETRY_SECONDS)
