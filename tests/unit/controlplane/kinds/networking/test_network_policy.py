"""What the API server says to networkpolicies; answers of Kubernetes 1.36 to the same requests."""

import pytest

from controlplane.kinds.networking.network_policy import KIND

ABSENT = "<absent>"

BASES = {
    "egress": {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "egress"},
        "spec": {"egress": [{}], "podSelector": {"matchLabels": {"a": "b"}}},
    },
    "rich": {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "rich"},
        "spec": {
            "egress": [{"to": [{"podSelector": {}}]}],
            "ingress": [
                {
                    "from": [
                        {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}},
                        {"namespaceSelector": {}, "podSelector": {"matchLabels": {"x": "y"}}},
                    ],
                    "ports": [
                        {"port": 80},
                        {"port": "web", "protocol": "UDP"},
                        {"endPort": 2000, "port": 1000},
                        {},
                    ],
                }
            ],
            "podSelector": {},
            "policyTypes": ["Ingress", "Egress"],
        },
    },
    "min": {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "min"},
        "spec": {"podSelector": {}},
    },
}

# base, field, value, the causes.
REFUSED = [
    (
        "egress",
        "/spec/podSelector/matchLabels/a",
        "Bad_Value!",
        [
            'spec.podSelector.matchLabels: Invalid value: "Bad_Value!": a valid label must be '
            "an empty string or consist of alphanumeric characters, '-', '_' or '.', and must "
            "start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or "
            "'12345', regex used for validation is "
            "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
        ],
    ),
    (
        "rich",
        "/spec/egress/0/to/0/podSelector",
        "<absent>",
        ["spec.egress[0].to[0]: Required value: must specify a peer"],
    ),
    (
        "rich",
        "/spec/ingress/0/from/0/ipBlock",
        "<absent>",
        ["spec.ingress[0].from[0]: Required value: must specify a peer"],
    ),
    (
        "rich",
        "/spec/ingress/0/from/0/ipBlock",
        {},
        ["spec.ingress[0].from[0].ipBlock.cidr: Required value"],
    ),
    (
        "rich",
        "/spec/ingress/0/from/0/ipBlock/cidr",
        "Bad_Value!",
        [
            'spec.ingress[0].from[0].ipBlock.cidr: Invalid value: "Bad_Value!": must be a valid '
            "CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"
        ],
    ),
    (
        "rich",
        "/spec/ingress/0/from/0/ipBlock/except/0",
        "",
        [
            'spec.ingress[0].from[0].ipBlock.except[0]: Invalid value: "": must be a valid CIDR '
            "value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"
        ],
    ),
    (
        "rich",
        "/spec/ingress/0/from/0/ipBlock/except/0",
        "Bad_Value!",
        [
            'spec.ingress[0].from[0].ipBlock.except[0]: Invalid value: "Bad_Value!": must be a '
            "valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"
        ],
    ),
    (
        "rich",
        "/spec/ingress/0/from/1/podSelector/matchLabels/x",
        "Bad_Value!",
        [
            'spec.ingress[0].from[1].podSelector.matchLabels: Invalid value: "Bad_Value!": a '
            "valid label must be an empty string or consist of alphanumeric characters, '-', "
            "'_' or '.', and must start and end with an alphanumeric character (e.g. "
            "'MyValue',  or 'my_value',  or '12345', regex used for validation is "
            "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
        ],
    ),
    (
        "rich",
        "/spec/ingress/0/ports/0/port",
        -1,
        [
            "spec.ingress[0].ports[0].port: Invalid value: -1: must be between 1 and 65535, "
            "inclusive"
        ],
    ),
    (
        "rich",
        "/spec/ingress/0/ports/0/port",
        0,
        ["spec.ingress[0].ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive"],
    ),
    (
        "rich",
        "/spec/ingress/0/ports/0/port",
        70000,
        [
            "spec.ingress[0].ports[0].port: Invalid value: 70000: must be between 1 and 65535, "
            "inclusive"
        ],
    ),
    (
        "rich",
        "/spec/ingress/0/ports/1/port",
        "",
        [
            'spec.ingress[0].ports[1].port: Invalid value: "": must contain only alpha-numeric '
            "characters (a-z, 0-9), and hyphens (-)",
            'spec.ingress[0].ports[1].port: Invalid value: "": must contain at least one letter '
            "(a-z)",
        ],
    ),
    (
        "rich",
        "/spec/ingress/0/ports/1/port",
        "Bad_Value!",
        [
            'spec.ingress[0].ports[1].port: Invalid value: "Bad_Value!": must contain only '
            "alpha-numeric characters (a-z, 0-9), and hyphens (-)"
        ],
    ),
    (
        "rich",
        "/spec/ingress/0/ports/1/protocol",
        "",
        [
            'spec.ingress[0].ports[1].protocol: Unsupported value: "": supported values: "TCP", '
            '"UDP", "SCTP"'
        ],
    ),
    (
        "rich",
        "/spec/ingress/0/ports/1/protocol",
        "Bad_Value!",
        [
            'spec.ingress[0].ports[1].protocol: Unsupported value: "Bad_Value!": supported '
            'values: "TCP", "UDP", "SCTP"'
        ],
    ),
    (
        "rich",
        "/spec/ingress/0/ports/2/endPort",
        -1,
        [
            "spec.ingress[0].ports[2].endPort: Invalid value: 1000: must be greater than or "
            "equal to `port`",
            "spec.ingress[0].ports[2].endPort: Invalid value: -1: must be between 1 and 65535, "
            "inclusive",
        ],
    ),
    (
        "rich",
        "/spec/ingress/0/ports/2/endPort",
        0,
        [
            "spec.ingress[0].ports[2].endPort: Invalid value: 1000: must be greater than or "
            "equal to `port`",
            "spec.ingress[0].ports[2].endPort: Invalid value: 0: must be between 1 and 65535, "
            "inclusive",
        ],
    ),
    (
        "rich",
        "/spec/ingress/0/ports/2/endPort",
        70000,
        [
            "spec.ingress[0].ports[2].endPort: Invalid value: 70000: must be between 1 and "
            "65535, inclusive"
        ],
    ),
    (
        "rich",
        "/spec/policyTypes",
        ["Ingress", "Egress", "Ingress"],
        [
            'spec.policyTypes: Invalid value: ["Ingress","Egress","Ingress"]: may not specify '
            "more than two policyTypes"
        ],
    ),
    (
        "rich",
        "/spec/policyTypes/0",
        "",
        ['spec.policyTypes[0]: Unsupported value: "": supported values: "Ingress", "Egress"'],
    ),
    (
        "rich",
        "/spec/policyTypes/0",
        "Bad_Value!",
        [
            'spec.policyTypes[0]: Unsupported value: "Bad_Value!": supported values: "Ingress", '
            '"Egress"'
        ],
    ),
]


