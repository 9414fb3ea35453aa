"""Metrics under etcd's names, so that etcd's dashboards and alerts work unchanged.

One `Metrics` per process part that exports; values that exist anyway (revision, term, sizes) are read by callbacks at
scrape time and cost nothing in between.
"""

from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class _CallbackCounter(Collector):
    """A counter whose value is kept elsewhere; without the `_total` that the library would append."""

    def __init__(self, name: str, text: str, read: Callable[[], float]) -> None:
        self._name = name.removesuffix("_total")
        self._text = text
        self._read = read

    def collect(self) -> list[Metric]:
        """The value now."""
        return [CounterMetricFamily(self._name, self._text, value=self._read())]


class Metrics:
    """A registry with etcd's names."""

    def __init__(self) -> None:
        # etcd exports none, and they double the text.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self.grpc_handled = Counter(
            "grpc_server_handled",
            "Total number of RPCs completed on the server, regardless of success or failure.",
            ["grpc_type", "grpc_service", "grpc_method", "grpc_code"],
            registry=self.registry,
        )
        self.health_success = self._counter(
            "etcd_server_health_success", "The total number of successful health checks"
        )
        self.health_failures = self._counter(
            "etcd_server_health_failures", "The total number of failed health checks"
        )

    def _counter(self, name: str, text: str) -> Counter:
        return Counter(name, text, registry=self.registry)

    def gauge(self, name: str, text: str, read: Callable[[], float]) -> None:
        """A gauge whose value is read at scrape time."""
        Gauge(name, text, registry=self.registry).set_function(read)

    def counter(self, name: str, text: str, read: Callable[[], float]) -> None:
        """A counter kept elsewhere, read at scrape time."""
        self.registry.register(_CallbackCounter(name, text, read))

    def labelled(self, name: str, text: str, label: str, value: str) -> None:
        """A constant 1 that carries a label (a version, an id)."""
        Gauge(name, text, [label], registry=self.registry).labels(value).set(1)

    def text(self) -> bytes:
        """Prometheus' text form."""
        return generate_latest(self.registry)
