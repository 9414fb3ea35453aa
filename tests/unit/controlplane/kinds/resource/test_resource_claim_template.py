"""What the API server says to resourceclaimtemplates; answers of Kubernetes 1.36 to the same requests."""

import pytest

from controlplane.kinds.resource.resource_claim_template import KIND

ABSENT = "<absent>"

BASES = {
    "min": {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceClaimTemplate",
        "metadata": {"name": "min"},
        "spec": {
            "metadata": {"labels": {"a": "b"}},
            "spec": {
                "devices": {
                    "requests": [{"exactly": {"deviceClassName": "gold.example.com"}, "name": "r"}]
                }
            },
        },
    }
}

# base, field, value, the causes.
REFUSED = [
    (
        "min",
        "/spec/spec/devices/requests/0/exactly",
        "<absent>",
        [
            "spec.spec.devices.requests[0]: Required value: exactly one of `exactly` or "
            "`firstAvailable` is required"
        ],
    ),
    (
        "min",
        "/spec/metadata/labels/a",
        "Bad_Value!",
        [
            'spec.metadata.labels: Invalid value: "Bad_Value!": a valid label must be an empty '
            "string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
            "end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', "
            "regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
        ],
    ),
    (
        "min",
        "/spec/spec/devices/requests",
        [
            {"exactly": {"deviceClassName": "gold.example.com"}, "name": "r"},
            {"exactly": {"deviceClassName": "gold.example.com"}, "name": "r"},
        ],
        ['spec.spec.devices.requests[1]: Duplicate value: "r"'],
    ),
    (
        "min",
        "/spec/spec/devices/requests/0",
        {},
        [
            'spec.spec.devices.requests[0].name: Invalid value: "": a lowercase RFC 1123 label '
            "must consist of lower case alphanumeric characters or '-', and must start and end "
            "with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for "
            "validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')",
            "spec.spec.devices.requests[0]: Required value: exactly one of `exactly` or "
            "`firstAvailable` is required",
        ],
    ),
    (
        "min",
        "/spec/spec/devices/requests/0/exactly",
        {},
        ["spec.spec.devices.requests[0].exactly.deviceClassName: Required value"],
    ),
    (
        "min",
        "/spec/spec/devices/requests/0/exactly/deviceClassName",
        "Bad_Value!",
        [
            "spec.spec.devices.requests[0].exactly.deviceClassName: Invalid value: "
            '"Bad_Value!": a lowercase RFC 1123 subdomain must consist of lower case '
            "alphanumeric characters, '-' or '.', and must start and end with an alphanumeric "
            "character (e.g. 'example.com', regex used for validation is "
            "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
        ],
    ),
    (
        "min",
        "/spec/spec/devices/requests/0/name",
        "",
        [
            'spec.spec.devices.requests[0].name: Invalid value: "": a lowercase RFC 1123 label '
            "must consist of lower case alphanumeric characters or '-', and must start and end "
            "with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for "
            "validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
        ],
    ),
    (
        "min",
        "/spec/spec/devices/requests/0/name",
        "Bad_Value!",
        [
            'spec.spec.devices.requests[0].name: Invalid value: "Bad_Value!": a lowercase RFC '
            "1123 label must consist of lower case alphanumeric characters or '-', and must "
            "start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex "
            "used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
        ],
    ),
]


@pytest.mark.parametrize(("base", "path", "value", "causes"), REFUSED)
def test_a_spoilt_field_is_refused_with_its_path(judge, base, path, value, causes):
    assert sorted(judge.refusals(KIND, BASES[base], path, value)) == sorted(causes)


# Odd, and let pass.
ACCEPTED = [
    ("min", "/spec", "<absent>"),
    ("min", "/spec/metadata", "<absent>"),
    ("min", "/spec/metadata/labels", "<absent>"),
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
            "spec: Invalid value: "
            '{"Spec":{"Devices":{"Requests":null,"Constraints":null,"Config":null}}}: field is '
            "immutable"
        ],
    )
]


@pytest.mark.parametrize(("base", "path", "value", "causes"), CHANGED)
def test_a_change_is_refused_with_its_path(judge, base, path, value, causes):
    assert sorted(judge.changes(KIND, BASES[base], path, value)) == sorted(causes)


CHANGEABLE = [
    ("min", "/spec/spec/devices/requests/0/exactly/allocationMode", "<absent>"),
    ("min", "/spec/spec/devices/requests/0/exactly/count", "<absent>"),
]


@pytest.mark.parametrize(("base", "path", "value"), CHANGEABLE)
def test_what_may_change_may_change(judge, base, path, value):
    assert judge.changes(KIND, BASES[base], path, value) == []


DEFAULTS = [
    (
        {
            "apiVersion": "resource.k8s.io/v1",
            "kind": "ResourceClaimTemplate",
            "metadata": {"name": "min"},
            "spec": {
                "metadata": {"labels": {"a": "b"}},
                "spec": {
                    "devices": {
                        "requests": [
                            {"exactly": {"deviceClassName": "gold.example.com"}, "name": "r"}
                        ]
                    }
                },
            },
        },
        {
            "/spec/spec/devices/requests/0/exactly/allocationMode": "ExactCount",
            "/spec/spec/devices/requests/0/exactly/count": 1,
        },
    )
]


@pytest.mark.parametrize(("request_body", "added"), DEFAULTS)
def test_what_was_left_out_is_filled_in(judge, request_body, added):
    assert judge.defaults(KIND, request_body) == added


ROWS = [
    (
        {
            "apiVersion": "resource.k8s.io/v1",
            "kind": "ResourceClaimTemplate",
            "metadata": {"name": "min"},
            "spec": {
                "metadata": {"labels": {"a": "b"}},
                "spec": {
                    "devices": {
                        "requests": [
                            {"exactly": {"deviceClassName": "gold.example.com"}, "name": "r"}
                        ]
                    }
                },
            },
        },
        None,
        ["min", "5s"],
    )
]


@pytest.mark.parametrize(("obj", "status", "cells"), ROWS)
def test_a_row_of_kubectl_get(judge, obj, status, cells):
    assert judge.cells(KIND, obj, status) == cells
