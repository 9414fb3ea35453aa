"""Counters of the server, under kube-apiserver's names, in a registry of its own."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.process_collector import ProcessCollector


class Metrics:
    """What /metrics shows."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = Counter(
            "apiserver_request",
            "Requests by verb, resource and HTTP code.",
            ("verb", "group", "version", "resource", "subresource", "code"),
            registry=self.registry,
        )
        self.seconds = Histogram(
            "apiserver_request_duration_seconds",
            "Time until the answer was ready, watches left out.",
            ("verb", "resource"),
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
            registry=self.registry,
        )
        self.in_flight = Gauge(
            "apiserver_current_inflight_requests",
            "Requests being served.",
            ("request_kind",),
            registry=self.registry,
        )
        self.in_queue = Gauge(
            "apiserver_current_inqueue_requests",
            "Requests that wait for their turn.",
            ("request_kind",),
            registry=self.registry,
        )
        self.watches = Gauge(
            "apiserver_longrunning_requests",
            "Watches and log streams being served.",
            ("verb", "resource"),
            registry=self.registry,
        )

        self.admission = AdmissionMetrics(self.registry)

    def text(self) -> bytes:
        """The exposition format."""
        return generate_latest(self.registry)


_CALL_SECONDS = (0.005, 0.025, 0.1, 0.5, 1.0, 2.5, 10, 25)


class AdmissionMetrics:
    """Calls of webhooks, and what match conditions keep from them (apiserver/pkg/admission/metrics)."""

    def __init__(self, registry: CollectorRegistry) -> None:
        prefix = "apiserver_admission_"
        self._seconds = Histogram(
            f"{prefix}webhook_admission_duration_seconds",
            "Time of calls of webhooks.",
            ("name", "type", "operation", "rejected"),
            buckets=_CALL_SECONDS,
            registry=registry,
        )
        self._requests = Counter(
            f"{prefix}webhook_request",
            "Calls of webhooks by HTTP code.",
            ("name", "type", "operation", "code", "rejected"),
            registry=registry,
        )
        self._rejections = Gauge(
            f"{prefix}webhook_rejection_count",
            "Requests that webhooks have refused, or that failed with them.",
            ("name", "type", "operation", "error_type", "rejection_code"),
            registry=registry,
        )
        self._failed_open = Gauge(
            f"{prefix}webhook_fail_open_count",
            "Calls that failed and were overlooked.",
            ("name", "type"),
            registry=registry,
        )
        self._checks = Counter(
            "apiserver_validating_admission_policy_check",
            "Validations of policies that failed, by what was done.",
            ("policy", "policy_binding", "error_type", "enforcement_action"),
            registry=registry,
        )
        self._excluded = Counter(
            f"{prefix}match_condition_exclusions",
            "Requests that match conditions have kept from a webhook or a policy.",
            ("name", "kind", "type", "operation"),
            registry=registry,
        )

    def called(
        self, name: str, sort: str, operation: str, error: str, code: int, seconds: float
    ) -> None:
        """A call ended; `error` is the type of what refused the request, empty when nothing did."""
        rejected = "true" if error else "false"
        self._seconds.labels(name, sort, operation, rejected).observe(seconds)
        self._requests.labels(name, sort, operation, str(code), rejected).inc()
        if error:
            # Compat: upstream counts up to 600 only.
            shown = str(min(code, 600))
            self._rejections.labels(name, sort, operation, error, shown).inc()

    def failed_open(self, name: str, sort: str) -> None:
        """A failed call was overlooked."""
        self._failed_open.labels(name, sort).inc()

    def checked(self, policy: str, binding: str, action: str) -> None:
        """A validation of a policy failed; `action` is what the binding does then."""
        self._checks.labels(policy, binding, "no_error", action).inc()

    def excluded(self, name: str, kind: str, sort: str, operation: str) -> None:
        """A match condition was false; `kind` is `webhook` or the kind of policy."""
        self._excluded.labels(name, kind, sort, operation).inc()
