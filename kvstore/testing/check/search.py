"""The walk through the revisions of a history, and the way back from wrong guesses.

At a revision that no acknowledged write has, the candidates are tried one after the other. A contradiction names the
keys it is about; the search goes back to the last guess that changed one of them or could have, and leaves the others
as they are: thousands of guesses about other keys need not be made again.
"""

import contextlib
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field

from kvstore.testing.check import words
from kvstore.testing.check.candidates import Candidates, End, lease_of
from kvstore.testing.check.conflicts import Keys, differing, needed, touched, union
from kvstore.testing.check.facts import Facts, Seen, deletes, puts
from kvstore.testing.check.violation import Violation
from kvstore.testing.history.model import Model, Refused, in_range
from kvstore.testing.history.records import Failed, KeyValue, Ok, Operation, Range, WatchEvent

PROPERTY, UNDECIDED = "linearizable", "undecided"
_MOST = 20


@dataclass(slots=True)
class _Choice:
    """A revision without owner, and what was tried for it."""

    revision: int
    mark: int
    changes: int
    time: float
    revoked: int
    options: Iterator["Operation | End"]
    satisfied: int
    taken: "Operation | End | None" = None
    touched: Keys = frozenset()
    """Keys that what was taken may change."""
    prefer: Keys = None
    """What is taken next should change one of these."""
    conflict: Keys = frozenset()
    """Keys that decide whether another option could help."""
    deferred: list["Operation | End"] = field(default_factory=list)


