"""The API server as a process over a real store: TLS, watches across a lost store, kubectl, a clean end.

One server per module; each test uses names of its own.
"""

import asyncio
import datetime
import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest

from kvstore.base.ports import free_port
from kvstore.local.certificates import CertificateAuthority, Identity

pytestmark = pytest.mark.e2e

KUBECTL = shutil.which("kubectl")
ETCD = shutil.which("etcd")
PODS = "/api/v1/namespaces/default/pods"


@dataclass
class World:
    """A store and a server on this machine."""

    folder: Path
    etcd_port: int
    port: int
    admin: Identity
    store: "subprocess.Popen[bytes] | None" = None
    server: "subprocess.Popen[bytes] | None" = None
    context: ssl.SSLContext = field(init=False)
    etcd_peer_port: int = field(default_factory=free_port)

    def __post_init__(self) -> None:
        self.context = ssl.create_default_context(cafile=str(self.admin.ca_file))
        self.context.load_cert_chain(self.admin.cert_file, self.admin.key_file)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def start_store(self) -> None:
        client, peer = (
            f"http://127.0.0.1:{self.etcd_port}",
            f"http://127.0.0.1:{self.etcd_peer_port}",
        )
        flags = {
            "--data-dir": str(self.folder / "etcd"),
            "--listen-client-urls": client,
            "--advertise-client-urls": client,
            "--listen-peer-urls": peer,
            "--initial-advertise-peer-urls": peer,
            "--initial-cluster": f"default={peer}",
        }
        assert ETCD is not None
        with (self.folder / "etcd.log").open("ab") as log:
            self.store = subprocess.Popen(
                [ETCD, *(word for flag in flags.items() for word in flag)], stdout=log, stderr=log
            )

    def start_server(self) -> None:
        authority = CertificateAuthority(self.folder / "pki", datetime.datetime.now(datetime.UTC))
        served = authority.identity("apiserver", "kube-apiserver", hosts=["127.0.0.1"], server=True)
        flags = {
            "--etcd-servers": f"http://127.0.0.1:{self.etcd_port}",
            "--secure-port": str(self.port),
            "--tls-cert-file": str(served.cert_file),
            "--tls-private-key-file": str(served.key_file),
            "--client-ca-file": str(served.ca_file),
        }
        words = [word for flag in flags.items() for word in flag]
        with (self.folder / "apiserver.log").open("ab") as log:
            self.server = subprocess.Popen(
                [sys.executable, "-m", "controlplane.apiserver", *words], stdout=log, stderr=log
            )

    def wait_ready(self) -> None:
        deadline = time.monotonic() + 30
        while not self._is_ready():
            assert time.monotonic() < deadline, (self.folder / "apiserver.log").read_text()
            assert self.server is not None
            assert self.server.poll() is None, (self.folder / "apiserver.log").read_text()
            time.sleep(0.05)

    def _is_ready(self) -> bool:
        import urllib.error
        import urllib.request

        try:
            with urllib.request.urlopen(
                self.url + "/readyz", context=self.context, timeout=5
            ) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def kubectl(self, *words: str, stdin: str = "", code: int = 0) -> str:
        if KUBECTL is None:
            pytest.skip("kubectl is not installed")
        done = subprocess.run(
            [KUBECTL, "--kubeconfig", str(self.folder / "kubeconfig"), *words],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, "HOME": str(self.folder)},
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def stop(self) -> None:
        for process in (self.server, self.store):
            if process is not None:
                process.kill()
                process.wait()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    if ETCD is None:
        pytest.skip("etcd is not installed")
    folder = tmp_path_factory.mktemp("apiserver")
    authority = CertificateAuthority(folder / "pki", datetime.datetime.now(datetime.UTC))
    admin = authority.identity("admin", "quorate-admin", organizations=["system:masters"])
    made = World(folder, free_port(), free_port(), admin)
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": "q",
                "cluster": {"server": made.url, "certificate-authority": str(admin.ca_file)},
            }
        ],
        "users": [
            {
                "name": "a",
                "user": {
                    "client-certificate": str(admin.cert_file),
                    "client-key": str(admin.key_file),
                },
            }
        ],
        "contexts": [{"name": "q", "context": {"cluster": "q", "user": "a"}}],
        "current-context": "q",
    }
    (folder / "kubeconfig").write_text(json.dumps(config))
    try:
        made.start_store()
        made.start_server()
        made.wait_ready()
        yield made
    finally:
        made.stop()


