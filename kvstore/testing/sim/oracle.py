"""What only a simulation knows: the log as it was agreed, and so the one true state at every revision.

Each entry is given to the sequential model when the first member applies it; from then on whatever a member applies or
a client is told can be compared with it at once, without a search. The checkers of `check/` see the history only, as
they would from real processes, and are asked besides.
"""

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from kvstore.machine import commands
from kvstore.testing.check.violation import Violation
from kvstore.testing.history import records
from kvstore.testing.history.history import History, WatchSession
from kvstore.testing.history.model import Model, Refused, in_range

_TARGETS = ("version", "create", "mod", "value", "lease")
_FASTEST_CLOCK = 1.1
_OPERATORS = ("=", ">", "<", "!=")


class Oracle:
    """The model, fed with the log."""

    def __init__(self) -> None:
        self.model = Model()
        self._last_index = 0
        self._versions_seen: dict[bytes, int] = {}
        self.events: list[tuple[int, tuple[records.WatchEvent, ...]]] = []
        """What each revision changed, in the order of the changes."""
        self._written: dict[tuple[bytes, bytes], int] = {}
        self._ended: dict[int, float] = {}

    def learn(self, index: int, encoded: Sequence[bytes], revision: int, now: float) -> str:
        """Entry `index` was agreed on, and left who applied it at `revision`; what is wrong with that, or nothing."""
        if index <= self._last_index:
            return ""
        self._last_index = index
        for data in encoded:
            command: Any = commands.decode(data)
            command = getattr(command, "command", command)
            request = _request(command)
            if request is None:
                continue
            try:
                self.model.apply(request)
            except Refused:
                continue
            if isinstance(request, records.LeaseRevoke):
                self._ended[request.id] = now
            twice = self._note_events()
            if twice:
                return f"entry {index}: {twice}"
        if self.model.revision != revision:
            return (
                f"entry {index} leads to revision {self.model.revision}, a member is at {revision}"
            )
        return ""

    def _note_events(self) -> str:
        model, found, twice = self.model, [], ""
        for key in model.changed:
            versions = model._versions[key]
            seen = self._versions_seen.get(key, 0)
            self._versions_seen[key] = seen + 1
            prev = versions[seen - 1] if seen and versions[seen - 1].version else None
            kind = "PUT" if versions[seen].version else "DELETE"
            if kind == "PUT":
                # Clients write no value twice, and ask again only if nothing was done.
                pair = (key, versions[seen].value)
                first = self._written.setdefault(pair, versions[seen].mod_revision)
                if first != versions[seen].mod_revision:
                    twice = f"{pair[1][:20]!r} was written to {key!r} at {first}, and again"
            found.append(records.WatchEvent(kind, versions[seen], prev))
        if found:
            self.events.append((model.revision, tuple(found)))
        model.forget()
        return twice

    def check(self, history: History) -> list[Violation]:
        """What clients were told against what was so."""
        found = _Reads(self.model).check(history)
        found += self._early_ends(history)
        for session in history.watches:
            message = check_session(session, self.events)
            if message:
                found.append(Violation("watch", message, (session.request.id,)))
        return found

    def _early_ends(self, history: History) -> list[Violation]:
        """A lease lives as long as was promised, by the clock of a member that may run a tenth too fast."""
        promised: dict[int, tuple[float, int]] = {}
        revoked: set[int] = set()
        for one in history.operations:
            if isinstance(one.request, records.LeaseRevoke):
                revoked.add(one.request.id)
            grants = isinstance(one.request, records.LeaseGrant | records.LeaseKeepAlive)
            if grants and isinstance(one.outcome, records.Ok):
                reply = one.outcome.reply
                if isinstance(reply, records.LeaseReply) and reply.ttl > 0:
                    end = one.called + reply.ttl / _FASTEST_CLOCK
                    if one.called < self._ended.get(reply.id, float("inf")):
                        promised[reply.id] = max(promised.get(reply.id, (0.0, 0)), (end, one.id))
        return [
            Violation(
                "lease",
                f"lease {lease} ended at {self._ended[lease]:.3f}, promised until {end:.3f}",
                (operation,),
                self._ended[lease],
            )
            for lease, (end, operation) in promised.items()
            if lease in self._ended and lease not in revoked and self._ended[lease] < end - 0.01
        ]


def _request(command: Any) -> records.Request | None:
    match command:
        case commands.Put():
            return records.Put(
                command.key,
                command.value,
                command.lease,
                command.prev_kv,
                command.ignore_value,
                command.ignore_lease,
            )
        case commands.DeleteRange():
            return records.DeleteRange(command.key, command.range_end, command.prev_kv)
        case commands.Range():
            return records.Range(command.key, command.range_end, revision=command.revision)
        case commands.Txn():
            return _txn(command)
        case commands.Compact():
            return records.Compact(command.revision)
        case commands.LeaseGrant():
            return records.LeaseGrant(command.ttl, command.id)
        case commands.LeaseRevoke():
            return records.LeaseRevoke(command.id)
        case _:
            return None


def _txn(txn: commands.Txn) -> records.Txn:
    compares = tuple(
        records.Compare(
            one.key,
            _TARGETS[one.target],
            _OPERATORS[one.result],
            one.number,
            one.value,
            one.range_end,
        )
        for one in txn.compares
    )
    branches: list[Any] = [
        tuple(_request(op) for op in branch) for branch in (txn.success, txn.failure)
    ]
    return records.Txn(compares, branches[0], branches[1])


