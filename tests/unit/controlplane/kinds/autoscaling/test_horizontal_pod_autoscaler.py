"""What the API server says to horizontalpodautoscalers; answers of Kubernetes 1.36 to the same requests."""

import pytest

from controlplane.kinds.autoscaling.horizontal_pod_autoscaler.kind import KIND

ABSENT = "<absent>"

BASES = {
    "behavior": {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "behavior"},
        "spec": {
            "behavior": {
                "scaleDown": {"stabilizationWindowSeconds": 60},
                "scaleUp": {
                    "policies": [{"periodSeconds": 30, "type": "Pods", "value": 1}],
                    "selectPolicy": "Min",
                },
            },
            "maxReplicas": 5,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"},
        },
    },
    "behavior-disabled": {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "behavior-disabled"},
        "spec": {
            "behavior": {
                "scaleDown": {"policies": [{"periodSeconds": 60, "type": "Percent", "value": 10}]},
                "scaleUp": {"selectPolicy": "Disabled"},
            },
            "maxReplicas": 5,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"},
        },
    },
    "container": {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "container"},
        "spec": {
            "maxReplicas": 5,
            "metrics": [
                {
                    "containerResource": {
                        "container": "c",
                        "name": "cpu",
                        "target": {"averageUtilization": 60, "type": "Utilization"},
                    },
                    "type": "ContainerResource",
                }
            ],
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"},
        },
    },
    "min": {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "min"},
        "spec": {
            "maxReplicas": 5,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"},
        },
    },
    "pods-object-external": {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "pods-object-external"},
        "spec": {
            "maxReplicas": 5,
            "metrics": [
                {
                    "pods": {
                        "metric": {"name": "m", "selector": {"matchLabels": {"a": "b"}}},
                        "target": {"averageValue": "1.5", "type": "AverageValue"},
                    },
                    "type": "Pods",
                },
                {
                    "object": {
                        "describedObject": {"apiVersion": "v1", "kind": "Service", "name": "s"},
                        "metric": {"name": "o"},
                        "target": {"type": "Value", "value": "2k"},
                    },
                    "type": "Object",
                },
                {
                    "external": {
                        "metric": {"name": "e"},
                        "target": {"averageValue": 3, "type": "AverageValue"},
                    },
                    "type": "External",
                },
            ],
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"},
        },
    },
}

