"""What the API server says to persistentvolumeclaims; answers of Kubernetes 1.36 to the same requests."""

import pytest

from controlplane.kinds.core.persistent_volume_claim import KIND

ABSENT = "<absent>"

BASES = {
    "dsref": {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "dsref"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "dataSourceRef": {"apiGroup": "x.example.com", "kind": "Foo", "name": "s"},
            "resources": {"requests": {"storage": "1Gi"}},
        },
    },
    "min": {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "min"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    },
    "noclass": {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "noclass"},
        "spec": {
            "accessModes": ["ReadWriteMany", "ReadOnlyMany"],
            "resources": {"limits": {"storage": "2Gi"}, "requests": {"storage": "1.5Gi"}},
            "storageClassName": "",
            "volumeMode": "Block",
        },
    },
    "rich": {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "rich"},
        "spec": {
            "accessModes": ["ReadWriteOncePod"],
            "dataSource": {
                "apiGroup": "snapshot.storage.k8s.io",
                "kind": "VolumeSnapshot",
                "name": "s",
            },
            "resources": {"requests": {"storage": "1Gi"}},
            "selector": {"matchLabels": {"a": "b"}},
            "storageClassName": "fast",
            "volumeName": "pv-x",
        },
    },
    "vac": {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "vac"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}},
            "volumeAttributesClassName": "silver",
        },
    },
}

# base, field, value, the causes.
REFUSED = [
    (
        "dsref",
        "/spec/dataSourceRef",
        {},
        [
            "spec.dataSource.name: Required value",
            "spec.dataSource.kind: Required value",
            "spec.dataSource: Invalid value: \"\": must be 'PersistentVolumeClaim' when "
            "referencing the default apiGroup",
            "spec.dataSourceRef.name: Required value",
            "spec.dataSourceRef.kind: Required value",
            "spec.dataSourceRef: Invalid value: \"\": must be 'PersistentVolumeClaim' when "
            "referencing the default apiGroup",
        ],
    ),
    (
        "dsref",
        "/spec/dataSourceRef/apiGroup",
        "",
        [
            "spec.dataSource: Invalid value: \"Foo\": must be 'PersistentVolumeClaim' when "
            "referencing the default apiGroup",
            "spec.dataSourceRef: Invalid value: \"Foo\": must be 'PersistentVolumeClaim' when "
            "referencing the default apiGroup",
        ],
    ),
    (
        "dsref",
        "/spec/dataSourceRef/apiGroup",
        "Bad_Value!",
        [
            'spec.dataSource.apiGroup: Invalid value: "Bad_Value!": a lowercase RFC 1123 '
            "subdomain must consist of lower case alphanumeric characters, '-' or '.', and must "
            "start and end with an alphanumeric character (e.g. 'example.com', regex used for "
            "validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
            'spec.dataSourceRef.apiGroup: Invalid value: "Bad_Value!": a lowercase RFC 1123 '
            "subdomain must consist of lower case alphanumeric characters, '-' or '.', and must "
            "start and end with an alphanumeric character (e.g. 'example.com', regex used for "
            "validation is "
            "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
        ],
    ),
    (
        "dsref",
        "/spec/dataSourceRef/kind",
        "",
        ["spec.dataSource.kind: Required value", "spec.dataSourceRef.kind: Required value"],
    ),
    (
        "dsref",
        "/spec/dataSourceRef/name",
        "",
        ["spec.dataSource.name: Required value", "spec.dataSourceRef.name: Required value"],
    ),
    (
        "min",
        "/spec/accessModes/0",
        "<absent>",
        ["spec.accessModes: Required value: at least 1 access mode is required"],
    ),
    (
        "min",
        "/spec/resources/requests/storage",
        "<absent>",
        ["spec.resources[storage]: Required value"],
    ),
    (
        "min",
        "/spec",
        {},
        [
            "spec.accessModes: Required value: at least 1 access mode is required",
            "spec.resources[storage]: Required value",
        ],
    ),
    (
        "min",
        "/spec/accessModes/0",
        "",
        [
            'spec.accessModes: Unsupported value: "": supported values: "ReadOnlyMany", '
            '"ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"'
        ],
    ),
    (
        "min",
        "/spec/accessModes/0",
        "Bad_Value!",
        [
            'spec.accessModes: Unsupported value: "Bad_Value!": supported values: '
            '"ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"'
        ],
    ),
    (
        "noclass",
        "/spec/storageClassName",
        "Bad_Value!",
        [
            'spec.storageClassName: Invalid value: "Bad_Value!": a lowercase RFC 1123 subdomain '
            "must consist of lower case alphanumeric characters, '-' or '.', and must start and "
            "end with an alphanumeric character (e.g. 'example.com', regex used for validation "
            "is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
        ],
    ),
    (
        "noclass",
        "/spec/volumeMode",
        "",
        ['spec.volumeMode: Unsupported value: "": supported values: "Block", "Filesystem"'],
    ),
    (
        "noclass",
        "/spec/volumeMode",
        "Bad_Value!",
        [
            'spec.volumeMode: Unsupported value: "Bad_Value!": supported values: "Block", '
            '"Filesystem"'
        ],
    ),
    (
        "rich",
        "/spec/selector/matchLabels/a",
        "Bad_Value!",
        [
            'spec.selector.matchLabels: Invalid value: "Bad_Value!": a valid label must be an '
            "empty string or consist of alphanumeric characters, '-', '_' or '.', and must "
            "start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or "
            "'12345', regex used for validation is "
            "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
        ],
    ),
    (
        "vac",
        "/spec/volumeAttributesClassName",
        "Bad_Value!",
        [
            'spec.volumeAttributesClassName: Invalid value: "Bad_Value!": a lowercase RFC 1123 '
            "subdomain must consist of lower case alphanumeric characters, '-' or '.', and must "
            "start and end with an alphanumeric character (e.g. 'example.com', regex used for "
            "validation is "
            "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
        ],
    ),
]


