"""etcd's command line as Go's flag package reads it: `--flag value`, `--flag=value`, one dash or two.

Each flag can also come from the environment (`--data-dir` is `ETCD_DATA_DIR`); the command line wins. A flag of etcd's
that means nothing here is accepted and named in a warning, so that what launches etcd can launch this; a flag that etcd
does not have either is a mistake. All mistakes are gathered.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

BOOLEAN = frozenset({"client-cert-auth", "peer-client-cert-auth", "version", "help"})

KNOWN: dict[str, str] = {
    "name": "default",
    "data-dir": "",
    "listen-client-urls": "http://localhost:2379",
    "advertise-client-urls": "",
    "listen-peer-urls": "http://localhost:2380",
    "initial-advertise-peer-urls": "",
    "initial-cluster": "",
    "initial-cluster-state": "new",
    "initial-cluster-token": "etcd-cluster",
    "heartbeat-interval": "100",
    "election-timeout": "1000",
    "snapshot-count": "10000",
    "quota-backend-bytes": "0",
    "auto-compaction-mode": "periodic",
    "auto-compaction-retention": "0",
    "cert-file": "",
    "key-file": "",
    "trusted-ca-file": "",
    "client-cert-auth": "false",
    "peer-cert-file": "",
    "peer-key-file": "",
    "peer-trusted-ca-file": "",
    "peer-client-cert-auth": "false",
    "listen-metrics-urls": "",
    "max-request-bytes": "1572864",
    "max-txn-ops": "128",
    "experimental-watch-progress-notify-interval": "10m",
    "log-level": "info",
    "logger": "zap",
    "log-outputs": "default",
    "version": "false",
    "help": "false",
}
"""Flags with a meaning here, and their defaults."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


IGNORED = _words(
    """
    wal-dir max-snapshots max-wals backend-bbolt-freelist-type backend-batch-interval
    backend-batch-limit max-concurrent-streams grpc-keepalive-min-time grpc-keepalive-interval
    grpc-keepalive-timeout socket-reuse-port socket-reuse-address enable-grpc-gateway
    initial-election-tick-advance strict-reconfig-check pre-vote enable-v2 client-crl-file
    client-cert-allowed-hostname self-signed-cert-validity peer-cert-allowed-cn
    peer-cert-allowed-hostname peer-crl-file cipher-suites tls-min-version
    tls-max-version cors host-whitelist auth-token bcrypt-cost auth-token-ttl enable-pprof
    metrics enable-log-rotation log-rotation-config-json log-format log-package-levels debug
    proxy proxy-failure-wait proxy-refresh-interval proxy-dial-timeout proxy-write-timeout
    proxy-read-timeout unsafe-no-fsync v2-deprecation raft-read-timeout raft-write-timeout
    warning-unary-request-duration max-learners compaction-batch-limit
    peer-skip-client-san-verification snapshot-catchup-entries
    bootstrap-defrag-threshold-megabytes compact-hash-check-enabled compact-hash-check-time
    corrupt-check-time initial-corrupt-check enable-lease-checkpoint
    watch-progress-notify-interval feature-gates memory-mlock warning-apply-duration
    downgrade-check-time stop-grpc-service-on-defrag distributed-tracing-enabled
    compaction-sleep-interval listen-client-http-urls discovery-fallback
    discovery-proxy discovery-srv-name
    """
)
"""Flags of etcd's that change nothing here: warned about, then left alone."""

REFUSED: dict[str, str] = {
    "config-file": "give flags or ETCD_ variables instead",
    "discovery": "give --initial-cluster instead",
    "discovery-srv": "give --initial-cluster instead",
    "force-new-cluster": "restore the members' data directories instead",
    "auto-tls": "give --cert-file and --key-file instead",
    "peer-auto-tls": "give --peer-cert-file and --peer-key-file instead",
}
"""Flags of etcd's whose silent loss would do harm."""

_BOOLEAN_IGNORED = _words(
    """
    socket-reuse-port socket-reuse-address enable-grpc-gateway initial-election-tick-advance
    strict-reconfig-check pre-vote enable-v2 auto-tls peer-auto-tls enable-pprof
    enable-log-rotation debug unsafe-no-fsync force-new-cluster
    peer-skip-client-san-verification compact-hash-check-enabled initial-corrupt-check
    enable-lease-checkpoint memory-mlock stop-grpc-service-on-defrag distributed-tracing-enabled
    """
)

_TRUE = frozenset({"1", "t", "true"})
_FALSE = frozenset({"0", "f", "false", ""})


@dataclass(slots=True)
class Flags:
    """Raw values with defaults filled in, and what was wrong or odd on the way."""

    values: dict[str, str]
    given: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def boolean(self, name: str) -> bool:
        """A flag's truth; a mistake is gathered and counts as false."""
        text = self.values[name].lower()
        if text not in _TRUE | _FALSE:
            self.problems.append(f"--{name}: {self.values[name]!r} is not true or false")
        return text in _TRUE


def parse(argv: Sequence[str], environ: Mapping[str, str]) -> Flags:
    """Read the environment, then the command line."""
    flags = Flags(dict(KNOWN))
    for variable, value in sorted(environ.items()):
        if variable.startswith("ETCD_") and value:
            _take_variable(flags, variable, value)
    position = 0
    while position < len(argv):
        word = argv[position]
        position += 1
        if not word.startswith("-") or word in ("-", "--"):
            flags.problems.append(f"{word!r} is not a flag")
            continue
        name, has_value, value = word.lstrip("-").partition("=")
        plain = name.removeprefix("experimental-")
        if not has_value:
            if name in BOOLEAN or plain in _BOOLEAN_IGNORED or name == "h":
                value = "true"
            elif position < len(argv) and _is_known(name):
                value = argv[position]
                position += 1
            elif _is_known(name):
                flags.problems.append(f"--{name} needs a value")
                continue
        _take(flags, "help" if name == "h" else name, value)
    return flags


def _is_known(name: str) -> bool:
    plain = name.removeprefix("experimental-")
    return name in KNOWN or plain in IGNORED or plain in REFUSED


def _take(flags: Flags, name: str, value: str) -> None:
    plain = name.removeprefix("experimental-")
    if name == "watch-progress-notify-interval":
        name = f"experimental-{name}"  # its name from etcd 3.6 on
    if name in KNOWN:
        flags.values[name] = value
        flags.given.add(name)
    elif plain in REFUSED:
        if value.lower() not in _FALSE:
            flags.problems.append(f"--{name} is not supported: {REFUSED[plain]}")
    elif plain in IGNORED:
        flags.warnings.append(f"--{name} has no meaning here and is ignored")
    else:
        flags.problems.append(f"unknown flag --{name}; `kvstore --help` lists all")


def _take_variable(flags: Flags, variable: str, value: str) -> None:
    name = variable.removeprefix("ETCD_").lower().replace("_", "-")
    if _is_known(name):
        _take(flags, name, value)
    else:
        flags.warnings.append(f"environment variable {variable} is not known and is ignored")
