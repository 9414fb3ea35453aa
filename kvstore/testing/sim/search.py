"""Searches over many runs: how many seeds find a mutant, and which faults of a failing plan are needed."""

import time
from collections.abc import Sequence
from typing import TextIO

from msgspec.structs import replace

from kvstore.testing.mutants.catalog import MUTANTS
from kvstore.testing.sim.run import plan_of, run_plan
from kvstore.testing.sim.schedule import Plan
from kvstore.testing.sim.shrink import shortest_failing

_SHRINK_RUNS = 150


def search_mutants(names: Sequence[str], most_seeds: int, rounds: int, out: TextIO) -> int:
    """Try seeds on each mutant until one finds it; 1 if any was not found, or one found that other rules cover."""
    missed = []
    for name in names:
        started = time.perf_counter()
        needed = seeds_needed(name, most_seeds, rounds)
        median = sorted(needed)[len(needed) // 2] if needed else None
        if (median is None) is not bool(MUTANTS[name].covered):
            missed.append(name)
        verdict = "NOT FOUND" if median is None else f"found, median {median} seeds"
        if covered := MUTANTS[name].covered:
            verdict = f"covered: {covered}" if median is None else f"FOUND, though {covered}"
        out.write(f"{name:34} {verdict:30} {needed} {time.perf_counter() - started:.0f} s\n")
        out.flush()
    out.write(f"{len(names) - len(missed)} of {len(names)} mutants as expected\n")
    return 1 if missed else 0


def seeds_needed(name: str, most_seeds: int, rounds: int) -> list[int]:
    """How many seeds each of `rounds` searches took; searches that found nothing are left out."""
    needed: list[int] = []
    for round_ in range(rounds):
        first = 1_000_000 * (round_ + 1)
        for number in range(most_seeds):
            if run_plan(plan_of(first + number, name), name).violations:
                needed.append(number + 1)
                break
        else:
            if not needed:
                break
    return needed


def shrink(plan: Plan, property_name: str, mutant: str = "") -> list[int]:
    """Numbers of the faults of a shortest schedule that breaks the same property."""

    def fails(numbers: list[int]) -> bool:
        shorter = replace(plan, faults=tuple(plan.faults[number] for number in numbers))
        report = run_plan(shorter, mutant)
        return any(one.property == property_name for one in report.violations)

    return shortest_failing(range(len(plan.faults)), fails, most_runs=_SHRINK_RUNS)
