"""A mistake as data: what it replaces while a run lasts, and how plans are bent towards where it shows."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace

from kvstore.raft.pysync import guards
from kvstore.testing.sim.schedule import Plan, faults_of

Patch = tuple[Any, str, Any]
"""(object, attribute, replacement)"""

# How plans are bent, for many mutants.
POWER = ("power-loss", "power-loss-all", "kill", "crash-at-file-operation")
SPLITS = ("isolate", "split", "cut", "cut-one-way", "kill")
SNAPSHOTS = {"snapshot_count": 8, "segment_bytes": 1 << 11}
LEASES = {"traffic": ("lease", "put", "get")}
BUSY = {"traffic": ("put", "get", "cas"), "think_seconds": 0.05, "clients": 4}


@dataclass(frozen=True, slots=True)
class Mutant:
    """One mistake. `patches` are (object, attribute, replacement)."""

    about: str
    patches: Callable[[], Sequence[Patch]]
    kinds: tuple[str, ...] = ()
    gap: float = 1.2
    changes: dict[str, Any] = field(default_factory=dict)
    options: Callable[[], dict[str, Any]] = dict
    """More arguments of the world."""
    with_changes: bool = False
    """It shows where the members change."""
    covered: str = ""
    """Why nothing comes of it: what else holds. A search that finds something all the same contradicts that."""

    def bend(self, plan: Plan) -> Plan:
        """The plan, with more of what shows this mistake."""
        plan = replace(
            plan, **({"seconds": min(plan.seconds, 14.0), "heartbeat_seconds": 0.3} | self.changes)
        )
        if self.kinds:
            rng = random.Random(f"{plan.seed}/bent")
            faults = faults_of(rng, list(self.kinds), plan.members, self.gap, plan.seconds)
            plan = replace(plan, faults=tuple(faults))
        return plan


def always(*_: Any) -> bool:
    """Instead of a rule: yes."""
    return True


def guard(name: str, replacement: Any) -> Callable[[], Sequence[Patch]]:
    """Patches that replace one rule of `guards`."""
    return lambda: [(guards, name, replacement)]
