"""What the API server says to events; answers of Kubernetes 1.36 to the same requests."""

import pytest

from controlplane.kinds.core.event import KIND

ABSENT = "<absent>"

BASES = {
    "min": {
        "apiVersion": "v1",
        "involvedObject": {"kind": "Pod", "name": "p", "namespace": "gold"},
        "kind": "Event",
        "metadata": {"name": "min"},
    },
    "new-fields": {
        "action": "A",
        "apiVersion": "v1",
        "eventTime": "2020-01-01T00:00:00.000000Z",
        "involvedObject": {"kind": "Pod", "name": "p", "namespace": "gold"},
        "kind": "Event",
        "metadata": {"name": "new-fields"},
        "reason": "R",
        "reportingComponent": "example.com/c",
        "reportingInstance": "i",
        "series": {"count": 2, "lastObservedTime": "2020-01-01T00:00:01.000000Z"},
        "type": "Normal",
    },
    "rich": {
        "apiVersion": "v1",
        "count": 3,
        "firstTimestamp": "2020-01-01T00:00:00Z",
        "involvedObject": {
            "apiVersion": "v1",
            "fieldPath": "spec.containers{c}",
            "kind": "Pod",
            "name": "p",
            "namespace": "gold",
        },
        "kind": "Event",
        "lastTimestamp": "2020-01-01T00:00:05Z",
        "message": "m",
        "metadata": {"name": "rich"},
        "reason": "R",
        "source": {"component": "c", "host": "h"},
        "type": "Warning",
    },
}

# base, field, value, the causes.
REFUSED = [
    (
        "min",
        "/involvedObject",
        {},
        ['involvedObject.namespace: Invalid value: "": does not match event.namespace'],
    ),
    (
        "min",
        "/involvedObject/namespace",
        "Bad_Value!",
        ['involvedObject.namespace: Invalid value: "Bad_Value!": does not match event.namespace'],
    ),
    ("new-fields", "/action", "", ["action: Required value"]),
    (
        "new-fields",
        "/reportingComponent",
        "",
        [
            "reportingComponent: Required value",
            'reportingComponent: Invalid value: "": name part must be non-empty',
            'reportingComponent: Invalid value: "": name part must consist of alphanumeric '
            "characters, '-', '_' or '.', and must start and end with an alphanumeric character "
            "(e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
            "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
        ],
    ),
    (
        "new-fields",
        "/reportingComponent",
        "Bad_Value!",
        [
            'reportingComponent: Invalid value: "Bad_Value!": name part must consist of '
            "alphanumeric characters, '-', '_' or '.', and must start and end with an "
            "alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used "
            "for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
        ],
    ),
    ("new-fields", "/reportingInstance", "", ["reportingInstance: Required value"]),
]


@pytest.mark.parametrize(("base", "path", "value", "causes"), REFUSED)
def test_a_spoilt_field_is_refused_with_its_path(judge, base, path, value, causes):
    assert sorted(judge.refusals(KIND, BASES[base], path, value)) == sorted(causes)


# Odd, and let pass.
ACCEPTED = [
    ("min", "/involvedObject/kind", "<absent>"),
    ("min", "/involvedObject/name", "<absent>"),
    ("min", "/involvedObject/kind", ""),
    ("new-fields", "/eventTime", "<absent>"),
    ("new-fields", "/series", "<absent>"),
    ("new-fields", "/series/count", "<absent>"),
    ("rich", "/count", "<absent>"),
    ("rich", "/firstTimestamp", "<absent>"),
    ("rich", "/involvedObject/apiVersion", "<absent>"),
]


@pytest.mark.parametrize(("base", "path", "value"), ACCEPTED)
def test_what_the_original_takes_is_taken(judge, base, path, value):
    assert judge.refusals(KIND, BASES[base], path, value) == []


CHANGED = [
    (
        "min",
        "/involvedObject",
        "<absent>",
        ['involvedObject.namespace: Invalid value: "": does not match event.namespace'],
    ),
    (
        "min",
        "/involvedObject/namespace",
        "goldx",
        ['involvedObject.namespace: Invalid value: "goldx": does not match event.namespace'],
    ),
    ("new-fields", "/action", "<absent>", ["action: Required value"]),
]


@pytest.mark.parametrize(("base", "path", "value", "causes"), CHANGED)
def test_a_change_is_refused_with_its_path(judge, base, path, value, causes):
    assert sorted(judge.changes(KIND, BASES[base], path, value)) == sorted(causes)


CHANGEABLE = [
    ("min", "/involvedObject/kind", "<absent>"),
    ("min", "/involvedObject/name", "<absent>"),
    ("min", "/reportingComponent", "<absent>"),
    ("new-fields", "/series", "<absent>"),
    ("new-fields", "/series/count", "<absent>"),
    ("new-fields", "/series/lastObservedTime", "<absent>"),
]


@pytest.mark.parametrize(("base", "path", "value"), CHANGEABLE)
def test_what_may_change_may_change(judge, base, path, value):
    assert judge.changes(KIND, BASES[base], path, value) == []


ROWS = [
    (
        {
            "apiVersion": "v1",
            "involvedObject": {"kind": "Node", "name": "n", "namespace": "golden-tables"},
            "kind": "Event",
            "metadata": {"name": "e-no"},
            "reason": "R",
        },
        None,
        ["<unknown>", "", "R", "node/n", "", "", "", "<unknown>", 1, "e-no"],
    ),
    (
        {
            "apiVersion": "v1",
            "involvedObject": {"kind": "Pod", "name": "p", "namespace": "golden-tables"},
            "kind": "Event",
            "metadata": {"name": "min"},
        },
        None,
        ["<unknown>", "", "", "pod/p", "", "", "", "<unknown>", 1, "min"],
    ),
]


@pytest.mark.parametrize(("obj", "status", "cells"), ROWS)
def test_a_row_of_kubectl_get(judge, obj, status, cells):
    assert judge.cells(KIND, obj, status) == cells
