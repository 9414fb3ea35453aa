"""What the API server says to ingresses; answers of Kubernetes 1.36 to the same requests."""

import pytest

from controlplane.kinds.networking.ingress import KIND

ABSENT = "<absent>"

BASES = {
    "default": {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": "default"},
        "spec": {"defaultBackend": {"service": {"name": "s", "port": {"number": 80}}}},
    },
    "rules": {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": "rules"},
        "spec": {
            "ingressClassName": "nginx",
            "rules": [
                {
                    "host": "a.example.com",
                    "http": {
                        "paths": [
                            {
                                "backend": {"service": {"name": "s", "port": {"number": 80}}},
                                "path": "/",
                                "pathType": "Prefix",
                            },
                            {
                                "backend": {"service": {"name": "s", "port": {"name": "web"}}},
                                "path": "/x",
                                "pathType": "Exact",
                            },
                            {
                                "backend": {
                                    "resource": {
                                        "apiGroup": "k8s.example.com",
                                        "kind": "StorageBucket",
                                        "name": "b",
                                    }
                                },
                                "pathType": "ImplementationSpecific",
                            },
                        ]
                    },
                },
                {"host": "*.b.com"},
                {
                    "http": {
                        "paths": [
                            {
                                "backend": {"service": {"name": "s", "port": {"number": 80}}},
                                "path": "/y",
                                "pathType": "Prefix",
                            }
                        ]
                    }
                },
            ],
            "tls": [{"hosts": ["a.example.com"], "secretName": "t"}, {}],
        },
    },
}

