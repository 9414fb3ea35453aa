"""All flags of etcd 3.5 (and those that 3.6 renamed or added), one line each: name, kind, default, what it does.

Kinds: `s` string, `b` boolean, `i` whole number, `u` whole number of at least 0, `d` duration, `l` list of URLs, and
`a|b|c` one of these words. A kind that begins with `-` marks a flag without meaning here: it is accepted and warned
about. One that begins with `!` is accepted only with its default: doing without it silently would do harm.
Source: `etcd --help` of 3.5.1 and etcd's configuration documentation.
"""

from dataclasses import dataclass

_TEXT = """
# Member
name | s | default | Name of this member for people.
data-dir | s | | Where the member keeps its data; NAME.etcd if empty.
wal-dir | s | | Where to keep the log instead of inside the data directory.
snapshot-count | u | 10000 | Log entries after which a snapshot is written and older entries go.
heartbeat-interval | u | 100 | Milliseconds between a leader's heartbeats.
election-timeout | u | 1000 | Milliseconds without a leader after which a member stands for election.
initial-election-tick-advance | -b | true | Faster first election: elections are quick here anyway.
listen-peer-urls | l | http://localhost:2380 | Where to listen for other members.
listen-client-urls | l | http://localhost:2379 | Where to listen for clients: http, https, unix, unixs.
listen-client-http-urls | l | | Where to listen for HTTP clients only; they are served on the client URLs too.
max-snapshots | -u | 5 | Snapshot files to keep: only the newest is needed.
max-wals | -u | 5 | Log files to keep: only those behind the snapshot are needed.
quota-backend-bytes | i | 0 | Size of the store that raises the NOSPACE alarm; 0 = 2 GiB, negative = none.
backend-bbolt-freelist-type | -s | map | There is no bbolt file.
backend-batch-interval | -d | | There is no bbolt file.
backend-batch-limit | -i | 0 | There is no bbolt file.
max-txn-ops | u | 128 | Most operations in a transaction.
max-request-bytes | u | 1572864 | Largest request taken from a client.
max-concurrent-streams | u | 4294967295 | Most streams at once on one client connection.
grpc-keepalive-min-time | d | 5s | Shortest time between a client's pings.
grpc-keepalive-interval | d | 2h | Time after which a silent client is pinged; 0 = never.
grpc-keepalive-timeout | d | 20s | How long a pinged client may take to answer.
socket-reuse-port | -b | false | Listening sockets are not shared.
socket-reuse-address | -b | false | Always on.
raft-read-timeout | -d | 5s | Silent peer connections are found by pings.
raft-write-timeout | -d | 5s | Silent peer connections are found by pings.

# Clustering
initial-advertise-peer-urls | l | http://localhost:2380 | Peer URLs of this member to tell the others.
initial-cluster | s | | All members at the first start: NAME=URL,...; NAME with its own URLs if empty.
initial-cluster-state | new\\|existing | new | Whether the cluster is new.
initial-cluster-token | s | etcd-cluster | Goes into the ids, so that clusters do not mix.
advertise-client-urls | l | http://localhost:2379 | Client URLs of this member to tell clients.
discovery | !s | | Give --initial-cluster instead.
discovery-fallback | -s | proxy | There is no discovery.
discovery-proxy | -s | | There is no discovery.
discovery-srv | !s | | Give --initial-cluster instead.
discovery-srv-name | -s | | There is no discovery.
strict-reconfig-check | b | true | Refuse changes of the members that could cost the majority.
pre-vote | b | true | Ask before standing for election; always on.
auto-compaction-retention | s | 0 | History to keep: hours or a duration, or a number of revisions; 0 = all.
auto-compaction-mode | s | periodic | What the retention counts: periodic or revision.
enable-v2 | -b | false | There is no v2 API.
v2-deprecation | -s | not-yet | There is no v2 API.
force-new-cluster | b | false | Go on alone with the data of this member: the others are forgotten.

# Security
cert-file | s | | Certificate (PEM) shown to clients.
key-file | s | | Its key.
client-cert-auth | b | false | Whether clients must show a certificate.
client-crl-file | s | | Certificates of clients that were revoked (PEM).
client-cert-allowed-hostname | s | | Host name that a client's certificate must carry.
trusted-ca-file | s | | Authority of clients' certificates.
auto-tls | b | false | Make a certificate for https client URLs.
client-cert-file | -s | | The certificate shown to clients is used for calls to other members too.
client-key-file | -s | | The certificate shown to clients is used for calls to other members too.
peer-cert-file | s | | Certificate shown to other members.
peer-key-file | s | | Its key.
peer-client-cert-auth | b | false | Whether members must show a certificate; always so if there is an authority.
peer-trusted-ca-file | s | | Authority of members' certificates.
peer-client-cert-file | -s | | The peer certificate is used both ways.
peer-client-key-file | -s | | The peer certificate is used both ways.
peer-cert-allowed-cn | s | | Common name that a member's certificate must have.
peer-cert-allowed-hostname | s | | Host name that a member's certificate must carry.
peer-auto-tls | b | false | Make a certificate for https peer URLs; members are not verified then.
peer-crl-file | s | | Certificates of members that were revoked (PEM).
self-signed-cert-validity | u | 1 | Years that certificates of auto-tls and peer-auto-tls are valid.
cipher-suites | s | | TLS 1.2 suites to allow, comma-separated, in Go's names.
tls-min-version | TLS1.2\\|TLS1.3 | TLS1.2 | Oldest TLS version to speak.
tls-max-version | s | | Newest TLS version to speak: TLS1.2 or TLS1.3.
cors | s | * | Origins that browsers may come from.
host-whitelist | -s | * | Host names of HTTP requests are not checked.

# Auth
auth-token | s | simple | Kind of token and its options: simple or jwt,...
bcrypt-cost | u | 10 | Cost of password hashes, 4 to 31.
auth-token-ttl | u | 300 | Seconds that a simple token lives without use.

# Profiling and monitoring
enable-pprof | -b | false | There is no Go runtime to profile.
metrics | basic\\|extensive | basic | How much is measured; both give the same here.
listen-metrics-urls | l | | Where to serve metrics and health besides the client URLs.

# Logging
logger | s | zap | Only zap.
log-outputs | s | default | stderr (the default), stdout, or paths of files, comma-separated.
log-level | s | info | debug, info, warn, error, panic or fatal.
log-format | json\\|console | json | Form of log lines.
enable-log-rotation | -b | false | Rotate log files by the system's own tools.
log-rotation-config-json | -s | | Rotate log files by the system's own tools.
log-package-levels | -s | | --log-level holds for all.
debug | b | false | The same as --log-level=debug.

# v2 proxy
proxy | !off\\|readonly\\|on | off | There is no v2 proxy.
proxy-failure-wait | -u | 5000 | There is no v2 proxy.
proxy-refresh-interval | -u | 30000 | There is no v2 proxy.
proxy-dial-timeout | -u | 1000 | There is no v2 proxy.
proxy-write-timeout | -u | 5000 | There is no v2 proxy.
proxy-read-timeout | -u | 0 | There is no v2 proxy.

# Experimental
experimental-initial-corrupt-check | b | false | Compare hashes before serving, and end if this member's differs.
experimental-corrupt-check-time | d | 5m | How often the leader has all members' hashes compared; 0 = never.
experimental-enable-v2v3 | !s | | There is no v2 API.
experimental-enable-lease-checkpoint | -b | false | Always on.
experimental-enable-lease-checkpoint-persist | -b | false | Always on.
experimental-compaction-batch-limit | -i | 1000 | Compaction frees memory in small steps anyway.
experimental-compaction-sleep-interval | -d | | Compaction frees memory in small steps anyway.
experimental-peer-skip-client-san-verification | -b | false | Names in members' certificates are not compared.
experimental-watch-progress-notify-interval | d | 10m | Time between progress notifications.
experimental-warning-apply-duration | -d | 100ms | Slow requests are not logged.
experimental-warning-unary-request-duration | -d | 300ms | Slow requests are not logged.
experimental-txn-mode-write-with-shared-buffer | -b | true | There is no bbolt file.
experimental-bootstrap-defrag-threshold-megabytes | -u | 0 | There is no bbolt file.
experimental-backend-bbolt-freelist-type | -s | array | There is no bbolt file.
experimental-memory-mlock | -b | false | Memory is not locked.
experimental-max-learners | -i | 1 | One learner at a time.
experimental-wait-cluster-ready-timeout | -d | 5s | Readiness is told as soon as the member serves.
experimental-compact-hash-check-enabled | b | true | Compare hashes after a compaction, too.
experimental-compact-hash-check-time | d | 1m | Shortest time between two comparisons after compactions.
experimental-snapshot-catchup-entries | -u | 5000 | As many as lie between two snapshots, 5000 at most.
experimental-downgrade-check-time | -d | 5s | There is one data format.
experimental-stop-grpc-service-on-defrag | -b | false | Serving goes on while memory is given back.
experimental-set-member-localaddr | -b | false | The system chooses the address.
experimental-enable-distributed-tracing | -b | false | There is no tracing.
experimental-distributed-tracing-address | -s | localhost:4317 | There is no tracing.
experimental-distributed-tracing-service-name | -s | etcd | There is no tracing.
experimental-distributed-tracing-instance-id | -s | | There is no tracing.
experimental-distributed-tracing-sampling-rate | -u | 0 | There is no tracing.
enable-grpc-gateway | b | true | Serve the JSON form of the API below /v3.
feature-gates | -s | | There are no gates.

experimental-fault-socket | s | | Socket at which faults are switched on and off; for tests only.
experimental-grpc-engine | http2\\|grpcio | http2 | Which gRPC front serves clients.

# Unsafe
unsafe-no-fsync | -b | false | Every acknowledged write is synced.

# Program
config-file | s | | Read all of this from a file (YAML as etcd's, or TOML); nothing else counts then.
version | b | false | Print the version and exit.
help | b | false | Print this and exit.
"""