@pytest.mark.parametrize(("base", "path", "value", "causes"), REFUSED)
def test_a_spoilt_field_is_refused_with_its_path(judge, base, path, value, causes):
    assert sorted(judge.refusals(KIND, BASES[base], path, value)) == sorted(causes)


# Odd, and let pass.
ACCEPTED = [
    ("dsref", "/spec/dataSourceRef", "<absent>"),
    ("dsref", "/spec/dataSourceRef/kind", "Bad_Value!"),
    ("dsref", "/spec/dataSourceRef/name", "Bad_Value!"),
    ("min", "/spec/accessModes", ["ReadWriteOnce", "ReadWriteOnce"]),
    ("min", "/spec/resources/requests/frobnicate", 1),
    ("min", "/spec/resources/requests/storage", 7),
    ("noclass", "/spec/resources/limits", "<absent>"),
    ("noclass", "/spec/resources/limits/storage", "<absent>"),
    ("noclass", "/spec/storageClassName", "<absent>"),
    ("rich", "/spec/dataSource", "<absent>"),
    ("rich", "/spec/dataSource/apiGroup", "<absent>"),
    ("rich", "/spec/dataSource/kind", "<absent>"),
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
            "spec.accessModes: Required value: at least 1 access mode is required",
            "spec.resources[storage]: Required value",
            "spec: Forbidden: spec is immutable after creation except resources.requests and "
            "volumeAttributesClassName for bound claims",
            "spec.resources.requests.storage: Forbidden: field can not be less than "
            "status.capacity",
        ],
    ),
    (
        "min",
        "/spec/accessModes",
        "<absent>",
        [
            "spec.accessModes: Required value: at least 1 access mode is required",
            "spec: Forbidden: spec is immutable after creation except resources.requests and "
            "volumeAttributesClassName for bound claims",
        ],
    ),
    (
        "min",
        "/spec/resources",
        "<absent>",
        [
            "spec.resources[storage]: Required value",
            "spec: Forbidden: spec is immutable after creation except resources.requests and "
            "volumeAttributesClassName for bound claims",
            "spec.resources.requests.storage: Forbidden: field can not be less than "
            "status.capacity",
        ],
    ),
    (
        "min",
        "/spec/accessModes/0",
        "ReadWriteOncex",
        [
            'spec.accessModes: Unsupported value: "ReadWriteOncex": supported values: '
            '"ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"',
            "spec: Forbidden: spec is immutable after creation except resources.requests and "
            "volumeAttributesClassName for bound claims",
        ],
    ),
    (
        "min",
        "/spec/volumeMode",
        "Filesystemx",
        [
            'spec.volumeMode: Unsupported value: "Filesystemx": supported values: "Block", '
            '"Filesystem"',
            "spec: Forbidden: spec is immutable after creation except resources.requests and "
            "volumeAttributesClassName for bound claims",
            'volumeMode: Invalid value: "Filesystemx": field is immutable',
        ],
    ),
    (
        "noclass",
        "/spec/resources/limits",
        "<absent>",
        [
            "spec: Forbidden: spec is immutable after creation except resources.requests and "
            "volumeAttributesClassName for bound claims"
        ],
    ),
    (
        "rich",
        "/spec/dataSource/apiGroup",
        "<absent>",
        [
            'spec.dataSource: Invalid value: "VolumeSnapshot": must be '
            "'PersistentVolumeClaim' when referencing the default apiGroup",
            "spec: Invalid value: {}: must match dataSourceRef",
            "spec: Forbidden: spec is immutable after creation except resources.requests and "
            "volumeAttributesClassName for bound claims",
        ],
    ),
    (
        "rich",
        "/spec/dataSource/kind",
        "<absent>",
        [
            "spec.dataSource.kind: Required value",
            "spec: Invalid value: {}: must match dataSourceRef",
            "spec: Forbidden: spec is immutable after creation except resources.requests and "
            "volumeAttributesClassName for bound claims",
        ],
    ),
    (
        "rich",
        "/spec/dataSource/name",
        "<absent>",
        [
            "spec.dataSource.name: Required value",
            "spec: Invalid value: {}: must match dataSourceRef",
            "spec: Forbidden: spec is immutable after creation except resources.requests and "
            "volumeAttributesClassName for bound claims",
        ],
    ),
    (
        "rich",
        "/spec/dataSourceRef/apiGroup",
        "<absent>",
        [
            'spec.dataSourceRef: Invalid value: "VolumeSnapshot": must be '
            "'PersistentVolumeClaim' when referencing the default apiGroup",
            "spec: Invalid value: {}: must match dataSourceRef",
            "spec: Forbidden: spec is immutable after creation except resources.requests and "
            "volumeAttributesClassName for bound claims",
        ],
    ),
    (
        "rich",
        "/spec/dataSourceRef/kind",
        "<absent>",
        [
            "spec.dataSourceRef.kind: Required value",
            "spec: Invalid value: {}: must match dataSourceRef",
            "spec: Forbidden: spec is immutable after creation except resources.requests and "
            "volumeAttributesClassName for bound claims",
        ],
    ),
    (
        "rich",
        "/spec/dataSourceRef/name",
        "<absent>",
        [
            "spec.dataSourceRef.name: Required value",
            "spec: Invalid value: {}: must match dataSourceRef",
            "spec: Forbidden: spec is immutable after creation except resources.requests and "
            "volumeAttributesClassName for bound claims",
        ],
    ),
    (
        "rich",
        "/spec/dataSource/apiGroup",
        "snapshot.storage.k8s.iox",
        [
            "spec: Invalid value: {}: must match dataSourceRef",
            "spec: Forbidden: spec is immutable after creation except resources.requests and "
            "volumeAttributesClassName for bound claims",
        ],
    ),
]


