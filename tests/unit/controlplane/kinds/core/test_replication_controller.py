"""What the API server says to replicationcontrollers; answers of Kubernetes 1.36 to the same requests."""

import pytest

from controlplane.kinds.core.replication_controller import KIND

ABSENT = "<absent>"

BASES = {
    "min": {
        "apiVersion": "v1",
        "kind": "ReplicationController",
        "metadata": {"name": "min"},
        "spec": {
            "replicas": 0,
            "template": {
                "metadata": {"labels": {"app": "a"}},
                "spec": {"containers": [{"image": "nginx", "name": "c"}]},
            },
        },
    },
    "none": {
        "apiVersion": "v1",
        "kind": "ReplicationController",
        "metadata": {"name": "none"},
        "spec": {
            "minReadySeconds": 3,
            "replicas": 0,
            "selector": {"app": "a"},
            "template": {
                "metadata": {"labels": {"app": "a"}},
                "spec": {"containers": [{"image": "nginx", "name": "c"}]},
            },
        },
    },
}

# base, field, value, the causes.
REFUSED = [
    (
        "min",
        "/spec/template",
        "<absent>",
        ["spec.selector: Required value", "spec.template: Required value"],
    ),
    ("min", "/spec/template/metadata/labels/app", "<absent>", ["spec.selector: Required value"]),
    (
        "min",
        "/spec/template/spec/containers/0",
        "<absent>",
        ["spec.template.spec.containers: Required value"],
    ),
    (
        "min",
        "/spec/replicas",
        -1,
        ["spec.replicas: Invalid value: -1: must be greater than or equal to 0"],
    ),
    (
        "min",
        "/spec/template",
        {},
        ["spec.selector: Required value", "spec.template.spec.containers: Required value"],
    ),
    (
        "min",
        "/spec/template/metadata/labels/app",
        "Bad_Value!",
        [
            'metadata.labels: Invalid value: "Bad_Value!": a valid label must be an empty '
            "string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
            "end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', "
            "regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
            'spec.template.labels: Invalid value: "Bad_Value!": a valid label must be an empty '
            "string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
            "end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', "
            "regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
        ],
    ),
    (
        "min",
        "/spec/template/spec/containers",
        [{"image": "nginx", "name": "c"}, {"image": "nginx", "name": "c"}],
        ['spec.template.spec.containers[1].name: Duplicate value: "c"'],
    ),
    (
        "min",
        "/spec/template/spec/containers/0",
        {},
        [
            "spec.template.spec.containers[0].name: Required value",
            "spec.template.spec.containers[0].image: Required value",
        ],
    ),
    (
        "min",
        "/spec/template/spec/containers/0/image",
        "",
        ["spec.template.spec.containers[0].image: Required value"],
    ),
    (
        "min",
        "/spec/template/spec/containers/0/name",
        "",
        ["spec.template.spec.containers[0].name: Required value"],
    ),
    (
        "min",
        "/spec/template/spec/containers/0/name",
        "Bad_Value!",
        [
            'spec.template.spec.containers[0].name: Invalid value: "Bad_Value!": a lowercase '
            "RFC 1123 label must consist of lower case alphanumeric characters or '-', and must "
            "start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex "
            "used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
        ],
    ),
    (
        "none",
        "/spec/minReadySeconds",
        -1,
        ["spec.minReadySeconds: Invalid value: -1: must be greater than or equal to 0"],
    ),
    (
        "none",
        "/spec/selector/app",
        "",
        [
            'spec.template.metadata.labels: Invalid value: {"app":"a"}: `selector` does not '
            "match template `labels`"
        ],
    ),
]


@pytest.mark.parametrize(("base", "path", "value", "causes"), REFUSED)
def test_a_spoilt_field_is_refused_with_its_path(judge, base, path, value, causes):
    assert sorted(judge.refusals(KIND, BASES[base], path, value)) == sorted(causes)


# Odd, and let pass.
ACCEPTED = [
    ("min", "/spec/replicas", "<absent>"),
    ("min", "/spec/replicas", 0),
    ("min", "/spec/replicas", 70000),
    ("none", "/spec/minReadySeconds", "<absent>"),
    ("none", "/spec/selector", "<absent>"),
    ("none", "/spec/selector/app", "<absent>"),
]


@pytest.mark.parametrize(("base", "path", "value"), ACCEPTED)
def test_what_the_original_takes_is_taken(judge, base, path, value):
    assert judge.refusals(KIND, BASES[base], path, value) == []