# base, field, value, the causes.
REFUSED = [
    (
        "default",
        "/spec/defaultBackend",
        "<absent>",
        ["spec: Invalid value: null: either `defaultBackend` or `rules` must be specified"],
    ),
    (
        "default",
        "/spec/defaultBackend/service",
        "<absent>",
        ['spec.defaultBackend: Invalid value: "": resource or service backend is required'],
    ),
    (
        "default",
        "/spec/defaultBackend/service",
        {},
        [
            "spec.defaultBackend.service.name: Required value",
            "spec.defaultBackend: Required value: port name or number is required",
        ],
    ),
    (
        "default",
        "/spec/defaultBackend/service/name",
        "",
        ["spec.defaultBackend.service.name: Required value"],
    ),
    (
        "default",
        "/spec/defaultBackend/service/name",
        "Bad_Value!",
        [
            'spec.defaultBackend.service.name: Invalid value: "Bad_Value!": a lowercase RFC '
            "1123 label must consist of lower case alphanumeric characters or '-', and must "
            "start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex "
            "used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
        ],
    ),
    (
        "default",
        "/spec/defaultBackend/service/port",
        {},
        ["spec.defaultBackend: Required value: port name or number is required"],
    ),
    (
        "default",
        "/spec/defaultBackend/service/port/number",
        -1,
        [
            "spec.defaultBackend.service.port.number: Invalid value: -1: must be between 1 and "
            "65535, inclusive"
        ],
    ),
    (
        "default",
        "/spec/defaultBackend/service/port/number",
        70000,
        [
            "spec.defaultBackend.service.port.number: Invalid value: 70000: must be between 1 "
            "and 65535, inclusive"
        ],
    ),
    (
        "rules",
        "/spec/rules/0/http/paths/0/backend/service",
        "<absent>",
        [
            'spec.rules[0].http.paths[0].backend: Invalid value: "": resource or service '
            "backend is required"
        ],
    ),
    (
        "rules",
        "/spec/rules/0/http/paths/0/pathType",
        "<absent>",
        ["spec.rules[0].http.paths[0].pathType: Required value: pathType must be specified"],
    ),
    (
        "rules",
        "/spec/ingressClassName",
        "",
        [
            'spec.ingressClassName: Invalid value: "": a lowercase RFC 1123 subdomain must '
            "consist of lower case alphanumeric characters, '-' or '.', and must start and end "
            "with an alphanumeric character (e.g. 'example.com', regex used for validation is "
            "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
        ],
    ),
    (
        "rules",
        "/spec/ingressClassName",
        "Bad_Value!",
        [
            'spec.ingressClassName: Invalid value: "Bad_Value!": a lowercase RFC 1123 subdomain '
            "must consist of lower case alphanumeric characters, '-' or '.', and must start and "
            "end with an alphanumeric character (e.g. 'example.com', regex used for validation "
            "is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
        ],
    ),
    (
        "rules",
        "/spec/rules",
        [],
        ["spec: Invalid value: []: either `defaultBackend` or `rules` must be specified"],
    ),
    (
        "rules",
        "/spec/rules/0/host",
        "Bad_Value!",
        [
            'spec.rules[0].host: Invalid value: "Bad_Value!": a lowercase RFC 1123 subdomain '
            "must consist of lower case alphanumeric characters, '-' or '.', and must start and "
            "end with an alphanumeric character (e.g. 'example.com', regex used for validation "
            "is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
        ],
    ),
    ("rules", "/spec/rules/0/http", {}, ["spec.rules[0].http.paths: Required value"]),
    (
        "rules",
        "/spec/rules/0/http/paths/0/backend/service",
        {},
        [
            "spec.rules[0].http.paths[0].backend.service.name: Required value",
            "spec.rules[0].http.paths[0].backend: Required value: port name or number is required",
        ],
    ),
    (
        "rules",
        "/spec/rules/0/http/paths/0/backend/service/name",
        "",
        ["spec.rules[0].http.paths[0].backend.service.name: Required value"],
    ),
    (
        "rules",
        "/spec/rules/0/http/paths/0/backend/service/name",
        "Bad_Value!",
        [
            'spec.rules[0].http.paths[0].backend.service.name: Invalid value: "Bad_Value!": a '
            "lowercase RFC 1123 label must consist of lower case alphanumeric characters or "
            "'-', and must start and end with an alphanumeric character (e.g. 'my-name',  or "
            "'123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
        ],
    ),
    (
        "rules",
        "/spec/rules/0/http/paths/0/backend/service/port",
        {},
        ["spec.rules[0].http.paths[0].backend: Required value: port name or number is required"],
    ),
    (
        "rules",
        "/spec/rules/0/http/paths/0/backend/service/port/number",
        -1,
        [
            "spec.rules[0].http.paths[0].backend.service.port.number: Invalid value: -1: must "
            "be between 1 and 65535, inclusive"
        ],
    ),
]


@pytest.mark.parametrize(("base", "path", "value", "causes"), REFUSED)
def test_a_spoilt_field_is_refused_with_its_path(judge, base, path, value, causes):
    assert sorted(judge.refusals(KIND, BASES[base], path, value)) == sorted(causes)


# Odd, and let pass.
ACCEPTED = [
    ("rules", "/spec/ingressClassName", "<absent>"),
    ("rules", "/spec/rules/0", "<absent>"),
    ("rules", "/spec/rules/0/host", "<absent>"),
]


@pytest.mark.parametrize(("base", "path", "value"), ACCEPTED)
def test_what_the_original_takes_is_taken(judge, base, path, value):
    assert judge.refusals(KIND, BASES[base], path, value) == []