@pytest.fixture
async def session(world: World) -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.TCPConnector(ssl=world.context)
    async with aiohttp.ClientSession(world.url, connector=connector) as made:
        yield made


def pod(name: str) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"containers": [{"name": "c", "image": "busybox"}]},
    }


DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: NAME}
spec:
  replicas: 2
  selector: {matchLabels: {app: NAME}}
  template:
    metadata: {labels: {app: NAME}}
    spec: {containers: [{name: c, image: "nginx:1", ports: [{containerPort: 80}]}]}
"""


async def test_without_a_certificate_only_probes_are_answered(world: World) -> None:
    context = ssl.create_default_context(cafile=str(world.admin.ca_file))
    async with aiohttp.ClientSession(
        world.url, connector=aiohttp.TCPConnector(ssl=context)
    ) as anonymous:
        async with anonymous.get("/api/v1/pods") as answer:
            assert (answer.status, (await answer.json())["reason"]) == (401, "Unauthorized")
        async with anonymous.get("/readyz") as answer:
            assert (answer.status, await answer.text()) == (200, "ok")


async def test_watch_has_no_gap_and_no_double_over_a_restarted_store(
    world: World, session: aiohttp.ClientSession
) -> None:
    async with session.get(PODS) as answer:
        version = (await answer.json())["metadata"]["resourceVersion"]
    query = f"?watch=true&resourceVersion={version}&labelSelector="
    async with asyncio.timeout(60), session.get(PODS + query) as watch:
        created = []
        for number in range(10):
            if number == 5:
                assert world.store is not None
                world.store.kill()
                world.store.wait()
                async with session.post(PODS, json=pod("never")) as answer:
                    assert answer.status in (503, 504), await answer.text()
                async with session.get("/readyz") as answer:
                    assert answer.status == 500
                world.start_store()
                world.wait_ready()
            async with session.post(PODS, json=pod(f"w{number}")) as answer:
                assert answer.status == 201, await answer.text()
                created.append(f"w{number}")
        seen, revisions = [], []
        while len(seen) < 10:
            event = json.loads(await watch.content.readline())
            assert event["type"] == "ADDED"
            seen.append(event["object"]["metadata"]["name"])
            revisions.append(int(event["object"]["metadata"]["resourceVersion"]))
    assert seen == created
    assert revisions == sorted(set(revisions))


def test_kubectl_applies_reads_and_deletes(world: World) -> None:
    text = DEPLOYMENT.replace("NAME", "kc")
    assert "created" in world.kubectl("apply", "-f", "-", stdin=text)
    assert "unchanged" in world.kubectl("apply", "-f", "-", stdin=text)
    assert "configured" in world.kubectl(
        "apply", "-f", "-", stdin=text.replace("nginx:1", "nginx:2")
    )
    assert "0/2" in world.kubectl("get", "deployments")
    assert "StrategyType:" in world.kubectl("describe", "deployment", "kc")
    assert "patched" in world.kubectl("patch", "deployment", "kc", "-p", '{"spec":{"replicas":5}}')
    assert "scaled" in world.kubectl("scale", "deployment", "kc", "--replicas=1")
    out = world.kubectl(
        "get", "deployment", "kc", "-o", "jsonpath={.spec.replicas} {.metadata.generation}"
    )
    assert out == "1 4"
    assert "deleted" in world.kubectl("delete", "deployment", "kc", "--timeout=10s")
    assert "NotFound" in world.kubectl("get", "deployment", "kc", code=1)


def test_kubectl_server_side_apply_and_its_conflict(world: World) -> None:
    text = DEPLOYMENT.replace("NAME", "ssa")
    assert "serverside-applied" in world.kubectl("apply", "--server-side", "-f", "-", stdin=text)
    world.kubectl("scale", "deployment", "ssa", "--replicas=7")
    out = world.kubectl("apply", "--server-side", "-f", "-", stdin=text, code=1)
    assert ".spec.replicas" in out
    world.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=text)
    out = world.kubectl("get", "deployment", "ssa", "-o", "jsonpath={.spec.replicas}")
    assert out == "2"


def test_kubectl_typed_commands_send_protobuf(world: World) -> None:
    world.kubectl("create", "namespace", "pb")
    world.kubectl("create", "configmap", "c", "--from-literal=a=b", "-n", "pb")
    world.kubectl("create", "secret", "generic", "s", "--from-literal=a=b", "-n", "pb")
    world.kubectl("create", "serviceaccount", "sa", "-n", "pb")
    world.kubectl("create", "deployment", "d", "--image=nginx", "--replicas=3", "-n", "pb")
    out = world.kubectl("get", "cm,secret,sa,deploy", "-n", "pb", "-o", "name")
    assert {"configmap/c", "secret/s", "serviceaccount/sa", "deployment.apps/d"} <= set(out.split())
    out = world.kubectl("get", "secret", "s", "-n", "pb", "-o", "jsonpath={.data.a}")
    assert out == "Yg=="


def test_kubectl_explains_and_validates(world: World) -> None:
    assert "containers" in world.kubectl("explain", "pod.spec.containers")
    assert "RESOURCE: spec" in world.kubectl(
        "explain", "deployment.spec", "--output=plaintext-openapiv2"
    )
    bad = DEPLOYMENT.replace("NAME", "bad").replace("replicas", "replicass")
    assert 'unknown field "spec.replicass"' in world.kubectl("apply", "-f", "-", stdin=bad, code=1)
    assert "deployments" in world.kubectl("api-resources")


def test_kubectl_waits_and_watches(world: World) -> None:
    world.kubectl("run", "ww", "--image=busybox", "--restart=Never")
    world.kubectl(
        "patch", "pod", "ww", "--subresource=status", "--type=merge",
        "-p", '{"status":{"conditions":[{"type":"Ready","status":"True"}]}}',
    )  # fmt: skip
    assert "condition met" in world.kubectl(
        "wait", "--for=condition=Ready", "pod/ww", "--timeout=10s"
    )
    assert "deleted" in world.kubectl("delete", "pod", "ww", "--timeout=10s")


async def test_events_expire_by_a_shared_lease(
    world: World, session: aiohttp.ClientSession
) -> None:
    for name in ("e1", "e2"):
        event = {
            "metadata": {"name": name},
            "involvedObject": {"kind": "Pod", "name": "p", "namespace": "default"},
            "reason": "Tested",
            "message": "m",
        }
        async with session.post("/api/v1/namespaces/default/events", json=event) as answer:
            assert answer.status == 201, await answer.text()
    from kvstore.client.client import Client

    client = Client([f"http://127.0.0.1:{world.etcd_port}"])
    try:
        found = await client.get(b"/registry/events/", range_end=b"/registry/events0")
        leases = {row.lease for row in found.kvs if row.key.endswith((b"/e1", b"/e2"))}
        assert len(leases) == 1
        info = await client.lease_time_to_live(leases.pop())
        assert 3000 < info.ttl <= 3660
    finally:
        await client.close()


async def test_sigterm_ends_watches_and_the_process_soon(
    world: World, session: aiohttp.ClientSession
) -> None:
    assert world.server is not None
    status = Path(f"/proc/{world.server.pid}/status")
    if status.exists():
        resident = next(row for row in status.read_text().splitlines() if row.startswith("VmRSS"))
        assert int(resident.split()[1]) < 150 * 1024, resident
    async with session.get(PODS + "?watch=true") as watch:
        started = time.monotonic()
        world.server.send_signal(signal.SIGTERM)
        text = await watch.content.read()
        code = await asyncio.to_thread(world.server.wait, 30)
        # Two seconds are what it takes at most; a busy machine adds to that.
        assert time.monotonic() - started < 20
    assert code == 0
    assert text.endswith(b"\n") or not text
    assert b"ERROR" not in text
    world.start_server()
    world.wait_ready()
