"""What the API server says to volumeattachments; answers of Kubernetes 1.36 to the same requests."""

import pytest

from controlplane.kinds.storage.volume_attachment import KIND

ABSENT = "<absent>"

BASES = {
    "min": {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "VolumeAttachment",
        "metadata": {"name": "min"},
        "spec": {
            "attacher": "d.example.com",
            "nodeName": "n",
            "source": {"persistentVolumeName": "p"},
        },
    }
}

# base, field, value, the causes.
REFUSED = [
    (
        "min",
        "/spec/source/persistentVolumeName",
        "<absent>",
        [
            "spec.source: Required value: must specify exactly one of inlineVolumeSpec and "
            "persistentVolumeName"
        ],
    ),
    (
        "min",
        "/spec",
        {},
        [
            "spec.attacher: Required value",
            "spec.source: Required value: must specify exactly one of inlineVolumeSpec and "
            "persistentVolumeName",
            'spec.nodeName: Invalid value: "": a lowercase RFC 1123 subdomain must consist of '
            "lower case alphanumeric characters, '-' or '.', and must start and end with an "
            "alphanumeric character (e.g. 'example.com', regex used for validation is "
            "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
        ],
    ),
    ("min", "/spec/attacher", "", ["spec.attacher: Required value"]),
    (
        "min",
        "/spec/attacher",
        "Bad_Value!",
        [
            'spec.attacher: Invalid value: "Bad_Value!": a lowercase RFC 1123 subdomain must '
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
            'spec.nodeName: Invalid value: "": a lowercase RFC 1123 subdomain must consist of '
            "lower case alphanumeric characters, '-' or '.', and must start and end with an "
            "alphanumeric character (e.g. 'example.com', regex used for validation is "
            "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
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
        "/spec/source/persistentVolumeName",
        "",
        [
            "spec.source.persistentVolumeName: Required value: must specify non empty "
            "persistentVolumeName",
            'spec.source.persistentVolumeName: Invalid value: "": a lowercase RFC 1123 '
            "subdomain must consist of lower case alphanumeric characters, '-' or '.', and must "
            "start and end with an alphanumeric character (e.g. 'example.com', regex used for "
            "validation is "
            "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
        ],
    ),
    (
        "min",
        "/spec/source/persistentVolumeName",
        "Bad_Value!",
        [
            'spec.source.persistentVolumeName: Invalid value: "Bad_Value!": a lowercase RFC '
            "1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and "
            "must start and end with an alphanumeric character (e.g. 'example.com', regex used "
            "for validation is "
            "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
        ],
    ),
]


@pytest.mark.parametrize(("base", "path", "value", "causes"), REFUSED)
def test_a_spoilt_field_is_refused_with_its_path(judge, base, path, value, causes):
    assert sorted(judge.refusals(KIND, BASES[base], path, value)) == sorted(causes)


DEFAULTS = [
    (
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "VolumeAttachment",
            "metadata": {"name": "min"},
            "spec": {
                "attacher": "d.example.com",
                "nodeName": "n",
                "source": {"persistentVolumeName": "p"},
            },
        },
        {"/status": {"attached": False}},
    )
]


@pytest.mark.parametrize(("request_body", "added"), DEFAULTS)
def test_what_was_left_out_is_filled_in(judge, request_body, added):
    assert judge.defaults(KIND, request_body) == added


ROWS = [
    (
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "VolumeAttachment",
            "metadata": {"name": "tb"},
            "spec": {
                "attacher": "d.example.com",
                "nodeName": "n",
                "source": {"persistentVolumeName": "p"},
            },
        },
        {"attached": True},
        ["tb", "d.example.com", "p", "n", True, "5s"],
    ),
    (
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "VolumeAttachment",
            "metadata": {"name": "min"},
            "spec": {
                "attacher": "d.example.com",
                "nodeName": "n",
                "source": {"persistentVolumeName": "p"},
            },
        },
        None,
        ["min", "d.example.com", "p", "n", False, "5s"],
    ),
]


@pytest.mark.parametrize(("obj", "status", "cells"), ROWS)
def test_a_row_of_kubectl_get(judge, obj, status, cells):
    assert judge.cells(KIND, obj, status) == cells
