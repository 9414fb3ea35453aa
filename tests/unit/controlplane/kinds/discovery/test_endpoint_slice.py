"""What the API server says to endpointslices; answers of Kubernetes 1.36 to the same requests."""

import pytest

from controlplane.kinds.discovery.endpoint_slice import KIND

ABSENT = "<absent>"

BASES = {
    "min": {
        "addressType": "IPv4",
        "apiVersion": "discovery.k8s.io/v1",
        "endpoints": [],
        "kind": "EndpointSlice",
        "metadata": {"name": "min"},
    },
    "rich": {
        "addressType": "IPv4",
        "apiVersion": "discovery.k8s.io/v1",
        "endpoints": [
            {"addresses": ["10.0.0.1"]},
            {
                "addresses": ["10.0.0.2"],
                "conditions": {"ready": True, "serving": True, "terminating": False},
                "deprecatedTopology": {"a": "b"},
                "hints": {"forZones": [{"name": "z"}]},
                "hostname": "h",
                "nodeName": "n",
                "targetRef": {"kind": "Pod", "name": "p"},
                "zone": "z",
            },
        ],
        "kind": "EndpointSlice",
        "metadata": {"name": "rich"},
        "ports": [{"port": 80}, {"appProtocol": "x", "name": "d", "port": 53, "protocol": "UDP"}],
    },
}

# base, field, value, the causes.
REFUSED = [
    ("min", "/addressType", "", ["addressType: Required value"]),
    (
        "min",
        "/addressType",
        "Bad_Value!",
        ['addressType: Unsupported value: "Bad_Value!": supported values: "FQDN", "IPv4", "IPv6"'],
    ),
    (
        "rich",
        "/endpoints/0/addresses/0",
        "<absent>",
        ["endpoints[0].addresses: Required value: must contain at least 1 address"],
    ),
    (
        "rich",
        "/endpoints/0/addresses/0",
        "",
        [
            'endpoints[0].addresses[0]: Invalid value: "": must be a valid IP address, (e.g. '
            "10.9.8.7 or 2001:db8::ffff)"
        ],
    ),
    (
        "rich",
        "/endpoints/0/addresses/0",
        "Bad_Value!",
        [
            'endpoints[0].addresses[0]: Invalid value: "Bad_Value!": must be a valid IP '
            "address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
        ],
    ),
    (
        "rich",
        "/endpoints/1/hints/forZones",
        [{"name": "z"}, {"name": "z"}],
        ['endpoints[1].hints.forZones[1].name: Duplicate value: "z"'],
    ),
    (
        "rich",
        "/endpoints/1/hints/forZones/0/name",
        "Bad_Value!",
        [
            'endpoints[1].hints.forZones[0].name: Invalid value: "Bad_Value!": a valid label '
            "must be an empty string or consist of alphanumeric characters, '-', '_' or '.', "
            "and must start and end with an alphanumeric character (e.g. 'MyValue',  or "
            "'my_value',  or '12345', regex used for validation is "
            "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
        ],
    ),
    (
        "rich",
        "/endpoints/1/hostname",
        "",
        [
            'endpoints[1].hostname: Invalid value: "": a lowercase RFC 1123 label must consist '
            "of lower case alphanumeric characters or '-', and must start and end with an "
            "alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation "
            "is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
        ],
    ),
    (
        "rich",
        "/endpoints/1/hostname",
        "Bad_Value!",
        [
            'endpoints[1].hostname: Invalid value: "Bad_Value!": a lowercase RFC 1123 label '
            "must consist of lower case alphanumeric characters or '-', and must start and end "
            "with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for "
            "validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
        ],
    ),
    (
        "rich",
        "/endpoints/1/nodeName",
        "",
        [
            'endpoints[1].nodeName: Invalid value: "": a lowercase RFC 1123 subdomain must '
            "consist of lower case alphanumeric characters, '-' or '.', and must start and end "
            "with an alphanumeric character (e.g. 'example.com', regex used for validation is "
            "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
        ],
    ),
    (
        "rich",
        "/endpoints/1/nodeName",
        "Bad_Value!",
        [
            'endpoints[1].nodeName: Invalid value: "Bad_Value!": a lowercase RFC 1123 subdomain '
            "must consist of lower case alphanumeric characters, '-' or '.', and must start and "
            "end with an alphanumeric character (e.g. 'example.com', regex used for validation "
            "is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
        ],
    ),
    (
        "rich",
        "/ports",
        [
            {"port": 80},
            {"appProtocol": "x", "name": "d", "port": 53, "protocol": "UDP"},
            {"port": 80},
        ],
        ['ports[2].name: Duplicate value: ""'],
    ),
    (
        "rich",
        "/ports/1/appProtocol",
        "",
        [
            'ports[1].appProtocol: Invalid value: "": name part must be non-empty',
            'ports[1].appProtocol: Invalid value: "": name part must consist of alphanumeric '
            "characters, '-', '_' or '.', and must start and end with an alphanumeric character "
            "(e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
            "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
        ],
    ),
    (
        "rich",
        "/ports/1/appProtocol",
        "Bad_Value!",
        [
            'ports[1].appProtocol: Invalid value: "Bad_Value!": name part must consist of '
            "alphanumeric characters, '-', '_' or '.', and must start and end with an "
            "alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used "
            "for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
        ],
    ),
    (
        "rich",
        "/ports/1/name",
        "Bad_Value!",
        [
            'ports[1].name: Invalid value: "Bad_Value!": a lowercase RFC 1123 label must '
            "consist of lower case alphanumeric characters or '-', and must start and end with "
            "an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for "
            "validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
        ],
    ),
    (
        "rich",
        "/ports/1/protocol",
        "",
        ['ports[1].protocol: Unsupported value: "": supported values: "SCTP", "TCP", "UDP"'],
    ),
    (
        "rich",
        "/ports/1/protocol",
        "Bad_Value!",
        [
            'ports[1].protocol: Unsupported value: "Bad_Value!": supported values: "SCTP", '
            '"TCP", "UDP"'
        ],
    ),
]


