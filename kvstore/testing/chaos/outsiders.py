"""What a cluster held before a run, and what others change in it meanwhile, as records of the history.

A store has one order of revisions for everybody. On a cluster that others use, too, the checkers must know whose the
revisions between are: the state at the start becomes a `StartRecord`, and every later change of a key outside the run's
prefix becomes an operation of the client "others", done at some time between the start and when it was seen.
"""

from kvstore.base.clock import Clock
from kvstore.client.client import Client
from kvstore.client.types import Event
from kvstore.testing.history.history import History
from kvstore.testing.history.perform import key_value
from kvstore.testing.history.records import (
    DeleteRange,
    DeleteReply,
    Ok,
    Op,
    Operation,
    OpReply,
    Put,
    PutReply,
    StartRecord,
    Txn,
    TxnReply,
)

NAME = "others"
_ALL = b"\0"


class Outsiders:
    """Records for one run; `start` before the first request, then `run`."""

    def __init__(self, client: Client, prefix: bytes, history: History, clock: Clock) -> None:
        self._client, self._prefix = client, prefix
        self._history, self._clock = history, clock
        self._started_at = 0.0
        self.revision = 1
        """Everything up to it is recorded."""

    async def start(self) -> None:
        """Record what is there. Raises ClientError."""
        found = await self._client.get(_ALL, range_end=_ALL)
        leases = await self._client.lease_list()
        digest = await self._client.hash_kv()
        self._started_at, self.revision = self._clock.monotonic(), found.revision
        self._history.append(
            StartRecord(
                self._started_at,
                found.revision,
                tuple(key_value(kv) for kv in found.kvs),
                max(0, digest.compact_revision),
                leases.ids,
            )
        )

    async def run(self) -> None:
        """Until cancelled. Raises ClientError, Compacted among them, when changes cannot be followed."""
        watcher = self._client.watch(_ALL, range_end=_ALL, start_revision=self.revision + 1)
        try:
            async for batch in watcher:
                by_revision: dict[int, list[Event]] = {}
                for event in batch.events:
                    by_revision.setdefault(event.kv.mod_revision, []).append(event)
                for revision, events in by_revision.items():
                    self._record(revision, events)
                self.revision = max(self.revision, batch.revision)
        finally:
            await watcher.aclose()

    def _record(self, revision: int, events: list[Event]) -> None:
        if any(event.kv.key.startswith(self._prefix) for event in events):
            return
        requests: list[Op] = []
        replies: list[OpReply] = []
        for event in events:
            if event.type == "PUT":
                requests.append(Put(event.kv.key, event.kv.value))
                replies.append(PutReply())
            else:
                requests.append(DeleteRange(event.kv.key))
                replies.append(DeleteReply(1))
        request, reply = requests[0], replies[0]
        if len(requests) > 1:
            request, reply = Txn((), tuple(requests)), TxnReply(True, tuple(replies))
        self._history.append(
            Operation(
                self._history.next_id(),
                NAME,
                request,
                self._started_at,
                self._clock.monotonic(),
                Ok(revision, reply),
            )
        )
