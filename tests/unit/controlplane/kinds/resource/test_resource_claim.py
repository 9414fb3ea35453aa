"""What the API server says to resourceclaims; answers of Kubernetes 1.36 to the same requests."""

import pytest

from controlplane.kinds.resource.resource_claim import KIND

ABSENT = "<absent>"

BASES = {
    "min": {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceClaim",
        "metadata": {"name": "min"},
        "spec": {
            "devices": {
                "requests": [{"exactly": {"deviceClassName": "gold.example.com"}, "name": "r"}]
            }
        },
    },
    "rich": {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceClaim",
        "metadata": {"name": "rich"},
        "spec": {
            "devices": {
                "constraints": [{"matchAttribute": "d.example.com/numa", "requests": ["r"]}],
                "requests": [
                    {
                        "exactly": {"allocationMode": "All", "deviceClassName": "gold.example.com"},
                        "name": "r",
                    },
                    {"exactly": {"count": 2, "deviceClassName": "gold.example.com"}, "name": "q"},
                    {
                        "firstAvailable": [{"deviceClassName": "gold.example.com", "name": "s"}],
                        "name": "f",
                    },
                ],
            }
        },
    },
}

# base, field, value, the causes.
REFUSED = [
    (
        "min",
        "/spec/devices/requests/0/exactly",
        "<absent>",
        [
            "spec.devices.requests[0]: Required value: exactly one of `exactly` or "
            "`firstAvailable` is required"
        ],
    ),
    (
        "min",
        "/spec/devices/requests",
        [
            {"exactly": {"deviceClassName": "gold.example.com"}, "name": "r"},
            {"exactly": {"deviceClassName": "gold.example.com"}, "name": "r"},
        ],
        ['spec.devices.requests[1]: Duplicate value: "r"'],
    ),
    (
        "min",
        "/spec/devices/requests/0",
        {},
        [
            'spec.devices.requests[0].name: Invalid value: "": a lowercase RFC 1123 label must '
            "consist of lower case alphanumeric characters or '-', and must start and end with "
            "an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for "
            "validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')",
            "spec.devices.requests[0]: Required value: exactly one of `exactly` or "
            "`firstAvailable` is required",
        ],
    ),
    (
        "min",
        "/spec/devices/requests/0/exactly",
        {},
        ["spec.devices.requests[0].exactly.deviceClassName: Required value"],
    ),
    (
        "min",
        "/spec/devices/requests/0/exactly/deviceClassName",
        "Bad_Value!",
        [
            'spec.devices.requests[0].exactly.deviceClassName: Invalid value: "Bad_Value!": a '
            "lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, "
            "'-' or '.', and must start and end with an alphanumeric character (e.g. "
            "'example.com', regex used for validation is "
            "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
        ],
    ),
    (
        "min",
        "/spec/devices/requests/0/name",
        "",
        [
            'spec.devices.requests[0].name: Invalid value: "": a lowercase RFC 1123 label must '
            "consist of lower case alphanumeric characters or '-', and must start and end with "
            "an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for "
            "validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
        ],
    ),
    (
        "min",
        "/spec/devices/requests/0/name",
        "Bad_Value!",
        [
            'spec.devices.requests[0].name: Invalid value: "Bad_Value!": a lowercase RFC 1123 '
            "label must consist of lower case alphanumeric characters or '-', and must start "
            "and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used "
            "for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
        ],
    ),
    (
        "rich",
        "/spec/devices/constraints/0/matchAttribute",
        "<absent>",
        [
            'spec.devices.constraints[0]: Required value: exactly one of "matchAttribute" or '
            '"distinctAttribute" is required, but multiple fields are set'
        ],
    ),
    (
        "rich",
        "/spec/devices/constraints/0/matchAttribute",
        "",
        [
            'spec.devices.constraints[0].matchAttribute: Invalid value: "": a valid C '
            "identifier must start with alphabetic character or '_', followed by a string of "
            "alphanumeric characters or '_' (e.g. 'my_name',  or 'MY_NAME',  or 'MyName', regex "
            "used for validation is '[A-Za-z_][A-Za-z0-9_]*')",
            'spec.devices.constraints[0].matchAttribute: Invalid value: "": a fully qualified '
            "name must be a domain and a name separated by a slash",
        ],
    ),
    (
        "rich",
        "/spec/devices/constraints/0/matchAttribute",
        "Bad_Value!",
        [
            'spec.devices.constraints[0].matchAttribute: Invalid value: "Bad_Value!": a valid C '
            "identifier must start with alphabetic character or '_', followed by a string of "
            "alphanumeric characters or '_' (e.g. 'my_name',  or 'MY_NAME',  or 'MyName', regex "
            "used for validation is '[A-Za-z_][A-Za-z0-9_]*')",
            'spec.devices.constraints[0].matchAttribute: Invalid value: "Bad_Value!": a fully '
            "qualified name must be a domain and a name separated by a slash",
        ],
    ),
    (
        "rich",
        "/spec/devices/constraints/0/requests",
        ["r", "r"],
        ['spec.devices.constraints[0].requests[1]: Duplicate value: "r"'],
    ),
    (
        "rich",
        "/spec/devices/constraints/0/requests/0",
        "",
        [
            'spec.devices.constraints[0].requests[0]: Invalid value: "": a lowercase RFC 1123 '
            "label must consist of lower case alphanumeric characters or '-', and must start "
            "and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used "
            "for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')",
            'spec.devices.constraints[0].requests[0]: Invalid value: "": must be the name of a '
            "request in the claim or the name of a request and a subrequest separated by '/'",
        ],
    ),
    (
        "rich",
        "/spec/devices/constraints/0/requests/0",
        "Bad_Value!",
        [
            'spec.devices.constraints[0].requests[0]: Invalid value: "Bad_Value!": a lowercase '
            "RFC 1123 label must consist of lower case alphanumeric characters or '-', and must "
            "start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex "
            "used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')",
            'spec.devices.constraints[0].requests[0]: Invalid value: "Bad_Value!": must be the '
            "name of a request in the claim or the name of a request and a subrequest separated "
            "by '/'",
        ],
    ),
    (
        "rich",
        "/spec/devices/requests/0/exactly/allocationMode",
        "Bad_Value!",
        [
            'spec.devices.requests[0].exactly.allocationMode: Unsupported value: "Bad_Value!": '
            'supported values: "All", "ExactCount"'
        ],
    ),
    (
        "rich",
        "/spec/devices/requests/1/exactly/count",
        -1,
        ["spec.devices.requests[1].exactly.count: Invalid value: -1: must be greater than zero"],
    ),
    (
        "rich",
        "/spec/devices/requests/2/firstAvailable",
        [
            {"deviceClassName": "gold.example.com", "name": "s"},
            {"deviceClassName": "gold.example.com", "name": "s"},
        ],
        ['spec.devices.requests[2].firstAvailable[1]: Duplicate value: "s"'],
    ),
    (
        "rich",
        "/spec/devices/requests/2/firstAvailable/0",
        {},
        [
            'spec.devices.requests[2].firstAvailable[0].name: Invalid value: "": a lowercase '
            "RFC 1123 label must consist of lower case alphanumeric characters or '-', and must "
            "start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex "
            "used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')",
            "spec.devices.requests[2].firstAvailable[0].deviceClassName: Required value",
        ],
    ),
    (
        "rich",
        "/spec/devices/requests/2/firstAvailable/0/deviceClassName",
        "",
        ["spec.devices.requests[2].firstAvailable[0].deviceClassName: Required value"],
    ),
    (
        "rich",
        "/spec/devices/requests/2/firstAvailable/0/deviceClassName",
        "Bad_Value!",
        [
            "spec.devices.requests[2].firstAvailable[0].deviceClassName: Invalid value: "
            '"Bad_Value!": a lowercase RFC 1123 subdomain must consist of lower case '
            "alphanumeric characters, '-' or '.', and must start and end with an alphanumeric "
            "character (e.g. 'example.com', regex used for validation is "
            "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
        ],
    ),
    (
        "rich",
        "/spec/devices/requests/2/firstAvailable/0/name",
        "",
        [
            'spec.devices.requests[2].firstAvailable[0].name: Invalid value: "": a lowercase '
            "RFC 1123 label must consist of lower case alphanumeric characters or '-', and must "
            "start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex "
            "used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
        ],
    ),
    (
        "rich",
        "/spec/devices/requests/2/firstAvailable/0/name",
        "Bad_Value!",
        [
            'spec.devices.requests[2].firstAvailable[0].name: Invalid value: "Bad_Value!": a '
            "lowercase RFC 1123 label must consist of lower case alphanumeric characters or "
            "'-', and must start and end with an alphanumeric character (e.g. 'my-name',  or "
            "'123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
        ],
    ),
]


