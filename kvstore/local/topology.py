"""The store's part of cluster.toml, and how it becomes processes: addresses, flags, folders, certificates.

The tables `[store]`, `[security]` and the store's ports of `[[masters]]` are defined here, so that the store can be run
without anything of Kubernetes. Members are started with etcd's own flags: what we start, anybody can start.
"""

import ssl
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec

from kvstore.local.certificates import CertificateAuthority, Identity
from kvstore.local.probe import is_healthy
from kvstore.local.process import ProcessSpec

STORE_MODULES = (
    "kvstore.config.reader",
    "kvstore.program",
    "uvloop",
    "kvstore.faults.control",
    "kvstore.faults.member",
    "kvstore.server.http",
    "kvstore.server.forward",
    "kvstore.base.metrics_process",
)
"""What a member imports, in the order in which it does: for a warm parent. Named as text, for nothing here uses it."""

Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]
"""A TCP port; 0 = any free one, chosen at the first start and kept in the state folder."""


class StoreSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[store]`: settings of all members."""

    heartbeat_interval_ms: Annotated[int, msgspec.Meta(ge=10, le=10_000)] = 50
    """How often the leader is heard from."""
    election_timeout_ms: Annotated[int, msgspec.Meta(ge=50, le=50_000)] = 250
    """Silence after which a member stands for election; each waits up to twice this, by chance."""
    snapshot_count: Annotated[int, msgspec.Meta(ge=100)] = 10_000
    """Log entries between two snapshots."""
    quota_backend_bytes: Annotated[int, msgspec.Meta(ge=1 << 20)] = 2 << 30
    """Size at which the NOSPACE alarm stops writes."""
    auto_compaction_mode: Annotated[str, msgspec.Meta(pattern="^(periodic|revision)$")] = "periodic"
    """What `auto_compaction_retention` counts: time or revisions."""
    auto_compaction_retention: str = "0"
    """How much history is kept, e.g. "1h" or "10000"; "0" keeps all."""
    fault_injection: bool = True
    """Whether members can be given faults (`quorate partition|network|disk|clock`), by a socket in the state folder."""

    def __post_init__(self) -> None:
        """etcd's own rule: a follower must miss several heartbeats before it acts."""
        if self.election_timeout_ms < 5 * self.heartbeat_interval_ms:
            raise ValueError(
                f"election_timeout_ms = {self.election_timeout_ms} must be at least 5 times "
                f"heartbeat_interval_ms = {self.heartbeat_interval_ms}"
            )


class SecuritySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[security]`."""

    store_tls: bool = True
    """Mutual TLS on the store's client and peer ports; false gives plain etcd endpoints."""


@dataclass(frozen=True, slots=True)
class MemberAddress:
    """Where one member listens, all on `host`."""

    name: str
    host: str
    client_port: int
    peer_port: int
    health_port: int


def certificate_hosts(host: str) -> tuple[str, ...]:
    """Names that a certificate of a server on `host` must carry."""
    return tuple(dict.fromkeys(("localhost", "127.0.0.1", "::1", host)))


def endpoint(member: MemberAddress, security: SecuritySettings) -> str:
    """The member's client URL."""
    return f"{'https' if security.store_tls else 'http'}://{member.host}:{member.client_port}"


def peer_endpoint(member: MemberAddress, security: SecuritySettings) -> str:
    """The URL at which other members reach it."""
    return f"{'https' if security.store_tls else 'http'}://{member.host}:{member.peer_port}"


def store_folder(state_dir: Path, member: str) -> Path:
    """A member's data directory."""
    return state_dir / "data" / member / "store"


def fault_socket(state_dir: Path, member: str) -> Path:
    """Where a member's faults are switched, if they can be."""
    return state_dir / "run" / f"{member}.faults"


