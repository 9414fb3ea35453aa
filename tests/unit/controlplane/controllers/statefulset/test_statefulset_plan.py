"""The next steps for a StatefulSet: in order or at once, down from the highest number, claims kept or let go."""

import pytest

from controlplane.controllers.statefulset import retention
from controlplane.controllers.statefulset.identity import new_pod, ordinals, parent_and_ordinal
from controlplane.controllers.statefulset.plan import (
    Create,
    Delete,
    Own,
    Repair,
    plan_actions,
    plan_status,
)
from controlplane.controllers.workloads.revisions import new_revision, surplus

NOW = 1_700_000_000.0


def stateful_set(replicas=3, *, image="a:1", status=None, **spec):
    template = {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{"image": image}]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "s", "namespace": "d", "uid": "set", "generation": 1},
        "spec": {
            "replicas": replicas,
            "serviceName": "svc",
            "selector": {"matchLabels": {"app": "a"}},
            "template": template,
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
            **spec,
        },
        "status": status or {},
    }


def revision(subject, number=1):
    return new_revision(subject, number, 0)


def pod(subject, number, *, ready=True, phase="Running", deleting=False, of=None):
    name = (of or revision(subject))["metadata"]["name"]
    made = new_pod(subject, number, name)
    made["metadata"]["uid"] = f"u{number}"
    if deleting:
        made["metadata"]["deletionTimestamp"] = "2023-11-14T22:13:20Z"
    condition = {"type": "Ready", "status": "True" if ready else "False"}
    made["status"] = {
        "phase": phase,
        "conditions": [{**condition, "lastTransitionTime": "2023-11-14T22:00:00Z"}],
    }
    return made


def steps(subject, *pods, current=None, claims=None):
    update = revision(subject, 2)
    actions = plan_actions(subject, current or update, update, pods, (claims or {}).get, NOW)
    words = {Create: "+", Delete: "-", Repair: "~", Own: "="}
    return " ".join(words[type(a)] + str(parent_and_ordinal(a.pod)[1]) for a in actions)


ORDERED, PARALLEL = {}, {"podManagementPolicy": "Parallel"}
S = stateful_set()


@pytest.mark.parametrize(
    ("policy", "replicas", "pods", "expected"),
    [
        pytest.param(ORDERED, 3, [], "+0", id="first"),
        pytest.param(ORDERED, 3, [pod(S, 0)], "+1", id="next"),
        pytest.param(ORDERED, 3, [pod(S, 0, ready=False)], "", id="waits_for_ready"),
        pytest.param(ORDERED, 3, [pod(S, 0), pod(S, 2)], "+1", id="gap"),
        pytest.param(ORDERED, 3, [pod(S, 0, deleting=True)], "", id="waits_for_a_going_one"),
        pytest.param(ORDERED, 3, [pod(S, 0, phase="Failed")], "-0", id="failed_is_replaced"),
        pytest.param(ORDERED, 3, [pod(S, 0), pod(S, 1), pod(S, 2)], "", id="done"),
        pytest.param(ORDERED, 1, [pod(S, 0), pod(S, 1), pod(S, 2)], "-2", id="down_one_at_a_time"),
        pytest.param(
            ORDERED, 1, [pod(S, 0), pod(S, 1), pod(S, 2, deleting=True)], "", id="down_waits"
        ),
        pytest.param(
            ORDERED, 1, [pod(S, 0), pod(S, 1, ready=False), pod(S, 2)], "-2",
            id="down_though_a_lower_is_not_ready",
        ),
        pytest.param(
            ORDERED, 1, [pod(S, 0), pod(S, 1), pod(S, 2, ready=False)], "-2",
            id="down_the_first_unavailable_may_go",
        ),
        pytest.param(
            ORDERED, 1, [pod(S, 0, ready=False), pod(S, 1)], "", id="down_waits_for_the_wanted"
        ),
        pytest.param(PARALLEL, 3, [], "+0 +1 +2", id="all_at_once"),
        pytest.param(PARALLEL, 1, [pod(S, 0), pod(S, 1), pod(S, 2)], "-2 -1", id="all_go_at_once"),
        pytest.param(PARALLEL, 2, [pod(S, 0, phase="Failed")], "-0 +1", id="parallel_mixed"),
    ],
)  # fmt: skip
def test_scaling(policy, replicas, pods, expected):
    assert steps(stateful_set(replicas, **policy), *pods) == expected


OLD = revision(stateful_set(image="old"))


def rolling(number, **parts):
    return pod(S, number, of=OLD, **parts)


