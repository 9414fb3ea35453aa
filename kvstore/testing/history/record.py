"""Clients that write down what they did: every request with its times and outcome goes into a history.

Recorded are key-value requests, transactions, compaction, and leases granted and revoked, also those that locks and
elections make, and watches with all they deliver; not the many watches of one `watch_stream`, and not what is asked of
one member (status, hash).
"""

from collections.abc import Sequence
from typing import Any

from kvstore.base.clock import Clock, SystemClock
from kvstore.client.blocking import SyncClient
from kvstore.client.blocking_parts import Bridged
from kvstore.client.client import Client
from kvstore.client.errors import ClientError
from kvstore.client.portal import Portal
from kvstore.client.types import ClientTls, Key, KeyValue, WatchBatch
from kvstore.client.watch import Watcher
from kvstore.client.watch_cursor import watch_request
from kvstore.pb import rpc_pb2
from kvstore.testing.history import records
from kvstore.testing.history.history import History

_TARGETS = {
    rpc_pb2.Compare.VERSION: "version",
    rpc_pb2.Compare.CREATE: "create",
    rpc_pb2.Compare.MOD: "mod",
    rpc_pb2.Compare.VALUE: "value",
    rpc_pb2.Compare.LEASE: "lease",
}
_OPERATORS = {
    rpc_pb2.Compare.EQUAL: "=",
    rpc_pb2.Compare.NOT_EQUAL: "!=",
    rpc_pb2.Compare.LESS: "<",
    rpc_pb2.Compare.GREATER: ">",
}
_NUMBERS = {
    "version": "version",
    "create": "create_revision",
    "mod": "mod_revision",
    "lease": "lease",
}


class RecordingClient(Client):
    """A client whose operations go into `history` as those of `name`."""

    def __init__(self, endpoints: Sequence[str], *, history: History, name: str, **options: Any):
        super().__init__(endpoints, **options)
        self.history = history
        self.name = name

    async def _call(self, method: str, request: Any, response: Any, **options: Any) -> Any:
        asked = request_of(request)
        if asked is None:
            return await super()._call(method, request, response, **options)
        pending = self.history.begin(self.name, asked, self.clock.monotonic())
        outcome: records.Outcome = records.Unknown("Cancelled")
        try:
            answer = await super()._call(method, request, response, **options)
            header = answer.header
            outcome = records.Ok(
                header.revision, reply_of(answer), header.member_id, header.raft_term
            )
        except ClientError as error:
            kind = type(error).__name__
            if error.outcome_known:
                outcome = records.Failed(kind, str(error))
            else:
                outcome = records.Unknown(kind, str(error))
            raise
        finally:
            self.history.end(pending, self.clock.monotonic(), outcome)
        return answer

    def watch(self, key: Key, **options: Any) -> Watcher:
        """As the client's own, and recorded."""
        give_up_seconds = options.pop("give_up_seconds", None)
        watcher = RecordingWatcher(
            self._failover,
            watch_request(key, **options),
            self.clock,
            give_up_seconds=give_up_seconds,
            on_close=self._watchers.discard,
        )
        watcher.record_into(self.history, self.name)
        self._watchers.add(watcher)
        return watcher


class RecordingWatcher(Watcher):
    """A watcher whose session goes into a history; resumed streams are one session, as they are to the reader."""

    def record_into(self, history: History, name: str) -> None:
        """Where to; to be called before it is used."""
        self._history, self._name_of_client = history, name
        self._session = 0

    async def start(self) -> None:
        """Return when a member has confirmed the watch."""
        if self._session:
            await super().start()
            return
        now, asked = self._clock.monotonic(), self._cursor.request()
        await super().start()
        self._session = self._history.next_id()
        filters = rpc_pb2.WatchCreateRequest
        self._history.append(
            records.WatchRecord(
                self._session,
                self._name_of_client,
                now,
                asked.key,
                asked.range_end,
                asked.start_revision,
                prev_kv=asked.prev_kv,
                progress_notify=asked.progress_notify,
                no_put=filters.NOPUT in asked.filters,
                no_delete=filters.NODELETE in asked.filters,
            )
        )
        self._note("created", max(1, self.next_revision - 1))

    async def __anext__(self) -> WatchBatch:
        if not self._session and not self._is_closed:
            await self.start()
        batch = await super().__anext__()
        events = tuple(
            records.WatchEvent(
                one.type, _value(one.kv), None if one.prev_kv is None else _value(one.prev_kv)
            )
            for one in batch.events
        )
        self._note("events" if events else "progress", batch.revision, events)
        return batch

    def _note(self, kind: str, revision: int, events: tuple[records.WatchEvent, ...] = ()) -> None:
        now = self._clock.monotonic()
        self._history.append(records.WatchResponse(self._session, now, kind, revision, events))


