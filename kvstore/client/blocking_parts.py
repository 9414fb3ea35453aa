"""The parts of the blocking face: watches, leases, locks and elections that live on a client's loop thread."""

import asyncio
import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from kvstore.client.election import Election
from kvstore.client.lease import LeaseKeeper
from kvstore.client.lock import Lock
from kvstore.client.portal import Portal
from kvstore.client.types import (
    Compare,
    Key,
    KeyValue,
    WatchBatch,
)
from kvstore.client.watch import Watcher
from kvstore.client.watch_stream import StreamWatch, WatchStream

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")


class Bridged:
    """Something whose asyncio side lives on the portal's loop."""

    def __init__(self, portal: Portal, inner: Any) -> None:
        self._portal = portal
        self._inner = inner

    def wait(self, method: Callable[..., Awaitable[R]], *args: Any, **kwargs: Any) -> R:
        """The result of `method` on the portal's loop."""

        async def call() -> R:
            return await method(*args, **kwargs)

        return self._portal.run(call)


def blocking(
    method: Callable[Concatenate[S, P], Awaitable[R]],
) -> Callable[Concatenate[Any, P], R]:
    """`method` of the asyncio side as a blocking one."""

    def call(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> R:
        bridged: Bridged = self
        return bridged.wait(method, bridged._inner, *args, **kwargs)

    functools.update_wrapper(call, method)
    return call


class SyncWatcher(Bridged):
    """An iterator of `WatchBatch`; ends by an error, or by `close` from any thread."""

    _inner: Watcher | StreamWatch

    @property
    def next_revision(self) -> int:
        """Where a resumed watch would begin."""
        return self._inner.next_revision

    def __iter__(self) -> "SyncWatcher":
        return self

    def __next__(self) -> WatchBatch:
        async def following() -> WatchBatch | None:
            return await anext(self._inner, None)

        batch = self._portal.run(following)
        if batch is None:
            raise StopIteration
        return batch

    def next(self, timeout_seconds: float) -> WatchBatch | None:
        """The next batch, or None if there is none in time; the watch goes on."""

        async def following() -> WatchBatch | None:
            try:
                async with asyncio.timeout(timeout_seconds):
                    return await anext(self._inner, None)
            except TimeoutError:
                return None

        return self._portal.run(following)

    def start(self) -> None:
        """Return when a member has confirmed the watch."""
        self.wait(self._inner.start)

    def close(self) -> None:
        """End the watch. Idempotent; also after the client was closed."""
        if self._portal.is_open:
            self.wait(self._inner.aclose)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class SyncWatchStream(Bridged):
    """Many watches on one stream; use it in a `with`."""

    _inner: WatchStream

    def __enter__(self) -> Self:
        self.wait(self._inner.__aenter__)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._portal.is_open:
            self.wait(self._inner.aclose)

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
    ) -> SyncWatcher:
        """A watch on this stream."""

        async def make() -> StreamWatch:
            return self._inner.watch(
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

        return SyncWatcher(self._portal, self._portal.run(make))

    request_progress = blocking(WatchStream.request_progress)


class SyncLease(Bridged):
    """A lease kept alive by the client's thread; see `lease.py`."""

    _inner: LeaseKeeper

    @property
    def id(self) -> int:
        """The lease."""
        return self._inner.id

    @property
    def is_valid(self) -> bool:
        """True while the lease surely exists."""
        return self._inner.is_valid

    @property
    def is_lost(self) -> bool:
        """True when the lease is gone, or may be."""
        return self._inner.lost.is_set()

    def wait_lost(self, timeout_seconds: float | None = None) -> bool:
        """Wait until the lease is lost; False if it was not in time."""
        return wait_event(self._portal, self._inner.lost, timeout_seconds)

    start = blocking(LeaseKeeper.start)
    stop = blocking(LeaseKeeper.stop)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()


class _SyncPlace(Bridged):
    """What a lock and an election have in common."""

    _inner: Lock | Election

    @property
    def key(self) -> bytes:
        """The key that stands for us."""
        return self._inner.key

    @property
    def revision(self) -> int:
        """The fencing token."""
        return self._inner.revision

    @property
    def is_lost(self) -> bool:
        """True when the lease is gone, or may be."""
        return self._inner.lost.is_set()

    def wait_lost(self, timeout_seconds: float | None = None) -> bool:
        """Wait until the lease is lost; False if it was not in time."""
        return wait_event(self._portal, self._inner.lost, timeout_seconds)

    def is_mine(self) -> Compare:
        """The condition that it is still ours, for transactions."""
        return self._inner.is_mine()


class SyncLock(_SyncPlace):
    """A lock; see `lock.py`."""

    _inner: Lock

    @property
    def is_held(self) -> bool:
        """True while we surely hold it."""
        return self._inner.is_held

    acquire = blocking(Lock.acquire)
    try_acquire = blocking(Lock.try_acquire)
    release = blocking(Lock.release)

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.wait(self._inner.__aexit__, kind, error, traceback)


class SyncElection(_SyncPlace):
    """An election; see `election.py`."""

    _inner: Election

    @property
    def is_leader(self) -> bool:
        """True while we surely lead."""
        return self._inner.is_leader

    campaign = blocking(Election.campaign)
    proclaim = blocking(Election.proclaim)
    resign = blocking(Election.resign)
    leader = blocking(Election.leader)

    def observe(self) -> Iterator[KeyValue]:
        """Each leader and each of its values, from now on."""
        return iterate(self._portal, self._inner.observe())


def iterate(portal: Portal, source: AsyncIterator[R]) -> Iterator[R]:
    """The values of an asynchronous generator, which is closed with this one."""

    async def following() -> tuple[R] | None:
        try:
            return (await anext(source),)
        except StopAsyncIteration:
            return None

    async def close() -> None:
        await source.aclose()  # type: ignore[attr-defined]

    try:
        while (found := portal.run(following)) is not None:
            yield found[0]
    finally:
        if portal.is_open:
            portal.run(close)


def wait_event(portal: Portal, event: asyncio.Event, timeout_seconds: float | None) -> bool:
    """True when the event is set; False if it was not in time."""

    async def wait() -> bool:
        try:
            async with asyncio.timeout(timeout_seconds):
                return await event.wait()
        except TimeoutError:
            return False

    return portal.run(wait)