@pytest.mark.parametrize(("base", "path", "value", "causes"), CHANGED)
def test_a_change_is_refused_with_its_path(judge, base, path, value, causes):
    assert sorted(judge.changes(KIND, BASES[base], path, value)) == sorted(causes)


CHANGEABLE = [
    ("min", "/spec/volumeMode", "<absent>"),
    ("rich", "/spec/dataSource", "<absent>"),
    ("rich", "/spec/dataSourceRef", "<absent>"),
]


@pytest.mark.parametrize(("base", "path", "value"), CHANGEABLE)
def test_what_may_change_may_change(judge, base, path, value):
    assert judge.changes(KIND, BASES[base], path, value) == []


DEFAULTS = [
    (
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {
                "annotations": {"volume.beta.kubernetes.io/storage-class": "old"},
                "name": "beta-annotation",
            },
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": "1Gi"}},
            },
        },
        {"/spec/volumeMode": "Filesystem", "/status": {"phase": "Pending"}},
    ),
    (
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "clone"},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "dataSource": {"kind": "PersistentVolumeClaim", "name": "s"},
                "resources": {"requests": {"storage": "1Gi"}},
            },
        },
        {
            "/spec/dataSource/apiGroup": None,
            "/spec/volumeMode": "Filesystem",
            "/spec/dataSourceRef": {"kind": "PersistentVolumeClaim", "name": "s", "apiGroup": None},
            "/status": {"phase": "Pending"},
        },
    ),
    (
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "dsref"},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "dataSourceRef": {"apiGroup": "x.example.com", "kind": "Foo", "name": "s"},
                "resources": {"requests": {"storage": "1Gi"}},
            },
        },
        {
            "/spec/volumeMode": "Filesystem",
            "/spec/dataSource": {"apiGroup": "x.example.com", "kind": "Foo", "name": "s"},
            "/status": {"phase": "Pending"},
        },
    ),
    (
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "min"},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": "1Gi"}},
            },
        },
        {"/spec/volumeMode": "Filesystem", "/status": {"phase": "Pending"}},
    ),
]


