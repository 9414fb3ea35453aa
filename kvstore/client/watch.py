"""A watch that outlives members: after any loss it resumes at the next revision on another one.

The watcher reads the stream only when asked for the next batch, so a slow reader is slowed by gRPC's flow control and
no queue can grow. How far it got is in `watch_cursor.py`, moved when a batch is handed out and never before: a reader
that is cancelled while waiting loses nothing, the next call opens a new stream at the same revision.

Each watcher has a stream of its own; many on one stream: `watch_stream.py`. Streams carry etcd's `hasleader`
metadata: a member cut off from its leader ends them instead of staying silent.
"""

import asyncio
import contextlib
from types import TracebackType
from typing import TYPE_CHECKING, Any, cast

import grpc
import grpc.aio

from kvstore.base.backoff import Backoff
from kvstore.base.clock import Clock
from kvstore.client.endpoints import EOF, Connection
from kvstore.client.errors import (
    ClientClosed,
    ClientError,
    DeadlineExceeded,
    Unavailable,
    from_rpc_error,
)
from kvstore.client.failover import Failover
from kvstore.client.tokens import RENEWALS_PER_REQUEST
from kvstore.client.types import WatchBatch
from kvstore.client.watch_cursor import WatchCursor, may_be_stale_token
from kvstore.pb import rpc_pb2

if TYPE_CHECKING:
    from collections.abc import Callable

# How long a member may take to confirm a watch before another one is asked.
OPEN_SECONDS = 3.0
METADATA = (("hasleader", "true"),)


class Watcher:
    """An async iterator of `WatchBatch`; ends only by an error, or by `aclose`.

    Errors: Compacted when the next revision is gone, WatchCancelled, PermissionDenied and the like. Losses of members
    are no errors: they are retried for ever, unless `give_up_seconds` says how long at most.
    """

    def __init__(
        self,
        failover: Failover,
        request: rpc_pb2.WatchCreateRequest,
        clock: Clock,
        *,
        give_up_seconds: float | None = None,
        on_close: "Callable[[Watcher], None] | None" = None,
    ) -> None:
        self._failover = failover
        self._cursor = WatchCursor(request)
        self._clock = clock
        self._give_up_seconds = give_up_seconds
        self._on_close = on_close
        self._call: Any = None
        self._connection: Connection | None = None
        self._is_closed = False
        self._token = ""

    @property
    def next_revision(self) -> int:
        """Where a resumed watch would begin; 0 before the server confirmed a watch from now on."""
        return self._cursor.next_revision

    async def start(self) -> None:
        """Return when a member has confirmed the watch; later changes will be seen."""
        if self._call is None:
            await self._open()

    async def request_progress(self) -> None:
        """Ask for a progress batch; nothing happens while the watch has no stream."""
        if self._call is not None:
            request = rpc_pb2.WatchRequest(progress_request=rpc_pb2.WatchProgressRequest())
            try:
                await self._call.write(request)
            except (grpc.aio.AioRpcError, grpc.aio.UsageError, asyncio.InvalidStateError):
                return  # The reader finds the same loss and resumes.

    def __aiter__(self) -> "Watcher":
        return self

    async def __anext__(self) -> WatchBatch:
        while True:
            if self._is_closed:
                raise StopAsyncIteration
            if self._call is None:
                await self._open()
            try:
                response = await self._read()
                batch = self._cursor.take(response, self._name)
            except ClientError as error:
                self._drop()
                if may_be_stale_token(error) and self._failover.tokens.has_user:
                    self._failover.tokens.refuse(self._token)
                elif not error.retryable:
                    raise
                continue
            except BaseException:
                # Cancelled while reading: gRPC has ended the stream; resume at the same revision.
                self._drop()
                raise
            if batch is not None:
                return batch

    async def __aenter__(self) -> "Watcher":
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End the watch. Idempotent; a reader that waits gets StopAsyncIteration."""
        self._is_closed = True
        self._drop()
        if self._on_close is not None:
            self._on_close(self)

    async def _open(self) -> None:
        """Open a stream on one member after the other until one confirms."""
        backoff = self._failover.backoff()
        started = self._clock.monotonic()
        tried = renewed = 0
        while True:
            connection = self._failover.current()
            try:
                await self._open_on(connection)
            except ClientError as error:
                self._drop()
                if may_be_stale_token(error) and self._failover.tokens.has_user:
                    renewed += 1
                    if renewed <= RENEWALS_PER_REQUEST:
                        self._failover.tokens.refuse(self._token)
                        continue
                self._failover.turn_away(connection)
                if not error.retryable or self._is_closed:
                    raise
                waited = self._clock.monotonic() - started
                if self._give_up_seconds is not None and waited >= self._give_up_seconds:
                    raise
            except BaseException:
                self._drop()
                raise
            else:
                return
            tried += 1
            await self._pause(backoff, tried)

    async def _pause(self, backoff: Backoff, tried: int) -> None:
        if tried % len(self._failover.connections) == 0:
            await self._clock.sleep(backoff.next())

    async def _open_on(self, connection: Connection) -> None:
        request = self._cursor.request()
        self._connection = connection
        tokens = self._failover.tokens
        try:
            await tokens.ensure(connection, OPEN_SECONDS)
            self._token = tokens.token
            self._call = connection.stream("Watch/Watch", rpc_pb2.WatchResponse)(
                metadata=(*METADATA, *tokens.metadata())
            )
            async with asyncio.timeout(OPEN_SECONDS):
                # InvalidStateError: the call has failed already; reading tells why.
                with contextlib.suppress(asyncio.InvalidStateError):
                    await self._call.write(rpc_pb2.WatchRequest(create_request=request))
                response = await self._read()
        except grpc.aio.AioRpcError as cause:
            raise from_rpc_error(cause, endpoint=connection.name) from cause
        except grpc.aio.UsageError as cause:
            raise ClientClosed("the client is closed") from cause
        except TimeoutError as cause:
            raise DeadlineExceeded(
                f"{connection.name} did not confirm the watch within {OPEN_SECONDS:g} s",
                endpoint=connection.name,
            ) from cause
        self._cursor.confirm(response, self._name)

    @property
    def _name(self) -> str:
        return self._connection.name if self._connection is not None else ""

    async def _read(self) -> rpc_pb2.WatchResponse:
        name = self._name
        try:
            response = await self._call.read()
        except grpc.aio.AioRpcError as cause:
            raise from_rpc_error(cause, endpoint=name) from cause
        except grpc.aio.UsageError as cause:
            raise ClientClosed("the client is closed") from cause
        except asyncio.CancelledError:
            # gRPC raises this also when the call itself was cancelled, by `aclose` or a closed channel.
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise Unavailable("the watch stream was cancelled", endpoint=name) from None
        if response is EOF:
            raise Unavailable("the member ended the watch stream", endpoint=name)
        return cast("rpc_pb2.WatchResponse", response)

    def _drop(self) -> None:
        call, self._call = self._call, None
        if call is not None:
            call.cancel()
