"""A mistake as data: what it replaces while a run lasts, and how plans are bent towards where it shows."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace

from kvstore.testing.schedule import Plan, faults_of

Patch = tuple[Any, str, Any]


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
