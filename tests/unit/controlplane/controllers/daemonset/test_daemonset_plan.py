"""Which nodes get a Pod, which Pods go, how updates roll within their bounds."""

import pytest

from controlplane.controllers.daemonset.plan import (
    by_node,
    limits,
    new_pod,
    node_of,
    plan_nodes,
    plan_rollout,
    plan_status,
    should_run,
)

NOW = 1_700_000_000.0


def daemon(strategy=None, spec=None, **parts):
    template = {"metadata": {"labels": {"app": "a"}}, "spec": spec or {}}
    update = {"type": "RollingUpdate", "rollingUpdate": strategy or {"maxUnavailable": 1}}
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "d", "namespace": "x", "uid": "ds", "generation": 2},
        "spec": {"template": template, "updateStrategy": update, **parts},
    }


def node(name, *, labels=None, taints=()):
    spec = {"taints": [{"key": key, "effect": effect} for key, effect in taints]}
    return {"metadata": {"name": name, "labels": labels or {}}, "spec": spec}


def pod(name, on, *, text="new", ready=True, phase="Running", deleting=False):
    metadata = {"name": name, "uid": name, "labels": {"controller-revision-hash": text}}
    if deleting:
        metadata["deletionTimestamp"] = "2023-11-14T22:13:20Z"
    condition = {"type": "Ready", "status": "True" if ready else "False"}
    condition["lastTransitionTime"] = "2023-11-14T22:00:00Z"
    return {
        "metadata": metadata,
        "spec": {"nodeName": on},
        "status": {"phase": phase, "conditions": [condition]},
    }


CORDONED = ("node.kubernetes.io/unschedulable", "NoSchedule")
SILENT = ("node.kubernetes.io/unreachable", "NoExecute")


@pytest.mark.parametrize(
    ("spec", "subject", "expected"),
    [
        ({}, node("n"), (True, True)),
        ({"nodeSelector": {"a": "b"}}, node("n"), (False, False)),
        ({"nodeSelector": {"a": "b"}}, node("n", labels={"a": "b"}), (True, True)),
        ({}, node("n", taints=[CORDONED]), (True, True)),
        ({}, node("n", taints=[SILENT]), (True, True)),
        ({}, node("n", taints=[("mine", "NoSchedule")]), (False, True)),
        ({}, node("n", taints=[("mine", "NoExecute")]), (False, False)),
        ({}, node("n", taints=[("mine", "PreferNoSchedule")]), (True, True)),
        ({"nodeName": "m"}, node("n"), (False, False)),
    ],
    ids=["any", "selector_misses", "selector", "cordoned", "silent", "no_schedule", "no_execute",
         "prefer", "another_node"],
)  # fmt: skip
def test_where_a_daemon_runs(spec, subject, expected):
    assert should_run(daemon(spec=spec), subject) == expected


def names(pods):
    return "".join(p["metadata"]["name"] for p in pods)


def planned(subject, nodes, *pods):
    plan = plan_nodes(subject, nodes, by_node(pods), "new", NOW)
    return ",".join(plan.create), names(plan.delete), [entry[0] for entry in plan.found]


SURGE = {"maxSurge": 1, "maxUnavailable": 0}


@pytest.mark.parametrize(
    ("strategy", "pods", "expected"),
    [
        pytest.param(None, [], ("n,m", "", []), id="every_node"),
        pytest.param(None, [pod("a", "n")], ("m", "", []), id="the_other_node"),
        pytest.param(None, [pod("a", "n"), pod("b", "n"), pod("c", "m")], ("", "b", []), id="two"),
        pytest.param(None, [pod("a", "n", deleting=True), pod("c", "m")], ("", "", []), id="going"),
        pytest.param(
            None, [pod("a", "n", phase="Failed"), pod("c", "m")], ("", "a", ["FailedDaemonPod"]),
            id="failed",
        ),
        pytest.param(
            None, [pod("a", "n", phase="Succeeded"), pod("c", "m")],
            ("", "a", ["SucceededDaemonPod"]), id="succeeded",
        ),
        pytest.param(
            SURGE, [pod("a", "n", text="old"), pod("b", "n"), pod("c", "m")], ("", "a", []),
            id="surge_new_one_is_up",
        ),
        pytest.param(
            SURGE, [pod("a", "n", text="old"), pod("b", "n", ready=False), pod("c", "m")],
            ("", "", []), id="surge_new_one_is_not_up",
        ),
        pytest.param(
            SURGE, [pod("a", "n", text="old", ready=False), pod("b", "n", ready=False), pod("c", "m")],
            ("", "a", []), id="surge_old_one_is_down_anyway",
        ),
    ],
)  # fmt: skip
def test_serving_nodes(strategy, pods, expected):
    assert planned(daemon(strategy), [node("n"), node("m")], *pods) == expected


