"""Prometheus' text as etcd writes it: names as they are, labels escaped, histograms cumulative; read by its parser."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from kvstore.base.histogram import DISK_SECONDS, Histogram
from kvstore.base.metrics import Metrics


def parsed(metrics: Metrics) -> dict[str, tuple[str, list[tuple[dict[str, str], float]]]]:
    """Family name -> (type, samples)."""
    text = metrics.text().decode()
    return {
        family.name: (family.type, [(one.labels, one.value) for one in family.samples])
        for family in text_string_to_metric_families(text)
    }


def test_counters_keep_their_names() -> None:
    metrics = Metrics()
    metrics.counter("etcd_server_health_success", "Healthy.", lambda: 3)
    metrics.counter("some_total", "Some.", lambda: 2.5)
    text = metrics.text().decode()
    assert "# TYPE etcd_server_health_success counter\netcd_server_health_success 3\n" in text
    assert "# TYPE some_total counter\nsome_total 2.5\n" in text


def test_labels_are_escaped() -> None:
    metrics = Metrics()
    metrics.labelled("version", "Which.", "name", 'a"b\\c\nd')
    assert parsed(metrics)["version"] == ("gauge", [({"name": 'a"b\\c\nd'}, 1.0)])


def test_values_are_read_when_asked() -> None:
    metrics = Metrics()
    values = [1.0]
    metrics.gauge("now", "Now.", lambda: values[0])
    assert parsed(metrics)["now"][1] == [({}, 1.0)]
    values[0] = 2.0
    assert parsed(metrics)["now"][1] == [({}, 2.0)]


def test_a_name_is_given_once() -> None:
    metrics = Metrics()
    metrics.gauge("one", "One.", lambda: 1)
    with pytest.raises(ValueError, match="exists already"):
        metrics.counter("one", "One.", lambda: 1)


def test_a_histogram_counts_up_to_its_bounds() -> None:
    histogram = Histogram((0.1, 1.0))
    for seconds in (0.05, 0.1, 0.5, 7.0):
        histogram.observe(seconds)
    metrics = Metrics()
    metrics.histogram("write_seconds", "Writes.", histogram)
    kind, samples = parsed(metrics)["write_seconds"]
    assert kind == "histogram"
    assert samples == [
        ({"le": "0.1"}, 2.0),
        ({"le": "1"}, 3.0),
        ({"le": "+Inf"}, 4.0),
        ({}, 7.65),
        ({}, 4.0),
    ]


def test_disk_bounds_are_etcds() -> None:
    assert (DISK_SECONDS[0], DISK_SECONDS[-1], len(DISK_SECONDS)) == (0.001, 8.192, 14)


def test_the_process_is_told_too() -> None:
    assert "process_resident_memory_bytes" in parsed(Metrics())
