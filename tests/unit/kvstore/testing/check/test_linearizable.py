"""The linearizability checker against brute force, and against histories that are wrong in known ways."""

import random
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from kvstore.testing.check import linearizable
from kvstore.testing.history.history import (
    Compact,
    Compare,
    DeleteRange,
    EmptyReply,
    Failed,
    History,
    KeyValue,
    LeaseGrant,
    LeaseReply,
    LeaseRevoke,
    Ok,
    Operation,
    Put,
    PutReply,
    Range,
    RangeReply,
    StartRecord,
    Txn,
    TxnReply,
    Unknown,
)
from kvstore.testing.history.model import Model, Refused

KEYS = (b"a", b"b")
FACTS = ("KeyNotFound", "Compacted", "FutureRevision")


def history_of(operations, start=None):
    history = History()
    if start is not None:
        history.append(start)
    for one in operations:
        history.append(one)
    return history


# -- brute force: every order that real time allows


def brute_force(operations):
    """Wing and Gong: take, in turn, each operation that nothing unfinished precedes, and see if its answer fits."""
    model = Model()
    todo = [
        one
        for one in operations
        if not (isinstance(one.outcome, Failed) and one.outcome.error not in FACTS)
    ]
    budget = [200_000]

    def end_of(one):
        return float("inf") if isinstance(one.outcome, Unknown) else one.returned

    def fits(one, answer):
        outcome = one.outcome
        if isinstance(outcome, Unknown):
            return True
        if isinstance(outcome, Failed):
            return answer == outcome.error
        if isinstance(one.request, LeaseGrant | LeaseRevoke | Compact):
            return not isinstance(answer, str)
        return answer == outcome.reply and model.revision == outcome.revision

    def search(left):
        budget[0] -= 1
        if budget[0] < 0:
            raise TimeoutError
        if all(isinstance(one.outcome, Unknown) for one in left):
            return True
        first_end = min(end_of(one) for one in left)
        for one in left:
            if one.called > first_end:
                continue
            mark = model.mark()
            try:
                answer = model.apply(one.request)
            except Refused as refusal:
                answer = str(refusal)
            if fits(one, answer) and search([other for other in left if other is not one]):
                return True
            model.rollback(mark)
        for lease in list(model.leases):
            mark = model.mark()
            model.end_lease(lease)
            if search(left):
                return True
            model.rollback(mark)
        return False

    return search(todo)


# -- histories of a sound store, and damage


@dataclass
class Shape:
    count: int = 8
    clients: int = 3
    unknown: float = 0.2
    leases: bool = False
    keys: tuple = KEYS


def make_history(rng, shape):
    """A history of a sound store: each request takes effect between its call and its return, if at all."""
    model = Model()
    free_at = dict.fromkeys(range(shape.clients), 0.0)
    jobs = []
    for number in range(1, shape.count + 1):
        client = rng.randrange(shape.clients)
        called = free_at[client] + rng.random()
        point = called + rng.random()
        returned = point + rng.random()
        free_at[client] = returned
        jobs.append((point, number, client, called, returned))
    operations = []
    for _, number, client, called, returned in sorted(jobs):
        request = make_request(rng, shape, model, number)
        fate = rng.random()
        if fate < shape.unknown / 2:
            operations.append(
                Operation(
                    number, f"c{client}", request, called, returned, Unknown("DeadlineExceeded")
                )
            )
            continue
        if fate < shape.unknown / 2 + 0.03:
            failed = Failed("NoLeader")
            operations.append(Operation(number, f"c{client}", request, called, returned, failed))
            continue
        try:
            reply = model.apply(request)
            # Headers of these may be newer than what they did, so they are left out.
            is_loose = isinstance(request, LeaseGrant | LeaseRevoke | Compact)
            outcome = Ok(0 if is_loose else model.revision, reply)
        except Refused as refusal:
            outcome = Failed(str(refusal))
        if fate > 1 - shape.unknown / 2 and not isinstance(outcome, Failed):
            outcome = Unknown("DeadlineExceeded")
        operations.append(Operation(number, f"c{client}", request, called, returned, outcome))
    return sorted(operations, key=lambda one: one.returned)


