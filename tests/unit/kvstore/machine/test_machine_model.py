"""The state machine against a model so simple that it is plainly right: a list of all events, searched every time.

Random commands go to a machine and to the model; at every revision both must show the same keys and the same events,
and a machine restored from a snapshot must be equal to the one it was taken of.
"""

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from kvstore.machine.commands import (
    Command,
    Compact,
    Compare,
    DeleteRange,
    LeaseGrant,
    LeaseRevoke,
    Put,
    Range,
    Txn,
    encode,
)
from kvstore.machine.machine import StateMachine
from kvstore.machine.outcome import Event, KeyValue, RangeReply
from kvstore.mvcc.errors import StoreError

NAMES = (b"a", b"ab", b"b", b"c", b"\xff")
KEYS = st.sampled_from(NAMES)
ENDS = st.sampled_from((b"", b"\0", b"b", b"c", b"\xff\xff"))
LEASES = st.sampled_from((0, 0, 1, 2))


def inside(key: bytes, low: bytes, end: bytes) -> bool:
    if not end:
        return key == low
    return key >= low and (end == b"\0" or key < end)


@dataclass
class Model:
    """All events ever, in order."""

    log: list[tuple[int, bytes, bytes | None, int]] = field(default_factory=list)
    """(revision, key, value or None for a delete, lease)"""
    revision: int = 1
    compacted: int = 0
    leases: set[int] = field(default_factory=set)

    def get(self, key: bytes, revision: int) -> KeyValue | None:
        kv: KeyValue | None = None
        for at, name, value, lease in self.log:
            if name == key and at <= revision:
                if value is None:
                    kv = None
                elif kv is None:
                    kv = KeyValue(key, value, at, at, 1, lease)
                else:
                    kv = KeyValue(key, value, kv.create_revision, at, kv.version + 1, lease)
        return kv

    def range(self, low: bytes, end: bytes, revision: int) -> list[KeyValue]:
        found = [self.get(key, revision) for key in sorted(NAMES) if inside(key, low, end)]
        return [kv for kv in found if kv is not None]

    def run(self, command: Command | Range) -> None:
        at = self.revision + 1
        if self._refuses(command):
            return
        match command:
            case Txn():
                # The compares are decided once, before anything is written.
                for operation in self._chosen(command):
                    self._write(operation, at)
            case Compact():
                self.compacted = command.revision
            case LeaseGrant():
                self.leases.add(command.id)
            case LeaseRevoke():
                for kv in self.range(b"\0", b"\0", at):
                    if kv.lease == command.id:
                        self.log.append((at, kv.key, None, 0))
                self.leases.discard(command.id)
            case _:
                self._write(command, at)
        if self.log and self.log[-1][0] == at:
            self.revision = at

    def events(self, revision: int) -> list[tuple[bytes, bytes | None]]:
        return [(key, value) for at, key, value, _ in self.log if at == revision]

    def _chosen(self, txn: Txn) -> list[Put | DeleteRange | Range]:
        holds = all(
            (kv.mod_revision if (kv := self.get(compare.key, self.revision)) else 0)
            == compare.number
            for compare in txn.compares
        )
        chosen: list[Put | DeleteRange | Range] = []
        for operation in txn.success if holds else txn.failure:
            chosen += self._chosen(operation) if isinstance(operation, Txn) else [operation]
        return chosen

    def _write(self, operation: object, at: int) -> None:
        if isinstance(operation, Put):
            current = self.get(operation.key, at)
            value, lease = operation.value, operation.lease
            if current is not None:
                value = current.value if operation.ignore_value else value
                lease = current.lease if operation.ignore_lease else lease
            self.log.append((at, operation.key, value, lease))
        elif isinstance(operation, DeleteRange):
            for kv in self.range(operation.key, operation.range_end, at):
                self.log.append((at, kv.key, None, 0))

    def _refuses(self, command: object) -> bool:
        match command:
            case Put():
                missing = self.get(command.key, self.revision) is None
                return bool(command.lease and command.lease not in self.leases) or (
                    (command.ignore_value or command.ignore_lease) and missing
                )
            case Range():
                at = command.revision
                return at > self.revision or 0 < at < self.compacted
            case Txn():
                return any(self._refuses(operation) for operation in self._chosen(command))
            case Compact():
                return not self.compacted < command.revision <= self.revision
            case LeaseGrant():
                return command.id in self.leases
            case LeaseRevoke():
                return command.id not in self.leases
        return False


