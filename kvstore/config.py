"""The settings of a member, from etcd's flags and ETCD_ variables. All mistakes are told at once.

Every value's name, default and meaning is etcd's, with the differences in docs/compatibility.md.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from kvstore.base.durations import parse_duration
from kvstore.flags import Flags, parse
from kvstore.raft.replicator import MemberId, PeerTls
from kvstore.service.cluster import cluster_id_of, member_id_of
from kvstore.service.compactor import CompactionSettings
from kvstore.wire.engine import Listen, ServerTls

DEFAULT_QUOTA_BYTES = 2 << 30
_LEVELS = ("debug", "info", "warn", "error", "panic", "fatal", "dpanic")


class ConfigError(Exception):
    """All that is wrong with the settings, one sentence each in `problems`."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class MemberConfig:
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
    max_request_bytes: int
    max_txn_ops: int
    progress_notify_seconds: float
    log_level: str
    warnings: tuple[str, ...] = ()
    peer_names: Mapping[str, MemberId] = field(default_factory=dict)
    """All members' ids by name."""
    fault_socket: Path | None = None
    """Where faults are switched (`kvstore.faults.control`); None: they cannot be."""


def load(argv: Sequence[str], environ: Mapping[str, str]) -> MemberConfig:
    """The settings in `argv` and `environ`. Raises ConfigError."""
    return from_flags(parse(argv, environ))


def from_flags(flags: Flags) -> MemberConfig:
    """Typed and checked settings. Raises ConfigError."""
    reader = _Reader(flags)
    values = flags.values
    client_tls = reader.client_tls()
    client_listens = reader.listens("listen-client-urls", client_tls)
    peer_tls = reader.peer_tls()
    peer_urls, own_id = reader.members()
    config = MemberConfig(
        name=values["name"],
        data_dir=Path(values["data-dir"] or f"{values['name']}.etcd"),
        member_id=own_id,
        cluster_id=cluster_id_of(list(peer_urls)),
        peer_urls=peer_urls,
        peer_addresses=reader.peer_addresses(peer_urls, peer_tls),
        peer_listens=tuple(
            (one.host, one.port) for one in reader.listens("listen-peer-urls", None)
        ),
        peer_tls=peer_tls,
        client_listens=client_listens,
        client_tls=client_tls,
        advertise_client_urls=reader.advertised(),
        metrics_listens=reader.listens("listen-metrics-urls", client_tls),
        heartbeat_seconds=reader.integer("heartbeat-interval", 1, 60_000) / 1000,
        election_seconds=reader.integer("election-timeout", 10, 50_000) / 1000,
        snapshot_count=reader.integer("snapshot-count", 1, 1 << 40),
        quota_bytes=reader.integer("quota-backend-bytes", -1, 1 << 50) or DEFAULT_QUOTA_BYTES,
        compaction=reader.compaction(),
        max_request_bytes=reader.integer("max-request-bytes", 1, 1 << 30),
        max_txn_ops=reader.integer("max-txn-ops", 1, 1 << 20),
        progress_notify_seconds=reader.seconds("experimental-watch-progress-notify-interval", 0.1),
        log_level=reader.log_level(),
        warnings=tuple(flags.warnings),
        peer_names=reader.peer_names,
        fault_socket=Path(values["experimental-fault-socket"]).absolute()
        if values["experimental-fault-socket"]
        else None,
    )
    reader.check_relations(config)
    if flags.problems:
        raise ConfigError(flags.problems)
    return config


