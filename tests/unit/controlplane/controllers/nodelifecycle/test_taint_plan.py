"""Which taints follow from what a node says, and when evictions halt."""

import pytest

from controlplane.controllers.nodelifecycle.plan import eviction_halted, plan_taints

NOW = 1_700_000_000.0


def node(name="n", ready="True", taints=(), **spec):
    return {
        "metadata": {"name": name},
        "spec": {"taints": list(taints), **spec},
        "status": {"conditions": [{"type": "Ready", "status": ready}]},
    }


UNREACHABLE = {"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"}


@pytest.mark.parametrize(
    ("subject", "may_evict", "expected"),
    [
        (node(), True, set()),
        (node(unschedulable=True), True, {"unschedulable:NoSchedule"}),
        (node(ready="False"), True, {"not-ready:NoSchedule", "not-ready:NoExecute"}),
        (node(ready="Unknown"), False, {"unreachable:NoSchedule"}),
        (
            node(ready="False", taints=[UNREACHABLE]),
            False,
            {"not-ready:NoSchedule", "not-ready:NoExecute"},
        ),
        (node(taints=[UNREACHABLE]), True, set()),
        (
            node(taints=[{"key": "node.kubernetes.io/mine", "effect": "NoExecute"}]),
            True,
            {"mine:NoExecute"},
        ),
    ],
    ids=[
        "well",
        "cordoned",
        "not_ready",
        "rate_limited",
        "changes_kind",
        "recovers",
        "foreign_kept",
    ],
)
def test_taints(subject, may_evict, expected):
    taints = plan_taints(subject, NOW, may_evict=may_evict)
    assert {
        f"{t['key'].removeprefix('node.kubernetes.io/')}:{t['effect']}" for t in taints
    } == expected


@pytest.mark.parametrize(
    ("states", "halted"),
    [
        ("TT", False),
        ("TU", False),
        ("UU", True),
        ("TUU", False),
        ("TTUUU", True),
        ("TTTUUU", False),
    ],
)
def test_when_evictions_halt(states, halted):
    nodes = [node(ready={"T": "True", "U": "Unknown"}[s]) for s in states]
    assert eviction_halted(nodes) is halted