def make_request(rng, shape, model, number):
    key = rng.choice(shape.keys)
    value = b"%d" % (number if rng.random() < 0.7 else rng.randrange(2))
    kinds = ["put"] * 4 + ["get"] * 4 + ["delete", "all", "txn", "txn", "old", "ignore", "compact"]
    if shape.leases:
        kinds += ["grant"] * 3 + ["revoke"] * 2 + ["leased"] * 4
    kind = rng.choice(kinds)
    simple = {
        "put": Put(key, value, prev_kv=rng.random() < 0.5),
        "get": Range(key),
        "delete": DeleteRange(key, prev_kv=rng.random() < 0.5),
        "all": Range(b"\0", b"\0", limit=rng.randrange(2), keys_only=rng.random() < 0.3),
        "old": Range(key, revision=rng.randrange(1, model.revision + 2)),
        "ignore": Put(key, ignore_value=True, prev_kv=True),
        "compact": Compact(rng.randrange(1, model.revision + 2)),
        "grant": LeaseGrant(10, id=number),
        "revoke": LeaseRevoke(rng.choice(sorted(model.leases) or [99])),
        "leased": Put(key, value, lease=rng.choice(sorted(model.leases) or [0])),
    }
    if kind in simple:
        return simple[kind]
    current = model.kvs.get(key)
    compare = rng.choice(
        [
            Compare(key, "mod", "=", current.mod_revision if current else 0),
            Compare(key, "value", "=", value=value),
            Compare(key, "version", ">", 0),
        ]
    )
    other = rng.choice(shape.keys)
    return Txn(
        (compare,),
        (Put(key, value), *([Put(other, value)] if other != key else []), Range(b"\0", b"\0")),
        (Range(key),) if rng.random() < 0.7 else (DeleteRange(other), Range(key)),
    )


def damage(rng, operations):
    """One answer changed in a way that a broken store could: often, not always, a violation."""
    operations = list(operations)
    index = rng.randrange(len(operations))
    one = operations[index]
    outcome = one.outcome
    kind = rng.randrange(5)
    if isinstance(outcome, Ok) and kind == 0 and outcome.revision:
        outcome = replace(outcome, revision=max(1, outcome.revision + rng.choice((-1, 1))))
    elif isinstance(outcome, Ok) and kind == 1 and isinstance(outcome.reply, RangeReply):
        others = [o.outcome.reply for o in operations if isinstance(o.outcome, Ok)]
        outcome = replace(outcome, reply=rng.choice(others))
        if not isinstance(outcome.reply, RangeReply):
            outcome = one.outcome
    elif isinstance(outcome, Ok) and kind == 2:
        operations[index] = replace(one, outcome=Failed("NoLeader"))
        return operations
    elif isinstance(outcome, Ok) and kind == 3 and isinstance(outcome.reply, PutReply):
        old = KeyValue(one.request.key, b"ghost", 2, 2, 1)
        outcome = replace(outcome, reply=PutReply(rng.choice((None, old))))
    else:
        shift = rng.choice((-3.0, 3.0))
        operations[index] = replace(one, called=one.called + shift, returned=one.returned + shift)
        return operations
    operations[index] = replace(one, outcome=outcome)
    return operations


def verdicts(operations):
    return linearizable.check(history_of(operations)) == [], brute_force(operations)


@settings(max_examples=400, deadline=None)
@given(st.integers(0, 2**32))
def test_says_the_same_as_brute_force_on_histories_with_unknown_outcomes(seed):
    rng = random.Random(seed)
    operations = make_history(rng, Shape(rng.randrange(4, 10), unknown=rng.choice((0.0, 0.3, 0.6))))
    quick, slow = verdicts(operations)
    assert slow, "the generator made an unsound history"
    assert quick, linearizable.check(history_of(operations))
    damaged = damage(rng, operations)
    quick, slow = verdicts(damaged)
    assert quick == slow, (quick, damaged, linearizable.check(history_of(damaged)))


def test_a_compaction_to_a_revision_that_never_was_explains_no_refusal():
    # Found by the comparison with brute force, at 87542857.
    refused = Operation(2, "c1", Range(b"b", revision=1), 2, 3, Failed("Compacted"))

    def judged(*operations):
        return linearizable.check(history_of([*operations, refused]))

    unheard = Unknown("DeadlineExceeded")
    never = Operation(1, "c2", Compact(2), 0, 1, unheard)
    assert "nobody had asked for a compaction that far" in str(judged(never)[0])
    assert judged(never, Operation(3, "c0", Put(b"a", b"1"), 0, 1, unheard)) == []


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32))
def test_never_accuses_a_history_with_leases_that_brute_force_explains(seed):
    rng = random.Random(seed)
    shape = Shape(rng.randrange(4, 8), unknown=rng.choice((0.0, 0.3)), leases=True, keys=(b"a",))
    operations = make_history(rng, shape)
    try:
        quick, slow = verdicts(operations)
        assert quick, linearizable.check(history_of(operations))
        damaged = damage(rng, operations)
        quick, slow = verdicts(damaged)
    except TimeoutError:
        return  # Too many ways for brute force.
    assert quick or not slow, (damaged, linearizable.check(history_of(damaged)))


