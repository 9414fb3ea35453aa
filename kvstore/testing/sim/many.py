"""Many seeds, one after the other in some processes: what they came to, how fast, and which of them failed.

Results come in the order of the seeds, so that a search that was stopped goes on where it was: it says with which
seed. A run that raises, hangs, takes all memory or ends its process is a failure of its seed, not of the search.
Processes are replaced after a few hundred runs, and nothing is kept of a run that found nothing but its sums.
"""

import contextlib
import gc
import multiprocessing
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from typing import TextIO, TypeVar

if sys.platform == "linux":
    import resource

from kvstore.testing.check.violation import Violation
from kvstore.testing.sim.run import plan_of, run_plan
from kvstore.testing.sim.schedule import Plan
from kvstore.testing.sim.world import RunReport

T = TypeVar("T")
R = TypeVar("R")

_RUNS_A_PROCESS = 200
_COLLECT_EVERY = 5
_HANGS_AFTER_SECONDS = 300
_MEMORY_BYTES = 4 << 30
"""Address space of a process; a run needs a thirtieth of it."""
PROGRESS_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Task:
    """One seed; `mutant` is switched off, and sizes that are 0 are the seed's own."""

    seed: int
    mutant: str = ""
    members: int = 0
    seconds: float = 0.0
    changes: bool = False

    def command(self) -> str:
        """What repeats it."""
        command = f"python -m kvstore.testing.sim --seed {self.seed}"
        command += f" --mutant {self.mutant}" if self.mutant else ""
        command += f" --members {self.members}" if self.members else ""
        command += " --changes" if self.changes else ""
        return command + (f" --seconds {self.seconds:g}" if self.seconds else "")


@dataclass(frozen=True, slots=True)
class Result:
    """What is left of a run when it comes back from another process."""

    task: Task
    plan: Plan | None
    violations: tuple[Violation, ...]
    trace_hash: str
    virtual_seconds: float
    cpu_seconds: float
    counts: dict[str, int]


@dataclass(slots=True)
class Totals:
    """Sums over all runs so far."""

    runs: int = 0
    virtual_seconds: float = 0.0
    cpu_seconds: float = 0.0
    counts: dict[str, int] = field(default_factory=dict)
    failed: list[Result] = field(default_factory=list)

    def add(self, result: Result) -> None:
        """One more."""
        self.runs += 1
        self.virtual_seconds += result.virtual_seconds
        self.cpu_seconds += result.cpu_seconds
        for name, count in result.counts.items():
            self.counts[name] = self.counts.get(name, 0) + count
        if result.violations:
            self.failed.append(result)

    def line(self, elapsed: float) -> str:
        """How far, how fast."""
        elapsed, cpu = max(1e-9, elapsed), max(1e-9, self.cpu_seconds)
        return (
            f"{self.runs} seeds, {len(self.failed)} with violations; "
            f"{self.virtual_seconds:.0f} virtual seconds in {elapsed:.1f} s = "
            f"{self.virtual_seconds / elapsed:.0f} a second, {self.virtual_seconds / cpu:.0f} a second "
            f"of one core; {self.runs / elapsed * 60:.0f} seeds a minute"
        )


def run_many(
    tasks: Sequence[Task], jobs: int, out: TextIO, *, verbose: bool = False, stop_after: int = 0
) -> Totals:
    """Run all tasks; failures are named as they come. Ctrl-C ends it early, with what there is."""
    totals, started = Totals(), time.perf_counter()
    tell_at = started + PROGRESS_SECONDS
    with (
        contextlib.suppress(KeyboardInterrupt),
        contextlib.closing(_results(tasks, jobs)) as results,
    ):
        for result in results:
            totals.add(result)
            if verbose:
                out.write(f"seed {result.task.seed} {result.trace_hash}\n")
            if result.violations:
                out.write(f"seed {result.task.seed} FAILED: {str(result.violations[0])[:300]}\n")
                out.flush()
                if stop_after and len(totals.failed) >= stop_after:
                    break
            now = time.perf_counter()
            if now >= tell_at:
                tell_at = now + PROGRESS_SECONDS
                out.write(f"… {totals.line(now - started)}\n")
                out.flush()
    out.write(totals.line(time.perf_counter() - started) + "\n")
    out.write("  ".join(f"{name} {count}" for name, count in totals.counts.items()) + "\n")
    if totals.runs < len(tasks):
        left = len(tasks) - totals.runs
        out.write(f"stopped; the rest: FIRST={tasks[totals.runs].seed} SEEDS={left}\n")
    out.flush()
    return totals


def _results(tasks: Sequence[Task], jobs: int) -> Generator[Result, None, None]:
    if jobs <= 1:
        _prepare()
        yield from map(run_one, tasks)
        return
    size = jobs * _RUNS_A_PROCESS
    for start in range(0, len(tasks), size):
        yield from side_by_side(run_one, tasks[start : start + size], jobs, _died)


def side_by_side(
    run: Callable[[T], R], tasks: Sequence[T], jobs: int, died: Callable[[T], R]
) -> Generator[R, None, None]:
    """`run` of each task, in their order, in `jobs` processes; `died` of one whose process does not come back from it.

    When a process dies nobody knows of which task: those that are left are run again, each in a process of its own.
    """
    done = 0
    with _pool(jobs) as pool:
        futures = [pool.submit(run, task) for task in tasks]
        try:
            for future in futures:
                yield future.result()
                done += 1
        except BrokenProcessPool:
            pass
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
    for task in tasks[done:]:
        with _pool(1) as pool:
            try:
                result = pool.submit(run, task).result()
            except BrokenProcessPool:
                result = died(task)
        yield result


def _died(task: Task) -> Result:
    found = Violation("no-internal-errors", "the process of this run died")
    return Result(task, None, (found,), "", 0.0, 0.0, {})


def _pool(jobs: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), _prepare_process)


def _prepare_process() -> None:
    """In a process for runs: a seed that needs all memory there is must not end what else runs."""
    if sys.platform == "linux":
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, hard))
    _prepare()


def _prepare() -> None:
    """What is imported stays: the collector need not look at it again."""
    warnings.filterwarnings("ignore", message="coroutine .* was never awaited")
    gc.collect()
    gc.freeze()


def run_one(task: Task) -> Result:
    """Run a task here."""
    started, plan = time.process_time(), None
    try:
        with _deadline():
            plan = plan_of(task.seed, task.mutant, task.members, task.seconds, changes=task.changes)
            return _result(task, run_plan(plan, task.mutant), started)
    except Exception:
        where = traceback.format_exc(limit=-4)
        found = (Violation("no-internal-errors", f"the simulation ended with {where}"),)
        return Result(task, plan, found, "", 0.0, time.process_time() - started, {})
    finally:
        if task.seed % _COLLECT_EVERY == 0:
            gc.collect()


def _result(task: Task, report: RunReport, started: float) -> Result:
    return Result(
        task,
        report.plan if report.violations else None,
        tuple(report.violations),
        report.trace_hash,
        report.virtual_seconds,
        time.process_time() - started,
        report.counts,
    )


@contextlib.contextmanager
def _deadline() -> Iterator[None]:
    """A run that hangs in real time ends with an error within whatever callback it is in."""

    def strike(*_: object) -> None:
        raise TimeoutError(f"a run took more than {_HANGS_AFTER_SECONDS} s of real time")

    try:
        before = signal.signal(signal.SIGALRM, strike)
    except (ValueError, AttributeError):
        # Not the main thread, or no such signal here.
        yield
        return
    signal.alarm(_HANGS_AFTER_SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
