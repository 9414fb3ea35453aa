"""Watches keep etcd's promises: ordered, unique, reliable, atomic, resumable, bookmarkable.

What a watch told is compared with the history reconstructed from the operations (and from the watches themselves,
where no operation was acknowledged): every event of its keys from its start up to what it has confirmed, each once, in
order of revisions, all of a revision in one response, filters and prev_kv as asked. A progress mark at revision r says
that nothing up to r is missing, so an event at or below r that comes later is a broken promise.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from kvstore.testing.check import words
from kvstore.testing.check.linearizable import explain
from kvstore.testing.check.violation import Violation
from kvstore.testing.history.history import History, WatchSession
from kvstore.testing.history.model import in_range
from kvstore.testing.history.records import Compact, Failed, StartRecord, WatchEvent, WatchRecord

PROPERTY = "watch"
_MOST = 20
_Truth = Mapping[int, tuple[WatchEvent, ...]]


def check(history: History) -> list[Violation]:
    """Violations of what a watch promises."""
    sessions = history.watches
    if not sessions:
        return []
    explanation = explain(history, with_watches=True)
    violations: list[Violation] = []
    truth: _Truth = explanation.events
    if explanation.violations:
        plain = explain(history)
        truth = plain.events
        if not plain.violations:
            first = explanation.violations[0]
            violations.append(
                Violation(
                    PROPERTY,
                    f"what watches told fits no order of the operations: {first.message}",
                    first.operations,
                )
            )
    start = min((one.revision for one in history.nodes if isinstance(one, StartRecord)), default=1)
    truth = {revision: events for revision, events in truth.items() if revision > start}
    compacted = max(
        (
            one.request.revision
            for one in history.operations
            if isinstance(one.request, Compact) and not isinstance(one.outcome, Failed)
        ),
        default=0,
    )
    covered: dict[int, _Covered] = {}
    for session in sessions:
        covered[session.request.id], found = _follow(session)
        violations += found
        violations += _compare(session, covered[session.request.id], truth, compacted)
        violations += _resumed(session, covered, truth)
    return violations[:_MOST]


@dataclass(slots=True)
class _Covered:
    """What a session has told: all events in `(since, until]`."""

    since: int | None
    until: int
    events: dict[tuple[int, bytes], WatchEvent] = field(default_factory=dict)


def _name(request: WatchRecord) -> str:
    keys = words.text(request.key)
    if request.range_end:
        keys = f"[{keys}, {words.text(request.range_end)})"
    return f"watch of {keys} (#{request.id} of {request.client})"


def _follow(session: WatchSession) -> tuple[_Covered, list[Violation]]:
    """Go through the responses: order, uniqueness, atomicity, progress."""
    request = session.request
    since = request.start_revision - 1 if request.start_revision > 0 else None
    covered = _Covered(since, since or 0)
    violations: list[Violation] = []
    marked = 0
    newest = 0
    is_open = False  # A fragment was received, the rest follows.

    def wrong(message: str, time: float) -> None:
        violations.append(Violation(PROPERTY, f"{_name(request)} {message}", (request.id,), time))

    for response in session.responses:
        if response.kind == "created" and covered.since is None:
            covered.since = covered.until = response.revision
        if response.kind == "progress":
            marked = max(marked, response.revision)
        for position, event in enumerate(response.events):
            revision = event.kv.mod_revision
            identity = (revision, event.kv.key)
            if identity in covered.events:
                wrong(f"got {_told(event)} twice: not unique", response.time)
            elif revision < newest:
                wrong(f"got {_told(event)} after revision {newest}: not ordered", response.time)
            elif revision == newest and position == 0 and not is_open:
                wrong(f"got revision {revision} in two responses: not atomic", response.time)
            elif revision <= marked:
                wrong(
                    f"got {_told(event)} after a progress mark at revision {marked}: "
                    f"progress was ahead",
                    response.time,
                )
            if revision > response.revision:
                wrong(
                    f"got {_told(event)} under a header of revision {response.revision}",
                    response.time,
                )
            newest = max(newest, revision)
            covered.events[identity] = event
        if response.events:
            is_open = response.fragment
    covered.until = max(covered.until, newest - (1 if is_open else 0), marked)
    return covered, violations


def _compare(
    session: WatchSession, covered: _Covered, truth: _Truth, compacted: int
) -> Iterator[Violation]:
    """What was told against what happened."""
    request = session.request

    def wrong(message: str) -> Violation:
        return Violation(PROPERTY, f"{_name(request)} {message}", (request.id,))

    for (revision, key), event in covered.events.items():
        if not in_range(key, request.key, request.range_end):
            yield wrong(f"got {_told(event)}, which is none of its keys")
        elif _is_filtered(request, event):
            yield wrong(f"got {_told(event)}, which its filter excludes")
        elif covered.since is not None and revision <= covered.since:
            yield wrong(f"got {_told(event)}, which is before its start")
        elif truth:
            real = next((one for one in truth.get(revision, ()) if one.kv.key == key), None)
            yield from map(wrong, _differences(request, event, real, compacted))
    if covered.since is None:
        return
    for revision in truth:
        if covered.since < revision <= covered.until:
            for real in truth[revision]:
                if (revision, real.kv.key) not in covered.events and _is_wanted(request, real):
                    yield wrong(
                        f"missed {_told(real)}, although it was told of all up to revision "
                        f"{covered.until}: not reliable"
                    )


def _differences(
    request: WatchRecord, event: WatchEvent, real: WatchEvent | None, compacted: int
) -> Iterator[str]:
    if real is None or real.kind != event.kind or real.kv != event.kv:
        yield f"got {_told(event)}, where there was {_told(real) if real else 'no such event'}"
    elif not request.prev_kv:
        if event.prev_kv is not None:
            yield f"got {_told(event)} with a prev_kv that it did not ask for"
    elif event.prev_kv != real.prev_kv and not (event.prev_kv is None and compacted):
        yield (
            f"got {_told(event)} with prev_kv {words.found(event.prev_kv)}; it was "
            f"{words.found(real.prev_kv)}"
        )


def _resumed(
    session: WatchSession, covered: dict[int, _Covered], truth: _Truth
) -> Iterator[Violation]:
    """What fell between a session and the one that went on for it, or came in both."""
    request = session.request
    before, now = covered.get(request.resumes), covered[request.id]
    if not request.resumes or before is None or now.since is None:
        return
    for revision in truth:
        if before.until < revision <= now.since:
            for real in truth[revision]:
                if _is_wanted(request, real):
                    yield Violation(
                        PROPERTY,
                        f"{_name(request)} went on at revision {now.since + 1} for #{request.resumes}, "
                        f"which had been told up to {before.until}: {_told(real)} was lost between",
                        (request.resumes, request.id),
                    )
    for identity, event in now.events.items():
        if identity in before.events:
            yield Violation(
                PROPERTY,
                f"{_name(request)} got {_told(event)} again, which #{request.resumes} had been told",
                (request.resumes, request.id),
            )


def _is_filtered(request: WatchRecord, event: WatchEvent) -> bool:
    return request.no_put if event.kind == "PUT" else request.no_delete


def _is_wanted(request: WatchRecord, event: WatchEvent) -> bool:
    return in_range(event.kv.key, request.key, request.range_end) and not _is_filtered(
        request, event
    )


def _told(event: WatchEvent) -> str:
    if event.kind == "PUT":
        return f"put of {words.found(event.kv)}"
    return f"deletion of {words.text(event.kv.key)} at revision {event.kv.mod_revision}"
