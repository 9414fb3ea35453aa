"""`quorate chaos`: faults by a seed under checked load, then the verdict.

Without --state a cluster of store members is started for the run, on free ports and in a folder that is removed when
nothing was found. Exit codes: 0 nothing was violated; 1 something was, or the cluster could not be run; 2 wrong usage;
3 no cluster runs in --state.
"""

import asyncio
import contextlib
import random
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.chaos_attached import AttachedTarget
from cli.state import fail, layout_of
from controlplane.local.control import ControlError, NotRunning
from kvstore.base.clock import SystemClock
from kvstore.base.durations import parse_duration
from kvstore.base.log import configure
from kvstore.client.errors import ClientError
from kvstore.local.store import StoreCluster
from kvstore.local.supervisor import NotReady
from kvstore.local.topology import StoreSettings
from kvstore.testing.chaos import nemesis, traffic
from kvstore.testing.chaos.run import ChaosResult, ChaosRun, ChaosSpec
from kvstore.testing.chaos.targets import StoreTarget, Target
from kvstore.testing.check.judge import Verdict, judge
from kvstore.testing.harness.report import write_report
from kvstore.testing.history.history import History

_SNAPSHOT_COUNT = 2000
"""Low, so that a run of minutes sees snapshots taken, sent and restored."""


def chaos(
    seed: Annotated[
        int | None, typer.Option(help="What the run is made from. [default: a new one]")
    ] = None,
    duration: Annotated[str, typer.Option(help="How long faults and traffic last.")] = "60s",
    faults: Annotated[str, typer.Option(help="Kinds of faults, separated by commas.")] = ",".join(
        nemesis.KINDS
    ),
    traffic_kinds: Annotated[
        str,
        typer.Option(
            "--traffic",
            help=f"Kinds of traffic, separated by commas: {', '.join(traffic.KINDS)}. "
            "[default: all; with --state all but compaction, which is everybody's]",
        ),
    ] = "",
    members: Annotated[int, typer.Option(min=1, max=9, help="Store members to start.")] = 3,
    clients: Annotated[int, typer.Option(min=1, max=200, help="Clients beside watchers.")] = 10,
    keys: Annotated[int, typer.Option(min=2, max=1000, help="Keys a kind of traffic.")] = 6,
    think: Annotated[str, typer.Option(help="Mean pause of a client between requests.")] = "20ms",
    report: Annotated[
        Path | None, typer.Option(help="Write the timeline page here. [default: on violations]")
    ] = None,
    history: Annotated[
        Path | None, typer.Option(help="Write the history here as JSON lines.")
    ] = None,
    state: Annotated[
        Path | None, typer.Option(help="Use the cluster that runs in this state folder.")
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the folder of the started cluster.")
    ] = False,
    plan: Annotated[
        bool, typer.Option("--plan", help="Only print the schedule of faults.")
    ] = False,
) -> None:
    """Break a cluster by a seed under checked load; non-zero exit on any violation."""
    seconds, think_seconds = _seconds("--duration", duration), _seconds("--think", think)
    chosen = random.SystemRandom().randrange(1 << 31) if seed is None else seed
    if not traffic_kinds:
        # Whoever is cut off for a while needs the history that a compaction takes away.
        left_out = () if state is None else ("compaction",)
        traffic_kinds = ",".join(kind for kind in traffic.KINDS if kind not in left_out)
    spec = ChaosSpec(
        chosen,
        seconds,
        _kinds("--faults", faults, nemesis.KINDS),
        traffic.TrafficSpec(
            _kinds("--traffic", traffic_kinds, traffic.KINDS),
            clients=clients,
            keys=keys,
            pause_seconds=think_seconds,
        ),
    )
    command = _command(spec, duration, think, members, state)
    typer.echo(f"seed {chosen}")
    typer.echo(f"again: {command}")
    names = tuple(f"m{number}" for number in range(1, members + 1))
    if plan:
        _print_plan(spec, names)
        return
    configure("quorate", level="error")
    folder = Path(tempfile.mkdtemp(prefix="quorate-chaos-"))
    history_path = history or folder / "history.jsonl"
    with _removed_unless_needed(folder) as needed:
        log = History(seed=chosen, info={"command": command}, path=history_path)
        try:
            if state is not None:
                result = _loop(_attached(spec, layout_of(state), log))
            else:
                result = _loop(_own(spec, names, folder, log))
        finally:
            log.close(SystemClock().monotonic())
        verdict = judge(log, result.violations)
        _print_verdict(spec, log, result, verdict)
        if verdict.violations and report is None:
            report = folder / "report.html"
        if report is not None:
            write_report(report, log, verdict.violations, title=f"quorate chaos, seed {chosen}")
            typer.echo(f"timeline: {report}")
        if verdict.violations or keep:
            needed()
            typer.echo(f"history: {history_path}; members' data and logs: {folder}")
    raise typer.Exit(1 if verdict.violations else 0)


