"""The settings of a member, from etcd's flags, ETCD_ variables or a file. All mistakes are told at once.

Every value's name, default and meaning is etcd's, with the differences in docs/compatibility.md; so are the words in
which etcd refuses a value. Files named here are looked at, nothing is written: certificates of `--auto-tls` are made by
`kvstore.self_signed` when the member starts.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

import msgspec

from kvstore.base.durations import parse_duration
from kvstore.config.flags import Flags, parse
from kvstore.config.members import Members, listens_of, read_members
from kvstore.config.tls import AutoTls, TlsReader
from kvstore.raft.replicator import MemberId, PeerTls
from kvstore.service.cluster import cluster_id_of
from kvstore.service.compactor import CompactionSettings
from kvstore.service.corruption import CorruptionSettings
from kvstore.wire.engine import Listen, ServerTls
from kvstore.wire.limits import DEFAULT_MAX_CONCURRENT_STREAMS, Keepalive

if TYPE_CHECKING:
    from kvstore.wire.fronts import GrpcEngine

DEFAULT_QUOTA_BYTES = 2 << 30
NO_QUOTA = 1 << 62
_LEVELS = ("debug", "info", "warn", "error", "panic", "fatal", "dpanic")
_MAX_ELECTION_MS = 50_000


class ConfigError(Exception):
    """All that is wrong with the settings, one sentence each in `problems`.

    `is_usage`: the command line itself could not be read, which etcd answers with exit code 2.
    """

    def __init__(self, problems: Sequence[str], *, is_usage: bool = False) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)
        self.is_usage = is_usage


class MemberConfig(msgspec.Struct, frozen=True):
    """One member, ready to build."""

    name: str
    data_dir: Path
    member_id: MemberId
    cluster_id: int
    peer_urls: dict[MemberId, tuple[str, ...]]
    peer_addresses: dict[MemberId, tuple[str, int]]
    peer_listens: tuple[tuple[str, int], ...]
    peer_tls: PeerTls | None
    client_listens: tuple[Listen, ...]
    client_tls: ServerTls | None
    advertise_client_urls: tuple[str, ...]
    metrics_listens: tuple[Listen, ...]
    heartbeat_seconds: float
    election_seconds: float
    snapshot_count: int
    quota_bytes: int
    compaction: CompactionSettings
    corruption: CorruptionSettings
    max_request_bytes: int
    max_txn_ops: int
    progress_notify_seconds: float
    log_level: str
    warnings: tuple[str, ...] = ()
    peer_names: Mapping[str, MemberId] = msgspec.field(default_factory=dict)
    """All members' ids by name."""
    fault_socket: Path | None = None
    """Where faults are switched (`kvstore.faults.control`); None: they cannot be."""
    wal_dir: Path | None = None
    force_new_cluster: bool = False
    cluster_token: str = "etcd-cluster"
    max_concurrent_streams: int = DEFAULT_MAX_CONCURRENT_STREAMS
    keepalive: Keepalive = msgspec.field(default_factory=Keepalive)
    grpc_engine: "GrpcEngine" = "http2"
    enable_gateway: bool = True
    cors: tuple[str, ...] = ("*",)
    auth_token: str = "simple"
    bcrypt_cost: int = 10
    auth_token_ttl_seconds: float = 300.0
    log_format: Literal["json", "console"] = "json"
    log_outputs: tuple[str, ...] = ("stderr",)
    is_existing: bool = False
    """The first start joins a cluster that is there (`--initial-cluster-state existing`)."""
    is_joined: bool = False
    """This member was added to a cluster that was there before it."""
    is_emptied: bool = False
    """The others count this member, and its directory is empty: it was another one's, or is lost."""
    strict_reconfig_check: bool = True
    auto_tls: AutoTls = msgspec.field(default_factory=AutoTls)
    """What certificates are to be made before the member starts."""


def load(argv: Sequence[str], environ: Mapping[str, str]) -> MemberConfig:
    """The settings in `argv` and `environ`. Raises ConfigError."""
    return from_flags(parse(argv, environ))