CHANGED = [
    (
        "default",
        "/spec",
        "<absent>",
        ["spec: Invalid value: null: either `defaultBackend` or `rules` must be specified"],
    ),
    (
        "default",
        "/spec/defaultBackend/service",
        "<absent>",
        ['spec.defaultBackend: Invalid value: "": resource or service backend is required'],
    ),
    (
        "default",
        "/spec/defaultBackend/service/name",
        "<absent>",
        ["spec.defaultBackend.service.name: Required value"],
    ),
    (
        "default",
        "/spec/defaultBackend/service/port",
        "<absent>",
        ["spec.defaultBackend: Required value: port name or number is required"],
    ),
    ("rules", "/spec/rules/0/http/paths", "<absent>", ["spec.rules[0].http.paths: Required value"]),
    (
        "rules",
        "/spec/rules/0/http/paths/0/backend",
        "<absent>",
        [
            'spec.rules[0].http.paths[0].backend: Invalid value: "": resource or service '
            "backend is required"
        ],
    ),
    (
        "rules",
        "/spec/rules/0/http/paths/0/backend/service/name",
        "<absent>",
        ["spec.rules[0].http.paths[0].backend.service.name: Required value"],
    ),
    (
        "rules",
        "/spec/rules/0/http/paths/0/backend/service/port",
        "<absent>",
        ["spec.rules[0].http.paths[0].backend: Required value: port name or number is required"],
    ),
    (
        "rules",
        "/spec/rules/0/http/paths/0/path",
        "<absent>",
        ['spec.rules[0].http.paths[0].path: Invalid value: "": must be an absolute path'],
    ),
    (
        "rules",
        "/spec/rules/0/http/paths/0/pathType",
        "<absent>",
        ["spec.rules[0].http.paths[0].pathType: Required value: pathType must be specified"],
    ),
    (
        "rules",
        "/spec/rules/0/http/paths/2/backend/resource/kind",
        "<absent>",
        ["spec.rules[0].http.paths[2].backend.resource.kind: Required value"],
    ),
    (
        "rules",
        "/spec/rules/0/http/paths/2/backend/resource/name",
        "<absent>",
        ["spec.rules[0].http.paths[2].backend.resource.name: Required value"],
    ),
    (
        "rules",
        "/spec/rules/0/http/paths/0/pathType",
        "Prefixx",
        [
            'spec.rules[0].http.paths[0].pathType: Unsupported value: "Prefixx": supported '
            'values: "Exact", "ImplementationSpecific", "Prefix"'
        ],
    ),
]


@pytest.mark.parametrize(("base", "path", "value", "causes"), CHANGED)
def test_a_change_is_refused_with_its_path(judge, base, path, value, causes):
    assert sorted(judge.changes(KIND, BASES[base], path, value)) == sorted(causes)


CHANGEABLE = [
    ("rules", "/spec/ingressClassName", "<absent>"),
    ("rules", "/spec/rules/0", "<absent>"),
    ("rules", "/spec/rules/0/host", "<absent>"),
]


@pytest.mark.parametrize(("base", "path", "value"), CHANGEABLE)
def test_what_may_change_may_change(judge, base, path, value):
    assert judge.changes(KIND, BASES[base], path, value) == []


DEFAULTS = [
    (
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": {
                "annotations": {"kubernetes.io/ingress.class": "nginx"},
                "name": "annotation",
            },
            "spec": {"defaultBackend": {"service": {"name": "s", "port": {"number": 80}}}},
        },
        {"/status": {"loadBalancer": {}}},
    ),
    (
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": {"name": "default"},
            "spec": {"defaultBackend": {"service": {"name": "s", "port": {"number": 80}}}},
        },
        {"/status": {"loadBalancer": {}}},
    ),
    (
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": {"name": "rules"},
            "spec": {
                "ingressClassName": "nginx",
                "rules": [
                    {
                        "host": "a.example.com",
                        "http": {
                            "paths": [
                                {
                                    "backend": {"service": {"name": "s", "port": {"number": 80}}},
                                    "path": "/",
                                    "pathType": "Prefix",
                                },
                                {
                                    "backend": {"service": {"name": "s", "port": {"name": "web"}}},
                                    "path": "/x",
                                    "pathType": "Exact",
                                },
                                {
                                    "backend": {
                                        "resource": {
                                            "apiGroup": "k8s.example.com",
                                            "kind": "StorageBucket",
                                            "name": "b",
                                        }
                                    },
                                    "pathType": "ImplementationSpecific",
                                },
                            ]
                        },
                    },
                    {"host": "*.b.com"},
                    {
                        "http": {
                            "paths": [
                                {
                                    "backend": {"service": {"name": "s", "port": {"number": 80}}},
                                    "path": "/y",
                                    "pathType": "Prefix",
                                }
                            ]
                        }
                    },
                ],
                "tls": [{"hosts": ["a.example.com"], "secretName": "t"}, {}],
            },
        },
        {"/status": {"loadBalancer": {}}},
    ),
]


