"""Clusters that share a host: forked from one warm parent, which outlives each of them, and is replaced if it dies."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from kvstore.testing.harness.cluster import Cluster
from kvstore.testing.harness.host import Host

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks on Linux only")


def parent_of(cluster: Cluster) -> int:
    stat = Path(f"/proc/{cluster.pid('m1')}/stat").read_text()
    return int(stat.rpartition(")")[2].split()[1])


def until_gone(pid: int) -> None:
    deadline = time.monotonic() + 60
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < deadline, f"{pid} is still there"
        time.sleep(0.02)


def test_one_warm_parent_for_all_clusters_of_a_host(tmp_path: Path) -> None:
    host = Host()

    def cluster(name: str) -> Cluster:
        return Cluster(tmp_path / name, members=1, mode="process", host=host)

    try:
        with cluster("a") as one, cluster("b") as two:
            parent = parent_of(one)
            assert parent_of(two) == parent != os.getpid()
            one.restart("m1")
            assert parent_of(one) == parent
        with cluster("c") as three:
            assert parent_of(three) == parent
            with three.client() as client:
                client.put("k", "v")
        os.kill(parent, signal.SIGKILL)
        until_gone(parent)
        with cluster("d") as four:
            parent = parent_of(four)
    finally:
        host.close()
        host.close()
    until_gone(parent)