class Walk:
    """The search in one history; `run` once."""

    def __init__(self, facts: Facts, limit_steps: int) -> None:
        start = facts.start
        self._facts = facts
        self._model = Model(start.revision, start.kvs, leases=start.leases)
        self._candidates = Candidates(facts)
        self._stack: list[_Choice] = []
        self._used: set[int] = set()
        self._time = facts.earliest[0]
        self._revoked = 0
        self._steps_left = limit_steps
        self._violations: list[Violation] = []
        self._deepest = (-1, Violation(PROPERTY, ""))
        self._satisfied: list[int] = []
        self._conflict: Keys = None
        self._windows = _windows(facts)

    def run(self) -> list[Violation]:
        """Walk all revisions; violations, if no choice explains all."""
        facts = self._facts
        revision = facts.start.revision
        is_fine = self._settle(revision)
        while revision < facts.last or not is_fine:
            if not is_fine:
                back = self._back()
                if back is None:
                    self._violations.append(self._verdict())
                    return self._violations
                revision, is_fine = back, self._settle(back)
                continue
            if len(self._violations) >= _MOST:
                return self._violations
            revision += 1
            is_fine = self._step(revision) and self._settle(revision)
            if not self._stack:
                self._model.forget()
        return self._violations

    def events(self) -> dict[int, tuple[WatchEvent, ...]]:
        """What each revision changed, on the way that was taken."""
        return self._model.events()

    # -- one revision

    def _step(self, revision: int) -> bool:
        facts, model = self._facts, self._model
        at = facts.index(revision)
        self._time = max(self._time, facts.earliest[at])
        if not self._revokes_done(self._time, revision):
            return False
        write = facts.writes.get(revision)
        if write is None:
            self._stack.append(
                _Choice(
                    revision,
                    model.mark(),
                    len(model.changed),
                    self._time,
                    self._revoked,
                    self._candidates.of(revision, model, self._used),
                    len(self._satisfied),
                )
            )
            return self._next_option()
        self._grant(write, revision)
        answer = self._apply(write)
        outcome = write.outcome
        wanted = outcome.reply if isinstance(outcome, Ok) else None
        if answer == wanted and model.revision == revision:
            return self._fits_watches(revision)
        is_fine = self._wrong(
            revision,
            f"{words.name(write)} at revision {revision} was answered: {words.answered(wanted)}; "
            f"after everything up to revision {revision - 1} it should have been: "
            f"{words.answered(answer)}",
            (write.id,),
            differing(write.request, wanted, answer),
        )
        model.force_revision(revision)
        return is_fine

    def _fits_watches(self, revision: int) -> bool:
        """Whether an acknowledged write did what watches saw of it, where they count as true."""
        facts, model = self._facts, self._model
        for seen in facts.seen.get(revision, ()):
            if not _same(model.kvs.get(seen.kv.key), seen):
                message = f"watch #{seen.by} saw {words.found(seen.kv)}, which does not follow"
                return self._wrong(revision, message, (seen.by,), frozenset((seen.kv.key,)))
        for key, by in facts.gone.get(revision, ()):
            if not model.is_deleted(key, revision):
                message = f"watch #{by} saw {words.text(key)} deleted at revision {revision}"
                return self._wrong(revision, message, (by,), frozenset((key,)))
        return True

    def _apply(self, operation: Operation) -> object:
        self._steps_left -= 1
        try:
            return self._model.apply(operation.request)
        except Refused as refusal:
            return str(refusal)

    def _grant(self, operation: Operation, revision: int) -> None:
        """Let the leases of a put exist, if they may: their grants have no revision."""
        until = self._facts.latest[self._facts.index(revision)]
        for put in puts(operation.request):
            if put.lease and put.lease not in self._model.leases:
                asked = [one for one in self._facts.grants.get(put.lease, ()) if one <= until]
                if len(asked) > self._model.ends.get(put.lease, 0):
                    self._model.grant(put.lease)
                    self._time = max(self._time, min(asked))

    def _next_option(self) -> bool:
        """Take the next candidate of the last choice; False if none is left."""
        choice = self._stack[-1]
        while True:
            for option in choice.options:
                self._steps_left -= 1
                if self._steps_left <= 0:
                    return False
                if self._try(choice, option):
                    return True
            if not choice.deferred:
                break
            choice.options, choice.deferred, choice.prefer = iter(choice.deferred), [], None
        self._conflict = union(choice.conflict, self._candidates.rivals(choice.revision))
        choice.conflict = self._conflict
        if choice.revision > self._deepest[0]:
            message, ids = self._candidates.missing(choice.revision)
            self._wrong(choice.revision, message, ids, self._conflict)
        return False

    def _try(self, choice: _Choice, option: "Operation | End") -> bool:
        model = self._model
        if isinstance(option, End):
            keys: Keys = frozenset(model.leases[option.lease])
            model.end_lease(option.lease)
        else:
            keys = touched(option)
            self._time = max(choice.time, option.called)
            self._grant(option, choice.revision)
            with contextlib.suppress(Refused):
                model.apply(option.request)
        if model.revision == choice.revision and self._shows(choice):
            if choice.prefer is None or keys is None or keys & choice.prefer:
                choice.taken, choice.touched = option, keys
                if isinstance(option, Operation):
                    self._used.add(option.id)
                return True
            choice.deferred.append(option)
        else:
            decides = needed(option) if isinstance(option, Operation) else keys
            choice.conflict = union(choice.conflict, decides)
        model.rollback(choice.mark)
        self._time = choice.time
        return False

    def _verdict(self) -> Violation:
        if self._steps_left > 0:
            return self._deepest[1]
        revision, violation = self._deepest
        return Violation(
            UNDECIDED,
            f"too many orders are possible to try them all; the best attempt ended at revision "
            f"{revision}: {violation.message}",
            violation.operations,
        )

    def _shows(self, choice: _Choice) -> bool:
        """Whether the state has what was seen of the revision, and nothing changed that was seen unchanged."""
        kvs, revision = self._model.kvs, choice.revision
        whole = self._facts.whole.get(revision, ())
        for key in self._model.changed[choice.changes :]:
            if self._candidates.is_quiet(key, revision):
                return False
            if not all(one.allows(key) for one in whole):
                return False
        for seen in self._facts.seen.get(revision, ()):
            if not _same(kvs.get(seen.kv.key), seen):
                return False
        return all(
            self._model.is_deleted(key, revision) for key, _ in self._facts.gone.get(revision, ())
        )

    def _back(self) -> int | None:
        """Undo up to the last choice that could have made a difference and has another option."""
        conflict = self._conflict
        while self._stack and self._steps_left > 0:
            choice = self._stack[-1]
            self._model.rollback(choice.mark)
            if isinstance(choice.taken, Operation):
                self._used.discard(choice.taken.id)
            self._time, self._revoked = choice.time, choice.revoked
            del self._satisfied[choice.satisfied :]
            has_touched = conflict is None or choice.touched is None or choice.touched & conflict
            if has_touched or self._could_touch(conflict, choice.revision):
                choice.conflict = union(choice.conflict, conflict)
                choice.prefer = None if has_touched else conflict
                if self._next_option():
                    return choice.revision
                conflict = choice.conflict
            self._stack.pop()
        return None

    def _could_touch(self, keys: Keys, revision: int) -> bool:
        return keys is None or any(self._candidates.could_touch(key, revision) for key in keys)

    # -- what must be true at a revision

    def _settle(self, revision: int) -> bool:
        """Check all that was read of `revision`."""
        facts = self._facts
        is_fine = True
        for read in facts.contents.get(revision, ()):
            is_fine = self._read(revision, read) and is_fine
            if not is_fine and self._stack:
                return False
        time = max((read.called for read in facts.reads.get(revision, ())), default=self._time)
        return (
            is_fine
            and self._revokes_done(max(time, self._time), revision)
            and self._refusals(revision)
        )

    def _read(self, revision: int, read: Operation) -> bool:
        outcome, model = read.outcome, self._model
        wanted = outcome.reply if isinstance(outcome, Ok) else None
        if isinstance(read.request, Range):
            self._steps_left -= 1
            answer: object = model.read_now(read.request)
        else:
            mark = model.mark()
            answer = self._apply(read)
            has_changed = model.revision != revision
            model.rollback(mark)
            if has_changed:
                return self._wrong(
                    revision,
                    f"{words.name(read)} says that it changed nothing at revision {revision}: "
                    f"{words.answered(wanted)}; it should have been: {words.answered(answer)}",
                    (read.id,),
                    needed(read),
                )
        if answer == wanted:
            return True
        return self._wrong(
            revision,
            f"{words.name(read)} at revision {revision} returned {words.answered(wanted)}; "
            f"there was {words.answered(answer)}",
            (read.id,),
            differing(read.request, wanted, answer),
        )

    def _revokes_done(self, time: float, revision: int) -> bool:
        """Whether the leases that were revoked before `time` have no keys any more."""
        revokes, model = self._facts.revokes, self._model
        while self._revoked < len(revokes) and revokes[self._revoked].returned < time:
            revoke = revokes[self._revoked]
            self._revoked += 1
            lease = lease_of(revoke)
            # Or is it late only because of a guess?
            is_certain = revoke.returned < self._facts.earliest[self._facts.index(revision) + 1]
            grants = len(self._facts.grants.get(lease, ()))
            if grants > 1 or model.ends.get(lease, 0) >= grants:
                continue
            if lease not in model.leases:
                model.grant(lease)
            keys = model.leases[lease]
            if keys:
                one = words.text(min(keys))
                return self._wrong(
                    revision,
                    f"{words.name(revoke)} was acknowledged, but its key {one} was still there "
                    f"at revision {revision}",
                    (revoke.id,),
                    frozenset(keys) if is_certain else None,
                )
            model.end_lease(lease)
        return True

    def _refusals(self, revision: int) -> bool:
        """Whether each "no such key" was true at some revision within its time."""
        open_now = self._windows.get(revision, ())
        if not open_now:
            return True
        done = set(self._satisfied)
        for refused, last in open_now:
            if refused.id in done:
                continue
            mark = self._model.mark()
            answer = self._apply(refused)
            self._model.rollback(mark)
            outcome = refused.outcome
            error = outcome.error if isinstance(outcome, Failed) else ""
            if answer == error and refused.returned >= self._time:
                self._satisfied.append(refused.id)
            elif revision == last and not (last == self._facts.last and self._may_go(refused)):
                return self._wrong(
                    revision,
                    f"{words.name(refused)} was refused with {error}, which was not true at any "
                    f"revision it can have seen (up to {revision})",
                    (refused.id,),
                    None,
                )
        return True

    def _may_go(self, refused: Operation) -> bool:
        """Whether, after all that anybody saw, the key of a refused put may have been deleted."""
        keys = {put.key for put in puts(refused.request)}
        return any(
            one.called <= refused.returned
            and one.id not in self._used
            and any(
                in_range(key, it.key, it.range_end) for it in deletes(one.request) for key in keys
            )
            for one in self._facts.maybe
        ) or any(kv.lease for key in keys if (kv := self._model.kvs.get(key)))

    def _wrong(self, revision: int, message: str, ids: tuple[int, ...], conflict: Keys) -> bool:
        """Note a contradiction. True: nothing was chosen so far, so it is certain and the walk goes on."""
        violation = Violation(PROPERTY, message, ids)
        if not self._stack:
            self._violations.append(violation)
            return True
        self._conflict = conflict
        if revision > self._deepest[0]:
            self._deepest = (revision, violation)
        return False


def _same(kv: KeyValue | None, seen: Seen) -> bool:
    if kv is None or not seen.has_value:
        other = seen.kv
        return kv is not None and (
            kv.mod_revision == other.mod_revision
            and kv.version == other.version
            and kv.create_revision == other.create_revision
            and kv.lease == other.lease
        )
    return kv == seen.kv


def _windows(facts: Facts) -> dict[int, list[tuple[Operation, int]]]:
    """By revision: each "no such key" that can have been answered there, and the last revision it can."""
    windows: dict[int, list[tuple[Operation, int]]] = {}
    for refused in facts.refused:
        outcome = refused.outcome
        if not isinstance(outcome, Failed) or outcome.error != "KeyNotFound":
            continue
        # Both lists never fall, so those that fit are a stretch.
        last = bisect_right(facts.earliest, refused.returned, hi=len(facts.earliest) - 1) - 1
        first = max(0, bisect_left(facts.latest, refused.called) - 1)
        fitting = [facts.start.revision + at for at in range(first, last + 1)]
        for revision in fitting:
            windows.setdefault(revision, []).append((refused, fitting[-1]))
    return windows