def from_flags(flags: Flags) -> MemberConfig:
    """Typed and checked settings. Raises ConfigError."""
    if flags.usage:
        raise ConfigError(flags.usage, is_usage=True)
    reader = _Reader(flags)
    values = flags.values
    data_dir = Path(values["data-dir"] or f"{values['name']}.etcd")
    tls = TlsReader(flags, data_dir)
    client_tls, peer_tls = tls.client(), tls.peer()
    client_listens = listens_of(flags, "listen-client-urls", client_tls)
    client_listens += _http_listens(flags, client_listens, client_tls)
    members = read_members(flags, peer_tls)
    config = MemberConfig(
        name=values["name"],
        data_dir=data_dir,
        member_id=members.own_id,
        cluster_id=cluster_id_of(list(members.peer_urls)),
        peer_urls=members.peer_urls,
        peer_addresses=members.addresses,
        peer_listens=tuple(
            (one.host, one.port) for one in listens_of(flags, "listen-peer-urls", None)
        ),
        peer_tls=_used_peer_tls(flags, members, peer_tls),
        client_listens=client_listens,
        client_tls=client_tls,
        advertise_client_urls=reader.advertised(),
        metrics_listens=listens_of(flags, "listen-metrics-urls", client_tls),
        heartbeat_seconds=reader.milliseconds("heartbeat-interval"),
        election_seconds=reader.milliseconds("election-timeout"),
        snapshot_count=reader.integer("snapshot-count", 0) or 10_000,
        quota_bytes=reader.quota(),
        compaction=reader.compaction(),
        corruption=reader.corruption(),
        max_request_bytes=reader.integer("max-request-bytes", 1),
        max_txn_ops=reader.integer("max-txn-ops", 0),
        progress_notify_seconds=reader.seconds("experimental-watch-progress-notify-interval", 0.1),
        log_level=reader.log_level(),
        peer_names=members.names,
        fault_socket=reader.path("experimental-fault-socket"),
        wal_dir=reader.path("wal-dir"),
        force_new_cluster=flags.boolean("force-new-cluster"),
        cluster_token=values["initial-cluster-token"],
        max_concurrent_streams=reader.max_streams(),
        keepalive=Keepalive(
            reader.seconds("grpc-keepalive-min-time"),
            reader.seconds("grpc-keepalive-interval"),
            reader.seconds("grpc-keepalive-timeout"),
        ),
        grpc_engine=cast("GrpcEngine", values["experimental-grpc-engine"]),
        enable_gateway=flags.boolean("enable-grpc-gateway"),
        cors=tuple(filter(None, values["cors"].split(","))),
        auth_token=values["auth-token"],
        bcrypt_cost=reader.integer("bcrypt-cost", 0),
        auth_token_ttl_seconds=float(reader.integer("auth-token-ttl", 0)),
        log_format="console" if values["log-format"] == "console" else "json",
        log_outputs=reader.log_outputs(),
        is_existing=values["initial-cluster-state"] == "existing",
        strict_reconfig_check=flags.boolean("strict-reconfig-check"),
        auto_tls=tls.auto,
        warnings=(),
    )
    reader.check_relations(config)
    if flags.problems:
        raise ConfigError(flags.problems)
    return _with_warnings(config, flags.warnings)


def _with_warnings(config: MemberConfig, warnings: Sequence[str]) -> MemberConfig:

    return msgspec.structs.replace(config, warnings=tuple(dict.fromkeys(warnings)))


def _http_listens(
    flags: Flags, clients: tuple[Listen, ...], tls: ServerTls | None
) -> tuple[Listen, ...]:
    """`--listen-client-http-urls`: one more set of addresses that serve all, as every client port speaks HTTP too."""
    if not flags.values["listen-client-http-urls"]:
        return ()
    found = listens_of(flags, "listen-client-http-urls", tls)
    return tuple(one for one in found if one not in clients)


def _used_peer_tls(flags: Flags, members: Members, tls: PeerTls | None) -> PeerTls | None:
    if tls is not None and not members.is_secure:
        flags.warnings.append(
            "the scheme of the peer URLs is HTTP while peer key and cert files are present; ignoring key and cert files"
        )
        return None
    return tls