# -- histories that are wrong in a known way


def ok(number, request, revision, reply, called, returned=None, client="c"):
    end = called + 1 if returned is None else returned
    return Operation(number, client, request, called, end, Ok(revision, reply))


def kv(value, created, modified=None, version=1, key=b"a"):
    return KeyValue(key, value, created, modified or created, version)


def found(*kvs):
    return RangeReply(kvs, len(kvs))


PUT_1 = ok(1, Put(b"a", b"1"), 2, PutReply(), 0)
PUT_2 = ok(2, Put(b"a", b"2"), 3, PutReply(), 2)
LOST = Operation(9, "d", Put(b"a", b"lost"), 0.0, 1.0, Unknown("DeadlineExceeded"))
TWO_KEYS = Txn((), (Put(b"a", b"3"), Put(b"b", b"3")), ())
ALL = Range(b"\0", b"\0")

WRONG = {
    "stale read": ([PUT_1, PUT_2, ok(3, Range(b"a"), 2, found(kv(b"1", 2)), 4)], "began after"),
    "lost write": (
        [PUT_1, PUT_2, ok(3, Range(b"a"), 3, found(kv(b"1", 2)), 4)],
        "there was [a=2",
    ),
    "doubled write": (
        [PUT_1, ok(3, Range(b"a"), 3, found(kv(b"1", 2, 3, 2)), 4)],
        "but at revision 2: done twice?",
    ),
    "reordered": (
        [
            ok(1, Put(b"a", b"1"), 3, PutReply(), 0),
            ok(2, Put(b"a", b"2"), 2, PutReply(), 2),
        ],
        "and yet got revision 2",
    ),
    "wrong prev_kv": (
        [PUT_1, ok(2, Put(b"a", b"2", prev_kv=True), 3, PutReply(kv(b"0", 2)), 2)],
        "was answered: done, before: a=0",
    ),
    "revision gap": (
        [PUT_1, ok(2, Put(b"a", b"2"), 4, PutReply(), 2)],
        "no acknowledged write has revision 3",
    ),
    "same revision twice": (
        [PUT_1, ok(2, Put(b"a", b"2"), 2, PutReply(), 0)],
        "two writes were acknowledged with revision 2",
    ),
    "dirty transaction": (
        [
            ok(1, TWO_KEYS, 2, TxnReply(True, (PutReply(), PutReply())), 0),
            ok(2, ALL, 2, found(kv(b"3", 2)), 2),
        ],
        "there was [a=3 (created 2, modified 2, version 1), b=3",
    ),
    "half a transaction": (
        [
            ok(1, TWO_KEYS, 3, TxnReply(True, (PutReply(), PutReply())), 0, 3),
            ok(2, ALL, 2, found(kv(b"3", 2)), 1),
        ],
        "revision 2",
    ),
    "refused write was done": (
        [
            Operation(1, "c", Put(b"a", b"1"), 0.0, 1.0, Failed("NoLeader")),
            ok(2, Range(b"a"), 2, found(kv(b"1", 2)), 2),
        ],
        "was told that it failed (NoLeader)",
    ),
    "unknown write done twice": (
        [LOST, PUT_1, ok(3, Range(b"a"), 4, found(kv(b"lost", 2, 4, 3)), 4)],
        "no acknowledged write has revision",
    ),
    "done before it was called": (
        [
            ok(3, Range(b"a"), 2, found(kv(b"1", 2)), 0),
            ok(1, Put(b"a", b"1"), 2, PutReply(), 2),
        ],
        "began after",
    ),
    "both clients won the compare": (
        [
            ok(i, Txn((Compare(b"a", "create", "=", 0),), (Put(b"a", b"%d" % i),)), i + 1,
               TxnReply(True, (PutReply(),)), 0)
            for i in (1, 2)
        ],
        "it should have been: else-branch",
    ),
    "key of a revoked lease": (
        [
            Operation(1, "c", LeaseGrant(9, 7), 0, 1, Ok(1)),
            ok(2, Put(b"a", b"1", lease=7), 2, PutReply(), 2),
            Operation(3, "c", LeaseRevoke(7), 4, 5, Ok(2)),
            ok(4, Range(b"a"), 2, found(KeyValue(b"a", b"1", 2, 2, 1, 7)), 6),
        ],
        "its key a was still there",
    ),
    "read below the compaction": (
        [PUT_1, PUT_2, Operation(3, "c", Compact(3), 4, 5, Ok(3)),
         ok(4, Range(b"a", revision=2), 3, found(kv(b"1", 2)), 6)],
        "had been compacted before it began",
    ),
    "old revision read wrong": (
        [PUT_1, PUT_2, ok(4, Range(b"a", revision=2), 3, found(kv(b"2", 2, 3, 2)), 6)],
        "range a at revision 2",
    ),
    "no such key, but it was there": (
        [PUT_1, Operation(2, "c", Put(b"a", ignore_value=True), 2, 3, Failed("KeyNotFound"))],
        "which was not true at any revision",
    ),
    "serializable read of what never was": (
        [PUT_1, PUT_2, ok(3, Range(b"a", serializable=True), 2, found(kv(b"x", 2)), 4)],
        "returned [a=x",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_rejects_and_says_why(name):
    operations, words = WRONG[name]
    violations = linearizable.check(history_of(operations))
    assert any(words in str(one) for one in violations), violations
    assert all(one.operations for one in violations)


def test_a_serializable_read_may_be_old_but_not_wrong():
    old = ok(3, Range(b"a", serializable=True), 2, found(kv(b"1", 2)), 4)
    assert linearizable.check(history_of([PUT_1, PUT_2, old])) == []


def test_a_history_may_begin_with_a_full_store():
    start = StartRecord(0.0, 40, (KeyValue(b"a", b"0", 30, 35, 3, 0),), leases=(5,))
    operations = [
        ok(1, Put(b"a", b"1", prev_kv=True), 41, PutReply(kv(b"0", 30, 35, 3)), 0),
        ok(2, Put(b"b", b"1", lease=5), 42, PutReply(), 2),
    ]
    assert linearizable.check(history_of(operations, start)) == []
    assert linearizable.check(history_of(operations)) != []
    too_old = ok(3, Range(b"a"), 39, found(), 4)
    assert linearizable.check(history_of([*operations, too_old], start)) != []


def test_unknown_writes_are_found_by_what_was_seen_of_them():
    seen = ok(3, Range(b"a"), 3, found(kv(b"lost", 2, 3, 2)), 4)
    explanation = linearizable.explain(history_of([LOST, PUT_1, seen]))
    assert explanation.violations == []
    assert explanation.events[3][0].kv.value == b"lost"


def test_a_search_without_end_is_called_undecided():
    seen = ok(3, Range(b"a"), 3, found(kv(b"lost", 2, 3, 2)), 4)
    (violation,) = linearizable.check(history_of([LOST, PUT_1, seen]), limit_steps=2)
    assert violation.property == "undecided"


def test_a_long_history_with_unknown_outcomes_is_explained_or_refuted():
    keys = tuple(b"k%03d" % i for i in range(100))
    operations = make_history(random.Random(1), Shape(2_000, 20, 0.05, True, keys))
    assert linearizable.check(history_of(operations)) == []
    value = next(
        i for i, one in enumerate(operations)
        if i > 1_500 and isinstance(one.request, Range) and one.request.key in keys
        and isinstance(one.outcome, Ok) and one.outcome.reply.kvs
    )  # fmt: skip
    one = operations[value]
    forged = replace(one.outcome.reply.kvs[0], value=b"forged")
    operations[value] = replace(one, outcome=replace(one.outcome, reply=found(forged)))
    assert linearizable.check(history_of(operations), limit_steps=20_000) != []


def test_a_look_at_the_past_within_a_transaction_says_nothing_of_the_time_since():
    """Key a had been deleted with its lease when a later transaction read how it once was."""
    before = KeyValue(b"a", b"1", 2, 2, 1, lease=7)
    changed = KeyValue(b"b", b"2", 4, 4, 1)
    look = Txn(success=(Put(b"b", b"2"), Range(b"a", revision=2)))
    operations = [
        Operation(1, "c", LeaseGrant(60, 7), 0.0, 1.0, Ok(1, LeaseReply(7, 60))),
        Operation(2, "c", Put(b"a", b"1", lease=7), 1.0, 2.0, Ok(2, PutReply())),
        Operation(3, "c", LeaseRevoke(7), 2.0, 3.0, Ok(3, EmptyReply())),
        Operation(
            4, "c", look, 3.0, 4.0, Ok(4, TxnReply(True, (PutReply(), RangeReply((before,), 1))))
        ),
        Operation(5, "c", Range(b"b"), 4.0, 5.0, Ok(4, RangeReply((changed,), 1))),
    ]
    assert linearizable.check(history_of(operations)) == []