# base, field, value, the causes.
REFUSED = [
    (
        "behavior",
        "/spec/behavior/scaleUp/policies/0",
        "<absent>",
        ["spec.behavior.scaleUp.policies: Required value: must specify at least one Policy"],
    ),
    (
        "behavior",
        "/spec/behavior/scaleDown/stabilizationWindowSeconds",
        -1,
        [
            "spec.behavior.scaleDown.stabilizationWindowSeconds: Invalid value: -1: must be "
            "greater than or equal to zero"
        ],
    ),
    (
        "behavior",
        "/spec/behavior/scaleDown/stabilizationWindowSeconds",
        70000,
        [
            "spec.behavior.scaleDown.stabilizationWindowSeconds: Invalid value: 70000: must be "
            "less than or equal to 3600"
        ],
    ),
    (
        "behavior",
        "/spec/behavior/scaleUp/policies/0",
        {},
        [
            'spec.behavior.scaleUp.policies[0].type: Unsupported value: "": supported values: '
            '"Percent", "Pods"',
            "spec.behavior.scaleUp.policies[0].value: Invalid value: 0: must be greater than zero",
            "spec.behavior.scaleUp.policies[0].periodSeconds: Invalid value: 0: must be greater "
            "than zero",
        ],
    ),
    (
        "behavior",
        "/spec/behavior/scaleUp/policies/0/periodSeconds",
        -1,
        [
            "spec.behavior.scaleUp.policies[0].periodSeconds: Invalid value: -1: must be "
            "greater than zero"
        ],
    ),
    (
        "behavior",
        "/spec/behavior/scaleUp/policies/0/periodSeconds",
        0,
        [
            "spec.behavior.scaleUp.policies[0].periodSeconds: Invalid value: 0: must be greater "
            "than zero"
        ],
    ),
    (
        "behavior",
        "/spec/behavior/scaleUp/policies/0/periodSeconds",
        70000,
        [
            "spec.behavior.scaleUp.policies[0].periodSeconds: Invalid value: 70000: must be "
            "less than or equal to 1800"
        ],
    ),
    (
        "behavior",
        "/spec/behavior/scaleUp/policies/0/type",
        "",
        [
            'spec.behavior.scaleUp.policies[0].type: Unsupported value: "": supported values: '
            '"Percent", "Pods"'
        ],
    ),
    (
        "behavior",
        "/spec/behavior/scaleUp/policies/0/type",
        "Bad_Value!",
        [
            'spec.behavior.scaleUp.policies[0].type: Unsupported value: "Bad_Value!": supported '
            'values: "Percent", "Pods"'
        ],
    ),
    (
        "behavior",
        "/spec/behavior/scaleUp/policies/0/value",
        -1,
        ["spec.behavior.scaleUp.policies[0].value: Invalid value: -1: must be greater than zero"],
    ),
    (
        "behavior",
        "/spec/behavior/scaleUp/policies/0/value",
        0,
        ["spec.behavior.scaleUp.policies[0].value: Invalid value: 0: must be greater than zero"],
    ),
    (
        "behavior",
        "/spec/behavior/scaleUp/selectPolicy",
        "",
        [
            'spec.behavior.scaleUp.selectPolicy: Unsupported value: "": supported values: '
            '"Disabled", "Max", "Min"'
        ],
    ),
    (
        "behavior",
        "/spec/behavior/scaleUp/selectPolicy",
        "Bad_Value!",
        [
            'spec.behavior.scaleUp.selectPolicy: Unsupported value: "Bad_Value!": supported '
            'values: "Disabled", "Max", "Min"'
        ],
    ),
    (
        "behavior-disabled",
        "/spec/behavior/scaleDown/policies/0",
        "<absent>",
        ["spec.behavior.scaleDown.policies: Required value: must specify at least one Policy"],
    ),
    (
        "behavior-disabled",
        "/spec/behavior/scaleDown/policies/0",
        {},
        [
            'spec.behavior.scaleDown.policies[0].type: Unsupported value: "": supported values: '
            '"Percent", "Pods"',
            "spec.behavior.scaleDown.policies[0].value: Invalid value: 0: must be greater than "
            "zero",
            "spec.behavior.scaleDown.policies[0].periodSeconds: Invalid value: 0: must be "
            "greater than zero",
        ],
    ),
    (
        "behavior-disabled",
        "/spec/behavior/scaleDown/policies/0/periodSeconds",
        -1,
        [
            "spec.behavior.scaleDown.policies[0].periodSeconds: Invalid value: -1: must be "
            "greater than zero"
        ],
    ),
    (
        "behavior-disabled",
        "/spec/behavior/scaleDown/policies/0/periodSeconds",
        0,
        [
            "spec.behavior.scaleDown.policies[0].periodSeconds: Invalid value: 0: must be "
            "greater than zero"
        ],
    ),
    (
        "behavior-disabled",
        "/spec/behavior/scaleDown/policies/0/periodSeconds",
        70000,
        [
            "spec.behavior.scaleDown.policies[0].periodSeconds: Invalid value: 70000: must be "
            "less than or equal to 1800"
        ],
    ),
    (
        "behavior-disabled",
        "/spec/behavior/scaleDown/policies/0/type",
        "",
        [
            'spec.behavior.scaleDown.policies[0].type: Unsupported value: "": supported values: '
            '"Percent", "Pods"'
        ],
    ),
    (
        "behavior-disabled",
        "/spec/behavior/scaleDown/policies/0/type",
        "Bad_Value!",
        [
            'spec.behavior.scaleDown.policies[0].type: Unsupported value: "Bad_Value!": '
            'supported values: "Percent", "Pods"'
        ],
    ),
    (
        "behavior-disabled",
        "/spec/behavior/scaleDown/policies/0/value",
        -1,
        ["spec.behavior.scaleDown.policies[0].value: Invalid value: -1: must be greater than zero"],
    ),
    (
        "behavior-disabled",
        "/spec/behavior/scaleDown/policies/0/value",
        0,
        ["spec.behavior.scaleDown.policies[0].value: Invalid value: 0: must be greater than zero"],
    ),
    (
        "container",
        "/spec/metrics/0/containerResource",
        "<absent>",
        [
            "spec.metrics[0].containerResource: Required value: must populate information for "
            "the given metric source"
        ],
    ),
    (
        "container",
        "/spec/metrics/0/containerResource/target/averageUtilization",
        "<absent>",
        [
            "spec.metrics[0].containerResource.target.averageUtilization: Required value: must "
            "set either a target raw value or a target utilization"
        ],
    ),
    (
        "container",
        "/spec/metrics/0/containerResource",
        {},
        [
            "spec.metrics[0].containerResource.name: Required value: must specify a resource name",
            "spec.metrics[0].containerResource.container: Required value: must specify a container",
            "spec.metrics[0].containerResource.target.type: Required value: must specify a "
            "metric target type",
            'spec.metrics[0].containerResource.target.type: Invalid value: "": must be either '
            "Utilization, Value, or AverageValue",
            "spec.metrics[0].containerResource.target.averageUtilization: Required value: must "
            "set either a target raw value or a target utilization",
        ],
    ),
    (
        "container",
        "/spec/metrics/0/containerResource/container",
        "",
        ["spec.metrics[0].containerResource.container: Required value: must specify a container"],
    ),
]


