"""Filters and scores of the plugins, as tables, and the words of a failed cycle."""

import random
from typing import Any

import pytest

from controlplane.client.events import EventRecorder
from controlplane.client.indexer import Indexer
from controlplane.client.rest import RestClient
from controlplane.client.transport import HttpTransport
from controlplane.kinds.core.pod.tolerations import tolerates
from controlplane.scheduler.framework.handle import Handle
from controlplane.scheduler.framework.node_info import NodeInfo, pod_info
from controlplane.scheduler.framework.resources import pod_requests
from controlplane.scheduler.framework.waiting import WaitingPods
from controlplane.scheduler.plugins.node_ports import conflict
from controlplane.scheduler.profiles import Profile
from controlplane.scheduler.schedule_one import choose
from kvstore.base.clock import ManualClock


def node(name: str, **parts: Any) -> NodeInfo:
    info = NodeInfo(name)
    labels = {"kubernetes.io/hostname": name, **parts.get("labels", {})}
    allocatable = {"cpu": "4", "memory": "8Gi", "pods": "110", **parts.get("allocatable", {})}
    info.set_node(
        {
            "metadata": {"name": name, "labels": labels},
            "spec": parts.get("spec", {}),
            "status": {"allocatable": allocatable},
        }
    )
    for number, spec in enumerate(parts.get("pods", ())):
        info.add_pod(pod_info(pod(f"{name}-{number}", **spec)))
    return info


def pod(name: str = "p", *, labels: Any = None, owner: str = "", **spec: Any) -> dict[str, Any]:
    owners = [{"uid": owner, "controller": True}] if owner else []
    meta = {"name": name, "namespace": "default", "uid": name, "labels": labels or {}}
    container = {"name": "c", "resources": {"requests": spec.pop("requests", {})}}
    if "ports" in spec:
        container["ports"] = spec.pop("ports")
    return {
        "metadata": {**meta, "ownerReferences": owners},
        "spec": {"containers": [container], **spec},
    }


def handle() -> Handle:
    clock = ManualClock()
    client = RestClient(HttpTransport(["http://127.0.0.1:1"], clock))
    recorder = EventRecorder(client, "test", clock)
    return Handle(client, lambda resource: Indexer(), tuple, recorder, WaitingPods(clock), clock)


def decide(subject: dict[str, Any], *nodes: NodeInfo) -> tuple[str | None, str]:
    framework = Profile().build(handle())
    decision = choose(framework, pod_info(subject), nodes, random.Random(1))
    return decision.node_name, decision.diagnosis.text() if decision.node_name is None else ""


TAINTED = {"taints": [{"key": "k", "value": "v", "effect": "NoSchedule"}]}
PREFERRED = {
    "nodeAffinity": {
        "preferredDuringSchedulingIgnoredDuringExecution": [
            {"weight": 9, "preference": {"matchExpressions": [{"key": "z", "operator": "Exists"}]}}
        ]
    }
}
REQUIRED = {
    "nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [
                {"matchExpressions": [{"key": "n", "operator": "Gt", "values": ["5"]}]}
            ]
        }
    }
}
SPREAD = [
    {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": "x"}},
    }
]
SIDECAR = {"name": "s", "restartPolicy": "Always", "ports": [{"hostPort": 80, "containerPort": 80}]}
X = {"app": "x"}

