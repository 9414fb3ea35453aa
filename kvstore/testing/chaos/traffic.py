"""What clients do, as pure generators: from a seed to requests, by the outcomes they get.

A script is a generator that yields a `Request` of `records` and is sent its `Outcome`; it never ends. It yields a
`Pause` between, and `Begin` and `End` around requests that make up one larger operation, such as taking a lock; those
are sent None. It knows no client, no clock and no loop. Who runs one records what happened; `chaos.drive` does it
against an asynchronous client.

Values are unique, so that every read tells which write it saw; keys are few, so that conflicts are the rule.
"""

import random
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field

from kvstore.testing.history.records import (
    Compact,
    Compare,
    DeleteRange,
    EmptyReply,
    Failed,
    Guarded,
    KeyValue,
    LeaseGrant,
    LeaseKeepAlive,
    LeaseLeases,
    LeaseReply,
    LeaseRevoke,
    LeaseTimeToLive,
    Lock,
    LockReply,
    Ok,
    Outcome,
    Put,
    Range,
    RangeReply,
    Request,
    Txn,
    TxnReply,
    Unknown,
    Unlock,
)

KINDS = (
    "registers",
    "cas",
    "txn",
    "leases",
    "locks",
    "queue",
    "watch",
    "kubernetes",
    "compaction",
)


