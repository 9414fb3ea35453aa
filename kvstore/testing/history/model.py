"""The store as etcd's documentation tells it, one request after the other: what checkers compare answers with.

Written for reading, and apart from the store's own classes on purpose. `apply` does what a store with one client does;
`mark` and `rollback` take applied requests back, which is what a search for an order needs. Leases never end by
themselves here: whoever searches says when, by `end_lease`.

Source of the rules: etcd's api guarantees and its v3 protocol description; oddities (a transaction's puts are checked
before its ranges, a missing key compares as zeros but has no value) were seen with etcd 3.4 and 3.5.
"""

import operator
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable
from typing import Any

from msgspec.structs import replace

from kvstore.testing.history.records import (
    Compact,
    Compare,
    DeleteRange,
    DeleteReply,
    EmptyReply,
    KeyValue,
    LeaseGrant,
    LeaseKeepAlive,
    LeaseReply,
    LeaseRevoke,
    LeasesReply,
    LeaseTimeToLive,
    OpReply,
    Put,
    PutReply,
    Range,
    RangeReply,
    Reply,
    Request,
    Txn,
    TxnReply,
    WatchEvent,
)

_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
}
_FIELDS = {
    "version": "version",
    "create": "create_revision",
    "mod": "mod_revision",
    "lease": "lease",
}
_SORT_FIELDS = ("key", "version", "create_revision", "mod_revision", "value")


class Refused(Exception):
    """The request changes nothing; the message is the error's class name in `kvstore.client.errors`."""