CHANGED = [
    (
        "min",
        "/spec",
        "<absent>",
        ["spec.selector: Required value", "spec.template: Required value"],
    ),
    ("min", "/spec/template", "<absent>", ["spec.template: Required value"]),
    (
        "min",
        "/spec/template/metadata",
        "<absent>",
        [
            "spec.template.metadata.labels: Invalid value: null: `selector` does not match "
            "template `labels`"
        ],
    ),
    (
        "min",
        "/spec/template/metadata/labels/app",
        "<absent>",
        [
            "spec.template.metadata.labels: Invalid value: {}: `selector` does not match "
            "template `labels`"
        ],
    ),
    ("min", "/spec/template/spec", "<absent>", ["spec.template.spec.containers: Required value"]),
    (
        "min",
        "/spec/template/spec/containers/0/image",
        "<absent>",
        ["spec.template.spec.containers[0].image: Required value"],
    ),
    (
        "min",
        "/spec/template/spec/containers/0/name",
        "<absent>",
        ["spec.template.spec.containers[0].name: Required value"],
    ),
    (
        "min",
        "/spec/selector/app",
        "ax",
        [
            'spec.template.metadata.labels: Invalid value: {"app":"a"}: `selector` does not '
            "match template `labels`"
        ],
    ),
    (
        "min",
        "/spec/template/metadata/labels/app",
        "ax",
        [
            'spec.template.metadata.labels: Invalid value: {"app":"ax"}: `selector` does not '
            "match template `labels`"
        ],
    ),
    (
        "min",
        "/spec/template/spec/containers/0/imagePullPolicy",
        "Alwaysx",
        [
            'spec.template.spec.containers[0].imagePullPolicy: Unsupported value: "Alwaysx": '
            'supported values: "Always", "IfNotPresent", "Never"'
        ],
    ),
]


@pytest.mark.parametrize(("base", "path", "value", "causes"), CHANGED)
def test_a_change_is_refused_with_its_path(judge, base, path, value, causes):
    assert sorted(judge.changes(KIND, BASES[base], path, value)) == sorted(causes)


CHANGEABLE = [
    ("min", "/spec/replicas", "<absent>"),
    ("min", "/spec/selector", "<absent>"),
    ("min", "/spec/selector/app", "<absent>"),
    ("none", "/spec/minReadySeconds", "<absent>"),
]


@pytest.mark.parametrize(("base", "path", "value"), CHANGEABLE)
def test_what_may_change_may_change(judge, base, path, value):
    assert judge.changes(KIND, BASES[base], path, value) == []


DEFAULTS = [
    (
        {
            "apiVersion": "v1",
            "kind": "ReplicationController",
            "metadata": {"name": "min"},
            "spec": {
                "replicas": 0,
                "template": {
                    "metadata": {"labels": {"app": "a"}},
                    "spec": {"containers": [{"image": "nginx", "name": "c"}]},
                },
            },
        },
        {
            "/spec/template/spec/containers/0/terminationMessagePath": "/dev/termination-log",
            "/spec/template/spec/containers/0/terminationMessagePolicy": "File",
            "/spec/template/spec/containers/0/imagePullPolicy": "Always",
            "/spec/template/spec/containers/0/resources": {},
            "/spec/template/spec/restartPolicy": "Always",
            "/spec/template/spec/dnsPolicy": "ClusterFirst",
            "/spec/template/spec/schedulerName": "default-scheduler",
            "/spec/template/spec/terminationGracePeriodSeconds": 30,
            "/spec/template/spec/securityContext": {},
            "/spec/selector": {"app": "a"},
            "/status": {"replicas": 0},
        },
    ),
    (
        {
            "apiVersion": "v1",
            "kind": "ReplicationController",
            "metadata": {"name": "none"},
            "spec": {
                "minReadySeconds": 3,
                "replicas": 0,
                "selector": {"app": "a"},
                "template": {
                    "metadata": {"labels": {"app": "a"}},
                    "spec": {"containers": [{"image": "nginx", "name": "c"}]},
                },
            },
        },
        {
            "/spec/template/spec/containers/0/terminationMessagePath": "/dev/termination-log",
            "/spec/template/spec/containers/0/terminationMessagePolicy": "File",
            "/spec/template/spec/containers/0/imagePullPolicy": "Always",
            "/spec/template/spec/containers/0/resources": {},
            "/spec/template/spec/restartPolicy": "Always",
            "/spec/template/spec/dnsPolicy": "ClusterFirst",
            "/spec/template/spec/schedulerName": "default-scheduler",
            "/spec/template/spec/terminationGracePeriodSeconds": 30,
            "/spec/template/spec/securityContext": {},
            "/status": {"replicas": 0},
        },
    ),
]


@pytest.mark.parametrize(("request_body", "added"), DEFAULTS)
def test_what_was_left_out_is_filled_in(judge, request_body, added):
    assert judge.defaults(KIND, request_body) == added


ROWS = [
    (
        {
            "apiVersion": "v1",
            "kind": "ReplicationController",
            "metadata": {"name": "min"},
            "spec": {
                "replicas": 0,
                "template": {
                    "metadata": {"labels": {"app": "a"}},
                    "spec": {"containers": [{"image": "nginx", "name": "c"}]},
                },
            },
        },
        None,
        ["min", 0, 0, 0, "5s", "c", "nginx", "app=a"],
    ),
    (
        {
            "apiVersion": "v1",
            "kind": "ReplicationController",
            "metadata": {"name": "none"},
            "spec": {
                "minReadySeconds": 3,
                "replicas": 0,
                "selector": {"app": "a"},
                "template": {
                    "metadata": {"labels": {"app": "a"}},
                    "spec": {"containers": [{"image": "nginx", "name": "c"}]},
                },
            },
        },
        None,
        ["none", 0, 0, 0, "5s", "c", "nginx", "app=a"],
    ),
]


@pytest.mark.parametrize(("obj", "status", "cells"), ROWS)
def test_a_row_of_kubectl_get(judge, obj, status, cells):
    assert judge.cells(KIND, obj, status) == cells
