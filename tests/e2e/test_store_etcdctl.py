"""Real members started with etcd's flags, driven by a real etcdctl, killed with -9."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(shutil.which("etcdctl") is None, reason="needs etcdctl (etcd-client)"),
]


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


class Cluster:
    def __init__(self, size: int, folder: Path) -> None:
        self.folder = folder
        ports = free_ports(size * 3)
        self.names = [f"m{n}" for n in range(size)]
        self.client = {n: f"http://127.0.0.1:{ports[3 * i]}" for i, n in enumerate(self.names)}
        self.peer = {n: f"http://127.0.0.1:{ports[3 * i + 1]}" for i, n in enumerate(self.names)}
        self.http = {n: f"http://127.0.0.1:{ports[3 * i + 2]}" for i, n in enumerate(self.names)}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def flags(self, name: str) -> list[str]:
        return [
            f"--name={name}",
            "--data-dir", str(self.folder / name),
            f"--listen-client-urls={self.client[name]}",
            f"--advertise-client-urls={self.client[name]}",
            f"--listen-peer-urls={self.peer[name]}",
            f"--initial-advertise-peer-urls={self.peer[name]}",
            "--initial-cluster=" + ",".join(f"{n}={self.peer[n]}" for n in self.names),
            f"--listen-metrics-urls={self.http[name]}",
            "--heartbeat-interval=50",
            "--election-timeout=250",
        ]  # fmt: skip

    def start(self, *names: str) -> None:
        for name in names or self.names:
            with (self.folder / f"{name}.log").open("ab") as log:
                self.processes[name] = subprocess.Popen(
                    [sys.executable, "-m", "kvstore", *self.flags(name)], stderr=log, stdout=log
                )
        for name in names or self.names:
            self.wait_for(lambda name=name: self.health(name), f"{name} healthy")

    def wait_for(self, condition, what: str, seconds: float = 60.0) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for name, process in self.processes.items():
                assert process.poll() is None, (
                    f"{name}: {(self.folder / f'{name}.log').read_text()}"
                )
            if condition():
                return
            time.sleep(0.05)
        logs = {n: (self.folder / f"{n}.log").read_text()[-2000:] for n in self.names}
        raise AssertionError(f"not within {seconds} s: {what}; logs: {logs}")

    def health(self, name: str) -> bool:
        try:
            with urllib.request.urlopen(f"{self.http[name]}/health", timeout=10) as answer:
                return json.load(answer)["health"] == "true"
        except (urllib.error.URLError, OSError):
            return False

    def kill(self, name: str) -> None:
        process = self.processes.pop(name)
        process.send_signal(signal.SIGKILL)
        process.wait()

    def stop(self) -> dict[str, int]:
        for process in self.processes.values():
            process.terminate()
        codes = {name: process.wait(10) for name, process in self.processes.items()}
        self.processes.clear()
        return codes

    def ctl(self, *words: str, on: str | None = None, stdin: str = "", ok: bool = True) -> str:
        endpoints = self.client[on] if on else ",".join(self.client[n] for n in self.processes)
        done = subprocess.run(
            ["etcdctl", "--endpoints", endpoints, *words],
            input=stdin, capture_output=True, text=True, timeout=30, check=False,
            env={"ETCDCTL_API": "3", "PATH": os.environ["PATH"]},
        )  # fmt: skip
        assert (done.returncode == 0) is ok, done.stdout + done.stderr
        return done.stdout if ok else done.stderr

    def leader(self) -> str:
        # Each member is asked alone: an answer from a server that is not ours must not count.
        for name in self.processes:
            (row,) = json.loads(self.ctl("endpoint", "status", "-w", "json", on=name))
            if row["Status"]["leader"] == row["Status"]["header"]["member_id"]:
                return name
        raise AssertionError("no leader")


@pytest.fixture
def make_cluster(tmp_path):
    made: list[Cluster] = []

    def make(size: int) -> Cluster:
        cluster = Cluster(size, tmp_path)
        made.append(cluster)
        cluster.start()
        return cluster

    yield make
    for cluster in made:
        for name in list(cluster.processes):
            cluster.kill(name)


def test_one_member_serves_etcdctl(make_cluster):
    one = make_cluster(1)
    assert one.ctl("put", "a", "1") == "OK\n"
    one.ctl("put", "a", "2")
    assert one.ctl("get", "a", "--print-value-only") == "2\n"
    assert one.ctl("get", "a", "--rev=2", "--print-value-only") == "1\n"
    txn = one.ctl("txn", stdin='val("a") = "2"\n\nput b x\n\nput b y\n\n')
    assert txn.startswith("SUCCESS")
    assert one.ctl("get", "", "--prefix", "--keys-only").split() == ["a", "b"]
    one.ctl("compact", "3")
    assert "required revision has been compacted" in one.ctl("get", "a", "--rev=2", ok=False)
    assert "future revision" in one.ctl("get", "a", "--rev=99", ok=False)
    assert "requested lease not found" in one.ctl("put", "a", "1", "--lease=77", ok=False)
    one.ctl("snapshot", "save", str(one.folder / "s.db"))
    assert one.stop() == {"m0": 0}


def test_a_second_process_on_the_same_data_or_port_is_refused(make_cluster):
    one = make_cluster(1)
    command = [sys.executable, "-m", "kvstore"]
    taken = subprocess.run([*command, *one.flags("m0")], capture_output=True, text=True, timeout=20)
    assert taken.returncode == 1
    assert f"pid {one.processes['m0'].pid}" in taken.stderr
    other = Cluster(1, one.folder)
    locked = subprocess.run(
        [*command, *other.flags("m0")], capture_output=True, text=True, timeout=20
    )
    assert locked.returncode == 1
    assert "in use by another member" in locked.stderr
    assert one.ctl("put", "still", "there") == "OK\n"


def test_acknowledged_writes_survive_kill_of_the_leader_and_of_all(make_cluster):
    three = make_cluster(3)
    assert len(three.ctl("member", "list").splitlines()) == 3
    for number in range(10):
        three.ctl("put", f"k{number}", "x", on=three.names[number % 3])
    dead = three.leader()
    three.kill(dead)
    three.wait_for(lambda: all(three.health(n) for n in three.processes), "a new leader")
    three.ctl("put", "after", "x")
    three.start(dead)
    assert three.ctl("get", "after", "--print-value-only", on=dead) == "x\n"
    for name in list(three.processes):
        three.kill(name)
    three.start()
    assert len(three.ctl("get", "", "--prefix", "--keys-only").split()) == 11


def test_lease_calls_through_a_follower_reach_the_leader_and_keys_vanish(make_cluster):
    three = make_cluster(3)
    leader = three.leader()
    follower = next(name for name in three.names if name != leader)
    lease = three.ctl("lease", "grant", "2", on=follower).split()[1]
    three.ctl("put", "leased", "x", f"--lease={lease}", on=follower)
    assert "keepalived with TTL(2)" in three.ctl(
        "lease", "keep-alive", "--once", lease, on=follower
    )
    assert "leased" in three.ctl("lease", "timetolive", "--keys", lease, on=follower)
    three.wait_for(lambda: three.ctl("get", "leased") == "", "the key is gone")


def test_without_a_quorum_writes_fail_and_health_says_so(make_cluster):
    three = make_cluster(3)
    survivor = three.names[0]
    for name in three.names[1:]:
        three.kill(name)
    assert not three.health(survivor)
    assert three.ctl("--command-timeout=2s", "put", "a", "1", on=survivor, ok=False)
    three.start(three.names[1])
    assert three.ctl("put", "a", "2") == "OK\n"
