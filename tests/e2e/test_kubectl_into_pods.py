"""kubectl exec, attach, cp and port-forward into running pods, over each runtime."""

import asyncio
import contextlib
import os
import pty
import shutil
import subprocess
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from controlplane.api.errors import APIError
from controlplane.kinds.core.pod.resource import PODS
from controlplane.kubelet.runtimes.namespaces.trial import refusal
from kvstore.base.ports import free_port

pytestmark = pytest.mark.e2e

# What earlier kubectls need to be told of what later ones do by themselves; and what earlier ones did.
SOCKETS = {"KUBECTL_REMOTE_COMMAND_WEBSOCKETS": "true", "KUBECTL_PORT_FORWARD_WEBSOCKETS": "true"}
SPDY = dict.fromkeys(SOCKETS, "false")
SECONDS = 30.0


@pytest.fixture(params=["process", "namespaces"])
async def cluster(
    request: pytest.FixtureRequest, tmp_path: Path, real_nodes: ModuleType
) -> AsyncIterator[Any]:
    if not shutil.which("kubectl"):
        pytest.skip("kubectl is not installed")
    if request.param == "namespaces" and (why := refusal(tmp_path / "node-1")):
        pytest.skip(f"no namespaces here: {why}")
    made = real_nodes.Cluster(tmp_path, request.param)
    try:
        await made.start()
        yield made
    finally:
        await made.stop()


async def running(cluster: Any, name: str, **container: Any) -> None:
    body = {
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 1,
            "containers": [{"name": "c", **container}],
        },
    }
    await cluster.until(lambda: cluster.client.create(PODS, body), 30, "pod")

    async def ready() -> bool:
        pod = await cluster.client.get(PODS, name, "default")
        return pod["status"].get("phase") == "Running"

    await cluster.until(ready, SECONDS, "running")


async def kubectl(
    cluster: Any, *words: str, data: bytes = b"", by: Mapping[str, str] = SOCKETS
) -> tuple[int, bytes, bytes]:
    process = await asyncio.create_subprocess_exec(
        "kubectl", "--kubeconfig", str(cluster.config("admin")), *words,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, **by},
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(data), SECONDS)
    return process.returncode or 0, out, err


async def test_into_a_running_pod(cluster: Any, tmp_path: Path) -> None:
    await running(cluster, "a", image="busybox", command=["sleep", "1000"])
    code, out, err = await kubectl(cluster, "exec", "a", "--", "sh", "-c", "echo out; echo err >&2")
    assert (code, out, err) == (0, b"out\n", b"err\n")
    code, out, err = await kubectl(cluster, "exec", "a", "--", "sh", "-c", "exit 7")
    assert (code, out) == (7, b"")
    assert b"command terminated with exit code 7" in err
    code, _, err = await kubectl(cluster, "exec", "a", "--", "/no/such/program")
    assert code != 0
    assert b"/no/such/program" in err
    code, _, err = await kubectl(cluster, "exec", "a", "-c", "nosuch", "--", "true")
    assert code == 1
    assert b"container nosuch" in err

    data = os.urandom(300_000)
    for by in (SOCKETS, SPDY):
        code, out, _ = await kubectl(cluster, "exec", "-i", "a", "--", "cat", data=data, by=by)
        assert (code, out == data) == (0, True)
    words = ("exec", "a", "--", "sh", "-c", "echo out; echo err >&2; exit 7")
    code, out, err = await kubectl(cluster, *words, by=SPDY)
    assert (code, out) == (7, b"out\n")
    assert b"command terminated with exit code 7" in err
    code, _, err = await kubectl(cluster, "exec", "a", "--", "/no/such/program", by=SPDY)
    assert code != 0
    assert b"/no/such/program" in err

    with contextlib.closing(Terminal(cluster)) as terminal:
        # The size comes by a message of its own, when the command runs already.
        wait = "until stty size | grep -q 99; do sleep 0.05; done; stty size; exit 3"
        terminal.start("exec", "-it", "a", "--", "sh", "-c", wait)
        assert await terminal.ended() == 3, terminal.said
        assert b"33 99" in terminal.said

    script = "read line; echo got $line; exit 0"
    once = {"stdin": True, "stdinOnce": True}
    await running(cluster, "b", image="busybox", command=["sh", "-c", script], **once)
    code, out, _ = await kubectl(cluster, "attach", "-i", "b", data=b"hello\n")
    assert (code, out) == (0, b"got hello\n")


