"""What the API server says to mutatingadmissionpolicybindings; answers of Kubernetes 1.36 to the same requests."""

import pytest

from controlplane.kinds.admissionregistration.mutating_admission_policy_binding import KIND

ABSENT = "<absent>"

BASES = {
    "gold-min": {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingAdmissionPolicyBinding",
        "metadata": {"name": "gold-min"},
        "spec": {"policyName": "gold-none"},
    }
}

# base, field, value, the causes.
REFUSED = [
    ("gold-min", "/spec", {}, ["spec.policyName: Required value"]),
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
]


@pytest.mark.parametrize(("base", "path", "value", "causes"), REFUSED)
def test_a_spoilt_field_is_refused_with_its_path(judge, base, path, value, causes):
    assert sorted(judge.refusals(KIND, BASES[base], path, value)) == sorted(causes)


CHANGED = [("gold-min", "/spec", "<absent>", ["spec.policyName: Required value"])]


@pytest.mark.parametrize(("base", "path", "value", "causes"), CHANGED)
def test_a_change_is_refused_with_its_path(judge, base, path, value, causes):
    assert sorted(judge.changes(KIND, BASES[base], path, value)) == sorted(causes)


DEFAULTS = [
    (
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingAdmissionPolicyBinding",
            "metadata": {"name": "gold-min"},
            "spec": {"policyName": "gold-none"},
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
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingAdmissionPolicyBinding",
            "metadata": {"name": "gold-min"},
            "spec": {"policyName": "gold-none"},
        },
        None,
        ["gold-min", "gold-none", "<unset>", "5s"],
    )
]


@pytest.mark.parametrize(("obj", "status", "cells"), ROWS)
def test_a_row_of_kubectl_get(judge, obj, status, cells):
    assert judge.cells(KIND, obj, status) == cells
