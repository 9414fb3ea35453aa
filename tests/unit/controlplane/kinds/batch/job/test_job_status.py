"""The status of a Job moves forward only."""

import copy

import pytest

from controlplane.kinds.batch.job.status import validate_status

T0, T1 = "2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z"


def condition(kind, status="True"):
    return {"type": kind, "status": status}


RUNNING = {"startTime": T0, "active": 1, "ready": 1}
COMPLETE = {
    "startTime": T0,
    "completionTime": T1,
    "succeeded": 1,
    "conditions": [condition("SuccessCriteriaMet"), condition("Complete")],
}
FAILED = {
    "startTime": T0,
    "failed": 1,
    "conditions": [condition("FailureTarget"), condition("Failed")],
}


def causes(old, new, **spec):
    spec = {"completions": 3, "parallelism": 1, "completionMode": "NonIndexed", **spec}
    before = {"spec": spec, "status": copy.deepcopy(old)}
    return [
        f"{cause.field}: {cause.message.rpartition(': ')[2]}"
        for cause in validate_status({"spec": spec, "status": new}, before)
    ]


@pytest.mark.parametrize(("old", "new"), [(RUNNING, COMPLETE), (RUNNING, FAILED), ({}, RUNNING)])
def test_the_usual_ways_are_open(old, new):
    assert causes(old, new) == []


REFUSED = [
    (
        COMPLETE,
        RUNNING,
        {},
        [
            "status.conditions: cannot disable the terminal Complete=True condition",
            "status.succeeded: cannot decrease the succeeded counter",
            "status.conditions: cannot disable the SuccessCriteriaMet=True condition",
        ],
    ),
    (
        RUNNING,
        {**COMPLETE, "active": 1},
        {},
        ["status.active: active>0 is invalid for finished job"],
    ),
    (
        RUNNING,
        {"startTime": T0, "conditions": [condition("Failed")]},
        {},
        [
            "status.conditions: cannot set Failed=True condition without the FailureTarget=true "
            "condition"
        ],
    ),
    (
        RUNNING,
        {**RUNNING, "completionTime": T1},
        {},
        [
            "status.completionTime: cannot set completionTime when there is no Complete=True "
            "condition"
        ],
    ),
    (
        RUNNING,
        {**RUNNING, "ready": 2},
        {},
        ["status.ready: cannot set more ready pods than active"],
    ),
    (
        RUNNING,
        {**RUNNING, "startTime": T1},
        {},
        ["status.startTime: field is immutable for unsuspended job once set"],
    ),
    (
        RUNNING,
        {**RUNNING, "completedIndexes": "0"},
        {},
        [
            "status.completedIndexes: cannot set non-empty completedIndexes when non-indexed "
            "completion mode"
        ],
    ),
    (
        RUNNING,
        {**RUNNING, "completedIndexes": "0,2", "failedIndexes": "2"},
        {"completionMode": "Indexed", "backoffLimitPerIndex": 1},
        ["status.failedIndexes: 2"],
    ),
    (
        RUNNING,
        {**RUNNING, "completedIndexes": "7"},
        {"completionMode": "Indexed"},
        ['status.completedIndexes: "7"'],
    ),
    (
        RUNNING,
        {**RUNNING, "uncountedTerminatedPods": {"succeeded": ["a"], "failed": ["a"]}},
        {},
        ['status.uncountedTerminatedPods.failed[0]: "a"'],
    ),
]


@pytest.mark.parametrize(("old", "new", "spec", "expected"), REFUSED)
def test_what_cannot_be_is_refused(old, new, spec, expected):
    assert causes(old, new, **spec) == expected


def test_an_elastic_job_may_lose_finished_indexes():
    old = {**RUNNING, "succeeded": 2}
    spec = {"completionMode": "Indexed", "completions": 1, "parallelism": 1}
    assert causes(old, {**RUNNING, "succeeded": 1}, **spec) == []


def test_a_resumed_job_starts_anew():
    old = {"startTime": T0, "conditions": [condition("Suspended")]}
    new = {"startTime": T1, "conditions": [condition("Suspended", "False")]}
    assert causes(old, new) == []