class _Reader:
    """Turns raw values into typed ones; every mistake goes to `flags.problems`."""

    def __init__(self, flags: Flags) -> None:
        self._flags = flags
        self._values = flags.values
        self._problems = flags.problems

    def integer(self, name: str, low: int) -> int:
        """A whole number; what is none was refused before."""
        number = int(self._values[name].replace("_", ""), 0)
        if number < low:
            self._problems.append(f"--{name} must be at least {low} (set to {number})")
            return low
        return number

    def milliseconds(self, name: str) -> float:
        """Milliseconds as seconds; etcd's refusal of 0."""
        number = int(self._values[name], 0)
        if number <= 0:
            self._problems.append(f"--{name} must be >0 (set to {number}ms)")
            return 1.0
        return number / 1000

    def seconds(self, name: str, low: float = 0.0) -> float:
        """A Go duration."""
        return max(low, parse_duration(self._values[name]))

    def path(self, name: str) -> Path | None:
        """A path, absolute; None if empty."""
        text = self._values[name]
        return Path(text).absolute() if text else None

    def quota(self) -> int:
        """--quota-backend-bytes: 0 is etcd's default, below there is none."""
        number = int(self._values["quota-backend-bytes"].replace("_", ""), 0)
        return DEFAULT_QUOTA_BYTES if number == 0 else number if number > 0 else NO_QUOTA

    def max_streams(self) -> int:
        """--max-concurrent-streams: this store's own bound if it is not given."""
        if "max-concurrent-streams" not in self._flags.given:
            return DEFAULT_MAX_CONCURRENT_STREAMS
        return self.integer("max-concurrent-streams", 1)

    def advertised(self) -> tuple[str, ...]:
        """Client URLs to tell others."""
        flags = self._flags
        if "listen-client-urls" in flags.given and "advertise-client-urls" not in flags.given:
            self._problems.append(
                "--advertise-client-urls is required when --listen-client-urls is set explicitly"
            )
        return tuple(
            part.strip() for part in self._values["advertise-client-urls"].split(",") if part
        )

    def compaction(self) -> CompactionSettings:
        """--auto-compaction-mode and -retention; a bare number is hours for `periodic`, as in etcd."""
        mode, text = self._values["auto-compaction-mode"], self._values["auto-compaction-retention"]
        if mode not in ("periodic", "revision"):
            self._problems.append(f'unknown auto-compaction-mode "{mode}"')
            return CompactionSettings()
        prefix = "error parsing CompactionRetention:"
        if not text.removeprefix("-").isdigit() and mode == "revision":
            self._problems.append(f'{prefix} strconv.Atoi: parsing "{text}": invalid syntax')
            return CompactionSettings()
        if mode == "revision":
            return CompactionSettings("revision", max(0, int(text)))
        try:
            retention = int(text) * 3600.0 if text.isdigit() else parse_duration(text)
        except ValueError:
            self._problems.append(f'{prefix} time: invalid duration "{text}"')
            return CompactionSettings()
        return CompactionSettings("periodic", max(0.0, retention))

    def corruption(self) -> CorruptionSettings:
        """etcd's three checks."""
        is_checked = self._flags.boolean("experimental-compact-hash-check-enabled")
        return CorruptionSettings(
            interval_seconds=self.seconds("experimental-corrupt-check-time"),
            compacted_seconds=self.seconds("experimental-compact-hash-check-time")
            if is_checked
            else 0.0,
            must_pass_at_start=self._flags.boolean("experimental-initial-corrupt-check"),
        )

    def log_level(self) -> str:
        """The level, `debug` if the old flag says so."""
        level = self._values["log-level"].lower()
        if level not in _LEVELS:
            self._problems.append(f'unrecognized level: "{self._values["log-level"]}"')
        return "debug" if self._flags.boolean("debug") else level

    def log_outputs(self) -> tuple[str, ...]:
        """Where log lines go; also checks --logger."""
        logger = self._values["logger"]
        if logger == "capnslog":
            self._problems.append("--logger=capnslog is removed in v3.5")
        elif logger != "zap":
            self._problems.append(f'unknown logger option "{logger}"')
        outputs = [part.strip() for part in self._values["log-outputs"].split(",")]
        if "" in outputs:
            self._problems.append('couldn\'t open sink "": open : no such file or directory')
        if "default" in outputs and len(outputs) > 1:
            self._problems.append('multi logoutput for "default" is not supported yet')
        return tuple("stderr" if one in ("default", "systemd/journal") else one for one in outputs)

    def check_relations(self, config: MemberConfig) -> None:
        """What only shows when settings are seen together."""
        election, heartbeat = config.election_seconds * 1000, config.heartbeat_seconds * 1000
        if election < 5 * heartbeat:
            self._problems.append(
                f"--election-timeout[{election:.0f}ms] should be at least as 5 times "
                f"as --heartbeat-interval[{heartbeat:.0f}ms]"
            )
        if election > _MAX_ELECTION_MS:
            self._problems.append(
                f"--election-timeout[{election:.0f}ms] is too long, and should be set less than {_MAX_ELECTION_MS}ms"
            )
        if not self._flags.boolean("pre-vote"):
            self._flags.warnings.append("--pre-vote=false is ignored: it is always on here")
        if self._flags.boolean("client-cert-auth"):
            self._flags.warnings.extend(
                f"scheme is HTTP while --client-cert-auth is enabled; ignoring client cert auth for this URL: {one}"
                for one in config.client_listens
                if one.tls is None
            )
