"""What somebody who tries `quorate up` runs into within the first hour."""

import contextlib
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kvstore.client.blocking import SyncClient

pytestmark = pytest.mark.e2e

_QUORATE = [sys.executable, "-m", "cli"]
_ROOT = Path(__file__).parents[2]


def environment(**more):
    kept = {name: text for name, text in os.environ.items() if not name.startswith("ETCDCTL_")}
    return {**kept, "PYTHONPATH": str(_ROOT), **more}


def quorate(folder, *words, code=0):
    """A command's output in that folder."""
    done = subprocess.run(
        [*_QUORATE, *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=90,
        env=environment(),
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def wait_until(condition, what, seconds=60.0):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds} s: {what}")


def is_there(pid):
    """Whether the process runs; one that ended and was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture
def folder(tmp_path):
    """A folder with a name that shells take apart, and a cluster of one member that is stopped in the end."""
    made = tmp_path / "my folder"
    made.mkdir()
    yield made
    with contextlib.suppress(OSError, ValueError):
        pid = json.loads((made / ".quorate" / "cluster.json").read_text())["pid"]
        os.kill(pid, signal.SIGCONT)
    subprocess.run(
        [*_QUORATE, "down"], cwd=made, capture_output=True, env=environment(), check=False
    )


_UP = ("up", "--only", "store", "--masters", "1", "--ports", "auto", "--detach")


@pytest.fixture
def cluster(folder):
    """What cluster.json says of it, while it runs in the background."""
    said = quorate(folder, *_UP)
    assert "Runs in the background" in said
    assert "Ctrl-C stops everything" not in said
    return json.loads((folder / ".quorate" / "cluster.json").read_text())


def test_a_program_finds_the_cluster_that_runs_here(folder, cluster, monkeypatch):
    assert stat.S_IMODE((folder / ".quorate").stat().st_mode) == 0o700
    monkeypatch.chdir(folder)
    for name in list(os.environ):
        if name.startswith("ETCDCTL_"):
            monkeypatch.delenv(name)
    with SyncClient.from_env() as client:
        client.put("a", "1")
    # And from anywhere by what `quorate env` prints, although the folder's name has a blank.
    exported = subprocess.run(
        ["sh", "-c", f'eval "$({sys.executable} -m cli env)"; cd /; env'],
        cwd=folder,
        capture_output=True,
        text=True,
        env=environment(),
        check=True,
    ).stdout
    environ = dict(line.split("=", 1) for line in exported.splitlines() if "=" in line)
    monkeypatch.chdir("/")
    with SyncClient.from_env(environ) as client:
        assert client.get("a").kvs[0].value == b"1"


def test_a_second_start_keeps_the_free_ports(folder, cluster):
    quorate(folder, "down")
    words = [word for word in _UP if word not in ("--ports", "auto")]
    quorate(folder, *words)
    again = json.loads((folder / ".quorate" / "cluster.json").read_text())
    assert again["store_endpoints"] == cluster["store_endpoints"]


def test_ctrl_z_is_ignored_and_a_frozen_supervisor_is_told(folder, cluster):
    pid = cluster["pid"]
    os.kill(pid, signal.SIGTSTP)
    assert "master-1/store" in quorate(folder, "status")
    os.kill(pid, signal.SIGSTOP)
    for words in (["status"], ["kill", "master-1"]):
        began = time.monotonic()
        assert f"kill -CONT {pid}" in quorate(folder, *words, code=1)
        assert time.monotonic() - began < 20
    assert "stopped" in quorate(folder, "down")
    wait_until(lambda: not is_there(pid), "the supervisor's end")


def test_nothing_is_left_running_when_the_state_folder_is_removed(folder, cluster):
    pids = [cluster["pid"], *(process["pid"] for process in cluster["processes"])]
    assert all(map(is_there, pids))
    shutil.rmtree(folder / ".quorate")
    wait_until(lambda: not any(map(is_there, pids)), "all processes to end")


def test_a_taken_port_is_told_in_a_few_lines(folder, cluster, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    port = int(cluster["store_endpoints"][0].rsplit(":", 1)[1])
    text = f'[[masters]]\nname = "m"\nstore_client_port = {port}\n'
    (other / "cluster.toml").write_text(text)
    said = quorate(other, "up", "--only", "store", code=1)
    assert f"port {port} on 127.0.0.1 (m: store_client_port) is in use by" in said
    assert "quorate up --ports auto --state DIR" in said
    assert max(map(len, said.splitlines())) < 300
    # The same cluster beside the first.
    quorate(other, "up", "--only", "store", "--ports", "auto", "--detach")
    quorate(other, "down")
