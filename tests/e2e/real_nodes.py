"""One master's programs and some kubelets as processes of their own, for tests that look at what nodes do."""

import asyncio
import contextlib
import datetime
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from controlplane.api.errors import APIError
from controlplane.client.rest import RestClient
from controlplane.kinds.core.node import NODES
from controlplane.kinds.core.pod.resource import PODS
from controlplane.kubelet.runtimes.namespaces.connection import end_node
from controlplane.local.kubeconfig import Server, write_kubeconfig
from kvstore.base.ports import free_port
from kvstore.local.certificates import CertificateAuthority

NAMES = ("node-1", "node-2")


class Cluster:
    """All programs but for a second master."""

    @staticmethod
    async def until(check: Callable[[], Awaitable[Any]], seconds: float, what: str) -> Any:
        """Wait for a check to give something true; errors of the API count as not yet."""
        return await until(check, seconds, what)

    def __init__(self, folder: Path, runtime: str = "process") -> None:
        self.runtime = runtime
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

    async def start_program(self, name: str, *command: str) -> None:
        with open(self.folder / f"{name}.log", "ab") as file:
            self.processes[name] = await asyncio.create_subprocess_exec(
                sys.executable, "-m", *command,
                stdout=file, stderr=file, cwd=os.getcwd(), start_new_session=True,
            )  # fmt: skip

    async def start_masters(self) -> None:
        peer = f"http://127.0.0.1:{free_port()}"
        await self.start_program(
            "store", "kvstore", "--name", "m", "--data-dir", str(self.folder / "data"),
            "--listen-client-urls", self.store, "--advertise-client-urls", self.store,
            "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
            "--initial-cluster", f"m={peer}",
        )  # fmt: skip
        await self.start_program(
            "api", "controlplane.apiserver", "--bind-address", "127.0.0.1",
            "--secure-port", self.url.rpartition(":")[2], "--etcd-servers", self.store,
            "--tls-cert-file", str(self.serving.cert_file),
            "--tls-private-key-file", str(self.serving.key_file),
            "--client-ca-file", str(self.serving.ca_file),
            "--kubelet-client-certificate", str(self.to_kubelets.cert_file),
            "--kubelet-client-key", str(self.to_kubelets.key_file),
            "--kubelet-certificate-authority", str(self.serving.ca_file),
        )  # fmt: skip
        await self.start_program(
            "controllers", "controlplane.controllers", "--kubeconfig", str(self.config("kcm")),
            "--root-ca-file", str(self.serving.ca_file),
        )  # fmt: skip
        await self.start_program(
            "scheduler", "controlplane.scheduler", "--kubeconfig", str(self.config("sched"))
        )

    async def start_agent(self, name: str) -> None:
        number = NAMES.index(name) + 1
        ip = f"127.232.{number}.1"
        tls = self.ca.identity(f"serve-{name}", f"system:node:{name}", hosts=[ip], server=True)
        await self.start_program(
            name, "controlplane.kubelet", "--kubeconfig", str(self.config(name)),
            "--hostname-override", name, "--root-dir", str(self.folder / name),
            "--node-ip", ip, "--port", str(free_port()), "--pod-cidr", f"127.233.{number}.0/24",
            "--tls-cert-file", str(tls.cert_file), "--tls-private-key-file", str(tls.key_file),
            "--client-ca-file", str(tls.ca_file), "--capacity", "cpu=2,memory=4Gi",
            "--container-runtime", self.runtime,
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
        for name in NAMES:
            if (self.folder / name).is_dir():
                end_node(self.folder / name)

    async def start(self) -> None:
        """A master and two nodes, ready."""
        await self.start_masters()
        for name in NAMES:
            await self.start_agent(name)

        async def nodes() -> bool:
            return len((await self.client.list(NODES)).items) == len(NAMES)

        await until(nodes, 40, "nodes")

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
