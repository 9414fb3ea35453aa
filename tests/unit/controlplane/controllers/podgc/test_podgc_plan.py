"""Which Pods are garbage."""

import pytest

from controlplane.controllers.podgc.plan import plan_removals

NOW = 1_700_000_000.0


def pod(name, *, node="n", phase="Running", ready=True, since="2023-11-01T00:00:00Z", cost=None,
        restarts=0, uid=None, **metadata):  # fmt: skip
    conditions = [
        {"type": "Ready", "status": "True" if ready else "False", "lastTransitionTime": since}
    ]
    annotations = {} if cost is None else {"controller.kubernetes.io/pod-deletion-cost": str(cost)}
    return {
        "metadata": {"name": name, "uid": uid or name, "annotations": annotations,
                     "creationTimestamp": "2023-10-01T00:00:00Z", **metadata},
        "spec": {"nodeName": node} if node else {},
        "status": {"phase": phase, "conditions": conditions,
                   "containerStatuses": [{"restartCount": restarts}]},
    }  # fmt: skip


def node(name="n", ready="True", taints=(), **spec):
    return {
        "metadata": {"name": name},
        "spec": {"taints": list(taints), **spec},
        "status": {"conditions": [{"type": "Ready", "status": ready}]},
    }


@pytest.mark.parametrize(
    ("subject", "removed"),
    [
        pytest.param(pod("a"), False, id="well"),
        pytest.param(pod("a", node="gone"), True, id="node_gone"),
        pytest.param(
            pod("a", node="", deletionTimestamp="2023-11-14T00:00:00Z"), True, id="never_bound"
        ),
        pytest.param(
            pod("a", node="dead", deletionTimestamp="2023-11-14T00:00:00Z"), True, id="dead_node"
        ),
        pytest.param(
            pod("a", node="dead", deletionTimestamp="2023-11-14T22:13:10Z"), False, id="not_yet"
        ),
        pytest.param(
            pod("a", deletionTimestamp="2023-11-14T00:00:00Z"), False, id="node_will_finish"
        ),
    ],
)
def test_pod_garbage(subject, removed):
    nodes = {"n": node(), "dead": node("dead", ready="Unknown")}
    removals = plan_removals([subject], nodes, NOW, terminated_threshold=10, unreachable_seconds=60)
    assert bool(removals) is removed


def test_the_oldest_ended_pods_go():
    pods = [pod(f"p{n}", phase="Failed", uid=str(n)) for n in range(5)]
    removals = plan_removals(
        pods, {"n": node()}, NOW, terminated_threshold=3, unreachable_seconds=0
    )
    assert [r.pod["metadata"]["name"] for r in removals] == ["p0", "p1"]
