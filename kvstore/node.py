"""A member: the composition root. All parts are built by hand here and nowhere else.

Start order, and why:
 1. data directory lock   two processes on one log would destroy it
 2. replicator            loads the log and joins the others; from here on the state is real
 3. HTTP                  /livez and /metrics answer while there is no quorum yet
 4. gRPC front            serializable reads and status work at once, the rest answers "no leader" until there is one
 5. own attributes        name and client URLs go through the log; that done, the member is ready to serve
Stop order: leadership is handed over while clients are still answered, streams end, the front takes no more, then the
replicator and the lock.
"""

import asyncio
import contextlib
import random
from collections.abc import Callable, Sequence
from typing import Any

from kvstore.auth import tokens
from kvstore.base import ports
from kvstore.base.clock import Clock
from kvstore.base.histogram import Histogram
from kvstore.base.log import get_logger
from kvstore.base.tasks import Supervisor
from kvstore.bootstrap import StartError as StartError
from kvstore.bootstrap import prepare_directories, record, settle
from kvstore.config.members import address_of
from kvstore.config.reader import MemberConfig
from kvstore.handlers import Parts, build_handlers, build_http
from kvstore.lock import DataDirLock
from kvstore.machine.commands import MemberAttributes
from kvstore.machine.machine import StateMachine
from kvstore.mvcc.errors import StoreError
from kvstore.raft.replicator import (
    MemberId,
    RaftSettings,
    ReplicationError,
    Replicator,
)
from kvstore.server.app import Streams
from kvstore.server.calls import CallCounts
from kvstore.server.late import LateHttp, LateLeasePeer, warm
from kvstore.server.maintenance import VERSION
from kvstore.server.metrics import MemberCounts, member_metrics
from kvstore.server.probes import Probes
from kvstore.service.auth import TokenTable
from kvstore.service.cluster import ClusterService
from kvstore.service.compactor import Compactor
from kvstore.service.errors import ServiceError
from kvstore.service.expiry import LeaseClock
from kvstore.service.guard import SYSTEM, Guard
from kvstore.service.proposer import ProposalLimits, Proposer
from kvstore.service.watch.hub import WatchHub
from kvstore.takeover import take_in
from kvstore.upkeep import Upkeep
from kvstore.wire.engine import Listen, ListenError
from kvstore.wire.fronts import make_front

log = get_logger("kvstore.node")

_TRANSFER_SECONDS = 0.5
_FRONT_GRACE_SECONDS = 0.3
_PUBLISH_RETRY_SECONDS = 0.1
_WARM_AFTER_SECONDS = 1.0


ReplicatorFactory = Callable[[RaftSettings, StateMachine], Replicator]


