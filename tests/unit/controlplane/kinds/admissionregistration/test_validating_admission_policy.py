"""What the API server says to validatingadmissionpolicies; answers of Kubernetes 1.36 to the same requests."""

import pytest

from controlplane.kinds.admissionregistration.validating_admission_policy import KIND

ABSENT = "<absent>"

BASES = {
    "gold-min": {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
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
            "validations": [{"expression": "object.spec.x > 1"}],
        },
    },
    "gold-rich": {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": "gold-rich"},
        "spec": {
            "auditAnnotations": [{"key": "k", "valueExpression": "'v'"}],
            "failurePolicy": "Ignore",
            "matchConditions": [{"expression": "request.operation != 'DELETE'", "name": "m"}],
            "matchConstraints": {
                "matchPolicy": "Exact",
                "namespaceSelector": {"matchLabels": {"a": "b"}},
                "resourceRules": [
                    {
                        "apiGroups": ["nothing.example.com"],
                        "apiVersions": ["v1"],
                        "operations": ["CREATE", "UPDATE"],
                        "resources": ["things"],
                    }
                ],
            },
            "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"},
            "validations": [
                {
                    "expression": "variables.v == 'x'",
                    "message": "no",
                    "messageExpression": "'not ' + variables.v",
                    "reason": "Forbidden",
                }
            ],
            "variables": [{"expression": "object.metadata.name", "name": "v"}],
        },
    },
}

# base, field, value, the causes.
REFUSED = [
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
        "/spec/validations/0",
        "<absent>",
        [
            "spec.validations: Required value: validations or auditAnnotations must contain at "
            "least one item",
            "spec.auditAnnotations: Required value: validations or auditAnnotations must "
            "contain at least one item",
        ],
    ),
    (
        "gold-min",
        "/spec",
        {},
        [
            "spec.matchConstraints: Required value",
            "spec.validations: Required value: validations or auditAnnotations must contain at "
            "least one item",
            "spec.auditAnnotations: Required value: validations or auditAnnotations must "
            "contain at least one item",
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
            'supported values: "*", "CONNECT", "CREATE", "DELETE", "UPDATE"'
        ],
    ),
    (
        "gold-min",
        "/spec/matchConstraints/resourceRules/0/resources/0",
        "",
        ["spec.matchConstraints.resourceRules[0].resources[0]: Required value"],
    ),
    (
        "gold-min",
        "/spec/validations/0",
        {},
        ["spec.validations[0].expression: Required value: expression is not specified"],
    ),
    (
        "gold-min",
        "/spec/validations/0/expression",
        "Bad_Value!",
        [
            'spec.validations[0].expression: Invalid value: "Bad_Value!": compilation failed: '
            "ERROR: <input>:1:10: Syntax error: extraneous input '!' expecting <EOF>"
        ],
    ),
    (
        "gold-rich",
        "/spec/variables/0",
        "<absent>",
        [
            "spec.validations[0].expression: Invalid value: \"variables.v == 'x'\": compilation "
            "failed: ERROR: <input>:1:1: undeclared reference to 'variables' (in container '')",
            "spec.validations[0].messageExpression: Invalid value: \"'not ' + variables.v\": "
            "compilation failed: ERROR: <input>:1:10: undeclared reference to 'variables' (in "
            "container '')",
        ],
    ),
    (
        "gold-rich",
        "/spec/auditAnnotations",
        [{"key": "k", "valueExpression": "'v'"}, {"key": "k", "valueExpression": "'v'"}],
        ['spec.auditAnnotations[1].key: Duplicate value: "k"'],
    ),
    (
        "gold-rich",
        "/spec/auditAnnotations/0",
        {},
        [
            'spec.auditAnnotations[0].key: Invalid value: "gold-rich/": name part must be '
            "non-empty",
            'spec.auditAnnotations[0].key: Invalid value: "gold-rich/": name part must consist '
            "of alphanumeric characters, '-', '_' or '.', and must start and end with an "
            "alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used "
            "for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
            "spec.auditAnnotations[0].valueExpression: Required value: valueExpression is not "
            "specified",
        ],
    ),
    (
        "gold-rich",
        "/spec/auditAnnotations/0/key",
        "",
        [
            'spec.auditAnnotations[0].key: Invalid value: "gold-rich/": name part must be '
            "non-empty",
            'spec.auditAnnotations[0].key: Invalid value: "gold-rich/": name part must consist '
            "of alphanumeric characters, '-', '_' or '.', and must start and end with an "
            "alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used "
            "for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
        ],
    ),
    (
        "gold-rich",
        "/spec/auditAnnotations/0/key",
        "Bad_Value!",
        [
            'spec.auditAnnotations[0].key: Invalid value: "gold-rich/Bad_Value!": name part '
            "must consist of alphanumeric characters, '-', '_' or '.', and must start and end "
            "with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex "
            "used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
        ],
    ),
    (
        "gold-rich",
        "/spec/auditAnnotations/0/valueExpression",
        "",
        [
            "spec.auditAnnotations[0].valueExpression: Required value: valueExpression is not "
            "specified"
        ],
    ),
    (
        "gold-rich",
        "/spec/auditAnnotations/0/valueExpression",
        "Bad_Value!",
        [
            'spec.auditAnnotations[0].valueExpression: Invalid value: "Bad_Value!": compilation '
            "failed: ERROR: <input>:1:10: Syntax error: extraneous input '!' expecting <EOF>"
        ],
    ),
    (
        "gold-rich",
        "/spec/failurePolicy",
        "",
        ['spec.failurePolicy: Unsupported value: "": supported values: "Fail", "Ignore"'],
    ),
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
    ("gold-rich", "/spec/auditAnnotations", "<absent>"),
    ("gold-rich", "/spec/auditAnnotations/0", "<absent>"),
    ("gold-rich", "/spec/failurePolicy", "<absent>"),
]


