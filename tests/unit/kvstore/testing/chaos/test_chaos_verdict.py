"""A broken promise is found, told with the seed, and ends the command with a non-zero code."""

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import cli.chaos
from cli.__main__ import command_tree
from kvstore.testing.chaos.run import ChaosResult
from kvstore.testing.check.judge import judge
from kvstore.testing.check.violation import Violation
from kvstore.testing.history.history import History
from kvstore.testing.history.records import (
    DigestRecord,
    Ok,
    Operation,
    Put,
    PutReply,
    Range,
    RangeReply,
)


def history_with_a_loss() -> History:
    history = History()
    history.append(Operation(1, "c1", Put(b"a", b"1"), 1.0, 2.0, Ok(2, PutReply())))
    history.append(Operation(2, "c2", Range(b"a"), 3.0, 4.0, Ok(2, RangeReply())))
    return history


def test_a_lost_write_is_found() -> None:
    found = judge(history_with_a_loss())
    assert {one.property for one in found.violations} >= {"linearizable"}
    assert 2 in {number for one in found.violations for number in one.operations}


def test_differing_members_are_found_and_what_was_seen_before_stays() -> None:
    history = History()
    history.append(DigestRecord(1.0, "m1", 5, 1))
    history.append(DigestRecord(1.0, "m2", 5, 2))
    before = Violation("recovers", "m3 gave no hash")
    properties = [one.property for one in judge(history, [before]).violations]
    assert properties == ["recovers", "digest"]


def test_nothing_wrong_is_nothing_found() -> None:
    verdict = judge(History())
    assert verdict.violations == []
    assert set(verdict.checked) == {"linearizable", "watch", "durable", "digest", "locks"}


def test_the_command_ends_with_one_and_leaves_page_and_history(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run(spec: Any, names: Any, folder: Any, history: History) -> ChaosResult:
        for record in history_with_a_loss().records:
            history.append(record)
        return ChaosResult([], 0, 0, {"ok": 2, "failed": 0, "unknown": 0})

    app = command_tree()
    monkeypatch.setattr(cli.chaos, "_own", run)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    done = CliRunner().invoke(app, ["chaos", "--seed", "9", "--duration", "1s"])
    assert done.exit_code == 1, done.output
    assert "seed 9" in done.stdout.splitlines()[0]
    assert "VIOLATION linearizable" in done.output
    [folder] = tmp_path.iterdir()
    assert {one.name for one in folder.iterdir()} >= {"report.html", "history.jsonl"}
    assert "violation" in (folder / "report.html").read_text()