@dataclass(frozen=True, slots=True)
class Pause:
    """Do nothing for a while."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Begin:
    """Something of several requests begins: to be recorded as one operation."""

    request: Request


@dataclass(frozen=True, slots=True)
class End:
    """What was begun ended so."""

    outcome: Outcome


Step = Request | Pause | Begin | End
Script = Generator[Step, Outcome | None, None]


@dataclass(frozen=True, slots=True)
class ClientPlan:
    """One client: its name, what it is about, and what it does."""

    name: str
    kind: str
    script: Script


@dataclass(frozen=True, slots=True)
class WatchPlan:
    """One watcher that resumes after losses. `from_start`: from revision 1, else from now on.

    `lasts_seconds`: after that it is closed and begins anew (0: stays for the whole run).
    """

    name: str
    key: bytes
    range_end: bytes
    prev_kv: bool = False
    progress_notify: bool = False
    no_put: bool = False
    no_delete: bool = False
    from_start: bool = False
    lasts_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class TrafficSpec:
    """How much of what."""

    kinds: Sequence[str] = KINDS
    clients: int = 8
    prefix: bytes = b"chaos/"
    keys: int = 6
    """Few keys make many conflicts."""
    pause_seconds: float = 0.01
    """Mean think time between two requests of a client."""


def client_plans(rng: random.Random, spec: TrafficSpec) -> list[ClientPlan]:
    """The clients, kinds dealt out in turn; each has a generator of chance of its own. ValueError: unknown kinds."""
    wrong = [kind for kind in spec.kinds if kind not in KINDS]
    if wrong or not spec.kinds:
        raise ValueError(f"no such traffic: {', '.join(wrong)}; there is {', '.join(KINDS)}")
    kinds = [kind for kind in spec.kinds if kind != "watch"] or ["registers"]
    plans = []
    for number in range(spec.clients):
        kind = kinds[number % len(kinds)]
        name = f"{kind}-{number + 1}"
        client = _Client(name, spec, random.Random(rng.getrandbits(64)))
        plans.append(ClientPlan(name, kind, _forever(client, _SCRIPTS[kind])))
    return plans


def watch_plans(rng: random.Random, spec: TrafficSpec) -> list[WatchPlan]:
    """The watchers; none unless "watch" or "kubernetes" is among the kinds."""
    plans = []
    everything = (spec.prefix, _end(spec.prefix))
    if "watch" in spec.kinds:
        key = spec.prefix + b"registers/0"
        plans += [
            WatchPlan("watch-all", *everything, from_start=True),
            WatchPlan("watch-prev", *everything, prev_kv=True, progress_notify=True),
            WatchPlan("watch-puts", *everything, no_delete=True, lasts_seconds=_life(rng)),
            WatchPlan("watch-deletes", *everything, no_put=True, prev_kv=True),
            WatchPlan("watch-key", key, b"", from_start=True, lasts_seconds=_life(rng)),
        ]
    if "kubernetes" in spec.kinds:
        pods = spec.prefix + b"registry/pods/"
        plans.append(WatchPlan("watch-pods", pods, _end(pods), prev_kv=True, progress_notify=True))
    return plans


def _life(rng: random.Random) -> float:
    return round(rng.uniform(1.0, 5.0), 2)


def _end(prefix: bytes) -> bytes:
    return prefix[:-1] + bytes([prefix[-1] + 1])


@dataclass(slots=True)
class _Client:
    name: str
    spec: TrafficSpec
    rng: random.Random
    revision: int = 1
    """The newest one it heard of."""
    count: int = 0
    known: dict[bytes, KeyValue] = field(default_factory=dict)

    def value(self) -> bytes:
        self.count += 1
        text = f"{self.name}.{self.count}".encode()
        return text.ljust(4000, b".") if self.rng.randrange(50) == 0 else text

    def key(self, folder: bytes) -> bytes:
        return self.spec.prefix + folder + b"/%d" % self.rng.randrange(self.spec.keys)

    def learn(self, outcome: Outcome | None) -> None:
        if not isinstance(outcome, Ok):
            return
        self.revision = max(self.revision, outcome.revision)
        for kv in _kvs(outcome.reply):
            self.known[kv.key] = kv


def _kvs(reply: object) -> list[KeyValue]:
    if isinstance(reply, RangeReply):
        return list(reply.kvs)
    if isinstance(reply, TxnReply):
        return [kv for one in reply.responses for kv in _kvs(one)]
    return []


def _forever(client: _Client, script: Callable[[_Client], Script]) -> Script:
    """The same again and again; the client hears all answers, and thinks in between."""
    while True:
        inner = script(client)
        step = next(inner, None)
        while step is not None:
            outcome = yield step
            client.learn(outcome)
            try:
                step = inner.send(outcome)
            except StopIteration:
                break
        yield Pause(client.rng.expovariate(1 / client.spec.pause_seconds))


def _registers(client: _Client) -> Script:
    rng, key = client.rng, client.key(b"registers")
    folder = client.spec.prefix + b"registers/"
    match rng.choice("pppgggghldds"):
        case "p":
            yield Put(key, client.value(), prev_kv=rng.randrange(4) == 0)
        case "g":
            yield Range(key)
        case "h":
            yield Range(folder, _end(folder), revision=max(1, client.revision - rng.randrange(20)))
        case "l":
            yield Range(folder, _end(folder), limit=rng.choice((0, 2)))
        case "d":
            yield DeleteRange(key, prev_kv=rng.randrange(2) == 0)
        case _:
            yield Range(key, serializable=True)


def _cas(client: _Client) -> Script:
    key = client.key(b"cas")
    outcome = yield Range(key)
    found = _kvs(outcome.reply) if isinstance(outcome, Ok) else []
    if not isinstance(outcome, Ok):
        return
    revision = found[0].mod_revision if found else 0
    for _ in range(3):
        compare = Compare(key, "mod", "=", revision)
        outcome = yield Txn((compare,), (Put(key, client.value()),), (Range(key),))
        if not isinstance(outcome, Ok) or not isinstance(outcome.reply, TxnReply):
            return
        if outcome.reply.succeeded:
            return
        found = _kvs(outcome.reply)
        revision = found[0].mod_revision if found else 0


def _txn(client: _Client) -> Script:
    rng, folder = client.rng, client.spec.prefix + b"txn/"
    keys = [folder + b"%d" % number for number in range(client.spec.keys)]
    one, other = rng.sample(keys, 2)
    match rng.randrange(5):
        case 0:
            yield Txn((), tuple(Put(key, client.value()) for key in keys))
        case 1:
            yield Txn(
                (Compare(one, "version", ">", 0),),
                (DeleteRange(one), Put(other, client.value(), prev_kv=True)),
                (Put(one, client.value()), Range(other)),
            )
        case 2:
            yield Txn((), tuple(Range(key) for key in keys))
        case 3:
            inner = Txn(
                (Compare(other, "create", "=", 0),), (Put(other, client.value()),), (Range(other),)
            )
            yield Txn((), (Range(folder, _end(folder)), Put(one, client.value()), inner))
        case _:
            known = client.known.get(one)
            value = known.value if known is not None else b""
            compares = (Compare(one, "value", "=", value=value), Compare(other, "mod", ">", 0))
            yield Txn(
                compares, (DeleteRange(folder, _end(folder), True),), (Range(one), Range(other))
            )


def _leases(client: _Client) -> Script:
    rng = client.rng
    outcome = yield LeaseGrant(rng.choice((1, 2, 3)))
    if not isinstance(outcome, Ok) or not isinstance(outcome.reply, LeaseReply):
        return
    lease = outcome.reply.id
    for _ in range(rng.randint(1, 3)):
        yield Put(client.key(b"leases"), client.value(), lease)
    for _ in range(rng.randrange(4)):
        yield Pause(rng.uniform(0.05, 0.4))
        outcome = yield LeaseKeepAlive(lease)
        if isinstance(outcome, Failed):
            break
    match rng.randrange(5):
        case 0:
            yield LeaseTimeToLive(lease, keys=True)
        case 1:
            yield Put(client.key(b"leases"), client.value())
        case 2:
            yield LeaseLeases()
    if rng.randrange(2):
        yield LeaseRevoke(lease)
    yield Range(client.key(b"leases"))


def _locks(client: _Client) -> Script:
    """etcd's lock: a key that lives with a lease; the oldest of the folder holds; its birth is the fencing token."""
    rng = client.rng
    name = client.spec.prefix + b"locks/%d" % rng.randrange(2)
    outcome = yield LeaseGrant(2)
    if not isinstance(outcome, Ok) or not isinstance(outcome.reply, LeaseReply):
        return
    lease = outcome.reply.id
    key = name + b"/%x" % lease
    yield Begin(Lock(name, lease))
    outcome = yield Txn(
        (Compare(key, "create", "=", 0),), (Put(key, client.name.encode(), lease),), (Range(key),)
    )
    if not isinstance(outcome, Ok):
        yield End(
            Unknown("LockNotTaken") if isinstance(outcome, Unknown) else Failed("LockNotTaken")
        )
        yield LeaseRevoke(lease)
        return
    born = outcome.revision
    for _ in range(40):
        # Oldest first: sort by creation, ascending.
        outcome = yield Range(name + b"/", _end(name + b"/"), 1, sort_order=1, sort_target=2)
        holders = _kvs(outcome.reply) if isinstance(outcome, Ok) else []
        if holders and holders[0].key == key:
            break
        if isinstance(outcome, Ok) and not holders:
            yield End(Failed("LeaseExpired"))
            return
        outcome = yield LeaseKeepAlive(lease)
        if isinstance(outcome, Failed):
            yield End(Failed("LeaseExpired"))
            return
        yield Pause(0.05)
    else:
        yield End(Failed("LockTimeout"))
        yield LeaseRevoke(lease)
        return
    token = holders[0].create_revision or born
    yield End(Ok(born, LockReply(key, token)))
    for _ in range(rng.randint(1, 3)):
        yield Guarded(name, token)
        yield Pause(rng.uniform(0.0, 0.1))
        if rng.randrange(8) == 0:
            # A holder that sleeps through its lease: what the fencing token is for.
            yield Pause(rng.uniform(2.0, 4.0))
    yield Begin(Unlock(key))
    outcome = yield LeaseRevoke(lease)
    if isinstance(outcome, Ok):
        yield End(Ok(outcome.revision, EmptyReply()))
    elif outcome is not None:
        yield End(outcome)


