"""What /metrics shows of flow control, under upstream's names, read from the levels when it is asked for.

Source: apiserver/pkg/util/flowcontrol/metrics/metrics.go. The histograms that are sampled every nanosecond
(priority_level_seat_utilization and its like) are not there.
"""

from collections.abc import Callable, Iterable, Iterator

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from controlplane.apiserver.flowcontrol.control import FlowControl
from controlplane.apiserver.flowcontrol.levels import Level
from controlplane.apiserver.flowcontrol.tally import Distribution, Tally

_PREFIX = "apiserver_flowcontrol_"
_PLACE = ("priority_level", "flow_schema")

_LEVELS: tuple[tuple[str, str, Callable[[Level], float]], ...] = (
    ("nominal_limit_seats", "Seats of the level by its shares.", lambda one: one.nominal),
    ("lower_limit_seats", "Seats that the level keeps.", lambda one: one.lowest),
    ("upper_limit_seats", "Seats that the level may have.", lambda one: one.highest),
    ("current_limit_seats", "Seats that the level has now.", lambda one: one.current),
    ("request_concurrency_limit", "Seats of the level by its shares.", lambda one: one.nominal),
    ("demand_seats_average", "Mean demand of the last period.", lambda one: one.demand.average),
    ("demand_seats_stdev", "Deviation of demand.", lambda one: one.demand.deviation),
    ("demand_seats_high_watermark", "Highest demand.", lambda one: one.demand.highest),
    ("demand_seats_smoothed", "Demand as it fades.", lambda one: one.demand.smoothed),
    ("target_seats", "Seats that the division aims at.", lambda one: one.target),
    ("current_r", "The reading of the progress meter.", lambda one: one.queues.r),
)
_GAUGES: tuple[tuple[str, str, Callable[[Tally], float]], ...] = (
    ("current_inqueue_requests", "Requests that wait.", lambda one: one.waiting),
    ("current_inqueue_seats", "Seats of requests that wait.", lambda one: one.waiting_seats),
    ("current_executing_requests", "Requests being served.", lambda one: one.executing),
    ("current_executing_seats", "Seats in use.", lambda one: one.executing_seats),
    ("request_concurrency_in_use", "Seats in use.", lambda one: one.executing_seats),
)
_COUNTERS: tuple[tuple[str, str, Callable[[Tally], float]], ...] = (
    ("dispatched_requests", "Requests served.", lambda one: one.dispatched),
    (
        "request_dispatch_no_accommodation",
        "Times that the next request was too wide for the free seats.",
        lambda one: one.no_accommodation,
    ),
)
_HISTOGRAMS: tuple[tuple[str, str, Callable[[Tally], Distribution]], ...] = (
    (
        "request_queue_length_after_enqueue",
        "A queue's length as requests find it.",
        lambda one: one.lengths,
    ),
    ("work_estimated_seats", "Seats that requests were estimated at.", lambda one: one.seats),
    ("watch_count_samples", "Watches that will hear of a write.", lambda one: one.watches),
)


class FlowCollector(Collector):
    """Registered once in the server's registry."""

    def __init__(self, control: FlowControl) -> None:
        self._control = control

    def describe(self) -> Iterable[Metric]:
        """Nothing is known before it is asked for."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """All families."""
        levels = list(self._control.levels.values())
        tallies = list(self._control.tallies.values())
        for name, text, of_level in _LEVELS:
            gauge = GaugeMetricFamily(_PREFIX + name, text, labels=("priority_level",))
            for level in levels:
                gauge.add_metric((level.name,), float(of_level(level)))
            yield gauge
        fraction = GaugeMetricFamily(_PREFIX + "seat_fair_frac", "Part of its target a level gets.")
        fraction.add_metric((), self._control.fair_fraction)
        yield fraction
        for name, text, of_tally in _GAUGES:
            gauge = GaugeMetricFamily(_PREFIX + name, text, labels=_PLACE)
            for tally in tallies:
                gauge.add_metric((tally.level, tally.schema), float(of_tally(tally)))
            yield gauge
        for name, text, of_tally in _COUNTERS:
            counter = CounterMetricFamily(_PREFIX + name, text, labels=_PLACE)
            for tally in tallies:
                counter.add_metric((tally.level, tally.schema), float(of_tally(tally)))
            yield counter
        yield self._refused(tallies)
        for name, text, of_kind in _HISTOGRAMS:
            family = HistogramMetricFamily(_PREFIX + name, text, labels=_PLACE)
            for tally in tallies:
                _add(family, (tally.level, tally.schema), of_kind(tally))
            yield family
        yield from _durations(tallies)

    def _refused(self, tallies: list[Tally]) -> Metric:
        refused = CounterMetricFamily(
            _PREFIX + "rejected_requests", "Requests refused.", labels=(*_PLACE, "reason")
        )
        for tally in tallies:
            for reason, count in tally.refused.items():
                refused.add_metric((tally.level, tally.schema, reason), float(count))
        return refused


def _durations(tallies: list[Tally]) -> Iterator[Metric]:
    waited = HistogramMetricFamily(
        _PREFIX + "request_wait_duration_seconds",
        "How long requests waited.",
        labels=(*_PLACE, "execute"),
    )
    executed = HistogramMetricFamily(
        _PREFIX + "request_execution_seconds",
        "How long requests were served; of watches, their beginning.",
        labels=(*_PLACE, "type"),
    )
    for tally in tallies:
        place = (tally.level, tally.schema)
        _add(waited, (*place, "true"), tally.waited)
        _add(waited, (*place, "false"), tally.waited_in_vain)
        _add(executed, (*place, "regular"), tally.execution)
        _add(executed, (*place, "watch"), tally.watch_execution)
    yield waited
    yield executed


def _add(family: HistogramMetricFamily, labels: tuple[str, ...], kept: Distribution) -> None:
    if any(kept.counts):
        family.add_metric(labels, buckets=kept.buckets(), sum_value=kept.total)
