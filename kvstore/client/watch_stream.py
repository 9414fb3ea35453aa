"""Many watches on one stream: cheap when a program watches hundreds of keys.

    async with client.watch_stream() as stream:
        first, second = stream.watch("a"), stream.watch("b/", range_end="b0")
        async for batch in first:
            ...

Each watch behaves as one of `watch.py`: it resumes after a loss without gap or repeat, and ends with its own error.
One task reads the stream for all. What a reader has not taken yet is kept, at most `buffer_batches` batches a
watch; a watch whose buffer is full is taken off the stream, so that it cannot hold up the others, and put on it
again, from where its buffer ends, when its reader has emptied that. So memory is bounded and nothing is lost.

A member answers requests in the order they came, and refuses with an id that says nothing: so the oldest request
without an answer is the one that an answer is about.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Any

import grpc
import grpc.aio

from kvstore.base.clock import Clock
from kvstore.base.tasks import Supervisor
from kvstore.client.endpoints import EOF, Connection
from kvstore.client.errors import (
    ClientClosed,
    ClientError,
    Unavailable,
    from_rpc_error,
)
from kvstore.client.failover import Failover
from kvstore.client.tokens import RENEWALS_PER_REQUEST
from kvstore.client.types import Key, WatchBatch
from kvstore.client.watch import METADATA, OPEN_SECONDS
from kvstore.client.watch_cursor import WatchCursor, may_be_stale_token, watch_request
from kvstore.pb import rpc_pb2

# The id in an answer that concerns all watches of the stream.
_ALL_WATCHES = -1


class StreamWatch:
    """One watch of a stream: an async iterator of `WatchBatch`."""

    def __init__(self, stream: "WatchStream", cursor: WatchCursor) -> None:
        self._stream = stream
        self.cursor = cursor
        self.batches: deque[WatchBatch] = deque()
        self.error: ClientError | None = None
        self.is_closed = False
        # 0: not on the stream.
        self.watch_id = 0
        # The stream it was asked for on, and whether the member has confirmed it there.
        self.asked_on: Any = None
        self.is_open = False
        self.renewals = 0
        self.confirmed = asyncio.Event()
        self.changed = asyncio.Event()

    @property
    def next_revision(self) -> int:
        """Behind the newest batch that is kept for the reader."""
        return self.cursor.next_revision

    async def start(self) -> None:
        """Return when a member has confirmed the watch; raises if it refuses."""
        await self.confirmed.wait()
        if self.error is not None:
            raise self.error

    def __aiter__(self) -> "StreamWatch":
        return self

    async def __anext__(self) -> WatchBatch:
        while True:
            # Before the look: what comes while `attach` waits must still be noticed.
            self.changed.clear()
            if self.batches:
                return self.batches.popleft()
            if self.error is not None:
                raise self.error
            if self.is_closed:
                raise StopAsyncIteration
            if self.watch_id == 0:
                await self._stream.attach(self)
            await self.changed.wait()

    def end(self, error: ClientError | None) -> None:
        """No more batches come; what is kept can still be read."""
        self.error = error
        self.is_closed = True
        self.confirmed.set()
        self.changed.set()

    async def aclose(self) -> None:
        """End this watch; the others go on. Idempotent."""
        if not self.is_closed:
            self.end(None)
            await self._stream.detach(self)


class WatchStream:
    """One stream and its watches; see `Client.watch_stream`."""

    def __init__(
        self,
        failover: Failover,
        clock: Clock,
        *,
        buffer_batches: int = 128,
        on_close: "Callable[[WatchStream], None] | None" = None,
    ) -> None:
        if buffer_batches < 1:
            raise ValueError("a watch needs a buffer of at least one batch")
        self._failover = failover
        self._clock = clock
        self._buffer_batches = buffer_batches
        self._on_close = on_close
        self._tasks = Supervisor("watch-stream")
        self._watches: dict[int, StreamWatch] = {}
        self._all: set[StreamWatch] = set()
        self._unanswered: deque[int] = deque()
        """Ids of the watches asked for on this stream, in that order, until the member has answered."""
        self._last_id = 0
        self._call: Any = None
        self._writing = asyncio.Lock()
        self._wanted = asyncio.Event()
        self._token = ""
        self._is_closed = False

    async def __aenter__(self) -> "WatchStream":
        self._tasks.start(self._run(), "read")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def watch(
        self,
        key: Key,
        *,
        range_end: Key = b"",
        prefix: bool = False,
        start_revision: int = 0,
        prev_kv: bool = False,
        progress_notify: bool = False,
        without_puts: bool = False,
        without_deletes: bool = False,
        fragment: bool = False,
    ) -> StreamWatch:
        """A watch on this stream, asked for at once; `start` waits until it is confirmed."""
        if self._is_closed:
            raise ClientClosed("the watch stream is closed")
        request = watch_request(
            key,
            range_end=range_end,
            prefix=prefix,
            start_revision=start_revision,
            prev_kv=prev_kv,
            progress_notify=progress_notify,
            without_puts=without_puts,
            without_deletes=without_deletes,
            fragment=fragment,
        )
        watch = StreamWatch(self, WatchCursor(request))
        self._all.add(watch)
        self._register(watch)
        self._tasks.start(self._ask(watch), f"create-{watch.watch_id}")
        return watch

    async def attach(self, watch: StreamWatch) -> None:
        """Put a watch on the stream again, from where it stands."""
        if watch.watch_id == 0 and not self._is_closed:
            self._register(watch)
            await self._ask(watch)

    async def detach(self, watch: StreamWatch) -> None:
        """Take a watch off the stream for good."""
        self._all.discard(watch)
        await self._cancel(watch)

    async def request_progress(self) -> None:
        """Ask for a progress batch; every watch that is up to date gets one with no events."""
        await self._write(rpc_pb2.WatchRequest(progress_request=rpc_pb2.WatchProgressRequest()))

    async def aclose(self) -> None:
        """End all watches and the stream. Idempotent."""
        self._is_closed = True
        self._drop()
        await self._tasks.stop()
        for watch in self._all:
            watch.end(None)
        self._all.clear()
        self._watches.clear()
        if self._on_close is not None:
            self._on_close(self)

    # -- asking

    def _register(self, watch: StreamWatch) -> None:
        self._last_id += 1
        watch.watch_id = self._last_id
        watch.asked_on, watch.is_open = None, False
        self._watches[watch.watch_id] = watch
        self._wanted.set()

    async def _ask(self, watch: StreamWatch) -> None:
        """Once a stream: it may be wanted by who made the watch, and by who opened the stream."""
        async with self._writing:
            call = self._call
            if call is None or watch.asked_on is call or watch.watch_id == 0:
                return
            watch.asked_on, watch.is_open = call, False
            self._unanswered.append(watch.watch_id)
            request = watch.cursor.request()
            request.watch_id = watch.watch_id
            await self._send(rpc_pb2.WatchRequest(create_request=request))

    async def _cancel(self, watch: StreamWatch) -> None:
        watch_id, watch.watch_id = watch.watch_id, 0
        if self._watches.pop(watch_id, None) is not None:
            request = rpc_pb2.WatchCancelRequest(watch_id=watch_id)
            await self._write(rpc_pb2.WatchRequest(cancel_request=request))

    async def _write(self, request: rpc_pb2.WatchRequest) -> None:
        """Send, if there is a stream; a new stream is told of all watches when it opens."""
        async with self._writing:
            if self._call is not None:
                await self._send(request)

    async def _send(self, request: rpc_pb2.WatchRequest) -> None:
        try:
            await self._call.write(request)
        except (grpc.aio.AioRpcError, grpc.aio.UsageError, asyncio.InvalidStateError):
            return  # The reading task finds the same loss and opens another stream.

    # -- reading

    async def _run(self) -> None:
        backoff = self._failover.backoff()
        tried = renewed = 0
        while True:
            await self._wanted.wait()
            try:
                connection = self._failover.current()
                await self._open(connection)
                while True:
                    await self._dispatch(await self._read(connection), connection.name)
                    backoff.reset()
                    tried = renewed = 0
            except ClientError as error:
                self._drop()
                if self._is_closed:
                    return
                if may_be_stale_token(error) and self._failover.tokens.has_user:
                    renewed += 1
                    if renewed <= RENEWALS_PER_REQUEST:
                        self._failover.tokens.refuse(self._token)
                        continue
                if not error.retryable:
                    self._fail_all(error)
                    continue
                self._failover.turn_away(connection)
            tried += 1
            if tried % len(self._failover.connections) == 0:
                await self._clock.sleep(backoff.next())

    async def _open(self, connection: Connection) -> None:
        tokens = self._failover.tokens
        try:
            await tokens.ensure(connection, OPEN_SECONDS)
            self._token = tokens.token
            async with self._writing:
                self._unanswered.clear()
                self._call = connection.stream("Watch/Watch", rpc_pb2.WatchResponse)(
                    metadata=(*METADATA, *tokens.metadata())
                )
        except grpc.aio.AioRpcError as cause:
            raise from_rpc_error(cause, endpoint=connection.name) from cause
        except grpc.aio.UsageError as cause:
            raise ClientClosed("the client is closed") from cause
        for watch in list(self._watches.values()):
            await self._ask(watch)

    async def _read(self, connection: Connection) -> rpc_pb2.WatchResponse:
        if self._call is None:
            raise Unavailable("the watch stream was given up", endpoint=connection.name)
        try:
            async with asyncio.timeout(OPEN_SECONDS if self._unanswered else None):
                response = await self._call.read()
        except TimeoutError as cause:
            raise Unavailable(
                f"a watch was not confirmed within {OPEN_SECONDS:g} s", endpoint=connection.name
            ) from cause
        except grpc.aio.AioRpcError as cause:
            raise from_rpc_error(cause, endpoint=connection.name) from cause
        except grpc.aio.UsageError as cause:
            raise ClientClosed("the client is closed") from cause
        except asyncio.CancelledError:
            # gRPC raises this also when the call itself was cancelled.
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise Unavailable("the watch stream was cancelled", endpoint=connection.name) from None
        if response is EOF:
            raise Unavailable("the member ended the watch stream", endpoint=connection.name)
        found: rpc_pb2.WatchResponse = response
        return found

    async def _dispatch(self, response: rpc_pb2.WatchResponse, endpoint: str) -> None:
        if response.watch_id == _ALL_WATCHES and not response.created:
            for watch in list(self._watches.values()):
                # Progress of the stream says nothing about a watch that is not on it yet.
                if watch.is_open:
                    self._deliver(watch, response, endpoint)
            return
        watch_id = response.watch_id
        if response.created and self._unanswered:
            watch_id = self._unanswered.popleft()
        found = self._watches.get(watch_id)
        if found is None:
            return  # Sent before the member knew that we cancelled it.
        try:
            if response.created:
                found.cursor.confirm(response, endpoint)
                found.renewals = 0
                found.is_open = True
                found.confirmed.set()
            elif len(found.batches) >= self._buffer_batches:
                await self._cancel(found)
            else:
                self._deliver(found, response, endpoint)
        except ClientError as error:
            await self._ended(found, error)

    def _deliver(self, watch: StreamWatch, response: rpc_pb2.WatchResponse, endpoint: str) -> None:
        batch = watch.cursor.take(response, endpoint)
        if batch is None or (not batch.events and len(watch.batches) >= self._buffer_batches):
            return
        watch.batches.append(batch)
        watch.changed.set()

    async def _ended(self, watch: StreamWatch, error: ClientError) -> None:
        """The member ended one watch."""
        self._watches.pop(watch.watch_id, None)
        watch.watch_id = 0
        may_renew = may_be_stale_token(error) and self._failover.tokens.has_user
        if (may_renew and watch.renewals < RENEWALS_PER_REQUEST) or error.retryable:
            # The stream carries the old token, or the member does not serve: all begin anew on another.
            watch.renewals += 1
            self._register(watch)
            raise error
        self._all.discard(watch)
        watch.end(error)

    def _fail_all(self, error: ClientError) -> None:
        for watch in self._all:
            watch.end(error)
        self._all.clear()
        self._watches.clear()
        self._wanted.clear()

    def _drop(self) -> None:
        call, self._call = self._call, None
        if call is not None:
            call.cancel()
