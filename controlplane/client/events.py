"""Events for `kubectl describe`: recorded without ever making the caller wait.

A repeated event (same object, reason, message, type) within ten minutes becomes a higher `count` of the first one. Each
object may cause a burst of 25 events and then one every five minutes, as upstream's spam filter; the queue holds 1000,
and when it is full new events are dropped and counted. Losing an event is always right compared with delaying work.
"""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Protocol

from controlplane.api.errors import APIError, NotFound
from controlplane.api.meta import Obj
from controlplane.api.times import to_rfc3339
from controlplane.client.rest import RestClient
from controlplane.kinds.core.event import EVENTS
from kvstore.base.clock import Clock
from kvstore.base.log import get_logger

QUEUE_LIMIT = 1000
_CACHE_LIMIT = 4096
_AGGREGATE_SECONDS = 600.0
_BURST = 25.0
_REFILL_PER_SECOND = 1 / 300

_log = get_logger("events")


@dataclass(slots=True)
class _Seen:
    """An event written before: where it is and how often it came."""

    name: str
    namespace: str
    count: int
    last: float


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float


@dataclass(frozen=True, slots=True)
class _Pending:
    reference: Obj
    type: str
    reason: str
    message: str
    at: float
    component: str
    key: tuple[str, ...] = field(default=())


class Recorder(Protocol):
    """Who can be told that something happened to an object."""

    def event(self, obj: Obj, type_: str, reason: str, message: str) -> None:
        """Record that something happened to `obj`; `type_` is Normal or Warning. Returns at once."""
        ...


class _NamedRecorder:
    def __init__(self, recorder: "EventRecorder", component: str) -> None:
        self._recorder = recorder
        self._component = component

    def event(self, obj: Obj, type_: str, reason: str, message: str) -> None:
        self._recorder.record(self._component, obj, type_, reason, message)


class EventRecorder:
    """Collects events; `run` writes them."""

    def __init__(self, client: RestClient, component: str, clock: Clock, *, host: str = "") -> None:
        self._client = client
        self._component = component
        self._host = host
        self._clock = clock
        self._queue: asyncio.Queue[_Pending] = asyncio.Queue(QUEUE_LIMIT)
        self._seen: OrderedDict[tuple[str, ...], _Seen] = OrderedDict()
        self._buckets: OrderedDict[tuple[str, str], _Bucket] = OrderedDict()
        self._serial = 0
        self.dropped = 0

    def speaking_as(self, component: str) -> Recorder:
        """A recorder whose events carry another component's name and are written by this one."""
        return _NamedRecorder(self, component)

    def event(self, obj: Obj, type_: str, reason: str, message: str) -> None:
        """Record that something happened to `obj`; `type_` is Normal or Warning. Returns at once."""
        self.record(self._component, obj, type_, reason, message)

    def record(self, component: str, obj: Obj, type_: str, reason: str, message: str) -> None:
        """The same in the name of `component`."""
        metadata = obj["metadata"]
        reference = {
            "apiVersion": obj.get("apiVersion", ""),
            "kind": obj.get("kind", ""),
            "name": metadata["name"],
            "namespace": metadata.get("namespace", ""),
            "uid": metadata.get("uid", ""),
            "resourceVersion": metadata.get("resourceVersion", ""),
        }
        reference = {name: value for name, value in reference.items() if value}
        identity = reference.get("uid") or f"{reference.get('namespace')}/{reference['name']}"
        if not self._take_token((component, identity)):
            self.dropped += 1
            return
        message = message[:1024]  # the API's own bound
        key = (component, reference.get("kind", ""), identity, type_, reason, message)
        pending = _Pending(reference, type_, reason, message, self._clock.time(), component, key)
        try:
            self._queue.put_nowait(pending)
        except asyncio.QueueFull:
            self.dropped += 1

    def _take_token(self, identity: tuple[str, str]) -> bool:
        now = self._clock.monotonic()
        bucket = self._buckets.get(identity)
        if bucket is None:
            bucket = self._buckets[identity] = _Bucket(_BURST, now)
            if len(self._buckets) > _CACHE_LIMIT:
                self._buckets.popitem(last=False)
        bucket.tokens = min(_BURST, bucket.tokens + (now - bucket.at) * _REFILL_PER_SECOND)
        bucket.at = now
        if bucket.tokens < 1:
            return False
        bucket.tokens -= 1
        return True

    async def run(self) -> None:
        """Write recorded events until cancelled; one that cannot be written is dropped."""
        while True:
            pending = await self._queue.get()
            try:
                await self._write(pending)
            except APIError as error:
                # Gone namespaces refuse events; an unreachable server must not hold up the rest.
                self.dropped += 1
                _log.debug("event not written", reason=pending.reason, error=str(error))
            finally:
                self._queue.task_done()

    async def drain(self) -> None:
        """Wait until everything recorded so far is written."""
        await self._queue.join()

    async def _write(self, pending: _Pending) -> None:
        resource = EVENTS
        seen = self._seen.get(pending.key)
        if seen is not None and pending.at - seen.last <= _AGGREGATE_SECONDS:
            seen.count += 1
            seen.last = pending.at
            patch = {"count": seen.count, "lastTimestamp": to_rfc3339(pending.at)}
            try:
                await self._client.patch(resource, seen.name, patch, seen.namespace)
                return
            except NotFound:
                pass  # its hour to live is over: write a new one
        namespace = pending.reference.get("namespace") or "default"
        # Upstream's naming: object's name, then the time in hex; two in one instant must differ.
        self._serial += 1
        name = f"{pending.reference['name']}.{int(pending.at * 1e9) + self._serial:x}"
        stamp = to_rfc3339(pending.at)
        source = {"component": pending.component, **({"host": self._host} if self._host else {})}
        event: Obj = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": namespace},
            "involvedObject": pending.reference,
            "type": pending.type,
            "reason": pending.reason,
            "message": pending.message,
            "source": source,
            "firstTimestamp": stamp,
            "lastTimestamp": stamp,
            "eventTime": None,
            "count": 1,
            "reportingComponent": pending.component,
            "reportingInstance": self._host,
        }
        await self._client.create(resource, event, namespace)
        self._seen[pending.key] = _Seen(name, namespace, 1, pending.at)
        self._seen.move_to_end(pending.key)
        if len(self._seen) > _CACHE_LIMIT:
            self._seen.popitem(last=False)
