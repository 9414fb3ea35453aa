"""Counts and times of requests for /metrics, and a line for our log."""

from controlplane.apiserver.filters.interface import Next
from controlplane.apiserver.http.messages import Answer, Request, Response
from controlplane.apiserver.metrics import Metrics
from kvstore.base.clock import Clock
from kvstore.base.log import get_logger

log = get_logger(__name__)


class Accounting:
    """The filter."""

    def __init__(self, metrics: Metrics, clock: Clock) -> None:
        self._metrics = metrics
        self._clock = clock

    async def __call__(self, request: Request, proceed: Next) -> Answer:
        """Take note of the answer."""
        started = self._clock.monotonic()
        answer = await proceed(request)
        info, seconds = request.info, self._clock.monotonic() - started
        self._metrics.requests.labels(
            info.verb,
            info.group,
            info.version,
            info.resource if info.is_resource else "",
            info.subresource,
            str(answer.status),
        ).inc()
        if isinstance(answer, Response) and info.is_resource:
            self._metrics.seconds.labels(info.verb, info.resource).observe(seconds)
        log.debug(
            "request",
            verb=info.verb,
            path=info.path,
            code=answer.status,
            seconds=round(seconds, 4),
            request_id=request.request_id,
        )
        return answer
