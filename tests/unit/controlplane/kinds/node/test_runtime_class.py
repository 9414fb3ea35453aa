"""What the API server says to runtimeclasses; answers of Kubernetes 1.36 to the same requests."""

import pytest

from controlplane.kinds.node.runtime_class import KIND

ABSENT = "<absent>"

BASES = {
    "min": {
        "apiVersion": "node.k8s.io/v1",
        "handler": "h",
        "kind": "RuntimeClass",
        "metadata": {"name": "min"},
    },
    "rich": {
        "apiVersion": "node.k8s.io/v1",
        "handler": "h",
        "kind": "RuntimeClass",
        "metadata": {"name": "rich"},
        "overhead": {"podFixed": {"cpu": "0.25"}},
        "scheduling": {
            "nodeSelector": {"a": "b"},
            "tolerations": [{"key": "k", "operator": "Exists"}],
        },
    },
}

# base, field, value, the causes.
REFUSED = [
    ("min", "/handler", "", ["handler: Required value"]),
    (
        "min",
        "/handler",
        "Bad_Value!",
        [
            'handler: Invalid value: "Bad_Value!": a lowercase RFC 1123 label must consist of '
            "lower case alphanumeric characters or '-', and must start and end with an "
            "alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation "
            "is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
        ],
    ),
    (
        "rich",
        "/overhead/podFixed/frobnicate",
        1,
        [
            'overhead.limits[frobnicate]: Invalid value: "frobnicate": must be a standard '
            "resource type or fully qualified",
            'overhead.limits[frobnicate]: Invalid value: "frobnicate": must be a standard '
            "resource for containers",
        ],
    ),
    (
        "rich",
        "/scheduling/nodeSelector/a",
        "Bad_Value!",
        [
            'scheduling.nodeSelector: Invalid value: "Bad_Value!": a valid label must be an '
            "empty string or consist of alphanumeric characters, '-', '_' or '.', and must "
            "start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or "
            "'12345', regex used for validation is "
            "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
        ],
    ),
    (
        "rich",
        "/scheduling/tolerations",
        [{"key": "k", "operator": "Exists"}, {"key": "k", "operator": "Exists"}],
        [
            "scheduling.tolerations[1]: Duplicate value: "
            '{"Key":"k","Operator":"Exists","Value":"","Effect":"","TolerationSeconds":null}'
        ],
    ),
    (
        "rich",
        "/scheduling/tolerations/0",
        {},
        [
            'scheduling.tolerations[0].operator: Invalid value: "": operator must be Exists '
            'when `key` is empty, which means "match all values and all keys"'
        ],
    ),
    (
        "rich",
        "/scheduling/tolerations/0/key",
        "Bad_Value!",
        [
            'scheduling.tolerations[0].key: Invalid value: "Bad_Value!": name part must consist '
            "of alphanumeric characters, '-', '_' or '.', and must start and end with an "
            "alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used "
            "for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
        ],
    ),
    (
        "rich",
        "/scheduling/tolerations/0/operator",
        "Bad_Value!",
        [
            'scheduling.tolerations[0].operator: Unsupported value: "Bad_Value!": supported '
            'values: "Equal", "Exists"'
        ],
    ),
]


@pytest.mark.parametrize(("base", "path", "value", "causes"), REFUSED)
def test_a_spoilt_field_is_refused_with_its_path(judge, base, path, value, causes):
    assert sorted(judge.refusals(KIND, BASES[base], path, value)) == sorted(causes)


# Odd, and let pass.
ACCEPTED = [
    ("rich", "/overhead", "<absent>"),
    ("rich", "/overhead/podFixed", "<absent>"),
    ("rich", "/overhead/podFixed/cpu", "<absent>"),
]


@pytest.mark.parametrize(("base", "path", "value"), ACCEPTED)
def test_what_the_original_takes_is_taken(judge, base, path, value):
    assert judge.refusals(KIND, BASES[base], path, value) == []


CHANGED = [
    (
        "min",
        "/handler",
        "<absent>",
        ["handler: Required value", 'handler: Invalid value: "": field is immutable'],
    ),
    ("min", "/handler", "hx", ['handler: Invalid value: "hx": field is immutable']),
    (
        "rich",
        "/scheduling/tolerations/0/operator",
        "Existsx",
        [
            'scheduling.tolerations[0].operator: Unsupported value: "Existsx": supported '
            'values: "Equal", "Exists"'
        ],
    ),
]


@pytest.mark.parametrize(("base", "path", "value", "causes"), CHANGED)
def test_a_change_is_refused_with_its_path(judge, base, path, value, causes):
    assert sorted(judge.changes(KIND, BASES[base], path, value)) == sorted(causes)


CHANGEABLE = [
    ("rich", "/overhead", "<absent>"),
    ("rich", "/overhead/podFixed", "<absent>"),
    ("rich", "/overhead/podFixed/cpu", "<absent>"),
]


@pytest.mark.parametrize(("base", "path", "value"), CHANGEABLE)
def test_what_may_change_may_change(judge, base, path, value):
    assert judge.changes(KIND, BASES[base], path, value) == []


DEFAULTS = [
    (
        {
            "apiVersion": "node.k8s.io/v1",
            "handler": "h",
            "kind": "RuntimeClass",
            "metadata": {"name": "min"},
        },
        {},
    ),
    (
        {
            "apiVersion": "node.k8s.io/v1",
            "handler": "h",
            "kind": "RuntimeClass",
            "metadata": {"name": "rich"},
            "overhead": {"podFixed": {"cpu": "0.25"}},
            "scheduling": {
                "nodeSelector": {"a": "b"},
                "tolerations": [{"key": "k", "operator": "Exists"}],
            },
        },
        {"/overhead/podFixed/cpu": "250m"},
    ),
]


@pytest.mark.parametrize(("request_body", "added"), DEFAULTS)
def test_what_was_left_out_is_filled_in(judge, request_body, added):
    assert judge.defaults(KIND, request_body) == added


ROWS = [
    (
        {
            "apiVersion": "node.k8s.io/v1",
            "handler": "h",
            "kind": "RuntimeClass",
            "metadata": {"name": "min"},
        },
        None,
        ["min", "h", "5s"],
    ),
    (
        {
            "apiVersion": "node.k8s.io/v1",
            "handler": "h",
            "kind": "RuntimeClass",
            "metadata": {"name": "rich"},
            "overhead": {"podFixed": {"cpu": "0.25"}},
            "scheduling": {
                "nodeSelector": {"a": "b"},
                "tolerations": [{"key": "k", "operator": "Exists"}],
            },
        },
        None,
        ["rich", "h", "5s"],
    ),
]


@pytest.mark.parametrize(("obj", "status", "cells"), ROWS)
def test_a_row_of_kubectl_get(judge, obj, status, cells):
    assert judge.cells(KIND, obj, status) == cells
