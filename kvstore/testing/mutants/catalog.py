"""Known mistakes, each a guard or rule switched off by name, to see whether the search finds what it then breaks.

Only the simulation uses them: they replace methods while a run lasts, nothing in the product asks for them. `about`
says what is switched off; rows are the numbers by which `kvstore.raft.pysync` names what of the library it mends,
numbers with # are etcd's issues. A mutant's plans are bent: faults and sizes that have to do with it come more often,
so that three searches take minutes; nothing else about a run differs.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from kvstore.testing.mutants.disk import DISK_MUTANTS
from kvstore.testing.mutants.elections import ELECTIONS_MUTANTS
from kvstore.testing.mutants.etcd import ETCD_MUTANTS
from kvstore.testing.mutants.leases import LEASES_MUTANTS
from kvstore.testing.mutants.membership import MEMBERSHIP_MUTANTS
from kvstore.testing.mutants.mutant import Mutant
from kvstore.testing.mutants.replication import REPLICATION_MUTANTS

MUTANTS: dict[str, Mutant] = (
    REPLICATION_MUTANTS
    | ELECTIONS_MUTANTS
    | MEMBERSHIP_MUTANTS
    | DISK_MUTANTS
    | LEASES_MUTANTS
    | ETCD_MUTANTS
)


@contextmanager
def switched_off(name: str) -> Iterator[dict[str, Any]]:
    """Live with a mistake; yields the world's further arguments. An empty name changes nothing."""
    with ExitStack() as undo:
        if not name:
            yield {}
            return
        mutant = MUTANTS[name]
        for target, attribute, replacement in mutant.patches():
            undo.callback(setattr, target, attribute, target.__dict__[attribute])
            setattr(target, attribute, replacement)
        yield mutant.options()
