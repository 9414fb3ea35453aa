"""A manager with all controllers over the in-memory API, and a stand-in for scheduler and agents."""

import asyncio
import random

import pytest

from controlplane.api.times import to_rfc3339
from controlplane.client.leader import LeaderElector
from controlplane.client.memory import MemoryApi
from controlplane.client.rest import RestClient
from controlplane.controllers.config import ControllersConfig, parse_arguments
from controlplane.controllers.framework.manager import Manager
from kvstore.base.clock import ManualClock
from kvstore.base.tasks import Supervisor


class World:
    def __init__(self, *flags) -> None:
        self.clock = ManualClock()
        self.api = MemoryApi(self.clock)
        self.client = RestClient(self.api)
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
        self.supervisor.start(self.manager.run(), "manager")
        await self.step(3)
        return self

    async def __aexit__(self, *_):
        await self.supervisor.stop()

    async def step(self, rounds: int = 20, seconds: float = 0.1) -> None:
        for _ in range(rounds):
            self.play_agents()
            await self.clock.advance(seconds)
            for _ in range(40):
                await asyncio.sleep(0)
            self.check_bounds()

    def play_agents(self) -> None:
        stamp = to_rfc3339(self.clock.time())
        for node in self.answering_nodes:
            self.api.change(
                "Lease", node, "kube-node-lease",
                lambda lease: lease["spec"].update(renewTime=f"{self.clock.time():.6f}"),
            )  # fmt: skip
        for pod in self.api.objects("Pod"):
            name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
            node = pod["spec"].get("nodeName")
            if node and node.startswith("node-") and node not in self.answering_nodes:
                continue
            if "deletionTimestamp" in pod["metadata"]:
                if not pod["metadata"].get("finalizers"):
                    self.api.remove("Pod", name, namespace)
            elif self.ready_pods and pod.get("status", {}).get("phase") == "Pending":
                ready = {"type": "Ready", "status": "True", "lastTransitionTime": stamp}
                pod["status"] = {"phase": "Running", "conditions": [ready]}
                self.api.put("Pod", pod)

    def add_node(self, name: str) -> None:
        ready = {"type": "Ready", "status": "True", "lastHeartbeatTime": "x"}
        node = {"metadata": {"name": name}, "spec": {}, "status": {"conditions": [ready]}}
        self.api.put("Node", node)
        lease = {
            "metadata": {"name": name, "namespace": "kube-node-lease"},
            "spec": {"renewTime": "0"},
        }
        self.api.put("Lease", lease)
        self.answering_nodes.add(name)

    def check_bounds(self) -> None:
        if self.watch_bounds is None:
            return
        low, high = self.watch_bounds
        active = [p for p in self.api.objects("Pod") if "deletionTimestamp" not in p["metadata"]]
        ready = [p for p in active if p.get("status", {}).get("phase") == "Running"]
        if len(active) > high:
            self.violations.append(f"{len(active)} pods")
        if len(ready) < low:
            self.violations.append(f"{len(ready)} ready")

    def events(self, reason: str) -> list[str]:
        return [e["message"] for e in self.api.objects("Event") if e["reason"] == reason]

    def sizes(self) -> dict[str, int]:
        """Image -> replicas wanted of each ReplicaSet."""
        return {
            rs["spec"]["template"]["spec"]["containers"][0]["image"]: rs["spec"]["replicas"]
            for rs in self.api.objects("ReplicaSet")
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


@pytest.fixture
def make_world():
    return World


@pytest.fixture
def make_deployment():
    return deployment
