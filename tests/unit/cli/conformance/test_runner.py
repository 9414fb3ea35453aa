"""The runner against a small program that answers as upstream's does."""

import asyncio
import os
import stat
import sys
from pathlib import Path

import pytest

from cli.conformance import ledger, runner
from cli.conformance.ledger import Outcome
from cli.conformance.suite import Spec
from kvstore.base.clock import SystemClock

PROGRAM = """#!{python}
import json, os, sys, time
if "--list-conformance-tests" in sys.argv:
    print("- testname: One\\n  codename: '[sig-a] one'\\n- testname: Two\\n  codename: '[sig-a] two'")
    sys.exit(0)
options = dict(a.lstrip("-").partition("=")[::2] for a in sys.argv[1:])
focus = options["ginkgo.focus"].rstrip("$").replace("\\\\", "")
if focus.endswith("hangs"):
    child = os.fork()
    open(options["kubeconfig"] + ".pids", "a").write(f"{{os.getpid()}}\\n")
    time.sleep(600)
if focus.endswith("dies"):
    print("fatal: no such flag")
    sys.exit(3)
state = "failed" if focus.endswith("bad") else "passed"
rows = [dict(LeafNodeType="It", ContainerHierarchyTexts=[], LeafNodeText=focus, State=state,
             Failure=dict(Message="why not"))]
json.dump([dict(SpecReports=rows)], open(options["ginkgo.json-report"], "w"))
"""


@pytest.fixture
def run(tmp_path: Path) -> runner.Run:
    program = tmp_path / "e2e.test"
    program.write_text(PROGRAM.format(python=sys.executable))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return runner.Run(program, tmp_path / "config", tmp_path / "logs")


async def test_the_list_of_the_program_is_read(run: runner.Run) -> None:
    assert [spec.name for spec in await runner.list_specs(run.program)] == [
        "[sig-a] one",
        "[sig-a] two",
    ]


async def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(runner.ProgramError, match="nowhere"):
        await runner.list_specs(tmp_path / "nowhere")


async def test_a_program_that_lists_nothing_is_refused() -> None:
    with pytest.raises(runner.ProgramError, match="does not list"):
        await runner.list_specs(Path("/bin/true"))


async def test_each_test_has_its_outcome(run: runner.Run) -> None:
    found: dict[str, Outcome] = {}
    specs = [Spec("[sig-a] good"), Spec("[sig-a] bad"), Spec("[sig-a] dies"), Spec("[Serial] good")]
    await runner.run_all(run, specs, SystemClock(), lambda o: found.setdefault(o.name, o))
    assert {name: o.result for name, o in found.items()} == {
        "[sig-a] good": ledger.PASSED,
        "[sig-a] bad": ledger.FAILED,
        "[sig-a] dies": ledger.FAILED,
        "[Serial] good": ledger.PASSED,
    }
    assert found["[sig-a] bad"].reason == "why not"
    assert "ended with 3 and no report: fatal: no such flag" in found["[sig-a] dies"].reason
    assert len(list(run.logs.iterdir())) == len(specs)


async def test_a_test_that_hangs_is_ended_with_its_children(
    run: runner.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "_END_SECONDS", 1.0)
    short = runner.Run(run.program, run.kubeconfig, run.logs, 1, test_seconds=1.0)
    outcome = await runner.run_one(short, Spec("[sig-a] hangs"), SystemClock())
    assert outcome.result == ledger.TIMED_OUT
    pids = [int(line) for line in Path(f"{run.kubeconfig}.pids").read_text().split()]
    assert len(pids) == 2
    async with asyncio.timeout(10):
        # An ended child may be a zombie of the init process for a moment.
        while any(_lives(pid) for pid in pids):
            await SystemClock().sleep(0.02)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_results_survive_a_torn_line(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    kept = runner.Results(path)
    kept.add(Outcome("a", ledger.FAILED, "x"))
    kept.add(Outcome("a", ledger.PASSED))
    with path.open("ab") as file:
        file.write(b'{"name":"b","res')
    again = runner.Results(path)
    again.load()
    assert again.by_name == {"a": Outcome("a", ledger.PASSED)}