@pytest.mark.parametrize(("base", "path", "value", "causes"), REFUSED)
def test_a_spoilt_field_is_refused_with_its_path(judge, base, path, value, causes):
    assert sorted(judge.refusals(KIND, BASES[base], path, value)) == sorted(causes)


# Odd, and let pass.
ACCEPTED = [
    ("egress", "/spec/egress", "<absent>"),
    ("egress", "/spec/egress/0", "<absent>"),
    ("egress", "/spec/podSelector/matchLabels", "<absent>"),
    ("min", "/spec", "<absent>"),
    ("min", "/spec/podSelector", "<absent>"),
    ("min", "/spec", {}),
    ("rich", "/spec/egress/0/to", "<absent>"),
    ("rich", "/spec/egress/0/to/0", "<absent>"),
    ("rich", "/spec/ingress", "<absent>"),
]


@pytest.mark.parametrize(("base", "path", "value"), ACCEPTED)
def test_what_the_original_takes_is_taken(judge, base, path, value):
    assert judge.refusals(KIND, BASES[base], path, value) == []


CHANGED = [
    (
        "min",
        "/spec/policyTypes/0",
        "Ingressx",
        [
            'spec.policyTypes[0]: Unsupported value: "Ingressx": supported values: "Ingress", '
            '"Egress"'
        ],
    ),
    (
        "rich",
        "/spec/egress/0/to/0/podSelector",
        "<absent>",
        ["spec.egress[0].to[0]: Required value: must specify a peer"],
    ),
    (
        "rich",
        "/spec/ingress/0/from/0/ipBlock",
        "<absent>",
        ["spec.ingress[0].from[0]: Required value: must specify a peer"],
    ),
    (
        "rich",
        "/spec/ingress/0/from/0/ipBlock/cidr",
        "<absent>",
        ["spec.ingress[0].from[0].ipBlock.cidr: Required value"],
    ),
    (
        "rich",
        "/spec/ingress/0/from/0/ipBlock/cidr",
        "10.0.0.0/8x",
        [
            'spec.ingress[0].from[0].ipBlock.cidr: Invalid value: "10.0.0.0/8x": must be a '
            "valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"
        ],
    ),
    (
        "rich",
        "/spec/ingress/0/from/0/ipBlock/except/0",
        "10.1.0.0/16x",
        [
            'spec.ingress[0].from[0].ipBlock.except[0]: Invalid value: "10.1.0.0/16x": must be '
            "a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"
        ],
    ),
    (
        "rich",
        "/spec/ingress/0/ports/0/protocol",
        "TCPx",
        [
            'spec.ingress[0].ports[0].protocol: Unsupported value: "TCPx": supported values: '
            '"TCP", "UDP", "SCTP"'
        ],
    ),
]


