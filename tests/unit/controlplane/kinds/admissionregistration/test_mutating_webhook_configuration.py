"""What the API server says to mutatingwebhookconfigurations; answers of Kubernetes 1.36 to the same requests."""

import pytest

from controlplane.kinds.admissionregistration.mutating_webhook_configuration import KIND

ABSENT = "<absent>"

BASES = {
    "gold-min": {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": "gold-min"},
        "webhooks": [
            {
                "admissionReviewVersions": ["v1"],
                "clientConfig": {"url": "https://127.0.0.1:1/x"},
                "name": "a.example.com",
                "sideEffects": "None",
            }
        ],
    },
    "gold-rich": {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": "gold-rich"},
        "webhooks": [
            {
                "admissionReviewVersions": ["v1", "v1beta1"],
                "clientConfig": {"service": {"name": "y", "namespace": "x"}},
                "failurePolicy": "Ignore",
                "matchConditions": [{"expression": "true", "name": "m"}],
                "matchPolicy": "Exact",
                "name": "b.example.com",
                "namespaceSelector": {"matchLabels": {"a": "b"}},
                "objectSelector": {},
                "rules": [
                    {
                        "apiGroups": ["nothing.example.com"],
                        "apiVersions": ["v1"],
                        "operations": ["CREATE"],
                        "resources": ["things"],
                    }
                ],
                "sideEffects": "NoneOnDryRun",
                "timeoutSeconds": 3,
            }
        ],
    },
}

