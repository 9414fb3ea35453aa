"""Runs controllers on shared caches while leading.

Order of start, each waiting for the one before: health (probes must answer while the rest is slow), caches (a standby
keeps them warm, so that taking over needs no listing), leader election, controllers. The caches are those the
descriptors declare, no others. A new leadership builds controllers anew: nothing they believed in an earlier one
survives. Stop is the reverse: work, lease, caches, health.
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import Any

from controlplane.client.events import EventRecorder
from controlplane.client.leader import LeaderElector
from controlplane.client.rest import RestClient
from controlplane.client.rest_mapper import RestMapper
from controlplane.controllers.framework.accounts import account_of
from controlplane.controllers.framework.context import Context, DeclaredInformers
from controlplane.controllers.framework.descriptor import Descriptor, built, declared
from controlplane.controllers.framework.informers import FollowedKinds, Informers
from controlplane.program.health import HealthServer
from controlplane.program.options import Parsed
from kvstore.base.clock import Clock
from kvstore.base.log import get_logger
from kvstore.base.tasks import Supervisor

# A kind that cannot be listed (its conversion fails, say) must not keep all others waiting for ever.
FOLLOWED_SYNC_SECONDS = 30.0

_log = get_logger("manager")


class Manager:
    """The composition of caches, leadership and controllers; `run` until cancelled."""

    def __init__(
        self,
        client: RestClient,
        clock: Clock,
        rng: random.Random,
        elector: LeaderElector,
        descriptors: Sequence[Descriptor[Any]],
        options: Parsed,
        *,
        component: str,
        health: HealthServer | None = None,
        as_account: Callable[[str], RestClient] | None = None,
    ) -> None:
        """`as_account` gives the client of a service account; without it all controllers write as the program."""
        self._client = client
        self._clock = clock
        self._rng = rng
        self._elector = elector
        self._descriptors = descriptors
        self._options = options
        self._component = component
        self._health = health
        self._as_account = as_account
        if health is not None:
            health.add_check("caches", self.ready)
        self._supervisor = Supervisor(component)
        self.informers = Informers(client, clock, rng, self._supervisor)
        self.kinds = RestMapper(client, clock)
        self.followed = FollowedKinds(self.informers, self.kinds, declared(descriptors))

    def ready(self) -> str | None:
        """The check for /readyz: the declared caches are filled."""
        resources = declared(self._descriptors)
        missing = [r.group_resource for r in resources if not self.informers.of(r).synced]
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
            for resource in declared(self._descriptors):
                self.informers.of(resource)
            self._supervisor.start(self.kinds.run(), "kinds", eternal=True)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._supervisor.wait(), name="failures")
                group.create_task(self._lead(), name="lead")
        finally:
            await self._supervisor.stop()

    async def _lead(self) -> None:
        resources = declared(self._descriptors)
        for resource in resources:
            await self.informers.of(resource).wait_synced()
        if any(descriptor.watches_any_kind for descriptor in self._descriptors):
            await self._follow_kinds()
        _log.info("caches filled", resources=len(self.informers.all()))
        await self._elector.run_with_leadership(self._work)

    async def _follow_kinds(self) -> None:
        self.followed.follow()
        until = self._clock.monotonic() + FOLLOWED_SYNC_SECONDS
        while not self.kinds.is_filled or self.followed.unsynced():
            if self._clock.monotonic() >= until:
                _log.warning("going on without some caches", resources=self.followed.unsynced())
                return
            await self._clock.sleep(0.05)

    async def _work(self) -> None:
        client = self._client.guarded(self._elector.check)
        recorder = EventRecorder(client, self._component, self._clock)
        async with asyncio.TaskGroup() as group:
            group.create_task(recorder.run(), name="events")
            for descriptor in self._descriptors:
                context = Context(
                    self._client_of(descriptor, client),
                    client,
                    DeclaredInformers(self.informers, descriptor.watches),
                    self.kinds,
                    self.followed,
                    recorder.speaking_as(descriptor.component or descriptor.name),
                    self._clock,
                    self._rng,
                )
                controller = built(descriptor, context, self._options)
                group.create_task(controller.run(context), name=descriptor.name)

    def _client_of(self, descriptor: Descriptor[Any], own: RestClient) -> RestClient:
        """Whoever the controller writes as; it, too, stops when leadership is lost."""
        if self._as_account is None:
            return own
        return self._as_account(account_of(descriptor.name)).guarded(self._elector.check)
