"""What Prometheus' library knows of this process: CPU, memory, open files, under the names all programs use."""

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest

_registry = CollectorRegistry()
ProcessCollector(registry=_registry)


def process_text() -> bytes:
    """Prometheus' text form."""
    return generate_latest(_registry)
