"""What the API server says to storageclasses; answers of Kubernetes 1.36 to the same requests."""

import pytest

from controlplane.kinds.storage.storage_class import KIND

ABSENT = "<absent>"

BASES = {
    "gold-min": {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": "gold-min"},
        "provisioner": "example.com/p",
    },
    "gold-rich": {
        "allowVolumeExpansion": True,
        "allowedTopologies": [{"matchLabelExpressions": [{"key": "z", "values": ["a"]}]}],
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": "gold-rich"},
        "mountOptions": ["ro"],
        "parameters": {"a": "b"},
        "provisioner": "kubernetes.io/no-provisioner",
        "reclaimPolicy": "Retain",
        "volumeBindingMode": "WaitForFirstConsumer",
    },
}

# base, field, value, the causes.
REFUSED = [
    ("gold-min", "/provisioner", "", ["provisioner: Required value"]),
    (
        "gold-min",
        "/provisioner",
        "Bad_Value!",
        [
            'provisioner: Invalid value: "bad_value!": name part must consist of alphanumeric '
            "characters, '-', '_' or '.', and must start and end with an alphanumeric character "
            "(e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
            "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
        ],
    ),
    (
        "gold-rich",
        "/allowedTopologies/0/matchLabelExpressions/0",
        "<absent>",
        ['allowedTopologies[0].matchLabelExpressions: Duplicate value: ""'],
    ),
    (
        "gold-rich",
        "/allowedTopologies/0/matchLabelExpressions/0/values/0",
        "<absent>",
        ["allowedTopologies[0].matchLabelExpressions[0].values: Required value"],
    ),
    (
        "gold-rich",
        "/allowedTopologies/0/matchLabelExpressions",
        [{"key": "z", "values": ["a"]}, {"key": "z", "values": ["a"]}],
        ['allowedTopologies[0].matchLabelExpressions[1].key: Duplicate value: "z"'],
    ),
    (
        "gold-rich",
        "/allowedTopologies/0/matchLabelExpressions/0",
        {},
        [
            "allowedTopologies[0].matchLabelExpressions[0].values: Required value",
            'allowedTopologies[0].matchLabelExpressions[0].key: Invalid value: "": name part '
            "must be non-empty",
            'allowedTopologies[0].matchLabelExpressions[0].key: Invalid value: "": name part '
            "must consist of alphanumeric characters, '-', '_' or '.', and must start and end "
            "with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex "
            "used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
        ],
    ),
    (
        "gold-rich",
        "/allowedTopologies/0/matchLabelExpressions/0/key",
        "",
        [
            'allowedTopologies[0].matchLabelExpressions[0].key: Invalid value: "": name part '
            "must be non-empty",
            'allowedTopologies[0].matchLabelExpressions[0].key: Invalid value: "": name part '
            "must consist of alphanumeric characters, '-', '_' or '.', and must start and end "
            "with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex "
            "used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
        ],
    ),
    (
        "gold-rich",
        "/allowedTopologies/0/matchLabelExpressions/0/key",
        "Bad_Value!",
        [
            'allowedTopologies[0].matchLabelExpressions[0].key: Invalid value: "Bad_Value!": '
            "name part must consist of alphanumeric characters, '-', '_' or '.', and must start "
            "and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or "
            "'123-abc', regex used for validation is "
            "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
        ],
    ),
    (
        "gold-rich",
        "/allowedTopologies/0/matchLabelExpressions/0/values",
        ["a", "a"],
        ['allowedTopologies[0].matchLabelExpressions[0].values[1]: Duplicate value: "a"'],
    ),
    (
        "gold-rich",
        "/reclaimPolicy",
        "Bad_Value!",
        ['reclaimPolicy: Unsupported value: "Bad_Value!": supported values: "Delete", "Retain"'],
    ),
    (
        "gold-rich",
        "/volumeBindingMode",
        "",
        [
            'volumeBindingMode: Unsupported value: "": supported values: "Immediate", '
            '"WaitForFirstConsumer"'
        ],
    ),
    (
        "gold-rich",
        "/volumeBindingMode",
        "Bad_Value!",
        [
            'volumeBindingMode: Unsupported value: "Bad_Value!": supported values: "Immediate", '
            '"WaitForFirstConsumer"'
        ],
    ),
]


@pytest.mark.parametrize(("base", "path", "value", "causes"), REFUSED)
def test_a_spoilt_field_is_refused_with_its_path(judge, base, path, value, causes):
    assert sorted(judge.refusals(KIND, BASES[base], path, value)) == sorted(causes)


# Odd, and let pass.
ACCEPTED = [
    ("gold-rich", "/allowVolumeExpansion", "<absent>"),
    ("gold-rich", "/allowedTopologies", "<absent>"),
    ("gold-rich", "/allowedTopologies/0", "<absent>"),
]


@pytest.mark.parametrize(("base", "path", "value"), ACCEPTED)
def test_what_the_original_takes_is_taken(judge, base, path, value):
    assert judge.refusals(KIND, BASES[base], path, value) == []


