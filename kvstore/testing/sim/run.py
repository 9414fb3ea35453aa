"""One run of a simulation from a seed, with one known mistake in it if its name is given."""

from typing import TextIO

from kvstore.testing.check.verdict import check_all
from kvstore.testing.mutants.catalog import MUTANTS, switched_off
from kvstore.testing.sim.schedule import Plan, make_change_plan, make_plan
from kvstore.testing.sim.world import RunReport, World


def run_plan(plan: Plan, mutant: str = "", trace: TextIO | None = None) -> RunReport:
    """One run, with a guard switched off if `mutant` names one."""
    with switched_off(mutant) as options:
        write = trace.write if trace is not None else None
        world = World(plan, **{"trace": write, "check": check_all, **options})
        return world.run()


def plan_of(
    seed: int, mutant: str = "", members: int = 0, seconds: float = 0.0, *, changes: bool = False
) -> Plan:
    """The plan of a seed; that of a mutant is bent towards where it shows. With `changes` the members change."""
    chosen = {"seconds": seconds} if seconds else {}
    changes = changes or (bool(mutant) and MUTANTS[mutant].with_changes)
    make = make_change_plan if changes else make_plan
    plan = make(seed, members=members, **chosen)
    return MUTANTS[mutant].bend(plan) if mutant else plan
