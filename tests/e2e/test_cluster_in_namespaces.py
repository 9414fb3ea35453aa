"""`quorate up` with containers in namespaces: two web servers on port 80 of a node, and nothing left afterwards."""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from controlplane.api.errors import APIError
from controlplane.client.rest import RestClient
from controlplane.kinds.core.config_map import CONFIG_MAPS
from controlplane.kinds.core.endpoints import ENDPOINTS
from controlplane.kinds.core.pod.resource import PODS
from controlplane.kinds.core.service import SERVICES
from controlplane.kinds.networking.ingress import INGRESSES
from controlplane.kinds.networking.ingress_class import INGRESS_CLASSES
from controlplane.kubelet.runtimes.namespaces.trial import refusal
from controlplane.local.low_ports import first_port, port_instead

pytestmark = pytest.mark.e2e

CONFIG = """
[cluster]
name = "n"
kubernetes_port = 0
[[masters]]
name = "m"
[[nodes]]
name = "node-1"
runtime = "namespaces"
[[nodes]]
name = "node-2"
runtime = "namespaces"
"""
SECONDS = 60.0


async def quorate(folder: Path, *words: str) -> str:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "cli", *words, "--state", str(folder / "state"), cwd=os.getcwd(),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    said, _ = await asyncio.wait_for(process.communicate(), SECONDS)
    assert process.returncode == 0, said.decode()
    return said.decode()


@pytest.fixture
async def folder(tmp_path: Path) -> AsyncIterator[Path]:
    if why := refusal(tmp_path):
        pytest.skip(f"no namespaces here: {why}")
    (tmp_path / "cluster.toml").write_text(CONFIG)
    await quorate(tmp_path, "up", "--detach", "--config", str(tmp_path / "cluster.toml"))
    try:
        yield tmp_path
    finally:
        if marked(tmp_path):
            await quorate(tmp_path, "down")


def web(name: str, node: str) -> dict[str, Any]:
    probe = {"httpGet": {"path": "/", "port": 80}, "periodSeconds": 1}
    mount = {"name": "html", "mountPath": "/usr/share/nginx/html"}
    container = {"name": "web", "image": "nginx", "readinessProbe": probe, "volumeMounts": [mount]}
    container["ports"] = [{"containerPort": 80}]
    return {
        "metadata": {"name": name, "namespace": "default", "labels": {"app": "web"}},
        "spec": {
            "nodeName": node,
            "containers": [container],
            "volumes": [{"name": "html", "configMap": {"name": "page"}}],
        },
    }


def marked(folder: Path) -> list[str]:
    """Command lines of processes that have to do with this cluster's nodes."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in line:
            found.append(line)
    return found


async def self_service(client: RestClient) -> None:
    """A pod asks a Service by its name, and the API servers by theirs."""
    selector = {"selector": {"app": "web"}, "ports": [{"port": 8080, "targetPort": 80}]}
    service = {"metadata": {"name": "web", "namespace": "default"}, "spec": selector}
    await client.create(SERVICES, service)
    script = (
        "import time, ssl, urllib.request as u\n"
        "def until(get):\n"
        "    for _ in range(300):\n"
        "        try: return get()\n"
        "        except OSError as e: print(e, flush=True); time.sleep(0.1)\n"
        "assert until(lambda: u.urlopen('http://web:8080/', timeout=2).read()) == b'hi'\n"
        "away = ssl._create_unverified_context()\n"
        "url = 'https://kubernetes.default.svc.cluster.local/version'\n"
        "assert b'gitVersion' in until(lambda: u.urlopen(url, timeout=2, context=away).read())\n"
    )
    pod = {
        "metadata": {"name": "client", "namespace": "default"},
        "spec": {
            "restartPolicy": "Never",
            "containers": [{"name": "c", "image": "python", "command": ["python3", "-c", script]}],
        },
    }
    await client.create(PODS, pod)
    phase = ""
    async with asyncio.timeout(SECONDS):
        while phase not in ("Succeeded", "Failed"):
            await asyncio.sleep(0.1)
            phase = (await client.get(PODS, "client", "default"))["status"].get("phase", "")
    assert phase == "Succeeded"


async def from_the_machine(folder: Path, client: RestClient) -> None:
    """Node ports and a balancer, asked from outside of the pods' network, and what `kubectl get ep` says."""
    selector = {"type": "LoadBalancer", "selector": {"app": "web"}}
    first = port_instead(80, first_port())
    spec = {**selector, "ports": [{"port": 80}], "externalTrafficPolicy": "Local"}
    await client.create(
        SERVICES, {"metadata": {"name": "out", "namespace": "default"}, "spec": spec}
    )
    places: list[str] = []
    async with asyncio.timeout(SECONDS):
        while not places:
            await asyncio.sleep(0.1)
            found = await client.get(SERVICES, "out", "default")
            for row in found["status"].get("loadBalancer", {}).get("ingress", ()):
                places = [
                    f"{row['ip']}:{first}",
                    f"127.0.0.1:{found['spec']['ports'][0]['nodePort']}",
                ]
        for place in places:
            host, _, port = place.rpartition(":")
            said = b""
            while b"hi" not in said:
                await asyncio.sleep(0.1)
                try:
                    reader, writer = await asyncio.open_connection(host, int(port))
                    writer.write(b"GET / HTTP/1.0\r\n\r\n")
                    said = await reader.read()
                    writer.close()
                except OSError:
                    continue
    assert await quorate(folder, "service", "url", "out") == f"http://{places[0]}\n"
    masters = await client.get(ENDPOINTS, "kubernetes", "default")
    assert [row["ip"] for row in masters["subsets"][0]["addresses"]] == ["10.97.0.1"]


