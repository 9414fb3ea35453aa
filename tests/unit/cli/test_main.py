"""The command line's ends: versions, pipes that close, full disks, early Ctrl-C; and what needs no cluster."""

import errno
import subprocess
import sys
from collections.abc import Callable

import pytest

from cli.__main__ import guarded
from controlplane.local.settings import (
    MASTER_PORTS,
    default_text,
    read_settings,
    with_free_ports,
)


def ends(error: BaseException) -> Callable[[], int]:
    def call() -> int:
        raise error

    return call


@pytest.mark.parametrize(
    ("call", "code", "said"),
    [
        pytest.param(lambda: 3, 3, "", id="code"),
        pytest.param(ends(SystemExit(2)), 2, "", id="exit"),
        pytest.param(ends(SystemExit(None)), 0, "", id="exit_without_code"),
        pytest.param(ends(SystemExit("no")), 1, "", id="exit_with_text"),
        pytest.param(ends(KeyboardInterrupt()), 130, "", id="ctrl_c"),
    ],
)
def test_how_a_call_ends(
    call: Callable[[], int], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert guarded(call) == code
    assert capsys.readouterr().err == said


def run(script: str, shell: str = "{python} -c '{script}'") -> subprocess.CompletedProcess[str]:
    line = shell.format(python=sys.executable, script=script)
    return subprocess.run(
        ["bash", "-c", line], capture_output=True, text=True, timeout=60, check=False
    )


_LINES = """
import sys
from cli.__main__ import guarded
def call():
    for number in range(100000): print(number)
    return 0
sys.exit(guarded(call))
"""


def test_a_reader_that_has_enough_is_no_traceback() -> None:
    done = run(_LINES, "{python} -c '{script}' | head -1; exit ${{PIPESTATUS[0]}}")
    assert (done.stdout, done.stderr, done.returncode) == ("0\n", "", 1)


def test_a_full_disk_is_a_sentence() -> None:
    done = run(_LINES, "{python} -c '{script}' > /dev/full")
    assert done.stderr == "quorate: No space left on device: output\n"
    assert done.returncode == 1


def test_an_error_of_a_file_names_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("cli.__main__._forget_output", lambda: None)
    assert guarded(ends(OSError(errno.EACCES, "Permission denied", "/f"))) == 1
    assert capsys.readouterr().err == "quorate: Permission denied: /f\n"


@pytest.mark.parametrize(
    ("words", "begins"),
    [
        (["--version"], "quorate "),
        (["kv", "--help"], "NAME:\n\tquorate kv - "),
        (["kv", "put", "--help"], "NAME:\n\tput - "),
        (["config", "default"], default_text()[:40]),
    ],
    ids=["version", "kv", "kv_put", "config"],
)
def test_what_needs_no_cluster(words: list[str], begins: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cli", *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.startswith(begins)
    if words[-1] == "--help":
        assert "etcdctl " not in done.stdout
        assert "quorate kv" in done.stdout


def test_free_ports_for_everything() -> None:
    settings = with_free_ports(read_settings(None))
    assert settings.cluster.kubernetes_port == 0
    assert {getattr(one, key) for one in settings.masters for key in MASTER_PORTS} == {0}
    assert {(one.port, one.health_port) for one in settings.nodes} == {(0, 0)}
    assert [one.name for one in settings.masters] == [
        one.name for one in read_settings(None).masters
    ]
