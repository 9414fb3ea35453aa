"""Leases: what was answered about one that cannot have existed.

An end by expiry is possible at any time, so that a lease was not found is never wrong; that one was found may be.
"""

from collections.abc import Iterator

from kvstore.testing.check import words
from kvstore.testing.check.facts import Facts
from kvstore.testing.check.violation import Violation
from kvstore.testing.history.records import LeaseKeepAlive, LeaseRevoke, Ok, Operation


def check_leases(facts: Facts) -> list[Violation]:
    """Leases that were renewed or revoked before their grant or after their end."""
    return [*_never_granted(facts), *_used_after_revoke(facts)]


def _about(facts: Facts) -> Iterator[tuple[int, Operation]]:
    for one in facts.operations:
        if isinstance(one.request, LeaseKeepAlive | LeaseRevoke) and isinstance(one.outcome, Ok):
            yield one.request.id, one


def _never_granted(facts: Facts) -> Iterator[Violation]:
    for lease, one in _about(facts):
        if all(called > one.returned for called in facts.grants.get(lease, ())):
            yield Violation(
                "linearizable",
                f"{words.name(one)} succeeded, but nobody had asked for lease {lease:x} by then",
                (one.id,),
            )


def _used_after_revoke(facts: Facts) -> Iterator[Violation]:
    revoked: dict[int, Operation] = {}
    for lease, one in _about(facts):
        if isinstance(one.request, LeaseRevoke):
            known = revoked.get(lease)
            if known is None or one.returned < known.returned:
                revoked[lease] = one
    for lease, one in _about(facts):
        first = revoked.get(lease)
        if first is None or len(facts.grants.get(lease, ())) > 1 or one is first:
            continue
        if first.returned < one.called or isinstance(one.request, LeaseRevoke):
            yield Violation(
                "linearizable",
                f"{words.name(one)} succeeded, although {words.name(first)} had ended the lease",
                (first.id, one.id),
            )