@pytest.mark.parametrize(("request_body", "added"), DEFAULTS)
def test_what_was_left_out_is_filled_in(judge, request_body, added):
    assert judge.defaults(KIND, request_body) == added


ROWS = [
    (
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": {"name": "tb"},
            "spec": {
                "ingressClassName": "nginx",
                "rules": [
                    {
                        "host": "a.example.com",
                        "http": {
                            "paths": [
                                {
                                    "backend": {"service": {"name": "s", "port": {"number": 80}}},
                                    "path": "/",
                                    "pathType": "Prefix",
                                },
                                {
                                    "backend": {"service": {"name": "s", "port": {"name": "web"}}},
                                    "path": "/x",
                                    "pathType": "Exact",
                                },
                                {
                                    "backend": {
                                        "resource": {
                                            "apiGroup": "k8s.example.com",
                                            "kind": "StorageBucket",
                                            "name": "b",
                                        }
                                    },
                                    "pathType": "ImplementationSpecific",
                                },
                            ]
                        },
                    },
                    {"host": "*.b.com"},
                    {
                        "http": {
                            "paths": [
                                {
                                    "backend": {"service": {"name": "s", "port": {"number": 80}}},
                                    "path": "/y",
                                    "pathType": "Prefix",
                                }
                            ]
                        }
                    },
                ],
                "tls": [{"hosts": ["a.example.com"], "secretName": "t"}, {}],
            },
        },
        {"loadBalancer": {"ingress": [{"ip": "5.6.7.8"}, {"hostname": "lb.example.com"}]}},
        ["tb", "nginx", "a.example.com,*.b.com", "5.6.7.8,lb.example.com", "80, 443", "5s"],
    ),
    (
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": {
                "annotations": {"kubernetes.io/ingress.class": "nginx"},
                "name": "annotation",
            },
            "spec": {"defaultBackend": {"service": {"name": "s", "port": {"number": 80}}}},
        },
        None,
        ["annotation", "<none>", "*", "", "80", "5s"],
    ),
    (
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": {"name": "default"},
            "spec": {"defaultBackend": {"service": {"name": "s", "port": {"number": 80}}}},
        },
        None,
        ["default", "<none>", "*", "", "80", "5s"],
    ),
    (
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": {"name": "rules"},
            "spec": {
                "ingressClassName": "nginx",
                "rules": [
                    {
                        "host": "a.example.com",
                        "http": {
                            "paths": [
                                {
                                    "backend": {"service": {"name": "s", "port": {"number": 80}}},
                                    "path": "/",
                                    "pathType": "Prefix",
                                },
                                {
                                    "backend": {"service": {"name": "s", "port": {"name": "web"}}},
                                    "path": "/x",
                                    "pathType": "Exact",
                                },
                                {
                                    "backend": {
                                        "resource": {
                                            "apiGroup": "k8s.example.com",
                                            "kind": "StorageBucket",
                                            "name": "b",
                                        }
                                    },
                                    "pathType": "ImplementationSpecific",
                                },
                            ]
                        },
                    },
                    {"host": "*.b.com"},
                    {
                        "http": {
                            "paths": [
                                {
                                    "backend": {"service": {"name": "s", "port": {"number": 80}}},
                                    "path": "/y",
                                    "pathType": "Prefix",
                                }
                            ]
                        }
                    },
                ],
                "tls": [{"hosts": ["a.example.com"], "secretName": "t"}, {}],
            },
        },
        None,
        ["rules", "nginx", "a.example.com,*.b.com", "", "80, 443", "5s"],
    ),
]


@pytest.mark.parametrize(("obj", "status", "cells"), ROWS)
def test_a_row_of_kubectl_get(judge, obj, status, cells):
    assert judge.cells(KIND, obj, status) == cells