async def test_files_are_copied(cluster: Any, tmp_path: Path) -> None:
    await running(cluster, "a", image="busybox", command=["sleep", "1000"])
    tree = tmp_path / "tree"
    (tree / "deep").mkdir(parents=True)
    (tree / "deep" / "file").write_bytes(os.urandom(100_000))
    place = "/tmp/copied" if cluster.runtime == "namespaces" else str(tmp_path / "copied")
    code, _, err = await kubectl(cluster, "cp", str(tree), f"a:{place}")
    assert code == 0, err
    code, _, err = await kubectl(cluster, "cp", f"a:{place}", str(tmp_path / "back"))
    assert code == 0, err
    back = (tmp_path / "back" / "deep" / "file").read_bytes()
    assert back == (tree / "deep" / "file").read_bytes()


async def test_ports_are_forwarded(cluster: Any) -> None:
    port = free_port()
    # Ports are forwarded to the pod's localhost, requests are passed on to its address.
    server = (
        "import http.server as h, os, threading as t\n"
        "for ip in ('127.0.0.1', os.environ['IP']):\n"
        f"    made = h.ThreadingHTTPServer((ip, {port}), h.SimpleHTTPRequestHandler)\n"
        "    t.Thread(target=made.serve_forever).start()\n"
    )
    source = {"fieldRef": {"fieldPath": "status.podIP"}}
    env = [{"name": "IP", "valueFrom": source}]
    await running(cluster, "a", image="python", command=["python3", "-c", server], env=env)
    own = free_port()
    process = await asyncio.create_subprocess_exec(
        "kubectl", "--kubeconfig", str(cluster.config("admin")), "port-forward", "pod/a",
        f"{own}:{port}", stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env={**os.environ, **SOCKETS},
    )  # fmt: skip
    try:
        assert process.stdout is not None
        async with asyncio.timeout(SECONDS):
            assert b"Forwarding from" in await process.stdout.readline()

            async def answers() -> bytes:
                reader, writer = await asyncio.open_connection("127.0.0.1", own)
                writer.write(b"GET / HTTP/1.0\r\n\r\n")
                text = await reader.read()
                writer.close()
                return text

            while b"200 OK" not in (text := await answers()):
                await asyncio.sleep(0.1)
            assert text.startswith(b"HTTP/1.0 200 OK")
            every = await asyncio.gather(*(answers() for _ in range(20)))
            assert {part[:15] for part in every} == {b"HTTP/1.0 200 OK"}
        path = f"/api/v1/namespaces/default/pods/a:{port}/proxy"
        code, out, err = await kubectl(cluster, "get", "--raw", f"{path}/")
        assert (code, b"Directory listing for /" in out) == (0, True), err
        code, _, err = await kubectl(cluster, "get", "--raw", f"{path}/none")
        assert (code, b"File not found" in err or b"NotFound" in err) == (1, True), err
    finally:
        process.kill()
        await process.wait()


async def test_a_pod_that_is_not_there(cluster: Any) -> None:
    code, _, err = await kubectl(cluster, "exec", "none", "--", "true")
    assert code == 1
    assert b'pods "none" not found' in err
    with pytest.raises(APIError):
        await cluster.client.get(PODS, "none", "default")


class Terminal:
    """kubectl on a terminal of 99 columns and 33 rows."""

    def __init__(self, cluster: Any) -> None:
        self._cluster = cluster
        self._master, self._slave = pty.openpty()
        self.said = b""

    def start(self, *words: str) -> None:
        import fcntl
        import struct
        import termios

        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 99, 0, 0))
        self._process = subprocess.Popen(
            ["kubectl", "--kubeconfig", str(self._cluster.config("admin")), *words],
            stdin=self._slave, stdout=self._slave, stderr=self._slave, start_new_session=True,
            env={**os.environ, **SOCKETS},
        )  # fmt: skip
        os.close(self._slave)

    async def ended(self) -> int:
        """Read until kubectl ends; its exit code."""

        def read() -> int:
            with contextlib.suppress(OSError):
                while data := os.read(self._master, 4096):
                    self.said += data
            return self._process.wait(10)

        return await asyncio.wait_for(asyncio.to_thread(read), SECONDS)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._master)