@pytest.mark.parametrize(("base", "path", "value", "causes"), REFUSED)
def test_a_spoilt_field_is_refused_with_its_path(judge, base, path, value, causes):
    assert sorted(judge.refusals(KIND, BASES[base], path, value)) == sorted(causes)


# Odd, and let pass.
ACCEPTED = [
    ("behavior", "/spec/behavior", "<absent>"),
    ("behavior", "/spec/behavior/scaleDown", "<absent>"),
    ("behavior", "/spec/behavior/scaleDown/stabilizationWindowSeconds", "<absent>"),
    ("behavior-disabled", "/spec/behavior/scaleDown/policies", "<absent>"),
    ("behavior-disabled", "/spec/behavior/scaleDown/policies/0/value", 70000),
    ("container", "/spec/metrics/0/containerResource/target/averageUtilization", 70000),
    ("min", "/spec/maxReplicas", 70000),
    ("min", "/spec/scaleTargetRef/kind", "Bad_Value!"),
    ("min", "/spec/scaleTargetRef/name", "Bad_Value!"),
    ("pods-object-external", "/spec/metrics/0/pods/metric/selector", "<absent>"),
    ("pods-object-external", "/spec/metrics/0/pods/metric/selector/matchLabels", "<absent>"),
    ("pods-object-external", "/spec/metrics/0/pods/metric/selector/matchLabels/a", "<absent>"),
]


@pytest.mark.parametrize(("base", "path", "value"), ACCEPTED)
def test_what_the_original_takes_is_taken(judge, base, path, value):
    assert judge.refusals(KIND, BASES[base], path, value) == []


