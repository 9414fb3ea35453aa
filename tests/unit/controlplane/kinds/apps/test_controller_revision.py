"""What the API server says to controllerrevisions; answers of Kubernetes 1.36 to the same requests."""

import pytest

from controlplane.kinds.apps.controller_revision import KIND

ABSENT = "<absent>"

BASES = {
    "data": {
        "apiVersion": "apps/v1",
        "data": {"a": [1, 2.5, {"b": None}]},
        "kind": "ControllerRevision",
        "metadata": {"name": "data"},
        "revision": 3,
    },
    "min": {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {"name": "min"},
        "revision": 1,
    },
}

# base, field, value, the causes.
REFUSED = [
    ("data", "/data", "<absent>", ["data: Required value: data is mandatory"]),
    ("data", "/data", "x", ["data: Required value: data must be a valid JSON object"]),
    (
        "min",
        "/revision",
        -1,
        [
            "revision: Invalid value: -1: must be greater than or equal to 0",
            "data: Required value: data is mandatory",
        ],
    ),
]


@pytest.mark.parametrize(("base", "path", "value", "causes"), REFUSED)
def test_a_spoilt_field_is_refused_with_its_path(judge, base, path, value, causes):
    assert sorted(judge.refusals(KIND, BASES[base], path, value)) == sorted(causes)


# Odd, and let pass.
ACCEPTED = [
    ("data", "/data/a", "<absent>"),
    ("data", "/data/a/0", "<absent>"),
    ("data", "/data/a/2/b", "<absent>"),
]


@pytest.mark.parametrize(("base", "path", "value"), ACCEPTED)
def test_what_the_original_takes_is_taken(judge, base, path, value):
    assert judge.refusals(KIND, BASES[base], path, value) == []


CHANGED = [
    ("data", "/data", "<absent>", ["data: Invalid value: null: field is immutable"]),
    ("data", "/data/a", "<absent>", ["data: Invalid value: {}: field is immutable"]),
    (
        "data",
        "/data/a/0",
        "<absent>",
        ['data: Invalid value: {"a":[2.5,{"b":null}]}: field is immutable'],
    ),
    (
        "data",
        "/data/a/2/b",
        "<absent>",
        ['data: Invalid value: {"a":[1,2.5,{}]}: field is immutable'],
    ),
    ("data", "/data/a/0", 2, ['data: Invalid value: {"a":[2,2.5,{"b":null}]}: field is immutable']),
]


@pytest.mark.parametrize(("base", "path", "value", "causes"), CHANGED)
def test_a_change_is_refused_with_its_path(judge, base, path, value, causes):
    assert sorted(judge.changes(KIND, BASES[base], path, value)) == sorted(causes)


CHANGEABLE = [("data", "/revision", "<absent>")]


@pytest.mark.parametrize(("base", "path", "value"), CHANGEABLE)
def test_what_may_change_may_change(judge, base, path, value):
    assert judge.changes(KIND, BASES[base], path, value) == []


DEFAULTS = [
    (
        {
            "apiVersion": "apps/v1",
            "data": {"a": [1, 2.5, {"b": None}]},
            "kind": "ControllerRevision",
            "metadata": {"name": "data"},
            "revision": 3,
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
            "apiVersion": "apps/v1",
            "data": {"a": [1, 2.5, {"b": None}]},
            "kind": "ControllerRevision",
            "metadata": {"name": "data"},
            "revision": 3,
        },
        None,
        ["data", "<none>", 3, "5s"],
    )
]


@pytest.mark.parametrize(("obj", "status", "cells"), ROWS)
def test_a_row_of_kubectl_get(judge, obj, status, cells):
    assert judge.cells(KIND, obj, status) == cells
