"""Tables for the pure plans: rollout steps, whom to delete first, taints, evictions, pod garbage, owners."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.controllers.deployment import plan as deployment_plan
from controlplane.controllers.deployment.revision import same_template, template_hash
from controlplane.controllers.garbage.graph import OwnerState, Verb, decide
from controlplane.controllers.nodelifecycle.plan import eviction_halted, plan_eviction, plan_taints
from controlplane.controllers.podgc.plan import plan_removals
from controlplane.controllers.replicaset.plan import plan_scale

NOW = 1_700_000_000.0


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
    assert template_hash(left, 0) != template_hash({**left, "spec": {"x": 2}}, 0)


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


@pytest.mark.parametrize(
    ("tolerations", "after"),
    [
        pytest.param([], 300.0, id="default"),
        pytest.param([{"operator": "Exists"}], None, id="tolerates_all"),
        pytest.param(
            [{"key": UNREACHABLE["key"], "operator": "Exists", "tolerationSeconds": 7}],
            7.0,
            id="seconds",
        ),
        pytest.param(
            [{"key": UNREACHABLE["key"], "operator": "Exists", "effect": "NoSchedule"}],
            300.0,
            id="other_effect",
        ),
        pytest.param(
            [{"key": UNREACHABLE["key"], "operator": "Exists", "tolerationSeconds": -1}],
            0.0,
            id="at_once",
        ),
    ],
)
def test_tolerations(tolerations, after):
    subject = {"spec": {"tolerations": tolerations}}
    assert plan_eviction(subject, node(taints=[UNREACHABLE]), 300.0).after_seconds == after


def test_other_taints_evict_at_once():
    custom = {"key": "maintenance", "value": "x", "effect": "NoExecute"}
    assert plan_eviction({"spec": {}}, node(taints=[custom]), 300.0).after_seconds == 0.0


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


def thing(uid="u", owners=(), *, finalizers=(), deleting=False, block=True):
    metadata = {"name": uid, "uid": uid, "finalizers": list(finalizers)}
    metadata["ownerReferences"] = [{"uid": o, "blockOwnerDeletion": block} for o in owners]
    if deleting:
        metadata["deletionTimestamp"] = "2023-11-14T00:00:00Z"
    return {"metadata": metadata}


GONE, SOLID, WAITING = OwnerState.GONE, OwnerState.SOLID, OwnerState.WAITING


@pytest.mark.parametrize(
    ("subject", "owners", "dependents", "verb", "policy"),
    [
        (thing(owners=["a"]), [SOLID], [], Verb.NOTHING, ""),
        (thing(owners=["a"]), [GONE], [], Verb.DELETE, "Background"),
        (thing(owners=["a", "b"]), [GONE, SOLID], [], Verb.DROP_OWNERS, ""),
        (thing(owners=["a"]), [WAITING], [], Verb.DELETE, "Background"),
        (thing(owners=["a"]), [WAITING], [thing("k", ["u"])], Verb.DELETE, "Foreground"),
        (thing(owners=["a", "b"]), [GONE, OwnerState.UNKNOWN], [], Verb.NOTHING, ""),
        (
            thing(deleting=True, finalizers=["foregroundDeletion"]), [], [thing("k", ["u"])],
            Verb.DELETE_DEPENDENTS, "",
        ),
        (
            thing(deleting=True, finalizers=["foregroundDeletion"]), [],
            [thing("k", ["u"], block=False)], Verb.FINISH_FOREGROUND, "",
        ),
        (thing(deleting=True, finalizers=["orphan"]), [], [thing("k", ["u"])], Verb.ORPHAN_DEPENDENTS, ""),
        (thing(owners=["a"], deleting=True), [GONE], [], Verb.NOTHING, ""),
    ],
    ids=["owned", "orphaned", "one_left", "owner_waits", "owner_waits_deep", "unknown_owner", "foreground",
         "nothing_blocks", "orphan", "going_already"],
)  # fmt: skip
def test_owner_decisions(subject, owners, dependents, verb, policy):
    decision = decide(subject, owners, dependents)
    assert (decision.verb, decision.policy) == (verb, policy)
