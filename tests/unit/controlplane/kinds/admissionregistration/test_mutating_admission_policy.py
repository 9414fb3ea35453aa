"""What the API server says to mutatingadmissionpolicies; answers of Kubernetes 1.36 to the same requests."""

import pytest

from controlplane.kinds.admissionregistration.mutating_admission_policy import KIND

ABSENT = "<absent>"

BASES = {
    "gold-json": {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingAdmissionPolicy",
        "metadata": {"name": "gold-json"},
        "spec": {
            "matchConstraints": {
                "resourceRules": [
                    {
                        "apiGroups": ["nothing.example.com"],
                        "apiVersions": ["v1"],
                        "operations": ["CREATE", "UPDATE"],
                        "resources": ["things"],
                    }
                ]
            },
            "mutations": [
                {
                    "jsonPatch": {
                        "expression": "[JSONPatch{op: "
                        '"add", path: '
                        '"/metadata/labels/a", '
                        'value: "b"}]'
                    },
                    "patchType": "JSONPatch",
                }
            ],
            "reinvocationPolicy": "IfNeeded",
        },
    },
    "gold-min": {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingAdmissionPolicy",
        "metadata": {"name": "gold-min"},
        "spec": {
            "matchConstraints": {
                "resourceRules": [
                    {
                        "apiGroups": ["nothing.example.com"],
                        "apiVersions": ["v1"],
                        "operations": ["CREATE", "UPDATE"],
                        "resources": ["things"],
                    }
                ]
            },
            "mutations": [
                {
                    "applyConfiguration": {
                        "expression": 'Object{metadata: Object.metadata{labels: {"a": "b"}}}'
                    },
                    "patchType": "ApplyConfiguration",
                }
            ],
            "reinvocationPolicy": "Never",
        },
    },
}