CHANGED = [
    (
        "behavior",
        "/spec/behavior/scaleDown/policies/0",
        "<absent>",
        ["spec.behavior.scaleDown.policies: Required value: must specify at least one Policy"],
    ),
    (
        "behavior",
        "/spec/behavior/scaleDown/policies/0/periodSeconds",
        "<absent>",
        [
            "spec.behavior.scaleDown.policies[0].periodSeconds: Invalid value: 0: must be "
            "greater than zero"
        ],
    ),
    (
        "behavior",
        "/spec/behavior/scaleDown/policies/0/type",
        "<absent>",
        [
            'spec.behavior.scaleDown.policies[0].type: Unsupported value: "": supported values: '
            '"Percent", "Pods"'
        ],
    ),
    (
        "behavior",
        "/spec/behavior/scaleDown/policies/0/value",
        "<absent>",
        ["spec.behavior.scaleDown.policies[0].value: Invalid value: 0: must be greater than zero"],
    ),
    (
        "behavior",
        "/spec/behavior/scaleUp/policies/0",
        "<absent>",
        ["spec.behavior.scaleUp.policies: Required value: must specify at least one Policy"],
    ),
    (
        "behavior",
        "/spec/behavior/scaleUp/policies/0/periodSeconds",
        "<absent>",
        [
            "spec.behavior.scaleUp.policies[0].periodSeconds: Invalid value: 0: must be greater "
            "than zero"
        ],
    ),
    (
        "behavior",
        "/spec/behavior/scaleUp/policies/0/type",
        "<absent>",
        [
            'spec.behavior.scaleUp.policies[0].type: Unsupported value: "": supported values: '
            '"Percent", "Pods"'
        ],
    ),
    (
        "behavior",
        "/spec/behavior/scaleUp/policies/0/value",
        "<absent>",
        ["spec.behavior.scaleUp.policies[0].value: Invalid value: 0: must be greater than zero"],
    ),
    (
        "behavior",
        "/spec/behavior/scaleDown/policies/0/type",
        "Percentx",
        [
            'spec.behavior.scaleDown.policies[0].type: Unsupported value: "Percentx": supported '
            'values: "Percent", "Pods"'
        ],
    ),
    (
        "behavior",
        "/spec/behavior/scaleDown/selectPolicy",
        "Maxx",
        [
            'spec.behavior.scaleDown.selectPolicy: Unsupported value: "Maxx": supported values: '
            '"Disabled", "Max", "Min"'
        ],
    ),
    (
        "behavior",
        "/spec/behavior/scaleUp/policies/0/type",
        "Podsx",
        [
            'spec.behavior.scaleUp.policies[0].type: Unsupported value: "Podsx": supported '
            'values: "Percent", "Pods"'
        ],
    ),
    (
        "behavior",
        "/spec/behavior/scaleUp/selectPolicy",
        "Minx",
        [
            'spec.behavior.scaleUp.selectPolicy: Unsupported value: "Minx": supported values: '
            '"Disabled", "Max", "Min"'
        ],
    ),
    (
        "container",
        "/spec/metrics/0/containerResource",
        "<absent>",
        [
            "spec.metrics[0].containerResource: Required value: must populate information for "
            "the given metric source"
        ],
    ),
    (
        "container",
        "/spec/metrics/0/containerResource/container",
        "<absent>",
        ["spec.metrics[0].containerResource.container: Required value: must specify a container"],
    ),
    (
        "container",
        "/spec/metrics/0/containerResource/name",
        "<absent>",
        ["spec.metrics[0].containerResource.name: Required value: must specify a resource name"],
    ),
    (
        "container",
        "/spec/metrics/0/containerResource/target",
        "<absent>",
        [
            "spec.metrics[0].containerResource.target.type: Required value: must specify a "
            "metric target type",
            'spec.metrics[0].containerResource.target.type: Invalid value: "": must be either '
            "Utilization, Value, or AverageValue",
            "spec.metrics[0].containerResource.target.averageUtilization: Required value: must "
            "set either a target raw value or a target utilization",
        ],
    ),
    (
        "container",
        "/spec/metrics/0/containerResource/target/averageUtilization",
        "<absent>",
        [
            "spec.metrics[0].containerResource.target.averageUtilization: Required value: must "
            "set either a target raw value or a target utilization"
        ],
    ),
    (
        "container",
        "/spec/metrics/0/containerResource/target/type",
        "<absent>",
        [
            "spec.metrics[0].containerResource.target.type: Required value: must specify a "
            "metric target type",
            'spec.metrics[0].containerResource.target.type: Invalid value: "": must be either '
            "Utilization, Value, or AverageValue",
        ],
    ),
]


