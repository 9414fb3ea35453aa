"""A manager with all controllers over the real API server in process, and a stand-in for scheduler and kubelets."""

import asyncio
import copy
import random

import pytest

from controlplane.api.times import to_rfc3339
from controlplane.apiserver.config import ApiServerConfig
from controlplane.client.leader import LeaderElector
from controlplane.controllers.config import ControllersConfig, parse_arguments
from controlplane.controllers.framework.manager import Manager
from controlplane.kinds.apps.replica_set import REPLICA_SETS
from controlplane.kinds.coordination.lease import LEASES
from controlplane.kinds.core.event import EVENTS
from controlplane.kinds.core.namespace import NAMESPACES
from controlplane.kinds.core.node import NODES
from controlplane.kinds.core.pod.resource import PODS
from controlplane.testing.in_process import InProcessServer
from kvstore.base.clock import ManualClock
from kvstore.base.tasks import Supervisor

# Turns of the event loop in which everything that was set off comes to rest.
_TURNS = 120


class World:
    """`flags` are those of the controller manager, `settings` the API server's; namespace `d` is there."""

    def __init__(self, *flags, **settings) -> None:
        self.clock = ManualClock()
        self.api = InProcessServer(clock=self.clock, config=ApiServerConfig(**settings))
        self.client = self.api.client()
        self.ready_pods = True
        self.answering_nodes: set[str] = set()
        self.violations: list[str] = []
        self.watch_bounds: tuple[int, int] | None = None
        options = parse_arguments(["--kubeconfig=none", "--name=me", *flags])
        self.manager = Manager(
            self.client,
            self.clock,
            random.Random(1),
            LeaderElector(self.client, "kube-system", "kcm", "me", self.clock),
            options.of(ControllersConfig).chosen(),
            options,
            component="test",
        )
        self.supervisor = Supervisor("world")

    async def __aenter__(self):
        await self.api.__aenter__()
        await self.client.create(NAMESPACES, {"metadata": {"name": "d"}})
        self.supervisor.start(self.manager.run(), "manager")
        await self.step(5)
        return self

    async def __aexit__(self, *_):
        await self.supervisor.stop()
        await self.api.__aexit__(None, None, None)

    async def step(self, rounds: int = 20, seconds: float = 0.1) -> None:
        for _ in range(rounds):
            self.play_agents()
            await self.clock.advance(seconds)
            for _ in range(_TURNS):
                await asyncio.sleep(0)
            self.check_bounds()

    def serve(self, *kinds) -> None:
        """Serve these kinds too."""
        server = self.api.app.server
        server.serve(server.scheme.with_kinds(*kinds))

    def serve_no_more(self, *resources) -> None:
        """Take kinds away."""
        server = self.api.app.server
        server.serve(server.scheme.without(*resources))

    def change(self, resource, name, namespace, edit) -> None:
        """Edit a stored object, status included, behind the server's back."""
        obj = self.api.object(resource, name, namespace)
        edit(obj)
        self.api.put(resource, obj)

    def play_agents(self) -> None:
        stamp = to_rfc3339(self.clock.time())
        for node in self.answering_nodes:
            self.change(
                LEASES, node, "kube-node-lease",
                lambda lease: lease["spec"].update(renewTime=f"{self.clock.time():.6f}"),
            )  # fmt: skip
        for pod in self.api.objects(PODS):
            before = copy.deepcopy(pod)
            node = pod["spec"].get("nodeName")
            if node and node.startswith("node-") and node not in self.answering_nodes:
                continue
            if "deletionTimestamp" in pod["metadata"]:
                if not pod["metadata"].get("finalizers"):
                    self.api.remove(PODS, pod["metadata"]["name"], pod["metadata"]["namespace"])
            elif self.ready_pods and pod.get("status", {}).get("phase") == "Pending":
                ready = {"type": "Ready", "status": "True", "lastTransitionTime": stamp}
                pod["status"] = {**pod["status"], "phase": "Running", "conditions": [ready]}
                assert pod != before
                self.api.put(PODS, pod)

    def add_node(self, name: str) -> None:
        ready = {"type": "Ready", "status": "True", "lastHeartbeatTime": "2023-01-01T00:00:00Z"}
        node = {"metadata": {"name": name}, "spec": {}, "status": {"conditions": [ready]}}
        self.api.put(NODES, node)
        lease = {
            "metadata": {"name": name, "namespace": "kube-node-lease"},
            "spec": {"renewTime": "0"},
        }
        self.api.put(LEASES, lease)
        self.answering_nodes.add(name)

    def check_bounds(self) -> None:
        if self.watch_bounds is None:
            return
        low, high = self.watch_bounds
        active = [p for p in self.api.objects(PODS) if "deletionTimestamp" not in p["metadata"]]
        ready = [p for p in active if p.get("status", {}).get("phase") == "Running"]
        if len(active) > high:
            self.violations.append(f"{len(active)} pods")
        if len(ready) < low:
            self.violations.append(f"{len(ready)} ready")

    def events(self, reason: str) -> list[str]:
        return [e["message"] for e in self.api.objects(EVENTS) if e["reason"] == reason]

    def sizes(self) -> dict[str, int]:
        """Image -> replicas wanted of each ReplicaSet."""
        return {
            rs["spec"]["template"]["spec"]["containers"][0]["image"]: rs["spec"]["replicas"]
            for rs in self.api.objects(REPLICA_SETS)
        }


def deployment(name="web", replicas=3, image="a:1", **spec):
    return {
        "metadata": {"name": name, "namespace": "d"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "c", "image": image}]},
            },
            "progressDeadlineSeconds": 600,
            "revisionHistoryLimit": 10,
            **spec,
        },
    }


def pod(name="p", namespace="d", **spec):
    """A Pod as the store has it."""
    return {
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"containers": [{"name": "c", "image": "a:1"}], **spec},
        "status": {"phase": "Pending"},
    }


@pytest.fixture
def make_world():
    return World


@pytest.fixture
def make_deployment():
    return deployment


@pytest.fixture
def make_pod():
    return pod
