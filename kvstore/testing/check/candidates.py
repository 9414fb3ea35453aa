"""Who may have written a revision that no acknowledged write has.

Order decides the speed of the search. First come those whose put was seen at that very revision; else all whose time
fits, the latest called first, since what timed out mostly happened soon after its call or never. Operations with the
same request count once. Keys that were seen unchanged across the revision exclude the plain writes to them.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from kvstore.testing.check import words
from kvstore.testing.check.conflicts import Keys, needed, touched, union
from kvstore.testing.check.facts import INFINITY, Facts, puts, shown_at
from kvstore.testing.history.model import Model
from kvstore.testing.history.records import Failed, LeaseRevoke, Ok, Operation, Put, Request


@dataclass(frozen=True, slots=True)
class End:
    """A lease ends, by whatever cause, and its keys go."""

    lease: int


class Candidates:
    """Of one history."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._maybe = [one for one in facts.maybe if not isinstance(one.request, LeaseRevoke)]
        self._by_key: dict[bytes, list[Operation]] = defaultdict(list)
        for one in self._maybe:
            for key in {put.key for put in puts(one.request)}:
                self._by_key[key].append(one)
        self._equal: dict[Request, list[Operation]] = defaultdict(list)
        for one in self._maybe:
            self._equal[one.request].append(one)
        self._quiet = _quiet(facts)
        self._first_touch: dict[bytes, float] = {}
        """When a key was first asked to be changed by one of them."""
        self._first_wide = INFINITY
        for one in self._maybe:
            keys = touched(one)
            if keys is None:
                self._first_wide = min(self._first_wide, one.called)
            for key in keys or ():
                self._first_touch.setdefault(key, one.called)
        single = {lease for lease, asked in facts.grants.items() if len(asked) == 1}
        self._revoke = {lease: one for one in facts.revokes if (lease := lease_of(one)) in single}
        self._alive_at = {lease: at for lease, at in _alive_at(facts).items() if lease in single}
        """The last revision at which somebody saw a key of a lease."""
        self._leased = {
            put.key
            for one in facts.operations
            for put in puts(one.request)
            if put.lease or put.ignore_lease
        } | {kv.key for kv in facts.start.kvs if kv.lease}

    def could_touch(self, key: bytes, revision: int) -> bool:
        """Whether any candidate could change `key` at `revision`."""
        if self.is_quiet(key, revision):
            return False
        until = self._facts.latest[self._facts.index(revision)]
        return (
            key in self._leased
            or self._first_wide <= until
            or self._first_touch.get(key, INFINITY) <= until
        )

    def of(self, revision: int, model: Model, used: set[int]) -> Iterator[Operation | End]:
        """Candidates for `revision` in the state before it; `used` are taken already."""
        facts = self._facts
        until = facts.latest[facts.index(revision)]
        seen = facts.seen.get(revision)
        if seen:
            pool = min((self._by_key.get(one.kv.key, []) for one in seen), key=len)
            wanted = {(one.kv.key, one.kv.value) for one in seen}
            pool = sorted(
                pool, key=lambda one: not any((p.key, p.value) in wanted for p in puts(one.request))
            )
        else:
            pool = self._maybe[::-1]
            yield from self._ends(model, revision)
        tried: set[Request] = set()
        for one in pool:
            if one.called > until or one.id in used or one.request in tried:
                continue
            if isinstance(one.request, Put) and self.is_quiet(one.request.key, revision):
                continue
            tried.add(one.request)
            # Of equal requests the one called first: it forces the least on what follows.
            yield next(same for same in self._equal[one.request] if same.id not in used)

    def _ends(self, model: Model, revision: int) -> Iterator[End]:
        """Leases that may end here, those that were revoked about now first."""
        until = self._facts.latest[self._facts.index(revision)]
        possible = []
        for lease in model.leases:
            revoke = self._revoke.get(lease)
            if revoke is not None and revoke.called > until:
                continue  # It was there to be revoked later.
            if revision > self._alive_at.get(lease, 0):
                possible.append((INFINITY if revoke is None else revoke.returned, lease))
        for _, lease in sorted(possible):
            keys = model.leases[lease]
            if keys and not any(self.is_quiet(key, revision) for key in keys):
                yield End(lease)

    def is_quiet(self, key: bytes, revision: int) -> bool:
        """Whether `key` was seen not to change at `revision`."""
        spans = self._quiet.get(key)
        if not spans:
            return False
        at = bisect_left(spans, (revision, -1))
        return at < len(spans) and spans[at][1] < revision

    def rivals(self, revision: int) -> Keys:
        """Keys whose state decides whether anybody fits `revision`."""
        seen = self._facts.seen.get(revision)
        if not seen:
            return None
        keys: Keys = frozenset(one.kv.key for one in seen)
        for one in min((self._by_key.get(it.kv.key, []) for it in seen), key=len):
            keys = union(keys, needed(one))
        return keys

    def missing(self, revision: int) -> tuple[str, tuple[int, ...]]:
        """Why nobody can have written `revision`, and who is concerned."""
        facts = self._facts
        ids: list[int] = []
        message = f"no acknowledged write has revision {revision}, and "
        seen, gone = facts.seen.get(revision), facts.gone.get(revision)
        if seen:
            ids.append(seen[0].by)
            message += f"nobody can have written what #{seen[0].by} saw of it: "
            message += words.found(seen[0].kv)
            for other in self._writers(seen[0].kv.key, seen[0].kv.value):
                ids.append(other.id)
                message += f"; {words.name(other)} wrote that, {_how(other)}"
        elif gone:
            ids.append(gone[0][1])
            message += (
                f"nobody can have deleted {words.text(gone[0][0])}, as watch #{gone[0][1]} saw"
            )
        else:
            message += f"none of {len(facts.maybe)} writes with unknown outcome can have taken it"
        by = facts.latest_by[facts.index(revision)]
        if by and by not in ids:
            ids.append(by)
            message += f" (it was over when #{by} returned)"
        return message, tuple(ids)

    def _writers(self, key: bytes, value: bytes) -> list[Operation]:
        return [
            one
            for one in self._facts.operations
            if any(put.key == key and put.value == value for put in puts(one.request))
        ][:3]