async def by_ingress(client: RestClient) -> None:
    """An Ingress of the class by default gets an address, and leads by host and path to pods."""
    path = {"path": "/", "pathType": "Prefix"}
    backend = {"service": {"name": "out", "port": {"number": 80}}}
    rule = {"host": "shop.example.com", "http": {"paths": [{**path, "backend": backend}]}}
    made = {"metadata": {"name": "shop", "namespace": "default"}, "spec": {"rules": [rule]}}
    async with asyncio.timeout(SECONDS):
        while (await client.list(INGRESS_CLASSES)).items == []:
            await asyncio.sleep(0.1)
        await client.create(INGRESSES, made)
        rows: list[Any] = []
        while not rows:
            await asyncio.sleep(0.1)
            found = await client.get(INGRESSES, "shop", "default")
            rows = found["status"].get("loadBalancer", {}).get("ingress", [])
        url = f"http://{rows[0]['ip']}:{port_instead(80, first_port())}/"
        answers: dict[str, tuple[int, str]] = {}
        async with aiohttp.ClientSession() as session:
            for host in ("shop.example.com", "other.example.com"):
                async with session.get(url, headers={"Host": host}) as answer:
                    answers[host] = (answer.status, await answer.text())
    assert answers["shop.example.com"] == (200, "hi")
    assert answers["other.example.com"][0] == 404


async def test_port_80_twice_on_a_node_and_across_nodes(folder: Path) -> None:
    client = RestClient.from_kubeconfig(folder / "state" / "kubeconfig")
    try:
        page = {"metadata": {"name": "page", "namespace": "default"}, "data": {"index.html": "hi"}}
        await client.create(CONFIG_MAPS, page)
        for name, node in (("a", "node-1"), ("b", "node-1"), ("c", "node-2")):
            await client.create(PODS, web(name, node))

        async def ready(name: str) -> str:
            while True:
                try:
                    status = (await client.get(PODS, name, "default")).get("status") or {}
                except APIError:
                    status = {}
                states = {c["type"]: c["status"] for c in status.get("conditions") or ()}
                if states.get("Ready") == "True":
                    return str(status["podIP"])
                await asyncio.sleep(0.1)

        async with asyncio.timeout(SECONDS):
            addresses = [await ready(name) for name in ("a", "b", "c")]
        assert len(set(addresses)) == 3
        fetch = "import sys, urllib.request as u; sys.stdout.write(u.urlopen(sys.argv[1]).read().decode())"
        enter = [sys.executable, "-m", "controlplane.kubelet.network.enter"]
        for address in addresses:
            process = await asyncio.create_subprocess_exec(
                *enter, str(folder / "state/nodes/node-2"), sys.executable, "-c", fetch,
                f"http://{address}/", stdout=subprocess.PIPE,
            )  # fmt: skip
            said, _ = await asyncio.wait_for(process.communicate(), SECONDS)
            assert said == b"hi"
        if shutil.which("nft"):
            await self_service(client)
        await from_the_machine(folder, client)
        await by_ingress(client)
    finally:
        await client.close()
    spawners = [line for line in marked(folder) if "spawner" in line]
    assert len(spawners) == 3, "two nodes and what they share"
    await quorate(folder, "kill", "node-1")
    async with asyncio.timeout(SECONDS):
        while [line for line in marked(folder) if "spawner" in line and "nodes/node-1" in line]:
            await asyncio.sleep(0.1)
    await quorate(folder, "down")
    async with asyncio.timeout(SECONDS):
        while marked(folder):
            await asyncio.sleep(0.1)
