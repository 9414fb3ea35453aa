"""Without fairness: a fixed number of reads and of writes is served at once, the others are sent away with 429.

Watches, logs and streams take no seat.
"""

from controlplane.apiserver.filters.interface import Next, is_long
from controlplane.apiserver.http.messages import Answer, Request, Response
from controlplane.apiserver.metrics import Metrics

READ_VERBS = ("get", "list", "watch", "head")


def refusal(retry_after_seconds: int) -> Response:
    """Compat: plain text, since whoever sends too much is not worth a Status."""
    headers = {"Retry-After": str(retry_after_seconds), "X-Content-Type-Options": "nosniff"}
    text = b"Too many requests, please try again later.\n"
    return Response(429, text, "text/plain; charset=utf-8", headers)


class FlowControl:
    """The filter, with kube-apiserver's two limits of requests in flight."""

    def __init__(self, metrics: Metrics, *, max_reads: int, max_writes: int) -> None:
        self._metrics = metrics
        self._limits = {True: max_reads, False: max_writes}
        # Being served now: reads under True, writes under False.
        self._served = {True: 0, False: 0}

    async def __call__(self, request: Request, proceed: Next) -> Answer:
        """Serve, or send away."""
        info = request.info
        if is_long(info) or not info.is_resource:
            return await proceed(request)
        is_read = info.verb in READ_VERBS
        if self._served[is_read] >= self._limits[is_read]:
            return refusal(1)
        gauge = self._metrics.in_flight.labels("readOnly" if is_read else "mutating")
        self._served[is_read] += 1
        gauge.inc()
        try:
            return await proceed(request)
        finally:
            self._served[is_read] -= 1
            gauge.dec()
