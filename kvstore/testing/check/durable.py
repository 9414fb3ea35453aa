"""Durability: what was acknowledged is still there at the end.

Looks at the last read of each client that covers a written key and began after the write was acknowledged. The key must
be there at the write's revision or a later one, unless somebody may have deleted it. Linearizability says the same and
more, but cannot name the loss as such; and this also holds for serializable reads of single members after all faults
have ended, where `members_agree_after` is the time from which no member may be behind.
"""

from kvstore.testing.check import words
from kvstore.testing.check.facts import INFINITY, deletes, has_written, puts
from kvstore.testing.check.violation import Violation
from kvstore.testing.history.history import History
from kvstore.testing.history.model import in_range
from kvstore.testing.history.records import (
    Failed,
    Ok,
    Operation,
    Put,
    PutReply,
    Range,
    RangeReply,
    Txn,
    TxnReply,
)

PROPERTY = "durable"
_MOST = 20


def check(history: History, *, members_agree_after: float = INFINITY) -> list[Violation]:
    """Acknowledged writes that a later read does not show."""
    operations = history.operations
    newest = _newest(operations)
    removals = [
        one
        for one in operations
        if not isinstance(one.outcome, Failed) and list(deletes(one.request))
    ]
    leased: dict[bytes, float] = {}
    for one in operations:
        if isinstance(one.outcome, Failed):
            continue
        at = one.outcome.revision if isinstance(one.outcome, Ok) else INFINITY
        for put in puts(one.request):
            if put.lease or put.ignore_lease:
                leased[put.key] = max(leased.get(put.key, 0), at)
    violations: list[Violation] = []
    for read in _reads(operations, members_agree_after):
        if len(violations) >= _MOST:
            break
        violations += _missing(read, newest, removals, leased)
    return violations[:_MOST]


def _newest(operations: list[Operation]) -> dict[bytes, list[tuple[int, Put, Operation]]]:
    """By key: its acknowledged puts (revision, put, operation), newest last."""
    found: dict[bytes, list[tuple[int, Put, Operation]]] = {}
    for one in operations:
        if isinstance(one.outcome, Ok) and has_written(one.outcome.reply):
            for put in _done(one.request, one.outcome.reply):
                found.setdefault(put.key, []).append((one.outcome.revision, put, one))
    for entries in found.values():
        entries.sort(key=lambda entry: entry[0])
    return found


def _done(request: object, reply: object) -> list[Put]:
    """The puts that were done, of the branch that ran."""
    if isinstance(request, Put) and isinstance(reply, PutReply):
        return [request]
    if isinstance(request, Txn) and isinstance(reply, TxnReply):
        branch = request.success if reply.succeeded else request.failure
        return [
            put
            for one, answer in zip(branch, reply.responses, strict=False)
            for put in _done(one, answer)
        ]
    return []


def _reads(operations: list[Operation], after: float) -> list[Operation]:
    """The last whole-range read of each client and member: they show most."""
    last: dict[tuple[str, str, bytes, bytes], Operation] = {}
    for one in operations:
        request = one.request
        if not isinstance(request, Range) or not isinstance(one.outcome, Ok):
            continue
        if request.revision or request.limit or request.count_only or _filters(request):
            continue
        if request.serializable and one.called < after:
            continue
        last[(one.client, one.member, request.key, request.range_end)] = one
    return list(last.values())


def _filters(request: Range) -> bool:
    return bool(
        request.min_mod_revision
        or request.max_mod_revision
        or request.min_create_revision
        or request.max_create_revision
    )


def _missing(
    read: Operation,
    newest: dict[bytes, list[tuple[int, Put, Operation]]],
    removals: list[Operation],
    leased: dict[bytes, float],
) -> list[Violation]:
    request, outcome = read.request, read.outcome
    if not (
        isinstance(request, Range)
        and isinstance(outcome, Ok)
        and isinstance(outcome.reply, RangeReply)
    ):
        return []
    shown = {kv.key: kv for kv in outcome.reply.kvs}
    keys = newest if request.range_end else [request.key]
    violations = []
    for key in keys:
        if not in_range(key, request.key, request.range_end):
            continue
        written = [entry for entry in newest.get(key, []) if entry[2].returned < read.called]
        if not written:
            continue
        revision, _, write = written[-1]
        kv = shown.get(key)
        if kv is not None and kv.mod_revision >= revision:
            continue
        # It, or a later put while the read was under way or of unknown outcome, may have gone with its lease.
        may_end = leased.get(key, 0) >= revision
        if kv is None and (may_end or _may_be_gone(key, revision, removals)):
            continue
        now = "is not there" if kv is None else f"is {words.found(kv)}"
        violations.append(
            Violation(
                PROPERTY,
                f"{words.name(write)} was acknowledged at revision {revision}, but in "
                f"{words.name(read)} the key {now}",
                (write.id, read.id),
                read.called,
            )
        )
    return violations


def _may_be_gone(key: bytes, revision: int, removals: list[Operation]) -> bool:
    for one in removals:
        if isinstance(one.outcome, Ok) and one.outcome.revision < revision:
            continue
        if any(in_range(key, it.key, it.range_end) for it in deletes(one.request)):
            return True
    return False