class Node:
    """One member, from settings to a running server. `run` once."""

    def __init__(
        self,
        config: MemberConfig,
        clock: Clock,
        rng: random.Random,
        make_replicator: ReplicatorFactory,
    ) -> None:
        self._config = config = settle(config)
        self._clock = clock
        self._tasks = Supervisor("member")
        self._lock = DataDirLock(config.data_dir)
        self.machine = StateMachine()
        settings = _raft_settings(config)
        self._log_writes = Histogram()
        self.replicator = make_replicator(settings, self.machine)
        self.client_addresses: tuple[Listen, ...] = ()
        self.metrics_addresses: tuple[Listen, ...] = ()
        self.ready = asyncio.Event()
        self._is_replicating = False

        machine, replicator = self.machine, self.replicator
        limits = ProposalLimits(
            config.max_request_bytes, timeout_seconds=5.0 + 2 * config.election_seconds
        )
        self._tokens = _tokens(config, clock, machine, limits.timeout_seconds)
        self._token_table = TokenTable(machine.auth, self._tokens)
        self._guard = Guard(
            machine.auth,
            machine.lessor,
            self._tokens,
            trusts_certificates=config.client_tls is not None
            and config.client_tls.is_client_required,
        )
        self._proposer = Proposer(replicator, limits, self._guard)
        self._hub = WatchHub(machine)
        self._lease_clock = LeaseClock(machine, self._proposer, clock)
        self._compactor = Compactor(machine, self._proposer, clock, config.compaction)
        self._lease_peer = LateLeasePeer(self._client_urls_of, config.client_tls)
        self._upkeep = Upkeep(config, settings, machine, replicator, self._proposer, clock)
        self._cluster = ClusterService(
            machine,
            replicator,
            self._proposer,
            cluster_id=config.cluster_id,
            peer_urls=config.peer_urls,
            clock=clock,
            is_strict=config.strict_reconfig_check,
            alarms=self._upkeep.disk.alarms,
        )
        self._streams = Streams(replicator, clock, config.election_seconds)
        self._calls = CallCounts()
        self._probes = Probes(self._cluster)
        self._metrics = member_metrics(
            config.member_id,
            config.quota_bytes,
            machine,
            replicator.status,
            MemberCounts(
                watchers=lambda: self._hub.watcher_count,
                watch_streams=lambda: self._hub.stream_count,
                failed_proposals=lambda: self._proposer.failed_count,
                leader_changes=lambda: self._streams.leader_changes,
                expired_leases=lambda: self._lease_clock.expired_count,
                calls=self._calls,
                pending_proposals=lambda: self._proposer.pending_count,
                failed_reads=lambda: self._proposer.failed_read_count,
                slow_watchers=lambda: self._hub.behind_count,
                auth_revision=lambda: machine.auth.revision,
                log_writes=self._log_writes,
                health_successes=lambda: self._probes.success_count,
                health_failures=lambda: self._probes.failure_count,
            ),
        )
        parts = Parts(
            config=config,
            clock=clock,
            rng=rng,
            tasks=self._tasks,
            machine=machine,
            replicator=replicator,
            proposer=self._proposer,
            guard=self._guard,
            tokens=self._tokens,
            hub=self._hub,
            lease_clock=self._lease_clock,
            lease_peer=self._lease_peer,
            cluster=self._cluster,
            upkeep=self._upkeep,
            streams=self._streams,
            calls=self._calls,
        )
        self.handlers = build_handlers(parts)
        self.http = LateHttp(
            lambda: build_http(
                config, machine, self.handlers, self._probes, self._metrics, self._calls
            ),
            is_needed=bool(config.metrics_listens),
        )
        self._front = make_front(
            config.grpc_engine,
            self.handlers,
            config.client_listens,
            max_request_bytes=config.max_request_bytes,
            max_concurrent_streams=config.max_concurrent_streams,
            on_handled=self._calls.handled,
            http1=self.http.client_protocol,
            keepalive=config.keepalive,
        )
        replicator.on_applied(self._on_applied)
        replicator.on_leadership(self._on_leadership)
        machine.on_restore(self._token_table.on_restore)

    async def start(self) -> None:
        """Start all parts in order. Raises StartError, ListenError or ReplicationError; then call `stop`."""
        self._check_addresses()
        self._lock.acquire()
        take_in(self._config)
        prepare_directories(self._config)
        record(self._config)
        # What cannot load its log has no state to ask for, and nothing to leave in order.
        await self.replicator.start()
        self._is_replicating = True
        self._tasks.start(self.replicator.run(), "replicator", eternal=True)
        self.metrics_addresses = await self.http.start()
        self.client_addresses = await self._front.start()
        self._tasks.start(self._lease_clock.run(), "lease-clock", eternal=True)
        self._tasks.start(self._compactor.run(), "compactor", eternal=True)
        self._tasks.start(self._streams.run(), "streams", eternal=True)
        self._tasks.start(self._upkeep.run(), "upkeep", eternal=True)
        self._tasks.start(self._progress(), "watch-progress", eternal=True)
        self._tasks.start(self._publish(), "publish")

    async def wait(self) -> None:
        """Until a part fails; raises its error."""
        await self._tasks.wait()

    async def stop(self) -> None:
        """Stop all parts in order, whatever was started."""
        if self._is_replicating:
            await self._hand_over()
        self._streams.stop()
        await self._front.stop(_FRONT_GRACE_SECONDS)
        await self.http.stop()
        await self._lease_peer.close()
        if self._is_replicating:
            with contextlib.suppress(ReplicationError):
                await self.replicator.stop()
        await self._tasks.stop(timeout_seconds=0.5)
        self._lock.release()

    def _on_applied(self, outcomes: Sequence[Any]) -> None:
        self._hub.on_applied(outcomes)
        # Most entries are puts without a lease, and tell the rest nothing.
        telling = [outcome for outcome in outcomes if outcome.effects]
        if telling:
            self._lease_clock.on_applied(telling)
        self._token_table.on_applied(telling)
        if telling:
            self._upkeep.on_applied(telling)

    def _on_leadership(self, is_leader: bool) -> None:
        log.info("leadership gained" if is_leader else "leadership lost")
        self._lease_clock.on_leadership(is_leader)
        self._compactor.on_leadership(is_leader)
        self._upkeep.corruption.on_leadership(is_leader)

    def _client_urls_of(self, member_id: MemberId) -> tuple[str, ...]:
        _, urls = self.machine.members.get(member_id, ("", ()))
        return tuple(urls)

    async def _progress(self) -> None:
        while True:
            await self._clock.sleep(self._config.progress_notify_seconds)
            self._hub.progress_tick()

    async def _publish(self) -> None:
        """Tell the cluster this member's name and client URLs; then say that it is ready."""
        config = self._config
        wanted = (config.name, config.advertise_client_urls)
        while True:
            try:
                await self._proposer.confirm_read()
                name, urls = self.machine.members.get(config.member_id, ("", ()))
                if (name, tuple(urls)) != wanted:
                    await self._proposer.submit(MemberAttributes(config.member_id, *wanted), SYSTEM)
                break
            except (ReplicationError, StoreError, ServiceError) as error:
                log.debug("not published yet", error=repr(error))
                await self._clock.sleep(_PUBLISH_RETRY_SECONDS)
        await self._upkeep.corruption.at_start()
        self.ready.set()
        log.info(
            "ready to serve client requests",
            name=config.name,
            member_id=f"{config.member_id:x}",
            cluster_id=f"{config.cluster_id:x}",
            client_addresses=[str(one) for one in self.client_addresses],
            metrics_addresses=[str(one) for one in self.metrics_addresses],
            version=VERSION,
        )
        # Not at once: the other members may still be starting on the same processors.
        await self._clock.sleep(_WARM_AFTER_SECONDS)
        await warm()

    async def _hand_over(self) -> None:
        status = self.replicator.status()
        voters = self.replicator.configuration().voters
        others = [one for one in voters if one != status.member_id]
        if status.leader_id != status.member_id or not others:
            return
        target = max(others, key=lambda one: (status.match_index.get(one, 0), one))
        try:
            await self.replicator.transfer_leadership(target, _TRANSFER_SECONDS)
        except ReplicationError as error:
            log.warning("leadership was not handed over", error=repr(error))

    def _check_addresses(self) -> None:
        """Refuse taken ports before anything is touched, naming who holds them."""
        wanted = [(one.host, one.port) for one in self._config.client_listens if one.host]
        wanted += [(one.host, one.port) for one in self._config.metrics_listens if one.host]
        wanted += list(self._config.peer_listens)
        for host, port in wanted:
            if port and not ports.is_free(host, port):
                holder = ports.holder(port)
                raise ListenError(f"{host}:{port} is in use" + (f" by {holder}" if holder else ""))


def _tokens(
    config: MemberConfig, clock: Clock, machine: StateMachine, wait_seconds: float
) -> tokens.Tokens:
    try:
        settings = tokens.parse_settings(config.auth_token, config.auth_token_ttl_seconds or 300.0)
    except ValueError as error:
        raise StartError(f"--auth-token: {error}") from error
    if settings.unknown_options:
        log.warning("unknown options of --auth-token", names=settings.unknown_options)
    return tokens.make(settings, clock, lambda: machine.applied_index, wait_seconds)


def _raft_settings(config: MemberConfig) -> RaftSettings:
    return RaftSettings(
        member_id=config.member_id,
        peers=dict(config.peer_addresses),
        data_dir=config.data_dir,
        cluster_id=config.cluster_id,
        heartbeat_interval_seconds=config.heartbeat_seconds,
        election_timeout_seconds=config.election_seconds,
        snapshot_count=config.snapshot_count,
        tls=config.peer_tls,
        listen=config.peer_listens,
        voters=() if config.is_joined else None,
        is_emptied=config.is_emptied,
        peer_urls=dict(config.peer_urls),
        is_forced=config.force_new_cluster,
        address_of=address_of,
    )
