"""How many pods a metric asks for."""

import pytest

from controlplane.controllers.hpa.replicas import (
    MetricError,
    Proposal,
    Sample,
    Timing,
    Tolerances,
    average_replicas,
    per_pod_replicas,
    ratio_replicas,
    requests_of,
    utilization_replicas,
)

NEAR = Tolerances(0.1, 0.1)
LATER = Timing(100_000.0)


def pod(name, *, cpu="1", phase="Running", ready="True", started=0.0, **metadata):
    """A pod that asks for one core, ready since long."""
    stamp = "1970-01-01T00:00:00Z"
    return {
        "metadata": {"name": name, **metadata},
        "spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": cpu}}}]},
        "status": {
            "phase": phase,
            "startTime": stamp if started is not None else None,
            "conditions": [{"type": "Ready", "status": ready, "lastTransitionTime": stamp}],
        },
    }


def pods(count, **parts):
    """Several of them."""
    return [pod(f"p{number}", **parts) for number in range(count)]


def samples(*values):
    """What they use, in thousandths."""
    return {f"p{number}": Sample(value, 90_000.0) for number, value in enumerate(values)}


UTILIZATION = {
    "on_target": (3, 50, samples(500, 500, 500), pods(3), 3),
    "within_the_tolerance": (3, 50, samples(540, 540, 540), pods(3), 3),
    "grows": (3, 30, samples(500, 500, 500), pods(3), 5),
    "shrinks": (3, 100, samples(200, 200, 200), pods(3), 1),
    "grows_though_one_says_nothing": (3, 30, samples(900, 900), pods(3), 6),
    "does_not_grow_where_one_that_says_nothing_turns_it": (2, 60, samples(700), pods(2), 2),
    "does_not_shrink_where_one_that_says_nothing_turns_it": (2, 60, samples(400), pods(2), 2),
    "one_that_is_not_ready_uses_nothing_for_growing": (
        3, 30, samples(900, 900, 900), [*pods(2), pod("p2", ready="False")], 6,
    ),
    "one_that_ends_does_not_count": (
        2, 50, samples(500, 500, 900), [*pods(2), pod("p2", deletionTimestamp="now")], 2,
    ),
    "one_that_is_pending_is_not_ready": (
        2, 50, samples(1000, 1000), [pod("p0"), pod("p1", phase="Pending")], 2,
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("current", "target", "used", "there", "expected"), UTILIZATION.values(), ids=UTILIZATION
)
def test_by_the_share_of_the_requests(current, target, used, there, expected):
    found = utilization_replicas(current, target, used, there, "cpu", "", NEAR, LATER)
    assert found.replicas == expected


def test_the_share_is_rounded_down_and_the_average_told():
    found = utilization_replicas(2, 50, samples(501, 508), pods(2), "cpu", "", NEAR, LATER)
    assert (found.utilization, found.usage) == (50, 504)


def test_starting_pods_count_when_they_are_ready_and_measured():
    young = Timing(200.0)
    there = pods(2)
    fresh = {f"p{number}": Sample(1000, 100.0, 60.0) for number in range(2)}
    assert utilization_replicas(2, 50, fresh, there, "cpu", "", NEAR, young).replicas == 4
    stale = {f"p{number}": Sample(1000, 30.0, 60.0) for number in range(2)}
    with pytest.raises(MetricError, match="pods might be unready"):
        utilization_replicas(2, 50, stale, there, "cpu", "", NEAR, young)


AVERAGES = {
    "on_target": (2, 100, samples(100, 100), pods(2), 2),
    "grows": (2, 100, samples(200, 200), pods(2), 4),
    "shrinks": (4, 100, samples(25, 25, 25, 25), pods(4), 1),
    "one_that_says_nothing_is_on_target_for_shrinking": (4, 100, samples(25, 25, 25), pods(4), 2),
}


@pytest.mark.parametrize(
    ("current", "target", "used", "there", "expected"), AVERAGES.values(), ids=AVERAGES
)
def test_by_an_average(current, target, used, there, expected):
    found = average_replicas(current, target, used, there, "", NEAR, LATER)
    assert found.replicas == expected


def test_without_pods_or_samples_nothing_can_be_said():
    with pytest.raises(MetricError, match="no pods returned by selector"):
        average_replicas(1, 100, samples(1), [], "", NEAR, LATER)
    with pytest.raises(MetricError, match="did not receive metrics for targeted pods"):
        average_replicas(1, 100, {}, pods(1), "", NEAR, LATER)


@pytest.mark.parametrize(
    ("current", "ratio", "expected"),
    [(0, 2.5, 3), (3, 1.05, 3), (3, 2.0, 6), (3, 0.5, 2)],
    ids=["from_zero", "near", "grows", "shrinks"],
)
def test_by_one_value(current, ratio, expected):
    assert ratio_replicas(current, ratio, pods(3), NEAR) == expected


def test_by_one_value_a_pod():
    assert per_pod_replicas(4, 1000, 100, NEAR) == Proposal(10, 250)
    assert per_pod_replicas(4, 410, 100, NEAR) == Proposal(4, 103)


def test_requests_of_pods_and_containers():
    one = pod("p")
    one["spec"]["containers"].append({"name": "d", "resources": {}})
    assert requests_of([one], "c", "cpu") == {"p": 1000}
    with pytest.raises(MetricError, match="missing request for cpu in container d of Pod p"):
        requests_of([one], "", "cpu")
    with pytest.raises(MetricError, match="container x not found in Pod p"):
        requests_of([one], "x", "cpu")
