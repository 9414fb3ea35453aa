"""History of the store is forgotten after a while, by whichever API server comes first.

All servers of a cluster, the original's too, share a key of the store. At the end of each interval every server tries
to write it, on the condition that nobody has since it last looked. Who succeeds lets the store forget what was
superseded before the revision that it saw one interval ago: each revision can be read for one to two intervals.
Source: k8s.io/apiserver/pkg/storage/etcd3/compact.go.
"""

from typing import NamedTuple, Protocol

from controlplane.storage.errors import StorageError
from kvstore.base.clock import Clock
from kvstore.base.log import get_logger

_log = get_logger("controlplane.storage.compaction")


class Turn(NamedTuple):
    """What a server knows of the shared key: how often it was written, and the store's revision when it looked."""

    version: int = 0
    revision: int = 0


class Compactable(Protocol):
    """A storage that can forget."""

    async def compact_in_turn(self, turn: Turn) -> Turn:
        """If nobody was first, forget what was superseded before `turn.revision`; what is known now. StorageError."""
        ...


async def compact_for_ever(storage: Compactable, interval_seconds: float, clock: Clock) -> None:
    """Let `storage` forget, until cancelled. A store that does not answer is asked again after the next interval."""
    turn = Turn()
    while True:
        await clock.sleep(interval_seconds)
        try:
            turn = await storage.compact_in_turn(turn)
        except StorageError as error:
            _log.warning("the store's history was not compacted", error=str(error))