def _command(spec: ChaosSpec, duration: str, think: str, members: int, state: Path | None) -> str:
    where = f"--members {members}" if state is None else f"--state {state}"
    return (
        f"quorate chaos --seed {spec.seed} --duration {duration} {where} "
        f"--clients {spec.traffic.clients} --keys {spec.traffic.keys} --think {think} "
        f"--faults {','.join(spec.faults)} --traffic {','.join(spec.traffic.kinds)}"
    )


def _print_plan(spec: ChaosSpec, names: tuple[str, ...]) -> None:
    rng = random.Random(random.Random(spec.seed).getrandbits(64))
    steps = nemesis.schedule(
        rng,
        names,
        spec.duration_seconds,
        kinds=spec.faults,
        pause_seconds=spec.pause_seconds,
        longest_seconds=spec.longest_seconds,
    )
    for step in steps:
        text = nemesis.describe(step.fault)
        typer.echo(f"{step.at_seconds:8.2f} s  for {step.for_seconds:5.2f} s  {text}")


def _kinds(option: str, text: str, known: tuple[str, ...]) -> tuple[str, ...]:
    asked = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    wrong = [part for part in asked if part not in known]
    if wrong or not asked:
        fail(f"{option} {text}: expected some of {', '.join(known)}, separated by commas", 2)
    return asked


def _seconds(option: str, text: str) -> float:
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        fail(f"{option}: {error}", 2)
    if not 0 < seconds <= 86400:
        fail(f"{option} {text}: expected more than nothing and at most a day", 2)
    return seconds


@contextlib.contextmanager
def _removed_unless_needed(folder: Path) -> Any:
    """The run's folder goes when the run is over, unless it was asked to stay or an error ended it."""
    keep = False

    def needed() -> None:
        nonlocal keep
        keep = True

    try:
        yield needed
    except (NotReady, ControlError, ClientError, OSError) as error:
        code = 3 if isinstance(error, NotRunning) else 1
        fail(f"{error}" + (f"; see {folder}" if keep else ""), code)
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


def _loop(run: Any) -> ChaosResult:
    with contextlib.suppress(ImportError):
        import uvloop

        return uvloop.run(run)  # type: ignore[no-any-return]
    return asyncio.run(run)  # type: ignore[no-any-return]


async def _own(
    spec: ChaosSpec, names: tuple[str, ...], folder: Path, history: History
) -> ChaosResult:
    clock = SystemClock()
    settings = StoreSettings(snapshot_count=_SNAPSHOT_COUNT)
    cluster = StoreCluster(folder, names, clock, settings)
    try:
        await cluster.start_cluster()
        return await _run(spec, StoreTarget(cluster), history)
    finally:
        await cluster.stop_cluster()


async def _attached(spec: ChaosSpec, layout: Any, history: History) -> ChaosResult:
    return await _run(spec, await AttachedTarget.connect(layout), history, is_shared=True)


async def _run(
    spec: ChaosSpec, target: Target, history: History, *, is_shared: bool = False
) -> ChaosResult:
    clock = SystemClock()
    begun = clock.monotonic()

    def say(text: str) -> None:
        typer.echo(f"{clock.monotonic() - begun:8.2f} s  {text}")

    run = ChaosRun(spec, target, history, clock, say, is_shared)
    _on_interrupt(run.ask_stop)
    return await run.run()


def _on_interrupt(stop: Callable[[], None]) -> None:
    """The first Ctrl-C ends the traffic, and the verdict so far follows; the second ends at once."""
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    asked = False

    def interrupted() -> None:
        nonlocal asked
        if asked and task is not None:
            task.cancel()
        asked = True
        sys.stderr.write("quorate: stopping; the verdict so far follows\n")
        stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupted)


def _print_verdict(
    spec: ChaosSpec, history: History, result: ChaosResult, verdict: Verdict
) -> None:
    counts = result.counts
    typer.echo(
        f"\n{result.steps_done} faults; {len(history.operations)} operations recorded "
        f"({counts['ok']} done, {counts['failed']} refused, {counts['unknown']} unknown); "
        f"{result.watch_sessions} watch sessions"
    )
    for name, seconds in verdict.checked.items():
        typer.echo(f"checked {name:<16} {seconds:6.2f} s")
    for violation in verdict.violations:
        typer.echo(f"VIOLATION {violation}", err=True)
    if not verdict.violations:
        typer.echo(f"no violation; seed {spec.seed}")
    else:
        typer.echo(f"{len(verdict.violations)} violations; seed {spec.seed}", err=True)


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(chaos)
