"""`python -m kvstore.testing.sim`: simulate whole clusters from seeds, and find what breaks their promises.

    python -m kvstore.testing.sim --first 0 --seeds 100 --jobs 2     seeds 0 to 99, in two processes
    python -m kvstore.testing.sim --seed 7 --trace trace.txt         one seed again, every event in a file
    python -m kvstore.testing.sim --mutants                          is the search good enough to find known mistakes?

Ends with 1 if a promise was broken. All seeds are run; those that failed are listed at the end, each with the command
that repeats it, and the first of them with their schedule of faults shrunk to the shortest that still fails.
"""

import argparse
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from msgspec.structs import replace

from kvstore.testing.check.violation import Violation
from kvstore.testing.mutants.catalog import MUTANTS
from kvstore.testing.sim.many import Task, run_many
from kvstore.testing.sim.run import plan_of, run_plan
from kvstore.testing.sim.schedule import Fault, Plan
from kvstore.testing.sim.search import search_mutants, shrink

_SHRINK_FAILURES = 5
"""Of many failures so many are told at length and shrunk."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; its exit code."""
    options = _parser().parse_args(arguments)
    out = sys.stdout
    # A member that was killed leaves coroutines that never began.
    warnings.filterwarnings("ignore", message="coroutine .* was never awaited")
    if options.mutants:
        names = options.mutant or sorted(MUTANTS)
        return search_mutants(names, options.seeds, options.rounds, out)
    if options.seed is not None:
        return _one_seed(options, out)
    mutant = options.mutant[0] if options.mutant else ""
    tasks = [
        Task(seed, mutant, options.members, options.seconds, options.changes)
        for seed in range(options.first, options.first + options.seeds)
    ]
    totals = run_many(
        tasks, options.jobs, out, verbose=options.verbose, stop_after=options.stop_after
    )
    for number, result in enumerate(totals.failed):
        if number < _SHRINK_FAILURES:
            _report_failure(result.task, result.plan, result.violations, options.shrink, out)
        else:
            out.write(f"{result.task.command()}  {str(result.violations[0])[:150]}\n")
    return 1 if totals.failed else 0


def _one_seed(options: argparse.Namespace, out: TextIO) -> int:
    mutant = options.mutant[0] if options.mutant else ""
    plan = plan_of(options.seed, mutant, options.members, options.seconds, changes=options.changes)
    if options.only:
        wanted = [int(number) for number in options.only.split(",")]
        plan = replace(plan, faults=tuple(plan.faults[number] for number in wanted))
    if options.no_faults:
        plan = replace(plan, faults=())
    started = time.perf_counter()
    if options.trace:
        with Path(options.trace).open("w", encoding="utf-8") as trace:
            report = run_plan(plan, mutant, trace)
    else:
        report = run_plan(plan, mutant)
    if options.history:
        report.history.write(Path(options.history))
    elapsed = time.perf_counter() - started
    out.write(f"seed {options.seed} trace {report.trace_hash}\n")
    out.write(
        f"{report.virtual_seconds:.1f} virtual seconds in {elapsed:.2f} s: "
        + ", ".join(f"{name} {count}" for name, count in report.counts.items())
        + "\n"
    )
    if report.violations and not options.only:
        task = Task(options.seed, mutant, options.members, options.seconds, options.changes)
        _report_failure(task, plan, report.violations, options.shrink, out)
    for one in report.violations if options.only else []:
        out.write(f"  {one}\n")
    return 1 if report.violations else 0


def _report_failure(
    task: Task, plan: Plan | None, violations: Sequence[Violation], shrinks: bool, out: TextIO
) -> None:
    command = task.command()
    out.write(f"seed {task.seed} FAILED; repeat it with: {command}\n")
    for violation in violations[:5]:
        out.write(f"  {violation}\n")
    if shrinks and plan is not None:
        numbers = shrink(plan, violations[0].property, task.mutant)
        chosen = ",".join(str(number) for number in numbers)
        out.write(f"  shortest schedule, {len(numbers)} of {len(plan.faults)} faults:\n")
        for number in numbers:
            out.write(f"    {number}: {describe(plan.faults[number])}\n")
        out.write(f"  {command} {f'--only {chosen}' if numbers else '--no-faults'}\n")
    out.flush()


def describe(fault: Fault) -> str:
    """A fault in one line."""
    parts = [f"{fault.at:g} s", fault.kind, fault.who]
    parts += [f"for {fault.lasts:g} s"] if fault.lasts else []
    parts += [f"value {fault.value:g}"] if fault.value else []
    return " ".join(part for part in (*parts, fault.where) if part)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "kvstore.testing.sim", description="Simulate clusters from seeds."
    )
    parser.add_argument("--seed", type=int, help="run this seed only")
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--seeds", type=int, default=100, help="how many seeds")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--members", type=int, default=0, help="3 or 5; default: the seed chooses")
    parser.add_argument("--seconds", type=float, default=0.0, help="virtual seconds under faults")
    parser.add_argument("--changes", action="store_true", help="members are added and removed")
    parser.add_argument("--mutant", action="append", default=[], help="switch this guard off")
    parser.add_argument("--mutants", action="store_true", help="search for all mutants")
    parser.add_argument("--rounds", type=int, default=3, help="with --mutants: searches for each")
    parser.add_argument("--trace", default="", help="with --seed: write every event to this file")
    parser.add_argument("--history", default="", help="with --seed: write the history here")
    parser.add_argument("--only", default="", help="with --seed: only these faults, by number")
    parser.add_argument("--no-faults", action="store_true", help="with --seed: no faults at all")
    parser.add_argument("--no-shrink", dest="shrink", action="store_false", help="do not shrink")
    parser.add_argument("--stop-after", type=int, default=0, help="stop after so many failures")
    parser.add_argument("--verbose", action="store_true", help="print each seed's trace hash")
    return parser


if __name__ == "__main__":
    sys.exit(main())