PUTS = st.builds(
    Put,
    KEYS,
    st.binary(max_size=2),
    LEASES,
    st.booleans(),
    st.sampled_from((False, False, False, True)),
    st.sampled_from((False, False, False, True)),
)
DELETES = st.builds(DeleteRange, KEYS, ENDS, st.booleans())
RANGES = st.builds(Range, KEYS, ENDS, revision=st.integers(0, 12))
COMPARES = st.builds(Compare, st.just(2), st.just(0), KEYS, number=st.integers(0, 6))


def txns(operations: st.SearchStrategy) -> st.SearchStrategy:
    branches = st.lists(operations, max_size=4).map(tuple)
    return st.builds(Txn, st.lists(COMPARES, max_size=2).map(tuple), branches, branches)


SIMPLE = PUTS | DELETES | RANGES
COMMANDS = st.one_of(
    PUTS,
    PUTS,
    DELETES,
    txns(SIMPLE | txns(SIMPLE)),
    st.builds(Compact, st.integers(0, 14)),
    st.builds(LeaseGrant, st.sampled_from((1, 2)), st.just(9)),
    st.builds(LeaseRevoke, st.sampled_from((1, 2))),
)


def shown(events: tuple[Event, ...]) -> list[tuple[bytes, bytes | None]]:
    return [(event.kv.key, None if event.is_delete else event.kv.value) for event in events]


def compare(machine: StateMachine, model: Model) -> None:
    assert (machine.revision, machine.compact_revision) == (model.revision, model.compacted)
    assert set(machine.lessor.leases) == model.leases
    for revision in range(1, model.revision + 2):
        for low, end in ((b"\0", b"\0"), (b"ab", b"c"), (b"b", b"")):
            reply = machine.range(Range(low, end, revision=revision))
            if revision < model.compacted or revision > model.revision:
                assert isinstance(reply, StoreError)
            else:
                wanted = tuple(model.range(low, end, revision))
                assert reply == RangeReply(wanted, len(wanted))
    first = max(machine.compact_revision, 2)
    batches = dict(machine.history.since(b"\0", b"\0", first, 0))
    for revision in range(first, model.revision + 1):
        assert shown(batches[revision]) == model.events(revision)
        for event in batches[revision]:
            if len({event.kv.key for event in batches[revision]}) == len(batches[revision]):
                before = model.get(event.kv.key, revision - 1)
                assert event.prev == (None if revision - 1 < model.compacted else before)


@settings(deadline=None, max_examples=80)
@given(st.lists(COMMANDS, max_size=25), st.integers(0, 25))
def test_machine_does_as_the_model(commands: list[Command], restart_at: int) -> None:
    machine, model = StateMachine(), Model()
    digests: dict[tuple[int, int], int] = {}
    for position, command in enumerate(commands):
        (outcome,) = machine.apply(position + 1, [encode(command)])
        model.run(command)
        assert outcome.revision == model.revision
        assert all(event.kv.mod_revision == outcome.revision for event in outcome.events)
        machine.check_invariants()
        if position == restart_at:
            restored = StateMachine()
            restored.restore(machine.snapshot())
            assert restored.digest() == machine.digest()
            machine = restored
        digests[machine.compact_revision, machine.revision] = machine.digest()[0]
    compare(machine, model)
    machine.check_invariants()
    # A digest asked for later is the one that was seen then.
    for revision in range(max(1, machine.compact_revision), machine.revision + 1):
        seen = digests.get((machine.compact_revision, revision))
        assert seen is None or machine.digest(revision)[0] == seen


@settings(deadline=None, max_examples=50)
@given(st.lists(COMMANDS, max_size=25), st.integers(0, 25))
def test_members_agree_however_they_got_there(commands: list[Command], cut: int) -> None:
    """One applies all, one starts from a snapshot, one gets all in one entry."""
    data = [encode(command) for command in commands]
    one, two, three = StateMachine(), StateMachine(), StateMachine()
    for index, command in enumerate(data[:cut], 1):
        one.apply(index, [command])
    two.restore(one.snapshot())
    outcomes = [
        outcome
        for index, command in enumerate(data[cut:], cut + 1)
        for outcome in one.apply(index, [command])
    ]
    assert two.apply(100, data[cut:]) == outcomes
    three.apply(100, data)
    assert one.digest() == two.digest() == three.digest()
    assert b"".join(two.snapshot()) == b"".join(three.snapshot()) or two.compact_revision
