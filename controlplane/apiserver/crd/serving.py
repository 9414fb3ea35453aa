"""Definitions in the store -> kinds that this server serves.

Every API server does the same by itself: it follows the definitions, writes the status that they should have (equal
on all servers, so whoever is first wins and the others find nothing to do), and replaces its scheme by one with the
kinds of all established definitions. A request for a kind that this server does not know yet waits until it has seen
all that was written before, so that what one server has established is never unknown to another.

A definition that goes takes its objects with it: they are deleted, and when none is left the finalizer is removed.
"""

import asyncio

from controlplane.api import errors, meta, times
from controlplane.api.kind import Kind
from controlplane.api.meta import Obj
from controlplane.api.scheme import Scheme
from controlplane.api.strategy import DeleteOptions
from controlplane.apiserver.crd import kind as kinds
from controlplane.apiserver.crd import names
from controlplane.apiserver.crd.conversion import WebhookConverter
from controlplane.apiserver.requests.context import LOOPBACK, WriteContext
from controlplane.apiserver.served import Server
from controlplane.kinds.apiextensions.custom_resource_definition import (
    CUSTOM_RESOURCE_DEFINITIONS,
    FINALIZER,
    storage_version,
)
from controlplane.storage.errors import StorageError, TooOldError
from controlplane.storage.watch_cache import ResourceCache
from kvstore.base.backoff import Backoff
from kvstore.base.log import get_logger

log = get_logger(__name__)

_PREFIX = CUSTOM_RESOURCE_DEFINITIONS.key_prefix + "/"
# How often the objects of a definition that goes are looked at again; their finalizers may take any time.
_EMPTYING_SECONDS = 1.0
_WAIT_SECONDS = 30.0
_CONTEXT = WriteContext(
    CUSTOM_RESOURCE_DEFINITIONS.group_version,
    LOOPBACK,
    manager="kube-apiserver",
    subresource="status",
)


