"""Real members broken by fixed seeds under recorded traffic of every kind, and the checkers' verdict.

Each kind of fault comes at least once. Longer runs: `make chaos SEED=7 DURATION=10m`.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from cli.chaos import register
from kvstore.base.clock import SystemClock
from kvstore.local.store import StoreCluster
from kvstore.local.topology import StoreSettings
from kvstore.testing.chaos import traffic
from kvstore.testing.chaos.run import ChaosRun, ChaosSpec
from kvstore.testing.chaos.targets import StoreTarget
from kvstore.testing.check.judge import judge
from kvstore.testing.harness.report import render
from kvstore.testing.history.history import History
from kvstore.testing.history.records import FaultRecord, Ok

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]


@pytest.mark.parametrize(
    ("seed", "faults", "seconds"),
    [
        pytest.param(1, ("kill", "pause", "restart"), 6.0, id="processes"),
        pytest.param(2, ("partition", "network", "clock"), 6.0, id="links-and-clocks"),
        pytest.param(3, ("disk", "kill"), 6.0, id="disks"),
    ],
)
async def test_promises_hold(
    tmp_path: Path, seed: int, faults: tuple[str, ...], seconds: float
) -> None:
    clock = SystemClock()
    members = ("m1", "m2", "m3")
    cluster = StoreCluster(tmp_path, members, clock, StoreSettings(snapshot_count=500))
    history = History(seed=seed, path=tmp_path / "history.jsonl")
    spec = ChaosSpec(
        seed,
        seconds,
        faults,
        traffic.TrafficSpec(clients=9, pause_seconds=0.03),
        pause_seconds=0.3,
        longest_seconds=1.2,
    )
    said: list[str] = []
    try:
        await cluster.start_cluster()
        run = ChaosRun(spec, StoreTarget(cluster), history, clock, said.append)
        result = await run.run()
    finally:
        await cluster.stop_cluster()
        history.close(clock.monotonic())
    story = "\n".join([f"seed {seed}", *said])
    verdict = judge(history, result.violations)
    assert not verdict.violations, f"{[str(one) for one in verdict.violations]}\n{story}"
    seen = {node.kind for node in history.nodes if isinstance(node, FaultRecord)}
    assert seen >= set(faults), story
    done = [one for one in history.operations if isinstance(one.outcome, Ok)]
    assert len(done) > 100, story
    assert {one.kind for one in done} >= {"put", "range", "txn", "delete", "lease_grant", "lock"}
    assert len({digest.hash for digest in history.digests}) == 1
    assert len(history.digests) == len(members)
    again = History.read(tmp_path / "history.jsonl")
    assert len(again) == len(history)
    assert "no violation" in render(again, verdict.violations, title="again")


def quorate(*argv: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cli", *argv],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "TMPDIR": str(folder)},
    )


def test_the_command_prints_how_to_repeat_it_and_leaves_what_was_asked_for(tmp_path: Path) -> None:
    done = quorate(
        *("chaos", "--seed", "5", "--duration", "2s", "--faults", "kill,clock", "--clients", "4"),
        *("--report", "page.html", "--history", "history.jsonl"),
        folder=tmp_path,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    first, second, *_ = done.stdout.splitlines()
    assert first == "seed 5"
    assert second.startswith("again: quorate chaos --seed 5 --duration 2s ")
    assert "no violation" in done.stdout
    header = json.loads((tmp_path / "history.jsonl").open().readline())
    assert header["seed"] == 5
    assert "quorate chaos --seed 5" in (tmp_path / "page.html").read_text()
    assert sorted(one.name for one in tmp_path.iterdir()) == ["history.jsonl", "page.html"]


def invoke(*argv: str) -> Result:
    """The command in this process."""
    app = typer.Typer()
    register(app)
    return CliRunner().invoke(app, argv)


def test_the_same_seed_has_the_same_plan() -> None:
    plans = [
        invoke("--seed", seed, "--duration", "1m", "--plan").stdout for seed in ("5", "5", "6")
    ]
    assert len(plans[0].splitlines()) > 5
    assert plans[0] == plans[1]
    assert plans[0].splitlines()[2:] != plans[2].splitlines()[2:]


def test_ctrl_c_ends_with_the_verdict_so_far(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "cli", "chaos", "--duration", "10m", "--faults", "pause"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    for line in process.stdout:
        if "pause m" in line or "pause leader" in line:
            break
    process.send_signal(signal.SIGINT)
    rest, errors = process.communicate(timeout=100)
    assert process.returncode == 0, errors + rest
    assert "no violation" in rest
    assert "the verdict so far follows" in errors
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        (("--faults", "meteor"), 2, "expected some of kill"),
        (("--traffic", "gossip"), 2, "expected some of registers"),
        (("--duration", "soon"), 2, "--duration"),
        (("--state", "nowhere", "--duration", "1s"), 3, "no cluster runs"),
    ],
)
def test_mistakes_have_a_sentence_and_a_code(argv: tuple[str, ...], code: int, words: str) -> None:
    done = invoke(*argv)
    assert done.exit_code == code, done.output
    assert words in done.stderr