_ALSO = (
    "initial-corrupt-check corrupt-check-time compaction-batch-limit compaction-sleep-interval "
    "peer-skip-client-san-verification watch-progress-notify-interval warning-apply-duration "
    "warning-unary-request-duration bootstrap-defrag-threshold-megabytes memory-mlock max-learners "
    "compact-hash-check-enabled compact-hash-check-time snapshot-catchup-entries downgrade-check-time "
    "stop-grpc-service-on-defrag enable-distributed-tracing distributed-tracing-address "
    "distributed-tracing-service-name distributed-tracing-instance-id "
    "distributed-tracing-sampling-rate"
)
"""Experimental flags that lost the word in 3.6."""


@dataclass(frozen=True, slots=True)
class FlagSpec:
    """One flag. `choices` only for a flag that takes one of some words."""

    name: str
    kind: str
    default: str
    text: str
    group: str
    has_effect: bool = True
    is_fixed: bool = False
    choices: tuple[str, ...] = ()

    @property
    def is_boolean(self) -> bool:
        """Whether it can stand without a value."""
        return self.kind == "b"


def _read() -> dict[str, FlagSpec]:
    specs: dict[str, FlagSpec] = {}
    group = ""
    for line in _TEXT.splitlines():
        if line.startswith("# "):
            group = line[2:]
        if " | " not in line:
            continue
        # A choice's own bars are escaped.
        name, kind, default, text = (
            part.strip().replace("\0", "|") for part in line.replace("\\|", "\0").split("|", 3)
        )
        plain = kind.lstrip("-!")
        specs[name] = FlagSpec(
            name,
            "choice" if "|" in plain else plain,
            default,
            text,
            group,
            has_effect=not kind.startswith("-"),
            is_fixed=kind.startswith("!"),
            choices=tuple(plain.split("|")) if "|" in plain else (),
        )
    return specs


FLAGS = _read()
"""Every flag by name."""

ALIASES = {name: f"experimental-{name}" for name in _ALSO.split()}
"""Newer names of the same flags."""
