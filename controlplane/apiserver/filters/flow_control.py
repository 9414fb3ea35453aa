"""How many requests are served at once: a fixed number of reads and of writes; the others are sent away with 429.

Watches, logs and streams take no seat. They are counted while they last, for /metrics.
"""

from collections.abc import AsyncIterator

from controlplane.apiserver.filters.interface import Next, is_long
from controlplane.apiserver.http.info import RequestInfo
from controlplane.apiserver.http.messages import Answer, Request, Response, StreamResponse
from controlplane.apiserver.metrics import Metrics

_READ_VERBS = ("get", "list", "watch", "head")


def _refusal() -> Response:
    """Compat: plain text, since whoever sends too much is not worth a Status."""
    headers = {"Retry-After": "1", "X-Content-Type-Options": "nosniff"}
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
        if is_long(info):
            answer = await proceed(request)
            if isinstance(answer, StreamResponse):
                answer.chunks = self._counted(answer.chunks, info)
            return answer
        if not info.is_resource:
            return await proceed(request)
        is_read = info.verb in _READ_VERBS
        if self._served[is_read] >= self._limits[is_read]:
            return _refusal()
        gauge = self._metrics.in_flight.labels("readOnly" if is_read else "mutating")
        self._served[is_read] += 1
        gauge.inc()
        try:
            return await proceed(request)
        finally:
            self._served[is_read] -= 1
            gauge.dec()

    async def _counted(
        self, chunks: AsyncIterator[bytes], info: RequestInfo
    ) -> AsyncIterator[bytes]:
        gauge = self._metrics.watches.labels(info.verb, info.resource)
        gauge.inc()
        try:
            async for chunk in chunks:
                yield chunk
        finally:
            gauge.dec()
            aclose = getattr(chunks, "aclose", None)
            if aclose is not None:
                await aclose()
