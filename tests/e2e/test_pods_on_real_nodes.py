"""Store, API server, controllers, scheduler and two agents as processes: pods run, log, restart and end."""

import asyncio
import contextlib
import datetime
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from controlplane.api.errors import APIError
from controlplane.client.rest import RestClient
from controlplane.kinds.apps.deployment import DEPLOYMENTS
from controlplane.kinds.core.node import NODES
from controlplane.kinds.core.pod.resource import PODS
from controlplane.local.kubeconfig import Server, write_kubeconfig
from kvstore.base.ports import free_port
from kvstore.local.certificates import CertificateAuthority

pytestmark = pytest.mark.e2e

PODS, NODES, DEPLOYMENTS = PODS, NODES, DEPLOYMENTS
NAMES = ("node-1", "node-2")


class Cluster:
    """All programs but for a second master."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: dict[str, asyncio.subprocess.Process] = {}
        authority = CertificateAuthority(folder / "pki", datetime.datetime.now(datetime.UTC))
        self.ca = authority
        self.serving = authority.identity("serving", "apiserver", hosts=["127.0.0.1"], server=True)
        self.to_kubelets = authority.identity(
            "to-kubelets", "kube-apiserver-kubelet-client", organizations=["system:masters"]
        )
        self.store = f"http://127.0.0.1:{free_port()}"
        self.url = f"https://127.0.0.1:{free_port()}"
        users = {
            "admin": ("quorate-admin", ["system:masters"]),
            "kcm": ("system:kube-controller-manager", []),
            "sched": ("system:kube-scheduler", []),
            **{name: (f"system:node:{name}", ["system:nodes"]) for name in NAMES},
        }
        for user, (common_name, organizations) in users.items():
            identity = authority.identity(user, common_name, organizations=organizations)
            write_kubeconfig(self.config(user), [Server("s", self.url)], user, identity)
        self.client = RestClient.from_kubeconfig(self.config("admin"), timeout_seconds=5)

    def config(self, user: str) -> Path:
        return self.folder / f"{user}.conf"

    async def start(self, name: str, *command: str) -> None:
        with open(self.folder / f"{name}.log", "ab") as file:
            self.processes[name] = await asyncio.create_subprocess_exec(
                sys.executable, "-m", *command,
                stdout=file, stderr=file, cwd=os.getcwd(), start_new_session=True,
            )  # fmt: skip

    async def start_masters(self) -> None:
        peer = f"http://127.0.0.1:{free_port()}"
        await self.start(
            "store", "kvstore", "--name", "m", "--data-dir", str(self.folder / "data"),
            "--listen-client-urls", self.store, "--advertise-client-urls", self.store,
            "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
            "--initial-cluster", f"m={peer}",
        )  # fmt: skip
        await self.start(
            "api", "controlplane.apiserver", "--bind-address", "127.0.0.1",
            "--secure-port", self.url.rpartition(":")[2], "--etcd-servers", self.store,
            "--tls-cert-file", str(self.serving.cert_file),
            "--tls-private-key-file", str(self.serving.key_file),
            "--client-ca-file", str(self.serving.ca_file),
            "--kubelet-client-certificate", str(self.to_kubelets.cert_file),
            "--kubelet-client-key", str(self.to_kubelets.key_file),
            "--kubelet-certificate-authority", str(self.serving.ca_file),
        )  # fmt: skip
        await self.start(
            "controllers", "controlplane.controllers", "--kubeconfig", str(self.config("kcm")),
            "--root-ca-file", str(self.serving.ca_file),
        )  # fmt: skip
        await self.start(
            "scheduler", "controlplane.scheduler", "--kubeconfig", str(self.config("sched"))
        )

    async def start_agent(self, name: str) -> None:
        number = NAMES.index(name) + 1
        ip = f"127.232.{number}.1"
        tls = self.ca.identity(f"serve-{name}", f"system:node:{name}", hosts=[ip], server=True)
        await self.start(
            name, "controlplane.kubelet", "--kubeconfig", str(self.config(name)),
            "--hostname-override", name, "--root-dir", str(self.folder / name),
            "--node-ip", ip, "--port", str(free_port()), "--pod-cidr", f"127.233.{number}.0/24",
            "--tls-cert-file", str(tls.cert_file), "--tls-private-key-file", str(tls.key_file),
            "--client-ca-file", str(tls.ca_file), "--capacity", "cpu=2,memory=4Gi",
        )  # fmt: skip

    async def stop(self) -> None:
        await self.client.close()
        for process in reversed(self.processes.values()):
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.terminate()
                try:
                    await asyncio.wait_for(process.wait(), 15)
                except TimeoutError:
                    process.kill()
                    await process.wait()

    async def kubectl(self, *words: str) -> str:
        process = await asyncio.create_subprocess_exec(
            "kubectl", "--kubeconfig", str(self.config("admin")), *words,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        output, _ = await asyncio.wait_for(process.communicate(), 60)
        return output.decode()

    async def running(self) -> list[dict[str, Any]]:
        pods = (await self.client.list(PODS, "default")).items
        ready = [
            pod
            for pod in pods
            for condition in (pod.get("status") or {}).get("conditions") or ()
            if condition["type"] == "Ready" and condition["status"] == "True"
        ]
        return [pod for pod in ready if "deletionTimestamp" not in pod["metadata"]]


async def until(check: Callable[[], Awaitable[Any]], seconds: float, what: str) -> Any:
    last: object = None
    try:
        async with asyncio.timeout(seconds):
            while True:
                try:
                    last = await check()
                    if last:
                        return last
                except APIError as error:
                    last = error
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise AssertionError(f"{what}: {last!r} after {seconds} s") from None


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    made = Cluster(tmp_path)
    try:
        await made.start_masters()
        for name in NAMES:
            await made.start_agent(name)

        async def nodes() -> bool:
            return len((await made.client.list(NODES)).items) == len(NAMES)

        await until(nodes, 60, "nodes")
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


async def test_a_deployment_runs_and_survives(cluster: Cluster) -> None:
    command = ["sh", "-c", "trap 'exit 0' TERM; echo hello $POD_NAME; while :; do sleep 0.1; done"]
    body = deployment(4, {"image": "busybox:1.36", "command": command})
    await until(lambda: cluster.client.create(DEPLOYMENTS, body), 30, "deployment")

    async def all_run() -> Any:
        pods = await cluster.running()
        return pods if len(pods) == 4 else None

    pods = await until(all_run, 60, "running pods")
    assert {pod["spec"]["nodeName"] for pod in pods} == set(NAMES)
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

        await until(described, 20, "events")

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

    assert await until(restarted, 30, "restart in place") == 1

    # A node's agent is killed: its processes go with it, and it starts them again when it is back.
    before = [int(file.name) for file in cluster.folder.glob("node-1/running/*")]
    assert before
    cluster.processes["node-1"].kill()
    await cluster.processes["node-1"].wait()

    async def all_dead() -> bool:
        return not any(_alive(pid) for pid in before)

    await until(all_dead, 10, "processes of a killed agent")
    await cluster.start_agent("node-1")

    async def counted() -> bool:
        pods = [p for p in await cluster.running() if p["spec"]["nodeName"] == "node-1"]
        counts = [p["status"]["containerStatuses"][0]["restartCount"] for p in pods]
        return len(pods) == len(before) and all(counts)

    await until(counted, 30, "started again in place")

    # Deletion ends the processes and removes the objects.
    await cluster.client.delete(DEPLOYMENTS, "d", "default", propagation_policy="Background")

    async def nothing_left() -> bool:
        left = (await cluster.client.list(PODS, "default")).items
        return not left and not list(cluster.folder.glob("node-*/running/*"))

    await until(nothing_left, 60, "everything removed")


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
