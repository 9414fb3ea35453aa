"""`quorate demo`: a web server of three replicas, requests to it, and the leading master killed under it.

Prints as it happens who died, who took over after how many milliseconds, which requests failed, and whether every
acknowledged write is there. Works on a running cluster and cleans up after itself.
"""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import typer

from cli.ctl import apply_one, client_of, send, wait_gone
from cli.state import StateOption, fail, layout_of, read_cluster, run
from controlplane.api.errors import APIError, NotFound
from controlplane.client.rest import RestClient, object_path
from controlplane.client.transport import Request, TransportError
from controlplane.kinds.apps.deployment import DEPLOYMENTS
from controlplane.kinds.coordination.lease import LEASES
from controlplane.kinds.core.pod.resource import PODS
from controlplane.local.control import ask
from controlplane.local.nodes import connect_to_pod
from kvstore.base.clock import Clock, SystemClock
from kvstore.base.tasks import Supervisor
from kvstore.client.client import Client, ClientTls
from kvstore.client.errors import ClientError
from kvstore.local.probe import http_get

_NAME = "quorate-demo"
_PREFIX = b"/quorate-demo/"
_PORT = 8080


def manifest(replicas: int) -> dict[str, Any]:
    """The demo's Deployment."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": _NAME},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": _NAME}},
            "template": {
                "metadata": {"labels": {"app": _NAME}},
                "spec": {
                    "terminationGracePeriodSeconds": 2,
                    "containers": [
                        {
                            "name": "web",
                            "image": "nginx",
                            "ports": [{"containerPort": _PORT}],
                            "readinessProbe": {
                                "httpGet": {"path": "/", "port": _PORT},
                                "periodSeconds": 1,
                            },
                        }
                    ],
                },
            },
        },
    }


@dataclass
class Tally:
    """What the traffic saw. Times are seconds of the demo's clock."""

    acknowledged: list[int] = field(default_factory=list)
    unknown: int = 0
    write_times: list[float] = field(default_factory=list)
    requests: int = 0
    failed: list[str] = field(default_factory=list)