@pytest.mark.parametrize(("base", "path", "value"), ACCEPTED)
def test_what_the_original_takes_is_taken(judge, base, path, value):
    assert judge.refusals(KIND, BASES[base], path, value) == []


CHANGED = [
    (
        "gold-min",
        "/spec",
        "<absent>",
        [
            "spec.matchConstraints: Required value",
            "spec.validations: Required value: validations or auditAnnotations must contain at "
            "least one item",
            "spec.auditAnnotations: Required value: validations or auditAnnotations must "
            "contain at least one item",
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
        "/spec/validations",
        "<absent>",
        [
            "spec.validations: Required value: validations or auditAnnotations must contain at "
            "least one item",
            "spec.auditAnnotations: Required value: validations or auditAnnotations must "
            "contain at least one item",
        ],
    ),
    (
        "gold-min",
        "/spec/validations/0/expression",
        "<absent>",
        ["spec.validations[0].expression: Required value: expression is not specified"],
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
            '"CREATEx": supported values: "*", "CONNECT", "CREATE", "DELETE", "UPDATE"'
        ],
    ),
    (
        "gold-min",
        "/spec/matchConstraints/resourceRules/0/scope",
        "*x",
        [
            'spec.matchConstraints.resourceRules[0].scope: Unsupported value: "*x": supported '
            'values: "*", "Cluster", "Namespaced"'
        ],
    ),
    (
        "gold-min",
        "/spec/validations/0/expression",
        "object.spec.x > 1x",
        [
            'spec.validations[0].expression: Invalid value: "object.spec.x > 1x": compilation '
            "failed: ERROR: <input>:1:18: Syntax error: extraneous input 'x' expecting <EOF>"
        ],
    ),
    (
        "gold-rich",
        "/spec/auditAnnotations/0/key",
        "<absent>",
        [
            'spec.auditAnnotations[0].key: Invalid value: "gold-rich/": name part must be '
            "non-empty",
            'spec.auditAnnotations[0].key: Invalid value: "gold-rich/": name part must consist '
            "of alphanumeric characters, '-', '_' or '.', and must start and end with an "
            "alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used "
            "for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
        ],
    ),
    (
        "gold-rich",
        "/spec/auditAnnotations/0/valueExpression",
        "<absent>",
        [
            "spec.auditAnnotations[0].valueExpression: Required value: valueExpression is not "
            "specified"
        ],
    ),
    (
        "gold-rich",
        "/spec/matchConditions/0/expression",
        "<absent>",
        ["spec.matchConditions[0].expression: Required value"],
    ),
    (
        "gold-rich",
        "/spec/matchConditions/0/name",
        "<absent>",
        ["spec.matchConditions[0].name: Required value"],
    ),
]


