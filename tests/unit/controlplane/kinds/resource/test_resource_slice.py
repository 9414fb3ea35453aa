"""What the API server says to resourceslices; answers of Kubernetes 1.36 to the same requests."""

import pytest

from controlplane.kinds.resource.resource_slice.kind import KIND

ABSENT = "<absent>"

BASES = {
    "min": {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceSlice",
        "metadata": {"name": "min"},
        "spec": {
            "devices": [
                {
                    "attributes": {"numa": {"int": 1}},
                    "capacity": {"memory": {"value": "1Gi"}},
                    "name": "d1",
                    "taints": [{"effect": "NoSchedule", "key": "k"}],
                }
            ],
            "driver": "d.example.com",
            "nodeName": "n",
            "pool": {"generation": 1, "name": "p", "resourceSliceCount": 1},
        },
    }
}

# base, field, value, the causes.
REFUSED = [
    (
        "min",
        "/spec/devices/0/attributes/numa/int",
        "<absent>",
        [
            'spec.devices[0].attributes[numa]: Invalid value: "": exactly one value must be '
            "specified"
        ],
    ),
    (
        "min",
        "/spec/nodeName",
        "<absent>",
        [
            "spec: Required value: exactly one of `nodeName`, `nodeSelector`, `allNodes`, "
            "`perDeviceNodeSelection` is required"
        ],
    ),
    (
        "min",
        "/spec",
        {},
        [
            "spec.driver: Required value",
            "spec.pool.name: Required value",
            "spec.pool.resourceSliceCount: Invalid value: 0: must be greater than zero",
            "spec: Required value: exactly one of `nodeName`, `nodeSelector`, `allNodes`, "
            "`perDeviceNodeSelection` is required",
        ],
    ),
    (
        "min",
        "/spec/devices/0",
        {},
        [
            'spec.devices[0].name: Invalid value: "": a lowercase RFC 1123 label must consist '
            "of lower case alphanumeric characters or '-', and must start and end with an "
            "alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation "
            "is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
        ],
    ),
    (
        "min",
        "/spec/devices/0/name",
        "Bad_Value!",
        [
            'spec.devices[0].name: Invalid value: "Bad_Value!": a lowercase RFC 1123 label must '
            "consist of lower case alphanumeric characters or '-', and must start and end with "
            "an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for "
            "validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
        ],
    ),
    (
        "min",
        "/spec/devices/0/taints/0",
        {},
        [
            'spec.devices[0].taints[0].key: Invalid value: "": name part must be non-empty',
            'spec.devices[0].taints[0].key: Invalid value: "": name part must consist of '
            "alphanumeric characters, '-', '_' or '.', and must start and end with an "
            "alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used "
            "for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
            "spec.devices[0].taints[0].effect: Required value",
        ],
    ),
    (
        "min",
        "/spec/devices/0/taints/0/effect",
        "",
        ["spec.devices[0].taints[0].effect: Required value"],
    ),
    (
        "min",
        "/spec/devices/0/taints/0/effect",
        "Bad_Value!",
        [
            'spec.devices[0].taints[0].effect: Unsupported value: "Bad_Value!": supported '
            'values: "NoExecute", "NoSchedule", "None"'
        ],
    ),
    (
        "min",
        "/spec/devices/0/taints/0/key",
        "",
        [
            'spec.devices[0].taints[0].key: Invalid value: "": name part must be non-empty',
            'spec.devices[0].taints[0].key: Invalid value: "": name part must consist of '
            "alphanumeric characters, '-', '_' or '.', and must start and end with an "
            "alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used "
            "for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
        ],
    ),
    (
        "min",
        "/spec/devices/0/taints/0/key",
        "Bad_Value!",
        [
            'spec.devices[0].taints[0].key: Invalid value: "Bad_Value!": name part must consist '
            "of alphanumeric characters, '-', '_' or '.', and must start and end with an "
            "alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used "
            "for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
        ],
    ),
    ("min", "/spec/driver", "", ["spec.driver: Required value"]),
    (
        "min",
        "/spec/driver",
        "Bad_Value!",
        [
            'spec.driver: Invalid value: "Bad_Value!": a lowercase RFC 1123 subdomain must '
            "consist of lower case alphanumeric characters, '-' or '.', and must start and end "
            "with an alphanumeric character (e.g. 'example.com', regex used for validation is "
            "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
        ],
    ),
    (
        "min",
        "/spec/nodeName",
        "",
        [
            'spec.nodeName: Invalid value: "": must be either unset or set to a non-empty string',
            "spec: Required value: exactly one of `nodeName`, `nodeSelector`, `allNodes`, "
            "`perDeviceNodeSelection` is required",
        ],
    ),
    (
        "min",
        "/spec/nodeName",
        "Bad_Value!",
        [
            'spec.nodeName: Invalid value: "Bad_Value!": a lowercase RFC 1123 subdomain must '
            "consist of lower case alphanumeric characters, '-' or '.', and must start and end "
            "with an alphanumeric character (e.g. 'example.com', regex used for validation is "
            "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
        ],
    ),
    (
        "min",
        "/spec/pool",
        {},
        [
            "spec.pool.name: Required value",
            "spec.pool.resourceSliceCount: Invalid value: 0: must be greater than zero",
        ],
    ),
    (
        "min",
        "/spec/pool/generation",
        -1,
        ["spec.pool.generation: Invalid value: -1: must be greater than or equal to zero"],
    ),
    ("min", "/spec/pool/name", "", ["spec.pool.name: Required value"]),
    (
        "min",
        "/spec/pool/name",
        "Bad_Value!",
        [
            'spec.pool.name: Invalid value: "Bad_Value!": a lowercase RFC 1123 subdomain must '
            "consist of lower case alphanumeric characters, '-' or '.', and must start and end "
            "with an alphanumeric character (e.g. 'example.com', regex used for validation is "
            "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
        ],
    ),
    (
        "min",
        "/spec/pool/resourceSliceCount",
        -1,
        ["spec.pool.resourceSliceCount: Invalid value: -1: must be greater than zero"],
    ),
    (
        "min",
        "/spec/pool/resourceSliceCount",
        0,
        ["spec.pool.resourceSliceCount: Invalid value: 0: must be greater than zero"],
    ),
]