class RecordingSyncClient(SyncClient):
    """The blocking face of a `RecordingClient`."""

    def __init__(
        self,
        endpoints: Sequence[str],
        *,
        history: History,
        name: str,
        tls: ClientTls | None = None,
        clock: Clock | None = None,
        **options: Any,
    ) -> None:
        async def make() -> RecordingClient:
            return RecordingClient(
                endpoints,
                history=history,
                name=name,
                tls=tls,
                clock=clock or SystemClock(),
                **options,
            )

        portal = Portal(f"quorate-{name}")
        try:
            Bridged.__init__(self, portal, portal.run(make))
        except BaseException:
            portal.close()
            raise


def request_of(request: Any) -> records.Request | None:
    """A request on the wire as a record; None for one that is no operation."""
    if isinstance(request, rpc_pb2.CompactionRequest):
        return records.Compact(request.revision, request.physical)
    if isinstance(request, rpc_pb2.LeaseGrantRequest):
        return records.LeaseGrant(request.TTL, request.ID)
    if isinstance(request, rpc_pb2.LeaseRevokeRequest):
        return records.LeaseRevoke(request.ID)
    if isinstance(request, rpc_pb2.LeaseTimeToLiveRequest):
        return records.LeaseTimeToLive(request.ID, request.keys)
    return _op(request)


def _op(request: Any) -> records.Op | None:
    if isinstance(request, rpc_pb2.PutRequest):
        return records.Put(
            request.key,
            request.value,
            request.lease,
            request.prev_kv,
            request.ignore_value,
            request.ignore_lease,
        )
    if isinstance(request, rpc_pb2.RangeRequest):
        return records.Range(
            request.key,
            request.range_end,
            limit=request.limit,
            revision=request.revision,
            sort_order=request.sort_order,
            sort_target=request.sort_target,
            serializable=request.serializable,
            keys_only=request.keys_only,
            count_only=request.count_only,
            min_mod_revision=request.min_mod_revision,
            max_mod_revision=request.max_mod_revision,
            min_create_revision=request.min_create_revision,
            max_create_revision=request.max_create_revision,
        )
    if isinstance(request, rpc_pb2.DeleteRangeRequest):
        return records.DeleteRange(request.key, request.range_end, request.prev_kv)
    if isinstance(request, rpc_pb2.TxnRequest):
        return records.Txn(
            tuple(_compare(one) for one in request.compare),
            tuple(_inner(one) for one in request.success),
            tuple(_inner(one) for one in request.failure),
        )
    return None


def _inner(op: rpc_pb2.RequestOp) -> records.Op:
    found = _op(getattr(op, op.WhichOneof("request") or "request_range"))
    if found is None:
        raise TypeError(f"no operation of a transaction: {op}")
    return found


def _compare(compare: rpc_pb2.Compare) -> records.Compare:
    target = _TARGETS[compare.target]
    operator = _OPERATORS[compare.result]
    if target == "value":
        return records.Compare(
            compare.key, target, operator, value=compare.value, range_end=compare.range_end
        )
    number = getattr(compare, _NUMBERS[target])
    return records.Compare(compare.key, target, operator, number, range_end=compare.range_end)


def reply_of(answer: Any) -> Any:
    """An answer on the wire as a record."""
    if isinstance(answer, rpc_pb2.PutResponse):
        return records.PutReply(_kv(answer.prev_kv) if answer.HasField("prev_kv") else None)
    if isinstance(answer, rpc_pb2.RangeResponse):
        return records.RangeReply(tuple(_kv(kv) for kv in answer.kvs), answer.count, answer.more)
    if isinstance(answer, rpc_pb2.DeleteRangeResponse):
        return records.DeleteReply(answer.deleted, tuple(_kv(kv) for kv in answer.prev_kvs))
    if isinstance(answer, rpc_pb2.TxnResponse):
        return records.TxnReply(
            answer.succeeded,
            tuple(reply_of(getattr(one, one.WhichOneof("response"))) for one in answer.responses),
        )
    if isinstance(answer, rpc_pb2.LeaseGrantResponse):
        return records.LeaseReply(answer.ID, answer.TTL)
    if isinstance(answer, rpc_pb2.LeaseTimeToLiveResponse):
        return records.LeaseReply(answer.ID, answer.TTL, answer.grantedTTL, tuple(answer.keys))
    return records.EmptyReply()


def _value(kv: KeyValue) -> records.KeyValue:
    return records.KeyValue(
        kv.key, kv.value, kv.create_revision, kv.mod_revision, kv.version, kv.lease
    )


def _kv(kv: Any) -> records.KeyValue:
    return records.KeyValue(
        kv.key, kv.value, kv.create_revision, kv.mod_revision, kv.version, kv.lease
    )
