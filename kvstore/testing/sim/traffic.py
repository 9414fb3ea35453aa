"""What the clients of a simulation do: registers, compare-and-swap, transactions, leases, locks, deletes, compaction.

Few keys and unique values: conflicts are the rule, and every read tells which write it saw. Each client is a task
with a generator of chance of its own; one request at a time, its outcome kept as it is, also if that is "unknown".
"""

import asyncio
import contextlib
import itertools
import random
from collections.abc import Awaitable, Callable, Iterable

from kvstore.client.client import Client
from kvstore.client.errors import ClientError
from kvstore.testing.history.history import History
from kvstore.testing.history.perform import perform
from kvstore.testing.history.records import (
    Compact,
    Compare,
    DeleteRange,
    LeaseGrant,
    LeaseKeepAlive,
    LeaseReply,
    LeaseRevoke,
    LeaseTimeToLive,
    Ok,
    Outcome,
    Put,
    Range,
    RangeReply,
    Request,
    Txn,
)
from kvstore.testing.sim.schedule import Plan

PREFIX, PREFIX_END = b"k/", b"k0"


class TrafficClient:
    """One client."""

    def __init__(
        self,
        name: str,
        client: Client,
        plan: Plan,
        rng: random.Random,
        history: History,
        now: Callable[[], float],
        on_outcome: Callable[[str, Request, Outcome], None],
    ) -> None:
        self.name, self.client, self._plan, self._rng = name, client, plan, rng
        self._history, self._now, self._on_outcome = history, now, on_outcome
        self._numbers = itertools.count(1)
        self._known: dict[bytes, tuple[int, bytes]] = {}
        self._leases: list[int] = []
        self._revision = 1
        self.is_over = False

    async def run(self) -> None:
        """Until `is_over`."""
        actions: dict[str, Callable[[], Awaitable[None]]] = {
            "put": self._put,
            "get": self._get,
            "cas": self._cas,
            "txn": self._txn,
            "delete": self._delete,
            "lease": self._lease,
            "lock": self._lock,
            "compact": self._compact,
            "serializable": self._serializable,
            "queue": self._queue,
            "role": self._role,
            "keep": self._keep,
        }
        weights = [0.15 if kind == "compact" else 1.0 for kind in self._plan.traffic]
        while not self.is_over:
            kind = self._rng.choices(self._plan.traffic, weights)[0]
            await actions[kind]()
            if kind == "keep" or self._rng.random() < 0.7:
                await asyncio.sleep(self._rng.expovariate(1.0 / self._plan.think_seconds))

    async def do(self, request: Request) -> Outcome:
        """Carry out and record."""
        pending = self._history.begin(self.name, request, self._now())
        outcome = await perform(self.client, request)
        self._history.end(pending, self._now(), outcome)
        self._on_outcome(self.name, request, outcome)
        if isinstance(outcome, Ok):
            self._revision = max(self._revision, outcome.revision)
            self._learn(outcome)
        return outcome

    def _learn(self, outcome: Ok) -> None:
        if isinstance(outcome.reply, RangeReply):
            for kv in outcome.reply.kvs:
                self._known[kv.key] = (kv.mod_revision, kv.value)

    def _key(self) -> bytes:
        return PREFIX + b"%d" % self._rng.randrange(self._plan.keys)

    def _value(self) -> bytes:
        value = f"{self.name}.{next(self._numbers)}".encode()
        return value + b"." * 3000 if self._rng.random() < 0.02 else value

    def _lease_id(self) -> int:
        return self._rng.choice(self._leases) if self._leases and self._rng.random() < 0.5 else 0

    async def _put(self) -> None:
        prev = self._rng.random() < 0.2
        await self.do(Put(self._key(), self._value(), self._lease_id(), prev))

    async def _get(self) -> None:
        if self._rng.random() < 0.6:
            await self.do(Range(self._key()))
        elif self._rng.random() < 0.7:
            await self.do(Range(PREFIX, PREFIX_END))
        else:
            ahead = self._rng.choice((0, 0, 0, 0, 3))
            revision = max(1, self._revision - self._rng.randrange(12)) + ahead
            await self.do(Range(PREFIX, PREFIX_END, revision=revision))

    async def _serializable(self) -> None:
        await self.do(Range(PREFIX, PREFIX_END, serializable=True))

    async def _cas(self) -> None:
        key = self._key()
        revision, value = self._known.get(key, (0, b""))
        if self._rng.random() < 0.5 or not revision:
            compare = Compare(key, "mod", "=", number=revision)
        else:
            compare = Compare(key, "value", "=", value=value)
        await self.do(Txn((compare,), (Put(key, self._value()),), (Range(key),)))

    async def _txn(self) -> None:
        one, two = self._key(), self._key()
        ops: tuple[Put | Range | DeleteRange, ...] = (Put(one, self._value(), self._lease_id()),)
        if two != one:
            ops += (
                (Put(two, self._value()),)
                if self._rng.random() < 0.6
                else (DeleteRange(two, prev_kv=True),)
            )
        ops += (Range(PREFIX, PREFIX_END),)
        if self._rng.random() < 0.2:
            old = max(1, self._revision - self._rng.randrange(8))
            ops += (Range(one, revision=old),)
        revision = self._known.get(one, (0, b""))[0]
        compare = Compare(one, "mod", self._rng.choice(("=", "!=", ">", "<")), number=revision)
        if self._rng.random() < 0.15:
            ops = (Range(one), Range(two))
        await self.do(Txn((compare,), ops, (Range(one), Range(two))))

    async def _delete(self) -> None:
        if self._rng.random() < 0.7:
            await self.do(DeleteRange(self._key(), prev_kv=self._rng.random() < 0.3))
        else:
            await self.do(DeleteRange(PREFIX, PREFIX_END))

    async def _lease(self) -> None:
        choice = self._rng.randrange(6)
        if choice <= 1 or not self._leases:
            outcome = await self.do(LeaseGrant(self._rng.choice((2, 3, 6))))
            if isinstance(outcome, Ok) and isinstance(outcome.reply, LeaseReply):
                self._leases = [*self._leases[-3:], outcome.reply.id]
                await self.do(Put(self._key(), self._value(), outcome.reply.id))
        elif choice == 2:
            lease = self._leases.pop(self._rng.randrange(len(self._leases)))
            await self.do(LeaseRevoke(lease))
        elif choice <= 4:
            await self.do(LeaseKeepAlive(self._rng.choice(self._leases)))
        else:
            await self.do(LeaseTimeToLive(self._rng.choice(self._leases), keys=True))

    async def _lock(self) -> None:
        """A lock as a key of a lease: the holder writes under its token, and lets go."""
        grant = await self.do(LeaseGrant(3))
        if not isinstance(grant, Ok) or not isinstance(grant.reply, LeaseReply):
            return
        lease, key, me = grant.reply.id, b"k/lock", self._value()
        taken = await self.do(
            Txn((Compare(key, "create", "=", number=0),), (Put(key, me, lease),), (Range(key),))
        )
        if isinstance(taken, Ok) and getattr(taken.reply, "succeeded", False):
            held = Compare(key, "value", "=", value=me)
            await self.do(Txn((held,), (Put(b"k/guarded", me),), ()))
            if self._rng.random() < 0.6:
                await self.do(Txn((held,), (DeleteRange(key),), ()))
        if self._rng.random() < 0.6:
            await self.do(LeaseRevoke(lease))

    async def _compact(self) -> None:
        revision = max(1, self._revision - self._rng.choice((0, 0, 1, 5, 30)))
        await self.do(Compact(revision))

    async def _queue(self) -> None:
        """Take the oldest of a queue, or add to it."""
        listed = await self.do(Range(b"k/q/", b"k/q0"))
        if not isinstance(listed, Ok) or not isinstance(listed.reply, RangeReply):
            return
        if listed.reply.kvs and self._rng.random() < 0.5:
            first = min(listed.reply.kvs, key=lambda kv: kv.create_revision)
            unchanged = Compare(first.key, "mod", "=", number=first.mod_revision)
            await self.do(Txn((unchanged,), (DeleteRange(first.key),), ()))
        else:
            await self.do(Put(b"k/q/" + self._value()[:40], b"job"))

    def adopt(self, others: Iterable["TrafficClient"]) -> None:
        """Care for the leases of other clients."""
        # Once each: others may have adopted them already, and what is adopted again and again fills the memory.
        self._leases = list(dict.fromkeys(lease for other in others for lease in other._leases))

    async def _keep(self) -> None:
        if self._leases:
            await self.do(LeaseKeepAlive(self._rng.choice(self._leases)))

    async def _role(self) -> None:
        """Add a role: state beside the keys, which no revision shows."""
        with contextlib.suppress(ClientError):
            await self.client.role_add(f"{self.name}-{next(self._numbers)}")
