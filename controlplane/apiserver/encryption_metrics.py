"""Counts of encryption at rest for /metrics, under upstream's names.

Source: apiserver/pkg/storage/value/metrics.go, apiserver/pkg/server/options/encryptionconfig/metrics.
"""

from collections.abc import Iterable, Iterator

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from controlplane.storage.encryption.encryption import Encryption


class EncryptionCollector(Collector):
    """Reads the counts when they are asked for."""

    def __init__(self, encryption: Encryption) -> None:
        self._encryption = encryption

    def describe(self) -> Iterable[Metric]:
        """Nothing is known before it is asked for."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Both families."""
        operations = CounterMetricFamily(
            "apiserver_storage_transformation_operations",
            "Values encrypted and decrypted.",
            labels=("transformation_type", "transformer_prefix", "status"),
        )
        for labels, count in self._encryption.operations.items():
            operations.add_metric(labels, float(count))
        yield operations
        reloads = CounterMetricFamily(
            "apiserver_encryption_config_controller_automatic_reloads",
            "Changes of the configuration's file.",
            labels=("status",),
        )
        for status, count in self._encryption.reloads.items():
            reloads.add_metric((status,), float(count))
        yield reloads
