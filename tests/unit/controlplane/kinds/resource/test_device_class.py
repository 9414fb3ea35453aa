"""What the API server says to deviceclasses; answers of Kubernetes 1.36 to the same requests."""

import pytest

from controlplane.kinds.resource.device_class import KIND

ABSENT = "<absent>"

BASES = {
    "rich": {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "DeviceClass",
        "metadata": {"name": "rich.example.com"},
        "spec": {
            "config": [
                {
                    "opaque": {
                        "driver": "d.example.com",
                        "parameters": {"apiVersion": "x", "kind": "y"},
                    }
                }
            ],
            "selectors": [{"cel": {"expression": 'device.driver == "d.example.com"'}}],
        },
    },
    "min": {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "DeviceClass",
        "metadata": {"name": "gold.example.com"},
        "spec": {},
    },
}

# base, field, value, the causes.
REFUSED = [
    ("rich", "/spec/config/0/opaque", "<absent>", ["spec.config[0].opaque: Required value"]),
    (
        "rich",
        "/spec/config/0/opaque/parameters",
        "<absent>",
        ["spec.config[0].opaque.parameters: Required value"],
    ),
    ("rich", "/spec/selectors/0/cel", "<absent>", ["spec.selectors[0].cel: Required value"]),
    (
        "rich",
        "/spec/config/0/opaque",
        {},
        [
            "spec.config[0].opaque.driver: Required value",
            "spec.config[0].opaque.parameters: Required value",
        ],
    ),
    ("rich", "/spec/config/0/opaque/driver", "", ["spec.config[0].opaque.driver: Required value"]),
    (
        "rich",
        "/spec/config/0/opaque/driver",
        "Bad_Value!",
        [
            'spec.config[0].opaque.driver: Invalid value: "Bad_Value!": a lowercase RFC 1123 '
            "subdomain must consist of lower case alphanumeric characters, '-' or '.', and must "
            "start and end with an alphanumeric character (e.g. 'example.com', regex used for "
            "validation is "
            "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
        ],
    ),
    (
        "rich",
        "/spec/config/0/opaque/parameters",
        "x",
        [
            'spec.config[0].opaque.parameters: Invalid value: "<value omitted>": must be a '
            "valid JSON object"
        ],
    ),
    (
        "rich",
        "/spec/selectors/0/cel",
        {},
        [
            'spec.selectors[0].cel.expression: Invalid value: "": compilation failed: ERROR: '
            "<input>:1:0: Syntax error: mismatched input '<EOF>' expecting {'[', '{', '(', '.', "
            "'-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, "
            "IDENTIFIER}"
        ],
    ),
    (
        "rich",
        "/spec/selectors/0/cel/expression",
        "Bad_Value!",
        [
            'spec.selectors[0].cel.expression: Invalid value: "Bad_Value!": compilation failed: '
            "ERROR: <input>:1:10: Syntax error: extraneous input '!' expecting <EOF>"
        ],
    ),
]


@pytest.mark.parametrize(("base", "path", "value", "causes"), REFUSED)
def test_a_spoilt_field_is_refused_with_its_path(judge, base, path, value, causes):
    assert sorted(judge.refusals(KIND, BASES[base], path, value)) == sorted(causes)


# Odd, and let pass.
ACCEPTED = [
    ("min", "/spec", "<absent>"),
    ("min", "/spec", {}),
    ("rich", "/spec/config", "<absent>"),
    ("rich", "/spec/config/0", "<absent>"),
    ("rich", "/spec/config/0/opaque/parameters/apiVersion", "<absent>"),
]


@pytest.mark.parametrize(("base", "path", "value"), ACCEPTED)
def test_what_the_original_takes_is_taken(judge, base, path, value):
    assert judge.refusals(KIND, BASES[base], path, value) == []