CHOICES = [
    pytest.param(pod(nodeName="b"), [node("a"), node("b")], "b", id="node_name"),
    pytest.param(pod(), [node("a", spec={"unschedulable": True}), node("b")], "b", id="cordoned"),
    pytest.param(pod(), [node("a", spec=TAINTED), node("b")], "b", id="tainted"),
    pytest.param(
        pod(tolerations=[{"key": "k", "operator": "Exists"}], nodeName="a"),
        [node("a", spec=TAINTED), node("b")], "a", id="tolerated",
    ),
    pytest.param(
        pod(), [node("a", pods=[{"requests": {"cpu": "2"}}]), node("b")], "b", id="least_allocated"
    ),
    pytest.param(
        pod(requests={"cpu": "3"}), [node("a", pods=[{"requests": {"cpu": "2"}}]), node("b")],
        "b", id="must_fit",
    ),
    pytest.param(pod(nodeSelector={"d": "s"}), [node("a"), node("b", labels={"d": "s"})], "b", id="selector"),
    pytest.param(
        pod(affinity=REQUIRED), [node("a", labels={"n": "5"}), node("b", labels={"n": "6"})],
        "b", id="required_affinity",
    ),
    pytest.param(
        pod(affinity=PREFERRED), [node("a"), node("b", labels={"z": ""})], "b", id="preferred_affinity"
    ),
    pytest.param(
        pod(ports=[{"hostPort": 80, "containerPort": 80}]),
        [node("a", pods=[{"ports": [{"hostPort": 80, "containerPort": 80}]}]), node("b")],
        "b", id="host_port",
    ),
    pytest.param(
        pod(initContainers=[SIDECAR]),
        [node("a", pods=[{"initContainers": [SIDECAR]}]), node("b", pods=[{"requests": {"cpu": "3"}}])],
        "b", id="host_port_of_a_sidecar",
    ),
    pytest.param(
        pod(owner="rs"), [node("a", pods=[{"owner": "rs"}] * 2), node("b", pods=[{"owner": "o"}] * 2)],
        "b", id="default_spreading",
    ),
    pytest.param(
        pod(labels=X, topologySpreadConstraints=SPREAD),
        [node("a", pods=[{"labels": X}]), node("b", pods=[{"requests": {"cpu": "3"}}])],
        "b", id="hard_spreading",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("subject", "nodes", "expected"), CHOICES)
def test_choice(subject: dict[str, Any], nodes: list[NodeInfo], expected: str) -> None:
    assert decide(subject, *nodes)[0] == expected


HELPFUL = "No preemption victims found for incoming pod"
USELESS = "Preemption is not helpful for scheduling"


def refusal(nodes: int, reasons: str, preemption: str) -> str:
    """What users read."""
    head = f"0/{nodes} nodes are available"
    return f"{head}: {reasons}. no new claims to deallocate, preemption: {head}: {preemption}."


BUSY = [{"requests": {"cpu": "4"}}]

WORDS = [
    pytest.param(pod(), [], "no nodes available to schedule pods", id="no_nodes"),
    pytest.param(
        pod(requests={"cpu": "3"}), [node("a", pods=BUSY), node("b", pods=BUSY)],
        refusal(2, "2 Insufficient cpu", f"2 {HELPFUL}"), id="cpu",
    ),
    pytest.param(
        pod(requests={"cpu": "9"}), [node("a"), node("b")],
        refusal(2, "2 Insufficient cpu", f"2 {USELESS}"), id="more_cpu_than_any_node_has",
    ),
    pytest.param(
        pod(requests={"cpu": "3"}), [node("a", pods=BUSY), node("b", spec=TAINTED)],
        refusal(
            2, "1 Insufficient cpu, 1 node(s) had untolerated taint(s)",
            f"1 {HELPFUL}, 1 {USELESS}",
        ),
        id="cpu_and_taint",
    ),
    pytest.param(
        pod(), [node("a", allocatable={"pods": "0"})],
        refusal(1, "1 Too many pods", f"1 {HELPFUL}"), id="pods",
    ),
    pytest.param(
        pod(nodeSelector={"d": "s"}), [node("a")],
        refusal(1, "1 node(s) didn't match Pod's node affinity/selector", f"1 {USELESS}"),
        id="selector",
    ),
    pytest.param(
        pod(labels=X, topologySpreadConstraints=SPREAD),
        [node("a", pods=[{"labels": X}]), node("b", spec={"unschedulable": True})],
        refusal(
            2,
            "1 node(s) didn't match pod topology spread constraints, 1 node(s) were unschedulable",
            f"1 {HELPFUL}, 1 {USELESS}",
        ),
        id="spread",
    ),
    pytest.param(
        pod(volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "nope"}}]), [node("a")],
        '0/1 nodes are available: persistentvolumeclaim "nope" not found. not found',
        id="claim_that_is_not_there",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("subject", "nodes", "expected"), WORDS)
def test_words(subject: dict[str, Any], nodes: list[NodeInfo], expected: str) -> None:
    assert decide(subject, *nodes) == (None, expected)


@pytest.mark.parametrize(
    ("toleration", "expected"),
    [
        ({"operator": "Exists"}, True),
        ({"key": "k", "operator": "Exists", "effect": "NoExecute"}, False),
        ({"key": "k", "value": "v"}, True),
        ({"key": "k", "operator": "Equal", "value": "w"}, False),
        ({"operator": "Equal", "value": "v"}, False),
    ],
)
def test_tolerations(toleration: dict[str, str], expected: bool) -> None:
    assert tolerates(toleration, TAINTED["taints"][0]) is expected


def test_requests_of_init_containers_and_sidecars() -> None:
    def asks(cpu: str, **rest: str) -> dict[str, Any]:
        return {"name": "x", "resources": {"requests": {"cpu": cpu}}, **rest}

    spec = {
        "containers": [asks("1"), asks("1")],
        "initContainers": [asks("500m", restartPolicy="Always"), asks("3")],
    }
    assert pod_requests(spec) == {"cpu": 3500}


def test_host_ports_on_different_addresses_do_not_conflict() -> None:
    assert not conflict(("TCP", "10.0.0.1", 80), ("TCP", "10.0.0.2", 80))
    assert conflict(("TCP", "0.0.0.0", 80), ("TCP", "10.0.0.2", 80))
    assert not conflict(("UDP", "0.0.0.0", 80), ("TCP", "0.0.0.0", 80))