@pytest.mark.parametrize(("base", "path", "value", "causes"), REFUSED)
def test_a_spoilt_field_is_refused_with_its_path(judge, base, path, value, causes):
    assert sorted(judge.refusals(KIND, BASES[base], path, value)) == sorted(causes)


# Odd, and let pass.
ACCEPTED = [
    ("min", "/spec/devices", "<absent>"),
    ("min", "/spec/devices/0", "<absent>"),
    ("min", "/spec/devices/0/attributes", "<absent>"),
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
            "spec.driver: Required value",
            "spec.pool.name: Required value",
            "spec.pool.resourceSliceCount: Invalid value: 0: must be greater than zero",
            'spec.pool.name: Invalid value: "": field is immutable',
            'spec.driver: Invalid value: "": field is immutable',
            "spec.nodeName: Invalid value: null: field is immutable",
            "spec: Required value: exactly one of `nodeName`, `nodeSelector`, `allNodes`, "
            "`perDeviceNodeSelection` is required",
        ],
    ),
    (
        "min",
        "/spec/devices/0/attributes/numa/int",
        "<absent>",
        [
            'spec.devices[0].attributes[numa]: Invalid value: "": exactly one value must be '
            "specified"
        ],
    ),
    (
        "min",
        "/spec/devices/0/name",
        "<absent>",
        [
            'spec.devices[0].name: Invalid value: "": a lowercase RFC 1123 label must consist '
            "of lower case alphanumeric characters or '-', and must start and end with an "
            "alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation "
            "is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
        ],
    ),
    (
        "min",
        "/spec/devices/0/taints/0/effect",
        "<absent>",
        ["spec.devices[0].taints[0].effect: Required value"],
    ),
    (
        "min",
        "/spec/devices/0/taints/0/key",
        "<absent>",
        [
            'spec.devices[0].taints[0].key: Invalid value: "": name part must be non-empty',
            'spec.devices[0].taints[0].key: Invalid value: "": name part must consist of '
            "alphanumeric characters, '-', '_' or '.', and must start and end with an "
            "alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used "
            "for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
        ],
    ),
    (
        "min",
        "/spec/driver",
        "<absent>",
        ["spec.driver: Required value", 'spec.driver: Invalid value: "": field is immutable'],
    ),
    (
        "min",
        "/spec/nodeName",
        "<absent>",
        [
            "spec.nodeName: Invalid value: null: field is immutable",
            "spec: Required value: exactly one of `nodeName`, `nodeSelector`, `allNodes`, "
            "`perDeviceNodeSelection` is required",
        ],
    ),
    (
        "min",
        "/spec/pool",
        "<absent>",
        [
            "spec.pool.name: Required value",
            "spec.pool.resourceSliceCount: Invalid value: 0: must be greater than zero",
            'spec.pool.name: Invalid value: "": field is immutable',
        ],
    ),
    (
        "min",
        "/spec/pool/name",
        "<absent>",
        ["spec.pool.name: Required value", 'spec.pool.name: Invalid value: "": field is immutable'],
    ),
    (
        "min",
        "/spec/pool/resourceSliceCount",
        "<absent>",
        ["spec.pool.resourceSliceCount: Invalid value: 0: must be greater than zero"],
    ),
    (
        "min",
        "/spec/devices/0/taints/0/effect",
        "NoSchedulex",
        [
            'spec.devices[0].taints[0].effect: Unsupported value: "NoSchedulex": supported '
            'values: "NoExecute", "NoSchedule", "None"'
        ],
    ),
    (
        "min",
        "/spec/driver",
        "d.example.comx",
        ['spec.driver: Invalid value: "d.example.comx": field is immutable'],
    ),
    ("min", "/spec/nodeName", "nx", ['spec.nodeName: Invalid value: "nx": field is immutable']),
    ("min", "/spec/pool/name", "px", ['spec.pool.name: Invalid value: "px": field is immutable']),
]


