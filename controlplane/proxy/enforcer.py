"""Keeps the table of NetworkPolicies on a node, or says in events that they are not enforced there.

Pods and namespaces of the whole cluster are followed only once there is a policy.
"""

import random
from collections.abc import Callable, Sequence

from controlplane.api import meta
from controlplane.client.changes import Changes
from controlplane.client.events import EventRecorder
from controlplane.client.informer import Informer
from controlplane.client.rest import RestClient
from controlplane.kinds.core.namespace import NAMESPACES
from controlplane.kinds.core.pod.resource import PODS
from controlplane.kinds.networking.network_policy import NETWORK_POLICIES
from controlplane.proxy import policies
from controlplane.proxy.nft import Nft, NftError
from controlplane.proxy.policies import Member, World
from kvstore.base.backoff import Backoff
from kvstore.base.clock import Clock
from kvstore.base.log import get_logger
from kvstore.base.tasks import Supervisor

log = get_logger(__name__)


class PolicyEnforcer:
    """Enforces the policies of the pods of one node; with `nft` None it cannot, and says so.

    `more_members` are made of what `sources` hold, which are their owner's to run.
    """

    def __init__(
        self,
        node: str,
        client: RestClient,
        nft: Nft | None,
        events: EventRecorder,
        clock: Clock,
        rng: random.Random,
        more_members: Callable[[], list[Member]] = list,
        sources: Sequence[Informer] = (),
    ) -> None:
        self._node = node
        self._nft = nft
        self._events = events
        self._more_members = more_members
        self._policies = Informer(client, NETWORK_POLICIES, clock, rng=rng)
        self._pods = Informer(client, PODS, clock, rng=rng)
        self._namespaces = Informer(client, NAMESPACES, clock, rng=rng)
        self._changes = Changes(clock)
        for informer in sources:
            self._changes.watch(informer)
        self._backoff = Backoff(0.5, 30.0, rng=rng)
        self._told: set[tuple[str, str]] = set()

    async def run(self) -> None:
        """Run until cancelled or until a part fails."""
        supervisor = Supervisor("policies")
        try:
            await self._follow(supervisor, self._policies)
            await self._changes.until(lambda: bool(self._policies.indexer.list()))
            await self._follow(supervisor, self._pods, self._namespaces)
            supervisor.start(self._changes.follow(self._sync), "sync", eternal=True)
            await supervisor.wait()
        finally:
            await supervisor.stop()

    async def _follow(self, supervisor: Supervisor, *informers: Informer) -> None:
        for informer in informers:
            self._changes.watch(informer)
            supervisor.start(informer.run(), informer.resource.plural, eternal=True)
        for informer in informers:
            await informer.wait_synced()

    async def _sync(self) -> float | None:
        world = self._world()
        if self._nft is None:
            self._say_not_enforced(world, "this node has no nft: install nftables")
            return None
        try:
            await self._nft.apply(policies.build(world), policies.preamble())
        except NftError as problem:
            log.warning("policies could not be written", error=str(problem))
            self._say_not_enforced(world, str(problem))
            return self._backoff.next()
        self._backoff.reset()
        return None

    def _world(self) -> World:
        members = [policies.member_of(pod) for pod in self._pods.indexer.list()]
        return World(
            self._node,
            self._policies.indexer.list(),
            [one for one in members if one is not None] + self._more_members(),
            {meta.name(one): meta.labels(one) for one in self._namespaces.indexer.list()},
        )

    def _say_not_enforced(self, world: World, why: str) -> None:
        """Once a policy that is about a pod of this node."""
        mine = [one for one in world.members if one.node == self._node]
        for policy in world.policies:
            key = meta.key_of(policy)
            if key not in self._told and any(policies.selects(policy, one) for one in mine):
                self._told.add(key)
                text = f"Not enforced for pods of node {self._node}: {why}"
                self._events.event(policy, "Warning", "NotEnforced", text)
