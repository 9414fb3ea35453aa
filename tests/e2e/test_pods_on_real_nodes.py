"""Store, API server, controllers, scheduler and two agents as processes: pods run, log, restart and end."""

import os
import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from controlplane.kinds.apps.deployment import DEPLOYMENTS
from controlplane.kinds.core.pod.resource import PODS

pytestmark = pytest.mark.e2e


@pytest.fixture
async def cluster(tmp_path: Path, real_nodes: ModuleType) -> AsyncIterator[Any]:
    made = real_nodes.Cluster(tmp_path)
    try:
        await made.start()
        yield made
    finally:
        await made.stop()


def deployment(replicas: int, container: dict[str, Any]) -> dict[str, Any]:
    labels = {"app": "d"}
    return {
        "metadata": {"name": "d", "namespace": "default"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "c", **container}]},
            },
        },
    }


async def test_a_deployment_runs_and_survives(cluster: Any) -> None:
    command = ["sh", "-c", "trap 'exit 0' TERM; echo hello $POD_NAME; while :; do sleep 0.1; done"]
    body = deployment(4, {"image": "busybox:1.36", "command": command})
    await cluster.until(lambda: cluster.client.create(DEPLOYMENTS, body), 30, "deployment")

    async def all_run() -> Any:
        pods = await cluster.running()
        return pods if len(pods) == 4 else None

    pods = await cluster.until(all_run, 60, "running pods")
    assert {pod["spec"]["nodeName"] for pod in pods} == {"node-1", "node-2"}
    assert len({pod["status"]["podIP"] for pod in pods}) == 4
    name = pods[0]["metadata"]["name"]
    if shutil.which("kubectl"):
        assert await cluster.kubectl("logs", name) == f"hello {name}\n"
        texts = (
            "Successfully assigned default/",
            "already present on machine",
            "Started container c",
        )

        async def described() -> bool:
            text = await cluster.kubectl("describe", "pod", name)
            return all(wanted in text for wanted in texts)

        await cluster.until(described, 20, "events")

    # One container dies: it comes back in place.
    uid = pods[0]["metadata"]["uid"]
    for file in cluster.folder.glob("node-*/running/*"):
        environment = Path(f"/proc/{file.name}/environ").read_bytes()
        if f"POD_NAME={name}".encode() in environment.split(b"\0"):
            os.kill(int(file.name), signal.SIGKILL)

    async def restarted() -> Any:
        pod = await cluster.client.get(PODS, name, "default")
        return (
            pod["metadata"]["uid"] == uid and pod["status"]["containerStatuses"][0]["restartCount"]
        )

    assert await cluster.until(restarted, 30, "restart in place") == 1

    # A node's agent is killed: its processes go with it, and it starts them again when it is back.
    before = [int(file.name) for file in cluster.folder.glob("node-1/running/*")]
    assert before
    cluster.processes["node-1"].kill()
    await cluster.processes["node-1"].wait()

    async def all_dead() -> bool:
        return not any(_alive(pid) for pid in before)

    await cluster.until(all_dead, 10, "processes of a killed agent")
    await cluster.start_agent("node-1")

    async def counted() -> bool:
        pods = [p for p in await cluster.running() if p["spec"]["nodeName"] == "node-1"]
        counts = [p["status"]["containerStatuses"][0]["restartCount"] for p in pods]
        return len(pods) == len(before) and all(counts)

    await cluster.until(counted, 30, "started again in place")

    # Deletion ends the processes and removes the objects.
    await cluster.client.delete(DEPLOYMENTS, "d", "default", propagation_policy="Background")

    async def nothing_left() -> bool:
        left = (await cluster.client.list(PODS, "default")).items
        return not left and not list(cluster.folder.glob("node-*/running/*"))

    await cluster.until(nothing_left, 60, "everything removed")


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
