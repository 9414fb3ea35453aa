"""Keeps APIServices true: those of custom resources come and go, those of other servers say whether they answer.

Every API server does the same by itself; what they write is equal, so the first one's write is the last. A server that
answers is asked anew every half minute, one that does not ever more seldom, and either when its Service changes.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

from controlplane.api import errors, meta, times
from controlplane.api.meta import Obj
from controlplane.api.scheme import Scheme
from controlplane.api.strategy import DeleteOptions
from controlplane.apiserver.aggregation.availability import SERVICE_LABEL, Checks, with_verdict
from controlplane.apiserver.aggregation.directory import Remote
from controlplane.apiserver.aggregation.registration import plan
from controlplane.apiserver.followed import Changed, Followed
from controlplane.apiserver.requests.context import LOOPBACK, WriteContext
from controlplane.apiserver.served import Server
from controlplane.kinds.apiregistration.api_service import API_SERVICES
from controlplane.kinds.core.service import SERVICES
from controlplane.kinds.discovery.endpoint_slice import ENDPOINT_SLICES
from kvstore.base.backoff import Backoff
from kvstore.base.log import get_logger

log = get_logger(__name__)

_LOOK_SECONDS = 0.5
_RESYNC_SECONDS = 30.0
_AT_ONCE = 8
_CONTEXT = WriteContext(API_SERVICES.group_version, LOOPBACK, manager="kube-apiserver")
_STATUS = WriteContext(
    API_SERVICES.group_version, LOOPBACK, manager="kube-apiserver", subresource="status"
)


class ApiServices:
    """The loop; `run` it once the server's parts are there."""

    def __init__(self, server: Server, built_in: Scheme) -> None:
        self._server = server
        self._built_in = set(built_in.group_versions())
        self._checks = Checks(server.lookup, server.remote_servers)
        self._watched = [
            Followed(resource, server.caches)
            for resource in (API_SERVICES, SERVICES, ENDPOINT_SLICES)
        ]
        self._scheme: Scheme | None = None
        # When a remote is looked at next, and how long its failures wait.
        self._due: dict[str, tuple[tuple[object, ...], float]] = {}
        self._backoff: dict[str, Backoff] = {}

    async def run(self) -> None:
        """For ever; without a store, wait for it."""
        while True:
            try:
                await self.step()
            except errors.APIError as error:
                log.debug("API services cannot be followed", error=str(error))
            await self._server.clock.sleep(_LOOK_SECONDS)

    async def step(self) -> None:
        """Do what is to be done now. APIError when the store is away."""
        await self._server.directory.load()
        # All are asked: what one has told is not told again.
        changes = [await followed.changes() for followed in self._watched]
        if changes[0] is None or changes[0] or self._server.scheme is not self._scheme:
            self._scheme = self._server.scheme
            await self._register(self._scheme)
        remotes = self._server.directory.remotes()
        self._server.remote_documents.keep(remotes)
        now = self._server.clock.monotonic()
        names = {one.name for one in remotes}
        self._due = {name: due for name, due in self._due.items() if name in names}
        self._backoff = {name: one for name, one in self._backoff.items() if name in names}
        touched = _services(changes[1:])
        gate = asyncio.Semaphore(_AT_ONCE)

        async def check(remote: Remote) -> None:
            async with gate:
                await self._check(remote)

        await asyncio.gather(
            *(
                check(one)
                for one in remotes
                if touched is None
                or (one.namespace, one.service) in touched
                or self._is_due(one, now)
            )
        )

    def _is_due(self, remote: Remote, now: float) -> bool:
        identity, due = self._due.get(remote.name, ((), 0.0))
        return identity != remote.identity or due <= now

    async def _check(self, remote: Remote) -> None:
        verdict = await self._checks.verdict(remote)
        backoff = self._backoff.setdefault(remote.name, Backoff(0.5, _RESYNC_SECONDS))
        if verdict.status == "True":
            backoff.reset()
            await self._server.remote_documents.refresh(remote)
            wait = _RESYNC_SECONDS
        else:
            wait = backoff.next()
        self._due[remote.name] = (remote.identity, self._server.clock.monotonic() + wait)
        now = times.to_rfc3339(self._server.clock.time())

        async def change(live: Obj) -> Obj:
            return with_verdict(live, verdict, now)

        with contextlib.suppress(errors.NotFound, errors.Conflict):
            await self._server.registries[API_SERVICES].update("", remote.name, change, _STATUS)

    async def _register(self, scheme: Scheme) -> None:
        registry = self._server.registries[API_SERVICES]
        todo = plan(self._custom(scheme), self._server.directory.objects())
        if todo.delete:
            # What this server does not know another may have just begun to serve.
            await self._server.refresh()
            served = self._custom(self._server.scheme)
            todo = plan(served, self._server.directory.objects())
        for obj in todo.create:
            with contextlib.suppress(errors.AlreadyExists):
                await registry.create("", meta.copy_of(obj), _CONTEXT)
        for obj in todo.update:

            async def change(live: Obj, spec: Obj = obj["spec"]) -> Obj:
                return {**live, "spec": dict(spec)}

            with contextlib.suppress(errors.NotFound, errors.Conflict):
                await registry.update("", meta.name(obj), change, _CONTEXT)
        for obj in todo.delete:
            with contextlib.suppress(errors.NotFound, errors.Conflict):
                options = DeleteOptions(uid=meta.uid(obj))
                await registry.delete("", meta.name(obj), options, _CONTEXT)

    def _custom(self, scheme: Scheme) -> list[tuple[str, str]]:
        return [place for place in scheme.group_versions() if place not in self._built_in]


def _services(changes: Sequence[list[Changed] | None]) -> set[tuple[str, str]] | None:
    """The Services (namespace, name) that changes of Services and EndpointSlices speak of; None for any."""
    found: set[tuple[str, str]] = set()
    for rows in changes:
        if rows is None:
            return None
        for row in rows:
            for obj in filter(None, (row.before, row.after)):
                name = meta.labels(obj).get(SERVICE_LABEL) or meta.name(obj)
                found.add((meta.namespace(obj), name))
                found.add((meta.namespace(obj), meta.name(obj)))
    return found
