"""The shared caches of a program: one informer a resource, started when first asked for."""

import asyncio
import random
from collections.abc import Callable, Iterable

from controlplane.api.resource import Resource
from controlplane.client.informer import Informer
from controlplane.client.rest import RestClient
from controlplane.client.rest_mapper import RestMapper
from kvstore.base.clock import Clock
from kvstore.base.tasks import Supervisor


class Informers:
    """One informer per resource, whichever of its versions is asked for first."""

    def __init__(
        self, client: RestClient, clock: Clock, rng: random.Random, supervisor: Supervisor
    ) -> None:
        self._client = client
        self._clock = clock
        self._rng = rng
        self._supervisor = supervisor
        self._informers: dict[str, Informer] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def of(self, resource: Resource) -> Informer:
        """The informer of a resource; it starts with the first call, on the running loop."""
        name = resource.group_resource
        informer = self._informers.get(name)
        if informer is None:
            informer = Informer(self._client, resource, self._clock, rng=self._rng)
            self._informers[name] = informer
            self._tasks[name] = self._supervisor.start(
                informer.run(), f"informer-{resource.plural}", eternal=True
            )
        return informer

    def drop(self, resource: Resource) -> None:
        """Stop following a resource that is served no more; idempotent."""
        name = resource.group_resource
        task = self._tasks.pop(name, None)
        self._informers.pop(name, None)
        if task is not None:
            task.cancel()

    def all(self) -> list[Informer]:
        """Every informer there is."""
        return list(self._informers.values())

    def unsynced(self) -> list[str]:
        """The resources whose first list is not there yet."""
        return [name for name, informer in self._informers.items() if not informer.synced]


OnRows = Callable[[], None]


class FollowedKinds:
    """The caches of every kind that can be listed, watched and deleted, but for events; custom resources too.

    `keep` are resources that others need, which are not dropped when discovery shows them no more.
    """

    def __init__(self, informers: Informers, kinds: RestMapper, keep: Iterable[Resource]) -> None:
        self._informers = informers
        self._kinds = kinds
        self._keep = {resource.group_resource for resource in keep}
        self._rows: dict[str, Resource] = {}
        self._listeners: list[OnRows] = []

    def follow(self) -> None:
        """Begin, and keep to what discovery shows from now on."""
        self._kinds.add_listener(self._update)
        self._update()

    def rows(self) -> list[tuple[Resource, Informer]]:
        """Each kind followed now, with its cache."""
        informers = [self._informers.of(resource) for resource in self._rows.values()]
        return [(informer.resource, informer) for informer in informers]

    def unsynced(self) -> list[str]:
        """The followed resources whose first list is not there yet."""
        return [name for name, row in self._rows.items() if not self._informers.of(row).synced]

    def add_listener(self, on_rows: OnRows) -> Callable[[], None]:
        """Call `on_rows` when kinds came or went; the result ends that."""
        self._listeners.append(on_rows)
        return lambda: self._listeners.remove(on_rows)

    def _update(self) -> None:
        wanted = {
            row.group_resource: row
            for row in self._kinds.preferred("list", "watch", "delete")
            if row.kind != "Event"
        }
        for name in self._rows.keys() - wanted.keys() - self._keep:
            self._informers.drop(self._rows[name])
        self._rows = wanted
        for row in wanted.values():
            self._informers.of(row)
        for listener in list(self._listeners):
            listener()
