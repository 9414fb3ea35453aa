"""More and fewer masters than at the first start: the store's members are added and left out, its data stays."""

import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.e2e

_ROOT = Path(__file__).parents[2]


def quorate(folder, *words):
    kept = {name: text for name, text in os.environ.items() if not name.startswith("ETCDCTL_")}
    return subprocess.run(
        [sys.executable, "-m", "cli", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=240,
        env={**kept, "PYTHONPATH": str(_ROOT)},
        check=False,
    )


def up(folder, masters):
    return quorate(
        folder, *("up", "--only", "store", "--ports", "auto", "--detach", "--masters", str(masters))
    )


def wait_for(condition, what, seconds=90.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.1)


def names(folder):
    done = quorate(folder, "kv", "member", "list", "-w", "json")
    return {one["name"]: f"{one['ID']:x}" for one in json.loads(done.stdout)["members"]}


@pytest.fixture
def folder(tmp_path):
    yield tmp_path
    with contextlib.suppress(subprocess.TimeoutExpired):
        quorate(tmp_path, "down")


@pytest.mark.timeout(600)
def test_masters_come_and_go_between_starts(folder):
    first = up(folder, 1)
    assert first.returncode == 0, first.stdout + first.stderr
    assert quorate(folder, "kv", "put", "a", "1").stdout == "OK\n"
    quorate(folder, "down")
    second = up(folder, 2)
    assert second.returncode == 0, second.stdout + second.stderr
    wait_for(lambda: set(names(folder)) == {"master-1", "master-2"}, "both members")
    assert quorate(folder, "kv", "get", "a", "--print-value-only").stdout == "1\n"
    quorate(folder, "down")
    # A majority might be among those that are left out: that would be another, empty store.
    refused = up(folder, 1)
    assert refused.returncode == 1
    assert "quorate kv member remove" in refused.stdout + refused.stderr
    again = up(folder, 2)
    assert again.returncode == 0, again.stdout + again.stderr
    members = names(folder)

    def is_removed():
        # etcd's rule: not before all were connected for a while.
        done = quorate(folder, "kv", "member", "remove", members["master-2"])
        return done.returncode == 0 or "member not found" in done.stderr

    wait_for(is_removed, "the second member's removal")
    wait_for(lambda: set(names(folder)) == {"master-1"}, "one member")
    quorate(folder, "down")
    last = up(folder, 1)
    assert last.returncode == 0, last.stdout + last.stderr
    assert quorate(folder, "kv", "get", "a", "--print-value-only").stdout == "1\n"
