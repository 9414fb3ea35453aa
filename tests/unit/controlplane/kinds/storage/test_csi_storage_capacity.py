"""What the API server says to csistoragecapacities; answers of Kubernetes 1.36 to the same requests."""

import pytest

from controlplane.kinds.storage.csi_storage_capacity import KIND

ABSENT = "<absent>"

BASES = {
    "min": {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "CSIStorageCapacity",
        "metadata": {"name": "min"},
        "storageClassName": "c",
    },
    "rich": {
        "apiVersion": "storage.k8s.io/v1",
        "capacity": "1024Mi",
        "kind": "CSIStorageCapacity",
        "maximumVolumeSize": "1Gi",
        "metadata": {"name": "rich"},
        "nodeTopology": {"matchLabels": {"a": "b"}},
        "storageClassName": "c",
    },
}

# base, field, value, the causes.
REFUSED = [
    (
        "min",
        "/storageClassName",
        "",
        [
            'storageClassName: Invalid value: "": a lowercase RFC 1123 subdomain must consist '
            "of lower case alphanumeric characters, '-' or '.', and must start and end with an "
            "alphanumeric character (e.g. 'example.com', regex used for validation is "
            "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
        ],
    ),
    (
        "min",
        "/storageClassName",
        "Bad_Value!",
        [
            'storageClassName: Invalid value: "Bad_Value!": a lowercase RFC 1123 subdomain must '
            "consist of lower case alphanumeric characters, '-' or '.', and must start and end "
            "with an alphanumeric character (e.g. 'example.com', regex used for validation is "
            "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
        ],
    ),
    (
        "rich",
        "/nodeTopology/matchLabels/a",
        "Bad_Value!",
        [
            'nodeTopology.matchLabels: Invalid value: "Bad_Value!": a valid label must be an '
            "empty string or consist of alphanumeric characters, '-', '_' or '.', and must "
            "start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or "
            "'12345', regex used for validation is "
            "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
        ],
    ),
]


@pytest.mark.parametrize(("base", "path", "value", "causes"), REFUSED)
def test_a_spoilt_field_is_refused_with_its_path(judge, base, path, value, causes):
    assert sorted(judge.refusals(KIND, BASES[base], path, value)) == sorted(causes)


# Odd, and let pass.
ACCEPTED = [
    ("rich", "/capacity", "<absent>"),
    ("rich", "/maximumVolumeSize", "<absent>"),
    ("rich", "/nodeTopology", "<absent>"),
]


@pytest.mark.parametrize(("base", "path", "value"), ACCEPTED)
def test_what_the_original_takes_is_taken(judge, base, path, value):
    assert judge.refusals(KIND, BASES[base], path, value) == []


CHANGED = [
    (
        "min",
        "/storageClassName",
        "<absent>",
        [
            'storageClassName: Invalid value: "": a lowercase RFC 1123 subdomain must consist '
            "of lower case alphanumeric characters, '-' or '.', and must start and end with an "
            "alphanumeric character (e.g. 'example.com', regex used for validation is "
            "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
            'storageClassName: Invalid value: "": field is immutable',
        ],
    ),
    (
        "min",
        "/storageClassName",
        "cx",
        ['storageClassName: Invalid value: "cx": field is immutable'],
    ),
    (
        "rich",
        "/nodeTopology",
        "<absent>",
        ["nodeTopology: Invalid value: null: field is immutable"],
    ),
    (
        "rich",
        "/nodeTopology/matchLabels",
        "<absent>",
        ["nodeTopology: Invalid value: {}: field is immutable"],
    ),
    (
        "rich",
        "/nodeTopology/matchLabels/a",
        "bx",
        ['nodeTopology: Invalid value: {"matchLabels":{"a":"bx"}}: field is immutable'],
    ),
]


@pytest.mark.parametrize(("base", "path", "value", "causes"), CHANGED)
def test_a_change_is_refused_with_its_path(judge, base, path, value, causes):
    assert sorted(judge.changes(KIND, BASES[base], path, value)) == sorted(causes)


CHANGEABLE = [("rich", "/capacity", "<absent>"), ("rich", "/maximumVolumeSize", "<absent>")]


@pytest.mark.parametrize(("base", "path", "value"), CHANGEABLE)
def test_what_may_change_may_change(judge, base, path, value):
    assert judge.changes(KIND, BASES[base], path, value) == []


DEFAULTS = [
    (
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "CSIStorageCapacity",
            "metadata": {"name": "min"},
            "storageClassName": "c",
        },
        {},
    ),
    (
        {
            "apiVersion": "storage.k8s.io/v1",
            "capacity": "1024Mi",
            "kind": "CSIStorageCapacity",
            "maximumVolumeSize": "1Gi",
            "metadata": {"name": "rich"},
            "nodeTopology": {"matchLabels": {"a": "b"}},
            "storageClassName": "c",
        },
        {"/capacity": "1Gi"},
    ),
]


@pytest.mark.parametrize(("request_body", "added"), DEFAULTS)
def test_what_was_left_out_is_filled_in(judge, request_body, added):
    assert judge.defaults(KIND, request_body) == added
