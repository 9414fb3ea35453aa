"""Both spellings of an autoscaler say the same: nothing is lost on the way to v1 and back."""

import json

import pytest

from controlplane.kinds.autoscaling.horizontal_pod_autoscaler.conversion import (
    BEHAVIOR,
    CONDITIONS,
    CURRENT_METRICS,
    METRICS,
    from_v2,
    to_v2,
)

TARGET = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}
CPU = {
    "type": "Resource",
    "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}},
}
MEMORY = {
    "type": "Resource",
    "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": "100Mi"}},
}
PODS = {
    "type": "Pods",
    "pods": {
        "metric": {"name": "m", "selector": {"matchLabels": {"a": "b"}}},
        "target": {"type": "AverageValue", "averageValue": "1500m"},
    },
}
OBJECT = {
    "type": "Object",
    "object": {
        "describedObject": {"apiVersion": "v1", "kind": "Service", "name": "s"},
        "metric": {"name": "o"},
        "target": {"type": "Value", "value": "2k"},
    },
}
EXTERNAL = {
    "type": "External",
    "external": {
        "metric": {"name": "e", "selector": {"matchLabels": {"q": "1"}}},
        "target": {"type": "AverageValue", "averageValue": "3"},
    },
}
CONTAINER = {
    "type": "ContainerResource",
    "containerResource": {
        "name": "cpu",
        "container": "c",
        "target": {"type": "Utilization", "averageUtilization": 60},
    },
}
BEHAVIOR_RULES = {
    "scaleUp": {
        "stabilizationWindowSeconds": 0,
        "selectPolicy": "Max",
        "policies": [{"type": "Pods", "value": 4, "periodSeconds": 15}],
    },
    "scaleDown": {
        "selectPolicy": "Min",
        "policies": [{"type": "Percent", "value": 5, "periodSeconds": 60}],
    },
}


def autoscaler(metrics, **spec):
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "x", "annotations": {"mine": "1"}},
        "spec": {
            "scaleTargetRef": TARGET,
            "minReplicas": 1,
            "maxReplicas": 5,
            "metrics": metrics,
            **spec,
        },
    }


@pytest.mark.parametrize(
    "obj",
    [
        autoscaler([CPU]),
        autoscaler([MEMORY, CPU]),
        autoscaler([PODS, OBJECT, EXTERNAL, CONTAINER]),
        autoscaler([CPU], behavior=BEHAVIOR_RULES),
    ],
    ids=["cpu", "memory and cpu", "all sources", "behavior"],
)
def test_v2_comes_back_from_v1(obj):
    assert to_v2(from_v2(obj)) == obj


def test_v1_holds_the_rest_in_annotations_that_v2_does_not_have():
    old = from_v2(autoscaler([CPU, MEMORY], behavior=BEHAVIOR_RULES))
    assert old["spec"]["targetCPUUtilizationPercentage"] == 50
    noted = old["metadata"]["annotations"]
    assert json.loads(noted[METRICS]) == [
        {"type": "Resource", "resource": {"name": "memory", "targetAverageValue": "100Mi"}}
    ]
    assert noted[BEHAVIOR].startswith('{"ScaleUp":{"StabilizationWindowSeconds":0,')
    assert to_v2(old)["metadata"]["annotations"] == {"mine": "1"}


def test_the_status_keeps_what_was_measured():
    obj = autoscaler([CPU])
    obj["status"] = {
        "currentReplicas": 2,
        "desiredReplicas": 3,
        "currentMetrics": [
            {
                "type": "Resource",
                "resource": {
                    "name": "cpu",
                    "current": {"averageUtilization": 40, "averageValue": "100m"},
                },
            }
        ],
        "conditions": [{"type": "ScalingActive", "status": "True"}],
    }
    old = from_v2(obj)
    assert old["status"] == {
        "currentReplicas": 2,
        "desiredReplicas": 3,
        "currentCPUUtilizationPercentage": 40,
    }
    assert {CURRENT_METRICS, CONDITIONS} <= set(old["metadata"]["annotations"])
    assert to_v2(old) == obj


def test_v1_without_a_metric_follows_the_cpu():
    obj = {"metadata": {"name": "x"}, "spec": {"scaleTargetRef": TARGET, "maxReplicas": 2}}
    metric = to_v2(obj)["spec"]["metrics"][0]
    assert metric["resource"]["target"] == {"type": "Utilization", "averageUtilization": 80}


def test_annotations_that_are_no_json_are_dropped():
    obj = {"metadata": {"name": "x", "annotations": {METRICS: "{", BEHAVIOR: "[]"}}, "spec": {}}
    assert to_v2(obj)["metadata"] == {"name": "x"}
