"""What the API server says to volumeattributesclasses; answers of Kubernetes 1.36 to the same requests."""

import pytest

from controlplane.kinds.storage.volume_attributes_class import KIND

ABSENT = "<absent>"

BASES = {
    "min": {
        "apiVersion": "storage.k8s.io/v1",
        "driverName": "d.example.com",
        "kind": "VolumeAttributesClass",
        "metadata": {"name": "min"},
        "parameters": {"a": "b"},
    }
}

# base, field, value, the causes.
REFUSED = [
    (
        "min",
        "/parameters/a",
        "<absent>",
        ["parameters: Required value: must contain at least one key/value pair"],
    ),
    ("min", "/driverName", "", ["driverName: Required value"]),
    (
        "min",
        "/driverName",
        "Bad_Value!",
        [
            'driverName: Invalid value: "bad_value!": name part must consist of alphanumeric '
            "characters, '-', '_' or '.', and must start and end with an alphanumeric character "
            "(e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
            "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
        ],
    ),
]


@pytest.mark.parametrize(("base", "path", "value", "causes"), REFUSED)
def test_a_spoilt_field_is_refused_with_its_path(judge, base, path, value, causes):
    assert sorted(judge.refusals(KIND, BASES[base], path, value)) == sorted(causes)


# Odd, and let pass.
ACCEPTED = [("min", "/parameters/a", ""), ("min", "/parameters/a", "Bad_Value!")]


@pytest.mark.parametrize(("base", "path", "value"), ACCEPTED)
def test_what_the_original_takes_is_taken(judge, base, path, value):
    assert judge.refusals(KIND, BASES[base], path, value) == []


CHANGED = [
    (
        "min",
        "/driverName",
        "<absent>",
        [
            "driverName: Forbidden: updates to driverName are forbidden.",
            "driverName: Required value",
        ],
    ),
    (
        "min",
        "/parameters",
        "<absent>",
        [
            "parameters: Forbidden: updates to parameters are forbidden.",
            "parameters: Required value: must contain at least one key/value pair",
        ],
    ),
    (
        "min",
        "/driverName",
        "d.example.comx",
        ["driverName: Forbidden: updates to driverName are forbidden."],
    ),
    ("min", "/parameters/a", "bx", ["parameters: Forbidden: updates to parameters are forbidden."]),
]


@pytest.mark.parametrize(("base", "path", "value", "causes"), CHANGED)
def test_a_change_is_refused_with_its_path(judge, base, path, value, causes):
    assert sorted(judge.changes(KIND, BASES[base], path, value)) == sorted(causes)


DEFAULTS = [
    (
        {
            "apiVersion": "storage.k8s.io/v1",
            "driverName": "d.example.com",
            "kind": "VolumeAttributesClass",
            "metadata": {"name": "min"},
            "parameters": {"a": "b"},
        },
        {},
    )
]


@pytest.mark.parametrize(("request_body", "added"), DEFAULTS)
def test_what_was_left_out_is_filled_in(judge, request_body, added):
    assert judge.defaults(KIND, request_body) == added


ROWS = [
    (
        {
            "apiVersion": "storage.k8s.io/v1",
            "driverName": "d.example.com",
            "kind": "VolumeAttributesClass",
            "metadata": {"name": "min"},
            "parameters": {"a": "b"},
        },
        None,
        ["min", "d.example.com", "5s"],
    )
]


@pytest.mark.parametrize(("obj", "status", "cells"), ROWS)
def test_a_row_of_kubectl_get(judge, obj, status, cells):
    assert judge.cells(KIND, obj, status) == cells
