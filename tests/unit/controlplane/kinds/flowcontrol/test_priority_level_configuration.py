"""What the API server says to prioritylevelconfigurations; answers of Kubernetes 1.36 to the same requests."""

import pytest

from controlplane.kinds.flowcontrol.priority_level_configuration import KIND

ABSENT = "<absent>"

BASES = {
    "gold-min": {
        "apiVersion": "flowcontrol.apiserver.k8s.io/v1",
        "kind": "PriorityLevelConfiguration",
        "metadata": {"name": "gold-min"},
        "spec": {"limited": {"limitResponse": {"type": "Reject"}}, "type": "Limited"},
    },
    "gold-queue": {
        "apiVersion": "flowcontrol.apiserver.k8s.io/v1",
        "kind": "PriorityLevelConfiguration",
        "metadata": {"name": "gold-queue"},
        "spec": {
            "limited": {
                "borrowingLimitPercent": 10,
                "lendablePercent": 50,
                "limitResponse": {"queuing": {}, "type": "Queue"},
                "nominalConcurrencyShares": 0,
            },
            "type": "Limited",
        },
    },
}

# base, field, value, the causes.
REFUSED = [
    (
        "gold-min",
        "/spec/limited",
        "<absent>",
        ["spec.limited: Required value: must not be empty when type is Limited"],
    ),
    (
        "gold-min",
        "/spec",
        {},
        ['spec.type: Unsupported value: "": supported values: "Exempt", "Limited"'],
    ),
    (
        "gold-min",
        "/spec/limited",
        {},
        [
            'spec.limited.limitResponse.type: Unsupported value: "": supported values: "Queue", '
            '"Reject"'
        ],
    ),
    (
        "gold-min",
        "/spec/limited/limitResponse/type",
        "Bad_Value!",
        [
            'spec.limited.limitResponse.type: Unsupported value: "Bad_Value!": supported '
            'values: "Queue", "Reject"'
        ],
    ),
    (
        "gold-min",
        "/spec/type",
        "Bad_Value!",
        ['spec.type: Unsupported value: "Bad_Value!": supported values: "Exempt", "Limited"'],
    ),
    (
        "gold-queue",
        "/spec/limited/limitResponse/queuing",
        "<absent>",
        [
            "spec.limited.limitResponse.queuing: Required value: must not be empty if "
            "limited.limitResponse.type is Limited"
        ],
    ),
    (
        "gold-queue",
        "/spec/limited/borrowingLimitPercent",
        -1,
        [
            "spec.limited.borrowingLimitPercent: Invalid value: -1: if specified, must be a "
            "non-negative integer"
        ],
    ),
    (
        "gold-queue",
        "/spec/limited/lendablePercent",
        -1,
        ["spec.limited.lendablePercent: Invalid value: -1: must be between 0 and 100, inclusive"],
    ),
    (
        "gold-queue",
        "/spec/limited/lendablePercent",
        70000,
        [
            "spec.limited.lendablePercent: Invalid value: 70000: must be between 0 and 100, "
            "inclusive"
        ],
    ),
    (
        "gold-queue",
        "/spec/limited/nominalConcurrencyShares",
        -1,
        [
            "spec.limited.nominalConcurrencyShares: Invalid value: -1: must be a non-negative "
            "integer"
        ],
    ),
]


@pytest.mark.parametrize(("base", "path", "value", "causes"), REFUSED)
def test_a_spoilt_field_is_refused_with_its_path(judge, base, path, value, causes):
    assert sorted(judge.refusals(KIND, BASES[base], path, value)) == sorted(causes)


# Odd, and let pass.
ACCEPTED = [
    ("gold-queue", "/spec/limited/borrowingLimitPercent", "<absent>"),
    ("gold-queue", "/spec/limited/lendablePercent", "<absent>"),
    ("gold-queue", "/spec/limited/nominalConcurrencyShares", "<absent>"),
]


@pytest.mark.parametrize(("base", "path", "value"), ACCEPTED)
def test_what_the_original_takes_is_taken(judge, base, path, value):
    assert judge.refusals(KIND, BASES[base], path, value) == []