@pytest.mark.parametrize(("base", "path", "value", "causes"), CHANGED)
def test_a_change_is_refused_with_its_path(judge, base, path, value, causes):
    assert sorted(judge.changes(KIND, BASES[base], path, value)) == sorted(causes)


CHANGEABLE = [
    ("gold-min", "/spec/failurePolicy", "<absent>"),
    ("gold-min", "/spec/matchConstraints/matchPolicy", "<absent>"),
    ("gold-min", "/spec/matchConstraints/namespaceSelector", "<absent>"),
    ("gold-rich", "/spec/auditAnnotations", "<absent>"),
    ("gold-rich", "/spec/auditAnnotations/0", "<absent>"),
    ("gold-rich", "/spec/matchConditions", "<absent>"),
]


@pytest.mark.parametrize(("base", "path", "value"), CHANGEABLE)
def test_what_may_change_may_change(judge, base, path, value):
    assert judge.changes(KIND, BASES[base], path, value) == []


DEFAULTS = [
    (
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicy",
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
                "validations": [{"expression": "object.spec.x > 1"}],
            },
        },
        {
            "/spec/matchConstraints/resourceRules/0/scope": "*",
            "/spec/matchConstraints/matchPolicy": "Equivalent",
            "/spec/matchConstraints/namespaceSelector": {},
            "/spec/matchConstraints/objectSelector": {},
            "/spec/failurePolicy": "Fail",
            "/status": {},
        },
    ),
    (
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicy",
            "metadata": {"name": "gold-rich"},
            "spec": {
                "auditAnnotations": [{"key": "k", "valueExpression": "'v'"}],
                "failurePolicy": "Ignore",
                "matchConditions": [{"expression": "request.operation != 'DELETE'", "name": "m"}],
                "matchConstraints": {
                    "matchPolicy": "Exact",
                    "namespaceSelector": {"matchLabels": {"a": "b"}},
                    "resourceRules": [
                        {
                            "apiGroups": ["nothing.example.com"],
                            "apiVersions": ["v1"],
                            "operations": ["CREATE", "UPDATE"],
                            "resources": ["things"],
                        }
                    ],
                },
                "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"},
                "validations": [
                    {
                        "expression": "variables.v == 'x'",
                        "message": "no",
                        "messageExpression": "'not ' + variables.v",
                        "reason": "Forbidden",
                    }
                ],
                "variables": [{"expression": "object.metadata.name", "name": "v"}],
            },
        },
        {
            "/spec/matchConstraints/resourceRules/0/scope": "*",
            "/spec/matchConstraints/objectSelector": {},
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
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicy",
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
                "validations": [{"expression": "object.spec.x > 1"}],
            },
        },
        None,
        ["gold-min", 1, "<unset>", "5s"],
    ),
    (
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicy",
            "metadata": {"name": "gold-rich"},
            "spec": {
                "auditAnnotations": [{"key": "k", "valueExpression": "'v'"}],
                "failurePolicy": "Ignore",
                "matchConditions": [{"expression": "request.operation != 'DELETE'", "name": "m"}],
                "matchConstraints": {
                    "matchPolicy": "Exact",
                    "namespaceSelector": {"matchLabels": {"a": "b"}},
                    "resourceRules": [
                        {
                            "apiGroups": ["nothing.example.com"],
                            "apiVersions": ["v1"],
                            "operations": ["CREATE", "UPDATE"],
                            "resources": ["things"],
                        }
                    ],
                },
                "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"},
                "validations": [
                    {
                        "expression": "variables.v == 'x'",
                        "message": "no",
                        "messageExpression": "'not ' + variables.v",
                        "reason": "Forbidden",
                    }
                ],
                "variables": [{"expression": "object.metadata.name", "name": "v"}],
            },
        },
        None,
        ["gold-rich", 1, "v1/ConfigMap", "5s"],
    ),
]


@pytest.mark.parametrize(("obj", "status", "cells"), ROWS)
def test_a_row_of_kubectl_get(judge, obj, status, cells):
    assert judge.cells(KIND, obj, status) == cells