@pytest.mark.parametrize(("request_body", "added"), DEFAULTS)
def test_what_was_left_out_is_filled_in(judge, request_body, added):
    assert judge.defaults(KIND, request_body) == added


ROWS = [
    (
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "tb"},
            "spec": {
                "accessModes": ["ReadWriteOncePod"],
                "dataSource": {
                    "apiGroup": "snapshot.storage.k8s.io",
                    "kind": "VolumeSnapshot",
                    "name": "s",
                },
                "resources": {"requests": {"storage": "1Gi"}},
                "selector": {"matchLabels": {"a": "b"}},
                "storageClassName": "fast",
                "volumeName": "pv-x",
            },
        },
        {"accessModes": ["ReadWriteOncePod"], "capacity": {"storage": "5Gi"}, "phase": "Bound"},
        ["tb", "Bound", "pv-x", "5Gi", "RWOP", "fast", "<unset>", "5s", "Filesystem"],
    ),
    (
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "tb"},
            "spec": {
                "accessModes": ["ReadWriteOncePod"],
                "dataSource": {
                    "apiGroup": "snapshot.storage.k8s.io",
                    "kind": "VolumeSnapshot",
                    "name": "s",
                },
                "resources": {"requests": {"storage": "1Gi"}},
                "selector": {"matchLabels": {"a": "b"}},
                "storageClassName": "fast",
                "volumeName": "pv-x",
            },
        },
        {"phase": "Lost"},
        ["tb", "Lost", "pv-x", "0", "", "fast", "<unset>", "5s", "Filesystem"],
    ),
    (
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {
                "annotations": {"volume.beta.kubernetes.io/storage-class": "old"},
                "name": "beta-annotation",
            },
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": "1Gi"}},
            },
        },
        None,
        ["beta-annotation", "Pending", "", "", "", "old", "<unset>", "5s", "Filesystem"],
    ),
    (
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "clone"},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "dataSource": {"kind": "PersistentVolumeClaim", "name": "s"},
                "resources": {"requests": {"storage": "1Gi"}},
            },
        },
        None,
        ["clone", "Pending", "", "", "", "", "<unset>", "5s", "Filesystem"],
    ),
    (
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "dsref"},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "dataSourceRef": {"apiGroup": "x.example.com", "kind": "Foo", "name": "s"},
                "resources": {"requests": {"storage": "1Gi"}},
            },
        },
        None,
        ["dsref", "Pending", "", "", "", "", "<unset>", "5s", "Filesystem"],
    ),
    (
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "min"},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": "1Gi"}},
            },
        },
        None,
        ["min", "Pending", "", "", "", "", "<unset>", "5s", "Filesystem"],
    ),
]


@pytest.mark.parametrize(("obj", "status", "cells"), ROWS)
def test_a_row_of_kubectl_get(judge, obj, status, cells):
    assert judge.cells(KIND, obj, status) == cells
