"""Linearizability: all key-value operations look as if each happened at one moment between its call and its return.

Every acknowledged write names its revision, so their order is given, and each read names the revision it saw. What is
left to search is which of the writes with unknown outcome, and which ends of leases, took the revisions that no
acknowledged write has. The walk goes through the revisions once, applies to the model what happened, compares every
answer, and at a revision without owner tries whoever may have written it, the likeliest first; a contradiction later on
takes it back to the last choice.

Also checked: answers that are errors but facts all the same (compacted, future revision, no such key), reads at old
revisions, transactions with all they returned, keys of leases that were revoked. Not checked: how long a lease lived
(the member's clock decides, and may be wrong), and serializable reads beyond that what they show was once true.

The theory is Herlihy and Wing's; that known revisions make the check nearly linear was seen in etcd's robustness tests.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from kvstore.testing.check.facts import collect
from kvstore.testing.check.leases import check_leases
from kvstore.testing.check.old_reads import check_old_reads
from kvstore.testing.check.phantoms import check_phantoms
from kvstore.testing.check.search import Walk
from kvstore.testing.check.timing import check_timing
from kvstore.testing.check.violation import Violation
from kvstore.testing.history.history import History
from kvstore.testing.history.records import WatchEvent

_MOST = 20


def check(history: History, *, limit_steps: int = 300_000) -> list[Violation]:
    """Violations of linearizability; empty: there is an order that explains every answer.

    One of property "undecided" says that `limit_steps` tries were not enough to find an order or to exclude it.
    """
    if history.watches:
        # What watches saw leaves little to guess. Where it fits no order, the watches may be what is wrong.
        told = explain(history, with_watches=True, limit_steps=limit_steps)
        if not told.violations:
            return []
    return explain(history, limit_steps=limit_steps).violations


@dataclass(frozen=True, slots=True)
class Explanation:
    """What was found: violations, or the events of every revision in an order that explains the history."""

    violations: list[Violation]
    events: Mapping[int, tuple[WatchEvent, ...]] = field(default_factory=dict)


def explain(
    history: History, *, with_watches: bool = False, limit_steps: int = 300_000
) -> Explanation:
    """Check, and tell what was written at each revision. `with_watches`: what watches saw counts as true."""
    facts = collect(history, with_watches=with_watches)
    violations = check_timing(facts) + check_old_reads(facts) + check_leases(facts)
    violations += check_phantoms(facts)
    if violations and facts.maybe:
        return Explanation(violations[:_MOST])  # No search can end well.
    walk = Walk(facts, limit_steps)
    violations += walk.run()
    return Explanation(violations[:_MOST], walk.events())
