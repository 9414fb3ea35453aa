"""What the API server says to priorityclasses; answers of Kubernetes 1.36 to the same requests."""

import pytest

from controlplane.kinds.scheduling.priority_class import KIND

ABSENT = "<absent>"

BASES = {
    "gold-rich": {
        "apiVersion": "scheduling.k8s.io/v1",
        "description": "d",
        "globalDefault": False,
        "kind": "PriorityClass",
        "metadata": {"name": "gold-rich"},
        "preemptionPolicy": "Never",
        "value": -5,
    },
    "gold-min": {
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": {"name": "gold-min"},
        "value": 5,
    },
}

# base, field, value, the causes.
REFUSED = [
    ("gold-rich", "/preemptionPolicy", "", ["preemptionPolicy: Required value"]),
    (
        "gold-rich",
        "/preemptionPolicy",
        "Bad_Value!",
        [
            'preemptionPolicy: Unsupported value: "Bad_Value!": supported values: '
            '"PreemptLowerPriority", "Never"'
        ],
    ),
]


@pytest.mark.parametrize(("base", "path", "value", "causes"), REFUSED)
def test_a_spoilt_field_is_refused_with_its_path(judge, base, path, value, causes):
    assert sorted(judge.refusals(KIND, BASES[base], path, value)) == sorted(causes)


# Odd, and let pass.
ACCEPTED = [
    ("gold-min", "/value", "<absent>"),
    ("gold-min", "/value", -1),
    ("gold-min", "/value", 0),
    ("gold-rich", "/description", "<absent>"),
    ("gold-rich", "/globalDefault", "<absent>"),
    ("gold-rich", "/preemptionPolicy", "<absent>"),
]


@pytest.mark.parametrize(("base", "path", "value"), ACCEPTED)
def test_what_the_original_takes_is_taken(judge, base, path, value):
    assert judge.refusals(KIND, BASES[base], path, value) == []


CHANGED = [
    ("gold-min", "/value", "<absent>", ["value: Forbidden: may not be changed in an update."]),
    (
        "gold-min",
        "/preemptionPolicy",
        "PreemptLowerPriorityx",
        ['preemptionPolicy: Invalid value: "PreemptLowerPriorityx": field is immutable'],
    ),
]


@pytest.mark.parametrize(("base", "path", "value", "causes"), CHANGED)
def test_a_change_is_refused_with_its_path(judge, base, path, value, causes):
    assert sorted(judge.changes(KIND, BASES[base], path, value)) == sorted(causes)


CHANGEABLE = [
    ("gold-min", "/preemptionPolicy", "<absent>"),
    ("gold-rich", "/description", "<absent>"),
]


@pytest.mark.parametrize(("base", "path", "value"), CHANGEABLE)
def test_what_may_change_may_change(judge, base, path, value):
    assert judge.changes(KIND, BASES[base], path, value) == []


DEFAULTS = [
    (
        {
            "apiVersion": "scheduling.k8s.io/v1",
            "kind": "PriorityClass",
            "metadata": {"name": "gold-min"},
            "value": 5,
        },
        {"/preemptionPolicy": "PreemptLowerPriority"},
    )
]


@pytest.mark.parametrize(("request_body", "added"), DEFAULTS)
def test_what_was_left_out_is_filled_in(judge, request_body, added):
    assert judge.defaults(KIND, request_body) == added


ROWS = [
    (
        {
            "apiVersion": "scheduling.k8s.io/v1",
            "kind": "PriorityClass",
            "metadata": {"name": "gold-min"},
            "value": 5,
        },
        None,
        ["gold-min", 5, False, "5s", "PreemptLowerPriority"],
    ),
    (
        {
            "apiVersion": "scheduling.k8s.io/v1",
            "description": "d",
            "globalDefault": False,
            "kind": "PriorityClass",
            "metadata": {"name": "gold-rich"},
            "preemptionPolicy": "Never",
            "value": -5,
        },
        None,
        ["gold-rich", -5, False, "5s", "Never"],
    ),
    (
        {
            "apiVersion": "scheduling.k8s.io/v1",
            "kind": "PriorityClass",
            "metadata": {"name": "gold-zero"},
        },
        None,
        ["gold-zero", 0, False, "5s", "PreemptLowerPriority"],
    ),
]


@pytest.mark.parametrize(("obj", "status", "cells"), ROWS)
def test_a_row_of_kubectl_get(judge, obj, status, cells):
    assert judge.cells(KIND, obj, status) == cells