class _Reader:
    """Turns raw values into typed ones; every mistake goes to `flags.problems`."""

    def __init__(self, flags: Flags) -> None:
        self._flags = flags
        self._values = flags.values
        self._problems = flags.problems
        self.peer_names: dict[str, MemberId] = {}

    def integer(self, name: str, low: int, high: int) -> int:
        """A whole number within bounds."""
        text = self._values[name]
        try:
            number = int(text)
        except ValueError:
            self._problems.append(f"--{name}: {text!r} is not a whole number")
            return low
        if not low <= number <= high:
            self._problems.append(f"--{name}: {number} is not between {low} and {high}")
            return low
        return number

    def seconds(self, name: str, low: float) -> float:
        """A Go duration."""
        try:
            return max(low, parse_duration(self._values[name]))
        except ValueError as error:
            self._problems.append(f"--{name}: {error}")
            return low

    def file(self, name: str) -> Path | None:
        """A path that must be a readable file if given."""
        text = self._values[name]
        if not text:
            return None
        if not os.access(text, os.R_OK) or not Path(text).is_file():
            self._problems.append(f"--{name}: {text} is not a readable file")
        return Path(text)

    def client_tls(self) -> ServerTls | None:
        """TLS of the client side."""
        cert, key = self.file("cert-file"), self.file("key-file")
        ca = self.file("trusted-ca-file")
        is_required = self._flags.boolean("client-cert-auth")
        if (cert is None) != (key is None):
            self._problems.append("--cert-file and --key-file must be given together")
        if is_required and ca is None:
            self._problems.append("--client-cert-auth needs --trusted-ca-file")
        if cert is None or key is None:
            return None
        return ServerTls(cert, key, ca, is_required)

    def peer_tls(self) -> PeerTls | None:
        """TLS between members; always mutual, so the authority is needed."""
        cert, key = self.file("peer-cert-file"), self.file("peer-key-file")
        ca = self.file("peer-trusted-ca-file")
        self._flags.boolean("peer-client-cert-auth")
        if cert is None and key is None:
            return None
        if cert is None or key is None or ca is None:
            self._problems.append(
                "--peer-cert-file, --peer-key-file and --peer-trusted-ca-file must be given together"
            )
            return None
        return PeerTls(cert, key, ca)

    def urls(self, name: str) -> tuple[str, ...]:
        """A comma list of URLs with a scheme, a host and a port, or unix sockets."""
        found = tuple(part.strip() for part in self._values[name].split(",") if part.strip())
        for url in found:
            self._check_url(f"--{name}", url)
        return found

    def listens(self, name: str, tls: ServerTls | None) -> tuple[Listen, ...]:
        """Where to listen."""
        listens = []
        for url in self.urls(name):
            parts = urlsplit(url)
            is_secure = parts.scheme in ("https", "unixs")
            if is_secure and tls is None and name != "listen-peer-urls":
                self._problems.append(f"--{name}: {url} needs --cert-file and --key-file")
            used = tls if is_secure else None
            if parts.scheme in ("unix", "unixs"):
                listens.append(Listen(unix_path=parts.netloc + parts.path, tls=used))
            else:
                listens.append(Listen(_host(parts.hostname), _port(url) or 0, tls=used))
        if not listens and name != "listen-metrics-urls":
            self._problems.append(f"--{name} must name at least one URL")
        return tuple(listens)

    def advertised(self) -> tuple[str, ...]:
        """Client URLs to tell others; by default where this member listens."""
        if "listen-client-urls" in self._flags.given and not self._values["advertise-client-urls"]:
            self._problems.append(
                "--advertise-client-urls is required when --listen-client-urls is set explicitly"
            )
        if self._values["advertise-client-urls"]:
            return self.urls("advertise-client-urls")
        return self.urls("listen-client-urls")

    def members(self) -> tuple[dict[MemberId, tuple[str, ...]], MemberId]:
        """Peer URLs by member id, and the own id."""
        name, token = self._values["name"], self._values["initial-cluster-token"]
        if not self._values["initial-advertise-peer-urls"]:
            self._values["initial-advertise-peer-urls"] = "http://localhost:2380"
        own_urls = self.urls("initial-advertise-peer-urls")
        text = self._values["initial-cluster"] or ",".join(f"{name}={url}" for url in own_urls)
        if self._values["initial-cluster-state"] not in ("new", "existing"):
            self._problems.append(
                f"--initial-cluster-state: {self._values['initial-cluster-state']!r} is neither "
                "'new' nor 'existing'"
            )
        by_name: dict[str, list[str]] = {}
        for part in filter(None, (part.strip() for part in text.split(","))):
            member, has_url, url = part.partition("=")
            if not has_url or not member:
                self._problems.append(f"--initial-cluster: {part!r} is not of the form name=URL")
                continue
            self._check_url("--initial-cluster", url)
            by_name.setdefault(member, []).append(url)
        if name not in by_name:
            self._problems.append(
                f"--initial-cluster: no member is named {name!r}; it names "
                f"{', '.join(sorted(by_name)) or 'nobody'}"
            )
        elif sorted(by_name[name]) != sorted(own_urls):
            self._problems.append(
                f"--initial-cluster has {name}={','.join(by_name[name])} but "
                f"--initial-advertise-peer-urls is {','.join(own_urls)}"
            )
        listed = {member_id_of(urls, token): tuple(urls) for urls in by_name.values()}
        self.peer_names = {name: member_id_of(urls, token) for name, urls in by_name.items()}
        if len(listed) != len(by_name):
            self._problems.append("--initial-cluster: two members have the same URLs")
        return listed, member_id_of(by_name.get(name, own_urls), token)

    def peer_addresses(
        self, peer_urls: Mapping[MemberId, tuple[str, ...]], tls: PeerTls | None
    ) -> dict[MemberId, tuple[str, int]]:
        """The first peer URL of each member as (host, port)."""
        schemes = {urlsplit(url).scheme for urls in peer_urls.values() for url in urls}
        if "https" in schemes and tls is None:
            self._problems.append(
                "https peer URLs need --peer-cert-file, --peer-key-file and --peer-trusted-ca-file"
            )
        if schemes == {"http"} and tls is not None:
            self._problems.append("--peer-cert-file is given but the peer URLs are http")
        return {
            member_id: (_host(urlsplit(urls[0]).hostname), _port(urls[0]) or 0)
            for member_id, urls in peer_urls.items()
        }

    def compaction(self) -> CompactionSettings:
        """--auto-compaction-mode and -retention; a bare number is hours for `periodic`, as in etcd."""
        mode, text = self._values["auto-compaction-mode"], self._values["auto-compaction-retention"]
        if mode not in ("periodic", "revision"):
            self._problems.append(
                f"--auto-compaction-mode: {mode!r} is neither 'periodic' nor 'revision'"
            )
            return CompactionSettings()
        try:
            if mode == "revision":
                return CompactionSettings("revision", int(text))
            retention = int(text) * 3600.0 if text.isdigit() else parse_duration(text)
            return CompactionSettings("periodic", retention)
        except ValueError:
            self._problems.append(f"--auto-compaction-retention: {text!r} does not fit mode {mode}")
            return CompactionSettings()

    def log_level(self) -> str:
        """etcd's level names to ours."""
        level = self._values["log-level"].lower()
        if level not in _LEVELS:
            self._problems.append(f"--log-level: {level!r} is not one of {', '.join(_LEVELS)}")
        return {
            "warn": "warning",
            "panic": "critical",
            "fatal": "critical",
            "dpanic": "critical",
        }.get(level, level)

    def check_relations(self, config: MemberConfig) -> None:
        """What only shows when settings are seen together."""
        if config.election_seconds < 5 * config.heartbeat_seconds:
            self._problems.append(
                f"--election-timeout[{config.election_seconds * 1000:.0f}ms] should be at least as 5 times "
                f"as --heartbeat-interval[{config.heartbeat_seconds * 1000:.0f}ms]"
            )

    def _check_url(self, where: str, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme in ("unix", "unixs"):
            if not parts.netloc + parts.path:
                self._problems.append(f"{where}: {url} names no socket")
            return
        if parts.scheme not in ("http", "https"):
            self._problems.append(
                f"{where}: URL {url!r} must start with http://, https:// or unix://"
            )
        elif not parts.hostname or _port(url) is None:
            self._problems.append(f"{where}: URL {url!r} must have the form http://host:port")
        elif parts.path not in ("", "/"):
            self._problems.append(f"{where}: URL {url!r} must not contain a path")


def _host(name: str | None) -> str:
    return "127.0.0.1" if name in (None, "localhost") else str(name)


def _port(url: str) -> int | None:
    try:
        return urlsplit(url).port
    except ValueError:
        return None