@pytest.mark.parametrize(("base", "path", "value", "causes"), CHANGED)
def test_a_change_is_refused_with_its_path(judge, base, path, value, causes):
    assert sorted(judge.changes(KIND, BASES[base], path, value)) == sorted(causes)


CHANGEABLE = [
    ("behavior", "/spec/behavior", "<absent>"),
    ("behavior", "/spec/behavior/scaleDown", "<absent>"),
    ("behavior", "/spec/behavior/scaleDown/policies", "<absent>"),
    ("min", "/spec/metrics", "<absent>"),
    ("min", "/spec/metrics/0", "<absent>"),
    ("min", "/spec/minReplicas", "<absent>"),
]


@pytest.mark.parametrize(("base", "path", "value"), CHANGEABLE)
def test_what_may_change_may_change(judge, base, path, value):
    assert judge.changes(KIND, BASES[base], path, value) == []


DEFAULTS = [
    (
        {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "behavior"},
            "spec": {
                "behavior": {
                    "scaleDown": {"stabilizationWindowSeconds": 60},
                    "scaleUp": {
                        "policies": [{"periodSeconds": 30, "type": "Pods", "value": 1}],
                        "selectPolicy": "Min",
                    },
                },
                "maxReplicas": 5,
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"},
            },
        },
        {
            "/spec/behavior/scaleDown/selectPolicy": "Max",
            "/spec/behavior/scaleDown/policies": [
                {"type": "Percent", "value": 100, "periodSeconds": 15}
            ],
            "/spec/behavior/scaleUp/stabilizationWindowSeconds": 0,
            "/spec/minReplicas": 1,
            "/spec/metrics": [
                {
                    "type": "Resource",
                    "resource": {
                        "name": "cpu",
                        "target": {"type": "Utilization", "averageUtilization": 80},
                    },
                }
            ],
            "/status": {"currentMetrics": None, "desiredReplicas": 0},
        },
    ),
    (
        {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "behavior-disabled"},
            "spec": {
                "behavior": {
                    "scaleDown": {
                        "policies": [{"periodSeconds": 60, "type": "Percent", "value": 10}]
                    },
                    "scaleUp": {"selectPolicy": "Disabled"},
                },
                "maxReplicas": 5,
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"},
            },
        },
        {
            "/spec/behavior/scaleDown/selectPolicy": "Max",
            "/spec/behavior/scaleUp/stabilizationWindowSeconds": 0,
            "/spec/behavior/scaleUp/policies": [
                {"type": "Pods", "value": 4, "periodSeconds": 15},
                {"type": "Percent", "value": 100, "periodSeconds": 15},
            ],
            "/spec/minReplicas": 1,
            "/spec/metrics": [
                {
                    "type": "Resource",
                    "resource": {
                        "name": "cpu",
                        "target": {"type": "Utilization", "averageUtilization": 80},
                    },
                }
            ],
            "/status": {"currentMetrics": None, "desiredReplicas": 0},
        },
    ),
    (
        {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "behavior-empty"},
            "spec": {
                "behavior": {},
                "maxReplicas": 5,
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"},
            },
        },
        {
            "/spec/behavior/scaleUp": {
                "stabilizationWindowSeconds": 0,
                "selectPolicy": "Max",
                "policies": [
                    {"type": "Pods", "value": 4, "periodSeconds": 15},
                    {"type": "Percent", "value": 100, "periodSeconds": 15},
                ],
            },
            "/spec/behavior/scaleDown": {
                "selectPolicy": "Max",
                "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}],
            },
            "/spec/minReplicas": 1,
            "/spec/metrics": [
                {
                    "type": "Resource",
                    "resource": {
                        "name": "cpu",
                        "target": {"type": "Utilization", "averageUtilization": 80},
                    },
                }
            ],
            "/status": {"currentMetrics": None, "desiredReplicas": 0},
        },
    ),
    (
        {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "container"},
            "spec": {
                "maxReplicas": 5,
                "metrics": [
                    {
                        "containerResource": {
                            "container": "c",
                            "name": "cpu",
                            "target": {"averageUtilization": 60, "type": "Utilization"},
                        },
                        "type": "ContainerResource",
                    }
                ],
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"},
            },
        },
        {"/spec/minReplicas": 1, "/status": {"currentMetrics": None, "desiredReplicas": 0}},
    ),
]


