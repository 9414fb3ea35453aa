"""Answers that show what the write of that revision did not write: certain without any search."""

from kvstore.testing.check import words
from kvstore.testing.check.facts import Facts, puts, shown
from kvstore.testing.check.violation import Violation
from kvstore.testing.history.records import Ok

_MOST = 20


def check_phantoms(facts: Facts) -> list[Violation]:
    """Key-values that do not come from the acknowledged write of their revision."""
    violations: list[Violation] = []
    for one in facts.operations:
        if not isinstance(one.outcome, Ok):
            continue
        for kv, has_value in shown(one.request, one.outcome.reply):
            write = facts.writes.get(kv.mod_revision)
            if write is None or len(violations) >= _MOST:
                continue
            if not any(
                put.key == kv.key
                and (put.value == kv.value or put.ignore_value or not has_value)
                and (put.lease == kv.lease or put.ignore_lease)
                for put in puts(write.request)
            ):
                violations.append(
                    Violation(
                        "linearizable",
                        f"{words.name(one)} returned {words.found(kv)}, but revision "
                        f"{kv.mod_revision} is {words.name(write)}",
                        (write.id, one.id),
                    )
                )
    return violations
