"""Everything of auditing that the filters need: the policy, the sinks, the counts."""

import random
from collections.abc import Sequence
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter

from controlplane.apiserver.audit import policy as audit_policy
from controlplane.apiserver.audit.batching import Batches, Batching
from controlplane.apiserver.audit.event import Trail
from controlplane.apiserver.audit.log_file import LogFile
from controlplane.apiserver.audit.policy import LEVEL_NAMES, Policy
from controlplane.apiserver.audit.sink import Sink, Truncating
from controlplane.apiserver.audit.webhook import Webhook, read_receiver
from controlplane.apiserver.config import ApiServerConfig
from kvstore.base.clock import Clock

MODES = ("blocking", "blocking-strict", "batch")


class AuditMetrics:
    """Upstream's counters."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.events = Counter("apiserver_audit_event", "Events made.", registry=registry)
        self.levels = Counter(
            "apiserver_audit_level",
            "Requests by what is written of them.",
            ("level",),
            registry=registry,
        )
        self.errors = Counter(
            "apiserver_audit_error", "Events that a sink has lost.", ("plugin",), registry=registry
        )
        self.rejected = Counter(
            "apiserver_audit_requests_rejected",
            "Requests refused since their event could not be kept.",
            registry=registry,
        )


class Recorder:
    """Judges requests and gives events to all sinks; `is_strict` refuses what cannot be recorded."""

    def __init__(
        self,
        policy: Policy,
        sinks: Sequence[Sink],
        clock: Clock,
        metrics: AuditMetrics,
        *,
        is_strict: bool = False,
    ) -> None:
        self.policy = policy
        self.clock = clock
        self.metrics = metrics
        self.is_strict = is_strict
        self._sinks = tuple(sinks)
        self._level_counts = {
            level: metrics.levels.labels(name) for level, name in LEVEL_NAMES.items()
        }

    def count_level(self, trail_level: audit_policy.Level) -> None:
        """Count a request."""
        self._level_counts[trail_level].inc()

    async def record(self, trail: Trail, stage: str) -> bool:
        """Give the event of a stage to the sinks; False when one has lost it."""
        if stage in trail.decision.omitted_stages:
            return True
        event = trail.event(stage, self.clock.time())
        self.metrics.events.inc()
        is_kept = True
        for sink in self._sinks:
            is_kept = await sink.emit((event,)) and is_kept
        return is_kept

    async def close(self) -> None:
        """Bring what there is on its way."""
        for sink in self._sinks:
            await sink.close()


def build(
    config: ApiServerConfig, clock: Clock, rng: random.Random, registry: CollectorRegistry
) -> Recorder | None:
    """The recorder that the flags describe; None without a policy or without a sink. PolicyError, WebhookFileError."""
    if not config.audit_policy_file or not (config.audit_log_path or config.audit_webhook_file):
        return None
    text = Path(config.audit_policy_file).read_text(encoding="utf-8")
    metrics = AuditMetrics(registry)
    sinks: list[Sink] = []
    if config.audit_log_path:
        sinks.append(_log(config, clock, metrics))
    if config.audit_webhook_file:
        sinks.append(_webhook(config, clock, rng, metrics))
    strict = "blocking-strict" in (
        config.audit_log_mode if config.audit_log_path else "",
        config.audit_webhook_mode if config.audit_webhook_file else "",
    )
    return Recorder(audit_policy.parse(text), sinks, clock, metrics, is_strict=strict)


def _log(config: ApiServerConfig, clock: Clock, metrics: AuditMetrics) -> Sink:
    lost = metrics.errors.labels("log")
    sink: Sink = LogFile(
        config.audit_log_path,
        clock.time,
        max_megabytes=config.audit_log_maxsize,
        max_age_days=config.audit_log_maxage,
        max_backups=config.audit_log_maxbackup,
        compresses=config.audit_log_compress,
        on_error=lost.inc,
    )
    if config.audit_log_mode == "batch":
        # Upstream's numbers for a file: one event a batch, no bound on the rate.
        sink = Batching(sink, Batches(max_size=1, throttles=False), clock, lost.inc)
    if config.audit_log_truncate:
        sink = _truncating(sink, config)
    return sink


def _webhook(
    config: ApiServerConfig, clock: Clock, rng: random.Random, metrics: AuditMetrics
) -> Sink:
    lost = metrics.errors.labels("webhook")
    sink: Sink = Webhook(
        read_receiver(config.audit_webhook_file),
        clock,
        rng,
        initial_backoff_seconds=config.audit_webhook_initial_backoff_seconds,
        on_error=lost.inc,
    )
    if config.audit_webhook_mode == "batch":
        bounds = Batches(
            buffer_size=config.audit_webhook_batch_buffer_size,
            max_size=config.audit_webhook_batch_max_size,
            max_wait_seconds=config.audit_webhook_batch_max_wait_seconds,
        )
        sink = Batching(sink, bounds, clock, lost.inc)
    if config.audit_webhook_truncate:
        sink = _truncating(sink, config)
    return sink


def _truncating(sink: Sink, config: ApiServerConfig) -> Sink:
    return Truncating(
        sink,
        most_event_bytes=config.audit_truncate_max_event_size,
        most_batch_bytes=config.audit_truncate_max_batch_size,
    )
