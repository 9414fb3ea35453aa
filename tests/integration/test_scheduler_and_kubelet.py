"""A scheduler and a kubelet with real processes, on an API server in process, over each runtime there is."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from controlplane.kinds.core.event import EVENTS
from controlplane.kinds.core.node import NODES
from controlplane.kinds.core.pod.resource import PODS
from controlplane.kubelet.app import App as AgentApp
from controlplane.kubelet.config import KubeletConfig
from controlplane.kubelet.pods import manager
from controlplane.kubelet.runtimes.namespaces.connection import end_node
from controlplane.kubelet.runtimes.namespaces.trial import refusal
from controlplane.program.leading import LeadingConfig
from controlplane.scheduler.app import App as SchedulerApp
from controlplane.scheduler.config import SchedulerConfig
from controlplane.testing.in_process import InProcessServer
from kvstore.base.clock import SystemClock
from kvstore.base.tasks import Supervisor

CIDR = "127.231.7.0/24"
PREFIX = {"process": "127.231.7.", "namespaces": "10.244.7."}


def pod(name: str, container: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "schedulerName": "default-scheduler",
            "terminationGracePeriodSeconds": 5,
            "containers": [{"name": "c", **container}],
            **spec,
        },
        "status": {"phase": "Pending"},
    }


async def until(probe: Callable[[], Any], what: str, seconds: float = 60.0) -> Any:
    async with asyncio.timeout(seconds):
        while not (value := probe()):
            await asyncio.sleep(0.02)
    return value


class Cluster:
    """Programs that share an API server."""

    def __init__(self, root: Path, runtime: str) -> None:
        self.runtime = runtime
        self.clock = SystemClock()
        self.api = InProcessServer(clock=self.clock)
        self.root = root

    async def __aenter__(self) -> "Cluster":
        await self.api.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self.api.__aexit__(*error)

    @asynccontextmanager
    async def agent(self, name: str = "node-1", **capacity: str) -> AsyncIterator[AgentApp]:
        config = KubeletConfig(
            kubeconfig="",
            root_dir=str(self.root / name),
            name=name,
            pod_cidr=CIDR,
            capacity=capacity,
            container_runtime=self.runtime,
        )
        app = AgentApp(config, self.api.client(), self.clock, random.Random(1))
        async with self._running(app.run(), name):
            yield app

    @asynccontextmanager
    async def scheduler(self) -> AsyncIterator[None]:
        config = SchedulerConfig(LeadingConfig(kubeconfig="", name="s-1"))
        app = SchedulerApp(config, self.api.client(), self.clock, random.Random(1))
        async with self._running(app.run(), "scheduler"):
            yield

    @asynccontextmanager
    async def _running(self, coro: Any, name: str) -> AsyncIterator[None]:
        supervisor = Supervisor(name)
        task = supervisor.start(coro, name)
        try:
            yield
            if task.done():
                task.result()
        finally:
            await supervisor.stop(15.0)

    async def create(self, obj: dict[str, Any]) -> None:
        obj.pop("status")
        await self.api.client().create(PODS, obj, "default")

    def pod(self, name: str) -> dict[str, Any] | None:
        return self.api.object(PODS, name, "default")

    def status(self, name: str) -> dict[str, Any]:
        return (self.pod(name) or {}).get("status") or {}

    def container(self, name: str) -> dict[str, Any]:
        return next(iter(self.status(name).get("containerStatuses") or ()), {})

    def reasons(self) -> set[tuple[str, str]]:
        return {(e["reason"], e["message"]) for e in self.api.objects(EVENTS, "default")}


@pytest.fixture(params=list(PREFIX))
async def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Cluster]:
    if request.param == "namespaces" and (why := refusal(tmp_path)):
        pytest.skip(f"no namespaces here: {why}")
    async with Cluster(tmp_path, request.param) as made:
        yield made
    for node in tmp_path.iterdir():
        end_node(node)


async def test_a_pod_is_scheduled_runs_and_ends(cluster: Cluster) -> None:
    async with cluster.agent(), cluster.scheduler():
        command = [
            "sh",
            "-c",
            "trap 'echo bye; exit 0' TERM; echo hello $POD_IP; while :; do sleep 0.1; done",
        ]
        await cluster.create(pod("a", {"image": "busybox:1.36", "command": command}))
        await until(lambda: cluster.status("a").get("phase") == "Running", "running")
        status = cluster.status("a")
        assert {c["type"]: c["status"] for c in status["conditions"]}["Ready"] == "True"
        assert status["podIP"].startswith(PREFIX[cluster.runtime])
        assert cluster.container("a")["ready"]
        await until(
            lambda: (
                {"Scheduled", "Pulled", "Created", "Started"} <= {r for r, _ in cluster.reasons()}
            ),
            "events",
        )
        assert ("Scheduled", "Successfully assigned default/a to node-1") in cluster.reasons()
        log = next(cluster.root.glob("node-1/pods/*/logs/c/0.log"))
        await until(lambda: f"stdout F hello {status['podIP']}" in log.read_text(), "output")

        await cluster.api.client().delete(PODS, "a", "default")
        await until(lambda: cluster.pod("a") is None, "gone")
        assert ("Killing", "Stopping container c") in cluster.reasons()
        await until(lambda: not list(cluster.root.glob("node-1/pods/*")), "directory removed")


async def test_a_crash_is_restarted_and_then_backed_off(cluster: Cluster) -> None:
    async with cluster.agent(), cluster.scheduler():
        await cluster.create(pod("a", {"image": "busybox", "command": ["sh", "-c", "exit 3"]}))
        await until(
            lambda: (
                (cluster.container("a").get("state") or {}).get("waiting", {}).get("reason")
                == "CrashLoopBackOff"
            ),
            "crash loop",
        )
        entry = cluster.container("a")
        assert entry["restartCount"] == 1
        assert entry["lastState"]["terminated"]["exitCode"] == 3


async def test_a_job_like_pod_succeeds(cluster: Cluster) -> None:
    async with cluster.agent(), cluster.scheduler():
        init = [{"name": "i", "image": "busybox", "command": ["sh", "-c", "exit 0"]}]
        spec = pod(
            "a",
            {"image": "busybox", "command": ["sh", "-c", "exit 0"]},
            restartPolicy="Never",
            initContainers=init,
        )
        await cluster.create(spec)
        await until(lambda: cluster.status("a").get("phase") == "Succeeded", "succeeded")
        assert (
            cluster.status("a")["initContainerStatuses"][0]["state"]["terminated"]["exitCode"] == 0
        )


async def test_a_limit_that_is_not_set_is_the_nodes(cluster: Cluster) -> None:
    async with cluster.agent(cpu="7"), cluster.scheduler():
        reference = {"resourceFieldRef": {"resource": "limits.cpu"}}
        container = {
            "image": "busybox",
            "command": ["sh", "-c", 'test "$CPU" = 7'],
            "env": [{"name": "CPU", "valueFrom": reference}],
        }
        await cluster.create(pod("a", container, restartPolicy="Never"))
        ended = ("Succeeded", "Failed")
        await until(lambda: cluster.status("a").get("phase") in ended, "its end")
        assert cluster.status("a")["phase"] == "Succeeded"


async def test_a_restarted_kubelet_finds_its_pods_again(cluster: Cluster) -> None:
    async with cluster.scheduler():
        async with cluster.agent():
            script = "echo up; while :; do sleep 0.2; echo again; done"
            volume = {"name": "v", "emptyDir": {}}
            spec = pod("a", {"image": "busybox", "command": ["sh", "-c", script]}, volumes=[volume])
            await cluster.create(spec)
            await until(lambda: cluster.status("a").get("phase") == "Running", "running")
            first = cluster.container("a")["containerID"]
        async with cluster.agent() as app:
            if cluster.runtime == "process":
                await until(lambda: cluster.container("a").get("restartCount") == 1, "restarted")
                assert cluster.container("a")["containerID"] != first
                assert cluster.container("a")["lastState"]["terminated"]["exitCode"] == 137
                return
            await until(lambda: app._heartbeat and app._heartbeat.registered, "registered")
            uid = (cluster.pod("a") or {})["metadata"]["uid"]
            [run] = app._runtime.list_containers(uid)
            assert first.endswith(run.id)
            result = await app._runtime.exec_sync(run.id, ["hostname"], 10)
            assert result.output == b"a\n"
            await app._runtime.stop_container(run.id, 0)
            await until(lambda: cluster.container("a").get("restartCount") == 1, "restarted")
            assert cluster.container("a")["lastState"]["terminated"]["exitCode"] == 137


async def test_what_a_node_ran_goes_when_the_node_does(cluster: Cluster) -> None:
    async with cluster.agent() as app, cluster.scheduler():
        await cluster.create(pod("a", {"image": "pause"}))
        await until(lambda: cluster.status("a").get("phase") == "Running", "running")
        if cluster.runtime != "namespaces":
            return
        assert end_node(cluster.root / "node-1")
        await until(lambda: cluster.container("a").get("restartCount") == 1, "started anew")
        uid = (cluster.pod("a") or {})["metadata"]["uid"]
        assert len([b for b in app._runtime.list_sandboxes() if b.ready]) == 1
        assert app._runtime.list_containers(uid)[-1].state.value == "running"


async def test_containers_survive_an_absent_api_server(cluster: Cluster) -> None:
    async with cluster.agent() as app, cluster.scheduler():
        await cluster.create(
            pod("a", {"image": "busybox", "command": ["sh", "-c", "sleep 0.5; exit 1"]})
        )
        await until(lambda: cluster.container("a").get("containerID"), "started")
        uid = (cluster.pod("a") or {})["metadata"]["uid"]
        cluster.api.down = True
        await until(lambda: len(app._runtime.list_containers(uid)) == 2, "restarted on its own")
        cluster.api.down = False
        await until(lambda: cluster.container("a").get("restartCount") == 1, "told later")


async def test_too_large_pod_says_why(cluster: Cluster) -> None:
    async with cluster.agent(cpu="1"), cluster.scheduler():
        await until(lambda: cluster.api.object(NODES, "node-1"), "node")
        wanted = {"image": "pause", "resources": {"requests": {"cpu": "2"}}}
        await cluster.create(pod("big", wanted))
        await until(lambda: cluster.status("big").get("conditions"), "condition")
        condition = cluster.status("big")["conditions"][0]
        assert condition["reason"] == "Unschedulable"
        assert condition["message"] == (
            "0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: "
            "0/1 nodes are available: 1 Preemption is not helpful for scheduling."
        )


async def test_the_web_image_answers(cluster: Cluster) -> None:
    async with cluster.agent() as app, cluster.scheduler():
        probe = {"httpGet": {"path": "/", "port": 18080}, "periodSeconds": 1}
        ports = [{"containerPort": 18080}]
        await cluster.create(
            pod("web", {"image": "nginx:1.14.2", "ports": ports, "readinessProbe": probe})
        )
        await until(lambda: cluster.container("web").get("ready"), "ready")
        [box] = app._runtime.list_sandboxes()
        connection = await app._runtime.open_socket(box.id)
        await asyncio.get_running_loop().sock_connect(connection, (box.ip, 18080))
        reader, writer = await asyncio.open_connection(sock=connection)
        writer.write(b"GET / HTTP/1.0\r\n\r\n")
        assert b"<h1>web</h1>" in await reader.read()
        writer.close()


async def test_unknown_image(cluster: Cluster) -> None:
    async with cluster.agent(), cluster.scheduler():
        await cluster.create(pod("a", {"image": "nosuch:1"}))
        await until(
            lambda: (
                (cluster.container("a").get("state") or {}).get("waiting", {}).get("reason")
                == "ErrImagePull"
            ),
            "error",
        )
        assert cluster.status("a")["phase"] == "Pending"


async def test_pods_that_the_node_refuses_or_ends(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manager, "DISK_SECONDS", 0.2)
    taken = {"image": "pause", "ports": [{"containerPort": 80, "hostPort": 80}]}
    async with cluster.agent():
        for name in ("first", "second"):
            await cluster.create(pod(name, dict(taken), nodeName="node-1"))
            await until(lambda name=name: cluster.status(name).get("startTime"), "looked at")
        await until(lambda: cluster.status("first").get("phase") == "Running", "running")
        words = "node(s) didn't have free ports for the requested pod ports"
        status = cluster.status("second")
        assert (status["phase"], status["reason"]) == ("Failed", "NodePorts")
        assert status["message"] == f"Pod was rejected: Predicate NodePorts failed: {words}"
        await until(
            lambda: ("NodePorts", f"Predicate NodePorts failed: {words}") in cluster.reasons(),
            "event",
        )
        await cluster.api.client().delete(PODS, "second", "default")
        await until(lambda: cluster.pod("second") is None, "gone")

        path = "v/x" if cluster.runtime == "process" else "/v/x"
        command = ["sh", "-c", f"head -c 3000000 /dev/zero > {path}; sleep 1000"]
        writer = {
            "image": "busybox",
            "command": command,
            "volumeMounts": [{"name": "v", "mountPath": "/v"}],
        }
        volumes = [{"name": "v", "emptyDir": {"sizeLimit": "1Mi"}}]
        await cluster.create(pod("writer", writer, nodeName="node-1", volumes=volumes))
        await until(lambda: cluster.status("writer").get("phase") == "Failed", "evicted")
        status = cluster.status("writer")
        message = 'Usage of EmptyDir volume "v" exceeds the limit "1Mi". '
        assert (status["reason"], status["message"]) == ("Evicted", message)
