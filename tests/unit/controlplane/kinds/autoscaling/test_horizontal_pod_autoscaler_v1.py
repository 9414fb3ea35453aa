"""What the API server says to horizontalpodautoscalers; answers of Kubernetes 1.36 to the same requests."""

import pytest

from controlplane.kinds.autoscaling.horizontal_pod_autoscaler.v1 import KIND

ABSENT = "<absent>"

BASES = {
    "v1": {
        "apiVersion": "autoscaling/v1",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "v1"},
        "spec": {
            "maxReplicas": 5,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"},
            "targetCPUUtilizationPercentage": 70,
        },
    }
}

# base, field, value, the causes.
REFUSED = [
    (
        "v1",
        "/spec",
        {},
        [
            "spec.maxReplicas: Required value: must be set and greater than 0",
            "spec.maxReplicas: Invalid value: 0: must be greater than or equal to `minReplicas`",
            "spec.scaleTargetRef.kind: Required value",
            "spec.scaleTargetRef.name: Required value",
            'spec.scaleTargetRef.apiVersion: Invalid value: "": apiVersion must specify API group',
        ],
    ),
    (
        "v1",
        "/spec/maxReplicas",
        -1,
        [
            "spec.maxReplicas: Invalid value: -1: must be greater than or equal to 1",
            "spec.maxReplicas: Invalid value: -1: must be greater than or equal to `minReplicas`",
        ],
    ),
    (
        "v1",
        "/spec/maxReplicas",
        0,
        [
            "spec.maxReplicas: Required value: must be set and greater than 0",
            "spec.maxReplicas: Invalid value: 0: must be greater than or equal to `minReplicas`",
        ],
    ),
    (
        "v1",
        "/spec/scaleTargetRef",
        {},
        [
            "spec.scaleTargetRef.kind: Required value",
            "spec.scaleTargetRef.name: Required value",
            'spec.scaleTargetRef.apiVersion: Invalid value: "": apiVersion must specify API group',
        ],
    ),
    (
        "v1",
        "/spec/scaleTargetRef/apiVersion",
        "",
        ['spec.scaleTargetRef.apiVersion: Invalid value: "": apiVersion must specify API group'],
    ),
    (
        "v1",
        "/spec/scaleTargetRef/apiVersion",
        "Bad_Value!",
        [
            'spec.scaleTargetRef.apiVersion: Invalid value: "Bad_Value!": apiVersion must '
            "specify API group"
        ],
    ),
    ("v1", "/spec/scaleTargetRef/kind", "", ["spec.scaleTargetRef.kind: Required value"]),
    ("v1", "/spec/scaleTargetRef/name", "", ["spec.scaleTargetRef.name: Required value"]),
    (
        "v1",
        "/spec/targetCPUUtilizationPercentage",
        -1,
        [
            "spec.metrics[0].resource.target.averageUtilization: Invalid value: -1: must be "
            "greater than 0"
        ],
    ),
    (
        "v1",
        "/spec/targetCPUUtilizationPercentage",
        0,
        [
            "spec.metrics[0].resource.target.averageUtilization: Invalid value: 0: must be "
            "greater than 0"
        ],
    ),
]


@pytest.mark.parametrize(("base", "path", "value", "causes"), REFUSED)
def test_a_spoilt_field_is_refused_with_its_path(judge, base, path, value, causes):
    assert sorted(judge.refusals(KIND, BASES[base], path, value)) == sorted(causes)


# Odd, and let pass.
ACCEPTED = [
    ("v1", "/spec/targetCPUUtilizationPercentage", "<absent>"),
    ("v1", "/spec/maxReplicas", 70000),
    ("v1", "/spec/scaleTargetRef/kind", "Bad_Value!"),
]


@pytest.mark.parametrize(("base", "path", "value"), ACCEPTED)
def test_what_the_original_takes_is_taken(judge, base, path, value):
    assert judge.refusals(KIND, BASES[base], path, value) == []