# base, field, value, the causes.
REFUSED = [
    (
        "gold-json",
        "/spec/mutations/0/jsonPatch",
        "<absent>",
        [
            "spec.mutations[0].jsonPatch: Required value: must be specified when patchType is "
            "JSONPatch"
        ],
    ),
    (
        "gold-json",
        "/spec/mutations/0/jsonPatch",
        {},
        ["spec.mutations[0].jsonPatch.expression: Required value"],
    ),
    (
        "gold-json",
        "/spec/mutations/0/jsonPatch/expression",
        "Bad_Value!",
        [
            'spec.mutations[0].jsonPatch.expression: Invalid value: "Bad_Value!": compilation '
            "failed: ERROR: <input>:1:10: Syntax error: extraneous input '!' expecting <EOF>"
        ],
    ),
    ("gold-min", "/spec/matchConstraints", "<absent>", ["spec.matchConstraints: Required value"]),
    (
        "gold-min",
        "/spec/matchConstraints/resourceRules/0",
        "<absent>",
        ["spec.matchConstraints.resourceRules: Required value"],
    ),
    (
        "gold-min",
        "/spec/matchConstraints/resourceRules/0/apiGroups/0",
        "<absent>",
        ["spec.matchConstraints.resourceRules[0].apiGroups: Required value"],
    ),
    (
        "gold-min",
        "/spec/matchConstraints/resourceRules/0/apiVersions/0",
        "<absent>",
        ["spec.matchConstraints.resourceRules[0].apiVersions: Required value"],
    ),
    (
        "gold-min",
        "/spec/matchConstraints/resourceRules/0/resources/0",
        "<absent>",
        ["spec.matchConstraints.resourceRules[0].resources: Required value"],
    ),
    (
        "gold-min",
        "/spec/mutations/0",
        "<absent>",
        ["spec.mutations: Required value: mutations must contain at least one item"],
    ),
    (
        "gold-min",
        "/spec/mutations/0/applyConfiguration",
        "<absent>",
        [
            "spec.mutations[0].applyConfiguration: Required value: must be specified when "
            "patchType is ApplyConfiguration"
        ],
    ),
    (
        "gold-min",
        "/spec",
        {},
        [
            "spec.matchConstraints: Required value",
            "spec.mutations: Required value: mutations must contain at least one item",
            "spec.reinvocationPolicy: Required value",
        ],
    ),
    (
        "gold-min",
        "/spec/matchConstraints/resourceRules/0",
        {},
        [
            "spec.matchConstraints.resourceRules[0].operations: Required value",
            "spec.matchConstraints.resourceRules[0].apiGroups: Required value",
            "spec.matchConstraints.resourceRules[0].apiVersions: Required value",
            "spec.matchConstraints.resourceRules[0].resources: Required value",
        ],
    ),
    (
        "gold-min",
        "/spec/matchConstraints/resourceRules/0/apiVersions/0",
        "",
        ["spec.matchConstraints.resourceRules[0].apiVersions[0]: Required value"],
    ),
    (
        "gold-min",
        "/spec/matchConstraints/resourceRules/0/operations",
        [],
        ["spec.matchConstraints.resourceRules[0].operations: Required value"],
    ),
    (
        "gold-min",
        "/spec/matchConstraints/resourceRules/0/operations/0",
        "",
        [
            'spec.matchConstraints.resourceRules[0].operations[0]: Unsupported value: "": '
            'supported values: "*", "CONNECT", "CREATE", "DELETE", "UPDATE"',
            'spec.matchConstraints.resourceRules.operations: Unsupported value: "": supported '
            'values: "*", "CONNECT", "CREATE", "UPDATE"',
        ],
    ),
    (
        "gold-min",
        "/spec/matchConstraints/resourceRules/0/operations/0",
        "Bad_Value!",
        [
            "spec.matchConstraints.resourceRules[0].operations[0]: Unsupported value: "
            '"Bad_Value!": supported values: "*", "CONNECT", "CREATE", "DELETE", "UPDATE"',
            'spec.matchConstraints.resourceRules.operations: Unsupported value: "Bad_Value!": '
            'supported values: "*", "CONNECT", "CREATE", "UPDATE"',
        ],
    ),
    (
        "gold-min",
        "/spec/matchConstraints/resourceRules/0/resources/0",
        "",
        ["spec.matchConstraints.resourceRules[0].resources[0]: Required value"],
    ),
    ("gold-min", "/spec/mutations/0", {}, ["spec.mutations[0].patchType: Required value"]),
    (
        "gold-min",
        "/spec/mutations/0/applyConfiguration",
        {},
        ["spec.mutations[0].applyConfiguration.expression: Required value"],
    ),
    (
        "gold-min",
        "/spec/mutations/0/applyConfiguration/expression",
        "Bad_Value!",
        [
            'spec.mutations[0].applyConfiguration.expression: Invalid value: "Bad_Value!": '
            "compilation failed: ERROR: <input>:1:10: Syntax error: extraneous input '!' "
            "expecting <EOF>"
        ],
    ),
    (
        "gold-min",
        "/spec/mutations/0/patchType",
        "Bad_Value!",
        [
            'spec.mutations[0].patchType: Unsupported value: "Bad_Value!": supported values: '
            '"ApplyConfiguration", "JSONPatch"'
        ],
    ),
    ("gold-min", "/spec/reinvocationPolicy", "", ["spec.reinvocationPolicy: Required value"]),
]


@pytest.mark.parametrize(("base", "path", "value", "causes"), REFUSED)
def test_a_spoilt_field_is_refused_with_its_path(judge, base, path, value, causes):
    assert sorted(judge.refusals(KIND, BASES[base], path, value)) == sorted(causes)


# Odd, and let pass.
ACCEPTED = [
    ("gold-min", "/spec/matchConstraints/resourceRules/0/operations/0", "<absent>"),
    (
        "gold-min",
        "/spec/matchConstraints/resourceRules/0/apiGroups",
        ["nothing.example.com", "nothing.example.com"],
    ),
    ("gold-min", "/spec/matchConstraints/resourceRules/0/apiGroups/0", ""),
]


@pytest.mark.parametrize(("base", "path", "value"), ACCEPTED)
def test_what_the_original_takes_is_taken(judge, base, path, value):
    assert judge.refusals(KIND, BASES[base], path, value) == []


