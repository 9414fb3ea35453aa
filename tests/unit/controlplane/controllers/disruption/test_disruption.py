"""How many Pods a budget lets go."""

import pytest

from controlplane.controllers.disruption.plan import plan_status, still_going
from controlplane.kinds.apps.deployment import DEPLOYMENTS
from controlplane.kinds.apps.stateful_set import STATEFUL_SETS
from controlplane.kinds.policy.pod_disruption_budget import POD_DISRUPTION_BUDGETS

NOW = 1_700_000_000.0
STAMP = "2023-11-14T22:13:20Z"


def budget(status=None, **spec):
    metadata = {"name": "b", "namespace": "d", "generation": 1}
    return {"metadata": metadata, "spec": spec, "status": status or {}}


def pods(ready, waiting=0):
    return [
        {
            "metadata": {"name": f"p{n}"},
            "status": {"conditions": [{"type": "Ready", "status": str(n < ready)}]},
        }
        for n in range(ready + waiting)
    ]


@pytest.mark.parametrize(
    ("spec", "found", "scale", "expected"),
    [
        ({"minAvailable": 2}, pods(2), 0, (2, 2, 2, 0)),
        ({"minAvailable": 1}, pods(2), 0, (2, 2, 1, 1)),
        ({"minAvailable": "50%"}, pods(3), 3, (3, 3, 2, 1)),
        ({"maxUnavailable": 1}, pods(2, 1), 3, (3, 2, 2, 0)),
        ({"maxUnavailable": "34%"}, pods(3), 3, (3, 3, 1, 2)),
        ({"minAvailable": 0}, [], 0, (0, 0, 0, 0)),
    ],
    ids=["none", "one", "half", "one_is_down_already", "percent_rounds_up", "no_pods"],
)
def test_counts(spec, found, scale, expected):
    status = plan_status(budget(**spec), found, {}, scale, NOW)
    names = ("expectedPods", "currentHealthy", "desiredHealthy", "disruptionsAllowed")
    assert tuple(status[name] for name in names) == expected
    (condition,) = status["conditions"]
    assert condition["reason"] == ("SufficientPods" if expected[3] else "InsufficientPods")


def test_an_evicted_pod_counts_as_going_for_two_minutes():
    subject = budget({"disruptedPods": {"p0": STAMP, "gone": STAMP}}, minAvailable=1)
    going, failed, wait = still_going(subject, pods(2), NOW + 20)
    assert (going, failed) == ({"p0": STAMP}, [])
    assert wait == pytest.approx(100.01)
    assert plan_status(subject, pods(2), going, 0, NOW)["disruptionsAllowed"] == 0
    late = still_going(subject, pods(2), NOW + 121)
    assert (late[0], [pod["metadata"]["name"] for pod in late[1]]) == ({}, ["p0"])


async def test_a_budget_follows_its_deployment(make_world, make_deployment):
    async with make_world("--controllers=disruption,deployment,replicaset") as world:
        await world.client.create(DEPLOYMENTS, make_deployment(replicas=3), "d")
        spec = {"maxUnavailable": 1, "selector": {"matchLabels": {"app": "web"}}}
        wanted = {"metadata": {"name": "b"}, "spec": spec}
        await world.client.create(POD_DISRUPTION_BUDGETS, wanted, "d")
        await world.step(20)
        status = world.api.object(POD_DISRUPTION_BUDGETS, "b", "d")["status"]
        assert (status["expectedPods"], status["disruptionsAllowed"]) == (3, 1)
        await world.client.patch(DEPLOYMENTS, "web", {"spec": {"replicas": 5}}, "d")
        await world.step(30)
        status = world.api.object(POD_DISRUPTION_BUDGETS, "b", "d")["status"]
        assert (status["expectedPods"], status["desiredHealthy"]) == (5, 4)


async def test_a_budget_reads_the_scale_of_other_kinds(make_world):
    async with make_world("--controllers=disruption,statefulset") as world:
        pod = {"metadata": {"labels": {"app": "a"}}}
        pod["spec"] = {"containers": [{"name": "c", "image": "a:1"}]}
        selector = {"matchLabels": {"app": "a"}}
        spec = {"replicas": 3, "serviceName": "s", "selector": selector, "template": pod}
        await world.client.create(STATEFUL_SETS, {"metadata": {"name": "s"}, "spec": spec}, "d")
        wanted = {"metadata": {"name": "b"}, "spec": {"minAvailable": "60%", "selector": selector}}
        await world.client.create(POD_DISRUPTION_BUDGETS, wanted, "d")
        await world.step(30)
        status = world.api.object(POD_DISRUPTION_BUDGETS, "b", "d")["status"]
        assert (status["expectedPods"], status["desiredHealthy"]) == (3, 2)
