"""What a member serves: every RPC's handler, built from the services behind it, and the HTTP face beside them."""

import math
import random
from dataclasses import dataclass

from kvstore.auth import passwords, tokens
from kvstore.base.clock import Clock
from kvstore.base.log import get_logger
from kvstore.base.metrics import Metrics
from kvstore.base.tasks import Supervisor
from kvstore.config.reader import MemberConfig
from kvstore.machine.machine import StateMachine
from kvstore.raft.replicator import Replicator
from kvstore.server.app import Streams, bind
from kvstore.server.auth import AuthServicer
from kvstore.server.calls import CallCounts
from kvstore.server.cluster import ClusterServicer
from kvstore.server.election import ElectionServicer
from kvstore.server.encode import Encoder
from kvstore.server.header import Header
from kvstore.server.health import HealthServicer
from kvstore.server.kv import KVServicer
from kvstore.server.late import HttpFace, LateLeasePeer
from kvstore.server.lease import LeaseServicer
from kvstore.server.lock import LockServicer
from kvstore.server.maintenance import MaintenanceServicer
from kvstore.server.probes import Probes
from kvstore.server.reflection import ReflectionServicer, services_of
from kvstore.server.watch import WatchServicer
from kvstore.service.auth import AuthService
from kvstore.service.cluster import ClusterService
from kvstore.service.election import ElectionService
from kvstore.service.expiry import LeaseClock
from kvstore.service.guard import Guard
from kvstore.service.kv import KVService, Quota
from kvstore.service.lease import LeaseService
from kvstore.service.lock import LockService
from kvstore.service.proposer import Proposer
from kvstore.service.watch.hub import WatchHub
from kvstore.upkeep import Upkeep
from kvstore.wire.engine import Handlers
from kvstore.wire.limits import GRPC_OVERHEAD_BYTES

log = get_logger("kvstore.node")


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a member that its handlers call."""

    config: MemberConfig
    clock: Clock
    rng: random.Random
    tasks: Supervisor
    machine: StateMachine
    replicator: Replicator
    proposer: Proposer
    guard: Guard
    tokens: tokens.Tokens
    hub: WatchHub
    lease_clock: LeaseClock
    lease_peer: LateLeasePeer
    cluster: ClusterService
    upkeep: Upkeep
    streams: Streams
    calls: CallCounts


def build_handlers(parts: Parts) -> Handlers:
    """All services of etcd's API, and health and reflection."""
    config, machine, proposer, guard = parts.config, parts.machine, parts.proposer, parts.guard
    header = Header(
        config.cluster_id,
        config.member_id,
        term=lambda: parts.replicator.leadership()[1],
        revision=lambda: machine.revision,
    )
    encoder = Encoder()
    disk = parts.upkeep.disk
    quota = Quota(machine, proposer, config.member_id, config.quota_bytes, lambda: disk.is_full)
    kv = KVServicer(
        KVService(machine, proposer, quota, guard),
        header,
        encoder,
        max_txn_ops=config.max_txn_ops,
    )
    watch = WatchServicer(
        parts.hub,
        header,
        encoder,
        guard,
        # As in etcd fragments are cut at what a message to the server may have.
        max_response_bytes=config.max_request_bytes + GRPC_OVERHEAD_BYTES,
    )
    lease = LeaseServicer(
        LeaseService(
            machine,
            parts.replicator,
            proposer,
            parts.lease_clock,
            parts.lease_peer,
            guard,
            clock=parts.clock,
            rng=parts.rng,
            # etcd's rule: a lease must outlive one and a half elections.
            min_ttl_seconds=math.ceil(1.5 * config.election_seconds),
            quota=quota,
        ),
        header,
    )
    maintenance = MaintenanceServicer(
        parts.cluster,
        header,
        machine.snapshot,
        guard,
        parts.upkeep.reclaimer.drain,
    )
    auth = AuthServicer(
        AuthService(
            machine.auth, proposer, guard, parts.tokens, passwords.Passwords(_cost(config))
        ),
        header,
    )
    core = bind(
        unary=(kv, lease, ClusterServicer(parts.cluster, header, guard), maintenance, auth),
        stream=(watch, lease, maintenance),
        streams=parts.streams,
        counts=parts.calls,
    )
    # Locks and elections call the handlers above as their callers would.
    lock = LockServicer(LockService(parts.hub, parts.tasks), header, core)
    election = ElectionServicer(ElectionService(parts.hub, parts.tasks), header, core)
    health = HealthServicer()
    reflection = ReflectionServicer(lambda: services_of(handlers))
    more = bind(
        unary=(lock, election, health),
        stream=(election, health, reflection),
        streams=parts.streams,
        counts=parts.calls,
    )
    handlers = Handlers({**core.unary, **more.unary}, {**core.stream, **more.stream})
    return handlers


def build_http(
    config: MemberConfig,
    machine: StateMachine,
    handlers: Handlers,
    probes: Probes,
    metrics: Metrics,
    calls: CallCounts,
) -> HttpFace:
    """What answers health, metrics and JSON over HTTP, made when somebody asks first."""
    # Not imported above: see `kvstore.server.late`.
    from kvstore.server.gateway.gateway import Gateway
    from kvstore.server.http import HttpServer

    gateway = None
    if config.enable_gateway:
        gateway = Gateway(
            handlers,
            max_request_bytes=config.max_request_bytes,
            on_handled=calls.handled,
        )
    tls = config.client_tls
    return HttpServer(
        probes,
        metrics,
        config.metrics_listens,
        gateway=gateway,
        cors=config.cors,
        refuses_names=lambda: (
            tls is not None and tls.is_client_required and machine.auth.is_enabled
        ),
    )


def _cost(config: MemberConfig) -> int:
    if passwords.MIN_COST <= config.bcrypt_cost <= passwords.MAX_COST:
        return config.bcrypt_cost
    # As etcd does it: a start that fails for this would be worse.
    log.warning("invalid --bcrypt-cost, the default is used", given=config.bcrypt_cost)
    return passwords.DEFAULT_COST