CHANGED = [
    (
        "v1",
        "/spec",
        "<absent>",
        [
            "spec.maxReplicas: Required value: must be set and greater than 0",
            "spec.maxReplicas: Invalid value: 0: must be greater than or equal to `minReplicas`",
            "spec.scaleTargetRef.kind: Required value",
            "spec.scaleTargetRef.name: Required value",
            'spec.scaleTargetRef.apiVersion: Invalid value: "": apiVersion must specify API group',
        ],
    ),
    (
        "v1",
        "/spec/maxReplicas",
        "<absent>",
        [
            "spec.maxReplicas: Required value: must be set and greater than 0",
            "spec.maxReplicas: Invalid value: 0: must be greater than or equal to `minReplicas`",
        ],
    ),
    (
        "v1",
        "/spec/scaleTargetRef",
        "<absent>",
        [
            "spec.scaleTargetRef.kind: Required value",
            "spec.scaleTargetRef.name: Required value",
            'spec.scaleTargetRef.apiVersion: Invalid value: "": apiVersion must specify API group',
        ],
    ),
    (
        "v1",
        "/spec/scaleTargetRef/apiVersion",
        "<absent>",
        ['spec.scaleTargetRef.apiVersion: Invalid value: "": apiVersion must specify API group'],
    ),
    ("v1", "/spec/scaleTargetRef/kind", "<absent>", ["spec.scaleTargetRef.kind: Required value"]),
    ("v1", "/spec/scaleTargetRef/name", "<absent>", ["spec.scaleTargetRef.name: Required value"]),
]


@pytest.mark.parametrize(("base", "path", "value", "causes"), CHANGED)
def test_a_change_is_refused_with_its_path(judge, base, path, value, causes):
    assert sorted(judge.changes(KIND, BASES[base], path, value)) == sorted(causes)


CHANGEABLE = [
    ("v1", "/spec/minReplicas", "<absent>"),
    ("v1", "/spec/targetCPUUtilizationPercentage", "<absent>"),
]


@pytest.mark.parametrize(("base", "path", "value"), CHANGEABLE)
def test_what_may_change_may_change(judge, base, path, value):
    assert judge.changes(KIND, BASES[base], path, value) == []


DEFAULTS = [
    (
        {
            "apiVersion": "autoscaling/v1",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "v1"},
            "spec": {
                "maxReplicas": 5,
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"},
                "targetCPUUtilizationPercentage": 70,
            },
        },
        {"/spec/minReplicas": 1, "/status": {"currentReplicas": 0, "desiredReplicas": 0}},
    ),
    (
        {
            "apiVersion": "autoscaling/v1",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "v1-min"},
            "spec": {
                "maxReplicas": 5,
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"},
            },
        },
        {
            "/spec/minReplicas": 1,
            "/spec/targetCPUUtilizationPercentage": 80,
            "/status": {"currentReplicas": 0, "desiredReplicas": 0},
        },
    ),
]


@pytest.mark.parametrize(("request_body", "added"), DEFAULTS)
def test_what_was_left_out_is_filled_in(judge, request_body, added):
    assert judge.defaults(KIND, request_body) == added


ROWS = [
    (
        {
            "apiVersion": "autoscaling/v1",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "v1"},
            "spec": {
                "maxReplicas": 5,
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"},
                "targetCPUUtilizationPercentage": 70,
            },
        },
        None,
        ["v1", "Deployment/d", "cpu: <unknown>/70%", "1", 5, 0, "5s"],
    ),
    (
        {
            "apiVersion": "autoscaling/v1",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "v1-min"},
            "spec": {
                "maxReplicas": 5,
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"},
            },
        },
        None,
        ["v1-min", "Deployment/d", "cpu: <unknown>/80%", "1", 5, 0, "5s"],
    ),
]


@pytest.mark.parametrize(("obj", "status", "cells"), ROWS)
def test_a_row_of_kubectl_get(judge, obj, status, cells):
    assert judge.cells(KIND, obj, status) == cells
