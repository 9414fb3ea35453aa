"""Composition root: health, caches, events, then - on the leader only - cycles.

Standbys keep their caches and queue as full as the leader's, so a take-over starts deciding at once. The caches are
those of pods and nodes, and those the plugins asked for when they were built.
"""

import random

from controlplane.api.resource import Resource
from controlplane.client.events import EventRecorder
from controlplane.client.indexer import Indexer
from controlplane.client.informer import Informer
from controlplane.client.rest import RestClient
from controlplane.kinds.core.node import NODES
from controlplane.kinds.core.pod.resource import PODS
from controlplane.program import health
from controlplane.scheduler.cache import SchedulerCache
from controlplane.scheduler.config import SchedulerConfig
from controlplane.scheduler.event_handlers import Feed
from controlplane.scheduler.extenders import connect
from controlplane.scheduler.framework.handle import Handle
from controlplane.scheduler.framework.waiting import WaitingPods
from controlplane.scheduler.profiles import DEFAULT_NAME, Configuration, Profile, build_frameworks
from controlplane.scheduler.queue import SchedulingQueue
from controlplane.scheduler.schedule_one import Scheduler, scheduler_of
from kvstore.base.clock import Clock
from kvstore.base.tasks import Supervisor

LEASE_NAME = "kube-scheduler"
# A pod that has ended matters to no decision; leaving it out keeps the cache small.
LIVE_PODS = "status.phase!=Succeeded,status.phase!=Failed"


class App:
    """All parts of one scheduler process. Raises ConfigurationError."""

    def __init__(
        self,
        config: SchedulerConfig,
        client: RestClient,
        clock: Clock,
        rng: random.Random,
        configuration: Configuration | None = None,
    ):
        self._config = config
        self._client = client
        self._clock = clock
        self._rng = rng
        configuration = configuration or Configuration((Profile(config.scheduler_name),))
        names = [profile.name for profile in configuration.profiles]
        component = DEFAULT_NAME if DEFAULT_NAME in names else names[0]
        self._pods = Informer(client, PODS, clock, field_selector=LIVE_PODS, rng=rng)
        self._informers = {NODES.group_resource: Informer(client, NODES, clock, rng=rng)}
        self._events = EventRecorder(client, component, clock)
        self._elector = config.leading.elector(client, LEASE_NAME, clock, rng)
        # A leader that was stopped for longer than its lease must not bind when it wakes up.
        writer = client.guarded(self._elector.check) if config.leading.leader_elect else client
        waiting = WaitingPods(clock)
        handle = Handle(
            writer, self._cache_of, lambda: self._scheduler.snapshot(), self._events, waiting, clock
        )
        frameworks = build_frameworks(configuration.profiles, handle)
        self._cache = SchedulerCache()
        self._queue = SchedulingQueue(
            clock,
            lambda pod: frameworks[scheduler_of(pod)],
            initial_backoff_seconds=configuration.initial_backoff_seconds,
            max_backoff_seconds=configuration.max_backoff_seconds,
        )
        self._feed = Feed(self._cache, self._queue, names)
        self._extenders = [connect(one, clock) for one in configuration.extenders]
        self._scheduler = Scheduler(
            client=writer,
            frameworks=frameworks,
            cache=self._cache,
            queue=self._queue,
            recorder=self._events,
            lookup=self._pods.indexer.get,
            clock=clock,
            rng=rng,
            extenders=self._extenders,
        )

    def _cache_of(self, resource: Resource) -> Indexer:
        """The cache of a kind that a plugin reads."""
        if resource.group_resource == PODS.group_resource:
            return self._pods.indexer
        name = resource.group_resource
        if name not in self._informers:
            self._informers[name] = Informer(self._client, resource, self._clock, rng=self._rng)
        return self._informers[name].indexer

    async def run(self) -> None:
        """Run until cancelled or until a part fails."""
        supervisor = Supervisor("app")
        try:
            if self._config.leading.health_address is not None:
                # First: whoever starts this process watches it from the beginning.
                host, port = self._config.leading.health_address
                checks = {"informer-sync": self._not_synced}
                supervisor.start(health.serve(host, port, checks), "health", eternal=True)
            feed = self._feed
            for name, informer in self._informers.items():
                if name != NODES.group_resource:
                    other = feed.other(name)
                    informer.add_listener(other.added, other.updated, other.deleted)
            # Nodes before pods: a pod tried on an empty cluster would only wait for the first event.
            nodes = self._informers[NODES.group_resource]
            nodes.add_listener(feed.node_added, feed.node_updated, feed.node_deleted)
            self._pods.add_listener(feed.pod_added, feed.pod_updated, feed.pod_deleted)
            for informer in (*self._informers.values(), self._pods):
                supervisor.start(informer.run(), informer.resource.plural, eternal=True)
            supervisor.start(self._events.run(), "events", eternal=True)
            supervisor.start(self._lead(), "lead", eternal=True)
            await supervisor.wait()
        finally:
            await supervisor.stop()
            for extender in self._extenders:
                await extender.close()
            await self._client.close()

    def _not_synced(self) -> str | None:
        informers = (*self._informers.values(), self._pods)
        is_synced = all(informer.synced for informer in informers)
        return None if is_synced else "caches are not filled yet"

    async def _lead(self) -> None:
        for informer in (*self._informers.values(), self._pods):
            await informer.wait_synced()
        if self._config.leading.leader_elect:
            await self._elector.run_with_leadership(self._scheduler.run)
        else:
            await self._scheduler.run()
