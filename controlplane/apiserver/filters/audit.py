"""The audit log's filters: one around what known users do, one for those who could not be told.

Source: apiserver/pkg/endpoints/filters/audit.go and authn_audit.go.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from controlplane.api import errors
from controlplane.apiserver.audit.event import Trail, method_words
from controlplane.apiserver.audit.policy import Level
from controlplane.apiserver.audit.recorder import Recorder
from controlplane.apiserver.filters.interface import Next, is_long
from controlplane.apiserver.http.messages import (
    ANONYMOUS,
    Answer,
    Request,
    Response,
    StreamResponse,
    Takeover,
    Upgrade,
    User,
)

_RECEIVED, _STARTED = "RequestReceived", "ResponseStarted"
_COMPLETE, _PANIC = "ResponseComplete", "Panic"
_NOBODY = User("")


class Audit:
    """The filter; stands after authentication and before impersonation, so that it has both users."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    async def __call__(self, request: Request, proceed: Next) -> Answer:
        """Write what the policy wants of the request, at each stage."""
        recorder = self._recorder
        decision = recorder.policy.decide(request.user, request.info)
        recorder.count_level(decision.level)
        if decision.level is Level.NONE:
            return await proceed(request)
        trail = Trail(request, decision, recorder.clock.time())
        if not await recorder.record(trail, _RECEIVED) and recorder.is_strict:
            recorder.metrics.rejected.inc()
            raise errors.Internal("failed to store audit event")
        try:
            answer = await proceed(request)
        except errors.APIError as error:
            trail.refused(error)
            await self._ended(request, trail)
            raise
        except asyncio.CancelledError:
            self._closed_early(trail)
            await self._ended(request, trail)
            raise
        except Exception as error:
            # The words of a fault may have what is nobody's business: its type must do.
            trail.failed(f"APIServer panic'd: {type(error).__name__}")
            await recorder.record(trail, _PANIC)
            raise
        return await self._answered(request, trail, answer)

    async def _answered(self, request: Request, trail: Trail, answer: Answer) -> Answer:
        if isinstance(answer, Response):
            trail.answered(answer.status, answer.body, answer.content_type)
            await self._ended(request, trail)
            return answer
        trail.answered(answer.status)
        await self._recorder.record(trail, _STARTED)
        if isinstance(answer, StreamResponse):
            answer.chunks = _Followed(answer.chunks, self._recorder, trail)
        else:
            self._follow(answer, trail)
        return answer

    def _follow(self, answer: Upgrade | Takeover, trail: Trail) -> None:
        handler: Callable[[Any], Awaitable[None]] = answer.handler

        async def followed(connection: Any) -> None:
            try:
                await handler(connection)
            finally:
                await self._recorder.record(trail, _COMPLETE)

        answer.handler = followed

    async def _ended(self, request: Request, trail: Trail) -> None:
        if is_long(request.info):
            await self._recorder.record(trail, _STARTED)
        await self._recorder.record(trail, _COMPLETE)

    def _closed_early(self, trail: Trail) -> None:
        trail.said(200, "Connection closed early")


class _Followed:
    """An answer's chunks; its end is the last event, also when nobody has read them."""

    def __init__(self, chunks: AsyncIterator[bytes], recorder: Recorder, trail: Trail) -> None:
        self._chunks = chunks
        self._recorder = recorder
        self._trail: Trail | None = trail

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await anext(self._chunks)
        except BaseException:
            await self._end()
            raise

    async def aclose(self) -> None:
        """The reader is gone, or the stream has ended."""
        aclose = getattr(self._chunks, "aclose", None)
        if aclose is not None:
            await aclose()
        await self._end()

    async def _end(self) -> None:
        trail, self._trail = self._trail, None
        if trail is not None:
            await self._recorder.record(trail, _COMPLETE)


class FailedAuthenticationAudit:
    """The filter before authentication: writes that a credential did not hold."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    async def __call__(self, request: Request, proceed: Next) -> Answer:
        """Let everything through; a 401 for somebody who was not told is written."""
        request.user = _NOBODY
        try:
            return await proceed(request)
        except errors.Unauthorized:
            if request.user is _NOBODY:
                await self._write(request)
            raise
        finally:
            if request.user is _NOBODY:
                request.user = ANONYMOUS

    async def _write(self, request: Request) -> None:
        decision = self._recorder.policy.decide(_NOBODY, request.info)
        self._recorder.count_level(decision.level)
        if decision.level is Level.NONE:
            return
        trail = Trail(request, decision, self._recorder.clock.time())
        trail.said(401, method_words(request.incoming))
        await self._recorder.record(trail, _STARTED)
