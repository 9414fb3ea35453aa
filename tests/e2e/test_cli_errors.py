"""Wrong input: one clear sentence, a non-zero exit, nothing started."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

STORE = """
[cluster]
kubernetes_port = 0
[[masters]]
name = "a"
"""


def quorate(folder: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cli", *argv],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={key: value for key, value in os.environ.items() if key != "QUORATE_STATE"},
    )


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        (["up", "--config", "none.toml"], 2, ["none.toml", "No such file"]),
        (["up", "--nonsense"], 2, ["No such option", "--nonsense"]),
        (["up", "--only", "stores"], 2, ["--only stores", "expected some of store"]),
        (["up", "--only", "scheduler"], 2, ["stands on the store"]),
        (["status"], 3, ["no cluster runs in"]),
        (["kill", "leader"], 3, ["no cluster runs in"]),
        (["down"], 3, ["no cluster runs in"]),
        (["ctl", "get", "pods"], 3, ["no kubeconfig"]),
        (["demo"], 3, ["no cluster runs in"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_wrong_use_is_one_clear_sentence(
    tmp_path: Path, argv: list[str], code: int, words: list[str]
) -> None:
    done = quorate(tmp_path, *argv)
    assert done.returncode == code, done.stderr
    for word in words:
        assert word in done.stderr
    assert "Traceback" not in done.stderr


def test_three_mistakes_in_a_file_are_named_with_key_value_and_expectation(tmp_path: Path) -> None:
    (tmp_path / "cluster.toml").write_text(
        '[cluster]\nnane = "x"\n[store]\nsnapshot_count = "many"\n[[masters]]\nname = "a"\nstore_client_port = 99999\n'
    )
    done = quorate(tmp_path, "up")
    assert done.returncode == 2
    assert "cluster.toml: 3 mistakes" in done.stderr
    for line in (
        "cluster.nane = 'x': unknown key; expected one of",
        "store.snapshot_count = 'many': expected `int`, got `str`",
        "masters[0].store_client_port = 99999: expected `int` <= 65535",
    ):
        assert line in done.stderr
    assert not (tmp_path / ".quorate").exists()


def test_a_port_in_use_names_the_port_and_who_holds_it(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        (tmp_path / "cluster.toml").write_text(f"{STORE}store_client_port = {port}\n")
        done = quorate(tmp_path, "up", "--only", "store")
    assert done.returncode == 1
    assert f"port {port} on 127.0.0.1 (a: store_client_port) is in use" in done.stderr
    if Path("/proc/net/tcp").exists():
        assert f"(pid {os.getpid()})" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_a_signal_stops_everything(tmp_path: Path, number: signal.Signals) -> None:
    (tmp_path / "cluster.toml").write_text(STORE)
    child = subprocess.Popen(
        [sys.executable, "-m", "cli", "up", "--only", "store"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert child.stdout is not None
        for line in child.stdout:
            if "Ctrl-C stops everything" in line:
                break
        deadline = time.monotonic() + 20
        child.send_signal(number)
        rest = child.stdout.read()
        assert child.wait(20) == 0, rest
        assert time.monotonic() < deadline
        assert "stopped; the data stays in" in rest
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()
        if child.stdout is not None:
            child.stdout.close()
    left = {path.name for path in (tmp_path / ".quorate").iterdir()}
    assert not left & {"control.sock", "lock", "cluster.json"}
