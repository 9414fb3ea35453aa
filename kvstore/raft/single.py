"""SingleReplicator: the seam without replication, for tests and embedding. In memory; applies at once."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from kvstore.raft.configuration import Change, ChangeRefused, Configuration
from kvstore.raft.replicator import (
    Applier,
    MemberId,
    RaftStatus,
    Stopped,
    TransferFailed,
)

MEMBER = MemberId(1)


class SingleReplicator:
    """A cluster of one that forgets everything with the process."""

    def __init__(self, applier: Applier) -> None:
        self._applier = applier
        self._index = applier.applied_index
        self._running = False
        self._leadership: list[Callable[[bool], None]] = []
        self._applied: list[Callable[[Sequence[Any]], None]] = []

    async def start(self) -> None:
        """Ready at once, and leader."""
        self._running = True
        for callback in self._leadership:
            callback(True)

    async def run(self) -> None:
        """Until cancelled."""
        await asyncio.get_running_loop().create_future()

    async def stop(self) -> None:
        """Refuse what comes later. Idempotent."""
        if self._running:
            self._running = False
            for callback in self._leadership:
                callback(False)

    async def propose(
        self, command: bytes, timeout_seconds: float, *, only_in_term: int = 0
    ) -> Any:
        """Apply `command` now."""
        self._check_running()
        self._index += 1
        results = self._applier.apply(self._index, [command])
        for callback in self._applied:
            callback(results)
        return results[0]

    async def read_index(self, timeout_seconds: float) -> int:
        """The last index: all of it is applied."""
        self._check_running()
        return self._index

    async def transfer_leadership(self, target: MemberId, timeout_seconds: float) -> None:
        """Only to itself."""
        self._check_running()
        if target != MEMBER:
            raise TransferFailed(f"{target:x} is no member")

    async def change_members(self, change: Change, timeout_seconds: float) -> Configuration:
        """A cluster of one stays one."""
        self._check_running()
        raise ChangeRefused("last-voter" if change.kind == "remove" else "not-found")

    def configuration(self) -> Configuration:
        """Unknown: who embeds it says who it is."""
        return Configuration()

    def connected_since(self) -> dict[MemberId, float]:
        """There is nobody else."""
        return {}

    def on_members(self, callback: Callable[[Configuration], None]) -> None:
        """Never called."""

    def leadership(self) -> tuple[MemberId, int]:
        """Leader of itself, in its only term."""
        return MEMBER, 1

    def status(self) -> RaftStatus:
        """Leader of itself."""
        return RaftStatus(MEMBER, MEMBER, 1, self._index, self._index, self._index)

    def on_leadership(self, callback: Callable[[bool], None]) -> None:
        """Called with True at start, with False at stop."""
        self._leadership.append(callback)
        if self._running:
            callback(True)

    def on_applied(self, callback: Callable[[Sequence[Any]], None]) -> None:
        """Call with the results of each entry."""
        self._applied.append(callback)

    def _check_running(self) -> None:
        if not self._running:
            raise Stopped("this member does not run")