@pytest.mark.parametrize(("base", "path", "value", "causes"), CHANGED)
def test_a_change_is_refused_with_its_path(judge, base, path, value, causes):
    assert sorted(judge.changes(KIND, BASES[base], path, value)) == sorted(causes)


CHANGEABLE = [
    ("egress", "/spec/egress", "<absent>"),
    ("egress", "/spec/egress/0", "<absent>"),
    ("egress", "/spec/podSelector/matchLabels", "<absent>"),
    ("min", "/spec", "<absent>"),
    ("min", "/spec/podSelector", "<absent>"),
    ("min", "/spec/policyTypes", "<absent>"),
]


@pytest.mark.parametrize(("base", "path", "value"), CHANGEABLE)
def test_what_may_change_may_change(judge, base, path, value):
    assert judge.changes(KIND, BASES[base], path, value) == []


DEFAULTS = [
    (
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": "deny"},
            "spec": {"podSelector": {}, "policyTypes": ["Egress"]},
        },
        {},
    ),
    (
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": "egress"},
            "spec": {"egress": [{}], "podSelector": {"matchLabels": {"a": "b"}}},
        },
        {"/spec/policyTypes": ["Ingress", "Egress"]},
    ),
    (
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": "min"},
            "spec": {"podSelector": {}},
        },
        {"/spec/policyTypes": ["Ingress"]},
    ),
    (
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": "nospec"},
        },
        {"/spec": {"podSelector": {}, "policyTypes": ["Ingress"]}},
    ),
]


@pytest.mark.parametrize(("request_body", "added"), DEFAULTS)
def test_what_was_left_out_is_filled_in(judge, request_body, added):
    assert judge.defaults(KIND, request_body) == added


ROWS = [
    (
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": "deny"},
            "spec": {"podSelector": {}, "policyTypes": ["Egress"]},
        },
        None,
        ["deny", "<none>", "5s"],
    ),
    (
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": "egress"},
            "spec": {"egress": [{}], "podSelector": {"matchLabels": {"a": "b"}}},
        },
        None,
        ["egress", "a=b", "5s"],
    ),
    (
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": "min"},
            "spec": {"podSelector": {}},
        },
        None,
        ["min", "<none>", "5s"],
    ),
    (
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": "nospec"},
        },
        None,
        ["nospec", "<none>", "5s"],
    ),
    (
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": "rich"},
            "spec": {
                "egress": [{"to": [{"podSelector": {}}]}],
                "ingress": [
                    {
                        "from": [
                            {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}},
                            {"namespaceSelector": {}, "podSelector": {"matchLabels": {"x": "y"}}},
                        ],
                        "ports": [
                            {"port": 80},
                            {"port": "web", "protocol": "UDP"},
                            {"endPort": 2000, "port": 1000},
                            {},
                        ],
                    }
                ],
                "podSelector": {},
                "policyTypes": ["Ingress", "Egress"],
            },
        },
        None,
        ["rich", "<none>", "5s"],
    ),
]


@pytest.mark.parametrize(("obj", "status", "cells"), ROWS)
def test_a_row_of_kubectl_get(judge, obj, status, cells):
    assert judge.cells(KIND, obj, status) == cells
