"""A member as a process with each of its gRPC engines: etcdctl, and with our own HTTP/2 pages on the same port."""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.e2e


class Member:
    """One process, and etcdctl and curl to ask it."""

    def __init__(self, folder: Path, client: int, peer: int, engine: str) -> None:
        self.url = f"http://127.0.0.1:{client}"
        peer_url = f"http://127.0.0.1:{peer}"
        self.log = folder / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    sys.executable, "-m", "kvstore", "--name=a", "--data-dir", str(folder / "data"),
                    f"--listen-client-urls={self.url}", f"--advertise-client-urls={self.url}",
                    f"--listen-peer-urls={peer_url}", f"--initial-advertise-peer-urls={peer_url}",
                    f"--initial-cluster=a={peer_url}", f"--experimental-grpc-engine={engine}",
                ],
                stdout=log, stderr=log,
            )  # fmt: skip

    def ctl(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["etcdctl", "--endpoints", self.url, *words],
            capture_output=True, text=True, timeout=30, check=False,
            env={"ETCDCTL_API": "3", "PATH": os.environ["PATH"]},
        )  # fmt: skip

    def wait(self) -> None:
        deadline = time.monotonic() + 60
        while self.ctl("--command-timeout=1s", "get", "ready").returncode != 0:
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.1)


@pytest.fixture
def start(
    tmp_path: Path, port: Callable[[], int], program: Callable[[str], str]
) -> Iterator[Callable[[str], Member]]:
    program("etcdctl")
    made: list[Member] = []

    def make(engine: str) -> Member:
        made.append(Member(tmp_path, port(), port(), engine))
        made[-1].wait()
        return made[-1]

    yield make
    for member in made:
        member.process.kill()
        member.process.wait()


@pytest.mark.parametrize("engine", ["http2", "grpcio"])
def test_etcdctl_and_a_quick_end(start: Any, engine: str) -> None:
    member = start(engine)
    watch = subprocess.Popen(
        ["etcdctl", "--endpoints", member.url, "watch", "k", "--rev=1"],
        stdout=subprocess.PIPE, text=True, env={"ETCDCTL_API": "3", "PATH": os.environ["PATH"]},
    )  # fmt: skip
    try:
        value = "v" * 100_000
        assert member.ctl("put", "k", value).stdout == "OK\n"
        assert member.ctl("get", "k", "--print-value-only").stdout == value + "\n"
        assert watch.stdout is not None
        assert [watch.stdout.readline() for _ in range(3)] == ["PUT\n", "k\n", value + "\n"]
        assert "granted with TTL(60s)" in member.ctl("lease", "grant", "60").stdout
        # An open watch does not hold up the end.
        member.process.send_signal(signal.SIGTERM)
        assert member.process.wait(10) == 0
    finally:
        watch.kill()
        watch.wait()


def test_pages_and_grpc_share_the_client_port(start: Any, program: Callable[[str], str]) -> None:
    member = start("http2")
    with urllib.request.urlopen(f"{member.url}/health", timeout=10) as answer:
        assert b'"health":"true"' in answer.read()
    curl = [
        program("curl"),
        "-s",
        "-m",
        "10",
        "-o",
        "/dev/null",
        "-w",
        "%{http_code} %{http_version}",
    ]

    def ask(*words: str) -> str:
        return subprocess.run([*curl, *words], capture_output=True, text=True, check=True).stdout

    assert ask("--http2", f"{member.url}/health") == "200 1.1"
    assert ask("--http2-prior-knowledge", f"{member.url}/health") == "405 2"
    assert ask("--http2-prior-knowledge", "-X", "POST", f"{member.url}/health") == "415 2"
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(f"{member.url}/nothing", timeout=10)