class Model:
    """Keys, their versions, and leases."""

    def __init__(
        self,
        revision: int = 1,
        kvs: Iterable[KeyValue] = (),
        *,
        compact_revision: int = 0,
        leases: Iterable[int] = (),
    ) -> None:
        self.revision = revision
        self.compact_revision = compact_revision
        self.kvs = {kv.key: kv for kv in kvs}
        self.leases: dict[int, set[bytes]] = {lease: set() for lease in leases}
        self.ends: dict[int, int] = {}
        """How often each lease has ended."""
        for kv in self.kvs.values():
            if kv.lease:
                self.leases.setdefault(kv.lease, set()).add(kv.key)
        self._order = sorted(self.kvs)
        self._versions: dict[bytes, list[KeyValue]] = {key: [kv] for key, kv in self.kvs.items()}
        self._undo: list[Callable[[], None]] = []
        self.changed: list[bytes] = []
        """Keys in the order of their changes, since the last `forget`."""
        self._is_dirty = False

    def apply(self, request: Request) -> Reply:
        """Do `request`; Refused if the store would refuse it."""
        if isinstance(request, Range):
            self._check(request)
            return self.read(request)
        if isinstance(request, Put | DeleteRange | Txn):
            self._check(request)
            reply = self._run(request)
            self._commit()
            return reply
        if isinstance(request, Compact):
            self._check_revision(request.revision, lowest=self.compact_revision + 1)
            self._assign("compact_revision", request.revision)
            return EmptyReply()
        if isinstance(request, LeaseGrant):
            if request.id in self.leases:
                raise Refused("LeaseExists")
            self.grant(request.id)
            return LeaseReply(request.id, request.ttl)
        if isinstance(request, LeaseRevoke):
            if request.id not in self.leases:
                raise Refused("LeaseNotFound")
            self.end_lease(request.id)
            return EmptyReply()
        if isinstance(request, LeaseKeepAlive):
            if request.id not in self.leases:
                raise Refused("LeaseNotFound")
            return LeaseReply(request.id, 1)
        if isinstance(request, LeaseTimeToLive):
            keys = self.leases.get(request.id)
            if keys is None:
                return LeaseReply(request.id, -1)
            return LeaseReply(request.id, 1, 1, tuple(sorted(keys)) if request.keys else ())
        return LeasesReply(tuple(sorted(self.leases)))

    def grant(self, lease: int) -> None:
        """A lease begins."""
        self.leases[lease] = set()
        self._undo.append(lambda: self.leases.__delitem__(lease))

    def end_lease(self, lease: int) -> None:
        """A lease ends, revoked or expired: its keys go, all in one revision."""
        for key in sorted(self.leases[lease]):
            self._set(key, None)
        del self.leases[lease]
        self.ends[lease] = self.ends.get(lease, 0) + 1

        def undo() -> None:
            self.leases[lease] = set()
            self.ends[lease] -= 1

        self._undo.append(undo)
        self._commit()

    def mark(self) -> int:
        """Where `rollback` can come back to."""
        return len(self._undo)

    def rollback(self, mark: int) -> None:
        """Take back all that was done since `mark`."""
        while len(self._undo) > mark:
            self._undo.pop()()

    def forget(self) -> None:
        """Give up the way back: nothing applied so far will be rolled back."""
        self._undo.clear()
        self.changed.clear()

    def force_revision(self, revision: int) -> None:
        """Go on from `revision` although what led there is unknown."""
        self._assign("revision", revision)

    def is_deleted(self, key: bytes, revision: int) -> bool:
        """Whether the newest change of `key` is its deletion at `revision`."""
        newest = self._versions.get(key, [KeyValue(key)])[-1]
        return newest.version == 0 and newest.mod_revision == revision

    def events(self) -> dict[int, tuple[WatchEvent, ...]]:
        """What each revision changed, keys in the order of their change, with what was there before."""
        events: dict[int, list[WatchEvent]] = {}
        for versions in self._versions.values():
            prev: KeyValue | None = None
            for kv in versions:
                event = (
                    WatchEvent("PUT", kv, prev)
                    if kv.version
                    else WatchEvent("DELETE", KeyValue(kv.key, mod_revision=kv.mod_revision), prev)
                )
                events.setdefault(kv.mod_revision, []).append(event)
                prev = kv if kv.version else None
        return {revision: tuple(found) for revision, found in events.items()}

    def read_now(self, request: Range) -> RangeReply:
        """The range in the present state, whatever revision it names."""
        return self.read(replace(request, revision=0) if request.revision else request)

    def read(self, request: Range) -> RangeReply:
        """A range whose revision exists."""
        kvs = self.select(request.key, request.range_end, request.revision)
        count = len(kvs)
        if request.count_only:
            return RangeReply((), count)
        has_filter = (
            request.min_mod_revision
            or request.max_mod_revision
            or request.min_create_revision
            or request.max_create_revision
        )
        if request.limit and not has_filter and not request.sort_order:
            kvs = kvs[: request.limit + 1]  # etcd cuts first if nothing asks for all
        if has_filter:
            kvs = [kv for kv in kvs if _passes(request, kv)]
        if request.sort_order or request.sort_target:
            field = _SORT_FIELDS[request.sort_target]
            kvs = sorted(kvs, key=lambda kv: getattr(kv, field), reverse=request.sort_order == 2)
        more = 0 < request.limit < len(kvs)
        kvs = kvs[: request.limit] if more else kvs
        if request.keys_only:
            kvs = [_without_value(kv) for kv in kvs]
        return RangeReply(tuple(kvs), count, more)

    def select(self, key: bytes, range_end: bytes = b"", revision: int = 0) -> list[KeyValue]:
        """The keys of a range in order, now or at a revision."""
        # Within a transaction that has written, the newest finished revision is the past, too.
        if 0 < revision < self.revision + self._is_dirty:
            if not range_end:
                at = self._at(key, revision)
                return [at] if at is not None else []
            keys = sorted(one for one in self._versions if in_range(one, key, range_end))
            return [kv for one in keys if (kv := self._at(one, revision)) is not None]
        if not range_end:
            return [self.kvs[key]] if key in self.kvs else []
        first = bisect_left(self._order, key)
        last = len(self._order) if range_end == b"\0" else bisect_left(self._order, range_end)
        return [self.kvs[one] for one in self._order[first:last]]

    def _at(self, key: bytes, revision: int) -> KeyValue | None:
        versions = self._versions.get(key, [])
        index = bisect_right(versions, revision, key=lambda kv: kv.mod_revision)
        return versions[index - 1] if index and versions[index - 1].version else None

    # -- what may be refused is checked before anything is written

    def _check(self, request: Request) -> None:
        if isinstance(request, Put) and request.lease and request.lease not in self.leases:
            raise Refused("LeaseNotFound")
        if isinstance(request, Put):
            self._check_ignore(request)
        elif isinstance(request, Range):
            self._check_revision(request.revision, lowest=self.compact_revision)
        elif isinstance(request, Txn):
            self._check_txn(request, Put)
            self._check_txn(request, Range)

    def _check_txn(self, txn: Txn, kind: type) -> None:
        for one in self._branch(txn):
            if isinstance(one, Txn):
                self._check_txn(one, kind)
            elif isinstance(one, kind):
                if isinstance(one, Put):
                    self._check_ignore(one)
                self._check(one)

    def _check_ignore(self, put: Put) -> None:
        if (put.ignore_value or put.ignore_lease) and put.key not in self.kvs:
            raise Refused("KeyNotFound")

    def _check_revision(self, revision: int, *, lowest: int) -> None:
        if revision > self.revision:
            raise Refused("FutureRevision")
        if 0 < revision < lowest:
            raise Refused("Compacted")

    def _branch(self, txn: Txn) -> "tuple[Put | Range | DeleteRange | Txn, ...]":
        return txn.success if all(map(self.holds, txn.compares)) else txn.failure

    def holds(self, compare: Compare) -> bool:
        """Whether a condition is true of every key of its range."""
        kvs = self.select(compare.key, compare.range_end)
        if compare.target == "value":
            return bool(kvs) and all(
                _OPERATORS[compare.operator](kv.value, compare.value) for kv in kvs
            )
        name = _FIELDS[compare.target]
        return all(
            _OPERATORS[compare.operator](getattr(kv, name), compare.number)
            for kv in kvs or [KeyValue(compare.key)]
        )

    # -- writing: all of one request in one revision

    def _run(self, request: "Put | Range | DeleteRange | Txn") -> OpReply:
        if isinstance(request, Put):
            prev = self._put(request)
            return PutReply(prev if request.prev_kv else None)
        if isinstance(request, DeleteRange):
            gone = self.select(request.key, request.range_end)
            for kv in gone:
                self._set(kv.key, None)
            return DeleteReply(len(gone), tuple(gone) if request.prev_kv else ())
        if isinstance(request, Range):
            return self.read(request)
        # Nested conditions see what was there before the transaction, so all are decided first.
        return self._run_txn(*self._decide(request))

    def _decide(self, txn: Txn) -> "tuple[bool, list[object]]":
        succeeded = all(map(self.holds, txn.compares))
        branch = txn.success if succeeded else txn.failure
        return succeeded, [self._decide(one) if isinstance(one, Txn) else one for one in branch]

    def _run_txn(self, succeeded: bool, steps: "list[object]") -> TxnReply:
        return TxnReply(
            succeeded,
            tuple(
                self._run_txn(*one) if isinstance(one, tuple) else self._run(one)  # type: ignore[arg-type]
                for one in steps
            ),
        )

    def _put(self, put: Put) -> KeyValue | None:
        prev = self.kvs.get(put.key)
        value, lease = put.value, put.lease
        if prev is not None:
            value = prev.value if put.ignore_value else value
            lease = prev.lease if put.ignore_lease else lease
        new = self.revision + 1
        created = prev.create_revision if prev is not None else new
        version = prev.version + 1 if prev is not None else 1
        self._set(put.key, KeyValue(put.key, value, created, new, version, lease))
        return prev

    def _set(self, key: bytes, new: KeyValue | None) -> None:
        """Change one key; a deletion is kept as a version 0."""
        self._is_dirty = True
        old = self.kvs.get(key)
        self._replace(key, old, new)
        versions = self._versions.setdefault(key, [])
        versions.append(new or KeyValue(key, mod_revision=self.revision + 1))
        self.changed.append(key)

        def undo() -> None:
            self.changed.pop()
            self._replace(key, new, old)
            versions.pop()

        self._undo.append(undo)

    def _replace(self, key: bytes, old: KeyValue | None, new: KeyValue | None) -> None:
        if old is not None and old.lease in self.leases:
            self.leases[old.lease].discard(key)
        if new is None:
            if self.kvs.pop(key, None) is not None:
                del self._order[bisect_left(self._order, key)]
            return
        if old is None:
            insort(self._order, key)
        self.kvs[key] = new
        if new.lease:
            self.leases.setdefault(new.lease, set()).add(key)

    def _commit(self) -> None:
        if self._is_dirty:
            self._is_dirty = False
            self._assign("revision", self.revision + 1)

    def _assign(self, name: str, value: int) -> None:
        old = getattr(self, name)
        setattr(self, name, value)
        self._undo.append(lambda: setattr(self, name, old))


def in_range(key: bytes, first: bytes, range_end: bytes) -> bool:
    """Whether `key` lies in a range as requests give it."""
    if not range_end:
        return key == first
    return key >= first and (range_end == b"\0" or key < range_end)


def _passes(request: Range, kv: KeyValue) -> bool:
    return (
        (not request.max_mod_revision or kv.mod_revision <= request.max_mod_revision)
        and (not request.min_mod_revision or kv.mod_revision >= request.min_mod_revision)
        and (not request.max_create_revision or kv.create_revision <= request.max_create_revision)
        and (not request.min_create_revision or kv.create_revision >= request.min_create_revision)
    )


def _without_value(kv: KeyValue) -> KeyValue:
    return KeyValue(kv.key, b"", kv.create_revision, kv.mod_revision, kv.version, kv.lease)
