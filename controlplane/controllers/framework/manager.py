"""Runs controllers on shared caches while leading.

Order of start, each waiting for the one before: health (probes must answer while the rest is slow), caches (a standby
keeps them warm, so that taking over needs no listing), leader election, controllers. A new leadership builds
controllers anew: nothing they believed in an earlier one survives. Stop is the reverse: work, lease, caches, health.
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from controlplane.api.resource import Resource
from controlplane.client.events import EventRecorder
from controlplane.client.informer import Informer
from controlplane.client.leader import LeaderElector
from controlplane.client.rest import RestClient
from controlplane.controllers.framework.controller import Controller
from controlplane.program.health import HealthServer
from kvstore.base.clock import Clock
from kvstore.base.log import get_logger
from kvstore.base.tasks import Supervisor

_log = get_logger("manager")


class Informers:
    """One shared informer per resource, made when first asked for."""

    def __init__(
        self, client: RestClient, clock: Clock, rng: random.Random, supervisor: Supervisor
    ) -> None:
        self._client = client
        self._clock = clock
        self._rng = rng
        self._supervisor = supervisor
        self._informers: dict[str, Informer] = {}

    def of(self, resource: Resource) -> Informer:
        """The informer of a resource; it starts with the first call, on the running loop."""
        informer = self._informers.get(resource.group_resource)
        if informer is None:
            informer = Informer(self._client, resource, self._clock, rng=self._rng)
            self._informers[resource.group_resource] = informer
            self._supervisor.start(informer.run(), f"informer-{resource.plural}", eternal=True)
        return informer

    def all(self) -> list[Informer]:
        """Every informer made so far."""
        return list(self._informers.values())

    def unsynced(self) -> list[str]:
        """The resources whose first list is not there yet."""
        return [name for name, informer in self._informers.items() if not informer.synced]


@dataclass(frozen=True, slots=True)
class Context:
    """What a controller is built from; `client` refuses changes once leadership is in doubt."""

    client: RestClient
    informers: Informers
    recorder: EventRecorder
    clock: Clock
    rng: random.Random


Factory = Callable[[Context], Controller[Any]]


class Manager:
    """The composition of caches, leadership and controllers; `run` until cancelled."""

    def __init__(
        self,
        client: RestClient,
        clock: Clock,
        rng: random.Random,
        elector: LeaderElector,
        resources: Sequence[Resource],
        factories: Sequence[Factory],
        *,
        component: str,
        health: HealthServer | None = None,
    ) -> None:
        self._client = client
        self._clock = clock
        self._rng = rng
        self._elector = elector
        self._resources = resources
        self._factories = factories
        self._component = component
        self._health = health
        if health is not None:
            health.add_check("caches", self.ready)
        self._supervisor = Supervisor(component)
        self.informers = Informers(client, clock, rng, self._supervisor)

    def ready(self) -> str | None:
        """The check for /readyz: the caches are filled."""
        missing = self.informers.unsynced()
        return f"caches not filled: {', '.join(missing)}" if missing else None

    async def run(self) -> None:
        """Start everything in order; ends only by cancellation or the failure of a part."""
        if self._health is None:
            await self._run()
            return
        async with self._health:
            await self._run()

    async def _run(self) -> None:
        try:
            for resource in self._resources:
                self.informers.of(resource)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._supervisor.wait(), name="failures")
                group.create_task(self._lead(), name="lead")
        finally:
            await self._supervisor.stop()

    async def _lead(self) -> None:
        for informer in self.informers.all():
            await informer.wait_synced()
        _log.info("caches filled", resources=len(self._resources))
        await self._elector.run_with_leadership(self._work)

    async def _work(self) -> None:
        client = self._client.guarded(self._elector.check)
        recorder = EventRecorder(client, self._component, self._clock)
        context = Context(client, self.informers, recorder, self._clock, self._rng)
        controllers = [factory(context) for factory in self._factories]
        async with asyncio.TaskGroup() as group:
            group.create_task(recorder.run(), name="events")
            for controller in controllers:
                group.create_task(
                    controller.run(self.informers.of, self._clock, self._rng), name=controller.name
                )
