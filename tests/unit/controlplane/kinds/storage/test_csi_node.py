"""What the API server says to csinodes; answers of Kubernetes 1.36 to the same requests."""

import pytest

from controlplane.kinds.storage.csi_node import KIND

ABSENT = "<absent>"

BASES = {
    "rich": {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "CSINode",
        "metadata": {"name": "rich"},
        "spec": {
            "drivers": [
                {
                    "allocatable": {"count": 3},
                    "name": "d.example.com",
                    "nodeID": "n",
                    "topologyKeys": ["a"],
                }
            ]
        },
    },
    "min": {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "CSINode",
        "metadata": {"name": "min"},
        "spec": {"drivers": []},
    },
}

# base, field, value, the causes.
REFUSED = [
    (
        "rich",
        "/spec/drivers",
        [
            {
                "allocatable": {"count": 3},
                "name": "d.example.com",
                "nodeID": "n",
                "topologyKeys": ["a"],
            },
            {
                "allocatable": {"count": 3},
                "name": "d.example.com",
                "nodeID": "n",
                "topologyKeys": ["a"],
            },
        ],
        ['spec.drivers[1].name: Duplicate value: "d.example.com"'],
    ),
    (
        "rich",
        "/spec/drivers/0",
        {},
        ["spec.drivers[0].name: Required value", "spec.drivers[0].nodeID: Required value"],
    ),
    (
        "rich",
        "/spec/drivers/0/allocatable/count",
        -1,
        [
            "spec.drivers[0].allocatable.count: Invalid value: -1: must be greater than or "
            "equal to 0"
        ],
    ),
    ("rich", "/spec/drivers/0/name", "", ["spec.drivers[0].name: Required value"]),
    (
        "rich",
        "/spec/drivers/0/name",
        "Bad_Value!",
        [
            'spec.drivers[0].name: Invalid value: "Bad_Value!": a lowercase RFC 1123 subdomain '
            "must consist of lower case alphanumeric characters, '-' or '.', and must start and "
            "end with an alphanumeric character (e.g. 'example.com', regex used for validation "
            "is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
        ],
    ),
    ("rich", "/spec/drivers/0/nodeID", "", ["spec.drivers[0].nodeID: Required value"]),
    ("rich", "/spec/drivers/0/topologyKeys", ["a", "a"], ['spec.drivers[0]: Duplicate value: "a"']),
    (
        "rich",
        "/spec/drivers/0/topologyKeys/0",
        "",
        [
            "spec.drivers[0]: Required value",
            'spec.drivers[0]: Invalid value: "": name part must be non-empty',
            'spec.drivers[0]: Invalid value: "": name part must consist of alphanumeric '
            "characters, '-', '_' or '.', and must start and end with an alphanumeric character "
            "(e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
            "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
        ],
    ),
    (
        "rich",
        "/spec/drivers/0/topologyKeys/0",
        "Bad_Value!",
        [
            'spec.drivers[0]: Invalid value: "Bad_Value!": name part must consist of '
            "alphanumeric characters, '-', '_' or '.', and must start and end with an "
            "alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used "
            "for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
        ],
    ),
]


@pytest.mark.parametrize(("base", "path", "value", "causes"), REFUSED)
def test_a_spoilt_field_is_refused_with_its_path(judge, base, path, value, causes):
    assert sorted(judge.refusals(KIND, BASES[base], path, value)) == sorted(causes)


# Odd, and let pass.
ACCEPTED = [
    ("min", "/spec", "<absent>"),
    ("min", "/spec/drivers", "<absent>"),
    ("min", "/spec", {}),
    ("rich", "/spec/drivers/0", "<absent>"),
    ("rich", "/spec/drivers/0/allocatable", "<absent>"),
    ("rich", "/spec/drivers/0/allocatable/count", "<absent>"),
]


@pytest.mark.parametrize(("base", "path", "value"), ACCEPTED)
def test_what_the_original_takes_is_taken(judge, base, path, value):
    assert judge.refusals(KIND, BASES[base], path, value) == []


CHANGED = [
    ("rich", "/spec/drivers/0/name", "<absent>", ["spec.drivers[0].name: Required value"]),
    (
        "rich",
        "/spec/drivers/0/nodeID",
        "<absent>",
        [
            "spec.drivers[0].nodeID: Required value",
            "spec.drivers: Invalid value: "
            '{"Name":"d.example.com","NodeID":"","TopologyKeys":["a"],"Allocatable":null}: '
            "field is immutable",
        ],
    ),
    (
        "rich",
        "/spec/drivers/0/topologyKeys",
        "<absent>",
        [
            "spec.drivers: Invalid value: "
            '{"Name":"d.example.com","NodeID":"n","TopologyKeys":null,"Allocatable":null}: '
            "field is immutable"
        ],
    ),
    (
        "rich",
        "/spec/drivers/0/nodeID",
        "nx",
        [
            "spec.drivers: Invalid value: "
            '{"Name":"d.example.com","NodeID":"nx","TopologyKeys":["a"],"Allocatable":null}: '
            "field is immutable"
        ],
    ),
]


@pytest.mark.parametrize(("base", "path", "value", "causes"), CHANGED)
def test_a_change_is_refused_with_its_path(judge, base, path, value, causes):
    assert sorted(judge.changes(KIND, BASES[base], path, value)) == sorted(causes)


CHANGEABLE = [
    ("min", "/spec", "<absent>"),
    ("min", "/spec/drivers", "<absent>"),
    ("rich", "/spec/drivers/0", "<absent>"),
    ("rich", "/spec/drivers/0/allocatable", "<absent>"),
    ("rich", "/spec/drivers/0/allocatable/count", "<absent>"),
]


@pytest.mark.parametrize(("base", "path", "value"), CHANGEABLE)
def test_what_may_change_may_change(judge, base, path, value):
    assert judge.changes(KIND, BASES[base], path, value) == []


DEFAULTS = [
    (
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "CSINode",
            "metadata": {"name": "rich"},
            "spec": {
                "drivers": [
                    {
                        "allocatable": {"count": 3},
                        "name": "d.example.com",
                        "nodeID": "n",
                        "topologyKeys": ["a"],
                    }
                ]
            },
        },
        {},
    )
]


@pytest.mark.parametrize(("request_body", "added"), DEFAULTS)
def test_what_was_left_out_is_filled_in(judge, request_body, added):
    assert judge.defaults(KIND, request_body) == added


ROWS = [
    (
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "CSINode",
            "metadata": {"name": "min"},
            "spec": {"drivers": []},
        },
        None,
        ["min", 0, "5s"],
    ),
    (
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "CSINode",
            "metadata": {"name": "rich"},
            "spec": {
                "drivers": [
                    {
                        "allocatable": {"count": 3},
                        "name": "d.example.com",
                        "nodeID": "n",
                        "topologyKeys": ["a"],
                    }
                ]
            },
        },
        None,
        ["rich", 1, "5s"],
    ),
]


@pytest.mark.parametrize(("obj", "status", "cells"), ROWS)
def test_a_row_of_kubectl_get(judge, obj, status, cells):
    assert judge.cells(KIND, obj, status) == cells
