"""What came of each test, and the page that says so. Pure.

A result is `passed`, `failed`, `skipped` (by the test itself, with its reason) or `timed out` (not ended in time).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cli.conformance.suite import Spec

PASSED, FAILED, SKIPPED, TIMED_OUT = "passed", "failed", "skipped", "timed out"
# One line of a table: more of a failure stands in the log of the run.
_REASON_CHARACTERS = 300
_NOISE = (
    (re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ?"), "<time>"),
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"), "<uid>"),
    (re.compile(r"0x[0-9a-f]{6,}"), "<address>"),
    (re.compile(r"\s+"), " "),
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one test ended, why when it did not pass, and how long it took in seconds."""

    name: str
    result: str
    reason: str = ""
    seconds: float = 0.0


def from_report(spec: Spec, report: Any, seconds: float) -> Outcome:
    """The outcome in a Ginkgo JSON report of a run that was focused on one spec.

    A report that holds no run of it means that the suite's own set-up failed, or that the name fits no spec: a failure,
    with the set-up's message where there is one.
    """
    setup = ""
    for suite in report if isinstance(report, list) else ():
        for row in suite.get("SpecReports") or ():
            state = row.get("State", "")
            failure = _shortened((row.get("Failure") or {}).get("Message", ""))
            if row.get("LeafNodeType") != "It":
                setup = setup or (failure if state not in ("passed", "skipped") else "")
                continue
            if _full_name(row) != spec.name or state == "pending":
                continue
            if state == "passed":
                return Outcome(spec.name, PASSED, "", seconds)
            if state == "skipped":
                if not failure:
                    continue
                return Outcome(spec.name, SKIPPED, failure, seconds)
            return Outcome(spec.name, FAILED, failure or state, seconds)
    return Outcome(spec.name, FAILED, setup or "the program ran no such test", seconds)


def _full_name(row: Mapping[str, Any]) -> str:
    words = [*(row.get("ContainerHierarchyTexts") or ()), row.get("LeafNodeText", "")]
    return " ".join(word for word in words if word)


def _shortened(text: str) -> str:
    for pattern, instead in _NOISE:
        text = pattern.sub(instead, text)
    text = text.strip()
    return text if len(text) <= _REASON_CHARACTERS else text[: _REASON_CHARACTERS - 1] + "…"


def counts(outcomes: Iterable[Outcome]) -> dict[str, int]:
    """How many ended how."""
    result = dict.fromkeys((PASSED, FAILED, SKIPPED, TIMED_OUT), 0)
    for outcome in outcomes:
        result[outcome.result] += 1
    return result


def page(specs: Sequence[Spec], outcomes: Mapping[str, Outcome], *, version: str, when: str) -> str:
    """The ledger in Markdown: totals by area, then every test with what came of it.

    `version` is what the server says of itself, `when` the date. A test without an outcome was not run.
    """
    passed = sum(1 for spec in specs if _result(spec, outcomes) == PASSED)
    lines = [
        "# Conformance",
        "",
        f"Upstream's conformance tests against this control plane and its nodes ({version}, {when}):",
        f"**{passed} of {len(specs)} pass.** Written by `quorate conformance`.",
        "",
        "| area | tests | pass | fail | timed out | skipped | not run |",
        "|---|---|---|---|---|---|---|",
    ]
    areas = sorted({spec.area for spec in specs})
    for area in areas:
        mine = [_result(spec, outcomes) for spec in specs if spec.area == area]
        row = [mine.count(word) for word in (PASSED, FAILED, TIMED_OUT, SKIPPED, "not run")]
        lines.append(f"| {area} | {len(mine)} | " + " | ".join(map(str, row)) + " |")
    for area in areas:
        lines += ["", f"## {area}", "", "| test | result | why |", "|---|---|---|"]
        for spec in specs:
            if spec.area != area:
                continue
            outcome = outcomes.get(spec.name)
            why = _cell(outcome.reason) if outcome else ""
            lines.append(f"| {_cell(spec.name)} | {_result(spec, outcomes)} | {why} |")
    return "\n".join(lines) + "\n"


def _result(spec: Spec, outcomes: Mapping[str, Outcome]) -> str:
    outcome = outcomes.get(spec.name)
    return outcome.result if outcome else "not run"


def _cell(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
