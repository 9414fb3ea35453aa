"""What the API server says to validatingadmissionpolicybindings; answers of Kubernetes 1.36 to the same requests."""

import pytest

from controlplane.kinds.admissionregistration.validating_admission_policy_binding import KIND

ABSENT = "<absent>"

BASES = {
    "gold-min": {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": "gold-min"},
        "spec": {"policyName": "gold-none", "validationActions": ["Deny"]},
    },
    "gold-rich": {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": "gold-rich"},
        "spec": {
            "matchResources": {
                "resourceRules": [
                    {
                        "apiGroups": ["nothing.example.com"],
                        "apiVersions": ["v1"],
                        "operations": ["CREATE", "UPDATE"],
                        "resources": ["things"],
                    }
                ]
            },
            "paramRef": {"parameterNotFoundAction": "Allow", "selector": {}},
            "policyName": "gold-none",
            "validationActions": ["Warn", "Audit"],
        },
    },
}

# base, field, value, the causes.
REFUSED = [
    (
        "gold-min",
        "/spec/validationActions/0",
        "<absent>",
        ["spec.validationActions: Required value: at least one validation action is required"],
    ),
    (
        "gold-min",
        "/spec",
        {},
        [
            "spec.policyName: Required value",
            "spec.validationActions: Required value: at least one validation action is required",
        ],
    ),
    ("gold-min", "/spec/policyName", "", ["spec.policyName: Required value"]),
    (
        "gold-min",
        "/spec/policyName",
        "Bad_Value!",
        [
            'spec.policyName: Invalid value: "Bad_Value!": a lowercase RFC 1123 subdomain must '
            "consist of lower case alphanumeric characters, '-' or '.', and must start and end "
            "with an alphanumeric character (e.g. 'example.com', regex used for validation is "
            "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
        ],
    ),
    (
        "gold-min",
        "/spec/validationActions",
        ["Deny", "Deny"],
        ['spec.validationActions[1]: Duplicate value: "Deny"'],
    ),
    (
        "gold-min",
        "/spec/validationActions/0",
        "",
        [
            'spec.validationActions[0]: Unsupported value: "": supported values: "Audit", '
            '"Deny", "Warn"'
        ],
    ),
    (
        "gold-min",
        "/spec/validationActions/0",
        "Bad_Value!",
        [
            'spec.validationActions[0]: Unsupported value: "Bad_Value!": supported values: '
            '"Audit", "Deny", "Warn"'
        ],
    ),
    (
        "gold-rich",
        "/spec/matchResources/resourceRules/0/apiGroups/0",
        "<absent>",
        ["spec.matchResources.resourceRules[0].apiGroups: Required value"],
    ),
    (
        "gold-rich",
        "/spec/matchResources/resourceRules/0/apiVersions/0",
        "<absent>",
        ["spec.matchResources.resourceRules[0].apiVersions: Required value"],
    ),
    (
        "gold-rich",
        "/spec/matchResources/resourceRules/0/resources/0",
        "<absent>",
        ["spec.matchResources.resourceRules[0].resources: Required value"],
    ),
    (
        "gold-rich",
        "/spec/paramRef/selector",
        "<absent>",
        ["spec.paramRef: Required value: one of name or selector must be specified"],
    ),
    (
        "gold-rich",
        "/spec/matchResources/resourceRules/0",
        {},
        [
            "spec.matchResources.resourceRules[0].operations: Required value",
            "spec.matchResources.resourceRules[0].apiGroups: Required value",
            "spec.matchResources.resourceRules[0].apiVersions: Required value",
            "spec.matchResources.resourceRules[0].resources: Required value",
        ],
    ),
    (
        "gold-rich",
        "/spec/matchResources/resourceRules/0/apiVersions/0",
        "",
        ["spec.matchResources.resourceRules[0].apiVersions[0]: Required value"],
    ),
    (
        "gold-rich",
        "/spec/matchResources/resourceRules/0/operations",
        [],
        ["spec.matchResources.resourceRules[0].operations: Required value"],
    ),
    (
        "gold-rich",
        "/spec/matchResources/resourceRules/0/operations/0",
        "",
        [
            'spec.matchResources.resourceRules[0].operations[0]: Unsupported value: "": '
            'supported values: "*", "CONNECT", "CREATE", "DELETE", "UPDATE"'
        ],
    ),
    (
        "gold-rich",
        "/spec/matchResources/resourceRules/0/resources/0",
        "",
        ["spec.matchResources.resourceRules[0].resources[0]: Required value"],
    ),
    (
        "gold-rich",
        "/spec/paramRef",
        {},
        [
            "spec.paramRef: Required value: one of name or selector must be specified",
            "spec.paramRef.parameterNotFoundAction: Required value",
        ],
    ),
    (
        "gold-rich",
        "/spec/paramRef/parameterNotFoundAction",
        "",
        ["spec.paramRef.parameterNotFoundAction: Required value"],
    ),
    (
        "gold-rich",
        "/spec/paramRef/parameterNotFoundAction",
        "Bad_Value!",
        [
            'spec.paramRef.parameterNotFoundAction: Unsupported value: "Bad_Value!": supported '
            'values: "Deny", "Allow"'
        ],
    ),
]


@pytest.mark.parametrize(("base", "path", "value", "causes"), REFUSED)
def test_a_spoilt_field_is_refused_with_its_path(judge, base, path, value, causes):
    assert sorted(judge.refusals(KIND, BASES[base], path, value)) == sorted(causes)


