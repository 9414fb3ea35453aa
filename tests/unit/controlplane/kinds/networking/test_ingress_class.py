"""What the API server says to ingressclasses; answers of Kubernetes 1.36 to the same requests."""

import pytest

from controlplane.kinds.networking.ingress_class import KIND

ABSENT = "<absent>"

BASES = {
    "min": {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "IngressClass",
        "metadata": {"name": "min"},
        "spec": {"controller": "example.com/c"},
    },
    "rich": {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "IngressClass",
        "metadata": {"name": "rich"},
        "spec": {
            "controller": "example.com/c",
            "parameters": {
                "apiGroup": "k.example.com",
                "kind": "P",
                "name": "n",
                "namespace": "x",
                "scope": "Namespace",
            },
        },
    },
}

# base, field, value, the causes.
REFUSED = [
    ("min", "/spec", {}, ["spec.controller: Required value"]),
    (
        "min",
        "/spec/controller",
        "Bad_Value!",
        [
            'spec.controller: Invalid value: "Bad_Value!": must be a domain-prefixed path (such '
            'as "acme.io/foo")'
        ],
    ),
    (
        "rich",
        "/spec/parameters/namespace",
        "<absent>",
        ["spec.parameters.namespace: Required value: `parameters.scope` is set to 'Namespace'"],
    ),
    (
        "rich",
        "/spec/parameters/scope",
        "<absent>",
        ["spec.parameters.namespace: Forbidden: `parameters.scope` is set to 'Cluster'"],
    ),
    (
        "rich",
        "/spec/parameters",
        {},
        ["spec.parameters.kind: Required value", "spec.parameters.name: Required value"],
    ),
    (
        "rich",
        "/spec/parameters/apiGroup",
        "",
        [
            'spec.parameters.apiGroup: Invalid value: "": a lowercase RFC 1123 subdomain must '
            "consist of lower case alphanumeric characters, '-' or '.', and must start and end "
            "with an alphanumeric character (e.g. 'example.com', regex used for validation is "
            "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
        ],
    ),
    (
        "rich",
        "/spec/parameters/apiGroup",
        "Bad_Value!",
        [
            'spec.parameters.apiGroup: Invalid value: "Bad_Value!": a lowercase RFC 1123 '
            "subdomain must consist of lower case alphanumeric characters, '-' or '.', and must "
            "start and end with an alphanumeric character (e.g. 'example.com', regex used for "
            "validation is "
            "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
        ],
    ),
    ("rich", "/spec/parameters/kind", "", ["spec.parameters.kind: Required value"]),
    ("rich", "/spec/parameters/name", "", ["spec.parameters.name: Required value"]),
    (
        "rich",
        "/spec/parameters/namespace",
        "",
        [
            'spec.parameters.namespace: Invalid value: "": a lowercase RFC 1123 label must '
            "consist of lower case alphanumeric characters or '-', and must start and end with "
            "an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for "
            "validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
        ],
    ),
    (
        "rich",
        "/spec/parameters/namespace",
        "Bad_Value!",
        [
            'spec.parameters.namespace: Invalid value: "Bad_Value!": a lowercase RFC 1123 label '
            "must consist of lower case alphanumeric characters or '-', and must start and end "
            "with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for "
            "validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
        ],
    ),
    (
        "rich",
        "/spec/parameters/scope",
        "",
        ['spec.parameters.scope: Unsupported value: "": supported values: "Cluster", "Namespace"'],
    ),
    (
        "rich",
        "/spec/parameters/scope",
        "Bad_Value!",
        [
            'spec.parameters.scope: Unsupported value: "Bad_Value!": supported values: '
            '"Cluster", "Namespace"'
        ],
    ),
]


@pytest.mark.parametrize(("base", "path", "value", "causes"), REFUSED)
def test_a_spoilt_field_is_refused_with_its_path(judge, base, path, value, causes):
    assert sorted(judge.refusals(KIND, BASES[base], path, value)) == sorted(causes)