@pytest.mark.parametrize(("base", "path", "value", "causes"), CHANGED)
def test_a_change_is_refused_with_its_path(judge, base, path, value, causes):
    assert sorted(judge.changes(KIND, BASES[base], path, value)) == sorted(causes)


CHANGEABLE = [
    ("min", "/spec/devices", "<absent>"),
    ("min", "/spec/devices/0", "<absent>"),
    ("min", "/spec/devices/0/attributes", "<absent>"),
]


@pytest.mark.parametrize(("base", "path", "value"), CHANGEABLE)
def test_what_may_change_may_change(judge, base, path, value):
    assert judge.changes(KIND, BASES[base], path, value) == []


ROWS = [
    (
        {
            "apiVersion": "resource.k8s.io/v1",
            "kind": "ResourceSlice",
            "metadata": {"name": "min"},
            "spec": {
                "devices": [
                    {
                        "attributes": {"numa": {"int": 1}},
                        "capacity": {"memory": {"value": "1Gi"}},
                        "name": "d1",
                        "taints": [{"effect": "NoSchedule", "key": "k"}],
                    }
                ],
                "driver": "d.example.com",
                "nodeName": "n",
                "pool": {"generation": 1, "name": "p", "resourceSliceCount": 1},
            },
        },
        None,
        ["min", "n", "d.example.com", "p", "5s"],
    )
]


@pytest.mark.parametrize(("obj", "status", "cells"), ROWS)
def test_a_row_of_kubectl_get(judge, obj, status, cells):
    assert judge.cells(KIND, obj, status) == cells
