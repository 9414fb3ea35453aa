"""A history sorted for the checkers: what has a revision, what may have happened, and when each revision came.

An acknowledged write carries its revision, and an acknowledged read the revision it saw; both are points on one line.
`earliest[r]` is the latest call among what must lie before or at the coming of revision r, `latest[r]` the earliest
return among what must lie at or after it. A real order exists for the points if and only if no `earliest` lies after
its `latest`; this is all of real time that linearizability asks for.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from kvstore.testing.history.history import History, WatchSession
from kvstore.testing.history.model import in_range
from kvstore.testing.history.records import (
    Compact,
    DeleteRange,
    DeleteReply,
    Failed,
    Guarded,
    KeyValue,
    LeaseGrant,
    LeaseReply,
    LeaseRevoke,
    Lock,
    Ok,
    Operation,
    Put,
    PutReply,
    Range,
    RangeReply,
    Request,
    StartRecord,
    Txn,
    TxnReply,
    Unknown,
    Unlock,
)

INFINITY = float("inf")
_FACTS = ("KeyNotFound", "Compacted", "FutureRevision")
"""Refusals that say something about the state."""


@dataclass(slots=True)
class Seen:
    """What somebody saw of a revision."""

    kv: KeyValue
    by: int
    has_value: bool = True


@dataclass(frozen=True, slots=True)
class Whole:
    """All keys of a range that a revision changed."""

    key: bytes
    range_end: bytes
    changed: frozenset[bytes]

    def allows(self, key: bytes) -> bool:
        """Whether `key` may be among those that were changed."""
        return key in self.changed or not in_range(key, self.key, self.range_end)


@dataclass(slots=True)
class Facts:
    """What a history says for certain, for checkers to build on."""

    start: StartRecord
    operations: list[Operation]
    last: int = 0
    """The newest revision that anybody saw."""
    writes: dict[int, Operation] = field(default_factory=dict)
    doubles: list[tuple[Operation, Operation]] = field(default_factory=list)
    """Acknowledged writes with a revision that another one has."""
    reads: dict[int, list[Operation]] = field(default_factory=lambda: defaultdict(list))
    """By the revision they were served at."""
    contents: dict[int, list[Operation]] = field(default_factory=lambda: defaultdict(list))
    """By the revision they read, which is an older one for some."""
    maybe: list[Operation] = field(default_factory=list)
    """Writes with unknown outcome."""
    refused: list[Operation] = field(default_factory=list)
    """Answers that are facts although they are errors."""
    grants: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))
    """When each lease was asked for, by id."""
    revokes: list[Operation] = field(default_factory=list)
    """Acknowledged, by return; they have no revision of their own if the lease had no keys."""
    seen: dict[int, list[Seen]] = field(default_factory=lambda: defaultdict(list))
    """Key-values that were written at a revision no acknowledged write has."""
    gone: dict[int, list[tuple[bytes, int]]] = field(default_factory=lambda: defaultdict(list))
    """Keys that a watch saw deleted at such a revision."""
    whole: dict[int, list["Whole"]] = field(default_factory=lambda: defaultdict(list))
    """What a watch saw of such a revision, and it is all there was in its range."""
    earliest: list[float] = field(default_factory=list)
    earliest_by: list[int] = field(default_factory=list)
    latest: list[float] = field(default_factory=list)
    latest_by: list[int] = field(default_factory=list)
    """Indexed by revision minus that of the start; the `_by` are operation ids."""

    def index(self, revision: int) -> int:
        """Where a revision is in the lists."""
        return revision - self.start.revision


def collect(history: History, *, with_watches: bool = False) -> Facts:
    """The facts of a history; `with_watches` takes what watches saw as facts, too."""
    operations = [
        one for one in history.operations if not isinstance(one.request, Lock | Unlock | Guarded)
    ]
    operations += [
        Operation(one.id, one.client, one.request, one.called, INFINITY, Unknown("still open"))
        for one in history.pending
        if not isinstance(one.request, Lock | Unlock | Guarded)
    ]
    starts = [one for one in history.nodes if isinstance(one, StartRecord)]
    facts = Facts(starts[0] if starts else StartRecord(0.0, 1), operations)
    facts.last = facts.start.revision
    for lease in facts.start.leases:
        facts.grants[lease].append(-INFINITY)
    proofs: list[tuple[int, float, int]] = []
    for operation in operations:
        _sort(facts, operation, proofs)
    if with_watches:
        for session in history.watches:
            _watched(facts, session, proofs)
    facts.last = max([facts.last, *(revision for revision, _, _ in proofs)])
    facts.revokes.sort(key=lambda one: one.returned)
    facts.maybe.sort(key=lambda one: one.called)
    _look(facts)
    _bound(facts, proofs)
    return facts


def _watched(facts: Facts, session: WatchSession, proofs: list[tuple[int, float, int]]) -> None:
    request = session.request
    keys: dict[int, set[bytes]] = defaultdict(set)
    parts: set[int] = set()
    for response in session.responses:
        for event in response.events:
            revision = event.kv.mod_revision
            proofs.append((revision, response.time, request.id))
            keys[revision].add(event.kv.key)
            if response.fragment:
                # The rest may never have come.
                parts.add(revision)
            if event.kind == "PUT":
                facts.seen[revision].append(Seen(event.kv, request.id))
            else:
                facts.gone[revision].append((event.kv.key, request.id))
    if not (request.no_put or request.no_delete):
        for revision in keys.keys() - parts:
            facts.whole[revision].append(
                Whole(request.key, request.range_end, frozenset(keys[revision]))
            )


def _sort(facts: Facts, operation: Operation, proofs: list[tuple[int, float, int]]) -> None:
    request, outcome = operation.request, operation.outcome
    if isinstance(request, LeaseGrant) and not isinstance(outcome, Failed):
        reply = outcome.reply if isinstance(outcome, Ok) else None
        lease = reply.id if isinstance(reply, LeaseReply) else request.id
        facts.grants[lease].append(operation.called)
    if isinstance(outcome, Unknown) and can_write(request):
        facts.maybe.append(operation)
    if isinstance(outcome, Failed) and outcome.error in _FACTS:
        facts.refused.append(operation)
    if isinstance(outcome, Ok):
        _sort_answered(facts, operation, outcome, proofs)


def _sort_answered(
    facts: Facts, operation: Operation, outcome: Ok, proofs: list[tuple[int, float, int]]
) -> None:
    request = operation.request
    if isinstance(request, LeaseRevoke):
        facts.revokes.append(operation)
    if not isinstance(request, Put | Range | DeleteRange | Txn):
        if isinstance(request, Compact):
            proofs.append((request.revision, operation.returned, operation.id))
        if outcome.revision:
            proofs.append((outcome.revision, operation.returned, operation.id))
        return
    revision = outcome.revision
    if has_written(outcome.reply):
        if revision in facts.writes:
            facts.doubles.append((facts.writes[revision], operation))
        else:
            facts.writes[revision] = operation
    elif isinstance(request, Range) and request.serializable:
        proofs.append((revision, operation.returned, operation.id))
        facts.contents[request.revision or revision].append(operation)
    else:
        facts.reads[revision].append(operation)
        old = request.revision if isinstance(request, Range) else 0
        facts.contents[old or revision].append(operation)
    facts.last = max(facts.last, revision)


def _look(facts: Facts) -> None:
    """Collect what replies show of revisions that no acknowledged write has."""
    for operation in facts.operations:
        if isinstance(operation.outcome, Ok):
            for kv, has_value in shown(operation.request, operation.outcome.reply):
                if kv.mod_revision not in facts.writes and kv.mod_revision > facts.start.revision:
                    facts.seen[kv.mod_revision].append(Seen(kv, operation.id, has_value))


def _bound(facts: Facts, proofs: list[tuple[int, float, int]]) -> None:
    first, size = facts.start.revision, facts.last - facts.start.revision + 2
    begins = [(-INFINITY, 0)] * size  # the write of a revision, and reads of the one before
    ends = [(INFINITY, 0)] * size
    for revision, write in facts.writes.items():
        at = revision - first
        if at >= 0:
            begins[at] = max(begins[at], (write.called, write.id))
            ends[at] = min(ends[at], (write.returned, write.id))
    for revision, reads in facts.reads.items():
        at = max(revision - first, 0)
        for read in reads:
            begins[at + 1] = max(begins[at + 1], (read.called, read.id))
            ends[at] = min(ends[at], (read.returned, read.id))
    for refused in facts.refused:
        request = refused.request
        if isinstance(request, Range | Compact) and _is_future(refused):
            at = request.revision - first
            if 0 < at < size:
                begins[at] = max(begins[at], (refused.called, refused.id))
    for revision, time, who in proofs:
        at = max(revision - first, 0)
        ends[at] = min(ends[at], (time, who))
    for at in range(1, size):
        begins[at] = max(begins[at], begins[at - 1])
    for at in range(size - 2, -1, -1):
        ends[at] = min(ends[at], ends[at + 1])
    facts.earliest, facts.earliest_by = [one[0] for one in begins], [one[1] for one in begins]
    facts.latest, facts.latest_by = [one[0] for one in ends], [one[1] for one in ends]


def _is_future(refused: Operation) -> bool:
    return isinstance(refused.outcome, Failed) and refused.outcome.error == "FutureRevision"


def can_write(request: Request) -> bool:
    """Whether the request could take a revision."""
    if isinstance(request, Txn):
        return any(map(can_write, request.success + request.failure))
    return isinstance(request, Put | DeleteRange | LeaseRevoke)


def has_written(reply: object) -> bool:
    """Whether an answer to a key-value request says that something changed."""
    if isinstance(reply, TxnReply):
        return any(map(has_written, reply.responses))
    return isinstance(reply, PutReply) or (isinstance(reply, DeleteReply) and reply.deleted > 0)


def puts(request: object) -> Iterator[Put]:
    """All puts in a request, of both branches."""
    if isinstance(request, Put):
        yield request
    elif isinstance(request, Txn):
        for one in request.success + request.failure:
            yield from puts(one)


def deletes(request: object) -> Iterator[DeleteRange]:
    """All deletions in a request, of both branches."""
    if isinstance(request, DeleteRange):
        yield request
    elif isinstance(request, Txn):
        for one in request.success + request.failure:
            yield from deletes(one)


def shown(request: object, reply: object) -> Iterator[tuple[KeyValue, bool]]:
    """All key-values in an answer, and whether each has its value."""
    if isinstance(reply, RangeReply):
        has_value = not (isinstance(request, Range) and request.keys_only)
        for kv in reply.kvs:
            yield kv, has_value
    elif isinstance(reply, PutReply):
        if reply.prev_kv is not None:
            yield reply.prev_kv, True
    elif isinstance(reply, DeleteReply):
        for kv in reply.prev_kvs:
            yield kv, True
    elif isinstance(reply, TxnReply) and isinstance(request, Txn):
        branch = request.success if reply.succeeded else request.failure
        for one, answer in zip(branch, reply.responses, strict=False):
            yield from shown(one, answer)


def shown_at(request: object, reply: object, revision: int) -> Iterator[tuple[KeyValue, int]]:
    """All key-values in an answer given at `revision`, each with the revision at which it stood so.

    A transaction may read the past, which says nothing of the time since.
    """
    if isinstance(reply, TxnReply) and isinstance(request, Txn):
        branch = request.success if reply.succeeded else request.failure
        for one, answer in zip(branch, reply.responses, strict=False):
            yield from shown_at(one, answer, revision)
        return
    is_old = isinstance(request, Range) and 0 < request.revision < revision
    for kv, _ in shown(request, reply):
        yield kv, request.revision if is_old and isinstance(request, Range) else revision
