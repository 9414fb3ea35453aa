"""Linearizability: all key-value operations look as if each happened at one moment between its call and its return.

Every acknowledged write names its revision, so their order is given, and each read names the revision it saw. What is
left to search is which of the writes with unknown outcome, and which ends of leases, took the revisions that no
acknowledged write has. The walk goes through the revisions once, applies to the model what happened, compares every
answer, and at a revision without owner tries whoever may have written it, the likeliest first; a contradiction later on
takes it back to the last choice.

Also checked: answers that are errors but facts all the same (compacted, future revision, no such key), reads at old
revisions, transactions with all they returned, keys of leases that were revoked. Not checked: how long a lease lived
(the member's clock decides, and may be wrong), and serializable reads beyond that what they show was once true.

The theory is Herlihy and Wing's; that known revisions make the check nearly linear was seen in etcd's robustness tests.
"""

import contextlib
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from kvstore.testing.check import words
from kvstore.testing.check.candidates import Candidates, End
from kvstore.testing.check.facts import Facts, Seen, collect, deletes, puts
from kvstore.testing.check.leases import check_leases
from kvstore.testing.check.old_reads import check_old_reads
from kvstore.testing.check.timing import check_timing
from kvstore.testing.check.violation import Violation
from kvstore.testing.history import History
from kvstore.testing.model import Model, Refused, in_range
from kvstore.testing.records import Failed, KeyValue, Ok, Operation, Range, WatchEvent

PROPERTY = "linearizable"
_MOST = 20


def check(history: History, *, limit_steps: int = 1_000_000) -> list[Violation]:
    """Violations of linearizability; empty: there is an order that explains every answer."""
    return explain(history, limit_steps=limit_steps).violations


@dataclass(frozen=True, slots=True)
class Explanation:
    """What was found: violations, or the events of every revision in an order that explains the history."""

    violations: list[Violation]
    events: Mapping[int, tuple[WatchEvent, ...]] = field(default_factory=dict)


def explain(
    history: History, *, with_watches: bool = False, limit_steps: int = 1_000_000
) -> Explanation:
    """Check, and tell what was written at each revision. `with_watches`: what watches saw counts as true."""
    facts = collect(history, with_watches=with_watches)
    violations = check_timing(facts) + check_old_reads(facts) + check_leases(facts)
    walk = _Walk(facts, limit_steps)
    violations += walk.run()
    return Explanation(violations[:_MOST], walk.events())


@dataclass(slots=True)
class _Choice:
    """A revision without owner, and what was tried for it."""

    revision: int
    mark: int
    changes: int
    time: float
    revoked: int
    options: Iterator["Operation | End"]
    taken: "Operation | End | None" = None
    satisfied: int = 0


class _Walk:
    """The search; `run` once."""

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
                    self._violations.append(self._deepest[1])
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
                    satisfied=len(self._satisfied),
                )
            )
            return self._next_option()
        self._grant(write, revision)
        answer = self._apply(write)
        outcome = write.outcome
        wanted = outcome.reply if isinstance(outcome, Ok) else None
        if answer == wanted and model.revision == revision:
            return True
        is_fine = self._wrong(
            revision,
            f"{words.name(write)} at revision {revision} was answered: {words.answered(wanted)}; "
            f"after everything up to revision {revision - 1} it should have been: "
            f"{words.answered(answer)}",
            (write.id,),
        )
        model.force_revision(revision)
        return is_fine

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
        choice, model = self._stack[-1], self._model
        for option in choice.options:
            self._steps_left -= 1
            if self._steps_left <= 0:
                break
            if isinstance(option, End):
                model.end_lease(option.lease)
            else:
                self._time = max(choice.time, option.called)
                self._grant(option, choice.revision)
                with contextlib.suppress(Refused):
                    model.apply(option.request)
            if model.revision == choice.revision and self._shows(choice):
                choice.taken = option
                if isinstance(option, Operation):
                    self._used.add(option.id)
                return True
            model.rollback(choice.mark)
            self._time = choice.time
        return self._nobody(choice)

    def _nobody(self, choice: _Choice) -> bool:
        if self._steps_left <= 0:
            message = "no order was found within the steps allowed; the furthest attempt ended at"
            return self._wrong(choice.revision, f"{message} revision {choice.revision}", ())
        message, ids = self._candidates.missing(choice.revision)
        self._wrong(choice.revision, message, ids)
        return False

    def _shows(self, choice: _Choice) -> bool:
        """Whether the state has what was seen of the revision, and nothing changed that was seen unchanged."""
        kvs, revision = self._model.kvs, choice.revision
        for key in self._model.changed[choice.changes :]:
            if self._candidates.is_quiet(key, revision):
                return False
        for seen in self._facts.seen.get(revision, ()):
            if not _same(kvs.get(seen.kv.key), seen):
                return False
        return all(
            self._model.is_deleted(key, revision) for key, _ in self._facts.gone.get(revision, ())
        )

    def _back(self) -> int | None:
        """Undo up to the last choice that has another option; the revision it is for, or None."""
        while self._stack and self._steps_left > 0:
            choice = self._stack[-1]
            self._model.rollback(choice.mark)
            if isinstance(choice.taken, Operation):
                self._used.discard(choice.taken.id)
            choice.taken = None
            self._time, self._revoked = choice.time, choice.revoked
            del self._satisfied[choice.satisfied :]
            if self._next_option():
                return choice.revision
            self._stack.pop()
        return None

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
                )
        if answer == wanted:
            return True
        return self._wrong(
            revision,
            f"{words.name(read)} at revision {revision} returned {words.answered(wanted)}; "
            f"there was {words.answered(answer)}",
            (read.id,),
        )

    def _revokes_done(self, time: float, revision: int) -> bool:
        """Whether the leases that were revoked before `time` have no keys any more."""
        revokes, model = self._facts.revokes, self._model
        while self._revoked < len(revokes) and revokes[self._revoked].returned < time:
            revoke = revokes[self._revoked]
            self._revoked += 1
            lease = revoke.request.id  # type: ignore[union-attr]
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

    def _wrong(self, revision: int, message: str, ids: tuple[int, ...]) -> bool:
        """Note a contradiction. True: nothing was chosen so far, so it is certain and the walk goes on."""
        violation = Violation(PROPERTY, message, ids)
        if not self._stack:
            self._violations.append(violation)
            return True
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
