"""What the API server says to events; answers of Kubernetes 1.36 to the same requests."""

import pytest

from controlplane.kinds.events.event import KIND

ABSENT = "<absent>"

BASES = {
    "rich": {
        "action": "A",
        "apiVersion": "events.k8s.io/v1",
        "eventTime": "2020-01-01T00:00:00.000000Z",
        "kind": "Event",
        "metadata": {"name": "rich"},
        "note": "n",
        "reason": "R",
        "regarding": {"kind": "Pod", "name": "p", "namespace": "gold"},
        "reportingController": "example.com/c",
        "reportingInstance": "i",
        "series": {"count": 2, "lastObservedTime": "2020-01-01T00:00:01.000000Z"},
        "type": "Normal",
    }
}

# base, field, value, the causes.
REFUSED = [
    ("rich", "/eventTime", "<absent>", ["eventTime: Required value"]),
    ("rich", "/series/lastObservedTime", "<absent>", ["series.lastObservedTime: Required value"]),
    ("rich", "/action", "", ["action: Required value"]),
    ("rich", "/reason", "", ["reason: Required value"]),
    (
        "rich",
        "/regarding",
        {},
        ['involvedObject.namespace: Invalid value: "": does not match event.namespace'],
    ),
    (
        "rich",
        "/reportingController",
        "",
        [
            "reportingController: Required value",
            'reportingController: Invalid value: "": name part must be non-empty',
            'reportingController: Invalid value: "": name part must consist of alphanumeric '
            "characters, '-', '_' or '.', and must start and end with an alphanumeric character "
            "(e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
            "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
        ],
    ),
    (
        "rich",
        "/reportingController",
        "Bad_Value!",
        [
            'reportingController: Invalid value: "Bad_Value!": name part must consist of '
            "alphanumeric characters, '-', '_' or '.', and must start and end with an "
            "alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used "
            "for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
        ],
    ),
    ("rich", "/reportingInstance", "", ["reportingInstance: Required value"]),
    (
        "rich",
        "/series",
        {},
        [
            'series.count: Invalid value: "": should be at least 2',
            "series.lastObservedTime: Required value",
        ],
    ),
    ("rich", "/series/count", -1, ['series.count: Invalid value: "": should be at least 2']),
    ("rich", "/type", "", ['type: Invalid value: "": has invalid value: ']),
    ("rich", "/type", "Bad_Value!", ['type: Invalid value: "": has invalid value: Bad_Value!']),
]


@pytest.mark.parametrize(("base", "path", "value", "causes"), REFUSED)
def test_a_spoilt_field_is_refused_with_its_path(judge, base, path, value, causes):
    assert sorted(judge.refusals(KIND, BASES[base], path, value)) == sorted(causes)


# Odd, and let pass.
ACCEPTED = [
    ("rich", "/note", "<absent>"),
    ("rich", "/regarding/kind", "<absent>"),
    ("rich", "/regarding/name", "<absent>"),
]


@pytest.mark.parametrize(("base", "path", "value"), ACCEPTED)
def test_what_the_original_takes_is_taken(judge, base, path, value):
    assert judge.refusals(KIND, BASES[base], path, value) == []


CHANGED = [
    (
        "rich",
        "/action",
        "<absent>",
        ["action: Required value", 'action: Invalid value: "": field is immutable'],
    ),
    ("rich", "/eventTime", "<absent>", ["eventTime: Invalid value: null: field is immutable"]),
    ("rich", "/note", "<absent>", ['message: Invalid value: "": field is immutable']),
    (
        "rich",
        "/reason",
        "<absent>",
        [
            "reason: Required value",
            'reason: Invalid value: "": field is immutable',
            'reason: Invalid value: "": field is immutable',
        ],
    ),
    (
        "rich",
        "/reportingController",
        "<absent>",
        [
            "reportingController: Required value",
            'reportingController: Invalid value: "": name part must be non-empty',
            'reportingController: Invalid value: "": name part must consist of alphanumeric '
            "characters, '-', '_' or '.', and must start and end with an alphanumeric character "
            "(e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
            "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
            'reportingController: Invalid value: "": field is immutable',
        ],
    ),
    (
        "rich",
        "/reportingInstance",
        "<absent>",
        [
            "reportingInstance: Required value",
            'reportingInstance: Invalid value: "": field is immutable',
        ],
    ),
    (
        "rich",
        "/series/count",
        "<absent>",
        ['series.count: Invalid value: "": should be at least 2'],
    ),
    ("rich", "/series/lastObservedTime", "<absent>", ["series.lastObservedTime: Required value"]),
    ("rich", "/type", "<absent>", ['type: Invalid value: "": field is immutable']),
    ("rich", "/action", "Ax", ['action: Invalid value: "Ax": field is immutable']),
    ("rich", "/note", "nx", ['message: Invalid value: "nx": field is immutable']),
    (
        "rich",
        "/reason",
        "Rx",
        [
            'reason: Invalid value: "Rx": field is immutable',
            'reason: Invalid value: "Rx": field is immutable',
        ],
    ),
    (
        "rich",
        "/reportingController",
        "example.com/cx",
        ['reportingController: Invalid value: "example.com/cx": field is immutable'],
    ),
    (
        "rich",
        "/reportingInstance",
        "ix",
        ['reportingInstance: Invalid value: "ix": field is immutable'],
    ),
    ("rich", "/type", "Normalx", ['type: Invalid value: "Normalx": field is immutable']),
]


@pytest.mark.parametrize(("base", "path", "value", "causes"), CHANGED)
def test_a_change_is_refused_with_its_path(judge, base, path, value, causes):
    assert sorted(judge.changes(KIND, BASES[base], path, value)) == sorted(causes)


CHANGEABLE = [("rich", "/series", "<absent>")]


@pytest.mark.parametrize(("base", "path", "value"), CHANGEABLE)
def test_what_may_change_may_change(judge, base, path, value):
    assert judge.changes(KIND, BASES[base], path, value) == []