class _Reads:
    """Every range that was answered shows the state of the revision it names, and no older one than it had to."""

    def __init__(self, model: Model) -> None:
        self._model = model

    def check(self, history: History) -> list[Violation]:
        """Violations, oldest first."""
        found: list[Violation] = []
        operations = sorted(history.operations, key=lambda one: one.called)
        ended = sorted(
            (one for one in operations if isinstance(one.outcome, records.Ok)),
            key=lambda one: one.returned,
        )
        floor, position = 1, 0
        for one in operations:
            while position < len(ended) and ended[position].returned < one.called:
                outcome = ended[position].outcome
                if isinstance(outcome, records.Ok) and not _is_local(ended[position].request):
                    floor = max(floor, outcome.revision)
                position += 1
            if isinstance(one.outcome, records.Ok):
                message = self._look(one.request, one.outcome, floor)
                if message:
                    found.append(Violation("reads", message, (one.id,), one.returned))
        return found

    def _look(self, request: records.Request, outcome: records.Ok, floor: int) -> str:
        model = self._model
        if outcome.revision > model.revision:
            return f"told of revision {outcome.revision}, the log ends at {model.revision}"
        if not _is_local(request) and outcome.revision < floor:
            return f"told of revision {outcome.revision} after {floor} was acknowledged"
        if isinstance(request, records.Put | records.DeleteRange):
            return self._written(request, outcome)
        if not isinstance(request, records.Range) or not isinstance(
            outcome.reply, records.RangeReply
        ):
            return ""
        at = request.revision or outcome.revision
        if at > outcome.revision:
            return f"read at revision {at} while at {outcome.revision}"
        wanted = model.read(replace(request, revision=at))
        if wanted != outcome.reply:
            return f"at revision {at} there was {_brief(wanted)}, told {_brief(outcome.reply)}"
        return ""

    def _written(self, request: records.Put | records.DeleteRange, outcome: records.Ok) -> str:
        if isinstance(request, records.Put):
            at = self._model.select(request.key, b"", outcome.revision)
            if not at or (at[0].mod_revision, at[0].value) != (outcome.revision, request.value):
                return f"a put acknowledged at revision {outcome.revision} is not there"
        return ""


def _is_local(request: records.Request) -> bool:
    """Whether the answer's revision need not be new."""
    if isinstance(request, records.Range):
        return request.serializable
    return isinstance(
        request, records.LeaseTimeToLive | records.LeaseLeases | records.LeaseKeepAlive
    )


def _brief(reply: records.RangeReply) -> str:
    return str([(kv.key, kv.mod_revision, kv.version) for kv in reply.kvs[:6]])


def check_session(
    session: WatchSession,
    truth: Sequence[tuple[int, tuple[records.WatchEvent, ...]]],
) -> str:
    """What is wrong with what a session received, or nothing: all events from its start on, in order, once, whole."""
    request = session.request
    start = request.start_revision
    expected: list[records.WatchEvent] = []
    position = 0
    for response in session.responses:
        if response.kind == "created":
            start = start or response.revision + 1
            expected = _expected(request, truth, start)
        elif response.kind == "canceled":
            if response.compact_revision and start >= response.compact_revision and not position:
                return f"begun at {start}, cancelled for compaction to {response.compact_revision}"
            return ""
        elif response.kind in ("events", "progress"):
            message, position = _follow(response, expected, position)
            if message:
                return message
    return ""


def _expected(
    request: records.WatchRecord, truth: Sequence[Any], start: int
) -> list[records.WatchEvent]:
    return [
        event
        for revision, events in truth
        if revision >= start
        for event in events
        if in_range(event.kv.key, request.key, request.range_end)
        and not (request.no_put if event.kind == "PUT" else request.no_delete)
    ]


def _follow(
    response: records.WatchResponse,
    expected: list[records.WatchEvent],
    position: int,
) -> tuple[str, int]:
    for event in response.events:
        revision = event.kv.mod_revision
        if position >= len(expected):
            return f"an event of {event.kv.key!r} at {revision} that never was", position
        wanted = expected[position]
        position += 1
        if (event.kind, event.kv) != (wanted.kind, wanted.kv):
            at = wanted.kv.mod_revision
            return (
                f"{event.kind} {event.kv.key!r} at {revision} where {wanted.kind} "
                f"{wanted.kv.key!r} at {at} comes next",
                position,
            )
        if event.prev_kv is not None and event.prev_kv != wanted.prev_kv:
            return f"another prev_kv of {event.kv.key!r} at {revision}", position
    ended = position == len(expected)
    if response.events and not response.fragment:
        last = response.events[-1].kv.mod_revision
        if not ended and expected[position].kv.mod_revision == last:
            return f"revision {last} came in pieces", position
        if response.revision < last:
            return f"an event of {last} under the header of {response.revision}", position
    if response.kind == "progress" and not ended:
        next_revision = expected[position].kv.mod_revision
        if next_revision <= response.revision:
            return (
                f"progress {response.revision} was told before the event of {next_revision}",
                position,
            )
    return "", position
