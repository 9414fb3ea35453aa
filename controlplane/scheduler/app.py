"""Composition root: health, caches, events, then - on the leader only - cycles.

Standbys keep their caches and queue as full as the leader's, so a take-over starts deciding at once.
"""

import random

from controlplane.client.events import EventRecorder
from controlplane.client.informer import Informer
from controlplane.client.rest import RestClient
from controlplane.kinds.core.node import NODES
from controlplane.kinds.core.pod.resource import PODS
from controlplane.program import health
from controlplane.scheduler.cache import SchedulerCache
from controlplane.scheduler.config import SchedulerConfig
from controlplane.scheduler.event_handlers import Feed
from controlplane.scheduler.plugins.registry import build_framework
from controlplane.scheduler.queue import SchedulingQueue
from controlplane.scheduler.schedule_one import Scheduler
from kvstore.base.clock import Clock
from kvstore.base.tasks import Supervisor

LEASE_NAME = "kube-scheduler"
# A pod that has ended matters to no decision; leaving it out keeps the cache small.
LIVE_PODS = "status.phase!=Succeeded,status.phase!=Failed"


class App:
    """All parts of one scheduler process."""

    def __init__(
        self, config: SchedulerConfig, client: RestClient, clock: Clock, rng: random.Random
    ):
        self._config = config
        self._client = client
        self._pods = Informer(client, PODS, clock, field_selector=LIVE_PODS, rng=rng)
        self._nodes = Informer(client, NODES, clock, rng=rng)
        self._events = EventRecorder(client, config.scheduler_name, clock)
        self._elector = config.leading.elector(client, LEASE_NAME, clock, rng)
        # A leader that was stopped for longer than its lease must not bind when it wakes up.
        writer = client.guarded(self._elector.check) if config.leading.leader_elect else client
        framework = build_framework(writer)
        self._cache = SchedulerCache()
        self._queue = SchedulingQueue(clock, framework.worth_a_try)
        self._scheduler = Scheduler(
            client=writer,
            framework=framework,
            cache=self._cache,
            queue=self._queue,
            events=self._events,
            lookup=self._pods.indexer.get,
            clock=clock,
            rng=rng,
        )

    async def run(self) -> None:
        """Run until cancelled or until a part fails."""
        supervisor = Supervisor("app")
        try:
            if self._config.leading.health_address is not None:
                # First: whoever starts this process watches it from the beginning.
                host, port = self._config.leading.health_address
                checks = {"informer-sync": self._not_synced}
                supervisor.start(health.serve(host, port, checks), "health", eternal=True)
            feed = Feed(self._cache, self._queue, self._config.scheduler_name)
            # Nodes before pods: a pod tried on an empty cluster would only wait for the first event.
            self._nodes.add_listener(feed.node_added, feed.node_updated, feed.node_deleted)
            self._pods.add_listener(feed.pod_added, feed.pod_updated, feed.pod_deleted)
            supervisor.start(self._nodes.run(), "nodes", eternal=True)
            supervisor.start(self._pods.run(), "pods", eternal=True)
            supervisor.start(self._events.run(), "events", eternal=True)
            supervisor.start(self._lead(), "lead", eternal=True)
            await supervisor.wait()
        finally:
            await supervisor.stop()
            await self._client.close()

    def _not_synced(self) -> str | None:
        return None if self._pods.synced and self._nodes.synced else "caches are not filled yet"

    async def _lead(self) -> None:
        await self._nodes.wait_synced()
        await self._pods.wait_synced()
        if self._config.leading.leader_elect:
            await self._elector.run_with_leadership(self._scheduler.run)
        else:
            await self._scheduler.run()
