"""A watch that outlives members: after any loss it resumes at the next revision on another one.

The watcher reads the stream only when asked for the next batch, so a slow reader is slowed by gRPC's flow control and
no queue can grow. Its only state is the next revision, moved when a batch is handed out and never before: a reader that
is cancelled while waiting loses nothing, the next call opens a new stream at the same revision. No gap, because the
server begins at that revision; no repeat, because it lies behind the last one delivered.

`start_revision` 0 means "after now", and now is when the server confirms; from then on it is a number like any other.
Streams carry etcd's `hasleader` metadata: a member cut off from its leader ends them instead of staying silent.
"""

import asyncio
import contextlib
from types import TracebackType
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio

from kvstore.base.backoff import Backoff
from kvstore.base.clock import Clock
from kvstore.client import convert
from kvstore.client.endpoints import EOF, Connection
from kvstore.client.errors import (
    ClientClosed,
    ClientError,
    Compacted,
    DeadlineExceeded,
    Unavailable,
    UnknownError,
    WatchCancelled,
    from_rpc_error,
    from_status,
)
from kvstore.client.failover import Failover
from kvstore.client.types import WatchBatch
from kvstore.pb import rpc_pb2

if TYPE_CHECKING:
    from collections.abc import Callable

# How long a member may take to confirm a watch before another one is asked.
_OPEN_SECONDS = 3.0
_METADATA = (("hasleader", "true"),)


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
        self._request = request
        self._clock = clock
        self._give_up_seconds = give_up_seconds
        self._on_close = on_close
        self._call: Any = None
        self._connection: Connection | None = None
        self._next_revision = request.start_revision
        self._is_closed = False

    @property
    def next_revision(self) -> int:
        """Where a resumed watch would begin; 0 before the server confirmed a watch from now on."""
        return self._next_revision

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
                batch = self._take(response)
            except ClientError as error:
                self._drop()
                if not error.retryable:
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
        tried = 0
        while True:
            connection = self._failover.current()
            try:
                await self._open_on(connection)
            except ClientError as error:
                self._drop()
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
        request = rpc_pb2.WatchCreateRequest()
        request.CopyFrom(self._request)
        request.start_revision = self._next_revision
        self._connection = connection
        try:
            self._call = connection.stream("Watch/Watch", rpc_pb2.WatchResponse)(metadata=_METADATA)
            async with asyncio.timeout(_OPEN_SECONDS):
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
                f"{connection.name} did not confirm the watch within {_OPEN_SECONDS:g} s",
                endpoint=connection.name,
            ) from cause
        if response.canceled:
            raise self._cancelled(response)
        if self._next_revision <= 0:
            self._next_revision = response.header.revision + 1

    async def _read(self) -> rpc_pb2.WatchResponse:
        name = self._connection.name if self._connection is not None else ""
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
        assert isinstance(response, rpc_pb2.WatchResponse)
        return response

    def _take(self, response: rpc_pb2.WatchResponse) -> WatchBatch | None:
        """The batch in `response`, or None if there is nothing for the reader; raises if it ends the watch."""
        if response.canceled:
            raise self._cancelled(response)
        if response.created:
            return None
        batch = WatchBatch(
            convert.header(response.header), tuple(convert.event(e) for e in response.events)
        )
        if response.events or response.header.revision >= self._next_revision - 1:
            self._next_revision = max(self._next_revision, batch.revision + 1)
            return batch
        # Progress behind what was delivered says nothing new: a member that lags after a fail-over sends it.
        return None

    def _cancelled(self, response: rpc_pb2.WatchResponse) -> ClientError:
        name = self._connection.name if self._connection is not None else ""
        if response.compact_revision > 0:
            return Compacted(
                "etcdserver: mvcc: required revision has been compacted",
                compact_revision=response.compact_revision,
                endpoint=name,
            )
        reason = response.cancel_reason
        known = from_status(grpc.StatusCode.UNKNOWN, reason, endpoint=name)
        if not isinstance(known, UnknownError):
            return known
        return WatchCancelled(reason or "the server cancelled the watch", endpoint=name)

    def _drop(self) -> None:
        call, self._call = self._call, None
        if call is not None:
            call.cancel()
