"""What the arguments of plugins change."""

import pytest

from controlplane.scheduler.framework.cycle_state import CycleState
from controlplane.scheduler.framework.node_info import NodeInfo, pod_info
from controlplane.scheduler.framework.status import SUCCESS
from controlplane.scheduler.plugins.node_affinity import REASON_ENFORCED, NodeAffinity
from controlplane.scheduler.plugins.node_resources_fit import NodeResourcesFit
from controlplane.scheduler.plugins.scheduling_gates import SchedulingGates


def pod(requests=None, **spec):
    container = {"name": "c", "resources": {"requests": requests or {}}}
    return pod_info(
        {"metadata": {"name": "p", "namespace": "d", "uid": "u"},
         "spec": {"containers": [container], **spec}}
    )  # fmt: skip


def node(name="n", labels=None, **allocatable):
    info = NodeInfo(name)
    given = {"cpu": "4", "memory": "8Gi", "pods": "10", **allocatable}
    info.set_node(
        {"metadata": {"name": name, "labels": labels or {}}, "status": {"allocatable": given}}
    )
    return info


HALF = pod({"cpu": "2", "memory": "4Gi"})


@pytest.mark.parametrize(
    ("strategy", "score"),
    [
        pytest.param({}, 50, id="default_is_least"),
        pytest.param({"type": "MostAllocated"}, 50, id="most"),
        pytest.param(
            {"type": "LeastAllocated", "resources": [{"name": "cpu", "weight": 3}]}, 50, id="one"
        ),
        pytest.param(
            {
                "type": "RequestedToCapacityRatio",
                "requestedToCapacityRatio": {
                    "shape": [{"utilization": 0, "score": 0}, {"utilization": 100, "score": 10}]
                },
            },
            50,
            id="ratio_rising",
        ),
        pytest.param(
            {
                "type": "RequestedToCapacityRatio",
                "requestedToCapacityRatio": {
                    "shape": [{"utilization": 0, "score": 10}, {"utilization": 40, "score": 2}]
                },
            },
            20,
            id="ratio_past_its_last_point",
        ),
    ],
)
def test_scoring_strategies(strategy, score):
    plugin = NodeResourcesFit({"scoringStrategy": strategy})
    assert plugin.score(CycleState(), HALF, node()) == score


def test_weights_of_resources():
    plugin = NodeResourcesFit(
        {"scoringStrategy": {"resources": [{"name": "cpu", "weight": 3}, {"name": "memory"}]}}
    )
    # cpu: 75 % free, three times; memory: 50 % free, once.
    assert plugin.score(CycleState(), pod({"cpu": "1", "memory": "4Gi"}), node()) == 68


@pytest.mark.parametrize(
    ("args", "fits"),
    [
        ({}, False),
        ({"ignoredResources": ["example.com/gpu"]}, True),
        ({"ignoredResourceGroups": ["example.com"]}, True),
        ({"ignoredResourceGroups": ["other.com"]}, False),
    ],
    ids=["counted", "by_name", "by_group", "another_group"],
)
def test_ignored_resources(args, fits):
    wanted = pod({"example.com/gpu": "1"})
    assert NodeResourcesFit(args).filter(CycleState(), wanted, node()).ok is fits


def test_affinity_of_the_profile_holds_for_every_pod():
    required = {
        "nodeSelectorTerms": [
            {"matchExpressions": [{"key": "pool", "operator": "In", "values": ["a"]}]}
        ]
    }
    plugin = NodeAffinity(
        {"addedAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}
    )
    assert plugin.filter(CycleState(), pod(), node(labels={"pool": "a"})) == SUCCESS
    refused = plugin.filter(CycleState(), pod(), node(labels={"pool": "b"}))
    assert refused.reasons == (REASON_ENFORCED,)


def test_a_pod_that_names_its_node_looks_at_no_other():
    field = {"key": "metadata.name", "operator": "In", "values": ["n7"]}
    terms = {"nodeSelectorTerms": [{"matchFields": [field]}]}
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}
    state = CycleState()
    NodeAffinity({}).pre_filter(state, pod(affinity=affinity), [])
    assert state.outside("n7") is None
    assert state.outside("n1").reasons == ("node(s) didn't satisfy plugin(s) [NodeAffinity]",)


def test_gates_keep_a_pod_out():
    gates = [{"name": "a.example.com/x"}, {"name": "b"}]
    assert SchedulingGates().pre_enqueue(pod(schedulingGates=gates)).reasons == (
        "waiting for scheduling gates: [a.example.com/x b]",
    )
    assert SchedulingGates().pre_enqueue(pod()) == SUCCESS