CHANGED = [
    (
        "gold-min",
        "/provisioner",
        "<absent>",
        ["provisioner: Required value", 'provisioner: Invalid value: "": field is immutable'],
    ),
    (
        "gold-min",
        "/provisioner",
        "example.com/px",
        ['provisioner: Invalid value: "example.com/px": field is immutable'],
    ),
    (
        "gold-min",
        "/reclaimPolicy",
        "Deletex",
        [
            'reclaimPolicy: Unsupported value: "Deletex": supported values: "Delete", "Retain"',
            'reclaimPolicy: Invalid value: "Deletex": field is immutable',
        ],
    ),
    (
        "gold-min",
        "/volumeBindingMode",
        "Immediatex",
        [
            'volumeBindingMode: Unsupported value: "Immediatex": supported values: "Immediate", '
            '"WaitForFirstConsumer"',
            'volumeBindingMode: Invalid value: "Immediatex": field is immutable',
        ],
    ),
    (
        "gold-rich",
        "/allowedTopologies/0/matchLabelExpressions",
        "<absent>",
        ['allowedTopologies[0].matchLabelExpressions: Duplicate value: ""'],
    ),
    (
        "gold-rich",
        "/allowedTopologies/0/matchLabelExpressions/0/key",
        "<absent>",
        [
            'allowedTopologies[0].matchLabelExpressions[0].key: Invalid value: "": name part '
            "must be non-empty",
            'allowedTopologies[0].matchLabelExpressions[0].key: Invalid value: "": name part '
            "must consist of alphanumeric characters, '-', '_' or '.', and must start and end "
            "with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex "
            "used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
        ],
    ),
    (
        "gold-rich",
        "/allowedTopologies/0/matchLabelExpressions/0/values",
        "<absent>",
        ["allowedTopologies[0].matchLabelExpressions[0].values: Required value"],
    ),
    (
        "gold-rich",
        "/parameters",
        "<absent>",
        ["parameters: Invalid value: null: field is immutable"],
    ),
    (
        "gold-rich",
        "/parameters/a",
        "<absent>",
        ["parameters: Invalid value: {}: field is immutable"],
    ),
    (
        "gold-rich",
        "/parameters/a",
        "bx",
        ['parameters: Invalid value: {"a":"bx"}: field is immutable'],
    ),
]


@pytest.mark.parametrize(("base", "path", "value", "causes"), CHANGED)
def test_a_change_is_refused_with_its_path(judge, base, path, value, causes):
    assert sorted(judge.changes(KIND, BASES[base], path, value)) == sorted(causes)


CHANGEABLE = [
    ("gold-min", "/reclaimPolicy", "<absent>"),
    ("gold-min", "/volumeBindingMode", "<absent>"),
    ("gold-rich", "/allowVolumeExpansion", "<absent>"),
    ("gold-rich", "/allowedTopologies", "<absent>"),
    ("gold-rich", "/allowedTopologies/0", "<absent>"),
]


@pytest.mark.parametrize(("base", "path", "value"), CHANGEABLE)
def test_what_may_change_may_change(judge, base, path, value):
    assert judge.changes(KIND, BASES[base], path, value) == []


DEFAULTS = [
    (
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {"name": "gold-min"},
            "provisioner": "example.com/p",
        },
        {"/reclaimPolicy": "Delete", "/volumeBindingMode": "Immediate"},
    ),
    (
        {
            "allowVolumeExpansion": True,
            "allowedTopologies": [{"matchLabelExpressions": [{"key": "z", "values": ["a"]}]}],
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {"name": "gold-rich"},
            "mountOptions": ["ro"],
            "parameters": {"a": "b"},
            "provisioner": "kubernetes.io/no-provisioner",
            "reclaimPolicy": "Retain",
            "volumeBindingMode": "WaitForFirstConsumer",
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
            "kind": "StorageClass",
            "metadata": {"name": "gold-min"},
            "provisioner": "example.com/p",
        },
        None,
        ["gold-min", "example.com/p", "Delete", "Immediate", False, "5s"],
    ),
    (
        {
            "allowVolumeExpansion": True,
            "allowedTopologies": [{"matchLabelExpressions": [{"key": "z", "values": ["a"]}]}],
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {"name": "gold-rich"},
            "mountOptions": ["ro"],
            "parameters": {"a": "b"},
            "provisioner": "kubernetes.io/no-provisioner",
            "reclaimPolicy": "Retain",
            "volumeBindingMode": "WaitForFirstConsumer",
        },
        None,
        ["gold-rich", "kubernetes.io/no-provisioner", "Retain", "WaitForFirstConsumer", True, "5s"],
    ),
]


@pytest.mark.parametrize(("obj", "status", "cells"), ROWS)
def test_a_row_of_kubectl_get(judge, obj, status, cells):
    assert judge.cells(KIND, obj, status) == cells
