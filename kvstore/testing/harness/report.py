"""One self-contained HTML page of a run: who led, what was wrong, what clients saw, and where a promise was broken.

The page holds its data as JSON and draws it on a canvas with a little script of its own; nothing is fetched, so it can
be attached to a bug report. Its size is bounded: operations that took part in a violation are always kept, others are
thinned out evenly, and latency percentiles come from all of them before that.
"""

import html
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from kvstore.testing.check import words
from kvstore.testing.check.violation import Violation
from kvstore.testing.history.history import History
from kvstore.testing.history.records import (
    DigestRecord,
    FaultRecord,
    LeaderRecord,
    MemberRecord,
    Note,
    Ok,
    Operation,
    Unknown,
    WatchRecord,
    WatchResponse,
)

MAX_OPERATIONS = 12_000
MAX_WATCH_MARKS = 4_000
MAX_VIOLATIONS = 100
LATENCY_BUCKETS = 400
_TEXT_BYTES = 160
_HIDDEN = ("chaos", "others")
"""Clients whose requests are not part of the traffic."""


def write_report(
    path: Path, history: History, violations: Sequence[Violation], *, title: str
) -> None:
    """Write the page for `history` to `path`. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render(history, violations, title=title), encoding="utf-8")


def render(history: History, violations: Sequence[Violation], *, title: str) -> str:
    """The page as text."""
    data = page_data(history, violations)
    # "</" would end the script element, wherever it stands.
    body = json.dumps(data, separators=(",", ":")).replace("</", "<\\/")
    template = Path(__file__).with_name("report.html").read_text(encoding="utf-8")
    return template.replace("{{title}}", html.escape(title)).replace("{{data}}", body)


def page_data(history: History, violations: Sequence[Violation]) -> dict[str, Any]:
    """What the page draws; times are seconds since the first record."""
    operations = [one for one in history.operations if one.client not in _HIDDEN]
    start, end = _span(history)
    guilty = {one for violation in violations for one in violation.operations}
    shown = _thinned(operations, guilty)
    clients = sorted({one.client for one in operations})
    rows = {name: row for row, name in enumerate(clients)}
    return {
        "seed": history.header.seed,
        "info": history.header.info,
        "duration": round(end - start, 3),
        "violations": [
            {
                "text": str(one)[:2000],
                "operations": list(one.operations[:50]),
                "time": round(max(0.0, one.time - start), 3) if one.time else None,
            }
            for one in list(violations)[:MAX_VIOLATIONS]
        ],
        "violationCount": len(violations),
        "members": _members(history),
        "leaders": _leaders(history, start, end),
        "faults": _faults(history, start, end),
        "states": [
            [round(one.time - start, 3), one.member, one.state]
            for one in history.nodes
            if isinstance(one, MemberRecord)
        ],
        "notes": [
            [round(one.time - start, 3), one.text[:300]]
            for one in history.nodes
            if isinstance(one, Note)
        ][:500],
        "digests": [
            [one.member, one.revision, f"{one.hash:08x}"]
            for one in history.nodes
            if isinstance(one, DigestRecord)
        ],
        "clients": clients,
        "operations": [_operation(one, start, rows, guilty) for one in shown],
        "operationCount": len(operations),
        "counts": _counts(operations),
        "latency": _latency(operations, start, end),
        "watches": _watches(history, start),
    }


def _span(history: History) -> tuple[float, float]:
    times: list[float] = []
    for record in history.records:
        if isinstance(record, Operation):
            times += (record.called, record.returned)
        else:
            times.append(record.time)
    return (min(times), max(times)) if times else (0.0, 0.0)


def _thinned(operations: Sequence[Operation], guilty: set[int]) -> list[Operation]:
    if len(operations) <= MAX_OPERATIONS:
        return list(operations)
    # What is long or odd is what one looks for: keep it before the many that went well at once.
    kept = {one.id for one in operations if one.id in guilty}
    odd = [one for one in operations if not isinstance(one.outcome, Ok)]
    long = sorted(operations, key=lambda one: one.called - one.returned)
    for group in (odd[: MAX_OPERATIONS // 3], long[: MAX_OPERATIONS // 3]):
        kept.update(one.id for one in group)
    step = max(1, len(operations) // max(1, MAX_OPERATIONS - len(kept)) + 1)
    return [one for at, one in enumerate(operations) if one.id in kept or at % step == 0]


def _operation(one: Operation, start: float, rows: dict[str, int], guilty: set[int]) -> list[Any]:
    """[id, client row, start ms, length ms, state, text]; state: 0 done, 1 refused, 2 unknown, +4 in a violation."""
    outcome = one.outcome
    if isinstance(outcome, Ok):
        state, answer = 0, f"{words.answered(outcome.reply)} @{outcome.revision}"
    else:
        state = 2 if isinstance(outcome, Unknown) else 1
        answer = f"{'unknown: ' if state == 2 else ''}{outcome.error}"
    limit = 2000 if one.id in guilty else _TEXT_BYTES
    text = f"{words.asked(one.request)[:limit]} → {answer[:limit]}"
    begin = round((one.called - start) * 1000, 1)
    length = round((one.returned - one.called) * 1000, 1)
    return [one.id, rows[one.client], begin, length, state + 4 * (one.id in guilty), text]


def _members(history: History) -> list[str]:
    found: set[str] = set()
    for node in history.nodes:
        if isinstance(node, LeaderRecord | MemberRecord | DigestRecord):
            found.add(node.member)
        elif isinstance(node, FaultRecord):
            found.update(node.targets)
    return sorted(found)


def _leaders(history: History, start: float, end: float) -> list[list[Any]]:
    """[member, from, to, term]."""
    spans: list[list[Any]] = []
    open_spans: dict[str, list[Any]] = {}
    for node in history.nodes:
        if isinstance(node, FaultRecord) and node.is_on and node.kind in ("kill", "restart"):
            for member in node.targets:
                if (ended := open_spans.pop(member, None)) is not None:
                    ended[2] = round(node.time - start, 3)
        if not isinstance(node, LeaderRecord):
            continue
        at = round(node.time - start, 3)
        before = open_spans.pop(node.member, None)
        if before is not None:
            before[2] = at
        if node.is_leader:
            # Who stopped answering while it led is not seen to step down: a later term ends it.
            for other in open_spans.values():
                if other[3] < node.term:
                    other[2] = min(other[2], at)
            span = [node.member, at, round(end - start, 3), node.term]
            open_spans[node.member] = span
            spans.append(span)
    return spans


def _faults(history: History, start: float, end: float) -> list[list[Any]]:
    """[kind, targets, from, to, detail]."""
    spans: list[list[Any]] = []
    running: dict[tuple[str, tuple[str, ...], str], list[list[Any]]] = {}
    for node in history.nodes:
        if not isinstance(node, FaultRecord):
            continue
        at, key = round(node.time - start, 3), (node.kind, node.targets, node.detail)
        if node.is_on:
            span = [node.kind, list(node.targets), at, round(end - start, 3), node.detail]
            running.setdefault(key, []).append(span)
            spans.append(span)
        elif running.get(key):
            running[key].pop(0)[3] = at
    return spans


def _counts(operations: Iterable[Operation]) -> dict[str, list[int]]:
    """By kind: done, refused, unknown."""
    counts: dict[str, list[int]] = {}
    for one in operations:
        state = 0 if isinstance(one.outcome, Ok) else 2 if isinstance(one.outcome, Unknown) else 1
        counts.setdefault(one.kind, [0, 0, 0])[state] += 1
    return dict(sorted(counts.items()))


def _latency(operations: Sequence[Operation], start: float, end: float) -> dict[str, Any]:
    """Of what the store answered: percentiles over the run and in each slice of it, in milliseconds."""
    width = max((end - start) / LATENCY_BUCKETS, 0.05)
    buckets: dict[int, list[float]] = {}
    everything: list[float] = []
    for one in operations:
        if isinstance(one.outcome, Ok) and one.kind not in ("lock", "unlock", "guarded"):
            length = (one.returned - one.called) * 1000
            everything.append(length)
            buckets.setdefault(int((one.returned - start) / width), []).append(length)
    return {
        "width": round(width, 4),
        "all": _percentiles(everything),
        "slices": [[at, len(found), *_percentiles(found)] for at, found in sorted(buckets.items())],
    }


def _percentiles(values: list[float]) -> list[float]:
    """p50, p99 and the longest."""
    if not values:
        return [0.0, 0.0, 0.0]
    values = sorted(values)
    last = len(values) - 1
    return [round(values[int(share * last)], 2) for share in (0.5, 0.99, 1.0)]


def _watches(history: History, start: float) -> list[list[Any]]:
    """[client, [[time, kind, events, revision], …]]: kind 0 created, 1 events, 2 progress, 3 canceled, 4 broken."""
    kinds = {"created": 0, "events": 1, "progress": 2, "canceled": 3, "broken": 4}
    names: dict[int, str] = {}
    marks: dict[str, list[list[Any]]] = {}
    count = 0
    for record in history.records:
        if isinstance(record, WatchRecord):
            names[record.id] = record.client
        elif isinstance(record, WatchResponse):
            count += 1
            mark = [
                round(record.time - start, 3),
                kinds.get(record.kind, 4),
                len(record.events),
                record.revision,
            ]
            marks.setdefault(names.get(record.watch, "?"), []).append(mark)
    step = max(1, count // MAX_WATCH_MARKS)
    return [
        [name, [mark for at, mark in enumerate(found) if at % step == 0 or mark[1] != 1]]
        for name, found in sorted(marks.items())
    ]
