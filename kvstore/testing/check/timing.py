"""Real time: nothing sees an older store than what was answered before it began."""

from kvstore.testing.check import words
from kvstore.testing.check.facts import Facts, has_written
from kvstore.testing.check.violation import Violation
from kvstore.testing.history.records import Ok, Operation

_MOST = 20


def check_timing(facts: Facts) -> list[Violation]:
    """Violations of the order in real time, and revisions given twice."""
    violations = [
        Violation(
            "linearizable",
            f"two writes were acknowledged with revision {_revision(one)}: "
            f"{words.name(one)} and {words.name(other)}",
            (one.id, other.id),
        )
        for one, other in facts.doubles
    ]
    violations += [
        Violation(
            "linearizable",
            f"{words.name(one)} was answered at revision {revision}, but the history begins at "
            f"{facts.start.revision}",
            (one.id,),
        )
        for revision, points in facts.reads.items()
        for one in points
        if revision < facts.start.revision
    ]
    violations += [
        Violation(
            "linearizable",
            f"{words.name(one)} was acknowledged with revision {revision}, which is not new: the "
            f"history begins at {facts.start.revision}",
            (one.id,),
        )
        for revision, one in facts.writes.items()
        if revision <= facts.start.revision
    ]
    by_id = {one.id: one for one in facts.operations}
    pairs: dict[tuple[int, int], None] = {}
    for early, late, first, last in zip(
        facts.earliest, facts.latest, facts.earliest_by, facts.latest_by, strict=True
    ):
        if early > late:
            pairs.setdefault((last, first))
    for first, second in list(pairs)[:_MOST]:
        before, after = by_id.get(first), by_id.get(second)
        if after is None:
            continue
        shown = (
            f"{words.name(before)} had returned with revision {_revision(before)}"
            if before is not None
            else f"watch #{first} had shown a later revision"
        )
        violations.append(
            Violation(
                "linearizable",
                f"{words.name(after)} began after {shown}, and yet {_saw(after)}",
                (first, second),
                after.called,
            )
        )
    return violations


def _revision(operation: Operation) -> int:
    return operation.outcome.revision if isinstance(operation.outcome, Ok) else 0


def _saw(operation: Operation) -> str:
    if not isinstance(operation.outcome, Ok):
        return "was refused as in the future"
    what = "got" if has_written(operation.outcome.reply) else "saw the store at"
    return f"{what} revision {operation.outcome.revision}"
