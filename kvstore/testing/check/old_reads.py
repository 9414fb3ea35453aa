"""Reads at old and future revisions, and compaction: who may be refused, and who must be."""

from collections.abc import Iterator

from kvstore.testing.check import words
from kvstore.testing.check.facts import INFINITY, Facts
from kvstore.testing.check.violation import Violation
from kvstore.testing.history.records import Compact, Failed, Ok, Operation, Range, Txn


def check_old_reads(facts: Facts) -> list[Violation]:
    """Violations around compaction and revisions that did not exist yet."""
    return [*_future_answers(facts), *_future_refusals(facts), *_compacted(facts)]


def _future_answers(facts: Facts) -> Iterator[Violation]:
    for one in facts.operations:
        outcome, request = one.outcome, one.request
        if not isinstance(outcome, Ok) or not isinstance(request, Range):
            continue
        if request.revision > outcome.revision:
            yield Violation(
                "linearizable",
                f"{words.name(one)} was answered by a store at revision {outcome.revision}",
                (one.id,),
            )


def _future_refusals(facts: Facts) -> Iterator[Violation]:
    """Those within the history are part of its timing."""
    for one in facts.refused:
        if not isinstance(one.outcome, Failed) or one.outcome.error != "FutureRevision":
            continue
        if max(_revisions(one), default=facts.last) <= facts.start.revision:
            yield Violation(
                "linearizable",
                f"{words.name(one)} was refused as in the future, but the history begins at "
                f"revision {facts.start.revision}",
                (one.id,),
            )


def _compacted(facts: Facts) -> Iterator[Violation]:
    """Compaction only grows: what was refused once, or lies below an acknowledged one, is not answered later."""
    # What was never reached was not compacted: behind what was seen there are only writes nobody heard of, and ends.
    reached = facts.last + len(facts.maybe) + len(facts.grants)
    compactions = [
        (one.called, one.request.revision)
        for one in facts.operations
        if isinstance(one.request, Compact)
        and not isinstance(one.outcome, Failed)
        and one.request.revision <= reached
    ]
    compactions.append((-INFINITY, facts.start.compact_revision))
    floors: list[tuple[float, int, int]] = []
    """(known since, nothing below is left, operation that proves it)."""
    for one in facts.operations:
        refused = isinstance(one.outcome, Failed) and one.outcome.error == "Compacted"
        if isinstance(one.request, Compact) and (isinstance(one.outcome, Ok) or refused):
            floors.append((one.returned, one.request.revision, one.id))
        elif refused:
            wanted = _revisions(one)
            if wanted:
                floors.append((one.returned, min(wanted) + 1, one.id))
        if refused:
            lowest = min(_revisions(one), default=0)
            needed = lowest if isinstance(one.request, Compact) else lowest + 1
            if not any(called <= one.returned and to >= needed for called, to in compactions):
                yield Violation(
                    "linearizable",
                    f"{words.name(one)} was refused as compacted, but nobody had asked for a "
                    f"compaction that far",
                    (one.id,),
                )
    floors.sort()
    yield from _below(facts, floors)


def _below(facts: Facts, floors: list[tuple[float, int, int]]) -> Iterator[Violation]:
    at, floor, proof = 0, facts.start.compact_revision, 0
    for one in sorted(facts.operations, key=lambda operation: operation.called):
        while at < len(floors) and floors[at][0] < one.called:
            if floors[at][1] > floor:
                _, floor, proof = floors[at]
            at += 1
        if not isinstance(one.outcome, Ok):
            continue
        if isinstance(one.request, Range) and one.request.serializable:
            continue
        lowest = min(_revisions(one), default=INFINITY)
        if lowest < floor or (lowest == floor and isinstance(one.request, Compact)):
            yield Violation(
                "linearizable",
                f"{words.name(one)} was answered, although everything below revision {floor} "
                f"had been compacted before it began",
                (proof, one.id) if proof else (one.id,),
            )


def _revisions(operation: Operation) -> list[int]:
    """Revisions that a request names."""
    request = operation.request
    if isinstance(request, Range | Compact):
        return [request.revision] if request.revision > 0 else []
    if isinstance(request, Txn):
        if isinstance(operation.outcome, Ok):
            return []
        return [
            one.revision
            for one in request.success + request.failure
            if isinstance(one, Range) and one.revision > 0
        ]
    return []
