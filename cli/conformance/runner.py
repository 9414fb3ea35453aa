"""Runs the test program, one process a test, some at a time; results are kept as they come.

A process a test, since a test that hangs can then be ended alone, and a killed run goes on where it was. Each result is
appended to a file of JSON lines.
"""

import asyncio
import contextlib
import json
import os
import signal
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import yaml

from cli.conformance import ledger, suite
from cli.conformance.ledger import Outcome
from cli.conformance.suite import Spec
from kvstore.base.clock import Clock

# How long the program has to write its report after it was asked to end.
_END_SECONDS = 15.0


class ProgramError(Exception):
    """The test program cannot be run, or does not answer as one of upstream's would."""


@dataclass(frozen=True, slots=True)
class Run:
    """What is run, against what, and within which limits."""

    program: Path
    kubeconfig: Path
    logs: Path
    at_once: int = 2
    test_seconds: float = 600.0
    extra_arguments: tuple[str, ...] = ()


async def list_specs(program: Path) -> list[Spec]:
    """The conformance tests that the program has."""
    try:
        process = await asyncio.create_subprocess_exec(
            str(program),
            "--list-conformance-tests",
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
    except OSError as error:
        raise ProgramError(f"{program} cannot be run: {error}") from error
    if process.returncode:
        raise ProgramError(
            f"{program} --list-conformance-tests ended with {process.returncode}: "
            + err.decode(errors="replace").strip()[-500:]
        )
    try:
        # A document may be preceded by lines of the program's log.
        text = out.decode(errors="replace")
        return suite.from_listing(yaml.safe_load(text[max(text.find("- testname"), 0) :]))
    except (yaml.YAMLError, ValueError) as error:
        raise ProgramError(f"{program} does not list conformance tests: {error}") from error


async def run_all(
    run: Run, specs: Sequence[Spec], clock: Clock, on_outcome: Callable[[Outcome], None]
) -> None:
    """Run `specs`, parallel ones `run.at_once` at a time, then the serial ones alone."""
    parallel = [spec for spec in specs if not spec.is_serial]
    await _run_some(run, parallel, run.at_once, clock, on_outcome)
    await _run_some(run, [spec for spec in specs if spec.is_serial], 1, clock, on_outcome)


async def _run_some(
    run: Run,
    specs: Sequence[Spec],
    at_once: int,
    clock: Clock,
    on_outcome: Callable[[Outcome], None],
) -> None:
    waiting = iter(specs)

    async def work() -> None:
        for spec in waiting:
            on_outcome(await run_one(run, spec, clock))

    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(work())


async def run_one(run: Run, spec: Spec, clock: Clock) -> Outcome:
    """Run one test to its end, or end it with all its children after the limit."""
    run.logs.mkdir(parents=True, exist_ok=True)
    log_path = run.logs / (_file_name(spec) + ".log")
    with (
        tempfile.TemporaryDirectory(prefix="quorate-conformance-") as folder,
        log_path.open("wb") as log,
    ):
        report = Path(folder) / "report.json"
        begun = clock.monotonic()
        process = await asyncio.create_subprocess_exec(
            str(run.program),
            f"--kubeconfig={run.kubeconfig}",
            f"--ginkgo.focus={spec.focus}",
            f"--ginkgo.json-report={report}",
            f"--ginkgo.timeout={int(run.test_seconds)}s",
            "--ginkgo.no-color",
            "--provider=skeleton",
            "--disable-log-dump",
            *run.extra_arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=folder,
            start_new_session=True,
        )
        is_late = False
        try:
            async with asyncio.timeout(run.test_seconds + _END_SECONDS):
                await process.wait()
        except TimeoutError:
            is_late = True
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
        seconds = clock.monotonic() - begun
        if is_late or seconds >= run.test_seconds:
            return Outcome(
                spec.name, ledger.TIMED_OUT, f"no end within {run.test_seconds:.0f} s", seconds
            )
        try:
            content = json.loads(report.read_bytes())
        except (OSError, ValueError):
            tail = log_path.read_bytes()[-300:].decode(errors="replace")
            reason = f"ended with {process.returncode} and no report: {' '.join(tail.split())}"
            return Outcome(spec.name, ledger.FAILED, reason, seconds)
        return ledger.from_report(spec, content, seconds)


def _file_name(spec: Spec) -> str:
    """A name for the test's log: its words, short enough for any file system."""
    words = "".join(c if c.isalnum() or c in "-." else "_" for c in spec.name)
    return words[:180]


class Results:
    """Outcomes by name, kept in a file of JSON lines; the last line of a name counts."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.by_name: dict[str, Outcome] = {}

    def load(self) -> None:
        """Read what earlier runs left; a torn last line is left out."""
        if not self._path.exists():
            return
        for line in self._path.read_bytes().splitlines():
            with contextlib.suppress(msgspec.MsgspecError):
                outcome = msgspec.json.decode(line, type=Outcome)
                self.by_name[outcome.name] = outcome

    def add(self, outcome: Outcome) -> None:
        """Keep one more."""
        self.by_name[outcome.name] = outcome
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("ab") as file:
            file.write(msgspec.json.encode(outcome) + b"\n")