def _how(operation: Operation) -> str:
    if isinstance(operation.outcome, Ok):
        return f"but at revision {operation.outcome.revision}: done twice?"
    if isinstance(operation.outcome, Failed):
        return f"but was told that it failed ({operation.outcome.error})"
    return "but does not fit here"


def _quiet(facts: Facts) -> dict[bytes, list[tuple[int, int]]]:
    """By key: spans (until, from) of revisions in which it was seen not to change, from < r <= until."""
    spans: dict[bytes, dict[int, int]] = defaultdict(dict)

    def note(key: bytes, until: int, since: int) -> None:
        spans[key][until] = min(spans[key].get(until, until), since)

    for revision, operations in facts.contents.items():
        for one in operations:
            if isinstance(one.outcome, Ok):
                for kv, stood in shown_at(one.request, one.outcome.reply, revision):
                    note(kv.key, stood, kv.mod_revision)
    for revision, write in facts.writes.items():
        if isinstance(write.outcome, Ok):
            for kv, stood in shown_at(write.request, write.outcome.reply, revision):
                if kv.mod_revision < revision:
                    note(kv.key, min(stood, revision - 1), kv.mod_revision)
    return {key: _widest(found) for key, found in spans.items()}


def lease_of(revoke: Operation) -> int:
    """The lease that is revoked."""
    return revoke.request.id if isinstance(revoke.request, LeaseRevoke) else 0


def _alive_at(facts: Facts) -> dict[int, int]:
    alive: dict[int, int] = {}
    for revision, operations in facts.contents.items():
        for one in operations:
            if isinstance(one.outcome, Ok):
                for kv, stood in shown_at(one.request, one.outcome.reply, revision):
                    alive[kv.lease] = max(alive.get(kv.lease, 0), stood)
    for revision, write in facts.writes.items():
        if isinstance(write.request, Put) and write.request.lease:
            lease = write.request.lease
            alive[lease] = max(alive.get(lease, 0), revision)
    return alive


def _widest(found: dict[int, int]) -> list[tuple[int, int]]:
    """Spans without those inside of another; sorted by their end."""
    result: list[tuple[int, int]] = []
    lowest = INFINITY
    for until in sorted(found, reverse=True):
        if found[until] < lowest:
            result.append((until, found[until]))
            lowest = found[until]
    return result[::-1]
