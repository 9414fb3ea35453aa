"""What the API server says to podtemplates; answers of Kubernetes 1.36 to the same requests."""

import pytest

from controlplane.kinds.core.pod_template import KIND

ABSENT = "<absent>"

BASES = {
    "min": {
        "apiVersion": "v1",
        "kind": "PodTemplate",
        "metadata": {"name": "min"},
        "template": {
            "metadata": {"labels": {"app": "a"}},
            "spec": {"containers": [{"image": "nginx", "name": "c"}]},
        },
    }
}

# base, field, value, the causes.
REFUSED = [
    (
        "min",
        "/template/spec/containers/0",
        "<absent>",
        ["template.spec.containers: Required value"],
    ),
    (
        "min",
        "/template/metadata/labels/app",
        "Bad_Value!",
        [
            'template.labels: Invalid value: "Bad_Value!": a valid label must be an empty '
            "string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
            "end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', "
            "regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
        ],
    ),
    (
        "min",
        "/template/spec/containers",
        [{"image": "nginx", "name": "c"}, {"image": "nginx", "name": "c"}],
        ['template.spec.containers[1].name: Duplicate value: "c"'],
    ),
    (
        "min",
        "/template/spec/containers/0",
        {},
        [
            "template.spec.containers[0].name: Required value",
            "template.spec.containers[0].image: Required value",
        ],
    ),
    (
        "min",
        "/template/spec/containers/0/image",
        "",
        ["template.spec.containers[0].image: Required value"],
    ),
    (
        "min",
        "/template/spec/containers/0/name",
        "",
        ["template.spec.containers[0].name: Required value"],
    ),
    (
        "min",
        "/template/spec/containers/0/name",
        "Bad_Value!",
        [
            'template.spec.containers[0].name: Invalid value: "Bad_Value!": a lowercase RFC '
            "1123 label must consist of lower case alphanumeric characters or '-', and must "
            "start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex "
            "used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
        ],
    ),
]


@pytest.mark.parametrize(("base", "path", "value", "causes"), REFUSED)
def test_a_spoilt_field_is_refused_with_its_path(judge, base, path, value, causes):
    assert sorted(judge.refusals(KIND, BASES[base], path, value)) == sorted(causes)


# Odd, and let pass.
ACCEPTED = [
    ("min", "/template/metadata", "<absent>"),
    ("min", "/template/metadata/labels", "<absent>"),
    ("min", "/template/metadata/labels/app", "<absent>"),
]


@pytest.mark.parametrize(("base", "path", "value"), ACCEPTED)
def test_what_the_original_takes_is_taken(judge, base, path, value):
    assert judge.refusals(KIND, BASES[base], path, value) == []


CHANGED = [
    ("min", "/template", "<absent>", ["template.spec.containers: Required value"]),
    (
        "min",
        "/template/spec/containers/0/image",
        "<absent>",
        ["template.spec.containers[0].image: Required value"],
    ),
    (
        "min",
        "/template/spec/containers/0/name",
        "<absent>",
        ["template.spec.containers[0].name: Required value"],
    ),
    (
        "min",
        "/template/spec/containers/0/imagePullPolicy",
        "Alwaysx",
        [
            'template.spec.containers[0].imagePullPolicy: Unsupported value: "Alwaysx": '
            'supported values: "Always", "IfNotPresent", "Never"'
        ],
    ),
]


@pytest.mark.parametrize(("base", "path", "value", "causes"), CHANGED)
def test_a_change_is_refused_with_its_path(judge, base, path, value, causes):
    assert sorted(judge.changes(KIND, BASES[base], path, value)) == sorted(causes)


CHANGEABLE = [
    ("min", "/template/metadata", "<absent>"),
    ("min", "/template/metadata/labels", "<absent>"),
    ("min", "/template/metadata/labels/app", "<absent>"),
]


@pytest.mark.parametrize(("base", "path", "value"), CHANGEABLE)
def test_what_may_change_may_change(judge, base, path, value):
    assert judge.changes(KIND, BASES[base], path, value) == []


DEFAULTS = [
    (
        {
            "apiVersion": "v1",
            "kind": "PodTemplate",
            "metadata": {"name": "min"},
            "template": {
                "metadata": {"labels": {"app": "a"}},
                "spec": {"containers": [{"image": "nginx", "name": "c"}]},
            },
        },
        {
            "/template/spec/containers/0/terminationMessagePath": "/dev/termination-log",
            "/template/spec/containers/0/terminationMessagePolicy": "File",
            "/template/spec/containers/0/imagePullPolicy": "Always",
            "/template/spec/containers/0/resources": {},
            "/template/spec/restartPolicy": "Always",
            "/template/spec/dnsPolicy": "ClusterFirst",
            "/template/spec/schedulerName": "default-scheduler",
            "/template/spec/terminationGracePeriodSeconds": 30,
            "/template/spec/securityContext": {},
        },
    )
]


@pytest.mark.parametrize(("request_body", "added"), DEFAULTS)
def test_what_was_left_out_is_filled_in(judge, request_body, added):
    assert judge.defaults(KIND, request_body) == added


ROWS = [
    (
        {
            "apiVersion": "v1",
            "kind": "PodTemplate",
            "metadata": {"name": "min"},
            "template": {
                "metadata": {"labels": {"app": "a"}},
                "spec": {"containers": [{"image": "nginx", "name": "c"}]},
            },
        },
        None,
        ["min", "c", "nginx", "app=a"],
    )
]


@pytest.mark.parametrize(("obj", "status", "cells"), ROWS)
def test_a_row_of_kubectl_get(judge, obj, status, cells):
    assert judge.cells(KIND, obj, status) == cells