def test_a_node_that_does_not_fit_any_more_is_left():
    subject = daemon(spec={"nodeSelector": {"a": "b"}})
    assert planned(subject, [node("n")], pod("a", "n")) == ("", "a", [])


def test_a_pod_made_for_a_node_that_went_is_deleted():
    made = new_pod(daemon(), "gone", "new")
    made["metadata"]["name"] = "a"
    assert node_of(made) == "gone"
    assert planned(daemon(), [], made) == ("", "a", [])


def test_a_pod_is_made_for_its_node():
    subject = daemon(spec={"tolerations": [{"key": "x"}]})
    subject["metadata"]["annotations"] = {"deprecated.daemonset.template.generation": "3"}
    made = new_pod(subject, "n", "hash")
    assert made["metadata"]["labels"] == {
        "app": "a",
        "controller-revision-hash": "hash",
        "pod-template-generation": "3",
    }
    keys = [
        toleration["key"].removeprefix("node.kubernetes.io/")
        for toleration in made["spec"]["tolerations"]
    ]
    assert keys == ["x", "not-ready", "unreachable", "disk-pressure", "memory-pressure",
                    "pid-pressure", "unschedulable"]  # fmt: skip


@pytest.mark.parametrize(
    ("strategy", "desired", "expected"),
    [
        ({}, 4, (0, 1)),
        ({"maxUnavailable": "30%"}, 5, (0, 2)),
        ({"maxUnavailable": 0, "maxSurge": "10%"}, 5, (1, 0)),
        ({"maxUnavailable": 0, "maxSurge": 0}, 5, (0, 1)),
    ],
)
def test_limits(strategy, desired, expected):
    subject = daemon()
    subject["spec"]["updateStrategy"]["rollingUpdate"] = strategy
    assert limits(subject, desired) == expected


def rolled(strategy, *pods):
    nodes = [node("n"), node("m"), node("o")]
    plan = plan_rollout(daemon(strategy), nodes, by_node(pods), "new", NOW)
    return ",".join(plan.create), names(plan.delete)


@pytest.mark.parametrize(
    ("strategy", "pods", "expected"),
    [
        pytest.param(
            {"maxUnavailable": 1}, [pod(x, x, text="old") for x in "nmo"], ("", "n"), id="one"
        ),
        pytest.param(
            {"maxUnavailable": 2}, [pod(x, x, text="old") for x in "nmo"], ("", "nm"), id="two"
        ),
        pytest.param(
            {"maxUnavailable": 1}, [pod("n", "n"), pod("m", "m", text="old")], ("", ""),
            id="a_node_without_pod_counts",
        ),
        pytest.param(
            {"maxUnavailable": 1},
            [pod("n", "n", text="old"), pod("m", "m", text="old", ready=False), pod("o", "o")],
            ("", "m"), id="broken_ones_first",
        ),
        pytest.param(SURGE, [pod(x, x, text="old") for x in "nmo"], ("n", ""), id="surge"),
        pytest.param(
            SURGE, [pod("a", "n"), *(pod(x, x, text="old") for x in "nmo")], ("m", "n"),
            id="surge_goes_on",
        ),
        pytest.param(
            SURGE, [pod("a", "n", ready=False), *(pod(x, x, text="old") for x in "nmo")], ("", ""),
            id="surge_waits",
        ),
    ],
)  # fmt: skip
def test_rolling_update(strategy, pods, expected):
    ordered = sorted(pods, key=lambda p: "nmo".index(p["spec"]["nodeName"]))
    for number, one in enumerate(ordered):
        one["metadata"]["creationTimestamp"] = f"2023-11-14T22:00:{number:02}Z"
    assert rolled(strategy, *ordered) == expected


def test_status():
    nodes = [node("n"), node("m"), node("bad", taints=[("mine", "NoSchedule")])]
    pods = by_node([pod("a", "n"), pod("b", "bad")])
    assert plan_status(daemon(), nodes, pods, "new", NOW, observed=True) == {
        "currentNumberScheduled": 1,
        "desiredNumberScheduled": 2,
        "numberMisscheduled": 1,
        "numberReady": 1,
        "numberAvailable": 1,
        "numberUnavailable": 1,
        "updatedNumberScheduled": 1,
        "observedGeneration": 2,
    }
