"""Two API servers over a real etcd, two controller managers: a deployment, and faults in both layers."""

import asyncio
import contextlib
import datetime
import os
import signal
import sys

import pytest

from controlplane.api.errors import APIError
from controlplane.api.times import parse_or_none
from controlplane.client.rest import RestClient
from controlplane.kinds.apps.deployment import DEPLOYMENTS
from controlplane.kinds.apps.replica_set import REPLICA_SETS
from controlplane.kinds.coordination.lease import LEASES
from controlplane.kinds.core.config_map import CONFIG_MAPS
from controlplane.kinds.core.event import EVENTS
from controlplane.kinds.core.namespace import NAMESPACES
from controlplane.kinds.core.pod.resource import PODS
from controlplane.local.kubeconfig import Server, write_kubeconfig
from kvstore.base.ports import free_port
from kvstore.local.certificates import CertificateAuthority

pytestmark = pytest.mark.e2e


class Cluster:
    def __init__(self, folder, etcd) -> None:
        self.folder, self.etcd = folder, etcd
        self.processes: dict[str, asyncio.subprocess.Process] = {}
        authority = CertificateAuthority(folder / "pki", datetime.datetime.now(datetime.UTC))
        self.serving = authority.identity(
            "serving", "apiserver", hosts=["127.0.0.1", "localhost"], server=True
        )
        admin = authority.identity("admin", "quorate-admin", organizations=["system:masters"])
        kcm = authority.identity("kcm", "system:kube-controller-manager")
        self.store_port, self.api_ports = free_port(), [free_port(), free_port()]
        self.urls = [f"https://127.0.0.1:{port}" for port in self.api_ports]
        servers = [Server(f"s{n}", url) for n, url in enumerate(self.urls)]
        write_kubeconfig(folder / "admin.conf", servers, "admin", admin)
        write_kubeconfig(folder / "kcm.conf", servers, "kcm", kcm)
        self.client = RestClient.from_kubeconfig(
            folder / "admin.conf", self.urls, timeout_seconds=5
        )

    async def start(self, name: str, *command: str) -> None:
        with open(self.folder / f"{name}.log", "wb") as file:
            self.processes[name] = await asyncio.create_subprocess_exec(
                *command, stdout=file, stderr=file, cwd=os.getcwd(), start_new_session=True
            )

    async def start_store(self) -> None:
        url, peer = f"http://127.0.0.1:{self.store_port}", f"http://127.0.0.1:{free_port()}"
        await self.start(
            "etcd", self.etcd, "--data-dir", str(self.folder / "data"), "--name", "m",
            "--listen-client-urls", url, "--advertise-client-urls", url,
            "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
            "--initial-cluster", f"m={peer}", "--unsafe-no-fsync",
        )  # fmt: skip

    async def start_apiserver(self, number: int) -> None:
        await self.start(
            f"api-{number}", sys.executable, "-m", "controlplane.apiserver",
            "--name", f"api-{number}", "--bind-address", "127.0.0.1",
            "--secure-port", str(self.api_ports[number]),
            "--etcd-servers", f"http://127.0.0.1:{self.store_port}",
            "--tls-cert-file", str(self.serving.cert_file),
            "--tls-private-key-file", str(self.serving.key_file),
            "--client-ca-file", str(self.serving.ca_file),
        )  # fmt: skip

    async def start_controllers(self, name: str) -> None:
        await self.start(
            name, sys.executable, "-m", "controlplane.controllers", "--name", name,
            "--kubeconfig", str(self.folder / "kcm.conf"), "--master", ",".join(self.urls),
            "--healthz-bind-address", f"127.0.0.1:{free_port()}",
            "--leader-elect-lease-duration", "4s", "--leader-elect-renew-deadline", "3s",
            "--leader-elect-retry-period", "0.5s", "--root-ca-file", str(self.serving.ca_file),
        )  # fmt: skip

    def signal(self, name: str, number: int) -> None:
        self.processes[name].send_signal(number)

    async def stop(self) -> None:
        await self.client.close()
        for process in self.processes.values():
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.send_signal(signal.SIGCONT)
                    process.kill()
        for process in self.processes.values():
            await process.wait()

    async def leader(self) -> str:
        lease = await self.client.get(LEASES, "kube-controller-manager", "kube-system")
        return str(lease["spec"].get("holderIdentity") or "")

    async def active_pods(self) -> list[str]:
        pods = (await self.client.list(PODS, "default")).items
        return [
            pod["metadata"]["name"] for pod in pods if "deletionTimestamp" not in pod["metadata"]
        ]