@pytest.mark.parametrize(("base", "path", "value", "causes"), REFUSED)
def test_a_spoilt_field_is_refused_with_its_path(judge, base, path, value, causes):
    assert sorted(judge.refusals(KIND, BASES[base], path, value)) == sorted(causes)


# Odd, and let pass.
ACCEPTED = [
    ("min", "/spec", "<absent>"),
    ("min", "/spec/devices", "<absent>"),
    ("min", "/spec/devices/requests", "<absent>"),
    ("rich", "/spec/devices/constraints", "<absent>"),
    ("rich", "/spec/devices/constraints/0", "<absent>"),
    ("rich", "/spec/devices/constraints/0/requests", "<absent>"),
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
            '{"Devices":{"Requests":null,"Constraints":null,"Config":null}}: field is '
            "immutable"
        ],
    ),
    (
        "min",
        "/spec/devices/requests/0",
        "<absent>",
        [
            'spec: Invalid value: {"Devices":{"Requests":[],"Constraints":null,"Config":null}}: '
            "field is immutable"
        ],
    ),
]


@pytest.mark.parametrize(("base", "path", "value", "causes"), CHANGED)
def test_a_change_is_refused_with_its_path(judge, base, path, value, causes):
    assert sorted(judge.changes(KIND, BASES[base], path, value)) == sorted(causes)