@pytest.mark.parametrize(("base", "path", "value", "causes"), REFUSED)
def test_a_spoilt_field_is_refused_with_its_path(judge, base, path, value, causes):
    assert sorted(judge.refusals(KIND, BASES[base], path, value)) == sorted(causes)


# Odd, and let pass.
ACCEPTED = [
    ("min", "/endpoints", "<absent>"),
    ("min", "/endpoints", []),
    ("rich", "/endpoints/0", "<absent>"),
    ("rich", "/endpoints/1/conditions", "<absent>"),
    ("rich", "/endpoints/1/conditions/ready", "<absent>"),
]


@pytest.mark.parametrize(("base", "path", "value"), ACCEPTED)
def test_what_the_original_takes_is_taken(judge, base, path, value):
    assert judge.refusals(KIND, BASES[base], path, value) == []


CHANGED = [
    (
        "min",
        "/addressType",
        "<absent>",
        ["addressType: Required value", 'addressType: Invalid value: "": field is immutable'],
    ),
    (
        "min",
        "/addressType",
        "IPv4x",
        [
            'addressType: Unsupported value: "IPv4x": supported values: "FQDN", "IPv4", "IPv6"',
            'addressType: Invalid value: "IPv4x": field is immutable',
        ],
    ),
    (
        "rich",
        "/endpoints/0/addresses",
        "<absent>",
        ["endpoints[0].addresses: Required value: must contain at least 1 address"],
    ),
    (
        "rich",
        "/endpoints/0/addresses/0",
        "10.0.0.1x",
        [
            'endpoints[0].addresses[0]: Invalid value: "10.0.0.1x": must be a valid IP address, '
            "(e.g. 10.9.8.7 or 2001:db8::ffff)"
        ],
    ),
    (
        "rich",
        "/ports/0/protocol",
        "TCPx",
        ['ports[0].protocol: Unsupported value: "TCPx": supported values: "SCTP", "TCP", "UDP"'],
    ),
]


@pytest.mark.parametrize(("base", "path", "value", "causes"), CHANGED)
def test_a_change_is_refused_with_its_path(judge, base, path, value, causes):
    assert sorted(judge.changes(KIND, BASES[base], path, value)) == sorted(causes)


CHANGEABLE = [
    ("min", "/endpoints", "<absent>"),
    ("min", "/ports", "<absent>"),
    ("rich", "/endpoints/0", "<absent>"),
    ("rich", "/endpoints/0/conditions", "<absent>"),
    ("rich", "/endpoints/1/conditions/ready", "<absent>"),
]