@pytest.mark.parametrize(
    ("strategy", "pods", "expected"),
    [
        pytest.param({}, [rolling(0), rolling(1), rolling(2)], "-2", id="highest_first"),
        pytest.param({}, [rolling(0), rolling(1), pod(S, 2)], "-1", id="then_the_next"),
        pytest.param({}, [rolling(0), rolling(1), pod(S, 2, ready=False)], "", id="waits"),
        pytest.param({"partition": 2}, [rolling(0), rolling(1), pod(S, 2)], "", id="partition"),
        pytest.param(
            {"maxUnavailable": 2}, [rolling(0), rolling(1), rolling(2)], "-2 -1", id="two_at_a_time"
        ),
        pytest.param(
            {"maxUnavailable": "34%"}, [rolling(0), rolling(1), rolling(2)], "-2", id="percent"
        ),
    ],
)  # fmt: skip
def test_rolling_update(strategy, pods, expected):
    spec = {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": strategy}}
    subject = stateful_set(**spec)
    update = revision(S, 2)
    for one in pods:
        if one["metadata"]["labels"]["controller-revision-hash"] != OLD["metadata"]["name"]:
            one["metadata"]["labels"]["controller-revision-hash"] = update["metadata"]["name"]
    assert steps(subject, *pods, current=OLD) == expected


def test_on_delete_replaces_nothing():
    subject = stateful_set(updateStrategy={"type": "OnDelete"})
    assert steps(subject, rolling(0), rolling(1), rolling(2), current=OLD) == ""


def test_below_the_partition_the_old_template_is_used():
    subject = stateful_set(
        2, updateStrategy={"type": "RollingUpdate", "rollingUpdate": {"partition": 1}},
        podManagementPolicy="Parallel",
    )  # fmt: skip
    actions = plan_actions(subject, OLD, revision(subject, 2), [], lambda name: None, NOW)
    images = [action.pod["spec"]["containers"][0]["image"] for action in actions]
    assert images == ["old", "a:1"]


def test_the_start_ordinal_moves_the_names():
    subject = stateful_set(2, ordinals={"start": 5})
    assert list(ordinals(subject)) == [5, 6]
    assert steps(subject, pod(subject, 5)) == "+6"


def test_identity():
    made = new_pod(S, 2, "s-x")
    assert made["metadata"]["name"] == "s-2"
    assert made["metadata"]["labels"] == {
        "app": "a",
        "statefulset.kubernetes.io/pod-name": "s-2",
        "apps.kubernetes.io/pod-index": "2",
        "controller-revision-hash": "s-x",
    }
    assert (made["spec"]["hostname"], made["spec"]["subdomain"]) == ("s-2", "svc")


CLAIMS = {"volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {"x": 1}}]}


def test_claims_come_before_their_pod():
    subject = stateful_set(1, **CLAIMS)
    (action,) = plan_actions(subject, revision(subject), revision(subject), [], {}.get, NOW)
    (claim,) = action.claims
    assert claim["metadata"]["name"] == "data-s-0"
    assert claim["metadata"]["labels"] == {"app": "a"}
    assert action.pod["spec"]["volumes"] == [
        {"name": "data", "persistentVolumeClaim": {"claimName": "data-s-0"}}
    ]


def policy(deleted, scaled):
    return {"persistentVolumeClaimRetentionPolicy": {"whenDeleted": deleted, "whenScaled": scaled}}


@pytest.mark.parametrize(
    ("deleted", "scaled", "wanted", "condemned"),
    [
        ("Retain", "Retain", "", ""),
        ("Delete", "Retain", "set", "set"),
        ("Retain", "Delete", "", "u1"),
        ("Delete", "Delete", "set", "u1"),
    ],
)
def test_who_owns_a_claim(deleted, scaled, wanted, condemned):
    claim = {"metadata": {"name": "data-s-1"}}
    for replicas, owner in ((2, wanted), (1, condemned)):
        subject = stateful_set(replicas, **policy(deleted, scaled))
        found = retention.owners(claim, subject, pod(subject, 1))
        assert [ref["uid"] for ref in found or ()] == ([owner] if owner else [])


def test_owners_that_are_right_are_left_alone():
    subject = stateful_set(2, **policy("Delete", "Retain"))
    claim = {"metadata": {"name": "data-s-1"}}
    claim["metadata"]["ownerReferences"] = retention.owners(claim, subject, pod(subject, 1))
    assert retention.owners(claim, subject, pod(subject, 1)) is None
    plain = stateful_set(2, **policy("Retain", "Retain"))
    assert retention.owners(claim, plain, pod(subject, 1)) == []


def test_a_claim_that_goes_with_an_earlier_pod_is_waited_for():
    subject = stateful_set(1, **CLAIMS, **policy("Retain", "Delete"))
    stale = {"apiVersion": "v1", "kind": "Pod", "name": "s-0", "uid": "earlier"}
    claim = {"metadata": {"name": "data-s-0", "ownerReferences": [stale]}}
    assert steps(subject, claims={"data-s-0": claim}) == ""


def test_a_finished_update_makes_the_new_revision_the_current_one():
    subject = stateful_set(2)
    update = revision(subject, 2)
    pods = [pod(subject, 0), pod(subject, 1)]
    status = plan_status(subject, OLD, update, pods, [], 0, NOW)
    assert status == {
        "observedGeneration": 1,
        "replicas": 2,
        "readyReplicas": 2,
        "availableReplicas": 2,
        "currentReplicas": 2,
        "updatedReplicas": 2,
        "currentRevision": update["metadata"]["name"],
        "updateRevision": update["metadata"]["name"],
        "collisionCount": 0,
    }


def test_history_is_cut_to_its_limit():
    revisions = [{"metadata": {"name": f"r{n}"}, "revision": n} for n in (3, 1, 2, 4)]
    assert [r["metadata"]["name"] for r in surplus(revisions, {"r4", "r1"}, 1)] == ["r2"]
