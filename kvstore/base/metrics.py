"""Metrics under etcd's names, so that etcd's dashboards and alerts work unchanged.

Nothing is counted here: values that exist anyway (revision, term, sizes) and counters kept as plain numbers are read by
callbacks when a scrape asks, and cost nothing in between. The text form is written here, for some of etcd's counters
lack the `_total` that a library would put on every counter's name; `metrics_process` adds what is known of the process.
"""

from collections.abc import Callable, Iterable, Mapping

from kvstore.base.histogram import Histogram

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Labels = Mapping[str, str]
Samples = Iterable[tuple[Labels, float]]


class Metrics:
    """A set of metrics in the order of their names."""

    def __init__(self) -> None:
        self._families: dict[str, tuple[str, str, Callable[[], Samples]]] = {}
        self._histograms: dict[str, tuple[str, Histogram]] = {}

    def gauge(self, name: str, text: str, read: Callable[[], float]) -> None:
        """A value that goes up and down."""
        self.family(name, "gauge", text, lambda: [({}, read())])

    def counter(self, name: str, text: str, read: Callable[[], float]) -> None:
        """A value that only grows; the name goes out as it is."""
        self.family(name, "counter", text, lambda: [({}, read())])

    def labelled(self, name: str, text: str, label: str, value: str) -> None:
        """A constant 1 that carries a label (a version, an id)."""
        self.family(name, "gauge", text, lambda: [({label: value}, 1)])

    def family(self, name: str, kind: str, text: str, read: Callable[[], Samples]) -> None:
        """Many values of one name, told apart by labels. `kind`: gauge or counter."""
        if name in self._families:
            raise ValueError(f"metric {name} exists already")
        self._families[name] = (kind, text, read)

    def histogram(self, name: str, text: str, histogram: Histogram) -> None:
        """How often something took how long."""
        self._histograms[name] = (text, histogram)

    def text(self) -> bytes:
        """Prometheus' text form."""
        # Not imported above: no scrape comes before the first request, and the library is slow to load.
        from kvstore.base.metrics_process import process_text

        lines = [_histogram_text(name, *one) for name, one in sorted(self._histograms.items())]
        for name, (kind, text, read) in sorted(self._families.items()):
            lines.append(f"# HELP {name} {text}\n# TYPE {name} {kind}\n")
            lines.extend(f"{name}{_labels(labels)} {_number(value)}\n" for labels, value in read())
        return "".join(lines).encode() + process_text()


def _histogram_text(name: str, text: str, histogram: Histogram) -> str:
    lines = [f"# HELP {name} {text}\n# TYPE {name} histogram\n"]
    for bound, count in histogram.up_to():
        lines.append(f'{name}_bucket{{le="{bound:g}"}} {count}\n')
    lines.append(f'{name}_bucket{{le="+Inf"}} {histogram.count}\n')
    lines.append(f"{name}_sum {_number(histogram.sum)}\n{name}_count {histogram.count}\n")
    return "".join(lines)


def _labels(labels: Labels) -> str:
    if not labels:
        return ""
    inside = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())
    return "{" + inside + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(float(value))
