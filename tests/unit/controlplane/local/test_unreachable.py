"""A supervisor that cannot be asked is told apart from none: another user's, a frozen one."""

import asyncio
import json
import os
from pathlib import Path

import pytest

from controlplane.local import control
from controlplane.local.cluster import make_state_folder
from controlplane.local.control import NotRunning, NotYours, Unreachable, ask
from controlplane.local.topology import Layout
from kvstore.base import ports
from kvstore.local.supervisor import _said


async def test_nothing_runs_in_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(NotRunning, match="no cluster runs in"):
        await ask(Layout(tmp_path), "status")


async def test_another_users_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(asyncio, "open_unix_connection", refuse)
    with pytest.raises(NotYours, match="belongs to another user"):
        await ask(Layout(tmp_path), "status")


async def test_a_frozen_supervisor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cluster.json").write_text(json.dumps({"pid": os.getpid()}))
    assert control.frozen_supervisor(Layout(tmp_path)) is None
    monkeypatch.setattr(control, "frozen_supervisor", lambda _: 77)
    with pytest.raises(Unreachable, match="kill -CONT 77"):
        await ask(Layout(tmp_path), "status")


@pytest.mark.parametrize(
    ("files", "mode_before", "mode_after"),
    [
        pytest.param((), 0o755, 0o700, id="empty"),
        pytest.param(("ports.json",), 0o755, 0o700, id="ours"),
        pytest.param(("letters.txt",), 0o755, 0o755, id="somebody_elses"),
    ],
)
def test_a_state_folder_is_for_its_owner_alone(
    tmp_path: Path, files: tuple[str, ...], mode_before: int, mode_after: int
) -> None:
    folder = tmp_path / "s"
    folder.mkdir()
    folder.chmod(mode_before)
    for name in files:
        (folder / name).touch()
    make_state_folder(Layout(folder))
    assert folder.stat().st_mode & 0o777 == mode_after
    made = tmp_path / "new" / "one"
    make_state_folder(Layout(made))
    assert made.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ('{"level":"fatal","msg":"failed to start etcd","error":"no space"}', "failed to start etcd: no space"),
        ('{"event":"stopped","level":"info"}', "stopped"),
        ("Traceback: x", "Traceback: x"),
        ("[1]", "[1]"),
        ("{}", "{}"),
    ],
    ids=["of_a_member", "of_another_program", "text", "list", "empty"],
)  # fmt: skip
def test_the_last_line_of_a_log_as_a_sentence(line: str, sentence: str) -> None:
    assert _said(line) == sentence


def test_a_command_line_with_line_breaks_stays_in_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    process = tmp_path / "77"
    (process / "fd").mkdir(parents=True)
    (process / "fd" / "3").symlink_to("socket:[5]")
    (process / "cmdline").write_bytes(b"python\0-c\0import a\nimport b\n\0")
    monkeypatch.setattr(ports, "_listening_inodes", lambda _: {"socket:[5]"})
    monkeypatch.setattr(ports, "Path", lambda _: tmp_path)
    assert ports.holder(1) == "python -c import a import b (pid 77)"
