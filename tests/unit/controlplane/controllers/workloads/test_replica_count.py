"""Whom to delete first."""

import pytest

from controlplane.controllers.workloads.replica_count import plan_scale

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


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param(pod("a", node=""), pod("b"), id="unbound_before_bound"),
        pytest.param(pod("z", phase="Pending"), pod("b"), id="pending_before_running"),
        pytest.param(pod("z", ready=False), pod("b"), id="not_ready_before_ready"),
        pytest.param(pod("z", cost=-5), pod("b"), id="lower_cost_first"),
        pytest.param(pod("z", since="2023-11-14T22:00:00Z"), pod("b"), id="shorter_ready_first"),
        pytest.param(pod("z", restarts=3), pod("b"), id="more_restarts_first"),
        pytest.param(pod("a"), pod("b"), id="else_by_uid"),
    ],
)
def test_who_is_deleted_first(first, second):
    plan = plan_scale(1, [second, first], [second, first], NOW)
    assert [p["metadata"]["name"] for p in plan.delete] == [first["metadata"]["name"]]


def test_crowded_nodes_lose_first():
    pods = [pod("a", node="x"), pod("b", node="y"), pod("c", node="y")]
    assert plan_scale(2, pods, pods, NOW).delete[0]["metadata"]["name"] == "b"
