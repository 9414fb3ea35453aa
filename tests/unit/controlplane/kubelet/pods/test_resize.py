"""Resources that change while a pod runs."""

import json
from pathlib import Path
from typing import Any

import pytest

from controlplane.kubelet.pods.allocation import Allocation
from controlplane.kubelet.pods.resize import (
    felt_changes,
    needs_restart,
    resources_of,
    same,
    summary,
    with_resources,
)


def amounts(**values: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        kind, _, name = key.partition("_")
        found.setdefault(kind, {})[name] = value
    return found


def pod(resources: dict[str, Any]) -> dict[str, Any]:
    container = {"name": "c", "image": "x", "resources": resources}
    meta = {"name": "p", "uid": "u", "generation": 3}
    return {"metadata": meta, "spec": {"containers": [container, {"name": "d", "image": "x"}]}}


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (amounts(limits_cpu="1"), amounts(limits_cpu="1000m"), set()),
        (amounts(limits_cpu="1"), amounts(limits_cpu="2"), {"cpu"}),
        (amounts(requests_cpu="1"), amounts(requests_cpu="2"), {"cpu"}),
        (amounts(requests_memory="1Gi"), amounts(requests_memory="2Gi"), set()),
        (amounts(limits_memory="1Gi"), amounts(), {"memory"}),
        (amounts(), amounts(limits_memory="1Gi", limits_cpu="1"), {"cpu", "memory"}),
    ],
    ids=["written_otherwise", "limit", "request", "memory_is_only_counted", "taken_away", "added"],
)
def test_what_a_container_feels(before: Any, after: Any, expected: set[str]) -> None:
    assert felt_changes(before, after) == expected


@pytest.mark.parametrize(
    ("policy", "changes", "expected"),
    [("RestartContainer", {"cpu"}, True), ("RestartContainer", {"memory"}, False),
     ("NotRequired", {"cpu"}, False)],
)  # fmt: skip
def test_policies(policy: str, changes: set[str], expected: bool) -> None:
    container = {"resizePolicy": [{"resourceName": "cpu", "restartPolicy": policy}]}
    assert needs_restart(container, changes) is expected


def test_a_pod_with_what_it_was_granted() -> None:
    wished, granted = pod(amounts(limits_cpu="2")), {"c": amounts(limits_cpu="1")}
    seen = with_resources(wished, granted)
    assert resources_of(seen) == {"c": amounts(limits_cpu="1"), "d": {}}
    assert wished["spec"]["containers"][0]["resources"] == amounts(limits_cpu="2"), "not touched"
    assert same(resources_of(wished), {"c": amounts(limits_cpu="2000m"), "d": {}})
    assert not same(resources_of(wished), resources_of(seen))
    assert json.loads(summary(wished, "no room")) == {
        "containers": [
            {"name": "c", "resources": amounts(limits_cpu="2")},
            {"name": "d", "resources": {}},
        ],
        "generation": 3,
        "error": "no room",
    }


def test_what_was_granted_outlives_the_kubelet(tmp_path: Path) -> None:
    file = tmp_path / "u/allocation.json"
    before = Allocation(file, pod(amounts(limits_cpu="1")))
    before.give("c")
    after = Allocation(file, pod(amounts(limits_cpu="9")))
    assert after.allocated["c"] == after.actual["c"] == amounts(limits_cpu="1")
    after.grant(pod(amounts(limits_cpu="9")))
    again = Allocation(file, pod(amounts(limits_cpu="9")))
    assert (again.allocated["c"], again.actual["c"]) == (
        amounts(limits_cpu="9"),
        amounts(limits_cpu="1"),
    )