@pytest.mark.parametrize(("request_body", "added"), DEFAULTS)
def test_what_was_left_out_is_filled_in(judge, request_body, added):
    assert judge.defaults(KIND, request_body) == added


ROWS = [
    (
        {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "behavior"},
            "spec": {
                "behavior": {
                    "scaleDown": {"stabilizationWindowSeconds": 60},
                    "scaleUp": {
                        "policies": [{"periodSeconds": 30, "type": "Pods", "value": 1}],
                        "selectPolicy": "Min",
                    },
                },
                "maxReplicas": 5,
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"},
            },
        },
        None,
        ["behavior", "Deployment/d", "cpu: <unknown>/80%", "1", 5, 0, "5s"],
    ),
    (
        {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "behavior-disabled"},
            "spec": {
                "behavior": {
                    "scaleDown": {
                        "policies": [{"periodSeconds": 60, "type": "Percent", "value": 10}]
                    },
                    "scaleUp": {"selectPolicy": "Disabled"},
                },
                "maxReplicas": 5,
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"},
            },
        },
        None,
        ["behavior-disabled", "Deployment/d", "cpu: <unknown>/80%", "1", 5, 0, "5s"],
    ),
    (
        {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "behavior-empty"},
            "spec": {
                "behavior": {},
                "maxReplicas": 5,
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"},
            },
        },
        None,
        ["behavior-empty", "Deployment/d", "cpu: <unknown>/80%", "1", 5, 0, "5s"],
    ),
    (
        {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "container"},
            "spec": {
                "maxReplicas": 5,
                "metrics": [
                    {
                        "containerResource": {
                            "container": "c",
                            "name": "cpu",
                            "target": {"averageUtilization": 60, "type": "Utilization"},
                        },
                        "type": "ContainerResource",
                    }
                ],
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"},
            },
        },
        None,
        ["container", "Deployment/d", "cpu: <unknown>/60%", "1", 5, 0, "5s"],
    ),
    (
        {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "min"},
            "spec": {
                "maxReplicas": 5,
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"},
            },
        },
        None,
        ["min", "Deployment/d", "cpu: <unknown>/80%", "1", 5, 0, "5s"],
    ),
    (
        {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "pods-object-external"},
            "spec": {
                "maxReplicas": 5,
                "metrics": [
                    {
                        "pods": {
                            "metric": {"name": "m", "selector": {"matchLabels": {"a": "b"}}},
                            "target": {"averageValue": "1.5", "type": "AverageValue"},
                        },
                        "type": "Pods",
                    },
                    {
                        "object": {
                            "describedObject": {"apiVersion": "v1", "kind": "Service", "name": "s"},
                            "metric": {"name": "o"},
                            "target": {"type": "Value", "value": "2k"},
                        },
                        "type": "Object",
                    },
                    {
                        "external": {
                            "metric": {"name": "e"},
                            "target": {"averageValue": 3, "type": "AverageValue"},
                        },
                        "type": "External",
                    },
                ],
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"},
            },
        },
        None,
        [
            "pods-object-external",
            "Deployment/d",
            "<unknown>/1500m, <unknown>/2k + 1 more...",
            "1",
            5,
            0,
            "5s",
        ],
    ),
]


@pytest.mark.parametrize(("obj", "status", "cells"), ROWS)
def test_a_row_of_kubectl_get(judge, obj, status, cells):
    assert judge.cells(KIND, obj, status) == cells