CHANGEABLE = [
    ("min", "/spec/devices/requests/0/exactly/allocationMode", "<absent>"),
    ("min", "/spec/devices/requests/0/exactly/count", "<absent>"),
    ("rich", "/spec/devices/requests/2/firstAvailable/0/allocationMode", "<absent>"),
    ("rich", "/spec/devices/requests/2/firstAvailable/0/count", "<absent>"),
]


@pytest.mark.parametrize(("base", "path", "value"), CHANGEABLE)
def test_what_may_change_may_change(judge, base, path, value):
    assert judge.changes(KIND, BASES[base], path, value) == []


DEFAULTS = [
    (
        {
            "apiVersion": "resource.k8s.io/v1",
            "kind": "ResourceClaim",
            "metadata": {"name": "min"},
            "spec": {
                "devices": {
                    "requests": [{"exactly": {"deviceClassName": "gold.example.com"}, "name": "r"}]
                }
            },
        },
        {
            "/spec/devices/requests/0/exactly/allocationMode": "ExactCount",
            "/spec/devices/requests/0/exactly/count": 1,
            "/status": {},
        },
    ),
    (
        {
            "apiVersion": "resource.k8s.io/v1",
            "kind": "ResourceClaim",
            "metadata": {"name": "rich"},
            "spec": {
                "devices": {
                    "constraints": [{"matchAttribute": "d.example.com/numa", "requests": ["r"]}],
                    "requests": [
                        {
                            "exactly": {
                                "allocationMode": "All",
                                "deviceClassName": "gold.example.com",
                            },
                            "name": "r",
                        },
                        {
                            "exactly": {"count": 2, "deviceClassName": "gold.example.com"},
                            "name": "q",
                        },
                        {
                            "firstAvailable": [
                                {"deviceClassName": "gold.example.com", "name": "s"}
                            ],
                            "name": "f",
                        },
                    ],
                }
            },
        },
        {
            "/spec/devices/requests/1/exactly/allocationMode": "ExactCount",
            "/spec/devices/requests/2/firstAvailable/0/allocationMode": "ExactCount",
            "/spec/devices/requests/2/firstAvailable/0/count": 1,
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
            "apiVersion": "resource.k8s.io/v1",
            "kind": "ResourceClaim",
            "metadata": {"name": "min"},
            "spec": {
                "devices": {
                    "requests": [{"exactly": {"deviceClassName": "gold.example.com"}, "name": "r"}]
                }
            },
        },
        None,
        ["min", "pending", "5s"],
    ),
    (
        {
            "apiVersion": "resource.k8s.io/v1",
            "kind": "ResourceClaim",
            "metadata": {"name": "none"},
            "spec": {},
        },
        None,
        ["none", "pending", "5s"],
    ),
    (
        {
            "apiVersion": "resource.k8s.io/v1",
            "kind": "ResourceClaim",
            "metadata": {"name": "rich"},
            "spec": {
                "devices": {
                    "constraints": [{"matchAttribute": "d.example.com/numa", "requests": ["r"]}],
                    "requests": [
                        {
                            "exactly": {
                                "allocationMode": "All",
                                "deviceClassName": "gold.example.com",
                            },
                            "name": "r",
                        },
                        {
                            "exactly": {"count": 2, "deviceClassName": "gold.example.com"},
                            "name": "q",
                        },
                        {
                            "firstAvailable": [
                                {"deviceClassName": "gold.example.com", "name": "s"}
                            ],
                            "name": "f",
                        },
                    ],
                }
            },
        },
        None,
        ["rich", "pending", "5s"],
    ),
]


@pytest.mark.parametrize(("obj", "status", "cells"), ROWS)
def test_a_row_of_kubectl_get(judge, obj, status, cells):
    assert judge.cells(KIND, obj, status) == cells
