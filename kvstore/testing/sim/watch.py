"""Watchers of a simulation: raw ones, which record every response of every stream, and the client's own.

A raw watcher resumes by itself where the last stream left off, often on another member, as any client library would:
behind the last revision it saw an event of, or a progress notification speak of. It reads slowly at times, so that the
server's side fills up.
"""

import asyncio
import random
from collections.abc import Callable
from typing import Any

import grpc

from kvstore.client.client import Client
from kvstore.client.errors import ClientError, Compacted
from kvstore.pb import rpc_pb2
from kvstore.testing.history.history import History
from kvstore.testing.history.perform import watch_event
from kvstore.testing.history.records import KeyValue, WatchEvent, WatchRecord, WatchResponse
from kvstore.testing.sim.rpc import RpcWorld
from kvstore.testing.sim.traffic import PREFIX, PREFIX_END

_OPEN_SECONDS = 3.0
_SILENCE_SECONDS = 15.0


class SimWatcher:
    """What both kinds have in common: a name, and how far they are."""

    def __init__(
        self,
        name: str,
        rng: random.Random,
        history: History,
        now: Callable[[], float],
        on_response: Callable[[str, WatchResponse], None],
    ) -> None:
        self.name, self._rng, self._history, self._now = name, rng, history, now
        self._on_response = on_response
        self.next_revision = 0
        self.is_over = False
        self.is_hasty = False
        """At the end of a run nobody dawdles."""

    def _record(self, response: WatchResponse) -> None:
        self._history.append(response)
        self._on_response(self.name, response)

    async def run(self) -> None:
        """Until `is_over`."""
        raise NotImplementedError


class RawWatcher(SimWatcher):
    """Streams of its own over simulated channels."""

    def __init__(
        self,
        *args: Any,
        rpc: RpcWorld,
        members: list[str],
        running: Callable[[], list[str]] = list,
    ) -> None:
        super().__init__(*args)
        self._rpc, self._members, self._running = rpc, members, running
        self._channels = {member: rpc.channel(self.name, member) for member in members}
        self._from_start = self._rng.random() < 0.5
        self._prev_kv = self._rng.random() < 0.4
        self._filter = self._rng.choice(("", "", "", "put", "delete"))
        self._session = 0

    async def run(self) -> None:
        """Open, read, resume."""
        if self._from_start:
            self.next_revision = 1
        while not self.is_over:
            member = self._rng.choice(self._running() or self._members)
            await self._watch(member)
            await asyncio.sleep(self._rng.uniform(0.05, 0.4))

    async def _watch(self, member: str) -> None:
        record = WatchRecord(
            self._history.next_id(),
            self.name,
            self._now(),
            PREFIX,
            PREFIX_END,
            self.next_revision,
            prev_kv=self._prev_kv,
            progress_notify=True,
            no_put=self._filter == "put",
            no_delete=self._filter == "delete",
            # One "from now on" that nobody answered has promised nothing.
            resumes=self._session if self.next_revision else 0,
            member=member,
        )
        self._history.append(record)
        self._session = record.id
        stream = self._channels[member].stream_stream(
            "/etcdserverpb.Watch/Watch",
            lambda message: message.SerializeToString(),
            rpc_pb2.WatchResponse.FromString,
        )(metadata=(("hasleader", "true"),))
        reason = "closed"
        try:
            await stream.write(_create_request(record))
            await self._read(stream, record.id)
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError, TimeoutError) as error:
            reason = type(error).__name__
        finally:
            stream.cancel()
            self._record(WatchResponse(record.id, self._now(), "broken", reason=reason))

    async def _read(self, stream: Any, session: int) -> None:
        seconds = _OPEN_SECONDS
        leave_at = self._now() + self._rng.choice((2.0, 8.0, 1e9, 1e9))
        while not self.is_over and self._now() < leave_at:
            async with asyncio.timeout(seconds):
                message = await stream.read()
            if not isinstance(message, rpc_pb2.WatchResponse):
                return
            seconds = _SILENCE_SECONDS
            response = _response(session, self._now(), message)
            self._record(response)
            if response.kind == "canceled":
                if response.compact_revision:
                    # What lies before is lost, and known to be: a new watch, not the old one resumed.
                    self.next_revision, self._session = response.compact_revision, 0
                return
            self._advance(response)
            if self._rng.random() < 0.1:
                await stream.write(
                    rpc_pb2.WatchRequest(progress_request=rpc_pb2.WatchProgressRequest())
                )
            if not self.is_hasty and self._rng.random() < 0.1:
                await asyncio.sleep(self._rng.choice((0.05, 0.5, 3.0)))

    def _advance(self, response: WatchResponse) -> None:
        if response.kind == "created":
            self.next_revision = self.next_revision or response.revision + 1
        elif response.events and not response.fragment:
            # The header tells more, but only events and progress notifications are promises.
            newest = response.events[-1].kv.mod_revision
            self.next_revision = max(self.next_revision, newest + 1)
        elif response.kind == "progress":
            self.next_revision = max(self.next_revision, response.revision + 1)


