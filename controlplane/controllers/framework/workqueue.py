"""Keys to work on: each once, each by one worker at a time.

A key added while it waits is there once; a key added while a worker has it comes again when that worker is done.
Delayed keys wait on the given clock, the earliest wish wins. The size is bounded by the number of distinct objects.
"""

import asyncio
import random
from collections import deque
from collections.abc import Hashable
from typing import Generic, TypeVar

from kvstore.base.backoff import Backoff
from kvstore.base.clock import Clock
from kvstore.base.tasks import Supervisor

K = TypeVar("K", bound=Hashable)


class WorkQueue(Generic[K]):
    """A queue of distinct keys with delays and per-key backoff."""

    def __init__(
        self,
        clock: Clock,
        *,
        rng: random.Random | None = None,
        first_retry_seconds: float = 0.01,
        max_retry_seconds: float = 30.0,
        name: str = "queue",
    ) -> None:
        self._clock = clock
        self._rng = rng or random.Random()
        self._first = first_retry_seconds
        self._cap = max_retry_seconds
        self._ready: deque[K] = deque()
        self._dirty: set[K] = set()  # wants work: waiting in _ready, or again after the worker
        self._active: set[K] = set()
        self._delayed: dict[K, tuple[float, asyncio.Task[None]]] = {}
        self._backoffs: dict[K, Backoff] = {}
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._supervisor = Supervisor(name)

    def __len__(self) -> int:
        return len(self._ready)

    @property
    def idle(self) -> bool:
        """Nothing ready and nothing with a worker; delayed keys may exist."""
        return not self._ready and not self._active

    def add(self, key: K, *, is_urgent: bool = False) -> None:
        """Have the key worked on soon; an urgent one before all that wait."""
        self._cancel_delay(key)
        if key in self._dirty:
            if is_urgent and key not in self._active:
                self._ready.remove(key)
                self._ready.appendleft(key)
            return
        self._dirty.add(key)
        if key not in self._active:
            self._push(key, is_urgent=is_urgent)

    def add_after(self, key: K, seconds: float) -> None:
        """Have the key worked on after `seconds`, unless an earlier wish stands."""
        if seconds <= 0:
            self.add(key)
            return
        deadline = self._clock.monotonic() + seconds
        waiting = self._delayed.get(key)
        if waiting is not None:
            if waiting[0] <= deadline:
                return
            waiting[1].cancel()
        task = self._supervisor.start(self._wait(key, deadline), "delay")
        self._delayed[key] = (deadline, task)

    def retry(self, key: K) -> float:
        """Have a failed key worked on after its own growing delay, which is returned."""
        backoff = self._backoffs.get(key)
        if backoff is None:
            backoff = Backoff(self._first, self._cap, rng=self._rng)
            self._backoffs[key] = backoff
        delay = backoff.next()
        self.add_after(key, delay)
        return delay

    def forget(self, key: K) -> None:
        """The key went well: its next failure waits the shortest delay again."""
        self._backoffs.pop(key, None)

    async def get(self) -> K:
        """The next key; `done` must follow."""
        while not self._ready:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                if waiter in self._waiters:
                    self._waiters.remove(waiter)
                elif self._ready:
                    self._wake_one()  # the wake-up meant for us must not be lost
                raise
        key = self._ready.popleft()
        self._dirty.discard(key)
        self._active.add(key)
        return key

    def done(self, key: K) -> None:
        """The worker has finished with the key."""
        self._active.discard(key)
        if key in self._dirty:
            self._push(key)

    async def close(self) -> None:
        """Forget delayed keys."""
        await self._supervisor.stop()
        self._delayed.clear()

    async def _wait(self, key: K, deadline: float) -> None:
        await self._clock.sleep(deadline - self._clock.monotonic())
        self._delayed.pop(key, None)
        self.add(key)

    def _cancel_delay(self, key: K) -> None:
        waiting = self._delayed.pop(key, None)
        if waiting is not None:
            waiting[1].cancel()

    def _push(self, key: K, *, is_urgent: bool = False) -> None:
        if is_urgent:
            self._ready.appendleft(key)
        else:
            self._ready.append(key)
        self._wake_one()

    def _wake_one(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    def check_invariants(self) -> None:
        """No key is ready twice or ready while a worker has it."""
        assert len(set(self._ready)) == len(self._ready)
        assert not set(self._ready) & self._active
        assert set(self._ready) <= self._dirty