@pytest.mark.parametrize(("base", "path", "value"), CHANGEABLE)
def test_what_may_change_may_change(judge, base, path, value):
    assert judge.changes(KIND, BASES[base], path, value) == []


DEFAULTS = [
    (
        {
            "addressType": "FQDN",
            "apiVersion": "discovery.k8s.io/v1",
            "endpoints": [{"addresses": ["a.example.com"]}],
            "kind": "EndpointSlice",
            "metadata": {"name": "fqdn"},
        },
        {"/endpoints/0/conditions": {}, "/ports": None},
    ),
    (
        {
            "addressType": "IPv6",
            "apiVersion": "discovery.k8s.io/v1",
            "endpoints": None,
            "kind": "EndpointSlice",
            "metadata": {"name": "noendpoints"},
        },
        {"/ports": None},
    ),
    (
        {
            "addressType": "IPv4",
            "apiVersion": "discovery.k8s.io/v1",
            "endpoints": [
                {"addresses": ["10.0.0.1"]},
                {
                    "addresses": ["10.0.0.2"],
                    "conditions": {"ready": True, "serving": True, "terminating": False},
                    "deprecatedTopology": {"a": "b"},
                    "hints": {"forZones": [{"name": "z"}]},
                    "hostname": "h",
                    "nodeName": "n",
                    "targetRef": {"kind": "Pod", "name": "p"},
                    "zone": "z",
                },
            ],
            "kind": "EndpointSlice",
            "metadata": {"name": "rich"},
            "ports": [
                {"port": 80},
                {"appProtocol": "x", "name": "d", "port": 53, "protocol": "UDP"},
            ],
        },
        {"/endpoints/0/conditions": {}, "/ports/0/name": "", "/ports/0/protocol": "TCP"},
    ),
]


@pytest.mark.parametrize(("request_body", "added"), DEFAULTS)
def test_what_was_left_out_is_filled_in(judge, request_body, added):
    assert judge.defaults(KIND, request_body) == added


ROWS = [
    (
        {
            "addressType": "FQDN",
            "apiVersion": "discovery.k8s.io/v1",
            "endpoints": [{"addresses": ["a.example.com"]}],
            "kind": "EndpointSlice",
            "metadata": {"name": "fqdn"},
        },
        None,
        ["fqdn", "FQDN", "<unset>", "a.example.com", "5s"],
    ),
    (
        {
            "addressType": "IPv4",
            "apiVersion": "discovery.k8s.io/v1",
            "endpoints": [],
            "kind": "EndpointSlice",
            "metadata": {"name": "min"},
        },
        None,
        ["min", "IPv4", "<unset>", "<unset>", "5s"],
    ),
    (
        {
            "addressType": "IPv6",
            "apiVersion": "discovery.k8s.io/v1",
            "endpoints": None,
            "kind": "EndpointSlice",
            "metadata": {"name": "noendpoints"},
        },
        None,
        ["noendpoints", "IPv6", "<unset>", "<unset>", "5s"],
    ),
    (
        {
            "addressType": "IPv4",
            "apiVersion": "discovery.k8s.io/v1",
            "endpoints": [
                {"addresses": ["10.0.0.1"]},
                {
                    "addresses": ["10.0.0.2"],
                    "conditions": {"ready": True, "serving": True, "terminating": False},
                    "deprecatedTopology": {"a": "b"},
                    "hints": {"forZones": [{"name": "z"}]},
                    "hostname": "h",
                    "nodeName": "n",
                    "targetRef": {"kind": "Pod", "name": "p"},
                    "zone": "z",
                },
            ],
            "kind": "EndpointSlice",
            "metadata": {"name": "rich"},
            "ports": [
                {"port": 80},
                {"appProtocol": "x", "name": "d", "port": 53, "protocol": "UDP"},
            ],
        },
        None,
        ["rich", "IPv4", "80,53", "10.0.0.1,10.0.0.2", "5s"],
    ),
]


@pytest.mark.parametrize(("obj", "status", "cells"), ROWS)
def test_a_row_of_kubectl_get(judge, obj, status, cells):
    assert judge.cells(KIND, obj, status) == cells