def _create_request(record: WatchRecord) -> rpc_pb2.WatchRequest:
    filters = [rpc_pb2.WatchCreateRequest.NOPUT] if record.no_put else []
    filters += [rpc_pb2.WatchCreateRequest.NODELETE] if record.no_delete else []
    return rpc_pb2.WatchRequest(
        create_request=rpc_pb2.WatchCreateRequest(
            key=record.key,
            range_end=record.range_end,
            start_revision=record.start_revision,
            prev_kv=record.prev_kv,
            progress_notify=True,
            filters=filters,
        )
    )


def _response(session: int, now: float, message: rpc_pb2.WatchResponse) -> WatchResponse:
    kind = "events" if message.events else "progress"
    kind = "canceled" if message.canceled else "created" if message.created else kind
    return WatchResponse(
        session,
        now,
        kind,
        message.header.revision,
        tuple(_event(event) for event in message.events),
        message.fragment,
        message.compact_revision,
        message.cancel_reason,
    )


def _event(event: Any) -> WatchEvent:
    prev = _key_value(event.prev_kv) if event.HasField("prev_kv") else None
    return WatchEvent("DELETE" if event.type else "PUT", _key_value(event.kv), prev)


def _key_value(kv: Any) -> KeyValue:
    return KeyValue(
        kv.key, kv.value, kv.create_revision, kv.mod_revision, kv.version, int(kv.lease)
    )


class ClientWatcher(SimWatcher):
    """The client's watcher, which resumes by itself: one session for the history, whatever happens below."""

    def __init__(self, *args: Any, client: Client) -> None:
        super().__init__(*args)
        self._client = client

    async def run(self) -> None:
        """Watch; begin anew if what comes next was compacted."""
        start = self._rng.choice((0, 1))
        while not self.is_over:
            record = WatchRecord(
                self._history.next_id(),
                self.name,
                self._now(),
                PREFIX,
                PREFIX_END,
                start,
                progress_notify=True,
            )
            self._history.append(record)
            watcher = self._client.watch(
                PREFIX, range_end=PREFIX_END, start_revision=start, progress_notify=True
            )
            try:
                await self._read(watcher, record.id)
            except Compacted as error:
                start = int(getattr(error, "compact_revision", 0) or self.next_revision)
                self._record(
                    WatchResponse(record.id, self._now(), "canceled", compact_revision=start)
                )
            except ClientError as error:
                self._record(
                    WatchResponse(record.id, self._now(), "broken", reason=type(error).__name__)
                )
                start = self.next_revision
                await asyncio.sleep(0.2)
            finally:
                await watcher.aclose()

    async def _read(self, watcher: Any, session: int) -> None:
        await watcher.start()
        self.next_revision = watcher.next_revision
        self._record(WatchResponse(session, self._now(), "created", max(1, self.next_revision - 1)))
        async for batch in watcher:
            self._record(
                WatchResponse(
                    session,
                    self._now(),
                    "events" if batch.events else "progress",
                    batch.revision,
                    tuple(watch_event(event) for event in batch.events),
                )
            )
            self.next_revision = watcher.next_revision
            if self.is_over:
                return
            if not self.is_hasty and self._rng.random() < 0.1:
                await asyncio.sleep(self._rng.choice((0.05, 0.5, 3.0)))
