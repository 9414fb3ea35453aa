"""What every request goes through before its handler: identity, limits, deadline, and errors made Statuses.

Watches and logs are long: they neither count against the in-flight limits nor have a deadline.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable

import msgspec

from controlplane.api import errors
from controlplane.apiserver.http import negotiate
from controlplane.apiserver.http.messages import Request, Response, StreamResponse
from controlplane.apiserver.http.server import RawRequest
from controlplane.apiserver.requests import info as request_info
from controlplane.apiserver.requests.info import RequestInfo
from controlplane.apiserver.served import Parts
from kvstore.base.durations import parse_duration
from kvstore.base.log import get_logger

Answer = Response | StreamResponse
Route = Callable[[Parts, Request], Awaitable[Answer]]

log = get_logger(__name__)

# Probes and version checks come without a certificate.
_OPEN_PATHS = ("/livez", "/readyz", "/healthz", "/version")
_LONG_SUBRESOURCES = ("log", "exec", "attach", "portforward", "proxy")
_READ_VERBS = ("get", "list", "watch", "head")


class Filters:
    """The chain around a route."""

    def __init__(self, parts: Parts, route: Route) -> None:
        self._parts = parts
        self._route = route
        self._reads = 0
        self._writes = 0

    async def handle(self, raw: RawRequest) -> Answer:
        """Answer `raw`; never raises but for cancellation."""
        started = self._parts.clock.monotonic()
        request_id = raw.headers.get("audit-id") or str(
            uuid.UUID(int=self._parts.rng.getrandbits(128), version=4)
        )
        watching = raw.query.get("watch", ["false"])[0] not in ("0", "f", "false", "False")
        info = request_info.parse(raw.method, raw.path, is_watch=watching)
        warnings: list[str] = []
        try:
            answer = await self._guarded(raw, info, request_id, warnings)
        except errors.APIError as error:
            answer = refusal(error)
        except Exception as error:
            # The edge: a fault of ours is told as such, with its stack in the log only.
            log.exception("request failed", path=raw.path, verb=info.verb, request_id=request_id)
            internal = errors.Internal(f"{type(error).__name__}, see the log for {request_id}")
            answer = refusal(internal)
        answer.headers["Audit-Id"] = request_id
        answer.headers.setdefault("Cache-Control", "no-cache, private")
        if warnings:
            answer.headers["Warning"] = ", ".join(
                '299 - "' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
                for text in dict.fromkeys(warnings)
            )
        self._account(info, answer, started, request_id)
        return answer

    def _account(self, info: RequestInfo, answer: Answer, started: float, request_id: str) -> None:
        metrics, seconds = self._parts.metrics, self._parts.clock.monotonic() - started
        metrics.requests.labels(
            info.verb,
            info.group,
            info.version,
            info.resource if info.is_resource else "",
            info.subresource,
            str(answer.status),
        ).inc()
        if isinstance(answer, Response) and info.is_resource:
            metrics.seconds.labels(info.verb, info.resource).observe(seconds)
        log.debug(
            "request",
            verb=info.verb,
            path=info.path,
            code=answer.status,
            seconds=round(seconds, 4),
            request_id=request_id,
        )

    async def _guarded(
        self, raw: RawRequest, info: RequestInfo, request_id: str, warnings: list[str]
    ) -> Answer:
        if raw.user.is_anonymous and not is_open(raw.path):
            raise errors.Unauthorized()
        request = Request(
            method=raw.method,
            path=raw.path,
            info=info,
            query=raw.query,
            headers=raw.headers,
            body=await raw.body(),
            user=raw.user,
            request_id=request_id,
            warnings=warnings,
        )
        if is_long(info):
            answer = await self._route(self._parts, request)
            if isinstance(answer, StreamResponse):
                answer.chunks = self._counted(answer.chunks, info)
            return answer
        if not info.is_resource:
            return await self._route(self._parts, request)
        return await self._limited(request)

    async def _counted(
        self, chunks: AsyncIterator[bytes], info: RequestInfo
    ) -> AsyncIterator[bytes]:
        gauge = self._parts.metrics.watches.labels(info.verb, info.resource)
        gauge.inc()
        try:
            async for chunk in chunks:
                yield chunk
        finally:
            gauge.dec()
            aclose = getattr(chunks, "aclose", None)
            if aclose is not None:
                await aclose()

    async def _limited(self, request: Request) -> Answer:
        config, is_read = self._parts.config, request.info.verb in _READ_VERBS
        served, limit = (
            (self._reads, config.max_reads_in_flight)
            if is_read
            else (self._writes, config.max_writes_in_flight)
        )
        if served >= limit:
            raise errors.TooManyRequests(
                "Too many requests, please try again later.", retry_after_seconds=1
            )
        kind = "readOnly" if is_read else "mutating"
        self._count(is_read, 1)
        self._parts.metrics.in_flight.labels(kind).inc()
        try:
            async with asyncio.timeout(self._deadline(request)):
                return await self._route(self._parts, request)
        except TimeoutError:
            raise errors.Timeout("request did not complete within the allotted timeout") from None
        finally:
            self._count(is_read, -1)
            self._parts.metrics.in_flight.labels(kind).dec()

    def _count(self, is_read: bool, step: int) -> None:
        if is_read:
            self._reads += step
        else:
            self._writes += step

    def _deadline(self, request: Request) -> float:
        most = self._parts.config.request_timeout_seconds
        text = request.option("timeout")
        if not text:
            return most
        try:
            wanted = parse_duration(text)
        except ValueError as error:
            raise errors.BadRequest(
                f"invalid timeout specified in the request URL: {error}"
            ) from error
        return min(wanted, most) if wanted > 0 else most


def is_open(path: str) -> bool:
    """Whether `path` is served to anybody."""
    return any(path == one or path.startswith(one + "/") for one in _OPEN_PATHS)


def is_long(info: RequestInfo) -> bool:
    """Whether a request may last."""
    return info.verb == "watch" or info.subresource in _LONG_SUBRESOURCES


def refusal(error: errors.APIError) -> Response:
    """The Status of an error, as JSON: every client reads it."""
    headers = {}
    if error.retry_after_seconds:
        headers["Retry-After"] = str(error.retry_after_seconds)
    return Response(error.status_code, msgspec.json.encode(error.status()), negotiate.JSON, headers)