class CustomResources:
    """Follows the definitions; `run` it once the server's parts are there."""

    def __init__(self, server: Server, built_in: Scheme) -> None:
        self._server = server
        self._built_in = built_in
        # Definition (name, version of its content) -> its kinds, so that only what changes is made anew.
        self._known: dict[str, tuple[str, list[Kind]]] = {}
        # One at a time: what was seen first must not be served last.
        self._serving = asyncio.Lock()

    async def run(self) -> None:
        """Follow for ever; without a store, wait for it."""
        backoff = Backoff(0.1, 2.0)
        while True:
            try:
                cache = await self._server.caches.cache(_PREFIX)
                cursor = cache.cursor(self._server.caches.revision_of(cache))
                backoff.reset()
                while True:
                    await self.serve(cache)
                    pending = await self._settle(cache)
                    await cursor.next(_EMPTYING_SECONDS if pending else _WAIT_SECONDS)
            except TooOldError:
                continue
            except (StorageError, errors.APIError) as error:
                log.debug("definitions cannot be followed", error=str(error))
                await self._server.clock.sleep(backoff.next())

    async def refresh(self) -> bool:
        """See everything written until now; whether that changed what is served."""
        before = self._server.scheme
        try:
            cache = await self._server.caches.cache(_PREFIX)
            await self._server.caches.wait_current()
        except StorageError:
            return False
        await self.serve(cache)
        return self._server.scheme is not before

    async def serve(self, cache: ResourceCache) -> None:
        """Serve the kinds of all established definitions in the cache.

        Their own caches are there first: whoever watches from the revision of the first object must find it.
        """
        async with self._serving:
            await self._serve(cache)

    async def _serve(self, cache: ResourceCache) -> None:
        now = times.to_rfc3339(self._server.clock.time())
        crds = names.served(list(cache.objects.values()), now)
        known: dict[str, tuple[str, list[Kind]]] = {}
        for crd in crds:
            mark = f"{meta.uid(crd)}/{_content(crd)}"
            found = self._known.get(meta.name(crd))
            known[meta.name(crd)] = (
                found
                if found is not None and found[0] == mark
                else (mark, kinds.kinds_of(crd, self._converter(crd)))
            )
        if {name: mark for name, (mark, _) in known.items()} == {
            name: mark for name, (mark, _) in self._known.items()
        }:
            return
        for prefix in {one.resource.key_prefix for _, made in known.values() for one in made}:
            await self._server.caches.cache(prefix + "/")
        self._known = known
        custom = [kind for _, made in known.values() for kind in made]
        self._server.serve(self._built_in.with_kinds(*custom))

    def _converter(self, crd: Obj) -> WebhookConverter | None:
        if (meta.spec(crd).get("conversion") or {}).get("strategy") != "Webhook":
            return None
        return WebhookConverter(crd, self._server.webhooks.post, self._server.rng)

    async def _settle(self, cache: ResourceCache) -> bool:
        """Write what statuses should say, end what goes; whether there is more to do soon."""
        crds = list(cache.objects.values())
        now = times.to_rfc3339(self._server.clock.time())
        wanted = names.statuses([crd for crd in crds if not meta.is_deleting(crd)], now)
        for crd in crds:
            status = wanted.get(meta.name(crd))
            if status is not None and status != crd.get("status"):
                await self._write_status(meta.name(crd), status)
        pending = False
        for crd in crds:
            if meta.is_deleting(crd) and FINALIZER in meta.finalizers(crd):
                pending = await self._end(crd, now) or pending
        return pending

    async def _write_status(self, name: str, status: Obj) -> None:
        registry = self._server.registries[CUSTOM_RESOURCE_DEFINITIONS]

        async def change(live: Obj) -> Obj:
            return {**live, "status": status}

        try:
            await registry.update("", name, change, _CONTEXT)
        except (errors.NotFound, errors.Conflict):
            return

    async def _end(self, crd: Obj, now: str) -> bool:
        """Delete the objects of a definition that goes; True while there are any."""
        if not await self._delete_objects(crd):
            await self._write_status(
                meta.name(crd),
                names.terminating(
                    crd,
                    "True",
                    "InstanceDeletionInProgress",
                    "CustomResource deletion is in progress",
                    now,
                ),
            )
            return True
        done = names.terminating(
            crd,
            "False",
            "InstanceDeletionCompleted",
            "removed all instances",
            now,
        )

        async def released(live: Obj) -> Obj:
            kept = [one for one in meta.finalizers(live) if one != FINALIZER]
            return {
                **live,
                "metadata": {**meta.metadata(live), "finalizers": kept},
                "status": done,
            }

        try:
            await self._server.registries[CUSTOM_RESOURCE_DEFINITIONS].update(
                "", meta.name(crd), released, _CONTEXT
            )
        except (errors.NotFound, errors.Conflict):
            return False
        return False

    async def _delete_objects(self, crd: Obj) -> bool:
        """Whether no object is left."""
        rows = {kind.resource for kind in kinds.kinds_of(crd)}
        served = [row for row in rows if row in self._server.registries]
        if not served:
            return True
        # The version that is stored, if it is served: then nobody is asked to convert what goes.
        served.sort(key=lambda row: row.version != storage_version(crd))
        registry = self._server.registries[served[0]]
        page = await self._server.storage.list(registry.row.key_prefix + "/")
        for obj in page.items:
            if meta.is_deleting(obj):
                continue
            try:
                await registry.delete(
                    meta.namespace(obj), meta.name(obj), DeleteOptions(), _CONTEXT
                )
            except (errors.NotFound, errors.Conflict):
                continue
        left = await self._server.storage.list(registry.row.key_prefix + "/", limit=1)
        return not left.items


def _content(crd: Obj) -> str:
    """What of a definition decides how its objects are served."""
    accepted = meta.status(crd).get("acceptedNames")
    return f"{meta.metadata(crd).get('generation')}/{accepted}"
