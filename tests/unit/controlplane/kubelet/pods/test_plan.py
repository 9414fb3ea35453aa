"""The plan of a pod, as tables."""

from typing import Any

import pytest

from controlplane.api.times import to_rfc3339
from controlplane.kubelet.pods.plan import (
    Blocked,
    CrashBackoff,
    Outcome,
    PodView,
    StartContainer,
    StartSandbox,
    StopContainer,
    StopSandbox,
    Verdict,
    make_plan,
    next_backoff,
    restart_at,
)
from controlplane.kubelet.runtimes.interface import ContainerState, ContainerStatus, Sandbox

NOW = 10_000.0
BOX = Sandbox("box", "u1", "127.9.0.2", True, NOW - 60)


def pod(
    policy: str = "Always", init: list[dict[str, Any]] | None = None, **spec: Any
) -> dict[str, Any]:
    return {
        "metadata": {"name": "p", "namespace": "default", "uid": "u1"},
        "spec": {
            "restartPolicy": policy,
            "containers": [{"name": "c", "image": "x"}],
            "initContainers": init or [],
            **spec,
        },
    }


def ran(
    name: str = "c",
    code: int | None = None,
    attempt: int = 0,
    ended: float = NOW,
    image: str = "x",
) -> ContainerStatus:
    state = ContainerState.RUNNING if code is None else ContainerState.EXITED
    return ContainerStatus(
        f"{name}{attempt}", "u1", name, attempt, state, image, started_at=NOW - 50,
        finished_at=0.0 if code is None else ended, exit_code=code or 0,
    )  # fmt: skip


def view(subject: dict[str, Any], *runs: ContainerStatus, **rest: Any) -> PodView:
    rest.setdefault("sandbox", BOX)
    return PodView(pod=subject, now=NOW, containers={r.name: r for r in runs}, **rest)


FIRST = CrashBackoff(10.0, NOW)
INIT = [{"name": "i", "image": "x"}]
SIDECAR = [{"name": "s", "image": "x", "restartPolicy": "Always"}]
DEBUGGER = [{"name": "e", "image": "x"}]
TWO_SIDECARS = [*SIDECAR, {"name": "t", "image": "x", "restartPolicy": "Always"}]


def leaving(subject: dict[str, Any], left: float) -> dict[str, Any]:
    """Deleted, and to be gone in `left` seconds."""
    subject["metadata"]["deletionTimestamp"] = to_rfc3339(NOW + left)
    return subject


