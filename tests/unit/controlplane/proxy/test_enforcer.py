"""When the table of policies is made anew: after each change of what it is made of, and not without one."""

import asyncio
import random

from controlplane.client.events import EventRecorder
from controlplane.client.informer import Informer
from controlplane.kinds.core.namespace import NAMESPACES
from controlplane.kinds.core.pod.resource import PODS
from controlplane.kinds.core.service import SERVICES
from controlplane.kinds.networking.network_policy import NETWORK_POLICIES
from controlplane.proxy.enforcer import PolicyEnforcer
from controlplane.proxy.nft import Nft
from controlplane.proxy.policies import Member
from controlplane.testing.in_process import InProcessServer
from kvstore.base.clock import ManualClock
from kvstore.base.tasks import Supervisor

DNS = {"namespaceSelector": {}, "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}}}


class Written(Nft):
    """Keeps the tables in place of the kernel."""

    def __init__(self):
        super().__init__()
        self.tables = []

    async def apply(self, table, preamble):
        self.tables.append(table)
        return 1


async def rest(clock):
    for _ in range(3):
        for _ in range(200):
            await asyncio.sleep(0)
        await clock.advance(0.1)


async def test_services_that_the_node_answers_itself_are_peers_as_soon_as_they_are_known():
    clock, supervisor, nft = ManualClock(), Supervisor("policies"), Written()
    async with InProcessServer(clock=clock) as api:
        client = api.client()
        services = Informer(client, SERVICES, clock)

        def members():
            return [
                Member(
                    "kube-system", one["spec"].get("selector") or {}, (one["spec"]["clusterIP"],)
                )
                for one in services.indexer.list()
            ]

        enforcer = PolicyEnforcer(
            "n1", client, nft, EventRecorder(client, "test", clock), clock, random.Random(1),
            members, (services,),
        )  # fmt: skip
        api.put(NAMESPACES, {"metadata": {"name": "kube-system"}})
        api.put(
            PODS,
            {
                "metadata": {"name": "web", "namespace": "x", "labels": {"app": "web"}},
                "spec": {"nodeName": "n1", "containers": []},
                "status": {"podIP": "10.244.1.2"},
            },
        )
        api.put(
            NETWORK_POLICIES,
            {
                "metadata": {"name": "names", "namespace": "x"},
                "spec": {"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"to": [DNS]}]},
            },
        )
        try:
            supervisor.start(enforcer.run(), "enforcer")
            await rest(clock)
            assert nft.tables, "the policy is enforced before Services are known"
            api.put(
                SERVICES,
                {
                    "metadata": {"name": "kube-dns", "namespace": "kube-system"},
                    "spec": {"clusterIP": "10.96.0.10", "selector": {"k8s-app": "kube-dns"}},
                },
            )
            supervisor.start(services.run(), "services")
            await rest(clock)
            peers = {key for name, key in nft.tables[-1].elements if name.startswith("ps-")}
            assert "10.96.0.10" in peers
            count = len(nft.tables)
            await clock.advance(600.0)
            await rest(clock)
            assert len(nft.tables) == count
        finally:
            await supervisor.stop()