# base, field, value, the causes.
REFUSED = [
    (
        "gold-min",
        "/webhooks/0/admissionReviewVersions/0",
        "<absent>",
        ["webhooks[0].admissionReviewVersions: Required value: must specify one of v1, v1beta1"],
    ),
    (
        "gold-min",
        "/webhooks/0/clientConfig/url",
        "<absent>",
        ["webhooks[0].clientConfig: Required value: exactly one of url or service is required"],
    ),
    (
        "gold-min",
        "/webhooks/0/sideEffects",
        "<absent>",
        ["webhooks[0].sideEffects: Required value: must specify one of None, NoneOnDryRun"],
    ),
    (
        "gold-min",
        "/webhooks/0",
        {},
        [
            "webhooks[0].name: Required value",
            "webhooks[0].sideEffects: Required value: must specify one of None, NoneOnDryRun",
            "webhooks[0].clientConfig: Required value: exactly one of url or service is required",
            "webhooks[0].admissionReviewVersions: Required value: must specify one of v1, v1beta1",
        ],
    ),
    (
        "gold-min",
        "/webhooks/0/admissionReviewVersions",
        ["v1", "v1"],
        ['webhooks[0].admissionReviewVersions[1]: Invalid value: "v1": duplicate version'],
    ),
    (
        "gold-min",
        "/webhooks/0/admissionReviewVersions/0",
        "",
        [
            'webhooks[0].admissionReviewVersions[0]: Invalid value: "": a DNS-1035 label must '
            "consist of lower case alphanumeric characters or '-', start with an alphabetic "
            "character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', "
            "regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')",
            'webhooks[0].admissionReviewVersions: Invalid value: [""]: must include at least '
            "one of v1, v1beta1",
        ],
    ),
    (
        "gold-min",
        "/webhooks/0/admissionReviewVersions/0",
        "Bad_Value!",
        [
            'webhooks[0].admissionReviewVersions[0]: Invalid value: "Bad_Value!": a DNS-1035 '
            "label must consist of lower case alphanumeric characters or '-', start with an "
            "alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or "
            "'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')",
            'webhooks[0].admissionReviewVersions: Invalid value: ["Bad_Value!"]: must include '
            "at least one of v1, v1beta1",
        ],
    ),
    (
        "gold-min",
        "/webhooks/0/clientConfig/url",
        "",
        [
            "webhooks[0].clientConfig.url: Invalid value: \"\": 'https' is the only allowed URL "
            "scheme; desired format: https://host[/path]",
            'webhooks[0].clientConfig.url: Invalid value: "": host must be specified; desired '
            "format: https://host[/path]",
        ],
    ),
    ("gold-min", "/webhooks/0/name", "", ["webhooks[0].name: Required value"]),
    (
        "gold-min",
        "/webhooks/0/name",
        "Bad_Value!",
        [
            'webhooks[0].name: Invalid value: "Bad_Value!": a lowercase RFC 1123 subdomain must '
            "consist of lower case alphanumeric characters, '-' or '.', and must start and end "
            "with an alphanumeric character (e.g. 'example.com', regex used for validation is "
            "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
        ],
    ),
    (
        "gold-min",
        "/webhooks/0/sideEffects",
        "",
        [
            'webhooks[0].sideEffects: Unsupported value: "": supported values: "None", '
            '"NoneOnDryRun"'
        ],
    ),
    (
        "gold-min",
        "/webhooks/0/sideEffects",
        "Bad_Value!",
        [
            'webhooks[0].sideEffects: Unsupported value: "Bad_Value!": supported values: '
            '"None", "NoneOnDryRun"'
        ],
    ),
    (
        "gold-rich",
        "/webhooks/0/rules/0/apiGroups/0",
        "<absent>",
        ["webhooks[0].rules[0].apiGroups: Required value"],
    ),
    (
        "gold-rich",
        "/webhooks/0/rules/0/apiVersions/0",
        "<absent>",
        ["webhooks[0].rules[0].apiVersions: Required value"],
    ),
    (
        "gold-rich",
        "/webhooks/0/rules/0/operations/0",
        "<absent>",
        ["webhooks[0].rules[0].operations: Required value"],
    ),
    (
        "gold-rich",
        "/webhooks/0/rules/0/resources/0",
        "<absent>",
        ["webhooks[0].rules[0].resources: Required value"],
    ),
    (
        "gold-rich",
        "/webhooks/0/clientConfig/service",
        {},
        [
            "webhooks[0].clientConfig.service.name: Required value",
            "webhooks[0].clientConfig.service.namespace: Required value",
        ],
    ),
    (
        "gold-rich",
        "/webhooks/0/clientConfig/service/name",
        "",
        ["webhooks[0].clientConfig.service.namespace: Required value"],
    ),
    (
        "gold-rich",
        "/webhooks/0/clientConfig/service/namespace",
        "",
        ["webhooks[0].clientConfig.service.name: Required value"],
    ),
    (
        "gold-rich",
        "/webhooks/0/failurePolicy",
        "",
        ['webhooks[0].failurePolicy: Unsupported value: "": supported values: "Fail", "Ignore"'],
    ),
    (
        "gold-rich",
        "/webhooks/0/failurePolicy",
        "Bad_Value!",
        [
            'webhooks[0].failurePolicy: Unsupported value: "Bad_Value!": supported values: '
            '"Fail", "Ignore"'
        ],
    ),
    (
        "gold-rich",
        "/webhooks/0/matchConditions",
        [{"expression": "true", "name": "m"}, {"expression": "true", "name": "m"}],
        ['webhooks[0].matchConditions[1].name: Duplicate value: "m"'],
    ),
]


@pytest.mark.parametrize(("base", "path", "value", "causes"), REFUSED)
def test_a_spoilt_field_is_refused_with_its_path(judge, base, path, value, causes):
    assert sorted(judge.refusals(KIND, BASES[base], path, value)) == sorted(causes)


# Odd, and let pass.
ACCEPTED = [
    ("gold-min", "/webhooks", "<absent>"),
    ("gold-min", "/webhooks/0", "<absent>"),
    ("gold-min", "/webhooks", []),
    ("gold-rich", "/webhooks/0/failurePolicy", "<absent>"),
    ("gold-rich", "/webhooks/0/matchConditions", "<absent>"),
    ("gold-rich", "/webhooks/0/matchConditions/0", "<absent>"),
]


@pytest.mark.parametrize(("base", "path", "value"), ACCEPTED)
def test_what_the_original_takes_is_taken(judge, base, path, value):
    assert judge.refusals(KIND, BASES[base], path, value) == []


