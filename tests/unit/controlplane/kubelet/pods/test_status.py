"""The status of a pod, and the patch to it."""

from dataclasses import replace
from typing import Any

import pytest

from controlplane.kubelet.pods.plan import PodView, Verdict, make_plan
from controlplane.kubelet.pods.resize import ResizeCondition
from controlplane.kubelet.pods.status import pod_status, status_patch
from controlplane.kubelet.runtimes.interface import ContainerState, ContainerStatus, Sandbox

NOW = 10_000.0
BOX = Sandbox("box", "u1", "127.9.0.2", True, NOW)


def view(policy: str, codes: dict[str, int | None], **rest: Any) -> PodView:
    subject = {
        "metadata": {"name": "p", "namespace": "default", "uid": "u1"},
        "spec": {"restartPolicy": policy, "containers": [{"name": "a"}, {"name": "b"}]},
    }
    runs = {
        name: ContainerStatus(
            name, "u1", name, 0, ContainerState.RUNNING if code is None else ContainerState.EXITED,
            started_at=NOW, finished_at=NOW, exit_code=code or 0,
        )
        for name, code in codes.items()
    }  # fmt: skip
    return PodView(pod=subject, now=NOW, sandbox=BOX, containers=runs, started_at=NOW, **rest)


@pytest.mark.parametrize(
    ("policy", "codes", "phase"),
    [
        ("Always", {}, "Pending"),
        ("Always", {"a": None}, "Pending"),
        ("Always", {"a": None, "b": None}, "Running"),
        ("Always", {"a": 0, "b": 1}, "Running"),
        ("OnFailure", {"a": 0, "b": 1}, "Running"),
        ("OnFailure", {"a": 0, "b": 0}, "Succeeded"),
        ("Never", {"a": 0, "b": None}, "Running"),
        ("Never", {"a": 0, "b": 1}, "Failed"),
    ],
)
def test_phase(policy: str, codes: dict[str, int | None], phase: str) -> None:
    seen = view(policy, codes)
    assert pod_status(seen, make_plan(seen), node_ip="127.0.0.1")["phase"] == phase


def conditions(status: dict[str, Any]) -> dict[str, str]:
    return {entry["type"]: entry["status"] for entry in status["conditions"]}


def test_all_conditions_of_a_running_pod() -> None:
    seen = view("Always", {"a": None, "b": None})
    status = pod_status(seen, make_plan(seen), node_ip="127.0.0.1")
    assert set(conditions(status).values()) == {"True"}
    assert len(status["conditions"]) == 5
    assert status["podIPs"] == [{"ip": "127.9.0.2"}]


def test_unready_container_is_named() -> None:
    seen = view("Always", {"a": None, "b": None}, verdicts={"b": Verdict(ready=False)})
    status = pod_status(seen, make_plan(seen), node_ip="127.0.0.1")
    ready = next(entry for entry in status["conditions"] if entry["type"] == "Ready")
    assert ready["reason"] == "ContainersNotReady"
    assert ready["message"] == "containers with unready status: [b]"


def test_patch_of_an_equal_status_is_empty() -> None:
    seen = view("Always", {"a": None, "b": None})
    status = pod_status(seen, make_plan(seen), node_ip="127.0.0.1")
    assert status_patch(status, status) == {}
    again = {**status, "conditions": [*status["conditions"], {"type": "example.com/other"}]}
    assert status_patch(again, status) == {}


def test_patch_names_what_vanishes() -> None:
    old = {
        "phase": "Pending",
        "reason": "X",
        "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}],
    }
    seen = view("Always", {"a": None, "b": None})
    patch = status_patch(old, pod_status(seen, make_plan(seen), node_ip="127.0.0.1"))
    assert patch["reason"] is None
    scheduled = next(entry for entry in patch["conditions"] if entry["type"] == "PodScheduled")
    assert scheduled["reason"] is None
    assert scheduled["status"] == "True"


def test_the_generation_that_was_seen_is_told() -> None:
    # Found by the conformance suite, which waits for it after each change of a pod.
    subject = view("Always", {"a": None, "b": None})
    assert "observedGeneration" not in pod_status(subject, make_plan(subject), node_ip="1.2.3.4")
    subject.pod["metadata"]["generation"] = 3
    wanted = pod_status(subject, make_plan(subject), node_ip="1.2.3.4")
    assert wanted["observedGeneration"] == 3
    assert {row["observedGeneration"] for row in wanted["conditions"]} == {3}
    assert status_patch(wanted, wanted) == {}
    subject.pod["metadata"]["generation"] = 4
    patch = status_patch(wanted, pod_status(subject, make_plan(subject), node_ip="1.2.3.4"))
    assert patch["observedGeneration"] == 4
    assert {row["observedGeneration"] for row in patch["conditions"]} == {4}


def test_ephemeral_containers_are_told_apart() -> None:
    seen = view("Always", {"a": None, "b": None})
    seen.pod["spec"]["ephemeralContainers"] = [{"name": "e", "image": "x"}]
    status = pod_status(seen, make_plan(seen), node_ip="10.0.0.1")
    assert [entry["name"] for entry in status["containerStatuses"]] == ["a", "b"]
    [entry] = status["ephemeralContainerStatuses"]
    assert entry["state"] == {"waiting": {"reason": "ContainerCreating"}}
    assert (entry["ready"], "started" in entry) == (False, False)


def test_resources_that_were_granted_and_those_that_are_there() -> None:
    have = {"limits": {"cpu": "1"}, "requests": {"cpu": "1"}}
    wanted = {"limits": {"cpu": "2"}, "requests": {"cpu": "2"}}
    running = ResizeCondition("PodResizeInProgress")
    seen = view("Always", {"a": None, "b": None}, actual={"a": have}, resizing=[running])
    seen.pod["spec"]["containers"][0]["resources"] = wanted
    status = pod_status(seen, make_plan(seen), node_ip="127.0.0.1")
    first, second = status["containerStatuses"]
    assert (first["allocatedResources"], first["resources"]) == ({"cpu": "2"}, have)
    assert ("allocatedResources" in second, second["resources"]) == (False, {})
    assert conditions(status)["PodResizeInProgress"] == "True"

    done = pod_status(replace(seen, resizing=()), make_plan(seen), node_ip="127.0.0.1")
    patch = status_patch(status, done)
    assert patch["conditions"] == [{"type": "PodResizeInProgress", "$patch": "delete"}]


def test_mounts_are_told() -> None:
    seen = view("Always", {"a": None})
    seen.pod["spec"]["containers"][0]["volumeMounts"] = [
        {"name": "v", "mountPath": "/v"},
        {"name": "w", "mountPath": "/w", "readOnly": True},
        {"name": "x", "mountPath": "/x", "readOnly": True, "recursiveReadOnly": "IfPossible"},
    ]
    first, second = pod_status(seen, make_plan(seen), node_ip="127.0.0.1")["containerStatuses"]
    read_only = {"readOnly": True, "recursiveReadOnly": "Disabled"}
    assert first["volumeMounts"] == [
        {"name": "v", "mountPath": "/v"},
        {"name": "w", "mountPath": "/w", **read_only},
        {"name": "x", "mountPath": "/x", **read_only, "recursiveReadOnly": "Enabled"},
    ]
    assert "volumeMounts" not in second
