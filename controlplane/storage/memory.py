"""The fake store: one process, no sockets; passes the contract tests of the real one.

`compact`, `expire` and `unreachable` let tests provoke what a real store does on its own.
"""

import asyncio
import bisect
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass

from controlplane.api.meta import Obj
from controlplane.storage import codec
from controlplane.storage.compaction import Turn
from controlplane.storage.errors import (
    FutureRevisionError,
    KeyExistsError,
    KeyNotFoundError,
    TooOldError,
    UnreachableError,
)
from controlplane.storage.interface import (
    NO_PRECONDITIONS,
    Change,
    ChangeBatch,
    ListPage,
    Preconditions,
    Removal,
    UpdateFunction,
)
from kvstore.base.clock import Clock, SystemClock


@dataclass(frozen=True, slots=True)
class MemoryState:
    """What was stored at one moment: values and the instants at which they end, by key."""

    live: Mapping[str, bytes]
    deadlines: Mapping[str, float]


class MemoryStorage:
    """A `Storage` in dicts."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._live: dict[str, tuple[bytes, int]] = {}
        self._deadlines: dict[str, float] = {}
        self._log: list[Change] = []
        self._revision = 1
        self._compacted = 0
        self._compactions = 0
        self._changed = asyncio.Event()
        self._progress_wanted = 0
        self.unreachable = False

    def _check_reachable(self) -> None:
        if self.unreachable:
            raise UnreachableError("etcdserver: request timed out", outcome_known=True)

    def _record(self, key: str, value: bytes | None, ttl_seconds: int = 0) -> int:
        self._revision += 1
        self._deadlines.pop(key, None)
        if value is None:
            del self._live[key]
        else:
            self._live[key] = (value, self._revision)
            if ttl_seconds:
                self._deadlines[key] = self._clock.monotonic() + ttl_seconds
        self._log.append(Change(key, self._revision, value))
        self._wake()
        return self._revision

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def create(self, key: str, obj: Obj, *, ttl_seconds: int = 0) -> Obj:
        """Store a new object."""
        self._check_reachable()
        if key in self._live:
            raise KeyExistsError(key)
        data = codec.encode(obj)
        return codec.decode(data, self._record(key, data, ttl_seconds))

    async def get(self, key: str) -> Obj:
        """The object now."""
        self._check_reachable()
        found = self._live.get(key)
        if found is None:
            raise KeyNotFoundError(key)
        return codec.decode(*found)

    def _state_at(self, revision: int) -> dict[str, tuple[bytes, int]]:
        if revision in (0, self._revision):
            return self._live
        if revision > self._revision:
            raise FutureRevisionError(revision, self._revision)
        if revision < self._compacted:
            raise TooOldError(revision, self._compacted)
        state: dict[str, tuple[bytes, int]] = {}
        for change in self._log:
            if change.revision > revision:
                break
            if change.value is None:
                state.pop(change.key, None)
            else:
                state[change.key] = (change.value, change.revision)
        return state

    async def list(
        self, prefix: str, *, limit: int = 0, start_key: str = "", revision: int = 0
    ) -> ListPage:
        """Objects under `prefix`."""
        self._check_reachable()
        state = self._state_at(revision)
        keys = sorted(key for key in state if key.startswith(prefix) and key >= start_key)
        wanted = keys[:limit] if limit else keys
        return ListPage(
            [codec.decode(*state[key]) for key in wanted],
            revision or self._revision,
            keys[limit] if limit and len(keys) > limit else "",
            len(keys) - len(wanted),
        )

    async def guaranteed_update(
        self,
        key: str,
        update: UpdateFunction,
        *,
        preconditions: Preconditions = NO_PRECONDITIONS,
        cached: Obj | None = None,
        ttl_seconds: int = 0,
    ) -> Obj:
        """Apply `update`; while it waits another writer may be first, then it is asked again."""
        del cached
        while True:
            live = await self.get(key)
            preconditions.check(key, live)
            before = self._live[key][1]
            result = await update(live)
            self._check_reachable()
            if key not in self._live:
                raise KeyNotFoundError(key)
            if self._live[key][1] != before:
                continue
            if isinstance(result, Removal):
                return codec.with_revision(result.obj, self._record(key, None))
            if codec.is_same(result, live):
                return live
            data = codec.encode(result)
            return codec.decode(data, self._record(key, data, ttl_seconds))

    async def delete(self, key: str, *, preconditions: Preconditions = NO_PRECONDITIONS) -> Obj:
        """Remove the object."""

        async def removal(live: Obj) -> Removal:
            return Removal(live)

        return await self.guaranteed_update(key, removal, preconditions=preconditions)

    async def current_revision(self) -> int:
        """The newest revision."""
        self._check_reachable()
        return self._revision

    async def watch(self, prefix: str, start_revision: int) -> AsyncIterator[ChangeBatch]:
        """Changes from `start_revision` on."""
        revision, progress = start_revision - 1, self._progress_wanted
        if start_revision <= self._compacted:
            raise TooOldError(start_revision, self._compacted)
        while True:
            changed = self._changed
            first = bisect.bisect_right(self._log, revision, key=lambda change: change.revision)
            changes = [c for c in self._log[first:] if c.key.startswith(prefix)]
            if self._log:
                revision = max(revision, self._log[-1].revision)
            if changes:
                yield ChangeBatch(changes, changes[-1].revision)
            elif progress != self._progress_wanted:
                progress = self._progress_wanted
                yield ChangeBatch([], max(revision, self._revision))
            else:
                await changed.wait()

    async def request_progress(self) -> None:
        """Make each watch hand out a mark."""
        self._progress_wanted += 1
        self._wake()

    async def close(self) -> None:
        """Nothing to free."""

    # ---- direct access for tests, beside every rule ----

    def objects(self, prefix: str) -> Sequence[Obj]:
        """The objects under `prefix` now, in key order; each call makes new ones."""
        found = sorted(key for key in self._live if key.startswith(prefix))
        return [codec.decode(*self._live[key]) for key in found]

    def put(self, key: str, obj: Obj) -> Obj:
        """Store `obj` whole, whatever was there."""
        data = codec.encode(obj)
        return codec.decode(data, self._record(key, data))

    def remove(self, key: str) -> None:
        """Take an object away; KeyNotFoundError when there is none."""
        if key not in self._live:
            raise KeyNotFoundError(key)
        self._record(key, None)

    async def compact_in_turn(self, turn: Turn) -> Turn:
        """See `Compactable`."""
        self._check_reachable()
        if turn.version != self._compactions:
            return Turn(self._compactions, self._revision)
        self._compactions += 1
        if turn.revision > self._compacted:
            self.compact(turn.revision)
        return Turn(self._compactions, self._revision)

    def checkpoint(self) -> MemoryState:
        """The state of now, for `restore`."""
        live = {key: value for key, (value, _) in self._live.items()}
        return MemoryState(live, dict(self._deadlines))

    def restore(self, state: MemoryState, *, keep: Sequence[str] = ()) -> None:
        """Make the state of `state` the state of now, by a change for each key that differs.

        Keys that begin with one of `keep` are left as they are.
        """
        for key in [key for key in self._live if key not in state.live]:
            if not key.startswith(tuple(keep)):
                self._record(key, None)
        for key, value in state.live.items():
            found = self._live.get(key)
            if key.startswith(tuple(keep)) or (found is not None and found[0] == value):
                continue
            self._record(key, value)
            if key in state.deadlines:
                self._deadlines[key] = state.deadlines[key]

    def compact(self, revision: int) -> None:
        """Forget what was before `revision`."""
        self._compacted = revision

    def expire(self) -> None:
        """Remove the objects whose time is over."""
        now = self._clock.monotonic()
        for key in sorted(key for key, deadline in self._deadlines.items() if deadline <= now):
            self._record(key, None)