CHANGED = [
    (
        "gold-min",
        "/spec",
        "<absent>",
        ['spec.type: Unsupported value: "": supported values: "Exempt", "Limited"'],
    ),
    (
        "gold-min",
        "/spec/limited",
        "<absent>",
        ["spec.limited: Required value: must not be empty when type is Limited"],
    ),
    (
        "gold-min",
        "/spec/limited/limitResponse",
        "<absent>",
        [
            'spec.limited.limitResponse.type: Unsupported value: "": supported values: "Queue", '
            '"Reject"'
        ],
    ),
    (
        "gold-min",
        "/spec/limited/limitResponse/type",
        "Rejectx",
        [
            'spec.limited.limitResponse.type: Unsupported value: "Rejectx": supported values: '
            '"Queue", "Reject"'
        ],
    ),
    (
        "gold-min",
        "/spec/type",
        "Limitedx",
        ['spec.type: Unsupported value: "Limitedx": supported values: "Exempt", "Limited"'],
    ),
    (
        "gold-queue",
        "/spec/limited/limitResponse/queuing",
        "<absent>",
        [
            "spec.limited.limitResponse.queuing: Required value: must not be empty if "
            "limited.limitResponse.type is Limited"
        ],
    ),
]


@pytest.mark.parametrize(("base", "path", "value", "causes"), CHANGED)
def test_a_change_is_refused_with_its_path(judge, base, path, value, causes):
    assert sorted(judge.changes(KIND, BASES[base], path, value)) == sorted(causes)


CHANGEABLE = [
    ("gold-min", "/spec/limited/lendablePercent", "<absent>"),
    ("gold-min", "/spec/limited/nominalConcurrencyShares", "<absent>"),
    ("gold-queue", "/spec/limited/borrowingLimitPercent", "<absent>"),
    ("gold-queue", "/spec/limited/limitResponse/queuing/handSize", "<absent>"),
    ("gold-queue", "/spec/limited/limitResponse/queuing/queueLengthLimit", "<absent>"),
]


@pytest.mark.parametrize(("base", "path", "value"), CHANGEABLE)
def test_what_may_change_may_change(judge, base, path, value):
    assert judge.changes(KIND, BASES[base], path, value) == []


DEFAULTS = [
    (
        {
            "apiVersion": "flowcontrol.apiserver.k8s.io/v1",
            "kind": "PriorityLevelConfiguration",
            "metadata": {"name": "gold-min"},
            "spec": {"limited": {"limitResponse": {"type": "Reject"}}, "type": "Limited"},
        },
        {
            "/spec/limited/nominalConcurrencyShares": 30,
            "/spec/limited/lendablePercent": 0,
            "/status": {},
        },
    ),
    (
        {
            "apiVersion": "flowcontrol.apiserver.k8s.io/v1",
            "kind": "PriorityLevelConfiguration",
            "metadata": {"name": "gold-queue"},
            "spec": {
                "limited": {
                    "borrowingLimitPercent": 10,
                    "lendablePercent": 50,
                    "limitResponse": {"queuing": {}, "type": "Queue"},
                    "nominalConcurrencyShares": 0,
                },
                "type": "Limited",
            },
        },
        {
            "/spec/limited/limitResponse/queuing/handSize": 8,
            "/spec/limited/limitResponse/queuing/queues": 64,
            "/spec/limited/limitResponse/queuing/queueLengthLimit": 50,
            "/status": {},
        },
    ),
]


@pytest.mark.parametrize(("request_body", "added"), DEFAULTS)
def test_what_was_left_out_is_filled_in(judge, request_body, added):
    assert judge.defaults(KIND, request_body) == added


ROWS = [
    (
        {
            "apiVersion": "flowcontrol.apiserver.k8s.io/v1",
            "kind": "PriorityLevelConfiguration",
            "metadata": {"name": "gold-min"},
            "spec": {"limited": {"limitResponse": {"type": "Reject"}}, "type": "Limited"},
        },
        None,
        ["gold-min", "Limited", 30, "<none>", "<none>", "<none>", "5s"],
    ),
    (
        {
            "apiVersion": "flowcontrol.apiserver.k8s.io/v1",
            "kind": "PriorityLevelConfiguration",
            "metadata": {"name": "gold-queue"},
            "spec": {
                "limited": {
                    "borrowingLimitPercent": 10,
                    "lendablePercent": 50,
                    "limitResponse": {"queuing": {}, "type": "Queue"},
                    "nominalConcurrencyShares": 0,
                },
                "type": "Limited",
            },
        },
        None,
        ["gold-queue", "Limited", 0, 64, 8, 50, "5s"],
    ),
]


@pytest.mark.parametrize(("obj", "status", "cells"), ROWS)
def test_a_row_of_kubectl_get(judge, obj, status, cells):
    assert judge.cells(KIND, obj, status) == cells
