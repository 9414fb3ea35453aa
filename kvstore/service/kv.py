"""Keys: put, delete, transactions, compaction and reads.

A linearizable read waits for a read index and then reads local state; a serializable one reads at once. A transaction
without writes is a read and needs no log entry (as in etcd: it is linearizable unless all its ranges are
serializable). The quota is checked before a write is proposed: once exceeded, the NOSPACE alarm goes through the log
and every member refuses to grow from then on.
"""

import contextlib
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar, cast

from kvstore.machine.commands import (
    Alarm,
    Command,
    Compact,
    DeleteRange,
    LeaseGrant,
    Op,
    Put,
    Range,
    Txn,
)
from kvstore.machine.outcome import DeleteRangeReply, PutReply, RangeReply, TxnReply
from kvstore.mvcc.errors import NoSpace, StoreError
from kvstore.raft.replicator import NoLeader, OutcomeUnknown, ReplicationError
from kvstore.service.guard import SYSTEM, Caller, Guard
from kvstore.service.ports import MachineView
from kvstore.service.proposer import Proposer

R = TypeVar("R")

ALARM_NOSPACE = 1
ALARM_CORRUPT = 2
_ACTIVATE = 1
_LEASE_BYTES = 64
"""What etcd counts a lease as."""

_PER_WRITE_BYTES = 512
"""What a write may cost beside its key and value; rough, on the safe side."""


class Answer(NamedTuple, Generic[R]):
    """A reply and the store's revision for the response header."""

    reply: R
    revision: int


class Quota:
    """Refuses growth beyond `limit_bytes` and raises the alarm that makes all members refuse."""

    def __init__(
        self,
        machine: MachineView,
        proposer: Proposer,
        member_id: int,
        limit_bytes: int,
        is_disk_full: Callable[[], bool] = lambda: False,
    ) -> None:
        self._machine = machine
        self._proposer = proposer
        self._member_id = member_id
        self.limit_bytes = limit_bytes
        self._is_disk_full = is_disk_full

    def has_room(self, cost: int) -> bool:
        """Whether `cost` bytes more are no question at all; if not, `check` tells."""
        machine = self._machine
        return (
            not machine.alarms
            and machine.size_bytes + cost <= self.limit_bytes
            and not self._is_disk_full()
        )

    async def check(self, command: Command) -> None:
        """Raise NoSpace if `command` would grow the store past the quota, or the alarm is up already."""
        cost = growth_bytes(command)
        if cost == 0 or self.has_room(cost):
            return
        if self._is_disk_full() or any(alarm == ALARM_NOSPACE for _, alarm in self._machine.alarms):
            raise NoSpace
        if self._machine.size_bytes + cost <= self.limit_bytes:
            return
        # Should the alarm not get through, the write is refused anyway, and the next one tries again.
        with contextlib.suppress(ReplicationError):
            await self._proposer.submit(Alarm(_ACTIVATE, self._member_id, ALARM_NOSPACE), SYSTEM)
        raise NoSpace


def growth_bytes(command: Command | Op) -> int:
    """Upper estimate of what applying `command` adds; 0 for what cannot grow the store by a client's wish."""
    if isinstance(command, Put):
        return len(command.key) + len(command.value) + _PER_WRITE_BYTES
    if isinstance(command, Txn):
        branches = [
            sum(growth_bytes(op) for op in branch) for branch in (command.success, command.failure)
        ]
        return max(branches)
    if isinstance(command, LeaseGrant):
        return _LEASE_BYTES
    return 0


def writes(txn: Txn) -> bool:
    """Whether any branch of `txn`, nested ones too, can write."""
    return any(
        isinstance(op, Put | DeleteRange) or (isinstance(op, Txn) and writes(op))
        for op in (*txn.success, *txn.failure)
    )


class KVService:
    """The KV use cases. All raise StoreError, AuthError, ReplicationError or RequestTooLarge."""

    def __init__(
        self, machine: MachineView, proposer: Proposer, quota: Quota, guard: Guard
    ) -> None:
        self._machine = machine
        self._proposer = proposer
        self._quota = quota
        self._guard = guard

    async def range(
        self, cmd: Range, caller: Caller | None = None, *, serializable: bool = False
    ) -> Answer[RangeReply]:
        """Read `cmd`'s range."""
        if not serializable:
            await self._confirm_read()
        if self._guard.is_enabled:
            await self._guard.check_range(caller, cmd.key, cmd.range_end)
        reply = self._machine.range(cmd)
        if isinstance(reply, StoreError):
            raise reply
        return Answer(reply, self._machine.revision)

    async def put(self, cmd: Put, caller: Caller | None = None) -> Answer[PutReply]:
        """Write one key."""
        if self._guard.is_enabled:
            # Only a write that may be made counts against the quota: a refused one must not raise the alarm.
            caller = await self._guard.require_user(caller)
        if not self._quota.has_room(len(cmd.key) + len(cmd.value) + _PER_WRITE_BYTES):
            await self._quota.check(cmd)
        outcome = await self._proposer.submit(cmd, caller)
        return Answer(cast("PutReply", outcome.reply), outcome.revision)

    async def delete_range(
        self, cmd: DeleteRange, caller: Caller | None = None
    ) -> Answer[DeleteRangeReply]:
        """Delete a range; allowed beyond the quota."""
        outcome = await self._proposer.submit(cmd, caller)
        return Answer(cast("DeleteRangeReply", outcome.reply), outcome.revision)

    async def txn(
        self, cmd: Txn, caller: Caller | None = None, *, serializable: bool = False
    ) -> Answer[TxnReply]:
        """Run a transaction; `serializable` matters only if it writes nothing."""
        if not writes(cmd):
            if not serializable:
                await self._confirm_read()
            if self._guard.is_enabled:
                await self._guard.check_txn(caller, cmd)
            reply = self._machine.txn_readonly(cmd)
            if isinstance(reply, StoreError):
                raise reply
            return Answer(reply, self._machine.revision)
        if self._guard.is_enabled:
            caller = await self._guard.require_user(caller)
        await self._quota.check(cmd)
        outcome = await self._proposer.submit(cmd, caller)
        return Answer(cast("TxnReply", outcome.reply), outcome.revision)

    async def compact(self, cmd: Compact, caller: Caller | None = None) -> int:
        """Forget history before `cmd.revision`; the store's revision."""
        return (await self._proposer.submit(cmd, caller)).revision

    async def _confirm_read(self) -> None:
        """Compat: without a leader etcd's reads time out as those of one that does not answer."""
        try:
            await self._proposer.confirm_read()
        except NoLeader as error:
            raise OutcomeUnknown from error