CHANGED = [
    (
        "gold-min",
        "/webhooks/0/admissionReviewVersions",
        "<absent>",
        ["webhooks[0].admissionReviewVersions: Required value: must specify one of v1, v1beta1"],
    ),
    (
        "gold-min",
        "/webhooks/0/clientConfig",
        "<absent>",
        ["webhooks[0].clientConfig: Required value: exactly one of url or service is required"],
    ),
    ("gold-min", "/webhooks/0/name", "<absent>", ["webhooks[0].name: Required value"]),
    (
        "gold-min",
        "/webhooks/0/sideEffects",
        "<absent>",
        ["webhooks[0].sideEffects: Required value: must specify one of None, NoneOnDryRun"],
    ),
    (
        "gold-min",
        "/webhooks/0/admissionReviewVersions/0",
        "v1x",
        [
            'webhooks[0].admissionReviewVersions: Invalid value: ["v1x"]: must include at least '
            "one of v1, v1beta1"
        ],
    ),
    (
        "gold-min",
        "/webhooks/0/failurePolicy",
        "Failx",
        [
            'webhooks[0].failurePolicy: Unsupported value: "Failx": supported values: "Fail", '
            '"Ignore"'
        ],
    ),
    (
        "gold-min",
        "/webhooks/0/matchPolicy",
        "Equivalentx",
        [
            'webhooks[0].matchPolicy: Unsupported value: "Equivalentx": supported values: '
            '"Equivalent", "Exact"'
        ],
    ),
    (
        "gold-min",
        "/webhooks/0/reinvocationPolicy",
        "Neverx",
        [
            'webhooks[0].reinvocationPolicy: Unsupported value: "Neverx": supported values: '
            '"IfNeeded", "Never"'
        ],
    ),
    (
        "gold-min",
        "/webhooks/0/sideEffects",
        "Nonex",
        [
            'webhooks[0].sideEffects: Unsupported value: "Nonex": supported values: "None", '
            '"NoneOnDryRun"'
        ],
    ),
    (
        "gold-rich",
        "/webhooks/0/clientConfig/service/name",
        "<absent>",
        ["webhooks[0].clientConfig.service.namespace: Required value"],
    ),
    (
        "gold-rich",
        "/webhooks/0/clientConfig/service/namespace",
        "<absent>",
        ["webhooks[0].clientConfig.service.name: Required value"],
    ),
    (
        "gold-rich",
        "/webhooks/0/matchConditions/0/expression",
        "<absent>",
        ["webhooks[0].matchConditions[0].expression: Required value"],
    ),
    (
        "gold-rich",
        "/webhooks/0/matchConditions/0/name",
        "<absent>",
        ["webhooks[0].matchConditions[0].name: Required value"],
    ),
    (
        "gold-rich",
        "/webhooks/0/rules/0/apiGroups",
        "<absent>",
        ["webhooks[0].rules[0].apiGroups: Required value"],
    ),
    (
        "gold-rich",
        "/webhooks/0/rules/0/apiVersions",
        "<absent>",
        ["webhooks[0].rules[0].apiVersions: Required value"],
    ),
    (
        "gold-rich",
        "/webhooks/0/rules/0/operations",
        "<absent>",
        ["webhooks[0].rules[0].operations: Required value"],
    ),
    (
        "gold-rich",
        "/webhooks/0/rules/0/resources",
        "<absent>",
        ["webhooks[0].rules[0].resources: Required value"],
    ),
    (
        "gold-rich",
        "/webhooks/0/matchConditions/0/expression",
        "truex",
        [
            'webhooks[0].matchConditions[0].expression: Invalid value: "truex": compilation '
            "failed: ERROR: <input>:1:1: undeclared reference to 'truex' (in container '')"
        ],
    ),
]


@pytest.mark.parametrize(("base", "path", "value", "causes"), CHANGED)
def test_a_change_is_refused_with_its_path(judge, base, path, value, causes):
    assert sorted(judge.changes(KIND, BASES[base], path, value)) == sorted(causes)


