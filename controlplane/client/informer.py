"""A cache of one resource that follows the API server: list once, then watch for ever.

The watch resumes after the last revision seen, on whichever server answers, so a fail-over loses and repeats nothing.
Only 410 (the revision was compacted) leads to a new list; what changed in between is then told to the listeners as
adds, updates and deletes. Failures wait with a growing, jittered delay; the delay starts again after any event.
Listeners are plain functions called in the order of events: they must be quick (put a key in a queue) and must not
change objects.
"""

import asyncio
import contextlib
import random
from collections.abc import Callable

from controlplane.api.errors import APIError, Gone
from controlplane.api.meta import Obj
from controlplane.api.scheme import Resource
from controlplane.client.indexer import Indexer, object_key
from controlplane.client.rest import RestClient, WatchEvent
from kvstore.base.backoff import Backoff
from kvstore.base.clock import Clock
from kvstore.base.log import get_logger

OnAdd = Callable[[Obj], None]
OnUpdate = Callable[[Obj, Obj], None]
OnDelete = Callable[[Obj], None]

_MIN_WATCH_SECONDS = (
    300  # the server ends a watch after this long to twice as long, as client-go asks
)

_log = get_logger("informer")


class Listener:
    """Who is told of changes; `remove` ends that."""

    def __init__(
        self,
        informer: "Informer",
        on_add: OnAdd | None,
        on_update: OnUpdate | None,
        on_delete: OnDelete | None,
    ) -> None:
        self._informer = informer
        self.on_add = on_add
        self.on_update = on_update
        self.on_delete = on_delete

    def remove(self) -> None:
        """Hear nothing more; idempotent."""
        self._informer.forget_listener(self)


class Informer:
    """Keeps `indexer` equal to what the API server holds, a moment late."""

    def __init__(
        self,
        client: RestClient,
        resource: Resource,
        clock: Clock,
        *,
        namespace: str = "",
        field_selector: str = "",
        label_selector: str = "",
        rng: random.Random | None = None,
    ) -> None:
        self.resource = resource
        self.indexer = Indexer()
        self.resource_version = ""
        self._client = client
        self._clock = clock
        self._namespace = namespace
        self._field_selector = field_selector
        self._label_selector = label_selector
        self._rng = rng or random.Random()
        self._backoff = Backoff(0.05, 5.0, rng=self._rng)
        self._listeners: list[Listener] = []
        self._synced = asyncio.Event()

    @property
    def synced(self) -> bool:
        """Whether the first list is in the cache."""
        return self._synced.is_set()

    async def wait_synced(self) -> None:
        """Wait for the first list."""
        await self._synced.wait()

    def add_listener(
        self,
        on_add: OnAdd | None = None,
        on_update: OnUpdate | None = None,
        on_delete: OnDelete | None = None,
    ) -> Listener:
        """Tell of changes from now on; objects already cached are told as adds at once."""
        listener = Listener(self, on_add, on_update, on_delete)
        self._listeners.append(listener)
        if on_add is not None:
            for obj in self.indexer.list():
                on_add(obj)
        return listener

    def forget_listener(self, listener: Listener) -> None:
        """See `Listener.remove`."""
        if listener in self._listeners:
            self._listeners.remove(listener)

    async def run(self) -> None:
        """Follow the server until cancelled."""
        while True:
            try:
                if not self.resource_version:
                    await self._list()
                await self._watch()
            except Gone:
                _log.info("watch revision expired, listing again", resource=self.resource.plural)
                self.resource_version = ""
                await self._clock.sleep(self._backoff.next())
            except (APIError, ValueError, KeyError) as error:
                # ValueError, KeyError: a garbled line; resuming after the last good one repairs it.
                _log.debug("watch broke", resource=self.resource.plural, error=str(error))
                await self._clock.sleep(self._backoff.next())

    async def _list(self) -> None:
        listed = await self._client.list_all(
            self.resource,
            self._namespace,
            field_selector=self._field_selector,
            label_selector=self._label_selector,
        )
        present = {object_key(item) for item in listed.items}
        for key in self.indexer.keys():  # noqa: SIM118 (a method that returns a copy)
            if key not in present:
                self._remove(key, None)
        for item in listed.items:
            self._store(item)
        self.resource_version = listed.resource_version
        self._synced.set()

    async def _watch(self) -> None:
        started = self._clock.monotonic()
        events = self._client.watch(
            self.resource,
            self._namespace,
            resource_version=self.resource_version,
            field_selector=self._field_selector,
            label_selector=self._label_selector,
            server_timeout_seconds=int(_MIN_WATCH_SECONDS * self._rng.uniform(1, 2)),
        )
        async with contextlib.aclosing(events):
            async for event in events:
                self._apply(event)
                self._backoff.reset()
        if self._clock.monotonic() - started < 1.0:
            # A server that ends watches at once must not be asked in a tight loop.
            await self._clock.sleep(self._backoff.next())

    def _apply(self, event: WatchEvent) -> None:
        version = str(event.object["metadata"]["resourceVersion"])
        if event.type in ("ADDED", "MODIFIED"):
            event.object.setdefault("apiVersion", self.resource.group_version)
            event.object.setdefault("kind", self.resource.kind)
            self._store(event.object)
        elif event.type == "DELETED":
            self._remove(object_key(event.object), event.object)
        self.resource_version = version

    def _store(self, obj: Obj) -> None:
        old = self.indexer.put(obj)
        if old is not None and old["metadata"].get("uid") != obj["metadata"].get("uid"):
            # Deleted and made again while nobody watched: listeners must hear of both.
            for listener in list(self._listeners):
                if listener.on_delete is not None:
                    listener.on_delete(old)
            old = None
        if old is None:
            for listener in list(self._listeners):
                if listener.on_add is not None:
                    listener.on_add(obj)
        elif old["metadata"].get("resourceVersion") != obj["metadata"].get("resourceVersion"):
            for listener in list(self._listeners):
                if listener.on_update is not None:
                    listener.on_update(old, obj)

    def _remove(self, key: str, last: Obj | None) -> None:
        old = self.indexer.delete(key)
        if old is None:
            return
        for listener in list(self._listeners):
            if listener.on_delete is not None:
                listener.on_delete(last or old)
