"""Locks: what they promise, and what they do not.

Promised: whoever gets a lock later in real time has a larger fencing token (the create revision of its key); a token is
given once; and a resource that remembers the largest token it has seen is never used out of order: `check`.

Not promised: that nobody else holds the lock while you believe you do. A lease ends by the members' clock, and a holder
that was paused, or cut off, goes on believing. `overlaps` counts how often that happened; it is what a resource without
fencing is exposed to, and no violation of the lock.
"""

import itertools

from kvstore.testing.check import words
from kvstore.testing.check.violation import Violation
from kvstore.testing.history.history import History
from kvstore.testing.history.records import (
    Failed,
    Guarded,
    Lock,
    LockReply,
    Ok,
    Operation,
    Unknown,
    Unlock,
)

PROPERTY = "locks"
_MOST = 20


def check(history: History) -> list[Violation]:
    """Tokens that went back, and accepted uses out of their order."""
    violations: list[Violation] = []
    grants: dict[bytes, list[tuple[int, Operation]]] = {}
    uses: dict[bytes, list[tuple[int, Operation]]] = {}
    for one in history.operations:
        reply = one.outcome.reply if isinstance(one.outcome, Ok) else None
        if isinstance(one.request, Lock) and isinstance(reply, LockReply):
            grants.setdefault(one.request.name, []).append((reply.token, one))
        elif isinstance(one.request, Guarded) and isinstance(one.outcome, Ok):
            uses.setdefault(one.request.name, []).append((one.request.token, one))
    possible = {
        one.request.name
        for one in history.operations
        if isinstance(one.request, Lock) and isinstance(one.outcome, Unknown)
    }
    for name, given in grants.items():
        violations += _backwards(
            name, given, "was given token {0} after token {1} had been given", is_strict=True
        )
    for name, used in uses.items():
        violations += _backwards(
            name, used, "was accepted with token {0} after a use with token {1}", is_strict=False
        )
        known = {token for token, _ in grants.get(name, ())}
        for token, one in used:
            if token not in known and name not in possible:
                violations.append(
                    Violation(
                        PROPERTY,
                        f"lock {words.text(name)}: a use (#{one.id} of {one.client}) with token "
                        f"{token}, which nobody was given, was accepted",
                        (one.id,),
                    )
                )
    return violations[:_MOST]


def _backwards(
    name: bytes, entries: list[tuple[int, Operation]], sentence: str, *, is_strict: bool
) -> list[Violation]:
    """Entries whose token lies below one that had returned before they began."""
    violations = []
    ended = sorted(entries, key=lambda entry: entry[1].returned)
    best: tuple[int, Operation | None] = (-1, None)
    at = 0
    for token, one in sorted(entries, key=lambda entry: entry[1].called):
        while at < len(ended) and ended[at][1].returned < one.called:
            if ended[at][0] > best[0]:
                best = ended[at]
            at += 1
        other = best[1]
        if other is not None and (token < best[0] or (is_strict and token == best[0])):
            violations.append(
                Violation(
                    PROPERTY,
                    f"lock {words.text(name)}: {one.client} (#{one.id}) "
                    + sentence.format(token, best[0])
                    + f" (#{other.id} of {other.client})",
                    (other.id, one.id),
                    one.called,
                )
            )
    return violations


def overlaps(history: History) -> list[tuple[Operation, Operation]]:
    """Pairs of locks that two clients believed to hold at the same time."""
    held: dict[bytes, list[tuple[float, float, Operation]]] = {}
    unlocked: dict[bytes, float] = {}
    for one in history.operations:
        if isinstance(one.request, Unlock) and not isinstance(one.outcome, Failed):
            unlocked[one.request.key] = one.called
    for one in history.operations:
        reply = one.outcome.reply if isinstance(one.outcome, Ok) else None
        if isinstance(one.request, Lock) and isinstance(reply, LockReply):
            until = unlocked.get(reply.key, float("inf"))
            held.setdefault(one.request.name, []).append((one.returned, until, one))
    pairs = []
    for spans in held.values():
        spans.sort(key=lambda span: span[0])
        for (_, until, one), (since, _, other) in itertools.pairwise(spans):
            if since < until:
                pairs.append((one, other))
    return pairs