def _queue(client: _Client) -> Script:
    """Producers and consumers; an item is taken by deleting it as it was seen."""
    folder = client.spec.prefix + b"queue/"
    if client.rng.randrange(2):
        value = client.value()
        key = folder + value.rstrip(b".")
        yield Txn((Compare(key, "create", "=", 0),), (Put(key, value),))
        return
    outcome = yield Range(folder, _end(folder), 1, sort_order=1, sort_target=2)
    found = _kvs(outcome.reply) if isinstance(outcome, Ok) else []
    if found:
        compare = Compare(found[0].key, "mod", "=", found[0].mod_revision)
        yield Txn((compare,), (DeleteRange(found[0].key, prev_kv=True),))


def _kubernetes(client: _Client) -> Script:
    """The shapes of requests that an API server sends: create, guaranteed update and delete, pages of a list."""
    rng, folder = client.rng, client.spec.prefix + b"registry/pods/"
    key = client.key(b"registry/pods/default")
    missing = Compare(key, "mod", "=", 0)
    match rng.choice("ccuuudlg"):
        case "c":
            yield Txn((missing,), (Put(key, client.value()),), (Range(key),))
        case "u" | "d" as what:
            known = client.known.get(key)
            for _ in range(3):
                revision = known.mod_revision if known is not None else 0
                same = Compare(key, "mod", "=", revision)
                change = DeleteRange(key) if what == "d" else Put(key, client.value())
                outcome = yield Txn((same,), (change,), (Range(key),))
                if not isinstance(outcome, Ok) or not isinstance(outcome.reply, TxnReply):
                    return
                found = _kvs(outcome.reply)
                if outcome.reply.succeeded or not found:
                    return
                known = found[0]
        case "l":
            outcome = yield Range(folder, _end(folder), limit=3)
            revision = outcome.revision if isinstance(outcome, Ok) else 0
            while isinstance(outcome, Ok) and isinstance(outcome.reply, RangeReply):
                if not outcome.reply.more or not outcome.reply.kvs:
                    return
                after = outcome.reply.kvs[-1].key + b"\0"
                outcome = yield Range(after, _end(folder), limit=3, revision=revision)
        case _:
            yield Range(key)


def _compaction(client: _Client) -> Script:
    outcome = yield Range(client.spec.prefix, _end(client.spec.prefix), count_only=True)
    if isinstance(outcome, Ok) and outcome.revision > 60:
        yield Compact(outcome.revision - client.rng.randrange(20, 60))
    yield Pause(client.rng.uniform(1.0, 3.0))


_SCRIPTS: dict[str, Callable[[_Client], Script]] = {
    "registers": _registers,
    "cas": _cas,
    "txn": _txn,
    "leases": _leases,
    "locks": _locks,
    "queue": _queue,
    "kubernetes": _kubernetes,
    "compaction": _compaction,
}
