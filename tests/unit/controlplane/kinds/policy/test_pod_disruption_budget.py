"""What the API server says to poddisruptionbudgets; answers of Kubernetes 1.36 to the same requests."""

import pytest

from controlplane.kinds.policy.pod_disruption_budget import KIND

ABSENT = "<absent>"

BASES = {
    "maxun": {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "maxun"},
        "spec": {
            "maxUnavailable": "25%",
            "selector": {},
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    },
    "minavail": {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "minavail"},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "a"}}},
    },
}

# base, field, value, the causes.
REFUSED = [
    (
        "maxun",
        "/spec/maxUnavailable",
        "",
        [
            'spec.maxUnavailable: Invalid value: "": a valid percent string must be a numeric '
            "string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation "
            "is '[0-9]+%')"
        ],
    ),
    (
        "maxun",
        "/spec/maxUnavailable",
        "Bad_Value!",
        [
            'spec.maxUnavailable: Invalid value: "Bad_Value!": a valid percent string must be a '
            "numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for "
            "validation is '[0-9]+%')"
        ],
    ),
    (
        "maxun",
        "/spec/unhealthyPodEvictionPolicy",
        "",
        [
            'spec.unhealthyPodEvictionPolicy: Unsupported value: "": supported values: '
            '"AlwaysAllow", "IfHealthyBudget"'
        ],
    ),
    (
        "maxun",
        "/spec/unhealthyPodEvictionPolicy",
        "Bad_Value!",
        [
            'spec.unhealthyPodEvictionPolicy: Unsupported value: "Bad_Value!": supported '
            'values: "AlwaysAllow", "IfHealthyBudget"'
        ],
    ),
    (
        "minavail",
        "/spec/minAvailable",
        "abc",
        [
            'spec.minAvailable: Invalid value: "abc": a valid percent string must be a numeric '
            "string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation "
            "is '[0-9]+%')"
        ],
    ),
    (
        "minavail",
        "/spec/minAvailable",
        -1,
        ["spec.minAvailable: Invalid value: -1: must be greater than or equal to 0"],
    ),
    (
        "minavail",
        "/spec/selector/matchLabels/app",
        "Bad_Value!",
        [
            'spec.selector.matchLabels: Invalid value: "Bad_Value!": a valid label must be an '
            "empty string or consist of alphanumeric characters, '-', '_' or '.', and must "
            "start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or "
            "'12345', regex used for validation is "
            "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
        ],
    ),
]


@pytest.mark.parametrize(("base", "path", "value", "causes"), REFUSED)
def test_a_spoilt_field_is_refused_with_its_path(judge, base, path, value, causes):
    assert sorted(judge.refusals(KIND, BASES[base], path, value)) == sorted(causes)


# Odd, and let pass.
ACCEPTED = [
    ("maxun", "/spec/maxUnavailable", "<absent>"),
    ("maxun", "/spec/unhealthyPodEvictionPolicy", "<absent>"),
    ("maxun", "/spec/maxUnavailable", 7),
    ("minavail", "/spec", "<absent>"),
    ("minavail", "/spec/minAvailable", "<absent>"),
    ("minavail", "/spec/selector", "<absent>"),
]


@pytest.mark.parametrize(("base", "path", "value"), ACCEPTED)
def test_what_the_original_takes_is_taken(judge, base, path, value):
    assert judge.refusals(KIND, BASES[base], path, value) == []


CHANGED = [
    (
        "maxun",
        "/spec/maxUnavailable",
        "25%x",
        [
            'spec.maxUnavailable: Invalid value: "25%x": a valid percent string must be a '
            "numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for "
            "validation is '[0-9]+%')"
        ],
    ),
    (
        "maxun",
        "/spec/unhealthyPodEvictionPolicy",
        "AlwaysAllowx",
        [
            'spec.unhealthyPodEvictionPolicy: Unsupported value: "AlwaysAllowx": supported '
            'values: "AlwaysAllow", "IfHealthyBudget"'
        ],
    ),
]


@pytest.mark.parametrize(("base", "path", "value", "causes"), CHANGED)
def test_a_change_is_refused_with_its_path(judge, base, path, value, causes):
    assert sorted(judge.changes(KIND, BASES[base], path, value)) == sorted(causes)


CHANGEABLE = [
    ("maxun", "/spec/maxUnavailable", "<absent>"),
    ("maxun", "/spec/unhealthyPodEvictionPolicy", "<absent>"),
    ("minavail", "/spec/minAvailable", "<absent>"),
    ("minavail", "/spec/selector", "<absent>"),
    ("minavail", "/spec/selector/matchLabels", "<absent>"),
]


@pytest.mark.parametrize(("base", "path", "value"), CHANGEABLE)
def test_what_may_change_may_change(judge, base, path, value):
    assert judge.changes(KIND, BASES[base], path, value) == []


DEFAULTS = [
    (
        {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": {"name": "maxun"},
            "spec": {
                "maxUnavailable": "25%",
                "selector": {},
                "unhealthyPodEvictionPolicy": "AlwaysAllow",
            },
        },
        {
            "/status": {
                "disruptionsAllowed": 0,
                "currentHealthy": 0,
                "desiredHealthy": 0,
                "expectedPods": 0,
            }
        },
    ),
    (
        {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": {"name": "minavail"},
            "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "a"}}},
        },
        {
            "/status": {
                "disruptionsAllowed": 0,
                "currentHealthy": 0,
                "desiredHealthy": 0,
                "expectedPods": 0,
            }
        },
    ),
]


@pytest.mark.parametrize(("request_body", "added"), DEFAULTS)
def test_what_was_left_out_is_filled_in(judge, request_body, added):
    assert judge.defaults(KIND, request_body) == added


ROWS = [
    (
        {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": {"name": "maxun"},
            "spec": {
                "maxUnavailable": "25%",
                "selector": {},
                "unhealthyPodEvictionPolicy": "AlwaysAllow",
            },
        },
        None,
        ["maxun", "N/A", "25%", 0, "5s"],
    ),
    (
        {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "min"}},
        None,
        ["min", "N/A", "N/A", 0, "5s"],
    ),
    (
        {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": {"name": "minavail"},
            "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "a"}}},
        },
        None,
        ["minavail", "1", "N/A", 0, "5s"],
    ),
]


@pytest.mark.parametrize(("obj", "status", "cells"), ROWS)
def test_a_row_of_kubectl_get(judge, obj, status, cells):
    assert judge.cells(KIND, obj, status) == cells