# Odd, and let pass.
ACCEPTED = [
    ("rich", "/spec/parameters", "<absent>"),
    ("rich", "/spec/parameters/apiGroup", "<absent>"),
    ("rich", "/spec/parameters/kind", "Bad_Value!"),
]


@pytest.mark.parametrize(("base", "path", "value"), ACCEPTED)
def test_what_the_original_takes_is_taken(judge, base, path, value):
    assert judge.refusals(KIND, BASES[base], path, value) == []


CHANGED = [
    (
        "min",
        "/spec",
        "<absent>",
        [
            'spec.controller: Invalid value: "": field is immutable',
            "spec.controller: Required value",
        ],
    ),
    (
        "min",
        "/spec/controller",
        "example.com/cx",
        ['spec.controller: Invalid value: "example.com/cx": field is immutable'],
    ),
    ("rich", "/spec/parameters/kind", "<absent>", ["spec.parameters.kind: Required value"]),
    ("rich", "/spec/parameters/name", "<absent>", ["spec.parameters.name: Required value"]),
    (
        "rich",
        "/spec/parameters/namespace",
        "<absent>",
        ["spec.parameters.namespace: Required value: `parameters.scope` is set to 'Namespace'"],
    ),
    (
        "rich",
        "/spec/parameters/scope",
        "<absent>",
        ["spec.parameters.namespace: Forbidden: `parameters.scope` is set to 'Cluster'"],
    ),
    (
        "rich",
        "/spec/parameters/scope",
        "Namespacex",
        [
            'spec.parameters.scope: Unsupported value: "Namespacex": supported values: '
            '"Cluster", "Namespace"'
        ],
    ),
]


@pytest.mark.parametrize(("base", "path", "value", "causes"), CHANGED)
def test_a_change_is_refused_with_its_path(judge, base, path, value, causes):
    assert sorted(judge.changes(KIND, BASES[base], path, value)) == sorted(causes)


CHANGEABLE = [
    ("rich", "/spec/parameters", "<absent>"),
    ("rich", "/spec/parameters/apiGroup", "<absent>"),
]


@pytest.mark.parametrize(("base", "path", "value"), CHANGEABLE)
def test_what_may_change_may_change(judge, base, path, value):
    assert judge.changes(KIND, BASES[base], path, value) == []


DEFAULTS = [
    (
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "IngressClass",
            "metadata": {"name": "min"},
            "spec": {"controller": "example.com/c"},
        },
        {},
    ),
    (
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "IngressClass",
            "metadata": {"name": "params"},
            "spec": {"controller": "example.com/c", "parameters": {"kind": "P", "name": "n"}},
        },
        {"/spec/parameters/scope": "Cluster"},
    ),
    (
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "IngressClass",
            "metadata": {"name": "rich"},
            "spec": {
                "controller": "example.com/c",
                "parameters": {
                    "apiGroup": "k.example.com",
                    "kind": "P",
                    "name": "n",
                    "namespace": "x",
                    "scope": "Namespace",
                },
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
            "apiVersion": "networking.k8s.io/v1",
            "kind": "IngressClass",
            "metadata": {"name": "min"},
            "spec": {"controller": "example.com/c"},
        },
        None,
        ["min", "example.com/c", "<none>", "5s"],
    ),
    (
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "IngressClass",
            "metadata": {"name": "params"},
            "spec": {"controller": "example.com/c", "parameters": {"kind": "P", "name": "n"}},
        },
        None,
        ["params", "example.com/c", "P/n", "5s"],
    ),
    (
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "IngressClass",
            "metadata": {"name": "rich"},
            "spec": {
                "controller": "example.com/c",
                "parameters": {
                    "apiGroup": "k.example.com",
                    "kind": "P",
                    "name": "n",
                    "namespace": "x",
                    "scope": "Namespace",
                },
            },
        },
        None,
        ["rich", "example.com/c", "P.k.example.com/n", "5s"],
    ),
]


@pytest.mark.parametrize(("obj", "status", "cells"), ROWS)
def test_a_row_of_kubectl_get(judge, obj, status, cells):
    assert judge.cells(KIND, obj, status) == cells