CHANGED = [
    (
        "gold-json",
        "/spec/mutations/0/jsonPatch",
        "<absent>",
        [
            "spec.mutations[0].jsonPatch: Required value: must be specified when patchType is "
            "JSONPatch"
        ],
    ),
    (
        "gold-json",
        "/spec/mutations/0/jsonPatch/expression",
        "<absent>",
        ["spec.mutations[0].jsonPatch.expression: Required value"],
    ),
    (
        "gold-json",
        "/spec/mutations/0/jsonPatch/expression",
        '[JSONPatch{op: "add", path: "/metadata/labels/a", value: "b"}]x',
        [
            'spec.mutations[0].jsonPatch.expression: Invalid value: "[JSONPatch{op: \\"add\\", '
            'path: \\"/metadata/labels/a\\", value: \\"b\\"}]x": compilation failed: ERROR: '
            "<input>:1:63: Syntax error: extraneous input 'x' expecting <EOF>"
        ],
    ),
    (
        "gold-min",
        "/spec",
        "<absent>",
        [
            "spec.matchConstraints: Required value",
            "spec.mutations: Required value: mutations must contain at least one item",
            "spec.reinvocationPolicy: Required value",
        ],
    ),
    ("gold-min", "/spec/matchConstraints", "<absent>", ["spec.matchConstraints: Required value"]),
    (
        "gold-min",
        "/spec/matchConstraints/resourceRules",
        "<absent>",
        ["spec.matchConstraints.resourceRules: Required value"],
    ),
    (
        "gold-min",
        "/spec/matchConstraints/resourceRules/0/apiGroups",
        "<absent>",
        ["spec.matchConstraints.resourceRules[0].apiGroups: Required value"],
    ),
    (
        "gold-min",
        "/spec/matchConstraints/resourceRules/0/apiVersions",
        "<absent>",
        ["spec.matchConstraints.resourceRules[0].apiVersions: Required value"],
    ),
    (
        "gold-min",
        "/spec/matchConstraints/resourceRules/0/operations",
        "<absent>",
        ["spec.matchConstraints.resourceRules[0].operations: Required value"],
    ),
    (
        "gold-min",
        "/spec/matchConstraints/resourceRules/0/resources",
        "<absent>",
        ["spec.matchConstraints.resourceRules[0].resources: Required value"],
    ),
    (
        "gold-min",
        "/spec/mutations",
        "<absent>",
        ["spec.mutations: Required value: mutations must contain at least one item"],
    ),
    (
        "gold-min",
        "/spec/mutations/0/applyConfiguration",
        "<absent>",
        [
            "spec.mutations[0].applyConfiguration: Required value: must be specified when "
            "patchType is ApplyConfiguration"
        ],
    ),
    (
        "gold-min",
        "/spec/mutations/0/applyConfiguration/expression",
        "<absent>",
        ["spec.mutations[0].applyConfiguration.expression: Required value"],
    ),
    (
        "gold-min",
        "/spec/mutations/0/patchType",
        "<absent>",
        ["spec.mutations[0].patchType: Required value"],
    ),
    (
        "gold-min",
        "/spec/reinvocationPolicy",
        "<absent>",
        ["spec.reinvocationPolicy: Required value"],
    ),
    (
        "gold-min",
        "/spec/failurePolicy",
        "Failx",
        ['spec.failurePolicy: Unsupported value: "Failx": supported values: "Fail", "Ignore"'],
    ),
    (
        "gold-min",
        "/spec/matchConstraints/matchPolicy",
        "Equivalentx",
        [
            'spec.matchConstraints.matchPolicy: Unsupported value: "Equivalentx": supported '
            'values: "Equivalent", "Exact"'
        ],
    ),
    (
        "gold-min",
        "/spec/matchConstraints/resourceRules/0/operations/0",
        "CREATEx",
        [
            "spec.matchConstraints.resourceRules[0].operations[0]: Unsupported value: "
            '"CREATEx": supported values: "*", "CONNECT", "CREATE", "DELETE", "UPDATE"',
            'spec.matchConstraints.resourceRules.operations: Unsupported value: "CREATEx": '
            'supported values: "*", "CONNECT", "CREATE", "UPDATE"',
        ],
    ),
]


@pytest.mark.parametrize(("base", "path", "value", "causes"), CHANGED)
def test_a_change_is_refused_with_its_path(judge, base, path, value, causes):
    assert sorted(judge.changes(KIND, BASES[base], path, value)) == sorted(causes)


CHANGEABLE = [
    ("gold-min", "/spec/failurePolicy", "<absent>"),
    ("gold-min", "/spec/matchConstraints/matchPolicy", "<absent>"),
    ("gold-min", "/spec/matchConstraints/namespaceSelector", "<absent>"),
]


