"""Which conformance tests are chosen, and what a report of one says."""

import re

import pytest

from cli.conformance import ledger, suite
from cli.conformance.ledger import Outcome
from cli.conformance.suite import Spec

APPS = Spec("[sig-apps] Job should run a job (to completion) [Conformance]")
NODE = Spec("[sig-node] Pods should | be [Serial] [Conformance]")


def test_a_listing_gives_each_name_once_in_order() -> None:
    rows = [{"codename": "b"}, {"codename": "a"}, {"codename": "b", "testname": "x"}]
    assert [spec.name for spec in suite.from_listing(rows)] == ["a", "b"]


@pytest.mark.parametrize("rows", [None, [], "text", [{"testname": "x"}], [{"codename": ""}], ["x"]])
def test_what_is_no_listing_is_refused(rows: object) -> None:
    with pytest.raises(ValueError, match="test"):
        suite.from_listing(rows)


def test_the_focus_of_a_name_takes_that_name_only() -> None:
    assert re.search(APPS.focus, APPS.name)
    assert re.search(APPS.focus, f"Kubernetes e2e suite {APPS.name} label")
    assert not re.search(APPS.focus, APPS.name.replace("(to completion)", "to completion"))


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        pytest.param({}, [APPS, NODE], id="serial_ones_last"),
        pytest.param({"focus": "Pods"}, [NODE], id="focus"),
        pytest.param({"skip": r"\[Serial\]"}, [APPS], id="skip"),
        pytest.param({"areas": ("sig-node",)}, [NODE], id="area"),
        pytest.param({"done": [APPS.name]}, [NODE], id="done_before"),
    ],
)
def test_choice(options: dict[str, object], wanted: list[Spec]) -> None:
    assert suite.choose([NODE, APPS], **options) == wanted  # type: ignore[arg-type]


def row(spec: Spec, state: str, message: str = "", leaf: str = "It") -> dict[str, object]:
    area, _, rest = spec.name.partition(" ")
    failure = {"Failure": {"Message": message}} if message else {}
    return {
        "LeafNodeType": leaf,
        "ContainerHierarchyTexts": [area],
        "LeafNodeText": rest,
        "State": state,
        **failure,
    }


@pytest.mark.parametrize(
    ("rows", "result", "reason"),
    [
        pytest.param([row(APPS, "passed")], ledger.PASSED, "", id="passed"),
        pytest.param([row(APPS, "failed", "no\n  pod")], ledger.FAILED, "no pod", id="failed"),
        pytest.param([row(APPS, "panicked")], ledger.FAILED, "panicked", id="panicked"),
        pytest.param([row(APPS, "skipped", "one node")], ledger.SKIPPED, "one node", id="skipped"),
        pytest.param(
            [row(NODE, "passed")],
            ledger.FAILED,
            "the program ran no such test",
            id="other_spec_only",
        ),
        pytest.param(
            [row(APPS, "failed", "no nodes", "BeforeSuite"), row(APPS, "skipped")],
            ledger.FAILED,
            "no nodes",
            id="set_up_failed",
        ),
        pytest.param([], ledger.FAILED, "the program ran no such test", id="empty"),
    ],
)
def test_a_report_is_read(rows: list[dict[str, object]], result: str, reason: str) -> None:
    found = ledger.from_report(APPS, [{"SpecReports": rows}], 2.0)
    assert (found.result, found.reason) == (result, reason)


def test_a_reason_is_free_of_what_differs_between_runs() -> None:
    message = "pod 0b5e6c3a-2d5e-4c39-9d27-0a6f4f6d5c11 at 2026-01-02T03:04:05Z in 0xc000123456"
    found = ledger.from_report(APPS, [{"SpecReports": [row(APPS, "failed", message)]}], 1.0)
    assert found.reason == "pod <uid> at <time> in <address>"


def test_the_page_counts_by_area_and_names_every_test() -> None:
    outcomes = {APPS.name: Outcome(APPS.name, ledger.PASSED)}
    text = ledger.page([APPS, NODE], outcomes, version="v1", when="2030-01-01")
    assert "**1 of 2 pass.**" in text
    assert "| sig-apps | 1 | 1 | 0 | 0 | 0 | 0 |" in text
    assert "| sig-node | 1 | 0 | 0 | 0 | 0 | 1 |" in text
    assert "| [sig-node] Pods should \\| be [Serial] [Conformance] | not run |  |" in text
