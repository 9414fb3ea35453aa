"""What the API server says to csidrivers; answers of Kubernetes 1.36 to the same requests."""

import pytest

from controlplane.kinds.storage.csi_driver import KIND

ABSENT = "<absent>"

BASES = {
    "rich": {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "CSIDriver",
        "metadata": {"name": "rich.example.com"},
        "spec": {
            "attachRequired": False,
            "fsGroupPolicy": "File",
            "podInfoOnMount": True,
            "requiresRepublish": True,
            "seLinuxMount": True,
            "storageCapacity": True,
            "tokenRequests": [{"audience": "a", "expirationSeconds": 700}],
            "volumeLifecycleModes": ["Ephemeral"],
        },
    },
    "min": {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "CSIDriver",
        "metadata": {"name": "min.example.com"},
        "spec": {},
    },
}

# base, field, value, the causes.
REFUSED = [
    (
        "rich",
        "/spec/fsGroupPolicy",
        "",
        [
            'spec.fsGroupPolicy: Unsupported value: "": supported values: "File", "None", '
            '"ReadWriteOnceWithFSType"'
        ],
    ),
    (
        "rich",
        "/spec/fsGroupPolicy",
        "Bad_Value!",
        [
            'spec.fsGroupPolicy: Unsupported value: "Bad_Value!": supported values: "File", '
            '"None", "ReadWriteOnceWithFSType"'
        ],
    ),
    (
        "rich",
        "/spec/tokenRequests",
        [{"audience": "a", "expirationSeconds": 700}, {"audience": "a", "expirationSeconds": 700}],
        ['spec.tokenRequests[1].audience: Duplicate value: "a"'],
    ),
    (
        "rich",
        "/spec/tokenRequests/0/expirationSeconds",
        -1,
        [
            "spec.tokenRequests[0].expirationSeconds: Invalid value: -1: may not specify a "
            "duration less than 10 minutes"
        ],
    ),
    (
        "rich",
        "/spec/tokenRequests/0/expirationSeconds",
        0,
        [
            "spec.tokenRequests[0].expirationSeconds: Invalid value: 0: may not specify a "
            "duration less than 10 minutes"
        ],
    ),
    (
        "rich",
        "/spec/volumeLifecycleModes/0",
        "",
        [
            'spec.volumeLifecycleModes: Unsupported value: "": supported values: "Persistent", '
            '"Ephemeral"'
        ],
    ),
    (
        "rich",
        "/spec/volumeLifecycleModes/0",
        "Bad_Value!",
        [
            'spec.volumeLifecycleModes: Unsupported value: "Bad_Value!": supported values: '
            '"Persistent", "Ephemeral"'
        ],
    ),
]


@pytest.mark.parametrize(("base", "path", "value", "causes"), REFUSED)
def test_a_spoilt_field_is_refused_with_its_path(judge, base, path, value, causes):
    assert sorted(judge.refusals(KIND, BASES[base], path, value)) == sorted(causes)


# Odd, and let pass.
ACCEPTED = [
    ("min", "/spec", "<absent>"),
    ("min", "/spec", {}),
    ("rich", "/spec/attachRequired", "<absent>"),
    ("rich", "/spec/fsGroupPolicy", "<absent>"),
    ("rich", "/spec/podInfoOnMount", "<absent>"),
]


@pytest.mark.parametrize(("base", "path", "value"), ACCEPTED)
def test_what_the_original_takes_is_taken(judge, base, path, value):
    assert judge.refusals(KIND, BASES[base], path, value) == []


CHANGED = [
    (
        "min",
        "/spec/attachRequired",
        False,
        ["spec.attachedRequired: Invalid value: false: field is immutable"],
    ),
    (
        "min",
        "/spec/fsGroupPolicy",
        "ReadWriteOnceWithFSTypex",
        [
            'spec.fsGroupPolicy: Unsupported value: "ReadWriteOnceWithFSTypex": supported '
            'values: "File", "None", "ReadWriteOnceWithFSType"'
        ],
    ),
    (
        "min",
        "/spec/volumeLifecycleModes/0",
        "Persistentx",
        [
            'spec.volumeLifecycleModes: Unsupported value: "Persistentx": supported values: '
            '"Persistent", "Ephemeral"',
            'spec.volumeLifecycleModes: Invalid value: ["Persistentx"]: field is immutable',
        ],
    ),
]


@pytest.mark.parametrize(("base", "path", "value", "causes"), CHANGED)
def test_a_change_is_refused_with_its_path(judge, base, path, value, causes):
    assert sorted(judge.changes(KIND, BASES[base], path, value)) == sorted(causes)


CHANGEABLE = [
    ("min", "/spec", "<absent>"),
    ("min", "/spec/attachRequired", "<absent>"),
    ("min", "/spec/fsGroupPolicy", "<absent>"),
    ("rich", "/spec/tokenRequests", "<absent>"),
    ("rich", "/spec/tokenRequests/0", "<absent>"),
    ("rich", "/spec/tokenRequests/0/audience", "<absent>"),
]


@pytest.mark.parametrize(("base", "path", "value"), CHANGEABLE)
def test_what_may_change_may_change(judge, base, path, value):
    assert judge.changes(KIND, BASES[base], path, value) == []


DEFAULTS = [
    (
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "CSIDriver",
            "metadata": {"name": "min.example.com"},
            "spec": {},
        },
        {
            "/spec/attachRequired": True,
            "/spec/podInfoOnMount": False,
            "/spec/storageCapacity": False,
            "/spec/fsGroupPolicy": "ReadWriteOnceWithFSType",
            "/spec/requiresRepublish": False,
            "/spec/seLinuxMount": False,
            "/spec/volumeLifecycleModes": ["Persistent"],
        },
    ),
    (
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "CSIDriver",
            "metadata": {"name": "rich.example.com"},
            "spec": {
                "attachRequired": False,
                "fsGroupPolicy": "File",
                "podInfoOnMount": True,
                "requiresRepublish": True,
                "seLinuxMount": True,
                "storageCapacity": True,
                "tokenRequests": [{"audience": "a", "expirationSeconds": 700}],
                "volumeLifecycleModes": ["Ephemeral"],
            },
        },
        {},
    ),
]


@pytest.mark.parametrize(("request_body", "added"), DEFAULTS)
def test_what_was_left_out_is_filled_in(judge, request_body, added):
    assert judge.defaults(KIND, request_body) == added


ROWS = [
    (
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "CSIDriver",
            "metadata": {"name": "min.example.com"},
            "spec": {},
        },
        None,
        ["min.example.com", True, False, False, "<unset>", False, "Persistent", "5s"],
    ),
    (
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "CSIDriver",
            "metadata": {"name": "rich.example.com"},
            "spec": {
                "attachRequired": False,
                "fsGroupPolicy": "File",
                "podInfoOnMount": True,
                "requiresRepublish": True,
                "seLinuxMount": True,
                "storageCapacity": True,
                "tokenRequests": [{"audience": "a", "expirationSeconds": 700}],
                "volumeLifecycleModes": ["Ephemeral"],
            },
        },
        None,
        ["rich.example.com", False, True, True, "a", True, "Ephemeral", "5s"],
    ),
]


@pytest.mark.parametrize(("obj", "status", "cells"), ROWS)
def test_a_row_of_kubectl_get(judge, obj, status, cells):
    assert judge.cells(KIND, obj, status) == cells