def store_specs(
    members: Sequence[MemberAddress],
    settings: StoreSettings,
    security: SecuritySettings,
    *,
    token: str,
    state_dir: Path,
    authority: CertificateAuthority | None,
    peer_authority: CertificateAuthority | None,
    added: Sequence[str] = (),
) -> list[ProcessSpec]:
    """One `ProcessSpec` a member; those of `added` join a cluster that is there, in this order.

    The authorities are needed with TLS.
    Members trust an authority of their own among each other: it signs members and nobody else, so that a client's
    certificate is worth nothing at a peer port.
    """
    scheme = "https" if security.store_tls else "http"
    specs = []
    for member in members:
        data_dir = store_folder(state_dir, member.name)
        client_url = f"{scheme}://{member.host}:{member.client_port}"
        peer_url = peer_endpoint(member, security)
        joins = member.name in added
        later = added[added.index(member.name) + 1 :] if joins else added
        initial = ",".join(
            f"{m.name}={peer_endpoint(m, security)}" for m in members if m.name not in later
        )
        argv = [
            sys.executable, "-m", "kvstore",
            "--name", member.name,
            "--data-dir", str(data_dir),
            "--listen-client-urls", client_url,
            "--advertise-client-urls", client_url,
            "--listen-peer-urls", peer_url,
            "--initial-advertise-peer-urls", peer_url,
            "--initial-cluster", initial,
            "--initial-cluster-token", token,
            "--initial-cluster-state", "existing" if joins else "new",
            "--listen-metrics-urls", f"http://{member.host}:{member.health_port}",
            "--heartbeat-interval", str(settings.heartbeat_interval_ms),
            "--election-timeout", str(settings.election_timeout_ms),
            "--snapshot-count", str(settings.snapshot_count),
            "--quota-backend-bytes", str(settings.quota_backend_bytes),
            "--auto-compaction-mode", settings.auto_compaction_mode,
            "--auto-compaction-retention", settings.auto_compaction_retention,
        ]  # fmt: skip
        if settings.fault_injection:
            socket_path = fault_socket(state_dir, member.name)
            socket_path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            argv += ["--experimental-fault-socket", str(socket_path)]
        if authority is not None and peer_authority is not None and security.store_tls:
            hosts = certificate_hosts(member.host)
            argv += _tls_flags(
                authority.identity(f"store-{member.name}", member.name, hosts=hosts, server=True),
                peer_authority.identity(member.name, member.name, hosts=hosts, server=True),
            )
        specs.append(
            ProcessSpec(
                name=f"{member.name}/store",
                group=member.name,
                kind="store",
                argv=tuple(argv),
                log_file=state_dir / "logs" / f"{member.name}-store.log",
                ready=_health_check(member),
                addresses={
                    "client": client_url,
                    "peer": peer_url,
                    "health": f"http://{member.host}:{member.health_port}",
                },
            )
        )
    return specs


def _tls_flags(client: Identity, peer: Identity) -> list[str]:
    return [
        "--cert-file", str(client.cert_file),
        "--key-file", str(client.key_file),
        "--trusted-ca-file", str(client.ca_file),
        "--client-cert-auth",
        "--peer-cert-file", str(peer.cert_file),
        "--peer-key-file", str(peer.key_file),
        "--peer-trusted-ca-file", str(peer.ca_file),
        "--peer-client-cert-auth",
    ]  # fmt: skip


def _health_check(member: MemberAddress) -> "_HealthCheck":
    return _HealthCheck(member.host, member.health_port, "/health")


class _HealthCheck:
    """A readiness check over HTTP or, with `tls`, HTTPS."""

    def __init__(self, host: str, port: int, path: str, tls: ssl.SSLContext | None = None) -> None:
        self._target = (host, port, path)
        self._tls = tls

    async def __call__(self) -> bool:
        host, port, path = self._target
        return await is_healthy(host, port, path, tls=self._tls)


def health_check(
    host: str, port: int, path: str, tls: ssl.SSLContext | None = None
) -> _HealthCheck:
    """A check for `ProcessSpec.ready`: GET `path` answers 200."""
    return _HealthCheck(host, port, path, tls)