# Odd, and let pass.
ACCEPTED = [
    ("gold-rich", "/spec/matchResources", "<absent>"),
    ("gold-rich", "/spec/matchResources/resourceRules", "<absent>"),
    ("gold-rich", "/spec/matchResources/resourceRules/0", "<absent>"),
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
            "spec.policyName: Required value",
            "spec.validationActions: Required value: at least one validation action is required",
        ],
    ),
    ("gold-min", "/spec/policyName", "<absent>", ["spec.policyName: Required value"]),
    (
        "gold-min",
        "/spec/validationActions",
        "<absent>",
        ["spec.validationActions: Required value: at least one validation action is required"],
    ),
    (
        "gold-min",
        "/spec/validationActions/0",
        "Denyx",
        [
            'spec.validationActions[0]: Unsupported value: "Denyx": supported values: "Audit", '
            '"Deny", "Warn"'
        ],
    ),
    (
        "gold-rich",
        "/spec/matchResources/resourceRules/0/apiGroups",
        "<absent>",
        ["spec.matchResources.resourceRules[0].apiGroups: Required value"],
    ),
    (
        "gold-rich",
        "/spec/matchResources/resourceRules/0/apiVersions",
        "<absent>",
        ["spec.matchResources.resourceRules[0].apiVersions: Required value"],
    ),
    (
        "gold-rich",
        "/spec/matchResources/resourceRules/0/operations",
        "<absent>",
        ["spec.matchResources.resourceRules[0].operations: Required value"],
    ),
    (
        "gold-rich",
        "/spec/matchResources/resourceRules/0/resources",
        "<absent>",
        ["spec.matchResources.resourceRules[0].resources: Required value"],
    ),
    (
        "gold-rich",
        "/spec/paramRef/parameterNotFoundAction",
        "<absent>",
        ["spec.paramRef.parameterNotFoundAction: Required value"],
    ),
    (
        "gold-rich",
        "/spec/paramRef/selector",
        "<absent>",
        ["spec.paramRef: Required value: one of name or selector must be specified"],
    ),
    (
        "gold-rich",
        "/spec/matchResources/matchPolicy",
        "Equivalentx",
        [
            'spec.matchResources.matchPolicy: Unsupported value: "Equivalentx": supported '
            'values: "Equivalent", "Exact"'
        ],
    ),
    (
        "gold-rich",
        "/spec/matchResources/resourceRules/0/operations/0",
        "CREATEx",
        [
            'spec.matchResources.resourceRules[0].operations[0]: Unsupported value: "CREATEx": '
            'supported values: "*", "CONNECT", "CREATE", "DELETE", "UPDATE"'
        ],
    ),
    (
        "gold-rich",
        "/spec/matchResources/resourceRules/0/scope",
        "*x",
        [
            'spec.matchResources.resourceRules[0].scope: Unsupported value: "*x": supported '
            'values: "*", "Cluster", "Namespaced"'
        ],
    ),
    (
        "gold-rich",
        "/spec/paramRef/parameterNotFoundAction",
        "Allowx",
        [
            'spec.paramRef.parameterNotFoundAction: Unsupported value: "Allowx": supported '
            'values: "Deny", "Allow"'
        ],
    ),
]


@pytest.mark.parametrize(("base", "path", "value", "causes"), CHANGED)
def test_a_change_is_refused_with_its_path(judge, base, path, value, causes):
    assert sorted(judge.changes(KIND, BASES[base], path, value)) == sorted(causes)


CHANGEABLE = [
    ("gold-rich", "/spec/matchResources", "<absent>"),
    ("gold-rich", "/spec/matchResources/matchPolicy", "<absent>"),
    ("gold-rich", "/spec/matchResources/namespaceSelector", "<absent>"),
]


@pytest.mark.parametrize(("base", "path", "value"), CHANGEABLE)
def test_what_may_change_may_change(judge, base, path, value):
    assert judge.changes(KIND, BASES[base], path, value) == []


DEFAULTS = [
    (
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": "gold-min"},
            "spec": {"policyName": "gold-none", "validationActions": ["Deny"]},
        },
        {},
    ),
    (
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": "gold-rich"},
            "spec": {
                "matchResources": {
                    "resourceRules": [
                        {
                            "apiGroups": ["nothing.example.com"],
                            "apiVersions": ["v1"],
                            "operations": ["CREATE", "UPDATE"],
                            "resources": ["things"],
                        }
                    ]
                },
                "paramRef": {"parameterNotFoundAction": "Allow", "selector": {}},
                "policyName": "gold-none",
                "validationActions": ["Warn", "Audit"],
            },
        },
        {
            "/spec/matchResources/resourceRules/0/scope": "*",
            "/spec/matchResources/matchPolicy": "Equivalent",
            "/spec/matchResources/namespaceSelector": {},
            "/spec/matchResources/objectSelector": {},
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
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": "gold-min"},
            "spec": {"policyName": "gold-none", "validationActions": ["Deny"]},
        },
        None,
        ["gold-min", "gold-none", "<unset>", "5s"],
    ),
    (
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": "gold-rich"},
            "spec": {
                "matchResources": {
                    "resourceRules": [
                        {
                            "apiGroups": ["nothing.example.com"],
                            "apiVersions": ["v1"],
                            "operations": ["CREATE", "UPDATE"],
                            "resources": ["things"],
                        }
                    ]
                },
                "paramRef": {"parameterNotFoundAction": "Allow", "selector": {}},
                "policyName": "gold-none",
                "validationActions": ["Warn", "Audit"],
            },
        },
        None,
        [
            "gold-rich",
            "gold-none",
            "&LabelSelector{MatchLabels:map[string]string{},MatchExpressions:[]LabelSelectorRequirement{},}",
            "5s",
        ],
    ),
]


@pytest.mark.parametrize(("obj", "status", "cells"), ROWS)
def test_a_row_of_kubectl_get(judge, obj, status, cells):
    assert judge.cells(KIND, obj, status) == cells