CASES = [
    pytest.param(
        view(pod(), sandbox=None), [StartSandbox(), StartContainer("c", 0)], "", id="new_pod"
    ),
    pytest.param(view(pod(), ran()), [], "", id="running_is_left_alone"),
    pytest.param(view(pod(), ran(code=1)), [StartContainer("c", 1, FIRST)], "", id="first_crash_at_once"),
    pytest.param(view(pod(), ran(code=0)), [StartContainer("c", 1, FIRST)], "", id="always_even_after_0"),
    pytest.param(view(pod("OnFailure"), ran(code=0)), [StopSandbox()], "Succeeded", id="on_failure_done"),
    pytest.param(
        view(pod("OnFailure"), ran(code=2)), [StartContainer("c", 1, FIRST)], "", id="on_failure_again"
    ),
    pytest.param(view(pod("Never"), ran(code=2)), [StopSandbox()], "Failed", id="never_failed"),
    pytest.param(
        view(pod(), ran(code=1), backoffs={"c": CrashBackoff(20, NOW - 100)}), [], "", id="in_back_off"
    ),
    pytest.param(
        view(pod(), ran(code=1, ended=NOW - 21), backoffs={"c": CrashBackoff(20, NOW - 100)}),
        [StartContainer("c", 1, CrashBackoff(40, NOW))], "", id="back_off_over_doubles",
    ),
    pytest.param(
        view(pod(), ran(code=1), backoffs={"c": CrashBackoff(300, NOW - 601)}),
        [StartContainer("c", 1, FIRST)], "", id="ran_well_resets_back_off",
    ),
    pytest.param(view(pod(init=INIT)), [StartContainer("i", 0)], "", id="init_first"),
    pytest.param(view(pod(init=INIT), ran("i")), [], "", id="init_holds_back"),
    pytest.param(view(pod(init=INIT), ran("i", 0)), [StartContainer("c", 0)], "", id="init_done"),
    pytest.param(
        view(pod(init=INIT), ran("i", 1)), [StartContainer("i", 1, FIRST)], "", id="init_again"
    ),
    pytest.param(view(pod("Never", INIT), ran("i", 1)), [StopSandbox()], "Failed", id="init_failed"),
    pytest.param(
        view(pod(init=INIT), ran("i", 0), ran("c", 137), rerun=frozenset({"i"})),
        [StartContainer("i", 1)], "", id="init_reruns_after_node_restart",
    ),
    pytest.param(
        view(pod(init=SIDECAR), ran("s")), [StartContainer("c", 0)], "", id="sidecar_runs_on"
    ),
    pytest.param(
        view(pod(init=SIDECAR), ran("s"), verdicts={"s": Verdict(started=False)}),
        [], "", id="sidecar_must_start_first",
    ),
    pytest.param(
        view(pod("Never", SIDECAR), ran("s"), ran("c", 0)),
        [StopContainer("s", "s0", 30.0, "Stopping container s")], "Succeeded", id="sidecar_ends_last",
    ),
    pytest.param(
        view(pod(), ran(), deleting=True),
        [StopContainer("c", "c0", 30.0, "Stopping container c")], "", id="deleting",
    ),
    pytest.param(view(pod(), ran(), deleting=True, stopping=frozenset({"c"})), [], "", id="stopping"),
    pytest.param(
        view(pod(init=SIDECAR), ran("s"), ran(), deleting=True),
        [StopContainer("c", "c0", 30.0, "Stopping container c")], "", id="sidecar_serves_to_the_end",
    ),
    pytest.param(
        view(pod(init=SIDECAR), ran("s"), ran(), deleting=True, stopping=frozenset({"c"})),
        [], "", id="sidecar_waits_for_who_ends",
    ),
    pytest.param(
        view(pod(init=TWO_SIDECARS), ran("s"), ran("t"), ran(code=0), deleting=True),
        [StopContainer("t", "t0", 30.0, "Stopping container t")], "", id="later_sidecar_first",
    ),
    pytest.param(
        view(leaving(pod(init=SIDECAR), 12), ran("s"), ran(code=0), deleting=True),
        [StopContainer("s", "s0", 12.0, "Stopping container s")], "", id="grace_that_is_left",
    ),
    pytest.param(
        view(leaving(pod(init=SIDECAR), -5), ran("s"), ran(code=0), deleting=True),
        [StopContainer("s", "s0", 2.0, "Stopping container s")], "", id="least_grace",
    ),
    pytest.param(
        view(pod(init=SIDECAR, terminationGracePeriodSeconds=0), ran("s"), ran(), deleting=True),
        [
            StopContainer("s", "s0", 0.0, "Stopping container s"),
            StopContainer("c", "c0", 0.0, "Stopping container c"),
        ], "", id="no_turns_without_grace",
    ),
    pytest.param(
        view(pod(init=INIT, ephemeralContainers=DEBUGGER)),
        [StartContainer("e", 0), StartContainer("i", 0)], "", id="ephemeral_waits_for_nothing",
    ),
    pytest.param(
        view(pod(ephemeralContainers=DEBUGGER), ran(), ran("e", 1)), [], "", id="ephemeral_once",
    ),
    pytest.param(
        view(pod("Never", ephemeralContainers=DEBUGGER), ran(code=0), ran("e")),
        [StopContainer("e", "e0", 30.0, "Stopping container e")], "Succeeded",
        id="ephemeral_ends_with_the_pod",
    ),
    pytest.param(
        view(pod("Never"), ran(image="y")),
        [StopContainer("c", "c0", 30.0, "Container c definition changed, will be restarted")],
        "", id="another_image",
    ),
    pytest.param(
        view(pod(), ran(code=137, image="y")), [StartContainer("c", 1)], "", id="another_image_now",
    ),
    pytest.param(
        view(pod(), ran(), resized=frozenset({"c"})),
        [StopContainer("c", "c0", 30.0, "Container c resize requires restart")],
        "", id="resized",
    ),
    pytest.param(view(pod(), ran(code=143), deleting=True), [StopSandbox()], "", id="stopped"),
    pytest.param(
        view(pod(), ran(), verdicts={"c": Verdict(failed="liveness")}),
        [StopContainer("c", "c0", 30.0, "Container c failed liveness probe, will be restarted")],
        "", id="liveness",
    ),
    pytest.param(
        view(pod(activeDeadlineSeconds=10), ran(), started_at=NOW - 11),
        [StopContainer("c", "c0", 30.0, "Stopping container c")], "Failed", id="deadline",
    ),
    pytest.param(
        view(pod(), ran(code=137), outcome=Outcome("Failed", "DeadlineExceeded")),
        [StopSandbox()], "Failed", id="outcome_is_never_taken_back",
    ),
    pytest.param(
        view(pod(), blocked={"c": Blocked("ErrImagePull", "m", NOW + 5)}), [], "", id="blocked"
    ),
    pytest.param(
        view(pod(), blocked={"c": Blocked("ErrImagePull", "m", NOW - 1)}),
        [StartContainer("c", 0)], "", id="blocked_no_more",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("seen", "actions", "outcome"), CASES)
def test_plan(seen: PodView, actions: list[Any], outcome: str) -> None:
    plan = make_plan(seen)
    assert plan.actions == actions
    assert (plan.outcome.phase if plan.outcome else "") == outcome


def test_crash_loop_says_how_long_and_when() -> None:
    plan = make_plan(view(pod(), ran(code=1), backoffs={"c": CrashBackoff(80, NOW - 90)}))
    assert plan.waiting["c"].reason == "CrashLoopBackOff"
    expected = "back-off 1m20s restarting failed container=c pod=p_default(u1)"
    assert plan.waiting["c"].message == expected
    assert plan.wake_at == NOW + 80


def test_back_off_grows_to_five_minutes() -> None:
    known, now, seconds = None, 0.0, []
    for _ in range(8):
        now = restart_at(known, now)
        known = next_backoff(known, now, now)
        seconds.append(known.seconds)
    assert seconds == [10, 20, 40, 80, 160, 300, 300, 300]


@pytest.mark.parametrize(
    ("grace", "spec", "expected"), [(None, None, 30.0), (None, 7, 7.0), (0, 30, 0.0), (3, 30, 3.0)]
)
def test_grace(grace: int | None, spec: int | None, expected: float) -> None:
    subject = pod()
    if grace is not None:
        subject["metadata"]["deletionGracePeriodSeconds"] = grace
    if spec is not None:
        subject["spec"]["terminationGracePeriodSeconds"] = spec
    [action] = make_plan(view(subject, ran(), deleting=True)).actions
    assert isinstance(action, StopContainer)
    assert action.grace_seconds == expected
