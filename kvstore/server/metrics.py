"""A member's gauges and counters under etcd's metric names, where they mean the same.

Values are read when a scrape asks, so keeping them costs the hot path nothing; calls are counted as plain numbers.
"""

import os
import resource
from collections.abc import Callable

import msgspec

from kvstore.base.histogram import Histogram
from kvstore.base.metrics import Metrics, Samples
from kvstore.raft.replicator import MemberId, RaftStatus
from kvstore.server.calls import CallCounts
from kvstore.server.maintenance import VERSION
from kvstore.service.ports import MachineView


class MemberCounts(msgspec.Struct, frozen=True):
    """Numbers that parts of a member keep for themselves, read by name."""

    watchers: Callable[[], float]
    watch_streams: Callable[[], float]
    failed_proposals: Callable[[], float]
    leader_changes: Callable[[], float]
    expired_leases: Callable[[], float]
    calls: CallCounts
    pending_proposals: Callable[[], float]
    failed_reads: Callable[[], float]
    slow_watchers: Callable[[], float]
    auth_revision: Callable[[], float]
    log_writes: Histogram
    health_successes: Callable[[], float]
    health_failures: Callable[[], float]


def member_metrics(
    member_id: MemberId,
    quota_bytes: int,
    machine: MachineView,
    status: Callable[[], RaftStatus],
    counts: MemberCounts,
) -> Metrics:
    """All metrics of one member."""
    metrics = Metrics()
    gauges: dict[str, tuple[str, Callable[[], float]]] = {
        "etcd_server_has_leader": (
            "Whether or not a leader exists. 1 is existence, 0 is not.",
            lambda: status().leader_id != 0,
        ),
        "etcd_server_is_leader": (
            "Whether or not this member is a leader. 1 if is, 0 otherwise.",
            lambda: status().leader_id == member_id,
        ),
        "etcd_server_is_learner": ("Whether or not this member is a learner.", lambda: 0),
        "etcd_server_proposals_committed_total": (
            "The total number of consensus proposals committed.",
            lambda: status().commit_index,
        ),
        "etcd_server_proposals_applied_total": (
            "The total number of consensus proposals applied.",
            lambda: status().applied_index,
        ),
        "etcd_server_quota_backend_bytes": (
            "Current backend storage quota size in bytes.",
            lambda: quota_bytes,
        ),
        "etcd_mvcc_db_total_size_in_bytes": (
            "Total size of the state, logically.",
            lambda: machine.size_bytes,
        ),
        "etcd_mvcc_db_total_size_in_use_in_bytes": (
            "Total size of the state in use, logically.",
            lambda: machine.size_bytes,
        ),
        "etcd_debugging_mvcc_current_revision": (
            "The current revision of store.",
            lambda: machine.revision,
        ),
        "etcd_debugging_mvcc_compact_revision": (
            "The revision of the last compaction in store.",
            lambda: machine.compact_revision,
        ),
        "etcd_debugging_mvcc_watcher_total": (
            "Total number of watchers.",
            counts.watchers,
        ),
        "etcd_debugging_mvcc_watch_stream_total": (
            "Total number of watch streams.",
            counts.watch_streams,
        ),
    }
    gauges |= {
        "etcd_server_proposals_pending": (
            "The current number of pending proposals to commit.",
            counts.pending_proposals,
        ),
        "etcd_debugging_mvcc_slow_watcher_total": (
            "Total number of unsynced slow watchers.",
            counts.slow_watchers,
        ),
        "etcd_debugging_auth_revision": (
            "The current revision of auth store.",
            counts.auth_revision,
        ),
    }
    for name, (text, read) in gauges.items():
        metrics.gauge(name, text, read)
    metrics.counter(
        "etcd_server_proposals_failed_total",
        "The total number of failed proposals seen.",
        counts.failed_proposals,
    )
    metrics.counter(
        "etcd_server_leader_changes_seen_total",
        "The number of leader changes seen.",
        counts.leader_changes,
    )
    metrics.counter(
        "etcd_debugging_server_lease_expired_total",
        "The total number of expired leases.",
        counts.expired_leases,
    )
    metrics.labelled("etcd_server_version", "Which version is running.", "server_version", VERSION)
    metrics.labelled("etcd_server_id", "Server ID.", "server_id", f"{member_id:x}")
    metrics.labelled(
        "etcd_cluster_version",
        "Which version is running. 1 for 'cluster_version' label with current cluster version",
        "cluster_version",
        VERSION.rpartition(".")[0],
    )
    metrics.counter(
        "etcd_server_health_success",
        "The total number of successful health checks",
        counts.health_successes,
    )
    metrics.counter(
        "etcd_server_health_failures",
        "The total number of failed health checks",
        counts.health_failures,
    )
    metrics.counter(
        "etcd_server_read_indexes_failed_total",
        "The total number of failed read indexes seen.",
        counts.failed_reads,
    )
    metrics.histogram(
        "etcd_disk_wal_fsync_duration_seconds",
        "The latency distributions of fsync called by WAL.",
        counts.log_writes,
    )
    _add_calls(metrics, counts.calls)
    metrics.gauge("os_fd_used", "The number of used file descriptors.", _open_files)
    metrics.gauge(
        "os_fd_limit",
        "The file descriptor limit.",
        lambda: resource.getrlimit(resource.RLIMIT_NOFILE)[0],
    )
    return metrics


def _add_calls(metrics: Metrics, calls: CallCounts) -> None:
    families: dict[str, tuple[str, Callable[[], Samples]]] = {
        "grpc_server_started_total": (
            "Total number of RPCs started on the server.",
            calls.started_samples,
        ),
        "grpc_server_handled_total": (
            "Total number of RPCs completed on the server, regardless of success or failure.",
            calls.handled_samples,
        ),
        "grpc_server_msg_received_total": (
            "Total number of RPC stream messages received on the server.",
            calls.received_samples,
        ),
        "grpc_server_msg_sent_total": (
            "Total number of gRPC stream messages sent by the server.",
            calls.sent_samples,
        ),
    }
    for name, (text, read) in families.items():
        metrics.family(name, "counter", text, read)
    metrics.counter(
        "etcd_network_client_grpc_received_bytes_total",
        "The total number of bytes received from grpc clients.",
        lambda: calls.received_bytes,
    )
    metrics.counter(
        "etcd_network_client_grpc_sent_bytes_total",
        "The total number of bytes sent to grpc clients.",
        lambda: calls.sent_bytes,
    )


def _open_files() -> float:
    try:
        return len(os.listdir("/proc/self/fd"))
    except OSError:
        return 0