CHANGEABLE = [
    ("gold-min", "/webhooks", "<absent>"),
    ("gold-min", "/webhooks/0", "<absent>"),
    ("gold-min", "/webhooks/0/failurePolicy", "<absent>"),
    ("gold-rich", "/webhooks/0/clientConfig/service/port", "<absent>"),
    ("gold-rich", "/webhooks/0/matchConditions", "<absent>"),
    ("gold-rich", "/webhooks/0/matchConditions/0", "<absent>"),
]


@pytest.mark.parametrize(("base", "path", "value"), CHANGEABLE)
def test_what_may_change_may_change(judge, base, path, value):
    assert judge.changes(KIND, BASES[base], path, value) == []


DEFAULTS = [
    (
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": "gold-min"},
            "webhooks": [
                {
                    "admissionReviewVersions": ["v1"],
                    "clientConfig": {"url": "https://127.0.0.1:1/x"},
                    "name": "a.example.com",
                    "sideEffects": "None",
                }
            ],
        },
        {
            "/webhooks/0/failurePolicy": "Fail",
            "/webhooks/0/matchPolicy": "Equivalent",
            "/webhooks/0/namespaceSelector": {},
            "/webhooks/0/objectSelector": {},
            "/webhooks/0/timeoutSeconds": 10,
            "/webhooks/0/reinvocationPolicy": "Never",
        },
    ),
    (
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": "gold-none"},
        },
        {},
    ),
    (
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": "gold-rich"},
            "webhooks": [
                {
                    "admissionReviewVersions": ["v1", "v1beta1"],
                    "clientConfig": {"service": {"name": "y", "namespace": "x"}},
                    "failurePolicy": "Ignore",
                    "matchConditions": [{"expression": "true", "name": "m"}],
                    "matchPolicy": "Exact",
                    "name": "b.example.com",
                    "namespaceSelector": {"matchLabels": {"a": "b"}},
                    "objectSelector": {},
                    "rules": [
                        {
                            "apiGroups": ["nothing.example.com"],
                            "apiVersions": ["v1"],
                            "operations": ["CREATE"],
                            "resources": ["things"],
                        }
                    ],
                    "sideEffects": "NoneOnDryRun",
                    "timeoutSeconds": 3,
                }
            ],
        },
        {
            "/webhooks/0/clientConfig/service/port": 443,
            "/webhooks/0/rules/0/scope": "*",
            "/webhooks/0/reinvocationPolicy": "Never",
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
            "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": "gold-min"},
            "webhooks": [
                {
                    "admissionReviewVersions": ["v1"],
                    "clientConfig": {"url": "https://127.0.0.1:1/x"},
                    "name": "a.example.com",
                    "sideEffects": "None",
                }
            ],
        },
        None,
        ["gold-min", 1, "5s"],
    ),
    (
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": "gold-none"},
        },
        None,
        ["gold-none", 0, "5s"],
    ),
    (
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": "gold-rich"},
            "webhooks": [
                {
                    "admissionReviewVersions": ["v1", "v1beta1"],
                    "clientConfig": {"service": {"name": "y", "namespace": "x"}},
                    "failurePolicy": "Ignore",
                    "matchConditions": [{"expression": "true", "name": "m"}],
                    "matchPolicy": "Exact",
                    "name": "b.example.com",
                    "namespaceSelector": {"matchLabels": {"a": "b"}},
                    "objectSelector": {},
                    "rules": [
                        {
                            "apiGroups": ["nothing.example.com"],
                            "apiVersions": ["v1"],
                            "operations": ["CREATE"],
                            "resources": ["things"],
                        }
                    ],
                    "sideEffects": "NoneOnDryRun",
                    "timeoutSeconds": 3,
                }
            ],
        },
        None,
        ["gold-rich", 1, "5s"],
    ),
]


@pytest.mark.parametrize(("obj", "status", "cells"), ROWS)
def test_a_row_of_kubectl_get(judge, obj, status, cells):
    assert judge.cells(KIND, obj, status) == cells