CHANGED = [
    ("rich", "/spec/config/0/opaque", "<absent>", ["spec.config[0].opaque: Required value"]),
    (
        "rich",
        "/spec/config/0/opaque/driver",
        "<absent>",
        ["spec.config[0].opaque.driver: Required value"],
    ),
    (
        "rich",
        "/spec/config/0/opaque/parameters",
        "<absent>",
        ["spec.config[0].opaque.parameters: Required value"],
    ),
    ("rich", "/spec/selectors/0/cel", "<absent>", ["spec.selectors[0].cel: Required value"]),
    (
        "rich",
        "/spec/selectors/0/cel/expression",
        "<absent>",
        [
            'spec.selectors[0].cel.expression: Invalid value: "": compilation failed: ERROR: '
            "<input>:1:0: Syntax error: mismatched input '<EOF>' expecting {'[', '{', '(', '.', "
            "'-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, "
            "IDENTIFIER}"
        ],
    ),
    (
        "rich",
        "/spec/selectors/0/cel/expression",
        'device.driver == "d.example.com"x',
        [
            'spec.selectors[0].cel.expression: Invalid value: "device.driver == '
            '\\"d.example.com\\"x": compilation failed: ERROR: <input>:1:33: Syntax error: '
            "extraneous input 'x' expecting <EOF>"
        ],
    ),
]


@pytest.mark.parametrize(("base", "path", "value", "causes"), CHANGED)
def test_a_change_is_refused_with_its_path(judge, base, path, value, causes):
    assert sorted(judge.changes(KIND, BASES[base], path, value)) == sorted(causes)


CHANGEABLE = [
    ("min", "/spec", "<absent>"),
    ("rich", "/spec/config", "<absent>"),
    ("rich", "/spec/config/0", "<absent>"),
    ("rich", "/spec/config/0/opaque/parameters/apiVersion", "<absent>"),
]


@pytest.mark.parametrize(("base", "path", "value"), CHANGEABLE)
def test_what_may_change_may_change(judge, base, path, value):
    assert judge.changes(KIND, BASES[base], path, value) == []


DEFAULTS = [
    (
        {
            "apiVersion": "resource.k8s.io/v1",
            "kind": "DeviceClass",
            "metadata": {"name": "gold.example.com"},
            "spec": {},
        },
        {},
    ),
    (
        {
            "apiVersion": "resource.k8s.io/v1",
            "kind": "DeviceClass",
            "metadata": {"name": "rich.example.com"},
            "spec": {
                "config": [
                    {
                        "opaque": {
                            "driver": "d.example.com",
                            "parameters": {"apiVersion": "x", "kind": "y"},
                        }
                    }
                ],
                "selectors": [{"cel": {"expression": 'device.driver == "d.example.com"'}}],
            },
        },
        {},
    ),
]


@pytest.mark.parametrize(("request_body", "added"), DEFAULTS)
def test_what_was_left_out_is_filled_in(judge, request_body, added):
    assert judge.defaults(KIND, request_body) == added


ROWS = [
    (
        {
            "apiVersion": "resource.k8s.io/v1",
            "kind": "DeviceClass",
            "metadata": {"name": "gold.example.com"},
            "spec": {},
        },
        None,
        ["gold.example.com", "5s"],
    ),
    (
        {
            "apiVersion": "resource.k8s.io/v1",
            "kind": "DeviceClass",
            "metadata": {"name": "rich.example.com"},
            "spec": {
                "config": [
                    {
                        "opaque": {
                            "driver": "d.example.com",
                            "parameters": {"apiVersion": "x", "kind": "y"},
                        }
                    }
                ],
                "selectors": [{"cel": {"expression": 'device.driver == "d.example.com"'}}],
            },
        },
        None,
        ["rich.example.com", "5s"],
    ),
]


@pytest.mark.parametrize(("obj", "status", "cells"), ROWS)
def test_a_row_of_kubectl_get(judge, obj, status, cells):
    assert judge.cells(KIND, obj, status) == cells
