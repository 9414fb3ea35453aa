"""Watches, logs and streams, counted while they last, for /metrics."""

from collections.abc import AsyncIterator

from controlplane.apiserver.filters.interface import Next, is_long
from controlplane.apiserver.http.info import RequestInfo
from controlplane.apiserver.http.messages import Answer, Request, StreamResponse
from controlplane.apiserver.metrics import Metrics


class LongRunning:
    """The filter."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    async def __call__(self, request: Request, proceed: Next) -> Answer:
        """Count the answer's chunks as one request that lasts."""
        answer = await proceed(request)
        if isinstance(answer, StreamResponse) and is_long(request.info):
            answer.chunks = self._counted(answer.chunks, request.info)
        return answer

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
