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
        self.watches = Gauge(
            "apiserver_longrunning_requests",
            "Watches and log streams being served.",
            ("verb", "resource"),
            registry=self.registry,
        )

    def text(self) -> bytes:
        """The exposition format."""
        return generate_latest(self.registry)
