"""What the API server says to servicecidrs; answers of Kubernetes 1.36 to the same requests."""

import pytest

from controlplane.kinds.networking.service_cidr import KIND

ABSENT = "<absent>"

BASES = {
    "x": {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "ServiceCIDR",
        "metadata": {"name": "gold"},
        "spec": {"cidrs": ["10.200.0.0/24"]},
    }
}

# base, field, value, the causes.
REFUSED = [
    ("x", "/spec/cidrs/0", "<absent>", ["spec.cidrs: Required value: at least one CIDR required"]),
    (
        "x",
        "/spec/cidrs",
        ["10.200.0.0/24", "10.200.0.0/24"],
        [
            'spec.cidrs: Invalid value: ["10.200.0.0/24","10.200.0.0/24"]: may specify no more '
            "than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64"
        ],
    ),
    (
        "x",
        "/spec/cidrs/0",
        "",
        [
            'spec.cidrs[0]: Invalid value: "": must be a valid CIDR value, (e.g. 10.9.8.0/24 or '
            "2001:db8::/64)"
        ],
    ),
    (
        "x",
        "/spec/cidrs/0",
        "Bad_Value!",
        [
            'spec.cidrs[0]: Invalid value: "Bad_Value!": must be a valid CIDR value, (e.g. '
            "10.9.8.0/24 or 2001:db8::/64)"
        ],
    ),
]


@pytest.mark.parametrize(("base", "path", "value", "causes"), REFUSED)
def test_a_spoilt_field_is_refused_with_its_path(judge, base, path, value, causes):
    assert sorted(judge.refusals(KIND, BASES[base], path, value)) == sorted(causes)


CHANGED = [
    ("x", "/spec", "<absent>", ["spec.cidrs: Invalid value: null: field is immutable"]),
    ("x", "/spec/cidrs/0", "<absent>", ["spec.cidrs: Invalid value: []: field is immutable"]),
    (
        "x",
        "/spec/cidrs/0",
        "10.200.0.0/24x",
        ['spec.cidrs[0]: Invalid value: "10.200.0.0/24x": field is immutable'],
    ),
]


@pytest.mark.parametrize(("base", "path", "value", "causes"), CHANGED)
def test_a_change_is_refused_with_its_path(judge, base, path, value, causes):
    assert sorted(judge.changes(KIND, BASES[base], path, value)) == sorted(causes)


DEFAULTS = [
    (
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "ServiceCIDR",
            "metadata": {"name": "gold"},
            "spec": {"cidrs": ["10.200.0.0/24"]},
        },
        {"/status": {}},
    )
]


@pytest.mark.parametrize(("request_body", "added"), DEFAULTS)
def test_what_was_left_out_is_filled_in(judge, request_body, added):
    assert judge.defaults(KIND, request_body) == added


ROWS = [
    (
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "ServiceCIDR",
            "metadata": {"name": "gold"},
            "spec": {"cidrs": ["10.200.0.0/24"]},
        },
        None,
        ["gold", "10.200.0.0/24", "5s"],
    )
]


@pytest.mark.parametrize(("obj", "status", "cells"), ROWS)
def test_a_row_of_kubectl_get(judge, obj, status, cells):
    assert judge.cells(KIND, obj, status) == cells