class Demo:
    """One run."""

    def __init__(self, state: Path | None, clock: Clock) -> None:
        cluster = read_cluster(state)
        if not cluster["kubernetes"]:
            fail("the demo needs the whole cluster: start it without --only")
        self.layout = layout_of(state)
        self.clock = clock
        self.api: RestClient = client_of(state)
        tls = cluster["store_tls"]
        self.store = Client(
            cluster["store_endpoints"],
            tls=None
            if tls is None
            else ClientTls(
                ca_file=tls["ca_file"], cert_file=tls["cert_file"], key_file=tls["key_file"]
            ),
            timeout_seconds=2.0,
        )
        self.tally = Tally()
        self.tasks = Supervisor("demo")
        self.pods: list[tuple[str, str, str]] = []
        self.begun = clock.monotonic()

    def say(self, text: str) -> None:
        """One line with the time since the start."""
        typer.echo(f"{self.clock.monotonic() - self.begun:6.2f} s  {text}")

    async def run(self) -> bool:
        """The whole story; whether nothing was lost."""
        self.say(f"deploying {_NAME}: a web server of 3 replicas")
        await apply_one(self.api, DEPLOYMENTS, manifest(3), "default")
        self.pods = await self.wait_ready(3)
        for name, ip, _ in self.pods:
            self.say(f"  {name} serves on http://{ip}:{_PORT}")
        pids = await self.pod_ids()
        self.tasks.start(self.write(), "writes", eternal=True)
        self.tasks.start(self.request(), "requests", eternal=True)
        await self.clock.sleep(2.0)
        self.say(
            f"under traffic: {len(self.tally.acknowledged)} writes acknowledged, {self.tally.requests} requests served"
        )
        before = await self.holders()
        victim = await self.kill_leader()
        await self.scale_meanwhile()
        await self.report_takeover(victim, before)
        same = await self.pod_ids()
        kept = sum(1 for name, identity in pids.items() if same.get(name) == identity)
        self.say(f"{kept} of {len(pids)} pods that ran before run on, untouched")
        await ask(self.layout, "start", [victim])
        self.say(f"{victim} is back")
        await self.clock.sleep(1.0)
        await self.tasks.stop()
        return await self.verdict()

    async def kill_leader(self) -> str:
        """kill -9 of the leading master; say who and how long writes stood still."""
        killed_at = self.clock.monotonic()
        answer = await ask(self.layout, "kill", ["leader"])
        victim = str(answer["processes"][0]["name"]).split("/")[0]
        self.say(
            f"KILLED {victim} with kill -9: " + ", ".join(p["name"] for p in answer["processes"])
        )
        deadline = killed_at + 20
        # The gap is measured around the kill: the last acknowledgement before, the first after.
        while self.clock.monotonic() < deadline:
            times = self.tally.write_times
            if (
                times
                and times[-1] > self.clock.monotonic() - 0.1
                and self.clock.monotonic() > killed_at + 1.0
            ):
                break
            await self.clock.sleep(0.05)
        near = [t for t in self.tally.write_times if t > killed_at - 1.0]
        gap = max((later - earlier for earlier, later in itertools.pairwise(near)), default=0.0)
        leader = await self.store_leader()
        self.say(
            f"{leader} leads the store now; longest pause between two acknowledged writes {gap * 1000:.0f} ms"
        )
        return victim

    async def scale_meanwhile(self) -> None:
        """The control plane works on with two masters."""
        path = object_path(DEPLOYMENTS, "default", _NAME, "scale")
        body = json.dumps({"spec": {"replicas": 4}}).encode()
        started = self.clock.monotonic()
        await self.retry(
            Request("PATCH", path, body=body, content_type="application/merge-patch+json")
        )
        self.say("scaled to 4 replicas while the master is dead")
        self.pods = await self.wait_ready(4)
        self.say(f"the fourth pod serves after {(self.clock.monotonic() - started) * 1000:.0f} ms")

    async def report_takeover(self, victim: str, before: dict[str, str]) -> None:
        """Who holds the leases now."""
        after = await self.holders()
        for part, holder in after.items():
            was = before.get(part, "")
            if was.split("_")[0] == victim:
                self.say(f"{part}: {holder.split('_')[0]} took over from {victim}")
            else:
                self.say(f"{part}: {holder.split('_')[0]} leads, as before")

    async def verdict(self) -> bool:
        """Count what was acknowledged against what is there."""
        found = await self.store.get(_PREFIX, range_end=_PREFIX[:-1] + b"0", keys_only=True)
        there = {int(kv.key[len(_PREFIX) :]) for kv in found.kvs}
        lost = [number for number in self.tally.acknowledged if number not in there]
        self.say(
            f"writes: {len(self.tally.acknowledged)} acknowledged, {len(lost)} lost, "
            f"{self.tally.unknown} refused or unknown while nobody led"
        )
        failures = f"{len(self.tally.failed)} failed" + (
            f" ({'; '.join(sorted(set(self.tally.failed))[:3])})" if self.tally.failed else ""
        )
        self.say(f"requests to the web server: {self.tally.requests} served, {failures}")
        self.say("NOTHING WAS LOST" if not lost else f"LOST: {lost[:10]}")
        return not lost

    async def write(self) -> None:
        """Numbered keys, one after the other; an unknown outcome is not an acknowledgement."""
        number = 0
        while True:
            number += 1
            try:
                await self.store.put(_PREFIX + b"%08d" % number, b"x")
            except ClientError:
                self.tally.unknown += 1
                await self.clock.sleep(0.02)
                continue
            self.tally.acknowledged.append(number)
            self.tally.write_times.append(self.clock.monotonic())
            await self.clock.sleep(0.01)

    async def request(self) -> None:
        """GET / of each pod in turn."""
        turn = 0
        while True:
            turn += 1
            name, ip, node = self.pods[turn % len(self.pods)]
            try:
                async with asyncio.timeout(1.0):
                    way = await connect_to_pod(self.layout.state_dir, node, ip, _PORT)
                status, _ = await http_get(ip, _PORT, "/", timeout_seconds=1.0, connected=way)
                if status == 200:
                    self.tally.requests += 1
                else:
                    self.tally.failed.append(f"{name}: HTTP {status}")
            except (OSError, TimeoutError, ValueError) as error:
                self.tally.failed.append(f"{name}: {error or type(error).__name__}")
            await self.clock.sleep(0.02)

    async def wait_ready(self, count: int) -> list[tuple[str, str, str]]:
        """(name, IP, node) of the demo's ready pods, once there are `count`."""
        deadline = self.clock.monotonic() + 30
        ready: list[tuple[str, str, str]] = []
        while self.clock.monotonic() < deadline:
            try:
                pods = (await self.api.list(PODS, "default", label_selector=f"app={_NAME}")).items
            except (APIError, TransportError):
                pods = []
            ready = [
                (pod["metadata"]["name"], pod["status"]["podIP"], pod["spec"]["nodeName"])
                for pod in pods
                if any(
                    c["type"] == "Ready" and c["status"] == "True"
                    for c in pod.get("status", {}).get("conditions", ())
                )
            ]
            if len(ready) >= count:
                return ready
            await self.clock.sleep(0.05)
        fail(f"only {len(ready)} of {count} pods became ready in 30 s")

    async def pod_ids(self) -> dict[str, str]:
        """Pod name -> its container's id, which changes with every start."""
        pods = (await self.api.list(PODS, "default", label_selector=f"app={_NAME}")).items
        return {
            pod["metadata"]["name"]: pod["status"]["containerStatuses"][0].get("containerID", "")
            for pod in pods
            if pod.get("status", {}).get("containerStatuses")
        }

    async def holders(self) -> dict[str, str]:
        """Who holds the two leases, once both are held by a living instance."""
        found = {}
        for part, lease in (
            ("scheduler", "kube-scheduler"),
            ("controllers", "kube-controller-manager"),
        ):
            obj = await self.retry(Request("GET", object_path(LEASES, "kube-system", lease)))
            found[part] = str(obj["spec"].get("holderIdentity") or "nobody")
        return found

    async def store_leader(self) -> str:
        """The master whose store member leads."""
        from cli.status import gather

        members = (await gather(await ask(self.layout, "status")))["members"]
        return next((m["name"] for m in members if m.get("leads")), "nobody")

    async def retry(self, request: Request) -> dict[str, Any]:
        """A request that must succeed while masters die: again until 20 s have passed."""
        deadline = self.clock.monotonic() + 20
        while True:
            try:
                return await send(self.api, request)
            except (APIError, TransportError) as error:
                if self.clock.monotonic() > deadline:
                    fail(f"{request.method} {request.path}: {error}")
                await self.clock.sleep(0.1)

    async def clean_up(self) -> None:
        """Remove the Deployment, its pods and the keys; close connections."""
        await self.tasks.stop()
        try:
            await self.api.delete(DEPLOYMENTS, _NAME, "default", propagation_policy="Background")
            await wait_gone(self.api, DEPLOYMENTS, _NAME, "default")
        except (NotFound, APIError, TransportError):
            pass
        with suppress(ClientError):
            await self.store.delete(_PREFIX, range_end=_PREFIX[:-1] + b"0")
        await self.store.close()
        await self.api.transport.close()


@asynccontextmanager
async def _demo(state: Path | None) -> AsyncIterator[Demo]:
    made = Demo(state, SystemClock())
    try:
        yield made
    finally:
        await asyncio.shield(made.clean_up())


def demo(state: StateOption = None) -> None:
    """Kill the leading master under a web server and show that nothing is lost."""

    async def work() -> bool:
        async with _demo(state) as made:
            return await made.run()

    if not run(work()):
        raise typer.Exit(1)


def register(app: typer.Typer) -> None:
    """Add `demo` to the tool."""
    app.command()(demo)
