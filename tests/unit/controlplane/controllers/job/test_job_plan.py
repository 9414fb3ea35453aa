"""What a look at a Job decides: how many Pods, which indexes, when it ends, how its status counts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.controllers.job import indexes
from controlplane.controllers.job.backoff import Backoff
from controlplane.controllers.job.plan import (
    FAILURES,
    FINALIZER,
    look,
    plan_release,
    plan_scale,
)
from controlplane.controllers.job.pods import new_pods
from controlplane.controllers.job.policies import judge, success_message
from controlplane.controllers.job.status import end, settle, write_down

NOW = 1_700_000_000.0
STAMP = "2023-11-14T22:13:20Z"


def job(status=None, **spec):
    spec = {"parallelism": 1, "completions": 1, "backoffLimit": 6, "template": {"spec": {}}, **spec}
    head = {"name": "j", "namespace": "d", "uid": "job"}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": head, "spec": spec,
            "status": {"startTime": STAMP, **(status or {})}}  # fmt: skip


def pod(name, phase="Running", *, index=None, deleting=False, failures=0, code=None, tracked=True):
    annotations = {}
    if index is not None:
        annotations = {indexes.ANNOTATION: str(index), FAILURES: str(failures)}
    metadata = {"name": name, "namespace": "d", "uid": name, "annotations": annotations}
    metadata["finalizers"] = [FINALIZER] if tracked else []
    if deleting:
        metadata["deletionTimestamp"] = STAMP
    ended = {"exitCode": code or 0, "finishedAt": STAMP}
    state = {"terminated": ended} if phase in ("Succeeded", "Failed") else {"running": {}}
    return {
        "metadata": metadata,
        "spec": {},
        "status": {"phase": phase, "containerStatuses": [{"name": "c", "state": state}]},
    }


def scale(subject, *pods, now=NOW + 1000, backoff=None):
    return plan_scale(look(subject, pods, backoff or Backoff(), (), now), now)


@pytest.mark.parametrize(
    ("subject", "pods", "create", "delete"),
    [
        pytest.param(job(), [], 1, "", id="first"),
        pytest.param(job(completions=5, parallelism=3), [pod("a")], 2, "", id="up_to_parallelism"),
        pytest.param(
            job({"succeeded": 4}, completions=5, parallelism=3), [], 1, "", id="only_what_is_missing"
        ),
        pytest.param(
            job(completions=5, parallelism=1), [pod("a"), pod("b")], 0, "a", id="fewer_in_parallel"
        ),
        pytest.param(job(completions=None, parallelism=2), [pod("a")], 1, "", id="work_queue"),
        pytest.param(
            job({"succeeded": 1}, completions=None, parallelism=3), [pod("a")], 0, "",
            id="work_queue_once_one_succeeded",
        ),
        pytest.param(job(suspend=True), [pod("a")], 0, "a", id="suspended"),
        pytest.param(job(), [pod("a", deleting=True)], 1, "", id="replaces_a_terminating_pod"),
        pytest.param(
            job(podReplacementPolicy="Failed"), [pod("a", deleting=True)], 0, "",
            id="waits_for_a_terminating_pod",
        ),
    ],
)  # fmt: skip
def test_how_many(subject, pods, create, delete):
    plan = scale(subject, *pods)
    assert plan.create == create
    assert "".join(p["metadata"]["name"] for p in plan.delete) == delete


@pytest.mark.parametrize(
    ("pods", "wanted", "useless"),
    [
        ([], (0, 1, 2), ""),
        ([pod("a", index=1)], (0, 2), ""),
        ([pod("a", "Succeeded", index=0)], (1, 2), ""),
        ([pod("a", index=1), pod("b", index=1)], (), "a"),
        ([pod("a", index=7)], (), "a"),
    ],
    ids=["first", "one_runs", "one_is_done", "twice", "out_of_range"],
)
def test_indexes(pods, wanted, useless):
    plan = scale(job(completions=3, parallelism=3, completionMode="Indexed"), *pods)
    assert plan.indexes == wanted
    assert "".join(p["metadata"]["name"] for p in plan.delete) == useless


def test_a_pod_of_an_index_knows_it():
    subject = job(completions=3, parallelism=3, completionMode="Indexed", backoffLimitPerIndex=2)
    subject["spec"]["template"] = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{}]}}
    failed = pod("a", "Failed", index=1, failures=1)
    seen = look(subject, [failed], Backoff(), (), NOW + 1000)
    made = new_pods(seen, plan_scale(seen, NOW + 1000))[1]
    assert made["metadata"]["generateName"] == "j-1-"
    assert made["metadata"]["labels"] == {"a": "b", indexes.ANNOTATION: "1"}
    assert made["metadata"]["annotations"] == {indexes.ANNOTATION: "1", FAILURES: "2"}
    assert made["metadata"]["finalizers"] == [FINALIZER]
    assert made["spec"]["hostname"] == "j-1"
    assert made["spec"]["containers"][0]["env"] == [
        {
            "name": "JOB_COMPLETION_INDEX",
            "valueFrom": {"fieldRef": {"fieldPath": f"metadata.labels['{indexes.ANNOTATION}']"}},
        }
    ]


@pytest.mark.parametrize(
    ("failures", "seconds"), [(0, 0), (1, 10), (2, 20), (3, 40), (7, 600), (50, 600)]
)
def test_delay_after_failures(failures, seconds):
    assert Backoff(failures, NOW).remaining_seconds(NOW) == seconds
    assert Backoff(failures, NOW).remaining_seconds(NOW + seconds) == 0


def test_a_failed_pod_is_replaced_after_its_delay():
    failed = pod("a", "Failed")
    assert scale(job(), failed, now=NOW + 4).wait_seconds == 6.0
    assert scale(job(), failed, now=NOW + 10).create == 1


def test_an_index_waits_for_its_own_failures_only():
    subject = job(completions=2, parallelism=2, completionMode="Indexed", backoffLimitPerIndex=5)
    plan = scale(subject, pod("a", "Failed", index=0), now=NOW + 1)
    assert plan.indexes == (1,)


def failing(code, **rule):
    rules = [{"action": "FailJob", "onExitCodes": {"operator": "In", "values": [code]}, **rule}]
    return {"podFailurePolicy": {"rules": rules}}


@pytest.mark.parametrize(
    ("subject", "pods", "reason"),
    [
        pytest.param(job(), [pod("a", "Failed")], "", id="one_failure"),
        pytest.param(job(backoffLimit=0), [pod("a", "Failed")], "BackoffLimitExceeded", id="limit"),
        pytest.param(
            job({"failed": 6}), [pod("a", "Failed")], "BackoffLimitExceeded", id="earlier_ones_count"
        ),
        pytest.param(
            job(activeDeadlineSeconds=5), [pod("a")], "DeadlineExceeded", id="deadline"
        ),
        pytest.param(
            job(activeDeadlineSeconds=5, suspend=True), [pod("a")], "", id="no_deadline_suspended"
        ),
        pytest.param(job(**failing(42)), [pod("a", "Failed", code=42)], "PodFailurePolicy", id="policy"),
        pytest.param(job(**failing(42)), [pod("a", "Failed", code=1)], "", id="policy_other_code"),
        pytest.param(
            job(completions=2, parallelism=2, completionMode="Indexed", backoffLimitPerIndex=0),
            [pod("a", "Failed", index=0), pod("b", "Failed", index=1)], "FailedIndexes",
            id="failed_indexes",
        ),
        pytest.param(
            job(completions=3, completionMode="Indexed", backoffLimitPerIndex=0, maxFailedIndexes=0),
            [pod("a", "Failed", index=0)], "MaxFailedIndexesExceeded", id="max_failed_indexes",
        ),
        pytest.param(
            job(completions=3, completionMode="Indexed",
                successPolicy={"rules": [{"succeededIndexes": "0"}]}),
            [pod("a", "Succeeded", index=0)], "SuccessPolicy", id="success_policy",
        ),
    ],
)  # fmt: skip
def test_when_a_job_ends(subject, pods, reason):
    finish = look(subject, pods, Backoff(), (), NOW + 100).finish
    assert (finish.reason if finish else "") == reason


@pytest.mark.parametrize(
    ("action", "is_counted", "message"),
    [
        ("Count", True, ""),
        ("Ignore", False, ""),
        ("FailIndex", True, ""),
        (
            "FailJob", True,
            "Container c for pod d/a failed with exit code 42 matching FailJob rule at index 0",
        ),
    ],
)  # fmt: skip
def test_pod_failure_policy(action, is_counted, message):
    verdict = judge(job(**failing(42, action=action)), pod("a", "Failed", code=42))
    assert (verdict.is_counted, verdict.action, verdict.message) == (is_counted, action, message)


def test_a_condition_of_the_pod_matches_a_rule():
    rule = {"action": "FailJob", "onPodConditions": [{"type": "DisruptionTarget"}]}
    subject = job(podFailurePolicy={"rules": [rule]})
    failed = pod("a", "Failed")
    failed["status"]["conditions"] = [{"type": "DisruptionTarget", "status": "True"}]
    message = "Pod d/a has condition DisruptionTarget matching FailJob rule at index 0"
    assert judge(subject, failed).message == message


@pytest.mark.parametrize(
    ("rule", "done", "met"),
    [
        ({"succeededIndexes": "0,2-3"}, {0, 2, 3}, True),
        ({"succeededIndexes": "0,2-3"}, {0, 2}, False),
        ({"succeededIndexes": "0,2-3", "succeededCount": 2}, {0, 2}, True),
        ({"succeededCount": 2}, {4, 5}, True),
        ({"succeededCount": 2}, {4}, False),
    ],
)
def test_success_policy(rule, done, met):
    subject = job(completions=9, successPolicy={"rules": [rule]})
    assert success_message(subject, done) == ("Matched rules at index 0" if met else "")


@pytest.mark.parametrize(
    ("numbers", "text"),
    [([], ""), ([3], "3"), ([0, 1], "0,1"), ([0, 1, 2], "0-2"), ([7, 1, 3, 4, 5], "1,3-5,7")],
)
def test_how_indexes_are_written(numbers, text):
    assert indexes.written(numbers) == text
    assert indexes.parse(text, 100) == frozenset(numbers)


@given(st.sets(st.integers(0, 200)))
def test_indexes_come_back_as_they_were(numbers):
    assert indexes.parse(indexes.written(numbers), 201) == numbers


def counted(subject, *pods, finish=None):
    """The status after both steps of counting, all finalizers being off."""
    seen = look(subject, pods, Backoff(), (), NOW + 100)
    finish = finish or seen.finish
    released = plan_release(seen, finish)
    first = write_down(
        seen, released, finish, active=len(seen.active), ready=0, terminating=0, now=STAMP
    )
    gone = {p["metadata"]["uid"] for p in released}
    tracked = {p["metadata"]["uid"] for p in pods} - gone
    return first, settle(first, tracked)


def test_pods_are_named_before_they_are_numbers():
    subject = job(completions=3, parallelism=3)
    first, second = counted(subject, pod("a", "Succeeded"), pod("b", "Failed"), pod("c"))
    assert first["uncountedTerminatedPods"] == {"succeeded": ["a"], "failed": ["b"]}
    assert first.get("succeeded") is None
    assert second["uncountedTerminatedPods"] == {}
    assert (second["succeeded"], second["failed"], second["active"]) == (1, 1, 1)


def test_what_was_written_down_is_not_written_twice():
    status = {"uncountedTerminatedPods": {"succeeded": ["a"]}, "succeeded": 1}
    first, second = counted(job(status, completions=5), pod("a", "Succeeded"))
    assert first["uncountedTerminatedPods"] == {"succeeded": ["a"]}
    assert second["succeeded"] == 2


def test_a_pod_that_lost_its_finalizer_elsewhere_is_counted():
    status = {"uncountedTerminatedPods": {"failed": ["gone"]}}
    _, second = counted(job(status))
    assert (second["failed"], second["uncountedTerminatedPods"]) == (1, {})


def test_ignored_failures_are_released_uncounted():
    subject = job(**failing(42, action="Ignore"))
    first, second = counted(subject, pod("a", "Failed", code=42))
    assert first["uncountedTerminatedPods"] == {}
    assert "failed" not in second


def test_indexes_are_counted_by_themselves():
    subject = job({"completedIndexes": "0"}, completions=4, parallelism=4, completionMode="Indexed")
    first, second = counted(
        subject,
        pod("a", "Succeeded", index=2),
        pod("b", "Succeeded", index=2),
        pod("c", "Succeeded", index=9),
    )
    assert first["completedIndexes"] == "0,2"
    assert (second["succeeded"], second["uncountedTerminatedPods"]) == (2, {})


def test_a_job_ends_only_when_all_is_counted_and_gone():
    finish = look(job(backoffLimit=0), [pod("a", "Failed")], Backoff(), (), NOW).finish
    assert end({"uncountedTerminatedPods": {"failed": ["a"]}}, finish, STAMP) is None
    assert end({"uncountedTerminatedPods": {}, "terminating": 1}, finish, STAMP) is None
    ended = end({"uncountedTerminatedPods": {}, "terminating": 0}, finish, STAMP)
    assert ended["conditions"][0]["type"] == "Failed"
