"""What the API server says to ipaddresses; answers of Kubernetes 1.36 to the same requests."""

import pytest

from controlplane.kinds.networking.ip_address import KIND

ABSENT = "<absent>"

BASES = {
    "x": {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "IPAddress",
        "metadata": {"name": "192.0.2.7"},
        "spec": {"parentRef": {"name": "s", "namespace": "gold", "resource": "services"}},
    }
}

# base, field, value, the causes.
REFUSED = [
    ("x", "/spec/parentRef", "<absent>", ["spec.parentRef: Required value"]),
    (
        "x",
        "/spec/parentRef",
        {},
        ["spec.parentRef.resource: Required value", "spec.parentRef.name: Required value"],
    ),
    ("x", "/spec/parentRef/name", "", ["spec.parentRef.name: Required value"]),
    ("x", "/spec/parentRef/resource", "", ["spec.parentRef.resource: Required value"]),
]


@pytest.mark.parametrize(("base", "path", "value", "causes"), REFUSED)
def test_a_spoilt_field_is_refused_with_its_path(judge, base, path, value, causes):
    assert sorted(judge.refusals(KIND, BASES[base], path, value)) == sorted(causes)


# Odd, and let pass.
ACCEPTED = [
    ("x", "/spec/parentRef/namespace", "<absent>"),
    ("x", "/spec/parentRef/name", "Bad_Value!"),
    ("x", "/spec/parentRef/namespace", ""),
]


@pytest.mark.parametrize(("base", "path", "value"), ACCEPTED)
def test_what_the_original_takes_is_taken(judge, base, path, value):
    assert judge.refusals(KIND, BASES[base], path, value) == []


CHANGED = [
    (
        "x",
        "/spec",
        "<absent>",
        [
            "spec.parentRef: Required value",
            "spec.parentRef: Invalid value: null: field is immutable",
        ],
    ),
    (
        "x",
        "/spec/parentRef/name",
        "<absent>",
        [
            "spec.parentRef.name: Required value",
            "spec.parentRef: Invalid value: "
            '{"Group":"","Resource":"services","Namespace":"gold","Name":""}: field is '
            "immutable",
        ],
    ),
    (
        "x",
        "/spec/parentRef/namespace",
        "<absent>",
        [
            "spec.parentRef: Invalid value: "
            '{"Group":"","Resource":"services","Namespace":"","Name":"s"}: field is immutable'
        ],
    ),
    (
        "x",
        "/spec/parentRef/resource",
        "<absent>",
        [
            "spec.parentRef.resource: Required value",
            "spec.parentRef: Invalid value: "
            '{"Group":"","Resource":"","Namespace":"gold","Name":"s"}: field is immutable',
        ],
    ),
    (
        "x",
        "/spec/parentRef/resource",
        "servicesx",
        [
            "spec.parentRef: Invalid value: "
            '{"Group":"","Resource":"servicesx","Namespace":"gold","Name":"s"}: field is '
            "immutable"
        ],
    ),
]


@pytest.mark.parametrize(("base", "path", "value", "causes"), CHANGED)
def test_a_change_is_refused_with_its_path(judge, base, path, value, causes):
    assert sorted(judge.changes(KIND, BASES[base], path, value)) == sorted(causes)


DEFAULTS = [
    (
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "IPAddress",
            "metadata": {"name": "192.0.2.7"},
            "spec": {"parentRef": {"name": "s", "namespace": "gold", "resource": "services"}},
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
            "apiVersion": "networking.k8s.io/v1",
            "kind": "IPAddress",
            "metadata": {"name": "192.0.2.7"},
            "spec": {
                "parentRef": {"name": "s", "namespace": "golden-tables", "resource": "services"}
            },
        },
        None,
        ["192.0.2.7", "services/golden-tables/s"],
    )
]


@pytest.mark.parametrize(("obj", "status", "cells"), ROWS)
def test_a_row_of_kubectl_get(judge, obj, status, cells):
    assert judge.cells(KIND, obj, status) == cells