async def until(check, seconds: float, what: str = ""):
    """Poll until `check` is true; errors of a server that is not up yet do not count."""
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
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"{what or check.__name__}: {last!r} after {seconds} s") from None


@pytest.fixture
async def cluster(tmp_path, program):
    cluster = Cluster(tmp_path, program("etcd"))
    try:
        await cluster.start_store()
        for number in range(2):
            await cluster.start_apiserver(number)
        for name in ("kcm-a", "kcm-b"):
            await cluster.start_controllers(name)
        await until(cluster.leader, 40, "a leader")
        yield cluster
    finally:
        await cluster.stop()


def deployment(replicas=3, image="a:1"):
    return {
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "c", "image": image}]},
            },
        },
    }


async def test_controllers_work_through_faults(cluster):
    client = cluster.client
    await client.create(DEPLOYMENTS, deployment())

    async def three():
        return len(await cluster.active_pods()) == 3

    await until(three, 10)

    async def numbered():
        found = await client.get(DEPLOYMENTS, "web", "default")
        annotations = found["metadata"].get("annotations", {})
        settled = found.get("status", {}).get("observedGeneration") == 1
        return settled and annotations.get("deployment.kubernetes.io/revision") == "1"

    await until(numbered, 5)
    events = {e["reason"] for e in (await client.list(EVENTS, "default")).items}
    assert {"ScalingReplicaSet", "SuccessfulCreate"} <= events

    # Nothing more is written once all is settled.
    before = {p["metadata"]["name"]: p for p in (await client.list(PODS, "default")).items}

    async def quiet():
        version = (await client.get(DEPLOYMENTS, "web", "default"))["metadata"]["resourceVersion"]
        await asyncio.sleep(1)  # a length of quiet, not a wait for something
        after = (await client.get(DEPLOYMENTS, "web", "default"))["metadata"]["resourceVersion"]
        return after == version

    await until(quiet, 10)

    # A deleted Pod is replaced at once.
    victim = sorted(before)[0]
    await client.delete(PODS, victim, "default")

    async def replaced():
        names = await cluster.active_pods()
        return len(names) == 3 and victim not in names

    await until(replaced, 20)

    # The leader dies: the other takes over within the lease and finishes new work.
    leader = await cluster.leader()
    cluster.signal(leader, signal.SIGKILL)
    await cluster.processes[leader].wait()
    await client.patch(DEPLOYMENTS, "web", {"spec": {"replicas": 5}}, "default")

    async def five():
        return len(await cluster.active_pods()) == 5

    await until(five, 30)
    other = await cluster.leader()
    assert other not in ("", leader)
    await cluster.start_controllers(leader)

    # The API server the leader uses stops answering: it goes on with the other one.
    for number in range(2):
        cluster.signal(f"api-{number}", signal.SIGSTOP)
        await until_patched(client, {"spec": {"replicas": 3 + number}})

        async def scaled(wanted=3 + number):
            return len(await cluster.active_pods()) == wanted

        await until(scaled, 40)
        cluster.signal(f"api-{number}", signal.SIGCONT)

    # A leader told to stop hands over. That it releases its lease first is a unit test: here deadlines only bound.
    leader = await until(cluster.leader, 10)
    cluster.signal(leader, signal.SIGTERM)
    assert await cluster.processes[leader].wait() == 0
    await until(lambda: changed_leader(cluster, leader), 30, "hand-over")

    # Deletion takes everything, the namespace controller a whole namespace.
    await client.delete(DEPLOYMENTS, "web", "default", propagation_policy="Background")

    async def empty():
        return (
            not (await client.list(PODS, "default")).items
            and not (await client.list(REPLICA_SETS, "default")).items
        )

    await until(empty, 10)
    await client.create(NAMESPACES, {"metadata": {"name": "extra"}})

    async def gifts():
        found = await client.list(CONFIG_MAPS, "extra")
        return [c["metadata"]["name"] for c in found.items] == ["kube-root-ca.crt"]

    await until(gifts, 5)
    await client.delete(NAMESPACES, "extra")

    async def gone():
        names = [n["metadata"]["name"] for n in (await client.list(NAMESPACES)).items]
        return "extra" not in names

    await until(gone, 10)
    assert parse_or_none((await client.list(NAMESPACES)).items[0]["metadata"]["creationTimestamp"])


async def until_patched(client, patch) -> None:
    async def patched():
        await client.patch(DEPLOYMENTS, "web", patch, "default")
        return True

    await until(patched, 15)


async def changed_leader(cluster, old) -> bool:
    return await cluster.leader() not in ("", old)