@pytest.mark.parametrize(("base", "path", "value"), CHANGEABLE)
def test_what_may_change_may_change(judge, base, path, value):
    assert judge.changes(KIND, BASES[base], path, value) == []


DEFAULTS = [
    (
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingAdmissionPolicy",
            "metadata": {"name": "gold-json"},
            "spec": {
                "matchConstraints": {
                    "resourceRules": [
                        {
                            "apiGroups": ["nothing.example.com"],
                            "apiVersions": ["v1"],
                            "operations": ["CREATE", "UPDATE"],
                            "resources": ["things"],
                        }
                    ]
                },
                "mutations": [
                    {
                        "jsonPatch": {
                            "expression": '[JSONPatch{op: "add", path: '
                            '"/metadata/labels/a", value: '
                            '"b"}]'
                        },
                        "patchType": "JSONPatch",
                    }
                ],
                "reinvocationPolicy": "IfNeeded",
            },
        },
        {
            "/spec/matchConstraints/resourceRules/0/scope": "*",
            "/spec/matchConstraints/matchPolicy": "Equivalent",
            "/spec/matchConstraints/namespaceSelector": {},
            "/spec/matchConstraints/objectSelector": {},
            "/spec/failurePolicy": "Fail",
        },
    ),
    (
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingAdmissionPolicy",
            "metadata": {"name": "gold-min"},
            "spec": {
                "matchConstraints": {
                    "resourceRules": [
                        {
                            "apiGroups": ["nothing.example.com"],
                            "apiVersions": ["v1"],
                            "operations": ["CREATE", "UPDATE"],
                            "resources": ["things"],
                        }
                    ]
                },
                "mutations": [
                    {
                        "applyConfiguration": {
                            "expression": 'Object{metadata: Object.metadata{labels: {"a": "b"}}}'
                        },
                        "patchType": "ApplyConfiguration",
                    }
                ],
                "reinvocationPolicy": "Never",
            },
        },
        {
            "/spec/matchConstraints/resourceRules/0/scope": "*",
            "/spec/matchConstraints/matchPolicy": "Equivalent",
            "/spec/matchConstraints/namespaceSelector": {},
            "/spec/matchConstraints/objectSelector": {},
            "/spec/failurePolicy": "Fail",
        },
    ),
]


@pytest.mark.parametrize(("request_body", "added"), DEFAULTS)
def test_what_was_left_out_is_filled_in(judge, request_body, added):
    assert judge.defaults(KIND, request_body) == added


ROWS = [
    (
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingAdmissionPolicy",
            "metadata": {"name": "gold-json"},
            "spec": {
                "matchConstraints": {
                    "resourceRules": [
                        {
                            "apiGroups": ["nothing.example.com"],
                            "apiVersions": ["v1"],
                            "operations": ["CREATE", "UPDATE"],
                            "resources": ["things"],
                        }
                    ]
                },
                "mutations": [
                    {
                        "jsonPatch": {
                            "expression": '[JSONPatch{op: "add", path: '
                            '"/metadata/labels/a", value: '
                            '"b"}]'
                        },
                        "patchType": "JSONPatch",
                    }
                ],
                "reinvocationPolicy": "IfNeeded",
            },
        },
        None,
        ["gold-json", 1, "<unset>", "5s"],
    ),
    (
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingAdmissionPolicy",
            "metadata": {"name": "gold-min"},
            "spec": {
                "matchConstraints": {
                    "resourceRules": [
                        {
                            "apiGroups": ["nothing.example.com"],
                            "apiVersions": ["v1"],
                            "operations": ["CREATE", "UPDATE"],
                            "resources": ["things"],
                        }
                    ]
                },
                "mutations": [
                    {
                        "applyConfiguration": {
                            "expression": 'Object{metadata: Object.metadata{labels: {"a": "b"}}}'
                        },
                        "patchType": "ApplyConfiguration",
                    }
                ],
                "reinvocationPolicy": "Never",
            },
        },
        None,
        ["gold-min", 1, "<unset>", "5s"],
    ),
]


@pytest.mark.parametrize(("obj", "status", "cells"), ROWS)
def test_a_row_of_kubectl_get(judge, obj, status, cells):
    assert judge.cells(KIND, obj, status) == cells
