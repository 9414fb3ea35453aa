"""A change wakes only the pods it can help."""

from typing import Any

import pytest

from controlplane.scheduler.framework import events
from controlplane.scheduler.framework.handle import Handle
from controlplane.scheduler.framework.node_info import pod_info
from controlplane.scheduler.profiles import Profile, read_configuration


def pod(**spec: Any) -> dict[str, Any]:
    """A pod that asks for two cores."""
    container = {"name": "c", "resources": {"requests": {"cpu": "2"}}, **spec.pop("container", {})}
    metadata = {"name": "p", "namespace": "d", "uid": "p"}
    return {"metadata": metadata, "spec": {"containers": [container], **spec}}


def node(cpu: str = "4", labels: Any = None, name: str = "n", **spec: Any) -> dict[str, Any]:
    """A node."""
    return {
        "metadata": {"name": name, "labels": labels or {}},
        "spec": spec,
        "status": {"allocatable": {"cpu": cpu, "pods": "110"}},
    }


TAINT = {"taints": [{"key": "k", "effect": "NoSchedule"}]}
PORT = {"ports": [{"hostPort": 80, "containerPort": 80}]}
OTHER_PORT = {"ports": [{"hostPort": 81, "containerPort": 80}]}
ALLOCATABLE, LABELS, TAINTS = events.NODE_ALLOCATABLE, events.NODE_LABELS, events.NODE_TAINTS

HINTS = {
    "a_node_that_is_large_enough": (
        "NodeResourcesFit", pod(), events.NODE_ADDED, None, node("2"), True,
    ),
    "a_node_that_is_too_small": (
        "NodeResourcesFit", pod(), events.NODE_ADDED, None, node("1"), False,
    ),
    "a_node_that_grew": ("NodeResourcesFit", pod(), ALLOCATABLE, node("2"), node("4"), True),
    "a_node_that_shrank": ("NodeResourcesFit", pod(), ALLOCATABLE, node("8"), node("4"), False),
    "a_pod_that_went": ("NodeResourcesFit", pod(), events.POD_REMOVED, pod(), None, True),
    "labels_that_match_now": (
        "NodeAffinity", pod(nodeSelector={"a": "b"}), LABELS, node(), node(labels={"a": "b"}), True,
    ),
    "labels_that_matched_before": (
        "NodeAffinity", pod(nodeSelector={"a": "b"}), LABELS,
        node(labels={"a": "b"}), node(labels={"a": "b", "c": "d"}), False,
    ),
    "labels_of_something_else": (
        "NodeAffinity", pod(nodeSelector={"a": "b"}), LABELS, node(), node(labels={"c": "d"}), False,
    ),
    "the_node_that_is_named": (
        "NodeName", pod(nodeName="n"), events.NODE_ADDED, None, node(), True,
    ),
    "another_node": (
        "NodeName", pod(nodeName="n"), events.NODE_ADDED, None, node(name="m"), False,
    ),
    "a_node_that_is_open": (
        "NodeUnschedulable", pod(), TAINTS, node(unschedulable=True), node(), True,
    ),
    "a_node_that_is_cordoned": (
        "NodeUnschedulable", pod(), TAINTS, node(), node(unschedulable=True), False,
    ),
    "a_taint_that_went": ("TaintToleration", pod(), TAINTS, node(**TAINT), node(), True),
    "a_taint_that_came": ("TaintToleration", pod(), TAINTS, node(), node(**TAINT), False),
    "a_taint_that_is_tolerated": (
        "TaintToleration", pod(tolerations=[{"operator": "Exists"}]), TAINTS,
        node(), node(**TAINT), True,
    ),
    "the_port_is_free": (
        "NodePorts", pod(container=PORT), events.POD_REMOVED, pod(container=PORT), None, True,
    ),
    "another_port_is_free": (
        "NodePorts", pod(container=PORT), events.POD_REMOVED, pod(container=OTHER_PORT), None, False,
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("plugin", "subject", "event", "old", "new", "expected"), HINTS.values(), ids=HINTS
)
def test_who_is_woken(
    handle: Handle, plugin: str, subject: Any, event: Any, old: Any, new: Any, expected: bool
) -> None:
    framework = Profile().build(handle)
    refused_by = frozenset({plugin})
    assert framework.worth_a_try(pod_info(subject), refused_by, event, old, new) is expected


def test_what_a_profile_ignores_keeps_nobody_asleep(handle: Handle) -> None:
    document = """
apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
profiles:
- pluginConfig:
  - name: NodeResourcesFit
    args: {ignoredResources: [cpu]}
  - name: NodeAffinity
    args:
      addedAffinity:
        requiredDuringSchedulingIgnoredDuringExecution:
          nodeSelectorTerms: [{matchExpressions: [{key: x, operator: Exists}]}]
"""
    framework = read_configuration(document).profiles[0].build(handle)
    subject = pod_info(pod())
    fit, affinity = frozenset({"NodeResourcesFit"}), frozenset({"NodeAffinity"})
    assert framework.worth_a_try(subject, fit, events.NODE_ADDED, None, node("1"))
    assert framework.worth_a_try(subject, affinity, LABELS, node(), node(labels={"x": ""}))
