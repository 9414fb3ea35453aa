"""Steps of rollouts, and which templates are the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.controllers.deployment import plan as deployment_plan
from controlplane.controllers.deployment.revision import same_template, template_hash


def rs(name, replicas, available=0, *, created="2024-01-01T00:00:00Z", desired=None, maximum=None):
    annotations = {}
    if desired is not None:
        annotations[deployment_plan.DESIRED] = str(desired)
    if maximum is not None:
        annotations[deployment_plan.MAXIMUM] = str(maximum)
    return {
        "metadata": {"name": name, "creationTimestamp": created, "annotations": annotations},
        "spec": {"replicas": replicas},
        "status": {"availableReplicas": available, "replicas": replicas},
    }


def rolling(replicas, surge="25%", unavailable="25%"):
    return {
        "spec": {
            "replicas": replicas,
            "strategy": {"rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}},
        }
    }


@pytest.mark.parametrize(
    ("replicas", "surge", "unavailable", "expected"),
    [
        pytest.param(4, "25%", "25%", (1, 1), id="quarter"),
        pytest.param(3, "25%", "25%", (1, 0), id="surge_rounds_up_unavailable_down"),
        pytest.param(3, 0, 0, (0, 1), id="both_zero_would_stand_still"),
        pytest.param(2, 0, 5, (0, 2), id="never_more_unavailable_than_replicas"),
        pytest.param(10, "100%", 0, (10, 0), id="all_at_once"),
    ],
)
def test_bounds(replicas, surge, unavailable, expected):
    assert deployment_plan.bounds(rolling(replicas, surge, unavailable)) == expected


@pytest.mark.parametrize(
    ("deployment", "new", "olds", "expected"),
    [
        pytest.param(rolling(3), None, [], ("create", 3), id="first_gets_all"),
        pytest.param(rolling(3), None, [rs("o", 3, 3)], ("create", 1), id="then_surge"),
        pytest.param(rolling(10), None, [rs("o", 10, 10)], ("create", 3), id="surge_rounded_up"),
        pytest.param(rolling(3), rs("n", 1), [rs("o", 3, 3)], [], id="waits_for_ready"),
        pytest.param(rolling(3), rs("n", 1, 1), [rs("o", 3, 3)], [("o", 2)], id="shrinks_old"),
        pytest.param(rolling(3), rs("n", 1, 1), [rs("o", 2, 2)], [("n", 2)], id="grows_new"),
        pytest.param(rolling(3), rs("n", 5, 5), [], [("n", 3)], id="shrinks_new"),
        pytest.param(
            rolling(3), rs("n", 1, 1), [rs("o", 3, 0)], [("o", 2)], id="broken_old_pods_go_first"
        ),
        pytest.param(rolling(3), rs("n", 3, 3), [], [], id="done"),
    ],
)
def test_a_step_of_a_rolling_update(deployment, new, olds, expected):
    plan = deployment_plan.plan_rollout(deployment, new, olds, old_pods_left=True)
    if isinstance(expected, tuple):
        assert plan.create == expected[1]
    else:
        assert [(r["metadata"]["name"], size) for r, size in plan.scale] == expected


@given(
    replicas=st.integers(1, 30),
    surge=st.integers(0, 10),
    unavailable=st.integers(0, 10),
    luck=st.lists(st.integers(0, 30), min_size=1, max_size=60),
)
def test_a_rollout_never_leaves_its_bounds_and_ends(replicas, surge, unavailable, luck):
    deployment = rolling(replicas, surge, unavailable)
    surge, unavailable = deployment_plan.bounds(deployment)
    new, old = None, rs("o", replicas, replicas)
    for chance in [*luck, *([30] * 200)]:
        plan = deployment_plan.plan_rollout(deployment, new, [old], old_pods_left=True)
        if plan.create is not None:
            new = rs("n", plan.create, 0)
        for target, size in plan.scale:
            target["spec"]["replicas"] = size
            status = target["status"]
            status["availableReplicas"] = min(size, status["availableReplicas"])
        sizes = old["spec"]["replicas"] + (new["spec"]["replicas"] if new else 0)
        available = old["status"]["availableReplicas"] + (
            new["status"]["availableReplicas"] if new else 0
        )
        assert sizes <= replicas + surge
        assert available >= replicas - unavailable
        if new is not None:  # some of the new Pods become available
            status = new["status"]
            status["availableReplicas"] = min(
                new["spec"]["replicas"], status["availableReplicas"] + chance
            )
    assert new is not None
    assert (new["spec"]["replicas"], old["spec"]["replicas"]) == (replicas, 0)


def test_proportional_resize_keeps_the_total():
    deployment = rolling(20)
    olds = [rs("o", 8, 8, desired=10, maximum=13)]
    plan = deployment_plan.plan_resize(deployment, rs("n", 5, 0, desired=10, maximum=13), olds)
    assert sum(size for _, size in plan.scale) == 25


def test_template_hash_ignores_nulls_and_its_own_label():
    left = {"metadata": {"labels": {"a": "b"}, "creationTimestamp": None}, "spec": {"x": 1}}
    right = {"metadata": {"labels": {"a": "b", "pod-template-hash": "z"}}, "spec": {"x": 1}}
    assert same_template(left, right)
    assert template_hash(left, 0) == template_hash(right, 0)
    assert template_hash(left, 0) != template_hash(left, 1)
    emptied = {"metadata": {**left["metadata"], "annotations": {}}, "spec": {"x": 1, "v": []}}
    assert same_template(left, emptied)
    assert not same_template(left, {**left, "spec": {"x": 1, "emptyDir": {}}})
    assert template_hash(left, 0) != template_hash({**left, "spec": {"x": 2}}, 0)
