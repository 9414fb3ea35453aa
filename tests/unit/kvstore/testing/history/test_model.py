"""The sequential model against the state machine: two tellings of the same rules, written apart."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from kvstore.machine import commands
from kvstore.machine.machine import StateMachine
from kvstore.mvcc.errors import StoreError
from kvstore.testing.history.history import (
    Compact,
    Compare,
    DeleteRange,
    KeyValue,
    LeaseGrant,
    LeaseRevoke,
    Put,
    Range,
    Txn,
)
from kvstore.testing.history.model import Model, Refused

TARGETS = ("version", "create", "mod", "value", "lease")
OPERATORS = ("=", ">", "<", "!=")
KEYS = (b"a", b"b", b"c")
ENDS = (b"", b"", b"", b"c", b"\0")


def make_request(rng, model, depth=0):
    key, end = rng.choice(KEYS), rng.choice(ENDS)
    revision = rng.randrange(0, model.revision + 2) if rng.random() < 0.3 else 0
    kind = rng.choice(["put"] * 5 + ["range"] * 4 + ["delete"] * 2 + ["txn"] * 3 + ["other"] * 3)
    if kind == "put":
        lease = rng.randrange(0, 4) if rng.random() < 0.3 else 0
        keep = rng.random() < 0.1
        return Put(key, b"" if keep else b"%d" % rng.randrange(3), lease, True, keep)
    if kind == "range":
        return Range(
            key, end, limit=rng.randrange(3), revision=revision, sort_order=rng.randrange(3),
            sort_target=rng.randrange(5), keys_only=rng.random() < 0.2,
            count_only=rng.random() < 0.1, min_mod_revision=rng.randrange(3),
            max_create_revision=rng.choice((0, 0, 5)),
        )  # fmt: skip
    if kind == "delete":
        return DeleteRange(key, end, prev_kv=True)
    if kind == "txn" and depth < 2:
        target = rng.choice(TARGETS)
        operand = {"value": b"1"} if target == "value" else {"number": rng.randrange(6)}
        compare = Compare(key, target, rng.choice(OPERATORS), range_end=end, **operand)
        written = set()
        branches = []
        for _ in range(2):
            branch = []
            for _ in range(rng.randrange(3)):
                one = make_request(rng, model, depth + 1)
                # Two writes to one key are refused before they come this far.
                if isinstance(one, Put) and one.key not in written:
                    written.add(one.key)
                    branch.append(one)
                elif isinstance(one, Range):
                    branch.append(one)
            branches.append(tuple(branch))
        return Txn((compare,), *branches)
    if depth:
        return Range(key, end)
    return rng.choice(
        [
            Compact(rng.randrange(1, model.revision + 2)),
            LeaseGrant(10, rng.randrange(1, 4)),
            LeaseRevoke(rng.randrange(1, 4)),
        ]
    )


def command_of(request):
    match request:
        case Put():
            return commands.Put(
                request.key, request.value, request.lease, request.prev_kv, request.ignore_value
            )
        case DeleteRange():
            return commands.DeleteRange(request.key, request.range_end, request.prev_kv)
        case Range():
            return commands.Range(
                request.key, request.range_end, limit=request.limit, revision=request.revision,
                sort_order=request.sort_order, sort_target=request.sort_target,
                keys_only=request.keys_only, count_only=request.count_only,
                min_mod_revision=request.min_mod_revision,
                max_create_revision=request.max_create_revision,
            )  # fmt: skip
        case Txn():
            compares = tuple(
                commands.Compare(
                    TARGETS.index(c.target), OPERATORS.index(c.operator), c.key, c.range_end,
                    c.number, c.value,
                )
                for c in request.compares
            )  # fmt: skip
            return commands.Txn(
                compares,
                tuple(map(command_of, request.success)),
                tuple(map(command_of, request.failure)),
            )
        case Compact():
            return commands.Compact(request.revision)
        case LeaseGrant():
            return commands.LeaseGrant(request.id, request.ttl)
        case _:
            return commands.LeaseRevoke(request.id)


def shape(reply):
    """An answer of either side as plain values."""
    if isinstance(reply, str):
        return reply
    if isinstance(reply, StoreError):
        return type(reply).__name__
    if hasattr(reply, "responses"):
        return reply.succeeded, [shape(one) for one in reply.responses]
    if hasattr(reply, "kvs"):
        return [values(kv) for kv in reply.kvs], reply.count, reply.more
    if hasattr(reply, "deleted"):
        return reply.deleted, [values(kv) for kv in reply.prev_kvs]
    if hasattr(reply, "prev_kv"):
        return values(reply.prev_kv)
    return None


def values(kv):
    if kv is None:
        return None
    return kv.key, kv.value, kv.create_revision, kv.mod_revision, kv.version, kv.lease


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32))
def test_model_and_machine_tell_the_same(seed):
    rng = random.Random(seed)
    model, machine = Model(), StateMachine()
    for index in range(1, 40):
        request = make_request(rng, model)
        try:
            told = shape(model.apply(request))
        except Refused as refusal:
            told = str(refusal)
        command = command_of(request)
        if isinstance(command, commands.Range):
            answer = shape(machine.range(command))
        else:
            (outcome,) = machine.apply(index, [commands.encode(command)])
            answer = shape(outcome.reply)
        assert told == answer, request
        assert model.revision == machine.revision, request


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32))
def test_what_was_taken_back_never_was(seed):
    rng = random.Random(seed)
    model = Model(5, [KeyValue(b"a", b"1", 3, 4, 2, 7)], leases=[7])

    def state():
        return (
            model.revision, model.compact_revision, dict(model.kvs), model.events(),
            {lease: set(keys) for lease, keys in model.leases.items()}, list(model.changed),
            [kv.key for kv in model.select(b"\0", b"\0")],
            {lease: count for lease, count in model.ends.items() if count},
        )  # fmt: skip

    marks = []
    for _ in range(20):
        marks.append((model.mark(), state()))
        try:
            model.apply(make_request(rng, model))
        except Refused:
            continue
    for mark, before in reversed(marks):
        model.rollback(mark)
        assert state() == before
